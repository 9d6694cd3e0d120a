// SPDX-License-Identifier: GPL-3.0-or-later
// The piece of guest code that is translated as one: basic blocks of one page that direct jumps reach from a hot entry.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/interp/decode.hpp"
#include "vmm/jit/flags.hpp"
#include "vmm/jit/loops.hpp"
#include "vmm/jit/shared_checks.hpp"
#include "vmm/jit/units.hpp"

namespace skep::jit {

inline constexpr unsigned k_most_instructions = 128;  // of a region
inline constexpr int k_outside = -1;
// What is translated: 64-bit code, and 32-bit code with flat segments in protected or compatibility mode.
inline constexpr interp::DecodeMode k_long_mode{.code64 = true, .stack64 = true, .protected_mode = true};
inline constexpr interp::DecodeMode k_flat_mode{.code32 = true, .stack32 = true, .protected_mode = true, .flat = true};
// Of a block with such a key.
inline const interp::DecodeMode& mode_of(uint32_t key) {
    constexpr uint32_t k_code64 = 1;  // as DecodeMode::key() has it
    return (key & k_code64) != 0 ? k_long_mode : k_flat_mode;
}

struct GuestInstruction {
    uint16_t offset = 0;  // in the page
    ZydisDecodedInstruction decoded;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    FlagUse flags;
    uint16_t live_in = 0;   // arithmetic flags whose values before (after) it somebody may want
    uint16_t live_out = 0;
    bool may_fault = false;  // or leave the region by itself
    bool straddles = false;  // ends on the next page
    bool is_sure = false;  // not to do either in this place: it accesses what a loop's round before has checked
    bool interpreted = false;  // it has turned out to be the interpreter's
    UnitUse units;             // what it needs
    UnitUse live_before, live_after;  // what is certainly live
    SharedUse operand_use, stack_use;  // of its memory operand, of the stack

    [[nodiscard]] uint16_t end() const { return static_cast<uint16_t>(offset + decoded.length); }
};

enum class BlockEnd : uint8_t {
    falls_through,  // goes on at the next offset
    jump,           // direct
    conditional,    // direct, or the next offset
    calls,          // and comes back to the next offset
    leaves,         // everything else: indirect, or a system instruction
};

struct GuestBlock {
    uint16_t first = 0;  // of GuestRegion::instructions, in order
    uint16_t count = 0;
    BlockEnd end = BlockEnd::leaves;
    int taken = k_outside, next = k_outside;  // blocks
    uint16_t flags_outside = 0;               // that those want which are outside
    uint16_t incoming = 0;                    // ways into it from inside
    std::vector<SharedCheck> checks;
    // Of the two versions of a loop (loops.hpp): the other one.
    int first_round = k_outside, later_rounds = k_outside;

    [[nodiscard]] bool is_loop() const { return first_round != k_outside || later_rounds != k_outside; }
};

// A block of another region where this one goes on, without a look for requests: that region is older, so whoever comes
// back from it comes by an entry.
struct Elsewhere {
    uint16_t offset = 0;      // in the page
    uint16_t live_flags = 0;  // as in RegionBlock
    bool wants_memory_flags = false;
    bool wants_host_flags = false;
    uint64_t code = 0;        // executable address
};

struct GuestRegion {
    bool code64 = true;
    FlagsOfProducts flags_of_products = FlagsOfProducts::anything;
    std::vector<GuestInstruction> instructions;  // each block's in a row
    std::vector<GuestInstruction> found;         // form_region()'s own, kept for its memory
    std::vector<GuestBlock> blocks;              // the entry first, the others by address
    std::vector<Elsewhere> elsewhere;            // where the ways out lead
    uint16_t lowest = 0, highest = 0;            // bytes [lowest, highest) of the page that were looked at
    bool wants_next_page = false;                // an instruction goes on behind the bytes that were given

    [[nodiscard]] const Elsewhere* find_elsewhere(int64_t offset) const;  // null: nobody knows, or it is inside
};

// What is known of a page's code beforehand.
class CodeSoFar {
  public:
    virtual ~CodeSoFar() = default;
    // The interpreter came to this offset by a jump, or behind one.
    [[nodiscard]] virtual bool has_run(unsigned offset) const = 0;
    // A region to go on in.
    [[nodiscard]] virtual std::optional<Elsewhere> find_translated(unsigned offset) const = 0;
};

// Decodes from `page` (a copy of the page's 4096 bytes, and some of the next one's if they are known), as region.code64
// says, what has run and is not translated yet. Most code that could be reached never runs, and what is reached from
// several sides would be translated for each. region.flags_of_products says what multiplications do to flags.
// Without instructions when the first one does not lie in these bytes as a whole or is none.
void form_region(std::span<const std::byte> page, unsigned entry, const CodeSoFar& known, GuestRegion& region);

// The distance of a direct jump's target from the start of the instruction's page.
[[nodiscard]] int64_t target_of(const GuestInstruction& instruction);
// One of those of emit_system.cpp, which may have to leave it to the interpreter at any time, and change what accesses mean.
[[nodiscard]] bool is_system(ZydisMnemonic mnemonic);
[[nodiscard]] bool is_conditional_jump(const ZydisDecodedInstruction& instruction);

}  // namespace skep::jit
