// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace skep {

// Where a change of an image's tables is when the request that made it completes.
enum class Acknowledged : uint8_t {
    in_memory,  // gone when the process is killed, unless flushed: for tools, whose work is then for nothing anyway
    in_file,    // the process may be killed at any time
};

}  // namespace skep
