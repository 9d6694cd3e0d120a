// SPDX-License-Identifier: GPL-3.0-or-later
// Random instructions that the oracle can judge: 64-bit mode, no control flow, no stack, no privilege.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace skep::test {

// xoshiro-like, small and reproducible (std::mt19937_64 would be the bottleneck).
class Random {
  public:
    explicit Random(uint64_t seed) : m_state(seed * 0x9e37'79b9'7f4a'7c15 + 1) {}
    uint64_t next() {
        m_state ^= m_state << 13;
        m_state ^= m_state >> 7;
        m_state ^= m_state << 17;
        return m_state * 0x2545'f491'4f6c'dd1d;
    }
    unsigned below(unsigned limit) { return static_cast<unsigned>((next() >> 32) * limit >> 32); }
    bool one_in(unsigned n) { return below(n) == 0; }

  private:
    uint64_t m_state;
};

enum class Subject : uint8_t { integer, vector, x87 };

struct Instruction {
    std::array<uint8_t, 15> bytes{};
    unsigned length = 0;
    ZydisDecodedInstruction decoded{};
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands{};
    int memory = -1;  // index of its memory operand, -1: none

    [[nodiscard]] std::span<const uint8_t> code() const { return {bytes.data(), length}; }
    [[nodiscard]] std::string text() const;
    // BT and its relatives: a bit index in a register reaches far beyond the operand.
    [[nodiscard]] bool is_bit_string() const;
};

// The next instruction of the subject: never fails, tries until one is acceptable.
[[nodiscard]] Instruction random_instruction(Random& random, Subject subject);

}  // namespace skep::test
