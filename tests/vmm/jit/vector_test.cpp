// SPDX-License-Identifier: GPL-3.0-or-later
// SSE and AVX in translated code: every encodable form against the interpreter, and what happens around them.
#include <gtest/gtest.h>

#include <Zydis/Zydis.h>

#include <random>

#include "tests/vmm/jit/vector_programs.hpp"
#include "vmm/interp/vector_state.hpp"
#include "vmm/jit/region.hpp"
#include "vmm/jit/units.hpp"

namespace skep::test {
namespace {

using namespace asmjit::x86;

// --- every form ----------------------------------------------------------------------------------------------------------

// One encoding: prefix, map, opcode.
struct Form {
    bool vex = false, wide = false, long_vector = false;
    uint8_t prefix = 0;  // 0..3: none, 66, F3, F2
    uint8_t map = 1;     // 1..3: 0F, 0F38, 0F3A
    uint8_t opcode = 0;
};

Bytes encode(const Form& form, std::mt19937_64& random) {
    constexpr uint8_t k_prefixes[] = {0, 0x66, 0xf3, 0xf2};
    const auto bits = static_cast<uint32_t>(random());
    const bool memory = (bits & 1) != 0, r = (bits & 2) != 0, b = !memory && (bits & 4) != 0;
    Bytes out;
    if (form.vex) {
        out.push_back(0xc4);
        out.push_back(static_cast<uint8_t>((r ? 0 : 0x80) | 0x40 | (b ? 0 : 0x20) | form.map));
        const unsigned vvvv = (bits & 0x8000) != 0 ? 0xf : bits >> 16 & 0xf;
        out.push_back(static_cast<uint8_t>((form.wide ? 0x80 : 0) | vvvv << 3 | (form.long_vector ? 4 : 0) | form.prefix));
    } else {
        if (form.prefix != 0) {
            out.push_back(k_prefixes[form.prefix]);
        }
        out.push_back(static_cast<uint8_t>(0x40 | (form.wide ? 8 : 0) | (r ? 4 : 0) | (b ? 1 : 0)));
        out.push_back(0x0f);
        if (form.map != 1) {
            out.push_back(form.map == 2 ? 0x38 : 0x3a);
        }
    }
    out.push_back(form.opcode);
    const unsigned reg = bits >> 20 & 7;
    if (memory) {
        out.push_back(static_cast<uint8_t>(0x43 | reg << 3));  // [rbx + disp8], aligned
        out.push_back(static_cast<uint8_t>((bits >> 24 & 3) * 32));
    } else {
        out.push_back(static_cast<uint8_t>(0xc0 | reg << 3 | (bits >> 24 & 7)));
    }
    out.push_back(static_cast<uint8_t>(bits >> 8));  // an immediate, if there is one
    return out;
}

// The instruction at the start of the bytes; length 0 when it is none, or not one of the units.
jit::GuestInstruction decode(const Bytes& bytes) {
    static const ZydisDecoder decoder = [] {
        ZydisDecoder fresh;
        ZydisDecoderInit(&fresh, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        return fresh;
    }();
    jit::GuestInstruction one;
    one.decoded.length = 0;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &one.decoded, one.operands.data()))) {
        one.decoded.length = 0;
        return one;
    }
    one.units = jit::unit_use(one);
    return one;
}

