// SPDX-License-Identifier: GPL-3.0-or-later
// What far jumps, calls and returns have in common.
#pragma once

#include "vmm/interp/segments.hpp"

namespace skep::interp {

// Real and V86 mode: a selector is a segment, nothing is looked up.
[[nodiscard]] bool is_real_style(const Core& core);
void enter_real(Core& core, uint16_t selector, uint64_t offset);

// #GP(0) unless the target lies in the segment, or is canonical in 64-bit code.
void check_target(const Core& core, const Segment& code, uint64_t offset);
// #GP for a null selector or one outside its table.
[[nodiscard]] DescriptorPlace descriptor_or_gp(Core& core, uint16_t selector);
// #GP for L and D together.
void check_long_code(const Core& core, x86::Descriptor descriptor, uint16_t selector);
void check_present(x86::Descriptor descriptor, uint16_t selector);
// CS, the mode that follows from it, and where to go on.
void enter(Core& core, const Segment& code, uint64_t rip);

}  // namespace skep::interp
