// SPDX-License-Identifier: GPL-3.0-or-later
// A file in memory that keeps apart what is durable and what was only written, and whose power can be cut between any
// two operations: what was not synced is then there in part, torn at sectors, or not at all.
#pragma once

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "devices/block/file_engine.hpp"

namespace skep::test {

class RecordingEngine final : public FileEngine {
  public:
    static constexpr size_t k_sector = 512;

    // The end comes in the middle of the operation with the number `cut_at`: of a write, some sectors were taken. It and
    // all after it fail, reads aside.
    RecordingEngine(std::vector<uint8_t> content, uint64_t cut_at)
        : m_now(content), m_durable(std::move(content)), m_cut_at(cut_at), m_thread([this] { run(); }) {}
    ~RecordingEngine() override {
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
            m_queue.push_back(std::move(op));
        }
        m_changed.notify_all();
    }
    // Until nothing is under way.
    void wait() {
        std::unique_lock lock(m_mutex);
        m_idle.wait(lock, [this] { return m_queue.empty() && !m_busy; });
    }
    [[nodiscard]] uint64_t operations() {
        const std::lock_guard lock(m_mutex);
        return m_count;
    }
    // What a reader of the file sees now.
    [[nodiscard]] std::vector<uint8_t> content() {
        const std::lock_guard lock(m_mutex);
        return m_now;
    }
    // What the disk holds after the power went: all that was synced, and of the rest whatever `random` says.
    [[nodiscard]] std::vector<uint8_t> after_cut(std::mt19937& random) {
        const std::lock_guard lock(m_mutex);
        std::vector<uint8_t> disk = m_durable;
        for (const Change& change : m_changes) {
            const unsigned fate = random() % 4;  // none, all, torn (twice as likely)
            for (size_t at = 0; at < change.bytes.size() && fate != 0; at += k_sector - (change.offset + at) % k_sector) {
                const size_t length = std::min(change.bytes.size() - at, k_sector - (change.offset + at) % k_sector);
                if (fate == 1 || random() % 2 == 0) {
                    put(disk, change.offset + at, {change.bytes.data() + at, length});
                }
            }
        }
        return disk;
    }

  private:
    struct Change {
        uint64_t offset;
        std::vector<uint8_t> bytes;
    };

    static void put(std::vector<uint8_t>& disk, uint64_t offset, std::span<const uint8_t> bytes) {
        disk.resize(std::max<size_t>(disk.size(), offset + bytes.size()));
        std::copy(bytes.begin(), bytes.end(), disk.begin() + static_cast<ptrdiff_t>(offset));
    }
    void change(uint64_t offset, std::vector<uint8_t> bytes) {
        put(m_now, offset, bytes);
        m_changes.push_back({offset, std::move(bytes)});
    }
    void sync() {
        m_durable = m_now;
        m_changes.clear();
    }
    int64_t read(const FileOp& op) const {
        int64_t moved = 0;
        for (const iovec& buffer : op.buffers) {
            const size_t at = op.offset + static_cast<size_t>(moved);
            const size_t there = at >= m_now.size() ? 0 : std::min(buffer.iov_len, m_now.size() - at);
            std::memcpy(buffer.iov_base, m_now.data() + (there != 0 ? at : 0), there);
            moved += static_cast<int64_t>(there);
            if (there < buffer.iov_len) {
                break;
            }
        }
        return moved;
    }
    int64_t write(const FileOp& op) {
        std::vector<uint8_t> bytes;
        for (const iovec& buffer : op.buffers) {
            const auto* from = static_cast<const uint8_t*>(buffer.iov_base);
            bytes.insert(bytes.end(), from, from + buffer.iov_len);
        }
        const auto moved = static_cast<int64_t>(bytes.size());
        change(op.offset, std::move(bytes));
        return moved;
    }
    void write_part(const FileOp& op) {
        std::vector<uint8_t> bytes;
        for (const iovec& buffer : op.buffers) {
            const auto* from = static_cast<const uint8_t*>(buffer.iov_base);
            bytes.insert(bytes.end(), from, from + buffer.iov_len);
        }
        const uint64_t end = (op.offset + m_cut_at % (bytes.size() + 1)) / k_sector * k_sector;
        bytes.resize(end > op.offset ? end - op.offset : 0);
        change(op.offset, std::move(bytes));
    }
    int64_t perform(const FileOp& op) {
        if (op.kind == FileOpKind::nothing) {
            return 0;
        }
        if (op.kind == FileOpKind::read) {
            return read(op);
        }
        if (m_count >= m_cut_at) {
            if (m_count++ == m_cut_at && op.kind == FileOpKind::write) {
                write_part(op);
            }
            return -EIO;
        }
        ++m_count;
        switch (op.kind) {
            case FileOpKind::write: return write(op);
            case FileOpKind::write_through: {
                // Alone durable, what else was written is not.
                const int64_t moved = write(op);
                put(m_durable, op.offset, m_changes.back().bytes);
                return moved;
            }
            case FileOpKind::sync: sync(); return 0;
            case FileOpKind::punch_hole:
            case FileOpKind::zero_range: {
                const uint64_t end = std::min<uint64_t>(m_now.size(), op.offset + op.length);
                if (op.offset < end) {
                    change(op.offset, std::vector<uint8_t>(end - op.offset));
                }
                return 0;
            }
            default: return 0;
        }
    }
    void run() {
        std::unique_lock lock(m_mutex);
        for (;;) {
            m_changed.wait(lock, [this] { return m_quit || !m_queue.empty(); });
            if (m_queue.empty()) {
                return;
            }
            FileOp op = std::move(m_queue.front());
            m_queue.pop_front();
            const int64_t result = perform(op);
            m_busy = true;
            lock.unlock();
            op.done(result);
            op = {};
            lock.lock();
            m_busy = false;
            m_idle.notify_all();
        }
    }

    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::condition_variable m_idle;
    bool m_busy = false;
    std::deque<FileOp> m_queue;
    std::vector<uint8_t> m_now;
    std::vector<uint8_t> m_durable;
    std::vector<Change> m_changes;  // since the last sync, in order
    uint64_t m_count = 0;           // of operations that change the disk
    uint64_t m_cut_at;
    bool m_quit = false;
    std::thread m_thread;
};

}  // namespace skep::test
