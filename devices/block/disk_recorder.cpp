// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/block/disk_recorder.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "devices/block/block_requests.hpp"
#include "devices/block/passing_disk.hpp"
#include "vmm/base/files.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

std::optional<DiskAction> action_of(FileOpKind kind) {
    switch (kind) {
        case FileOpKind::write: return DiskAction::write;
        case FileOpKind::write_through: return DiskAction::write_through;
        case FileOpKind::sync: return DiskAction::flush;
        case FileOpKind::punch_hole:
        case FileOpKind::zero_range: return DiskAction::zero;
        default: return std::nullopt;
    }
}

std::optional<DiskAction> action_of(const BlockRequest& request) {
    switch (request.op) {
        case BlockOp::write: return request.durability == Durability::through ? DiskAction::write_through : DiskAction::write;
        case BlockOp::flush: return DiskAction::flush;
        case BlockOp::discard: return DiskAction::discard;
        case BlockOp::write_zeroes: return DiskAction::zero;
        default: return std::nullopt;
    }
}

class RecordedFile final : public FileEngine {
  public:
    RecordedFile(std::unique_ptr<FileEngine> engine, std::shared_ptr<DiskRecorder> recorder, uint32_t disk)
        : m_recorder(std::move(recorder)), m_disk(disk), m_engine(std::move(engine)) {}

    void start(FileOp op) override {
        if (const auto action = action_of(op.kind)) {
            const uint64_t length = op.buffers.empty() ? op.length : total_bytes(op.buffers);
            const uint64_t id = m_recorder->begin(m_disk, DiskLayer::file, *action, op.offset, length, op.buffers);
            op.done = [recorder = m_recorder, id, done = std::move(op.done)](int64_t result) {
                recorder->end(id, result);
                done(result);
            };
        }
        m_engine->start(std::move(op));
    }

  private:
    std::shared_ptr<DiskRecorder> m_recorder;
    uint32_t m_disk;
    std::unique_ptr<FileEngine> m_engine;
};

class RecordedDisk final : public PassingDisk {
  public:
    RecordedDisk(std::shared_ptr<BlockBackend> disk, std::shared_ptr<DiskRecorder> recorder, uint32_t number)
        : PassingDisk(std::move(disk)), m_recorder(std::move(recorder)), m_number(number) {}

    void submit(BlockRequest request) override {
        if (const auto action = action_of(request)) {
            const uint64_t id =
                m_recorder->begin(m_number, DiskLayer::guest, *action, request.offset, request_length(request), request.buffers);
            request.done = [recorder = m_recorder, id, done = std::move(request.done)](BlockStatus status) {
                recorder->end(id, status == BlockStatus::ok ? 0 : -EIO);
                done(status);
            };
        }
        m_disk->submit(std::move(request));
    }

  private:
    std::shared_ptr<DiskRecorder> m_recorder;
    uint32_t m_number;
};

}  // namespace

Result<std::shared_ptr<DiskRecorder>> DiskRecorder::create(const std::string& path) {
    Fd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!log) {
        if (errno == EEXIST) {
            return fail(ErrorKind::in_use, "{} exists already and is left as it is. Choose another name for the disks' log.", path);
        }
        return fail_errno(errno, fmt::format("Creating the disks' log {}", path));
    }
    if (!write_all(log.get(), {k_disk_log_magic.data(), k_disk_log_magic.size()})) {
        return fail_errno(errno, fmt::format("Writing the disks' log {}", path));
    }
    return std::make_shared<DiskRecorder>(std::move(log));
}

void DiskRecorder::append(const DiskRecord& record, std::span<const char> data) {
    if (m_failed) {
        return;
    }
    std::vector<char> bytes(sizeof record + data.size());
    std::memcpy(bytes.data(), &record, sizeof record);
    std::copy(data.begin(), data.end(), bytes.begin() + sizeof record);
    if (!write_all(m_log.get(), {bytes.data(), bytes.size()})) {
        const int error = errno;
        m_failed = true;
        log_error("The disks' log cannot be written (errno {}): it ends here.", error);
    }
}

uint32_t DiskRecorder::add_disk(const std::string& name) {
    const std::lock_guard lock(m_mutex);
    append({.disk = m_disks, .phase = DiskPhase::named, .length = name.size()}, name);
    return m_disks++;
}

uint64_t DiskRecorder::begin(uint32_t disk, DiskLayer layer, DiskAction action, uint64_t offset, uint64_t length,
                             const std::vector<iovec>& data) {
    std::vector<char> bytes;
    bytes.reserve(total_bytes(data));
    for (const iovec& buffer : data) {
        const auto* from = static_cast<const char*>(buffer.iov_base);
        bytes.insert(bytes.end(), from, from + buffer.iov_len);
    }
    const std::lock_guard lock(m_mutex);
    const uint64_t id = ++m_last_id;
    append({.disk = disk, .layer = layer, .action = action, .phase = DiskPhase::began, .id = id, .offset = offset, .length = length},
           bytes);
    return id;
}

void DiskRecorder::end(uint64_t id, int64_t result) {
    const std::lock_guard lock(m_mutex);
    append({.phase = DiskPhase::ended, .id = id, .result = result}, {});
}

std::unique_ptr<FileEngine> record_file(std::unique_ptr<FileEngine> engine, std::shared_ptr<DiskRecorder> recorder, uint32_t disk) {
    return std::make_unique<RecordedFile>(std::move(engine), std::move(recorder), disk);
}

std::shared_ptr<BlockBackend> record_disk(std::shared_ptr<BlockBackend> disk, std::shared_ptr<DiskRecorder> recorder, uint32_t number) {
    return std::make_shared<RecordedDisk>(std::move(disk), std::move(recorder), number);
}

}  // namespace skep
