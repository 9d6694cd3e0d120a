// SPDX-License-Identifier: GPL-3.0-or-later
// The handler for an op with a native SSE, AVX or MMX function in Op::data.
#pragma once

#include "vmm/interp/native_code.hpp"
#include "vmm/interp/op.hpp"

namespace skep::interp {

[[nodiscard]] PlainHandler native_handler(const NativeOp& native);

}  // namespace skep::interp
