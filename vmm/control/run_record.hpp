// SPDX-License-Identifier: GPL-3.0-or-later
// RunRecord: the note a worker leaves in <bundle>/state/run.json about its life, from which others learn how it ended.
// "running" with nobody holding the run lock means that it crashed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"

namespace skep {

// Exit codes of skep-vmm, as bhyve's.
enum class ExitCode { reboot = 0, power_off = 1, halt = 2, triple_fault = 3, error = 4 };

struct RunRecord {
    bool running = false;
    pid_t pid = 0;
    int64_t started = 0;              // seconds since 1970
    std::optional<int> exit_code;     // when not running
    std::string message;              // the last sentence; may be empty
};

// The worker, holding the run lock: at start, and as the last thing before exit.
[[nodiscard]] Status record_start(const std::filesystem::path& bundle_folder);
[[nodiscard]] Status record_exit(const std::filesystem::path& bundle_folder, int exit_code, const std::string& message);
// Anybody. Nothing when the machine has never run (or the note is unreadable).
[[nodiscard]] std::optional<RunRecord> read_run_record(const std::filesystem::path& bundle_folder);

}  // namespace skep
