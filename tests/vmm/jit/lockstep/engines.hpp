// SPDX-License-Identifier: GPL-3.0-or-later
// Engines by name, and wrappers around engines that prove the harness: one that is interrupted and moved all the time but
// right, others that are wrong in one small thing.
#pragma once

#include <memory>
#include <string>

#include "vmm/cpu/vcpu.hpp"
#include "vmm/jit/tuning.hpp"

namespace skep::lockstep {

// "interp"; "jit" (translates at the second run), "jit-warm" (at the fifth), "jit-small" (with a cache that is often full); "choppy"
// (the interpreter, stopped, saved and loaded at every access to a device), and wrong ones:
// "wrong-flag", "wrong-register", "wrong-memory", "wrong-vector". Null for an unknown name.
[[nodiscard]] std::unique_ptr<Hypervisor> make_engine(const std::string& name,
                                                      jit::FlagsOfProducts products = jit::FlagsOfProducts::anything);

}  // namespace skep::lockstep
