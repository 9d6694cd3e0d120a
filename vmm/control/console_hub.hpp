// SPDX-License-Identifier: GPL-3.0-or-later
// ConsoleHub: the host's end of one serial port. Keeps the last MiB of output and gives it to every viewer that
// attaches, then live bytes; collects the viewers' input for the guest. The guest never waits: a viewer that reads
// slowly loses its oldest bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/event_loop.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/console_link.hpp"

namespace skep {

// The last `capacity` bytes written, addressed by their position in the whole stream. Caller locks.
class ByteHistory {
  public:
    explicit ByteHistory(size_t capacity) : m_capacity(capacity) {}
    void append(std::span<const std::byte> data);
    [[nodiscard]] uint64_t begin() const { return m_end - m_bytes.size(); }
    [[nodiscard]] uint64_t end() const { return m_end; }
    // Copies up to `size` bytes from `position` on (which must be >= begin()); returns how many.
    size_t copy(uint64_t position, std::byte* to, size_t size) const;

  private:
    size_t m_capacity;
    std::vector<std::byte> m_bytes;  // a ring once it has reached its capacity
    size_t m_head = 0;               // index of the oldest byte
    uint64_t m_end = 0;
};

enum class ConsoleReplay { with_history, live_only };

// write, read and set_input_ready have the contract of CharBackend (the worker adapts it): any thread, never block.
class ConsoleHub {
  public:
    static constexpr size_t k_history_bytes = 1024 * 1024;
    static constexpr size_t k_input_bytes = 64 * 1024;  // more is left in the viewers' sockets
    static constexpr size_t k_max_viewers = 16;

    // The loop must run on until after the hub is destroyed or close() was called on its thread.
    explicit ConsoleHub(EventLoop& loop, size_t history_bytes = k_history_bytes);
    ~ConsoleHub();

    void write(std::span<const std::byte> data);
    size_t read(std::byte* to, size_t size);
    void set_input_ready(std::function<void()> ready);

    // Loop thread. A connected socket for a new viewer.
    [[nodiscard]] Result<ConsoleLink> open_viewer(ConsoleReplay replay = ConsoleReplay::with_history);
    // Loop thread. Lets every viewer go, after a last attempt to hand them what they have not read.
    void close();
    [[nodiscard]] size_t viewer_count() const;  // loop thread

  private:
    struct Viewer;
    void flush(Viewer& viewer);
    void flush_all();
    void take_input(Viewer& viewer);
    void take_all_input();
    void on_ready(int fd, uint32_t events);
    void drop(int fd);
    void watch(Viewer& viewer);

    EventLoop& m_loop;
    std::map<int, std::unique_ptr<Viewer>> m_viewers;  // loop thread
    std::shared_ptr<bool> m_alive;                     // false once closed: posted tasks then do nothing
    mutable std::mutex m_mutex;                        // the rest
    ByteHistory m_history;
    std::deque<std::byte> m_input;
    std::function<void()> m_input_ready;
    bool m_flush_posted = false;
    bool m_input_full = false;
    bool m_take_posted = false;
};

}  // namespace skep
