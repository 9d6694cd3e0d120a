// SPDX-License-Identifier: GPL-3.0-or-later
// A log of devices/block/disk_recorder.hpp, read: what began and ended in which order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "devices/block/disk_recorder.hpp"

namespace skep::test {

struct RecordedRequest {
    uint32_t disk = 0;
    DiskLayer layer = DiskLayer::guest;
    DiskAction action = DiskAction::write;
    uint64_t offset = 0, length = 0;  // bytes
    const uint8_t* data = nullptr;    // of writes
    int64_t result = 0;               // of those that have ended
};

struct RecordedEvent {
    uint32_t request = 0;  // place in Recording::requests
    bool began = true;     // else it ended
};

struct Recording {
    std::vector<RecordedRequest> requests;
    std::vector<RecordedEvent> events;
    std::map<std::string, uint32_t> disks;  // numbers by name

    // The log may end within a record: its writer was stopped. Errors: those of the host, invalid_input.
    static Result<Recording> load(const std::string& path);

  private:
    std::shared_ptr<void> m_log;  // mapped; `data` points into it
};

}  // namespace skep::test
