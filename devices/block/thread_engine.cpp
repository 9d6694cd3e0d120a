// SPDX-License-Identifier: GPL-3.0-or-later
// The fallback where io_uring is refused (old kernels, containers): blocking calls on a few threads.
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "devices/block/file_engine.hpp"

namespace skep {
namespace {

constexpr unsigned k_threads = 4;

class ThreadEngine final : public FileEngine {
  public:
    explicit ThreadEngine(int fd);
    ~ThreadEngine() override;
    void start(FileOp op) override;

  private:
    [[nodiscard]] int64_t perform(const FileOp& op) const;
    void run();

    int m_fd;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::condition_variable m_idle;
    std::deque<FileOp> m_queue;
    unsigned m_running = 0;
    bool m_quit = false;
    std::vector<std::thread> m_threads;
};

ThreadEngine::ThreadEngine(int fd) : m_fd(fd) {
    for (unsigned i = 0; i < k_threads; ++i) {
        m_threads.emplace_back([this] { run(); });
    }
}

ThreadEngine::~ThreadEngine() {
    {
        std::unique_lock lock(m_mutex);
        m_idle.wait(lock, [this] { return m_queue.empty() && m_running == 0; });
        m_quit = true;
    }
    m_changed.notify_all();
    for (std::thread& thread : m_threads) {
        thread.join();
    }
}

void ThreadEngine::start(FileOp op) {
    {
        const std::lock_guard lock(m_mutex);
        m_queue.push_back(std::move(op));
    }
    m_changed.notify_one();
}

int64_t ThreadEngine::perform(const FileOp& op) const {
    const auto offset = static_cast<off_t>(op.offset);
    const auto length = static_cast<off_t>(op.length);
    const auto count = static_cast<int>(op.buffers.size());
    int64_t result = 0;
    switch (op.kind) {
        case FileOpKind::read: result = preadv(m_fd, op.buffers.data(), count, offset); break;
        case FileOpKind::write: result = pwritev(m_fd, op.buffers.data(), count, offset); break;
        case FileOpKind::write_through: result = pwritev2(m_fd, op.buffers.data(), count, offset, RWF_DSYNC); break;
        case FileOpKind::sync: result = fdatasync(m_fd); break;
        case FileOpKind::punch_hole:
            result = fallocate(m_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
            break;
        case FileOpKind::zero_range:
            result = fallocate(m_fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
            break;
        case FileOpKind::nothing: break;
    }
    return result < 0 ? -int64_t{errno} : result;
}

void ThreadEngine::run() {
    std::unique_lock lock(m_mutex);
    for (;;) {
        m_changed.wait(lock, [this] { return m_quit || !m_queue.empty(); });
        if (m_queue.empty()) {
            return;
        }
        FileOp op = std::move(m_queue.front());
        m_queue.pop_front();
        ++m_running;
        lock.unlock();
        op.done(perform(op));
        op = {};
        lock.lock();
        --m_running;
        if (m_queue.empty() && m_running == 0) {
            m_idle.notify_all();
        }
    }
}

}  // namespace

std::unique_ptr<FileEngine> make_thread_engine(int fd) { return std::make_unique<ThreadEngine>(fd); }

}  // namespace skep
