// SPDX-License-Identifier: GPL-3.0-or-later
// The shapes of memory operands that handlers are specialised for, and the choice among them at decode time.
#pragma once

#include "vmm/interp/decode.hpp"
#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/operands.hpp"

namespace skep::interp {

// Each gives the linear address of an access of `size` bytes. 64-bit mode, a segment without base, no index:
struct EaSimple {
    static uint64_t linear(Core& core, const Op* op, unsigned, Access) {
        return read_reg<uint64_t>(core, op->base) + static_cast<uint64_t>(int64_t{op->displacement});
    }
};
// 64-bit mode, any segment.
struct EaLong {
    static uint64_t linear(Core& core, const Op* op, unsigned, Access) {
        return read_reg<uint64_t>(core, op->base) + (read_reg<uint64_t>(core, op->index) << op->scale) +
               static_cast<uint64_t>(int64_t{op->displacement}) + core.segment_base[op->segment];
    }
};
// 32-bit mode with flat segments: nothing to check.
struct EaFlat32 {
    static uint64_t linear(Core& core, const Op* op, unsigned, Access) {
        return static_cast<uint32_t>(read_reg<uint32_t>(core, op->base) +
                                     (read_reg<uint32_t>(core, op->index) << op->scale) +
                                     static_cast<uint32_t>(op->displacement));
    }
};
// Everything else.
struct EaAny {
    static uint64_t linear(Core& core, const Op* op, unsigned size, Access access) {
        set_fault_rip(core, op);
        return operand_linear(core, *op, size, access);
    }
};

// Calls choose(Ea{}) with the best shape for this memory operand; choose returns the Handler.
template <typename Choose>
Handler for_address(const Op& op, const DecodeMode& mode, Choose choose) {
    const bool plain_displacement = (op.flags & k_op_far_displacement) == 0;
    if (mode.code64 && op.address_size == 8 && plain_displacement) {
        const bool has_base = op.segment == k_fs || op.segment == k_gs;
        return op.index == k_zero_register && !has_base ? choose(EaSimple{}) : choose(EaLong{});
    }
    const bool flat_segment = op.segment == k_ds || op.segment == k_es || op.segment == k_ss;
    if (mode.flat && op.address_size == 4 && flat_segment && plain_displacement) {
        return choose(EaFlat32{});
    }
    return choose(EaAny{});
}
// Calls choose(uint8_t{}), ... by size in bytes.
template <typename Choose>
Handler for_width(unsigned size, Choose choose) {
    switch (size) {
        case 1: return choose(uint8_t{});
        case 2: return choose(uint16_t{});
        case 4: return choose(uint32_t{});
        default: return choose(uint64_t{});
    }
}
template <typename Choose>
Handler for_wide_width(unsigned size, Choose choose) {
    switch (size) {
        case 2: return choose(uint16_t{});
        case 4: return choose(uint32_t{});
        default: return choose(uint64_t{});
    }
}

// Handlers of the other shapes have only the fast way in them: when the TLB has no answer they go over, by a tail call,
// to the EaAny handler of the same instruction, and so need no stack frame.
template <typename Ea>
inline constexpr bool k_is_fast_shape = !std::is_same_v<Ea, EaAny>;
// The operand's host memory, or null.
template <typename T, typename Ea>
inline const std::byte* fast_read(Core& core, const Op* op) {
    const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::read);
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    const bool hit = entry.read_tag == ((linear + sizeof(T) - 1) & ~k_page_mask);
    return hit ? host_of(entry, linear) : nullptr;
}
template <typename T, typename Ea>
inline std::byte* fast_write(Core& core, const Op* op) {
    const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::write);
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    const bool hit = entry.write_tag == ((linear + sizeof(T) - 1) & ~k_page_mask);
    return hit ? host_of(entry, linear) : nullptr;
}

// Where a fast shape goes when the TLB has no answer: `slow` is the EaAny handler of the same instruction. A page fault, the
// one exception that is part of a system's daily life, goes back to the run loop by a plain return.
template <typename T, typename Ea, Access access, Handler slow>
void run_missed(Core& core, const Op* op) {
    set_fault_rip(core, op);
    if (!page_in(core, Ea::linear(core, op, sizeof(T), access), sizeof(T), access)) {
        return;
    }
    SKEP_TAIL_CALL slow(core, op);
}

// Reads, lets `change` compute the new value, writes back; faults as a write, before anything is changed.
template <typename T, typename Change>
inline void modify(Core& core, const Op* op, uint64_t linear, Change change) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    if (entry.write_tag == ((linear + sizeof(T) - 1) & ~k_page_mask)) [[likely]] {
        auto* host = host_of(entry, linear);
        store_le<T>(host, change(load_le<T>(host)));
        return;
    }
    set_fault_rip(core, op);
    const T value = static_cast<T>(load_for_write_slow(core, linear, sizeof(T), op->segment));
    store_slow(core, linear, sizeof(T), change(value), op->segment);
}

// A plain function of (Core&, const Op*) as a handler that goes on with the next op.
template <auto function>
void run_then_next(Core& core, const Op* op) {
    function(core, op);
    SKEP_TAIL_CALL next(core, op);
}

}  // namespace skep::interp
