// SPDX-License-Identifier: GPL-3.0-or-later
// What translated code calls. Nothing is thrown through it.
#pragma once

#include <cstdint>

#include "vmm/jit/runtime.hpp"

namespace skep::jit {

class JitTranslator;

// Runs the instruction of a site by the interpreter: Core::gpr and Core::status are current. ExitKind::none: translated
// code goes on behind it. Faults are delivered.
ExitKind interpret_site(JitTranslator* translator, uint32_t site) noexcept;

}  // namespace skep::jit