// The base register of the operands, the stack pointer, and MXCSR that a random word would unmask must stay.
bool harmless(const jit::GuestInstruction& one) {
    if (one.decoded.mnemonic == ZYDIS_MNEMONIC_LDMXCSR || one.decoded.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR) {
        return false;
    }
    for (unsigned i = 0; i < one.decoded.operand_count; ++i) {
        if (one.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            (one.operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
            const int number = jit::guest_number(one.operands[i].reg.value);
            if (number == k_rbx || number == k_rsp) {
                return false;
            }
        }
    }
    return true;
}

Bytes instance_of(const Form& form, std::mt19937_64& random) {
    constexpr unsigned k_attempts = 24;  // until a mix of register and memory, group and vvvv is one
    for (unsigned attempt = 0; attempt < k_attempts; ++attempt) {
        Bytes bytes = encode(form, random);
        const jit::GuestInstruction one = decode(bytes);
        if (one.decoded.length != 0 && one.units.any() && harmless(one)) {
            bytes.resize(one.decoded.length);
            return bytes;
        }
    }
    return {};
}

std::vector<Form> all_forms() {
    std::vector<Form> forms;
    for (unsigned kind = 0; kind < 6; ++kind) {  // legacy W0, W1; VEX W0, W1 of 128 bits, of 256 bits
        for (uint8_t prefix = 0; prefix < 4; ++prefix) {
            for (uint8_t map = 1; map <= 3; ++map) {
                for (unsigned opcode = 0; opcode < 256; ++opcode) {
                    if (map == 1 && (opcode == 0x38 || opcode == 0x3a)) {
                        continue;  // the way into the other maps
                    }
                    forms.push_back({.vex = kind >= 2,
                                     .wide = kind % 2 != 0,
                                     .long_vector = kind >= 4,
                                     .prefix = prefix,
                                     .map = map,
                                     .opcode = static_cast<uint8_t>(opcode)});
                }
            }
        }
    }
    return forms;
}

void run_piece(Engines& engines, const Bytes& body, uint64_t seed) {
    engines.each([&](CpuHarness& cpu) {
        cpu.state = cpu.initial_state();
        prepare_vectors(cpu, seed);
        cpu.write_value<uint64_t>(k_cell, 50);
        cpu.run(loop_of(body));
    });
}

TEST(TranslatedVectors, every_form_compares_equal) {
    constexpr unsigned k_in_one_loop = 12;
    std::mt19937_64 random(20);
    Engines engines;
    Bytes body;
    std::string text;
    unsigned in_body = 0, tried = 0;
    for (const Form& form : all_forms()) {
        const Bytes one = instance_of(form, random);
        if (one.empty()) {
            continue;
        }
        ++tried;
        body = body + one;
        for (const uint8_t byte : one) {
            text += "0123456789abcdef"[byte >> 4];
            text += "0123456789abcdef"[byte & 15];
        }
        text += ' ';
        if (++in_body == k_in_one_loop) {
            run_piece(engines, body, random());
            engines.expect_equal(text.c_str());
            ASSERT_EQ(engines.translated.state.activity, Activity::halted) << text;
            ASSERT_FALSE(::testing::Test::HasFailure());
            body.clear();
            text.clear();
            in_body = 0;
        }
    }
    EXPECT_GT(tried, 1000U);
    // PUSHFQ, POPFQ, HLT and the loop around them, but hardly any of the instructions above.
    EXPECT_LT(engines.stats().fallbacks, tried);
}

// --- around them ---------------------------------------------------------------------------------------------------------

TEST(TranslatedVectors, flags_before_and_after_are_the_guests) {
    compare_vectors("dirty flags over the first vector instruction", [](Assembler& a) {
        a.add(rax, rdx);
        a.paddd(xmm1, xmm2);
        a.adc(rsi, rdi);
    });
    compare_vectors("comparison and branch", [](Assembler& a) {
        const asmjit::Label less = a.newLabel();
        a.addss(xmm1, xmm3);
        a.ucomiss(xmm1, xmm2);
        a.jb(less);
        a.inc(r14);
        a.bind(less);
        a.ptest(xmm1, xmm4);
        a.setc(al);
    });
    compare_vectors("flags kept over a load", [](Assembler& a) {
        a.sub(r8, r9);
        a.movups(xmm5, ptr(rbx, 3));
        a.cmovc(r10, rdx);
        a.movsd(ptr(rbx, 40), xmm5);
        a.adc(r13, 0);
    });
}

TEST(TranslatedVectors, inner_loop_of_vector_code_compares_equal) {
    compare_vectors("dot product", [](Assembler& a) {
        const asmjit::Label again = a.newLabel();
        a.mov(ecx, 9);
        a.vxorps(ymm0, ymm0, ymm0);
        a.bind(again);
        a.vmovups(ymm1, ptr(rbx, rcx, 3));
        a.vfmadd231ps(ymm0, ymm1, ptr(rbx));
        a.dec(ecx);
        a.jnz(again);
        a.vextractf128(xmm2, ymm0, 1);
        a.vaddps(xmm0, xmm0, xmm2);
        a.vmovss(ptr(rbx, 200), xmm0);
        a.vzeroupper();
        a.mulss(xmm0, xmm3);
    });
}

// The interpreter runs something in between: the registers go to sleep and wake up.
TEST(TranslatedVectors, interpreted_instructions_in_between_compare_equal) {
    compare_vectors("pushfq", [](Assembler& a) {
        a.addps(xmm1, xmm2);
        a.pushfq();
        a.subps(xmm1, xmm3);
        a.pop(rdx);
        a.movaps(ptr(rbx), xmm1);
    });
    compare_vectors("a general instruction on a page boundary", [](Assembler& a) {
        a.mulps(xmm1, xmm2);
        a.add(qword_ptr(0x11ffd), rax);
        a.addps(xmm1, ptr(rbx, 16));
    });
}

TEST(TranslatedVectors, operands_over_a_page_boundary_compare_equal) {
    compare_vectors("crossing", [](Assembler& a) {
        a.mov(edx, 0x11ff8);
        a.vmovups(ptr(rdx), ymm3);
        a.vaddps(ymm4, ymm3, ptr(rdx, 3));
        a.movups(ptr(rdx, -1), xmm4);
        a.movsd(xmm5, ptr(rdx, 5));
        a.vmaskmovps(ptr(rdx), ymm5, ymm3);
    });
}

TEST(TranslatedVectors, misaligned_operand_is_a_protection_fault) {
    // RBX loses its alignment after 60 rounds.
    const Bytes code = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel(), aligned = a.newLabel();
        a.mov(ecx, 60);
        a.bind(again);
        a.add(rax, rcx);
        a.paddd(xmm1, ptr(rbx));
        a.dec(ecx);
        a.jnz(aligned);
        a.add(rbx, 8);
        a.bind(aligned);
        a.jmp(again);
    });
    compare_vector_loop("addition", code, [](CpuHarness&) {});
    const Bytes store = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel();
        a.bind(again);
        a.vpaddd(ymm1, ymm1, ymm2);
        a.vmovaps(ptr(rbx), ymm1);
        a.add(rbp, 1);
        a.mov(edx, 16);
        a.mov(ecx, 0);
        a.cmp(rbp, 70);
        a.cmovne(edx, ecx);
        a.add(rbx, rdx);
        a.jmp(again);
    });
    compare_vector_loop("store", store, [](CpuHarness& cpu) { cpu.state.gpr[k_rbp] = 0; });
}

