// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/decode_memo.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace skep::interp {
namespace {

constexpr uint8_t k_modrm = 1, k_imm8 = 2, k_imm32 = 4, k_target8 = 8, k_target32 = 16, k_other = 0x80;

// The one-byte opcode map in 64-bit mode, without far, I/O and 64-bit immediate forms.
constexpr std::array<uint8_t, 256> make_one_byte_map() {
    std::array<uint8_t, 256> map{};
    map.fill(k_other);
    for (unsigned row = 0x00; row < 0x40; row += 8) {
        map[row] = map[row + 1] = map[row + 2] = map[row + 3] = k_modrm;
        map[row + 4] = k_imm8;
        map[row + 5] = k_imm32;
    }
    for (unsigned op = 0x50; op < 0x60; ++op) {
        map[op] = 0;  // PUSH, POP
    }
    map[0x63] = k_modrm;
    map[0x68] = k_imm32;
    map[0x69] = k_modrm | k_imm32;
    map[0x6a] = k_imm8;
    map[0x6b] = k_modrm | k_imm8;
    for (unsigned op = 0x70; op < 0x80; ++op) {
        map[op] = k_target8;
    }
    map[0x80] = map[0x83] = k_modrm | k_imm8;
    map[0x81] = k_modrm | k_imm32;
    for (unsigned op = 0x84; op < 0x90; ++op) {
        map[op] = k_modrm;
    }
    for (unsigned op = 0x90; op < 0x9a; ++op) {
        map[op] = 0;
    }
    map[0x9c] = map[0x9d] = 0;
    for (unsigned op = 0xa4; op < 0xb0; ++op) {
        map[op] = 0;
    }
    map[0xa8] = k_imm8;
    map[0xa9] = k_imm32;
    for (unsigned op = 0xb0; op < 0xb8; ++op) {
        map[op] = k_imm8;
        map[op + 8] = k_imm32;
    }
    map[0xc0] = map[0xc1] = k_modrm | k_imm8;
    map[0xc3] = map[0xc9] = map[0xcc] = 0;
    map[0xc6] = k_modrm | k_imm8;
    map[0xc7] = k_modrm | k_imm32;
    map[0xd0] = map[0xd1] = map[0xd2] = map[0xd3] = k_modrm;
    map[0xe8] = map[0xe9] = k_target32;
    map[0xeb] = k_target8;
    map[0xf6] = map[0xf7] = map[0xfe] = map[0xff] = k_modrm;
    return map;
}
constexpr auto k_one_byte_map = make_one_byte_map();

uint8_t two_byte_form(uint8_t op) {
    if (op >= 0x80 && op < 0x90) {
        return k_target32;
    }
    if ((op >= 0x10 && op < 0x30) || (op >= 0x40 && op < 0x70) || (op >= 0x90 && op < 0xa0) || (op >= 0xb0 && op < 0xc0)) {
        return op == 0xba ? k_modrm | k_imm8 : k_modrm;
    }
    if (op >= 0xc8 && op < 0xd0) {
        return 0;  // BSWAP
    }
    return op == 0x0d || op == 0xaf || op == 0xa3 || op == 0xab || op == 0xc0 || op == 0xc1 ? k_modrm : k_other;
}

// ModRM, SIB and displacement.
unsigned operand_bytes(const uint8_t* modrm) {
    const unsigned mod = *modrm >> 6, rm = *modrm & 7;
    if (mod == 3) {
        return 1;
    }
    const bool has_sib = rm == 4;
    const bool is_absolute = mod == 0 && (rm == 5 || (has_sib && (modrm[1] & 7) == 5));
    const unsigned displacement = is_absolute || mod == 2 ? 4 : mod;
    return 1 + (has_sib ? 1 : 0) + displacement;
}

}  // namespace

