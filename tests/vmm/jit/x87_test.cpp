// SPDX-License-Identifier: GPL-3.0-or-later
// x87 and MMX in translated code against the interpreter.
#include <gtest/gtest.h>

#include <random>

#include "tests/vmm/jit/vector_programs.hpp"

namespace skep::test {
namespace {

using namespace asmjit::x86;

// Registers with numbers of a moderate size, some of them empty, and pointers that only the interpreter may change.
void prepare_x87(CpuHarness& cpu, uint64_t seed) {
    std::mt19937_64 random(seed);
    auto& image = cpu.state.xsave;
    for (unsigned i = 0; i < 8; ++i) {
        const uint64_t significand = random() | uint64_t{1} << 63;
        const auto exponent = static_cast<uint16_t>(0x3fff - 20 + random() % 40);
        std::memcpy(image.data() + interp::k_st_at + 16 * i, &significand, 8);
        std::memcpy(image.data() + interp::k_st_at + 16 * i + 8, &exponent, 2);
    }
    const auto put = [&](unsigned at, auto value) { std::memcpy(image.data() + at, &value, sizeof value); };
    put(interp::k_fcw_at, uint16_t{0x37f});
    put(interp::k_fsw_at, static_cast<uint16_t>(random() & interp::k_fsw_top));
    put(interp::k_ftw_at, static_cast<uint8_t>(random()));
    put(interp::k_fop_at, uint16_t{0x123});
    put(interp::k_fip_at, uint64_t{0x1234'5678'9abc});
    put(interp::k_fdp_at, uint64_t{0xcba9'8765'4321});
}

template <typename Write>
void compare_x87(const char* what, Write write) {
    compare_vector_loop(what, loop_of(assemble(write)), [](CpuHarness& cpu) { prepare_x87(cpu, 3); });
}

TEST(TranslatedX87, every_form_compares_equal) {
    constexpr unsigned k_in_one_loop = 8;
    std::mt19937_64 random(4);
    std::vector<Bytes> forms;
    for (unsigned opcode = 0xd8; opcode <= 0xdf; ++opcode) {
        for (unsigned modrm = 0xc0; modrm <= 0xff; ++modrm) {
            forms.push_back({static_cast<uint8_t>(opcode), static_cast<uint8_t>(modrm)});
        }
        for (unsigned digit = 0; digit < 8; ++digit) {
            forms.push_back({static_cast<uint8_t>(opcode), static_cast<uint8_t>(0x43 | digit << 3), 32});
        }
    }
    std::ranges::shuffle(forms, random);
    // Undefined ones would end the program, and a random environment or control word may unmask exceptions.
    CpuHarness probe;
    Engines engines;
    Bytes body;
    unsigned in_body = 0, tried = 0;
    for (const Bytes& form : forms) {
        const bool loads_control = form.size() == 3 && (form[0] == 0xd9 || form[0] == 0xdd) && (form[1] >> 3 & 7) >= 4;
        probe.state = probe.initial_state();
        probe.state.gpr[k_rbx] = CpuHarness::k_data;
        probe.run(form);
        if (loads_control || probe.state.activity != Activity::halted) {
            continue;
        }
        ++tried;
        body = body + form;
        if (++in_body < k_in_one_loop) {
            continue;
        }
        const uint64_t seed = random();
        engines.each([&](CpuHarness& cpu) {
            cpu.state = cpu.initial_state();
            prepare_vectors(cpu, seed);
            prepare_x87(cpu, seed);
            cpu.write_value<uint64_t>(k_cell, 50);
            cpu.run(loop_of(body));
        });
        engines.expect_equal("x87");
        ASSERT_EQ(engines.translated.state.activity, Activity::halted);
        ASSERT_FALSE(::testing::Test::HasFailure()) << ::testing::PrintToString(body);
        body.clear();
        in_body = 0;
    }
    EXPECT_GT(tried, 400U);
    EXPECT_LT(engines.stats().fallbacks, 2 * tried);
}

TEST(TranslatedX87, inner_loop_compares_equal) {
    compare_x87("series", [](Assembler& a) {
        const asmjit::Label again = a.newLabel();
        a.mov(ecx, 9);
        a.fld1();
        a.bind(again);
        a.fmul(qword_ptr(rbx, rcx, 3));
        a.fadd(st0, st0);
        a.fld(tword_ptr(rbx, 64));
        a.fcomip(st1);
        a.fcmovb(st1);
        a.dec(ecx);
        a.jnz(again);
        a.fnstsw(ax);
        a.fstp(qword_ptr(rbx, 32));
    });
}

// As compilers turn a number into an integer.
TEST(TranslatedX87, control_word_compares_equal) {
    compare_x87("truncation", [](Assembler& a) {
        a.fld(dword_ptr(rbx, 4));
        a.fnstcw(word_ptr(rbx, 100));
        a.movzx(eax, word_ptr(rbx, 100));
        a.or_(eax, 0xc00);
        a.mov(word_ptr(rbx, 102), ax);
        a.fldcw(word_ptr(rbx, 102));
        a.fistp(qword_ptr(rbx, 104));
        a.fldcw(word_ptr(rbx, 100));
        a.fnclex();
        a.fwait();
    });
    const Bytes unmasked = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel(), over = a.newLabel();
        a.fninit();
        a.mov(ecx, 80);
        a.bind(again);
        a.fld1();
        a.fldz();
        a.fdivp(st1);
        a.fstp(dword_ptr(rbx));
        a.dec(ecx);
        a.jnz(over);
        a.mov(dword_ptr(rbx, 8), 0x37b);
        a.fnclex();
        a.fldcw(word_ptr(rbx, 8));
        a.bind(over);
        a.fnstenv(ptr(rbx, 32));
        a.fldenv(ptr(rbx, 32));
        a.jmp(again);  // until the division by zero is #MF
    });
    compare_vector_loop("unmasked", unmasked, [](CpuHarness& cpu) { prepare_x87(cpu, 9); });
}

