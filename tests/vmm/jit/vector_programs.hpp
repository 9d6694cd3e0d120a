// SPDX-License-Identifier: GPL-3.0-or-later
// Programs on the vector and x87 units for both engines.
#pragma once

#include <asmjit/x86.h>

#include <cstring>
#include <random>

#include "tests/vmm/jit/two_engines.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::test {

inline constexpr uint64_t k_cell = 0x20000;  // the loop counter of loop_of()

// What `write` assembles, as bytes that may lie anywhere.
template <typename Write>
Bytes assemble(Write write) {
    asmjit::CodeHolder code;
    code.init(asmjit::Environment::host());
    asmjit::x86::Assembler a(&code);
    write(a);
    const auto& buffer = code.sectionById(0)->buffer();
    return {buffer.begin(), buffer.end()};
}

inline void prepare_vectors(CpuHarness& cpu, uint64_t seed) {
    fill_state(cpu, seed);
    std::mt19937_64 random(seed);
    cpu.state.cr4 |= interp::k_cr4_osxsave;
    cpu.state.xcr0 = 7;
    cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
    const uint64_t present = 7;
    std::memcpy(cpu.state.xsave.data() + interp::k_xstate_bv_at, &present, sizeof present);
    for (const unsigned start : {interp::k_xmm_at, interp::k_ymm_high_at}) {
        for (unsigned at = 0; at < 256; at += 4) {
            // Numbers of a moderate size, of either sign.
            const float value = static_cast<float>(static_cast<int32_t>(random())) / 65536.0F;
            std::memcpy(cpu.state.xsave.data() + start + at, &value, sizeof value);
        }
    }
}

template <typename Prepare>
void compare_vector_loop(const char* what, const Bytes& code, Prepare prepare) {
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        prepare_vectors(cpu, 5);
        prepare(cpu);
        cpu.run(code);
    });
    engines.expect_equal(what);
    EXPECT_GT(engines.stats().entries, 0U) << what;
}
template <typename Write>
void compare_vectors(const char* what, Write write) {
    compare_vector_loop(what, loop_of(assemble(write)), [](CpuHarness&) {});
}

}  // namespace skep::test
