// SPDX-License-Identifier: GPL-3.0-or-later
// The code that every region shares: the way in from C++, the ways out, the call of the interpreter.
#pragma once

#include <asmjit/x86.h>

#include "vmm/jit/code_cache.hpp"
#include "vmm/jit/emitter.hpp"

namespace skep::jit {

// Writes them at the start of the cache. False when that fails.
bool make_thunks(CodeCache& cache, Places& places);

// Puts finished code where it belongs: resolves, copies, commits. False when it does not fit.
bool place_code(asmjit::CodeHolder& code, CodeCache& cache);

}  // namespace skep::jit
