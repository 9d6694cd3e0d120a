// SPDX-License-Identifier: GPL-3.0-or-later
// Reading firmware, kernels and initrds from the host, bounded and with a sentence for every failure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "vmm/base/large_buffer.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// The whole of a regular file of 1 .. limit bytes. `what` names its role in the sentence ("firmware", "kernel").
[[nodiscard]] Result<LargeBuffer> read_boot_file(const std::string& what, const std::string& path, uint64_t limit);

}  // namespace skep
