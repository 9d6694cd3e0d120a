// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as guest instructions, in any mode, through the interpreter's decoder, from each byte on.
// Whatever comes out must be safe to run: register offsets inside the register file, sizes that exist, never a byte that
// was not given. And an instruction is the same whatever lies behind it, so that one which goes on in the next page is
// found not to be there as a whole, and nothing else. What was decoded before comes out as if it were decoded anew.
//
// The input is {mode:1, offset in its block:1, code}; mode as DecodeMode::key().
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "vmm/interp/decode.hpp"

namespace skep::interp {
namespace {

constexpr size_t k_header = 2;

DecodeMode make_mode(unsigned key) {
    DecodeMode mode{.code64 = (key & 1) != 0,
                    .code32 = (key & 2) != 0,
                    .stack64 = (key & 4) != 0,
                    .stack32 = (key & 8) != 0,
                    .protected_mode = (key & 16) != 0,
                    .v86 = (key & 32) != 0,
                    .flat = (key & 64) != 0};
    // as a processor has them
    mode.v86 = mode.v86 && mode.protected_mode && !mode.code64;
    mode.code32 = mode.code32 && !mode.code64 && !mode.v86;
    mode.stack64 = mode.code64;
    mode.flat = mode.flat && mode.code32 && mode.protected_mode;
    return mode;
}

void require(bool condition) {
    if (!condition) {
        std::abort();
    }
}

// The general registers, the one that is zero, and the block's RIP.
bool is_register(unsigned offset) { return offset < 18 * 8; }

void check(const Decoded& decoded, size_t available) {
    const Op& op = decoded.op;
    if (!decoded.complete) {
        require(available < k_longest_instruction);
        return;
    }
    require(op.run != nullptr);
    require(op.length >= 1 && op.length <= k_longest_instruction);
    require(op.length <= available || decoded.flow == Flow::ends_block);
    require(is_register(op.reg) && is_register(op.rm) && is_register(op.base) && is_register(op.index));
    require(op.scale <= 3 && op.segment < 6);
    require(op.address_size == 2 || op.address_size == 4 || op.address_size == 8);
}

bool same(const Op& a, const Op& b) {
    return a.run == b.run && a.plain == b.plain && a.data == b.data && a.immediate == b.immediate &&
           a.displacement == b.displacement && a.offset == b.offset && a.length == b.length && a.flags == b.flags &&
           a.reg == b.reg && a.rm == b.rm && a.base == b.base && a.index == b.index && a.scale == b.scale &&
           a.segment == b.segment && a.operand_size == b.operand_size && a.address_size == b.address_size &&
           a.extra == b.extra && a.extra2 == b.extra2;
}

void decode_at(std::span<const std::byte> code, const DecodeMode& mode, uint16_t offset) {
    const Decoded whole = decode_instruction(code, mode, offset);
    check(whole, code.size());
    bool is_relative = false;
    const Decoded anew = decode_anew(code, mode, offset, is_relative);
    require(whole.complete == anew.complete && whole.flow == anew.flow && same(whole.op, anew.op));
    const size_t length = whole.op.length;
    if (!whole.complete || length > code.size()) {
        return;
    }
    // What raises an exception because of its bytes says a length of 1.
    const Decoded alone = decode_instruction(code.first(length), mode, offset);
    check(alone, length);
    require(whole.flow == Flow::ends_block || alone.complete);
    require(!alone.complete || (same(whole.op, alone.op) && whole.flow == alone.flow));
    if (alone.complete && length > 1) {
        require(!decode_instruction(code.first(length - 1), mode, offset).complete);
    }
}

}  // namespace
}  // namespace skep::interp

extern "C" int __lsan_is_turned_off() { return 1; }  // decoded vector instructions stay for good

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace skep::interp;
    constexpr size_t k_most = 64;
    if (size <= k_header) {
        return 0;
    }
    const DecodeMode mode = make_mode(data[0]);
    const auto code = std::as_bytes(std::span(data + k_header, std::min(size - k_header, k_most)));
    for (size_t at = 0; at < code.size(); ++at) {
        decode_at(code.subspan(at), mode, static_cast<uint16_t>(data[1] * 16 + at));
    }
    return 0;
}
