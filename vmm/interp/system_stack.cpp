// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/system_stack.hpp"

#include "vmm/interp/mmu.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::interp {

bool inside_limit(const Segment& segment, uint64_t offset, uint64_t size) {
    const uint64_t last = offset + size - 1;
    const bool expand_down = segment.is_code_or_data() && (segment.type() & 0xc) == 4;
    if (expand_down) {
        return offset > segment.limit && last <= (segment.default_big() ? 0xffff'ffff : 0xffff);
    }
    return last <= segment.limit;
}

FrameStack::FrameStack(Core& core, const Segment& segment, uint64_t pointer, unsigned cpl, uint32_t error, Width width)
    : m_core(core),
      m_segment(segment),
      m_mask(width == Width::flat64 ? ~uint64_t{0} : segment.default_big() ? 0xffff'ffff : 0xffff),
      m_pointer(pointer & m_mask),
      m_error(error),
      m_rule(data_rule_at(core, cpl)),
      m_flat(width == Width::flat64) {}

FrameStack::FrameStack(Core& core)
    : FrameStack(core, core.segment[k_ss], core.gpr[k_rsp], core.cpl, 0,
                 core.stack64 ? Width::flat64 : Width::by_segment) {}

uint64_t FrameStack::linear_of(uint64_t offset, unsigned size) const {
    if (m_flat) {
        if (!x86::is_canonical(offset) || !x86::is_canonical(offset + size - 1)) {
            raise(k_ss_fault, m_error);
        }
        return offset;
    }
    if (m_segment.unusable() || !inside_limit(m_segment, offset, size)) {
        raise(k_ss_fault, m_error);
    }
    return (m_segment.base + offset) & 0xffff'ffff;
}

void FrameStack::push(unsigned size, uint64_t value) {
    const uint64_t offset = (m_pointer - size) & m_mask;
    write_linear(m_core, linear_of(offset, size), size, value, m_rule);
    m_pointer = offset;
}

uint64_t FrameStack::pop(unsigned size) {
    const uint64_t value = read_linear(m_core, linear_of(m_pointer, size), size, m_rule);
    skip(size);
    return value;
}

void FrameStack::check_room(uint64_t bytes) const {
    if (m_flat) {
        if (!x86::is_canonical(m_pointer - bytes) || !x86::is_canonical(m_pointer - 1)) {
            raise(k_ss_fault, m_error);
        }
        return;
    }
    for (uint64_t done = 2; done <= bytes; done += 2) {  // a frame may wrap a 16-bit stack pointer
        if (m_segment.unusable() || !inside_limit(m_segment, (m_pointer - done) & m_mask, 2)) {
            raise(k_ss_fault, m_error);
        }
    }
}

}  // namespace skep::interp
