// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/power_cuts/recording.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

namespace skep::test {
namespace {

bool has_data(const DiskRecord& record) {
    return record.phase == DiskPhase::named ||
           (record.phase == DiskPhase::began && (record.action == DiskAction::write || record.action == DiskAction::write_through));
}

}  // namespace

Result<Recording> Recording::load(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const off_t end = fd ? lseek(fd.get(), 0, SEEK_END) : -1;
    if (end < static_cast<off_t>(k_disk_log_magic.size())) {
        return fail(ErrorKind::invalid_input, "{} is no log of disks.", path);
    }
    const auto size = static_cast<size_t>(end);
    void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (mapped == MAP_FAILED) {
        return fail_errno(errno, fmt::format("Reading {}", path));
    }
    Recording recording;
    recording.m_log = std::shared_ptr<void>(mapped, [size](void* log) { munmap(log, size); });
    const auto* const bytes = static_cast<const uint8_t*>(mapped);
    if (std::memcmp(bytes, k_disk_log_magic.data(), k_disk_log_magic.size()) != 0) {
        return fail(ErrorKind::invalid_input, "{} is no log of disks.", path);
    }
    std::unordered_map<uint64_t, uint32_t> places;  // by id
    DiskRecord record;
    for (size_t at = k_disk_log_magic.size(); at + sizeof record <= size;) {
        std::memcpy(&record, bytes + at, sizeof record);
        at += sizeof record;
        const uint64_t data = has_data(record) ? record.length : 0;
        if (data > size - at) {
            break;
        }
        if (record.phase == DiskPhase::named) {
            recording.disks[std::string(reinterpret_cast<const char*>(bytes + at), data)] = record.disk;
        } else if (record.phase == DiskPhase::began) {
            places[record.id] = static_cast<uint32_t>(recording.requests.size());
            recording.events.push_back({static_cast<uint32_t>(recording.requests.size()), true});
            recording.requests.push_back({record.disk, record.layer, record.action, record.offset, record.length,
                                          data != 0 ? bytes + at : nullptr, 0});
        } else {
            recording.requests[places.at(record.id)].result = record.result;
            recording.events.push_back({places.at(record.id), false});
        }
        at += data;
    }
    return recording;
}

}  // namespace skep::test
