// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/generator.hpp"

#include <cstring>

#include "tests/vmm/interp/oracle_state.hpp"
#include "tests/vmm/jit/lockstep/segments.hpp"

namespace skep::lockstep {
namespace {

constexpr uint64_t k_page = 4096;

Style make_style(Random& random, const Case& one, Events events) {
    Style style;
    style.code64 = one.program.code64;
    style.user = one.user;
    style.window = one.window();
    style.other_window = one.base + (one.user ? k_supervisor_window : k_user_window);
    uint32_t left = (style.code64 ? 0xffff : 0xff) & ~0x10U;  // all but RSP
    const auto take = [&](uint32_t preferred) {
        const uint32_t from = (left & preferred) != 0 && !random.one_in(4) ? left & preferred : left;
        unsigned reg = 0;
        do {
            reg = random.below(style.registers());
        } while ((from >> reg & 1) == 0);
        left &= ~(1U << reg);
        return reg;
    };
    // Compilers keep pointers in RBX RBP RSI RDI R12..; the counter and the small number may be anywhere.
    const unsigned pointers = style.code64 ? 2 + random.below(4) : 2;
    for (unsigned i = 0; i < pointers; ++i) {
        style.pointers |= 1U << take(0xf3e8);
    }
    style.counter = take(0xffff);
    style.index = take(0xffff);
    style.free = left;
    style.single_steps = random.one_in(16);
    style.no_undefined_flags = style.single_steps || one.absent_code_page != 0 || events == Events::anywhere;
    style.table_loops = one.seed % 4 == 0;
    const unsigned flavour = random.below(8);
    style.vector_share = flavour < 3 ? 0 : flavour < 5 ? 100 : 25;
    style.x87_share = flavour == 5 ? 90 : flavour < 3 ? 0 : 8;
    style.pool_share = flavour == 6 ? 120 : flavour == 0 ? 0 : 20;
    style.string_share = flavour == 7 ? 12 : 3;
    return style;
}

void put(CpuState& state, unsigned at, uint64_t value, unsigned bytes) { std::memcpy(state.xsave.data() + at, &value, bytes); }

void randomise_vectors(Random& random, CpuState& state) {
    constexpr unsigned k_fcw = 0, k_ftw = 4, k_mxcsr = 24, k_mxcsr_mask = 28, k_st = 32, k_xmm = 160, k_header = 512, k_ymm = 576;
    put(state, k_fcw, random.one_in(6) ? 0x340 | random.below(64) : 0x37f, 2);
    put(state, k_ftw, random.one_in(2) ? 0 : random.below(256), 1);
    put(state, k_mxcsr, random.one_in(6) ? random.next() & 0xffc0 : 0x1f80, 4);
    put(state, k_mxcsr_mask, 0xffff, 4);
    for (unsigned i = 0; i < 8; ++i) {
        put(state, k_st + 16 * i, test::interesting_bits(random) | uint64_t{1} << 63, 8);
        put(state, k_st + 16 * i + 8, 0x3fff + random.below(3), 2);
    }
    for (unsigned at = 0; at < 256; at += 8) {
        put(state, k_xmm + at, test::interesting_bits(random), 8);
        put(state, k_ymm + at, random.one_in(3) ? 0 : test::interesting_bits(random), 8);
    }
    put(state, k_header, 7, 8);
}

void randomise_state(Random& random, Case& one) {
    constexpr uint64_t k_am = 0x4'0000, k_wp = 0x1'0000, k_smep = 0x10'0000, k_smap = 0x20'0000, k_umip = 0x800, k_ac = 0x4'0000;
    CpuState& state = one.start;
    for (unsigned i = 0; i < 16; ++i) {
        if (i != k_rsp) {
            state.gpr[i] = test::interesting_bits(random);
        }
    }
    state.cr4 |= random.one_in(4) ? k_smep : 0;
    state.cr4 |= random.one_in(4) ? k_smap : 0;
    state.cr4 |= random.one_in(8) ? k_umip : 0;
    if (random.one_in(8)) {
        state.cr0 |= k_am;
        state.rflags |= random.one_in(2) ? k_ac : 0;
    }
    if (random.one_in(12)) {
        state.cr0 &= ~k_wp;
    }
    if (random.one_in(20)) {
        state.cr0 |= 8;  // TS
    }
    if (one.user && random.one_in(2)) {
        state.rflags |= 0x3000;  // IOPL 3
    }
    for (const SegmentRegister segment : {k_fs, k_gs}) {
        state.segment[segment].base = (one.program.code64 ? one.window() : one.user ? k_user_window : k_supervisor_window) +
                                      k_data + random.below(2) * k_page + random.below(3000);
    }
    state.msr.kernel_gs_base = one.window() + k_data + random.below(4000);
    randomise_vectors(random, state);
}

}  // namespace

Generator::Generator(uint64_t seed, const Pool& pool) : m_random(seed), m_pool(pool), m_seed(seed) {}

Case Generator::make(Events events) {
    Case one;
    one.seed = m_seed;
    one.program.code64 = !m_random.one_in(4);
    one.user = m_random.one_in(2);
    one.base = one.program.code64 && m_random.one_in(2) ? k_bases[1 + m_random.below(2)] : 0;
    one.start = initial_state(one.program.code64, one.user);
    one.own_stack = !m_random.one_in(3);
    one.code_offset = m_random.one_in(2) ? m_random.below(k_page) : m_random.below(0x40) * 16;
    one.rounds = 1 + m_random.below(6);
    one.budget = 48;
    one.absent_code_page = m_random.one_in(10) ? 1 + m_random.below(2) : 0;
    for (size_t at = 0; at < one.round_values.size(); at += 8) {
        const uint64_t value = test::interesting_bits(m_random);
        std::memcpy(one.round_values.data() + at, &value, 8);
    }
    randomise_state(m_random, one);
    const Style style = make_style(m_random, one, events);
    one.blocks = Segments(m_random, style, m_pool, one.program).write(2 + m_random.below(8));
    return one;
}

}  // namespace skep::lockstep
