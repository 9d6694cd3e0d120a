// SPDX-License-Identifier: GPL-3.0-or-later
// The raw image: byte n of the disk is byte n of a (sparse) file or block device.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/block/file_engine.hpp"
#include "devices/block/image_lock.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct RawOptions {
    ImageAccess access = ImageAccess::read_write;
    uint32_t block_size = 512;  // 2048 for a CD; a read-only image is rounded up to it with zeros
    IoMethod method = IoMethod::automatic;
};

// A new sparse image of `size` bytes (a multiple of 512). Never overwrites: an existing file is an in_use error.
Status create_raw_image(const std::string& path, uint64_t size);

class RawImage final : public BlockBackend {
  public:
    // Opens and locks. Errors: not_found, permission, in_use, invalid_input (a directory, an empty file, an odd size).
    static Result<std::shared_ptr<RawImage>> open(const std::string& path, const RawOptions& options = {});
    // For tests: the same over any engine.
    RawImage(std::string path, BlockInfo info, uint64_t file_size, Fd fd, std::unique_ptr<FileEngine> engine);
    // Finishes what is in flight; what is held is completed with no_space.
    ~RawImage() override;

    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override;
    void drain() override;
    void set_on_no_space(std::function<void(const std::string&)> report) override;
    void retry() override;
    void cancel_held() override;
    Status grow(uint64_t size) override;

  private:
    enum class Stage { data, sync };
    struct Pending {
        BlockRequest request;
        uint64_t length = 0;
        uint64_t done = 0;
        Stage stage = Stage::data;
        FileOpKind kind = FileOpKind::nothing;  // how the data stage is carried out; changes where refused
    };
    using PendingPtr = std::shared_ptr<Pending>;

    [[nodiscard]] BlockStatus validate(const Pending& pending) const;
    void issue(const PendingPtr& pending);
    void completed(const PendingPtr& pending, int64_t result);
    void moved(const PendingPtr& pending, uint64_t bytes);
    void failed(const PendingPtr& pending, int error);
    [[nodiscard]] bool use_fallback(Pending& pending, int error) const;
    void zero_tail(Pending& pending) const;
    void hold(const PendingPtr& pending);
    void sync_failed(int error);
    void finish(const PendingPtr& pending, BlockStatus status);
    void answer_later(const PendingPtr& pending, BlockStatus status);

    std::string m_path;
    BlockInfo m_info;
    uint64_t m_file_size;
    Fd m_fd;

    std::mutex m_mutex;
    std::condition_variable m_idle;
    unsigned m_in_flight = 0;
    std::vector<PendingPtr> m_held;
    std::function<void(const std::string&)> m_report_no_space;
    // After one failed fdatasync the kernel may have forgotten what it could not write: nothing is promised any more.
    std::atomic<bool> m_sync_failed{false};
    std::atomic<uint64_t> m_errors{0};
    std::unique_ptr<FileEngine> m_engine;  // last: gone before what its completions use
};

}  // namespace skep
