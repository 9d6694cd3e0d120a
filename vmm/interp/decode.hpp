// SPDX-License-Identifier: GPL-3.0-or-later
// From instruction bytes to an Op (Zydis does the parsing). One builder a subject: each takes the instructions it knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/interp/core.hpp"
#include "vmm/interp/op.hpp"

struct ZydisDecodedInstruction_;
struct ZydisDecodedOperand_;
struct ZydisDecoder_;

namespace skep::interp {

// What of the processor's state the meaning of instruction bytes depends on.
struct DecodeMode {
    bool code64 = false;
    bool code32 = false;
    bool stack64 = false;
    bool stack32 = false;
    bool protected_mode = false;
    bool v86 = false;
    bool flat = false;  // 32-bit protected mode with CS, DS, ES, SS of base 0 and limit 4 GiB, all but CS writable

    // A small number, different for different modes; below 128.
    [[nodiscard]] unsigned key() const {
        return code64 | code32 << 1 | stack64 << 2 | stack32 << 3 | protected_mode << 4 | v86 << 5 | flat << 6;
    }
};
[[nodiscard]] DecodeMode decode_mode(const Core& core);

// Core::code_mode, code_context, read_limit, write_limit: update_mode() ends with this, and so must anything that changes a segment
// register without it.
void refresh_decode_mode(Core& core);
// The part of it that depends on the privilege, with DecodeMode::key() as it is.
void refresh_code_mode(Core& core, unsigned key);
inline constexpr unsigned k_mode_key = 0x7f;  // of Core::code_mode

// How a decoded instruction goes on.
enum class Flow : uint8_t {
    next,        // to the following op
    ends_block,  // back to the run loop, which looks at events
    branch,      // ends the block by itself (jumps, calls, returns)
};
struct Decoded {
    Op op;
    Flow flow = Flow::next;
    bool complete = true;  // false: the bytes end inside the instruction, nothing is decoded
};

inline constexpr size_t k_longest_instruction = 15;  // bytes

// Zydis as this processor reads instructions: everything that decodes for it must use this one.
[[nodiscard]] const ZydisDecoder_& decoder_for(const DecodeMode& mode);

// Decodes the instruction at the start of `bytes` (at most 15 are looked at), which lies `offset` bytes into its block.
// What is no instruction becomes an op that raises #UD, what is longer than 15 bytes #GP(0).
[[nodiscard]] Decoded decode_instruction(std::span<const std::byte> bytes, const DecodeMode& mode, uint16_t offset);
// The same without a look at what was decoded before (decode_memo.hpp).
[[nodiscard]] Decoded decode_anew(std::span<const std::byte> bytes, const DecodeMode& mode, uint16_t offset,
                                  bool& is_relative_branch);

// Puts a memory operand into base, index, scale, displacement, segment, address_size; sets k_op_memory. The decoder has
// done so for the first memory operand of the instruction.
void set_memory_operand(Op& op, const ZydisDecodedInstruction_& instruction, const ZydisDecodedOperand_& operand);

}  // namespace skep::interp
