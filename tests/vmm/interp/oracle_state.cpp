// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/interp/oracle_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace skep::test {

namespace {

constexpr uint64_t k_arithmetic_flags = 0x8d5, k_direction = 0x400;
constexpr unsigned k_fcw = 0, k_fsw = 2, k_ftw = 4, k_mxcsr = 24, k_mxcsr_mask = 28, k_st = 32, k_xmm = 160,
                   k_header = 512, k_ymm = 576;

template <typename T>
void put(MachineState& state, unsigned at, T value) {
    std::memcpy(state.xsave.data() + at, &value, sizeof value);
}
template <typename T>
T get(const MachineState& state, unsigned at) {
    T value;
    std::memcpy(&value, state.xsave.data() + at, sizeof value);
    return value;
}

uint16_t random_exponent(Random& random) {
    static constexpr std::array<uint16_t, 8> k_exponents = {0, 1, 0x3fff, 0x4000, 0x403e, 0x7ffe, 0x7fff, 0x3ffe};
    const auto sign = static_cast<uint16_t>(random.below(2) << 15);
    return sign | (random.one_in(3) ? static_cast<uint16_t>(random.next() & 0x7fff) : k_exponents[random.below(8)]);
}

void randomise_x87(MachineState& state, Random& random) {
    const unsigned control = (random.next() & 0xf00) | 0x40;
    const unsigned masks = random.one_in(6) ? random.below(64) : 0x3f;
    put<uint16_t>(state, k_fcw, static_cast<uint16_t>(control | masks));
    unsigned status = random.next() & 0x7f00;
    if (random.one_in(4))
        status |= random.below(64);
    if ((status & ~masks & 0x3f) != 0)
        status |= 0x8080;
    put<uint16_t>(state, k_fsw, static_cast<uint16_t>(status));
    put<uint16_t>(state, k_ftw, static_cast<uint16_t>(random.one_in(2) ? 0xff : random.below(256)));
    for (unsigned i = 0; i < 8; ++i) {
        uint64_t significand = random.next() | uint64_t{1} << 63;
        if (random.one_in(3))
            significand = random.one_in(2) ? uint64_t{1} << 63 : random.next() >> random.below(64);
        put<uint64_t>(state, k_st + 16 * i, significand);
        put<uint16_t>(state, k_st + 16 * i + 8, random_exponent(random));
    }
}

void randomise_vectors(MachineState& state, Random& random) {
    const unsigned masks = random.one_in(6) ? random.next() & 0x1f80 : 0x1f80;
    put<uint32_t>(state, k_mxcsr, static_cast<uint32_t>(masks | (random.next() & 0xe07f & ~(masks == 0x1f80 ? 0u : 0x3fu))));
    put<uint32_t>(state, k_mxcsr_mask, 0xffff);
    for (unsigned at = 0; at < 256; at += 8) {
        put<uint64_t>(state, k_xmm + at, interesting_bits(random));
        put<uint64_t>(state, k_ymm + at, interesting_bits(random));
    }
    put<uint64_t>(state, k_header, 7);
}

unsigned register_number(ZydisRegister reg) { return static_cast<unsigned>(ZydisRegisterGetId(reg)) & 15; }

bool is_vector(ZydisRegister reg) {
    return ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_XMM || ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_YMM;
}

// Indexes of a gather: small, of its element size.
void tame_index_vector(MachineState& state, const Instruction& instruction, ZydisRegister index) {
    const bool wide = instruction.decoded.opcode == 0x91 || instruction.decoded.opcode == 0x93;
    const unsigned size = wide ? 8 : 4;
    for (const unsigned half : {k_xmm, k_ymm}) {
        for (unsigned at = 0; at < 16; at += size) {
            const unsigned place = half + 16 * register_number(index) + at;
            const int64_t value = static_cast<int64_t>(get<uint32_t>(state, place) % 16) - 8;
            std::memcpy(state.xsave.data() + place, &value, size);
        }
    }
}

size_t random_target(Random& random) {
    const unsigned choice = random.below(64);
    if (choice == 0)
        return NativeOracle::k_scratch_bytes - 1 - random.below(40);  // over the edge, for most operands
    if (choice < 8)
        return 4096 - random.below(40);  // over the page boundary
    const size_t at = 512 + random.below(7000);
    return choice < 40 ? at & ~size_t{63} : at;
}

// x87 registers as far as all processors agree on them: the pointers are their own business.
bool same_x87(const MachineState& a, const MachineState& b) {
    for (unsigned i = 0; i < 8; ++i) {
        if (std::memcmp(a.xsave.data() + k_st + 16 * i, b.xsave.data() + k_st + 16 * i, 10) != 0)
            return false;
    }
    return std::memcmp(a.xsave.data(), b.xsave.data(), 5) == 0;
}

void list_vector_differences(std::string& out, const MachineState& native, const MachineState& ours) {
    if (!same_x87(native, ours)) {
        out += fmt::format("\n    x87: host fcw {:04x} fsw {:04x} ftw {:02x}, ours {:04x} {:04x} {:02x}",
                           get<uint16_t>(native, k_fcw), get<uint16_t>(native, k_fsw), get<uint8_t>(native, k_ftw),
                           get<uint16_t>(ours, k_fcw), get<uint16_t>(ours, k_fsw), get<uint8_t>(ours, k_ftw));
        for (unsigned at = k_st; at < k_st + 128; at += 16) {
            if (std::memcmp(native.xsave.data() + at, ours.xsave.data() + at, 10) != 0)
                out += fmt::format("\n    st{}: host {:04x}:{:016x}, ours {:04x}:{:016x}", (at - k_st) / 16,
                                   get<uint16_t>(native, at + 8), get<uint64_t>(native, at),
                                   get<uint16_t>(ours, at + 8), get<uint64_t>(ours, at));
        }
    }
    if (get<uint32_t>(native, k_mxcsr) != get<uint32_t>(ours, k_mxcsr))
        out += fmt::format("\n    mxcsr: host {:04x}, ours {:04x}", get<uint32_t>(native, k_mxcsr),
                           get<uint32_t>(ours, k_mxcsr));
    for (unsigned at = 0; at < 256; at += 8) {
        for (const unsigned half : {k_xmm, k_ymm}) {
            if (get<uint64_t>(native, half + at) != get<uint64_t>(ours, half + at))
                out += fmt::format("\n    {}mm{}[{}]: host {:016x}, ours {:016x}", half == k_xmm ? 'x' : 'y', at / 16,
                                   at % 16, get<uint64_t>(native, half + at), get<uint64_t>(ours, half + at));
        }
    }
}

}  // namespace

