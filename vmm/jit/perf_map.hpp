// SPDX-License-Identifier: GPL-3.0-or-later
// The file by which perf(1) knows translated code: /tmp/perf-PID.map, a line "START SIZE NAME" in hexadecimal for each
// piece (Linux, tools/perf/Documentation/jit-interface.txt).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "vmm/base/fd.hpp"

namespace skep::jit {

// Any thread.
class PerfMap {
  public:
    // Null when the file cannot be made, which is logged.
    static std::shared_ptr<PerfMap> create();
    void add(uint64_t start, uint64_t size, std::string_view name);

  private:
    explicit PerfMap(Fd fd) : m_fd(std::move(fd)) {}
    Fd m_fd;
};

}  // namespace skep::jit
