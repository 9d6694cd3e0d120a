// SPDX-License-Identifier: GPL-3.0-or-later
// A log file that a descriptor (standard error) appends to, kept below a size while the program runs. The lines go
// through the descriptor, so what libraries print is in the file, too; the file is exchanged under it (dup2).
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>

namespace skep {

class LogFileLimit {
  public:
    // Does nothing unless `fd` is `file` now.
    LogFileLimit(std::filesystem::path file, int fd, uint64_t most);
    // After something was written: when the file is larger than `most` bytes, it is replaced (atomically) by one that
    // begins with the newest lines, at most half of `most`. A line that another thread writes in that moment may be
    // lost. Failure leaves the file as it is; the next attempt comes after as many bytes again. Any thread.
    void check();

  private:
    [[nodiscard]] bool shorten(uint64_t size) const;

    std::filesystem::path m_file;
    int m_fd;
    uint64_t m_most;
    uint64_t m_next;  // size at which something is done; 0: never
    std::mutex m_mutex;
};

}  // namespace skep
