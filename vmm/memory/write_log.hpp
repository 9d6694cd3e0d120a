// SPDX-License-Identifier: GPL-3.0-or-later
// WriteLog: which pages of a stretch of guest memory are written. Implemented by every CPU back end in its own way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace skep {

// One stretch at a time. Any thread; nobody waits for a vCPU. Costs nothing while it is off, and nearly nothing while the
// pages are not written.
class WriteLog {
  public:
    virtual ~WriteLog() = default;
    // From now on, for `pages`: whole pages of GuestMemory's RAM or device memory. All count as written at first.
    virtual void begin_write_log(std::span<std::byte> pages) = 0;
    virtual void end_write_log() = 0;
    // Sets the bits of the pages that were written since the last call, in `written` (bit n % 64 of word n / 64; as many
    // words as the log needs). What is read from a page after this call and stays unreported next time is what the page
    // holds. A page may be reported without need. Nothing when no log is on.
    virtual void collect_writes(std::span<uint64_t> written) = 0;
};

}  // namespace skep
