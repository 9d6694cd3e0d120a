// SPDX-License-Identifier: GPL-3.0-or-later
// What the tables of a qcow2 image will say: kept in its own file, so that a worker that is killed loses no write that
// its guest was told is done, and no write needs a barrier for that.
//
// Tables go to the file in commits (qcow2_store.hpp), two barriers each. Between commits each changed word of a table is
// appended to a log before the guest's request completes; whoever opens the image after a kill puts those words into the
// tables, in the order of a commit. The host's page cache keeps the log, the data and the tables written so far apart
// from any power cut: after one, the log is of another session of the host and is not believed, and the tables on the disk
// are those of a commit. Both promises hold then: killed, all that completed is there; power cut, all that was flushed.
//
// The log lies in the first cluster behind the header, which qcow2 leaves unused. A program that does not know it and
// writes clears the autoclear bit of it first (QEMU docs/interop/qcow2, "autoclear_features"): then there is no log.
// Where it has no room (version 2, clusters below 16 KiB, a long header) requests wait for a commit instead.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "devices/formats/metadata_file.hpp"
#include "devices/formats/qcow2_header.hpp"

namespace skep::qcow2 {

constexpr uint64_t k_autoclear_log = bit(63);
constexpr uint64_t k_log_at = 4096;  // a page of its own: appending writes no sector of the header

// A number for this run of the host's kernel; 0 where it gives none away, and then there is no log.
[[nodiscard]] uint64_t host_session();

// One thread at a time.
class TableLog {
  public:
    enum class Table : uint8_t { counts, mapping };
    struct Word {  // 8 bytes of a table, host byte order
        uint64_t offset = 0;
        uint64_t value = 0;
        Table table = Table::counts;
    };

    [[nodiscard]] static bool has_room(const Header& header);
    // What another process left, in its order; nothing when it is of another session. Errors of the host.
    [[nodiscard]] static HostError read(MetadataFile& file, const Header& header, uint64_t session, std::vector<Word>& words);
    // The tables' words as they are to be, by their place. Counts are never lowered below what the file says: a commit may
    // have been under way.
    [[nodiscard]] static HostError merge(MetadataFile& file, const Header& header, const std::vector<Word>& words,
                                         std::map<uint64_t, uint64_t>& counts, std::map<uint64_t, uint64_t>& mapping);

    TableLog(MetadataFile& file, const Header& header, uint64_t session);
    // Takes the place in the file, whatever stands there.
    [[nodiscard]] HostError start();
    // Forgets all, in the file too: the tables are durable.
    [[nodiscard]] HostError clear();
    void note(Table table, uint64_t offset, uint64_t value);
    // Writes what was noted. ENOBUFS when there is no room: commit, then clear().
    [[nodiscard]] HostError append();

  private:
    [[nodiscard]] std::vector<uint8_t> print(const std::vector<Word>& words) const;

    MetadataFile& m_file;
    uint64_t m_end;
    uint64_t m_session;
    uint64_t m_at = k_log_at;
    uint32_t m_epoch = 0;
    uint32_t m_groups = 0;  // of this epoch
    std::vector<Word> m_noted;
};

}  // namespace skep::qcow2
