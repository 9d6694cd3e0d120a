// SPDX-License-Identifier: GPL-3.0-or-later
// An image file as the keepers of a format's tables see it: one transfer at a time, waited for.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "devices/block/file_engine.hpp"

namespace skep {

// 0 or an errno value.
using HostError = int;

// Over an engine that outlives it. One thread at a time, never a thread of the engine itself.
class MetadataFile {
  public:
    explicit MetadataFile(FileEngine& engine) : m_engine(engine) {}

    // Reads see these big-endian words of 8 bytes, by their offset, instead of what stands in the file.
    void see_instead(std::map<uint64_t, uint64_t> words) { m_instead = std::move(words); }
    // Bytes beyond the file's end read as zeros.
    [[nodiscard]] HostError read(uint64_t offset, std::span<uint8_t> to);
    [[nodiscard]] HostError write(uint64_t offset, std::span<const uint8_t> from);
    // Everything written and completed before is on stable storage. A failure is final: see sync_failed().
    [[nodiscard]] HostError sync();
    // Gives a range back to the host; what it reads as afterwards is not promised. Refusals are no error.
    void punch(uint64_t offset, uint64_t length);
    // The host may have forgotten what it could not write: nothing can be promised any more.
    [[nodiscard]] bool sync_failed() const { return m_sync_failed; }

  private:
    [[nodiscard]] int64_t carry_out(FileOp op);
    [[nodiscard]] HostError read_file(uint64_t offset, std::span<uint8_t> to);

    FileEngine& m_engine;
    std::map<uint64_t, uint64_t> m_instead;
    bool m_sync_failed = false;
};

}  // namespace skep
