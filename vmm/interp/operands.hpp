// SPDX-License-Identifier: GPL-3.0-or-later
// Operands of an Op: registers by byte offset, effective and linear addresses (SDM 1, 3.7; SDM 3A, 5.3).
#pragma once

#include "vmm/interp/memory_access.hpp"

namespace skep::interp {

// --- registers ---------------------------------------------------------------------------------------------------------
template <typename T>
inline T read_reg(const Core& core, RegisterOffset offset) {
    return load_le<T>(reinterpret_cast<const std::byte*>(core.gpr.data()) + offset);
}
// A 32-bit write clears the upper half; 8- and 16-bit writes leave the rest alone (SDM 1, 3.4.1.1).
template <typename T>
inline void write_reg(Core& core, RegisterOffset offset, T value) {
    auto* place = reinterpret_cast<std::byte*>(core.gpr.data()) + offset;
    if constexpr (sizeof(T) == 4) {
        store_le<uint64_t>(place, static_cast<uint32_t>(value));
    } else {
        store_le<T>(place, value);
    }
}
inline uint64_t read_reg_sized(const Core& core, RegisterOffset offset, unsigned size) {
    switch (size) {
        case 1: return read_reg<uint8_t>(core, offset);
        case 2: return read_reg<uint16_t>(core, offset);
        case 4: return read_reg<uint32_t>(core, offset);
        default: return read_reg<uint64_t>(core, offset);
    }
}
inline void write_reg_sized(Core& core, RegisterOffset offset, unsigned size, uint64_t value) {
    switch (size) {
        case 1: write_reg(core, offset, static_cast<uint8_t>(value)); break;
        case 2: write_reg(core, offset, static_cast<uint16_t>(value)); break;
        case 4: write_reg(core, offset, static_cast<uint32_t>(value)); break;
        default: write_reg(core, offset, value); break;
    }
}

// --- addresses ---------------------------------------------------------------------------------------------------------
inline uint64_t address_mask(unsigned address_size) { return all_ones(address_size); }

// The offset inside the segment, wrapped to the address size.
inline uint64_t effective_address(const Core& core, const Op& op) {
    const uint64_t sum = read_reg<uint64_t>(core, op.base) + (read_reg<uint64_t>(core, op.index) << op.scale) +
                         static_cast<uint64_t>(int64_t{op.displacement}) + op.far_displacement();
    return sum & address_mask(op.address_size);
}

// The exact check of a segmented access outside 64-bit mode; throws #GP(0) or #SS(0). Core::rip must be set.
void check_segment_access(Core& core, unsigned segment, uint64_t offset, unsigned size, Access access);

// Linear address of `size` bytes at an offset in a segment, limit and type checked. Non-canonical addresses are found by
// the access itself.
inline uint64_t segment_linear(Core& core, unsigned segment, uint64_t offset, unsigned size, Access access) {
    if (core.code64) [[likely]] {
        return core.segment_base[segment] + offset;
    }
    const int64_t limit = access == Access::write ? core.write_limit[segment] : core.read_limit[segment];
    if (static_cast<int64_t>(offset + size) - 1 > limit) [[unlikely]] {
        check_segment_access(core, segment, offset, size, access);
    }
    return static_cast<uint32_t>(core.segment_base[segment] + offset);
}
inline uint64_t operand_linear(Core& core, const Op& op, unsigned size, Access access) {
    return segment_linear(core, op.segment, effective_address(core, op), size, access);
}

// --- the r/m operand, register or memory (for PlainHandlers) -----------------------------------------------------------
template <typename T>
inline T read_rm(Core& core, const Op& op) {
    if ((op.flags & k_op_memory) == 0) {
        return read_reg<T>(core, op.rm);
    }
    return load<T>(core, operand_linear(core, op, sizeof(T), Access::read), op.segment);
}
template <typename T>
inline void write_rm(Core& core, const Op& op, T value) {
    if ((op.flags & k_op_memory) == 0) {
        write_reg<T>(core, op.rm, value);
        return;
    }
    store<T>(core, operand_linear(core, op, sizeof(T), Access::write), value, op.segment);
}
// By op.operand_size.
inline uint64_t read_rm_sized(Core& core, const Op& op) {
    switch (op.operand_size) {
        case 1: return read_rm<uint8_t>(core, op);
        case 2: return read_rm<uint16_t>(core, op);
        case 4: return read_rm<uint32_t>(core, op);
        default: return read_rm<uint64_t>(core, op);
    }
}
inline void write_rm_sized(Core& core, const Op& op, uint64_t value) {
    switch (op.operand_size) {
        case 1: write_rm(core, op, static_cast<uint8_t>(value)); break;
        case 2: write_rm(core, op, static_cast<uint16_t>(value)); break;
        case 4: write_rm(core, op, static_cast<uint32_t>(value)); break;
        default: write_rm(core, op, value); break;
    }
}

// --- the stack ---------------------------------------------------------------------------------------------------------
inline uint64_t stack_mask(const Core& core) {
    return core.stack64 ? ~uint64_t{0} : core.stack32 ? 0xffff'ffff : 0xffff;
}
inline void set_stack_pointer(Core& core, uint64_t value) {
    const uint64_t mask = stack_mask(core);
    core.gpr[k_rsp] = mask == 0xffff ? (core.gpr[k_rsp] & ~mask) | (value & mask) : value & mask;
}

// Several pushes or pops of which none counts until commit(): an instruction that faults half-way leaves RSP alone.
class StackCursor {
  public:
    explicit StackCursor(Core& core) : m_core(core), m_pointer(core.gpr[k_rsp] & stack_mask(core)) {}
    void push(unsigned size, uint64_t value) {
        m_pointer = (m_pointer - size) & stack_mask(m_core);
        const uint64_t linear = segment_linear(m_core, k_ss, m_pointer, size, Access::write);
        if (size == 8) {
            store<uint64_t>(m_core, linear, value, k_ss);
        } else if (size == 4) {
            store<uint32_t>(m_core, linear, static_cast<uint32_t>(value), k_ss);
        } else {
            store<uint16_t>(m_core, linear, static_cast<uint16_t>(value), k_ss);
        }
    }
    uint64_t pop(unsigned size) {
        const uint64_t linear = segment_linear(m_core, k_ss, m_pointer, size, Access::read);
        m_pointer = (m_pointer + size) & stack_mask(m_core);
        if (size == 8) {
            return load<uint64_t>(m_core, linear, k_ss);
        }
        return size == 4 ? load<uint32_t>(m_core, linear, k_ss) : load<uint16_t>(m_core, linear, k_ss);
    }
    void skip(uint64_t bytes) { m_pointer = (m_pointer + bytes) & stack_mask(m_core); }
    [[nodiscard]] uint64_t pointer() const { return m_pointer; }
    void commit() { set_stack_pointer(m_core, m_pointer); }

  private:
    Core& m_core;
    uint64_t m_pointer;
};
// size: 2, 4, 8.
inline void push(Core& core, unsigned size, uint64_t value) {
    StackCursor stack(core);
    stack.push(size, value);
    stack.commit();
}
inline uint64_t pop(Core& core, unsigned size) {
    StackCursor stack(core);
    const uint64_t value = stack.pop(size);
    stack.commit();
    return value;
}

}  // namespace skep::interp
