// SPDX-License-Identifier: GPL-3.0-or-later
// DAA DAS AAA AAS AAM AAD (SDM 2); the host cannot run them in 64-bit mode, so they are spelled out.
#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"

namespace skep::interp {
namespace {

constexpr RegisterOffset k_al = k_rax * 8;
constexpr RegisterOffset k_ah = k_rax * 8 + 1;

// SF, ZF and PF of the result, CF and AF as given, OF cleared.
void set_decimal_flags(Core& core, uint8_t result, bool carry, bool adjust) {
    Test::apply(core.status, result, result);
    core.status = static_cast<uint16_t>((core.status & ~(k_status_cf | k_status_af)) | (carry ? k_status_cf : 0) |
                                        (adjust ? k_status_af : 0));
}

template <bool subtract>
void adjust_packed(Core& core, const Op*) {
    const auto old = read_reg<uint8_t>(core, k_al);
    const bool old_carry = carry_flag(core);
    const bool low = (old & 0xf) > 9 || (core.status & k_status_af) != 0;
    const bool high = old > 0x99 || old_carry;
    const unsigned correction = (low ? 6U : 0U) + (high ? 0x60U : 0U);
    const auto result = static_cast<uint8_t>(subtract ? old - correction : old + correction);
    // DAS also reports the borrow of its first step; the carry of DAA's is covered by `high`.
    const bool carry = high || (subtract && low && old < 6);
    write_reg<uint8_t>(core, k_al, result);
    set_decimal_flags(core, result, carry, low);
}

template <bool subtract>
void adjust_unpacked(Core& core, const Op*) {
    const auto old = read_reg<uint16_t>(core, k_al);
    const bool adjust = (old & 0xf) > 9 || (core.status & k_status_af) != 0;
    const unsigned step = adjust ? 0x106U : 0U;
    const auto ax = static_cast<uint16_t>(subtract ? old - step : old + step);
    const auto al = static_cast<uint8_t>(ax & 0xf);
    write_reg<uint16_t>(core, k_al, static_cast<uint16_t>((ax & 0xff00) | al));
    set_decimal_flags(core, al, adjust, adjust);
}

void split_digits(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const auto base = static_cast<uint8_t>(op->immediate);
    if (base == 0) {
        raise(k_de);
    }
    const auto al = read_reg<uint8_t>(core, k_al);
    write_reg<uint8_t>(core, k_ah, al / base);
    write_reg<uint8_t>(core, k_al, al % base);
    set_decimal_flags(core, al % base, false, false);
}
void join_digits(Core& core, const Op* op) {
    const auto base = static_cast<uint8_t>(op->immediate);
    const auto al = static_cast<uint8_t>(read_reg<uint8_t>(core, k_al) + read_reg<uint8_t>(core, k_ah) * base);
    write_reg<uint16_t>(core, k_al, al);
    set_decimal_flags(core, al, false, false);
}

}  // namespace

bool build_decimal(const Source& from, Decoded& to) {
    Op& op = to.op;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_DAA: op.run = run_then_next<adjust_packed<false>>; return true;
        case ZYDIS_MNEMONIC_DAS: op.run = run_then_next<adjust_packed<true>>; return true;
        case ZYDIS_MNEMONIC_AAA: op.run = run_then_next<adjust_unpacked<false>>; return true;
        case ZYDIS_MNEMONIC_AAS: op.run = run_then_next<adjust_unpacked<true>>; return true;
        case ZYDIS_MNEMONIC_AAM: op.run = run_then_next<split_digits>; return true;
        case ZYDIS_MNEMONIC_AAD: op.run = run_then_next<join_digits>; return true;
        default: return false;
    }
}

}  // namespace skep::interp