InstructionShape guess_shape(const std::array<uint8_t, 16>& bytes) {
    unsigned at = 0;
    bool narrow = false;
    while (at < 3 && (bytes[at] == 0x66 || bytes[at] == 0x65 || bytes[at] == 0x64 || bytes[at] == 0xf3 || bytes[at] == 0xf2 ||
                      bytes[at] == 0xf0 || bytes[at] == 0x2e || bytes[at] == 0x3e)) {
        narrow = narrow || bytes[at] == 0x66;
        ++at;
    }
    const bool has_rex = (bytes[at] & 0xf0) == 0x40;
    const bool wide = has_rex && (bytes[at] & 8) != 0;
    at += has_rex ? 1 : 0;
    const bool is_plain = at == 0;
    const uint8_t op = bytes[at++];
    const uint8_t form = op == 0x0f ? two_byte_form(bytes[at++]) : k_one_byte_map[op];
    const bool has_target = (form & (k_target8 | k_target32)) != 0;
    const bool takes_wide = op >= 0xb8 && op < 0xc0 && wide;  // MOV r64, imm64
    if (form == k_other || takes_wide || (has_target && !is_plain)) {
        return {};
    }
    if (has_target) {
        const uint8_t target = (form & k_target8) != 0 ? 1 : 4;
        return {.length = static_cast<uint8_t>(at + target), .target = target};
    }
    unsigned length = at + ((form & k_modrm) != 0 ? operand_bytes(&bytes[at]) : 0);
    if ((op == 0xf6 || op == 0xf7) && (bytes[at] & 0x30) == 0) {  // TEST
        length += op == 0xf6 ? 1 : narrow ? 2 : 4;
    }
    length += (form & k_imm8) != 0 ? 1 : 0;
    length += (form & k_imm32) == 0 ? 0 : narrow ? 2 : 4;
    return {.length = static_cast<uint8_t>(length <= k_longest_instruction ? length : 0)};
}

DecodeMemo::Key DecodeMemo::key_of(std::span<const std::byte> bytes, unsigned mode) {
    std::array<uint8_t, 16> first{};
    if (bytes.size() >= first.size()) {
        std::memcpy(first.data(), bytes.data(), first.size());
    } else {
        std::memcpy(first.data(), bytes.data(), bytes.size());
    }
    const InstructionShape shape = guess_shape(first);
    if (shape.length == 0 || shape.length > bytes.size()) {
        return {};
    }
    Key key{.length = shape.length, .target = shape.target, .mode = static_cast<uint8_t>(mode)};
    std::memcpy(&key.low, first.data(), 8);
    std::memcpy(&key.high, first.data() + 8, 8);
    const unsigned bits = 8U * (shape.length - shape.target);
    key.low &= bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    key.high &= bits <= 64 ? 0 : (uint64_t{1} << (bits - 64)) - 1;
    return key;
}

size_t DecodeMemo::index_of(const Key& key) {
    const uint64_t mixed = (key.low ^ key.high * 0xff51'afd7'ed55'8ccd ^ uint64_t{key.mode} << 56) * 0x9e37'79b9'7f4a'7c15;
    return mixed >> 51;
}

std::optional<Decoded> DecodeMemo::find(std::span<const std::byte> bytes, unsigned mode, uint16_t offset) const {
    const Key key = key_of(bytes, mode);
    const Entry& entry = m_entries[index_of(key)];
    if (key.length == 0 || entry.key != key) {
        return std::nullopt;
    }
    Decoded found = entry.decoded;
    Op& op = found.op;
    op.offset = offset;
    if ((op.flags & k_op_rip_relative) != 0) {
        const int64_t displacement = int64_t{op.displacement} + offset;
        if (displacement > std::numeric_limits<int32_t>::max()) {
            return std::nullopt;
        }
        op.displacement = static_cast<int32_t>(displacement);
    }
    if (found.flow == Flow::branch && op.extra != 0) {
        op.extra = static_cast<uint16_t>(offset + op.length);
    }
    if (key.target != 0) {
        int32_t distance = static_cast<int8_t>(bytes[key.length - 1U]);
        if (key.target == sizeof distance) {
            std::memcpy(&distance, &bytes[key.length - sizeof distance], sizeof distance);
        }
        op.immediate = static_cast<uint64_t>(int64_t{distance}) + op.extra;
    }
    return found;
}

void DecodeMemo::insert(std::span<const std::byte> bytes, unsigned mode, const Decoded& decoded, bool is_relative_branch) {
    const Key key = key_of(bytes, mode);
    const Op& op = decoded.op;
    // Of branches: what comes behind them in the block (control.cpp), or nothing.
    const bool has_end = decoded.flow == Flow::branch && op.extra == op.offset + op.length;
    const bool is_known = decoded.flow != Flow::branch || has_end || op.extra == 0;
    if (key.length == 0 || key.length != op.length || is_relative_branch != (key.target != 0) ||
        (op.flags & k_op_far_displacement) != 0 || !is_known) {
        return;
    }
    Entry& entry = m_entries[index_of(key)];
    entry = {key, decoded};
    if ((op.flags & k_op_rip_relative) != 0) {
        entry.decoded.op.displacement -= op.offset;
    }
    if (has_end) {
        entry.decoded.op.extra = op.length;
    }
}

}  // namespace skep::interp
