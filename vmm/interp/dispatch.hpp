// SPDX-License-Identifier: GPL-3.0-or-later
// From op to op and from block to block. Handlers end in tail calls, so a run of blocks is one flat chain of jumps.
#pragma once

#include "vmm/interp/core.hpp"

// A call that must not grow the stack. GCC makes sibling calls of these from -O2 on.
#if defined(__clang__)
#define SKEP_TAIL_CALL [[clang::musttail]] return
#else
#define SKEP_TAIL_CALL return
#endif

namespace skep::interp {

// Without the guarantee of tail calls every block goes back to the run loop; stack depth is then bounded by a block.
#if defined(__clang__) || (defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__))
inline constexpr bool k_chain_blocks = true;
#else
inline constexpr bool k_chain_blocks = false;
#endif

inline void next(Core& core, const Op* op) { SKEP_TAIL_CALL op[1].run(core, op + 1); }

// Not by the context: where there is always a new one, its entries would always be elsewhere, and nowhere in the host's cache.
constexpr size_t jump_index(uint64_t rip) { return (rip ^ (rip >> 12)) % k_jump_entries; }
inline JumpEntry& jump_entry(Core& core, uint64_t rip) { return core.jump_cache[jump_index(rip)]; }
inline bool jump_entry_valid(const Core& core, const JumpEntry& entry, uint64_t rip) {
    return entry.rip == rip && entry.context == core.code_context;
}

// Whether next_block() goes on by itself.
inline bool is_next_block_known(const Core& core) {
    return k_chain_blocks && core.requests.load(std::memory_order_relaxed) == 0 &&
           jump_entry_valid(core, core.jump_cache[jump_index(core.rip)], core.rip);
}

// The end of a block: goes on at Core::rip, in the chain when its block is known and nobody wants anything.
inline void next_block(Core& core, [[maybe_unused]] const Op* op) {
    if constexpr (k_chain_blocks) {
        const uint64_t rip = core.rip;
        const JumpEntry& entry = jump_entry(core, rip);
        if (core.requests.load(std::memory_order_relaxed) == 0 && jump_entry_valid(core, entry, rip)) [[likely]] {
            core.gpr[17] = rip;
            core.retired += entry.op_count;
            SKEP_TAIL_CALL entry.ops->run(core, entry.ops);
        }
    }
}

// Handlers that wrap Op::plain, and those a block ends with.
void run_plain(Core& core, const Op* op);
void run_plain_last(Core& core, const Op* op);
void run_fall_through(Core& core, const Op* op);  // after the last op of a block: goes on at Op::offset
// Takes the place of every op of a block whose code was written: back to the run loop before the op at Op::offset.
void run_stale(Core& core, const Op* op);

}  // namespace skep::interp
