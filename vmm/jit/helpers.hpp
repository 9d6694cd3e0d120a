// SPDX-License-Identifier: GPL-3.0-or-later
// What translated code calls. Nothing is thrown through it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/jit/runtime.hpp"

namespace skep::jit {

class JitTranslator;

// Runs the instruction of a site by the interpreter: Core::gpr and Core::status are current. ExitKind::none: translated
// code goes on behind it. Faults are delivered.
ExitKind interpret_site(JitTranslator* translator, uint32_t site) noexcept;

// The host address of a linear one, when an access to RAM there is allowed and needs no notice; the TLB then knows its page.
// Null: the interpreter shall do it; when it is a page fault, that one need not look again (Runtime::page_fault).
std::byte* refill_tlb(JitTranslator* translator, uint64_t linear, uint32_t writes, Refill how) noexcept;

}  // namespace skep::jit
