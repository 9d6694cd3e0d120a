// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace skep {

EventLoop::EventLoop() : m_epoll(epoll_create1(EPOLL_CLOEXEC)), m_wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = m_wake.get();
    epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, m_wake.get(), &event);
}

EventLoop::~EventLoop() = default;

void EventLoop::add(int fd, uint32_t events, Callback callback) {
    m_sources[fd] = std::make_shared<Source>(Source{std::move(callback)});
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, fd, &event);
}

void EventLoop::modify(int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(m_epoll.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::remove(int fd) {
    if (m_sources.erase(fd) != 0) {
        epoll_ctl(m_epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
    }
}

void EventLoop::post(std::function<void()> task) {
    {
        const std::lock_guard lock(m_mutex);
        m_tasks.push_back(std::move(task));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(m_wake.get(), &one, sizeof one);
}

uint64_t EventLoop::after(std::chrono::milliseconds delay, std::function<void()> task) {
    const uint64_t id = m_next_id++;
    m_delayed.emplace(id, Delayed{std::chrono::steady_clock::now() + delay, std::move(task)});
    return id;
}

void EventLoop::cancel_after(uint64_t id) { m_delayed.erase(id); }

void EventLoop::quit() {
    m_quit = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(m_wake.get(), &one, sizeof one);
}

int EventLoop::wait_milliseconds() const {
    if (m_delayed.empty()) {
        return -1;
    }
    auto first = std::chrono::steady_clock::time_point::max();
    for (const auto& [id, delayed] : m_delayed) {
        first = std::min(first, delayed.when);
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(first - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count() + 1, 0, 60'000));
}

void EventLoop::run_tasks() {
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(m_mutex);
        tasks.swap(m_tasks);
    }
    for (auto& task : tasks) {
        task();
    }
    const auto now = std::chrono::steady_clock::now();
    std::vector<uint64_t> due;
    for (const auto& [id, delayed] : m_delayed) {
        if (delayed.when <= now) {
            due.push_back(id);
        }
    }
    for (const uint64_t id : due) {
        if (auto node = m_delayed.extract(id)) {  // an earlier task may have cancelled it
            node.mapped().task();
        }
    }
}

void EventLoop::run() {
    std::array<epoll_event, 64> events{};
    while (!m_quit) {
        const int count = epoll_wait(m_epoll.get(), events.data(), static_cast<int>(events.size()), wait_milliseconds());
        if (count < 0 && errno != EINTR) {
            return;
        }
        for (int index = 0; index < count; ++index) {
            const epoll_event& event = events[static_cast<size_t>(index)];
            if (event.data.fd == m_wake.get()) {
                uint64_t ignored = 0;
                [[maybe_unused]] const ssize_t got = ::read(m_wake.get(), &ignored, sizeof ignored);
                continue;
            }
            const auto found = m_sources.find(event.data.fd);
            if (found != m_sources.end()) {
                const std::shared_ptr<Source> source = found->second;  // survives its own removal
                source->callback(event.events);
            }
        }
        run_tasks();
    }
}

}  // namespace skep
