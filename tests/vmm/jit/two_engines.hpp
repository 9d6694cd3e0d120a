// SPDX-License-Identifier: GPL-3.0-or-later
// The same program on the interpreter and on the translator, compared afterwards.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/cpu_harness.hpp"
#include "vmm/jit/hypervisor.hpp"
#include "vmm/jit/translator.hpp"

namespace skep::test {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t k_rounds = 100;  // enough for every block of the loop to become hot, which they are after so many:
inline constexpr uint32_t k_soon = 32;

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

// body, repeated with the count in a memory cell, so that every register and the flags are the body's own:
//   body; pushfq; dec qword [0x20000]; jz out; popfq; jmp body; out: popfq
inline Bytes loop_of(const Bytes& body) {
    Bytes code = body + Bytes{0x9c, 0x48, 0xff, 0x0c, 0x25, 0x00, 0x00, 0x02, 0x00, 0x74, 0x06, 0x9d, 0xe9, 0, 0, 0, 0, 0x9d};
    const auto back = static_cast<uint32_t>(-static_cast<int32_t>(code.size() - 1));
    for (unsigned i = 0; i < 4; ++i) {
        code[code.size() - 5 + i] = static_cast<uint8_t>(back >> (8 * i));
    }
    return code;
}

struct Engines {
    explicit Engines(CpuMode mode = CpuMode::long64)
        : interpreted(std::make_unique<interp::InterpHypervisor>(), mode),
          translated(std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = {.threshold = k_soon}}), mode) {}

    CpuHarness interpreted;
    CpuHarness translated;

    template <typename Prepare>
    void each(Prepare prepare) {
        prepare(interpreted);
        prepare(translated);
    }
    [[nodiscard]] const jit::JitStats& stats() {
        return static_cast<jit::JitTranslator&>(*translated.core().translator).stats();
    }
    void expect_equal(const char* what) {
        const CpuState& left = interpreted.state;
        const CpuState& right = translated.state;
        for (unsigned i = 0; i < 16; ++i) {
            EXPECT_EQ(left.gpr[i], right.gpr[i]) << what << ": register " << i;
        }
        EXPECT_EQ(left.rip, right.rip) << what;
        EXPECT_EQ(left.rflags, right.rflags) << what;
        EXPECT_EQ(left.cr2, right.cr2) << what;
        EXPECT_EQ(left.activity, right.activity) << what;
        EXPECT_TRUE(left.xsave == right.xsave) << what << ": vector state from byte "
                                               << std::ranges::mismatch(left.xsave, right.xsave).in1 - left.xsave.begin();
        const auto ram = [](CpuHarness& one) { return one.memory->ram(); };
        EXPECT_TRUE(std::ranges::equal(ram(interpreted), ram(translated))) << what << ": memory";
    }
};

inline void fill_state(CpuHarness& cpu, uint64_t seed) {
    uint64_t value = seed * 0x9e37'79b9'7f4a'7c15 + 0x1234'5678'9abc'def1;
    for (unsigned i = 0; i < 16; ++i) {
        if (i != k_rsp) {
            value = value * 6364136223846793005 + 1442695040888963407;
            cpu.state.gpr[i] = value;
        }
    }
    for (uint64_t at = 0; at < 512; at += 8) {
        value = value * 6364136223846793005 + 1442695040888963407;
        cpu.write_value<uint64_t>(CpuHarness::k_data + at, value);
    }
    cpu.write_value<uint64_t>(0x20000, k_rounds);
}

}  // namespace skep::test
