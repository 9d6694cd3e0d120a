// SPDX-License-Identifier: GPL-3.0-or-later
// How far a long operation on an image is, and whether it is still wanted.
#pragma once

#include <functional>

namespace skep {

// Called from time to time with 0..1 on the caller's thread; false: stop. May be empty.
using Progress = std::function<bool(double done)>;

[[nodiscard]] inline bool goes_on(const Progress& progress, double done) { return !progress || progress(done); }

}  // namespace skep
