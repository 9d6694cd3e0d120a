// SPDX-License-Identifier: GPL-3.0-or-later
// Records what a machine does to its disks, for tests of power cuts: what the guest asked of each disk, and below the
// image's format what was done to its file, when each request began and when it ended. What a disk may hold after a power
// cut at any moment follows from that (tests/power_cuts).
//
// The log is 8 bytes of k_disk_log_magic, then records in the host's byte order: DiskRecord, and behind the beginning of a
// write its data, behind `named` the disk's name.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/block/file_engine.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

inline constexpr std::array<char, 8> k_disk_log_magic{'S', 'K', 'E', 'P', 'D', 'L', 'G', '1'};

enum class DiskLayer : uint8_t {
    guest,  // BlockRequest: offsets are of the disk
    file,   // FileOp: offsets are of the image's file
};

enum class DiskAction : uint8_t {
    write,
    write_through,  // durable when it ends, and nothing else with it
    zero,           // reads as zeros afterwards
    discard,        // of the guest: reads as zeros afterwards, or as before
    flush,          // what had ended when it began is durable when it ends
};

enum class DiskPhase : uint8_t {
    named,  // a disk's number and its name
    began,
    ended,
};

struct DiskRecord {
    uint32_t disk = 0;  // its number
    DiskLayer layer = DiskLayer::guest;
    DiskAction action = DiskAction::write;
    DiskPhase phase = DiskPhase::began;
    uint8_t unused = 0;
    uint64_t id = 0;      // of the request: its two records have the same
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes; of `named`, of the name
    int64_t result = 0;   // of `ended`: bytes done to the file, 0, or -errno
};
static_assert(sizeof(DiskRecord) == 40);

// One log. Any thread.
class DiskRecorder {
  public:
    // Errors: in_use when the file is there already, those of the host.
    static Result<std::shared_ptr<DiskRecorder>> create(const std::string& path);
    explicit DiskRecorder(Fd log) : m_log(std::move(log)) {}

    // The number for the disk's records.
    [[nodiscard]] uint32_t add_disk(const std::string& name);
    // Returns the request's id for end(). What follows in the log began later.
    [[nodiscard]] uint64_t begin(uint32_t disk, DiskLayer layer, DiskAction action, uint64_t offset, uint64_t length,
                                 const std::vector<iovec>& data);
    // What precedes in the log had ended before.
    void end(uint64_t id, int64_t result);

  private:
    void append(const DiskRecord& record, std::span<const char> data);

    std::mutex m_mutex;
    Fd m_log;
    uint64_t m_last_id = 0;
    uint32_t m_disks = 0;
    bool m_failed = false;  // said once; the log ends there
};

// The same engine or disk, with a record of everything but reads.
[[nodiscard]] std::unique_ptr<FileEngine> record_file(std::unique_ptr<FileEngine> engine, std::shared_ptr<DiskRecorder> recorder,
                                                      uint32_t disk);
[[nodiscard]] std::shared_ptr<BlockBackend> record_disk(std::shared_ptr<BlockBackend> disk, std::shared_ptr<DiskRecorder> recorder,
                                                        uint32_t number);

}  // namespace skep
