// SPDX-License-Identifier: GPL-3.0-or-later
// EventLoop: one epoll loop on one thread, for the control socket, consoles and completions.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "vmm/base/fd.hpp"

namespace skep {

class EventLoop {
  public:
    using Callback = std::function<void(uint32_t events)>;  // EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR

    EventLoop();
    ~EventLoop();

    // Loop thread (or before run()). The fd stays the caller's; remove it before closing it.
    void add(int fd, uint32_t events, Callback callback);
    void modify(int fd, uint32_t events);
    void remove(int fd);

    // Any thread: runs the task on the loop's thread, soon.
    void post(std::function<void()> task);
    // Loop thread: runs the task after a delay. Returns an id for cancel_after().
    uint64_t after(std::chrono::milliseconds delay, std::function<void()> task);
    void cancel_after(uint64_t id);

    void run();   // until quit()
    void quit();  // any thread, and from a signal handler

  private:
    // An event already fetched for a source that was removed must not reach the next one on the same descriptor number:
    // every add() has a generation of its own, which travels with the event.
    struct Source {
        Callback callback;
        uint32_t generation = 0;
    };
    void control(int operation, int fd, uint32_t events, uint32_t generation);
    void dispatch(uint64_t key, uint32_t events);
    void run_tasks();
    [[nodiscard]] int wait_milliseconds() const;

    Fd m_epoll;
    Fd m_wake;
    std::map<int, std::shared_ptr<Source>> m_sources;
    std::mutex m_mutex;
    std::vector<std::function<void()>> m_tasks;
    struct Delayed {
        std::chrono::steady_clock::time_point when;
        std::function<void()> task;
    };
    std::map<uint64_t, Delayed> m_delayed;
    uint64_t m_next_id = 1;
    uint32_t m_generation = 0;
    std::atomic<bool> m_quit{false};
};

}  // namespace skep
