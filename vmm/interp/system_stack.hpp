// SPDX-License-Identifier: GPL-3.0-or-later
// The stack as control transfers see it: frames pushed on, or popped from, a stack that need not be the current one, by
// the privilege of whoever will run. Nothing of the Core changes; the caller takes pointer() over when all went well.
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// Do bytes [offset, offset+size) lie inside this segment's limit (expand-down segments too)?
[[nodiscard]] bool inside_limit(const Segment& segment, uint64_t offset, uint64_t size);

class FrameStack {
  public:
    enum class Width : uint8_t { by_segment, flat64 };
    // `cpl` chooses user or supervisor rights for the accesses; `error` is the error code of a #SS.
    FrameStack(Core& core, const Segment& segment, uint64_t pointer, unsigned cpl, uint32_t error, Width width);
    // The current stack.
    explicit FrameStack(Core& core);

    // size: 2, 4, 8. They throw #SS(error) or #PF.
    void push(unsigned size, uint64_t value);
    uint64_t pop(unsigned size);
    void skip(uint64_t bytes) { m_pointer = (m_pointer + bytes) & m_mask; }
    // Throws #SS unless `bytes` can be pushed; pages are not looked at.
    void check_room(uint64_t bytes) const;
    [[nodiscard]] uint64_t pointer() const { return m_pointer; }
    // The value RSP takes: bits above the stack's width are those of `old`.
    [[nodiscard]] uint64_t merged_into(uint64_t old) const {
        return m_mask == 0xffff ? (old & ~m_mask) | m_pointer : m_pointer;
    }

  private:
    [[nodiscard]] uint64_t linear_of(uint64_t offset, unsigned size) const;

    Core& m_core;
    Segment m_segment;
    uint64_t m_mask;
    uint64_t m_pointer;
    uint32_t m_error;
    AccessRule m_rule;
    bool m_flat;
};

}  // namespace skep::interp
