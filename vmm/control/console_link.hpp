// SPDX-License-Identifier: GPL-3.0-or-later
// What console.open brings: one viewer's connection to a serial port.
#pragma once

#include <cstdint>

#include "vmm/base/fd.hpp"

namespace skep {

struct ConsoleLink {
    Fd socket;                   // the kept history first, then live bytes; bytes written to it are the guest's input
    uint64_t history_bytes = 0;  // how many of the first bytes were printed before
};

}  // namespace skep