TEST(TranslatedX87, operands_over_a_page_boundary_and_sleep_in_between_compare_equal) {
    compare_x87("crossing", [](Assembler& a) {
        a.mov(edx, 0x11ffc);
        a.fld1();
        a.fadd(st0, st1);
        a.fst(qword_ptr(rdx));
        a.fld(qword_ptr(rdx));
        a.addps(xmm1, xmm2);
        a.add(qword_ptr(rdx, 1), rax);
        a.fstp(tword_ptr(rdx, -4));
        a.fistp(dword_ptr(rbx));
        a.fxsave(ptr(rbx, 192 + 64));
        a.mulps(xmm1, xmm3);
    });
}

TEST(TranslatedX87, mmx_compares_equal) {
    compare_x87("mmx and x87", [](Assembler& a) {
        a.movq(mm1, ptr(rbx));
        a.paddw(mm1, mm2);
        a.pmovmskb(r13d, mm1);
        a.cvtpi2ps(xmm3, mm1);
        a.movq2dq(xmm4, mm2);
        a.movd(mm5, r14d);
        a.movq(ptr(rbx, 8), mm5);
        a.emms();
        a.fld1();
        a.fstp(qword_ptr(rbx, 16));
    });
}

TEST(TranslatedX87, a_unit_that_is_taken_away_faults) {
    const Bytes code = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel(), over = a.newLabel();
        a.mov(ecx, 80);
        a.bind(again);
        a.fld1();
        a.dec(ecx);
        a.jnz(over);
        a.mov(rax, cr0);
        a.or_(eax, 8);
        a.mov(cr0, rax);
        a.bind(over);
        a.sub(rdx, rcx);
        a.fstp(qword_ptr(rbx));
        a.jmp(again);
    });
    compare_vector_loop("CR0.TS", code, [](CpuHarness& cpu) { prepare_x87(cpu, 9); });
}

}  // namespace
}  // namespace skep::test
