// SPDX-License-Identifier: GPL-3.0-or-later
// Two machines after the same case: what differs, in words.
#pragma once

#include <string>

#include "tests/vmm/jit/lockstep/machine.hpp"

namespace skep::lockstep {

// Empty when everything is equal: ending, devices' events, the handlers' log, all of RAM, the final state.
[[nodiscard]] std::string compare(const Machine& reference, Ending reference_ending, const Machine& other, Ending other_ending);

[[nodiscard]] const char* name_of(Ending ending);

}  // namespace skep::lockstep
