// SPDX-License-Identifier: GPL-3.0-or-later
// One io_uring ring (io_uring(7)) with its own completion thread.
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "devices/block/file_engine.hpp"

namespace skep {
namespace {

constexpr unsigned k_ring_entries = 256;

class UringEngine final : public FileEngine {
  public:
    explicit UringEngine(int fd) : m_fd(fd) {}
    ~UringEngine() override;
    Status open();
    void start(FileOp op) override;

  private:
    void prepare(FileOp* op);  // with m_mutex held
    void submit();
    void run();
    void finish(FileOp* op, int64_t result);

    int m_fd;
    bool m_open = false;
    io_uring m_ring{};
    // Also what orders an operation's memory between its starter and the completion thread.
    std::mutex m_mutex;
    std::condition_variable m_idle;
    std::deque<FileOp*> m_waiting;  // beyond what the ring takes
    unsigned m_in_ring = 0;
    bool m_quit = false;
    std::thread m_thread;
};

Status UringEngine::open() {
    const int error = io_uring_queue_init(k_ring_entries, &m_ring, 0);
    if (error != 0) {
        return fail(ErrorKind::unsupported, "This host refuses io_uring (error {}).", -error);
    }
    m_open = true;
    m_thread = std::thread([this] { run(); });
    return {};
}

UringEngine::~UringEngine() {
    if (!m_open) {
        return;
    }
    {
        std::unique_lock lock(m_mutex);
        m_idle.wait(lock, [this] { return m_in_ring == 0 && m_waiting.empty(); });
        m_quit = true;
        io_uring_sqe* wake = io_uring_get_sqe(&m_ring);
        io_uring_prep_nop(wake);
        io_uring_sqe_set_data(wake, nullptr);
        submit();
    }
    m_thread.join();
    io_uring_queue_exit(&m_ring);
}

void UringEngine::start(FileOp op) {
    auto* owned = new FileOp(std::move(op));  // comes back as the completion's user data
    const std::lock_guard lock(m_mutex);
    if (m_in_ring >= k_ring_entries || !m_waiting.empty()) {
        m_waiting.push_back(owned);
        return;
    }
    prepare(owned);
    submit();
}

void UringEngine::prepare(FileOp* op) {
    io_uring_sqe* entry = io_uring_get_sqe(&m_ring);
    if (entry == nullptr) {  // an earlier submission was put off by the kernel
        m_waiting.push_front(op);
        return;
    }
    const auto count = static_cast<unsigned>(op->buffers.size());
    switch (op->kind) {
        case FileOpKind::read: io_uring_prep_readv(entry, m_fd, op->buffers.data(), count, op->offset); break;
        case FileOpKind::write: io_uring_prep_writev(entry, m_fd, op->buffers.data(), count, op->offset); break;
        case FileOpKind::write_through:
            io_uring_prep_writev2(entry, m_fd, op->buffers.data(), count, op->offset, RWF_DSYNC);
            break;
        case FileOpKind::sync: io_uring_prep_fsync(entry, m_fd, IORING_FSYNC_DATASYNC); break;
        case FileOpKind::punch_hole:
            io_uring_prep_fallocate(entry, m_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(op->offset), static_cast<off_t>(op->length));
            break;
        case FileOpKind::zero_range:
            io_uring_prep_fallocate(entry, m_fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(op->offset), static_cast<off_t>(op->length));
            break;
        case FileOpKind::nothing: io_uring_prep_nop(entry); break;
    }
    io_uring_sqe_set_data(entry, op);
    ++m_in_ring;
}

void UringEngine::submit() {
    // -EAGAIN and -EBUSY leave the entries in the ring; the completion thread submits them again.
    while (io_uring_submit(&m_ring) == -EINTR) {
    }
}

void UringEngine::finish(FileOp* op, int64_t result) {
    const std::unique_ptr<FileOp> owned(op);
    owned->done(result);
    const std::lock_guard lock(m_mutex);
    --m_in_ring;
    while (!m_waiting.empty() && m_in_ring < k_ring_entries && io_uring_sq_space_left(&m_ring) > 0) {
        FileOp* next = m_waiting.front();
        m_waiting.pop_front();
        prepare(next);
    }
    if (io_uring_sq_ready(&m_ring) > 0) {
        submit();
    }
    if (m_in_ring == 0 && m_waiting.empty()) {
        m_idle.notify_all();
    }
}

void UringEngine::run() {
    for (;;) {
        io_uring_cqe* entry = nullptr;
        if (io_uring_wait_cqe(&m_ring, &entry) != 0) {
            continue;  // a signal
        }
        auto* op = static_cast<FileOp*>(io_uring_cqe_get_data(entry));
        const int64_t result = entry->res;
        io_uring_cqe_seen(&m_ring, entry);
        {
            const std::lock_guard lock(m_mutex);
            if (op == nullptr && m_quit) {
                return;
            }
        }
        finish(op, result);
    }
}

}  // namespace

Result<std::unique_ptr<FileEngine>> make_uring_engine(int fd) {
    auto engine = std::make_unique<UringEngine>(fd);
    if (const Status status = engine->open(); !status) {
        return tl::unexpected(status.error());
    }
    return engine;
}

Result<std::unique_ptr<FileEngine>> make_file_engine(int fd, IoMethod method) {
    if (method != IoMethod::threads) {
        auto engine = make_uring_engine(fd);
        if (engine || method == IoMethod::uring) {
            return engine;
        }
    }
    return make_thread_engine(fd);
}

}  // namespace skep