// MXCSR is written in the loop: its flags are sticky, its rounding is obeyed, and unmasked exceptions are the guest's.
TEST(TranslatedVectors, mxcsr_compares_equal) {
    compare_vectors("flags", [](Assembler& a) {
        a.divps(xmm1, xmm2);
        a.stmxcsr(ptr(rbx, 4));
        a.mov(edx, ptr(rbx, 4));
        a.xor_(edx, 0x2000);
        a.mov(ptr(rbx, 8), edx);
        a.ldmxcsr(ptr(rbx, 8));
        a.cvtps2dq(xmm3, xmm1);
        a.sqrtps(xmm4, xmm4);
    });
    const Bytes unmasked = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel(), over = a.newLabel();
        a.mov(ecx, 100);
        a.bind(again);
        a.addps(xmm1, xmm2);
        a.dec(ecx);
        a.jnz(over);
        a.mov(dword_ptr(rbx), 0x1f00);
        a.ldmxcsr(ptr(rbx));
        a.bind(over);
        a.mulps(xmm3, xmm4);
        a.movd(r8d, xmm3);
        a.cmp(ecx, -50);
        a.jg(again);
        a.xorps(xmm5, xmm5);
        a.divps(xmm1, xmm5);
        a.rsqrtps(xmm6, xmm5);
        a.mov(dword_ptr(rbx), 0x1d00);
        a.ldmxcsr(ptr(rbx));
        a.divps(xmm2, xmm5);  // #XM
    });
    compare_vector_loop("unmasked", unmasked, [](CpuHarness&) {});
    const Bytes reserved = assemble([](Assembler& a) {
        const asmjit::Label again = a.newLabel();
        a.mov(dword_ptr(rbx), 0x1f80);
        a.bind(again);
        a.addps(xmm1, xmm2);
        a.add(dword_ptr(rbx), 0x100'0000);
        a.shl(dword_ptr(rbx), 1);
        a.shr(dword_ptr(rbx), 1);
        a.add(rbp, 1);
        a.cmp(rbp, 80);
        a.jg(again);
        a.and_(dword_ptr(rbx), 0xffff);
        a.ldmxcsr(ptr(rbx));
        a.cmp(rbp, 70);
        a.jl(again);
        a.mov(dword_ptr(rbx), 0x11f80);
        a.ldmxcsr(ptr(rbx));  // #GP
        a.jmp(again);
    });
    compare_vector_loop("reserved bits", reserved, [](CpuHarness& cpu) { cpu.state.gpr[k_rbp] = 0; });
}

// In the hot loop the units are taken away: what comes next is #NM or #UD, whether live or not.
TEST(TranslatedVectors, a_unit_that_is_taken_away_faults) {
    const auto taking = [](auto take) {
        return assemble([&](Assembler& a) {
            const asmjit::Label again = a.newLabel(), over = a.newLabel();
            a.mov(ecx, 100);
            a.bind(again);
            a.vaddps(ymm1, ymm1, ymm2);
            a.dec(ecx);
            a.jnz(over);
            take(a);
            a.bind(over);
            a.sub(rdx, rcx);
            a.vsubps(ymm3, ymm3, ymm2);
            a.jmp(again);
        });
    };
    const auto nothing = [](CpuHarness&) {};
    compare_vector_loop("CR0.TS", taking([](Assembler& a) {
                            a.mov(rax, cr0);
                            a.or_(eax, 8);
                            a.mov(cr0, rax);
                        }),
                        nothing);
    compare_vector_loop("CR4.OSXSAVE", taking([](Assembler& a) {
                            a.mov(rax, cr4);
                            a.and_(eax, ~0x40000);
                            a.mov(cr4, rax);
                        }),
                        nothing);
    compare_vector_loop("XCR0.AVX", taking([](Assembler& a) {
                            a.mov(eax, 3);
                            a.xor_(ecx, ecx);
                            a.xor_(edx, edx);
                            a.xsetbv();
                        }),
                        nothing);
}

TEST(TranslatedVectors, sse_without_avx_compares_equal) {
    const Bytes code = loop_of(assemble([](Assembler& a) {
        a.addps(xmm1, xmm2);
        a.movups(ptr(rbx), xmm1);
    }));
    compare_vector_loop("no OSXSAVE", code, [](CpuHarness& cpu) { cpu.state.cr4 &= ~interp::k_cr4_osxsave; });
}

}  // namespace
}  // namespace skep::test
