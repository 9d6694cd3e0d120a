// SPDX-License-Identifier: GPL-3.0-or-later
// What lies in a lock-step guest's memory besides its program: page tables, descriptor tables, event handlers.
#pragma once

#include <cstddef>
#include <span>

namespace skep::lockstep {

// Page tables of both address spaces. `absent_code_page`: which code page is missing, 0 for none.
void write_page_tables(std::span<std::byte> ram, unsigned absent_code_page);
// own_stack: gates switch to the interrupt stack.
void write_descriptor_tables(std::span<std::byte> ram, bool own_stack);
// The handlers of all vectors and the entry of SYSCALL, at k_handlers.
void write_handlers(std::span<std::byte> ram);
// Their addresses (supervisor window): SYSCALL's entry. Valid after write_handlers().
[[nodiscard]] unsigned long long syscall_entry();

}  // namespace skep::lockstep
