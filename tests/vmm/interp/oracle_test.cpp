// SPDX-License-Identifier: GPL-3.0-or-later
// The interpreter against the host's processor: random instructions on random states, every register, flag, fault and
// byte of memory compared. SKEP_ORACLE_COUNT: comparisons per test; SKEP_ORACLE_SEED: to repeat a failure.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/support/native_oracle.hpp"
#include "tests/vmm/interp/oracle_core.hpp"
#include "tests/vmm/interp/oracle_generator.hpp"
#include "tests/vmm/interp/oracle_state.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_default_count = 100'000, k_states_per_instruction = 32;
constexpr size_t k_window = 256, k_reported = 12;

uint64_t environment_number(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

class Comparison {
  public:
    Comparison(Subject subject, uint64_t seed)
        : m_subject(subject),
          m_registers(subject == Subject::integer ? Registers::general : Registers::all),
          m_random(seed),
          m_core(reinterpret_cast<uint64_t>(m_native.scratch())) {}

    void run_one_instruction() {
        const Instruction instruction = random_instruction(m_random, m_subject);
        m_native.prepare(instruction.code(), m_registers);
        m_core.prepare(instruction.code());
        for (unsigned i = 0; i < k_states_per_instruction; ++i)
            compare_once(instruction);
    }
    [[nodiscard]] const std::map<std::string, std::string>& differences() const { return m_differences; }
    [[nodiscard]] uint64_t faults() const { return m_faults; }

  private:
    void compare_once(const Instruction& instruction) {
        const auto scratch = reinterpret_cast<uint64_t>(m_native.scratch());
        m_start.randomise(m_random, m_registers);
        size_t window = 0;
        if (instruction.memory >= 0) {
            window = m_start.place_operand(m_random, instruction, scratch, k_window);
            for (size_t at = 0; at < k_window; at += 8) {
                const uint64_t value = interesting_bits(m_random);
                std::memcpy(m_native.scratch() + window + at, &value, 8);
                std::memcpy(m_core.scratch() + window + at, &value, 8);
            }
        }
        copy_state(m_native.state(), m_start.state, m_registers);
        copy_state(m_result, m_start.state, m_registers);
        m_native.run();
        m_core.run(m_result, m_registers);
        m_faults += m_native.state().vector != MachineState::k_no_fault;
        const std::string difference = compare_states(m_native.state(), m_result, m_registers, instruction);
        const bool same_memory = instruction.memory < 0 || excused(m_native.state(), m_result, instruction) ||
                                 std::memcmp(m_native.scratch() + window, m_core.scratch() + window, k_window) == 0;
        if (!difference.empty() || !same_memory) [[unlikely]]
            report(instruction, difference + (same_memory ? "" : " memory"));
    }

    void report(const Instruction& instruction, const std::string& difference) {
        const std::string name = ZydisMnemonicGetString(instruction.decoded.mnemonic);
        if (m_differences.size() < k_reported)
            m_differences.try_emplace(name, instruction.text() + "\n" + difference + "\n    start: " +
                                                describe_start(m_start.state, instruction));
    }

    Subject m_subject;
    Registers m_registers;
    Random m_random;
    NativeOracle m_native;
    OracleCore m_core;
    StartState m_start;
    MachineState m_result;
    std::map<std::string, std::string> m_differences;
    uint64_t m_faults = 0;
};

void compare_many(Subject subject) {
    const uint64_t count = environment_number("SKEP_ORACLE_COUNT", k_default_count);
    const uint64_t seed = environment_number(
        "SKEP_ORACLE_SEED", static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
    Comparison comparison(subject, seed);
    for (uint64_t done = 0; done < count; done += k_states_per_instruction)
        comparison.run_one_instruction();
    for (const auto& [name, text] : comparison.differences())
        ADD_FAILURE() << text;
    EXPECT_TRUE(comparison.differences().empty()) << "repeat with SKEP_ORACLE_SEED=" << seed;
    EXPECT_GT(comparison.faults(), 0u) << "a run without any fault compares less than it should";
}

TEST(Oracle, integer_instructions_equal_host) { compare_many(Subject::integer); }
TEST(Oracle, vector_instructions_equal_host) { compare_many(Subject::vector); }
TEST(Oracle, x87_instructions_equal_host) { compare_many(Subject::x87); }

}  // namespace
}  // namespace skep::test
