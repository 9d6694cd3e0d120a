// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace skep {

namespace {

// What epoll keeps with a descriptor. The wake-up descriptor has generation 0.
uint64_t make_key(int fd, uint32_t generation) { return uint64_t{generation} << 32 | static_cast<uint32_t>(fd); }

}  // namespace

EventLoop::EventLoop() : m_epoll(epoll_create1(EPOLL_CLOEXEC)), m_wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    control(EPOLL_CTL_ADD, m_wake.get(), EPOLLIN, 0);
}

EventLoop::~EventLoop() = default;

void EventLoop::control(int operation, int fd, uint32_t events, uint32_t generation) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = make_key(fd, generation);
    epoll_ctl(m_epoll.get(), operation, fd, &event);
}

void EventLoop::add(int fd, uint32_t events, Callback callback) {
    m_generation = std::max(m_generation + 1, 1U);
    m_sources[fd] = std::make_shared<Source>(Source{std::move(callback), m_generation});
    control(EPOLL_CTL_ADD, fd, events, m_generation);
}

void EventLoop::modify(int fd, uint32_t events) {
    const auto found = m_sources.find(fd);
    if (found != m_sources.end()) {
        control(EPOLL_CTL_MOD, fd, events, found->second->generation);
    }
}

void EventLoop::remove(int fd) {
    if (m_sources.erase(fd) != 0) {
        control(EPOLL_CTL_DEL, fd, 0, 0);
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

void EventLoop::dispatch(uint64_t key, uint32_t events) {
    if (key == make_key(m_wake.get(), 0)) {
        uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t got = ::read(m_wake.get(), &ignored, sizeof ignored);
        return;
    }
    const auto found = m_sources.find(static_cast<int>(key));
    if (found == m_sources.end() || make_key(found->first, found->second->generation) != key) {
        return;
    }
    const std::shared_ptr<Source> source = found->second;  // survives its own removal
    source->callback(events);
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
            dispatch(event.data.u64, event.events);
        }
        run_tasks();
    }
}

}  // namespace skep