uint64_t interesting_bits(Random& random) {
    static constexpr std::array<uint64_t, 24> k_values = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff,
        0x7fff'ffff'ffff'ffff, 0x8000'0000'0000'0000, ~uint64_t{0},
        0x3ff0'0000'0000'0000,  // 1.0
        0x3f80'0000'3f80'0000,  // 1.0f, 1.0f
        0x7ff0'0000'0000'0000,  // infinity
        0x7f80'0000'ff80'0000,  // both infinities, single
        0x7ff0'0000'0000'0001,  // signalling NaN
        0x7fc0'0001'7f80'0001,  // quiet and signalling NaN, single
        0x0000'0001'0000'0000,  // denormals
        0x7fef'ffff'ffff'ffff,  // largest
        0x0010'0000'0080'0000,  // smallest normal
    };
    const unsigned choice = random.below(8);
    if (choice < 3)
        return k_values[random.below(k_values.size())];
    if (choice == 3)
        return random.next() & 0x401f'ffff'401f'ffff;  // numbers near 1
    return random.next();
}

void StartState::randomise(Random& random, Registers registers) {
    for (uint64_t& value : state.gpr)
        value = interesting_bits(random);
    state.rflags = (random.next() & k_arithmetic_flags) | 0x202;
    if (registers == Registers::general)
        return;
    randomise_x87(state, random);
    randomise_vectors(state, random);
}

size_t StartState::place_operand(Random& random, const Instruction& instruction, uint64_t scratch, size_t window) {
    const auto& memory = instruction.operands[static_cast<size_t>(instruction.memory)].mem;
    const size_t target = random_target(random);
    uint64_t value = scratch + target - static_cast<uint64_t>(memory.disp.value);
    if (is_vector(memory.index))
        tame_index_vector(state, instruction, memory.index);
    else if (memory.index != ZYDIS_REGISTER_NONE)
        value -= state.gpr[register_number(memory.index)] * memory.scale;
    state.gpr[register_number(memory.base)] = value;
    if (instruction.is_bit_string() && instruction.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        const unsigned reg = register_number(instruction.operands[1].reg.value);
        state.gpr[reg] = random.one_in(2) ? state.gpr[reg] & 0xff : ~(state.gpr[reg] & 0xff);
    }
    return std::min(target & ~size_t{7}, NativeOracle::k_scratch_bytes - window / 2) - window / 2;
}

void copy_state(MachineState& to, const MachineState& from, Registers registers) {
    to.gpr = from.gpr;
    to.rflags = from.rflags;
    if (registers == Registers::all)
        to.xsave = from.xsave;
}

