// SPDX-License-Identifier: GPL-3.0-or-later
// Where the guest's general registers live while translated code runs.
//   rdx rbx rbp rsi rdi r8 r9 r12 r13 r14  under their own number, so that implicit operands mostly fit
//   rax, rcx, rsp                          in the host's r10, r11, r15
//   r10, r11, r15                          in memory, Core::gpr: compilers take them last
// The host's rax and rcx are scratch, its rsp is the host's stack.
#pragma once

#include <asmjit/x86.h>

#include <array>
#include <cstdint>

namespace skep::jit {

namespace x86asm = asmjit::x86;

inline constexpr int8_t k_in_memory = -1;
// By the guest's register number (k_rax...): the host's.
inline constexpr std::array<int8_t, 16> k_host_of_guest = {10, 11, 2, 3, 15, 5, 6, 7, 8, 9, k_in_memory, k_in_memory,
                                                            12, 13, 14, k_in_memory};

constexpr bool lives_in_host(unsigned guest) { return k_host_of_guest[guest] != k_in_memory; }

inline x86asm::Gp gp_of_size(unsigned host, unsigned bytes) {
    switch (bytes) {
        case 1: return x86asm::gpb_lo(host);
        case 2: return x86asm::gpw(host);
        case 4: return x86asm::gpd(host);
        default: return x86asm::gpq(host);
    }
}

inline const x86asm::Gp k_guest_rax = x86asm::r10;
inline const x86asm::Gp k_guest_rcx = x86asm::r11;
inline const x86asm::Gp k_guest_rsp = x86asm::r15;

}  // namespace skep::jit
