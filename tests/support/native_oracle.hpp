// SPDX-License-Identifier: GPL-3.0-or-later
// The host's own processor as the judge: runs one instruction on a given register state, faults included, and gives the
// state that it leaves. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace skep::test {

struct MachineState {
    std::array<uint64_t, 16> gpr{};
    uint64_t rflags = 0x202;
    uint64_t vector = k_no_fault;  // of the fault taken, after run()
    uint64_t error_code = 0;
    uint64_t host_stack = 0;
    alignas(64) std::array<std::byte, 1024> xsave{};  // standard format: x87, SSE, AVX

    static constexpr uint64_t k_no_fault = 0xff;
};

enum class Registers : uint8_t { general, all };  // `all`: with the vector and x87 registers

class NativeOracle {
  public:
    NativeOracle();
    ~NativeOracle();
    NativeOracle(const NativeOracle&) = delete;
    NativeOracle& operator=(const NativeOracle&) = delete;

    // The state that run() works on. Below 2 GiB.
    [[nodiscard]] MachineState& state() { return *m_state; }
    // Memory for the instruction's operands: k_scratch_bytes below 2 GiB, followed and preceded by pages without access.
    [[nodiscard]] std::byte* scratch() { return m_scratch; }
    static constexpr size_t k_scratch_bytes = 8192;

    // The instruction that run() runs: position-independent, no jump, no use of the stack.
    void prepare(std::span<const uint8_t> instruction, Registers registers);
    void run();

  private:
    MachineState* m_state = nullptr;
    std::byte* m_scratch = nullptr;
    std::byte* m_low = nullptr;         // one mapping below 2 GiB: state, guard, scratch, guard
    std::byte* m_code_write = nullptr;  // the two mappings of the code
    std::byte* m_code_run = nullptr;
    size_t m_slot = 0;
    std::byte* m_entry = nullptr;
};

}  // namespace skep::test
