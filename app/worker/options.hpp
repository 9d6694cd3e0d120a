// SPDX-License-Identifier: GPL-3.0-or-later
// The worker's command line.
#pragma once

#include <optional>
#include <string>

#include "vmm/base/result.hpp"

namespace skep {

struct WorkerOptions {
    std::string bundle;       // --bundle DIR: a machine of the library, controlled over its socket
    std::string spec_file;    // --spec FILE|-: a throw-away machine
    std::string socket;       // --socket PATH instead of the runtime folder's
    bool stdio = false;       // --stdio: serial port 0 on standard input and output
    bool jit_stats = false;     // --jit-stats: at the end, what the translator did, on standard error
    bool jit_perf_map = false;  // --jit-perf-map: /tmp/perf-PID.map names translated code
    std::string record_disks;      // --record-disks FILE: what happens to the disks (devices/block/disk_recorder.hpp)
    bool version = false;
    std::string describe_devices;  // --describe-devices [json|text]: prints the device catalogue
};

// The sentence of a failure ends with where to read more.
[[nodiscard]] Result<WorkerOptions> parse_options(int argc, char** argv);

}  // namespace skep