// Each with its reason and the date it was looked at.
bool excused(const MachineState& native, const MachineState& ours, const Instruction& instruction) {
    switch (instruction.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVDQU:
            // 2026-11: AMD processors take the page fault of bytes that the mask leaves out (SDM 2: either is allowed).
            return native.vector == 14 && ours.vector == MachineState::k_no_fault;
        case ZYDIS_MNEMONIC_DPPS: case ZYDIS_MNEMONIC_DPPD: case ZYDIS_MNEMONIC_VDPPS: case ZYDIS_MNEMONIC_VDPPD:
            // 2026-11: several operations in one, each of which may stop it: an unmasked underflow of an intermediate
            // result is not seen, and the flags of #XM may be more.
            return native.vector == 19;
        default:
            // 2026-11: AMD processors do not check the alignment of the SHA instructions' operands; SDM 2 (type 4)
            // says #GP.
            return instruction.decoded.meta.isa_ext == ZYDIS_ISA_EXT_SHA && ours.vector == 13;
    }
}

// 2026-11: with #XM for an unmasked overflow or underflow, PE tells whether the result with an unbounded exponent was
// inexact; ours tells it of the masked result.
uint32_t compared_mxcsr(const MachineState& state) {
    const auto value = get<uint32_t>(state, k_mxcsr);
    const bool range_trap = state.vector == 19 && (value & ~(value >> 7) & 0x18) != 0;
    return range_trap ? value & ~0x20u : value;
}

// Flags that the manuals leave undefined and ours do not take from the host's own instruction (looked at 2026-11).
uint64_t compared_flags(const Instruction& instruction) {
    switch (instruction.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV: return k_direction;
        default: return k_arithmetic_flags | k_direction;
    }
}

std::string compare_states(const MachineState& native, const MachineState& ours, Registers registers,
                           const Instruction& instruction) {
    const uint64_t flags = compared_flags(instruction);
    const bool same_general = native.gpr == ours.gpr && ((native.rflags ^ ours.rflags) & flags) == 0 &&
                              native.vector == ours.vector && native.error_code == ours.error_code;
    const bool same_vector =
        registers == Registers::general ||
        (same_x87(native, ours) && compared_mxcsr(native) == compared_mxcsr(ours) &&
         std::memcmp(native.xsave.data() + k_xmm, ours.xsave.data() + k_xmm, 256) == 0 &&
         std::memcmp(native.xsave.data() + k_ymm, ours.xsave.data() + k_ymm, 256) == 0);
    if ((same_general && same_vector) || excused(native, ours, instruction)) [[likely]]
        return {};
    std::string out;
    for (unsigned i = 0; i < 16; ++i) {
        if (native.gpr[i] != ours.gpr[i])
            out += fmt::format("\n    gpr[{}]: host {:016x}, ours {:016x}", i, native.gpr[i], ours.gpr[i]);
    }
    if (((native.rflags ^ ours.rflags) & flags) != 0)
        out += fmt::format("\n    rflags: host {:03x}, ours {:03x}", native.rflags & flags,
                           ours.rflags & flags);
    if (native.vector != ours.vector || native.error_code != ours.error_code)
        out += fmt::format("\n    fault: host {} ({:x}), ours {} ({:x})", native.vector, native.error_code, ours.vector,
                           ours.error_code);
    if (registers == Registers::all)
        list_vector_differences(out, native, ours);
    return out;
}

std::string describe_start(const MachineState& start, const Instruction& instruction) {
    std::string out = fmt::format("rflags {:03x} mxcsr {:04x} fcw {:04x} fsw {:04x} ftw {:02x}", start.rflags,
                                  get<uint32_t>(start, k_mxcsr), get<uint16_t>(start, k_fcw),
                                  get<uint16_t>(start, k_fsw), get<uint8_t>(start, k_ftw));
    for (unsigned i = 0; i < instruction.decoded.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        const unsigned number = register_number(operand.reg.value);
        if (is_vector(operand.reg.value))
            out += fmt::format("\n        {}: {:016x} {:016x}", ZydisRegisterGetString(operand.reg.value),
                               get<uint64_t>(start, k_xmm + 16 * number + 8), get<uint64_t>(start, k_xmm + 16 * number));
        else if (ZydisRegisterGetClass(operand.reg.value) <= ZYDIS_REGCLASS_GPR64)
            out += fmt::format("\n        {}: {:016x}", ZydisRegisterGetString(operand.reg.value), start.gpr[number]);
    }
    return out;
}

}  // namespace skep::test
