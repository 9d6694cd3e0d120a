// SPDX-License-Identifier: GPL-3.0-or-later
// Memory operands of vector instructions: checked, in one piece, as host memory.
#pragma once

#include <cstring>

#include "vmm/interp/operands.hpp"

namespace skep::interp {

// 16 * number of the vector register in a slot (native_thunk.hpp: RegisterSlot).
inline unsigned vector_place(const Op& op, unsigned slot) {
    return ((uint32_t{op.extra} | uint32_t{op.extra2} << 16) >> (8 * slot)) & 0xff;
}

inline uint64_t vector_operand(Core& core, const Op& op, unsigned bytes, unsigned alignment, Access access) {
    const uint64_t linear = operand_linear(core, op, bytes, access);
    if ((linear & (alignment - 1)) != 0) [[unlikely]]
        raise(k_gp, 0);
    return linear;
}

// Host address of the operand's bytes: guest RAM itself, or `buffer` with a copy when it crosses a page or is MMIO.
inline void* load_operand(Core& core, const Op& op, unsigned bytes, unsigned alignment, std::byte* buffer) {
    const uint64_t linear = vector_operand(core, op, bytes, alignment, Access::read);
    if (std::byte* host = host_for_read(core, linear, bytes))
        return host;
    load_bytes(core, linear, buffer, bytes, op.segment);
    return buffer;
}

inline void store_operand(Core& core, const Op& op, unsigned bytes, unsigned alignment, const std::byte* from) {
    const uint64_t linear = vector_operand(core, op, bytes, alignment, Access::write);
    if (std::byte* host = host_for_write(core, linear, bytes))
        std::memcpy(host, from, bytes);
    else
        store_bytes(core, linear, from, bytes, op.segment);
}

// Areas larger than 64 bytes (FXSAVE, XSAVE, FNSAVE), piece by piece; a store that would fault writes nothing.
void load_area(Core& core, uint64_t linear, void* to, unsigned bytes, unsigned segment);
void store_area(Core& core, uint64_t linear, const void* from, unsigned bytes, unsigned segment);
void check_store_area(Core& core, uint64_t linear, unsigned bytes, unsigned segment);

}  // namespace skep::interp
