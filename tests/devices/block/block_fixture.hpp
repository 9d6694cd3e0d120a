// SPDX-License-Identifier: GPL-3.0-or-later
// A folder of its own for image files, a request helper, and an engine that answers as it is told.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "devices/block/block_requests.hpp"
#include "devices/block/raw.hpp"

namespace skep::test {

// In memory where the host has room there, so that tests do not wait for its disk; TMPDIR says otherwise.
inline std::filesystem::path scratch_place() {
    constexpr uint64_t k_wanted = uint64_t{512} << 20;
    std::error_code error;
    const std::filesystem::space_info memory = std::filesystem::space("/dev/shm", error);
    const bool has_room = !error && memory.available >= k_wanted && access("/dev/shm", W_OK) == 0;
    return has_room && std::getenv("TMPDIR") == nullptr ? "/dev/shm" : std::filesystem::temp_directory_path();
}

class ScratchFolder {
  public:
    ScratchFolder() {
        std::string name = (scratch_place() / "skep-block-XXXXXX").string();
        m_path = mkdtemp(name.data());
    }
    ~ScratchFolder() { std::filesystem::remove_all(m_path); }
    [[nodiscard]] std::string file(const std::string& name) const { return (m_path / name).string(); }

  private:
    std::filesystem::path m_path;
};

inline std::string write_file(const std::string& path, size_t size, char fill) {
    std::ofstream(path, std::ios::binary) << std::string(size, fill);
    return path;
}

// Submits and waits.
inline BlockStatus carry_out(BlockBackend& backend, BlockRequest request) {
    return start_request(backend, std::move(request)).get();
}

inline BlockRequest transfer(BlockOp op, uint64_t offset, std::vector<uint8_t>& buffer) {
    BlockRequest request;
    request.op = op;
    request.offset = offset;
    request.buffers = {{buffer.data(), buffer.size()}};
    return request;
}

inline BlockRequest simple(BlockOp op, uint64_t offset = 0, uint64_t length = 0) {
    BlockRequest request;
    request.op = op;
    request.offset = offset;
    request.length = length;
    return request;
}

// Answers each operation with the next scripted result (0 when the script is empty), on its own thread.
class ScriptedEngine final : public FileEngine {
  public:
    struct Started {
        FileOpKind kind;
        uint64_t offset;
        uint64_t length;
    };
    ScriptedEngine() : m_thread([this] { run(); }) {}
    ~ScriptedEngine() override {
        {
            const std::lock_guard lock(m_mutex);
            m_quit = true;
        }
        m_changed.notify_all();
        m_thread.join();
    }
    void start(FileOp op) override {
        {
            const std::lock_guard lock(m_mutex);
            if (op.kind != FileOpKind::nothing) {
                started.push_back({op.kind, op.offset, op.length});
            }
            m_queue.push_back(std::move(op));
        }
        m_changed.notify_all();
    }
    void answer(std::initializer_list<int64_t> results) {
        const std::lock_guard lock(m_mutex);
        m_script.insert(m_script.end(), results);
    }
    std::vector<Started> started;  // read while nothing is in flight

  private:
    void run() {
        std::unique_lock lock(m_mutex);
        for (;;) {
            m_changed.wait(lock, [this] { return m_quit || !m_queue.empty(); });
            if (m_queue.empty()) {
                return;
            }
            FileOp op = std::move(m_queue.front());
            m_queue.pop_front();
            int64_t result = 0;
            if (op.kind != FileOpKind::nothing && !m_script.empty()) {
                result = m_script.front();
                m_script.pop_front();
            }
            lock.unlock();
            op.done(result);
            op = {};
            lock.lock();
        }
    }
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::deque<FileOp> m_queue;
    std::deque<int64_t> m_script;
    bool m_quit = false;
    std::thread m_thread;
};

}  // namespace skep::test
