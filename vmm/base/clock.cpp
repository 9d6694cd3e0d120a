// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/clock.hpp"

#include <pthread.h>

#include <chrono>
#include <ctime>

namespace skep {
namespace {

Nanoseconds host_monotonic() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<Nanoseconds>(time.tv_sec) * 1'000'000'000 + static_cast<Nanoseconds>(time.tv_nsec);
}

}  // namespace

void TimerQueue::arm(Entry& entry, Nanoseconds deadline) {
    disarm(entry);
    entry.position = m_order.emplace(deadline, &entry);
    entry.armed = true;
}

void TimerQueue::disarm(Entry& entry) {
    if (entry.armed) {
        m_order.erase(entry.position);
        entry.armed = false;
    }
}

TimerQueue::Entry* TimerQueue::take_due(Nanoseconds now) {
    if (m_order.empty() || m_order.begin()->first > now) {
        return nullptr;
    }
    Entry* entry = m_order.begin()->second;
    disarm(*entry);
    return entry;
}

class HostClock::HostTimer final : public Timer {
  public:
    HostTimer(HostClock& clock, std::function<void()> callback) : m_clock(clock) {
        m_entry.callback = std::move(callback);
    }
    ~HostTimer() override { cancel(); }

    void arm(Nanoseconds deadline) override {
        const std::lock_guard lock(m_clock.m_mutex);
        m_clock.m_queue.arm(m_entry, deadline);
        m_clock.m_changed.notify_one();
    }
    void disarm() override {
        const std::lock_guard lock(m_clock.m_mutex);
        m_clock.m_queue.disarm(m_entry);
    }
    void cancel() override {
        std::unique_lock lock(m_clock.m_mutex);
        m_clock.m_queue.disarm(m_entry);
        if (std::this_thread::get_id() != m_clock.m_thread.get_id()) {
            m_clock.m_idle.wait(lock, [&] { return m_clock.m_running != &m_entry; });
        }
    }

  private:
    HostClock& m_clock;
    TimerQueue::Entry m_entry;
};

HostClock::HostClock() : m_offset(host_monotonic()), m_thread([this] { run(); }) {
    pthread_setname_np(m_thread.native_handle(), "clock");
}

HostClock::~HostClock() {
    {
        const std::lock_guard lock(m_mutex);
        m_quit = true;
        m_changed.notify_one();
    }
    m_thread.join();
}

Nanoseconds HostClock::now_locked() const { return m_paused ? m_paused_at : host_monotonic() - m_offset; }

Nanoseconds HostClock::now() const {
    const std::lock_guard lock(m_mutex);
    return now_locked();
}

int64_t HostClock::wall_seconds() const { return std::time(nullptr); }

std::unique_ptr<Timer> HostClock::make_timer(std::function<void()> callback) {
    return std::make_unique<HostTimer>(*this, std::move(callback));
}

void HostClock::pause() {
    std::unique_lock lock(m_mutex);
    if (!m_paused) {
        m_paused_at = now_locked();
        m_paused = true;
    }
    if (std::this_thread::get_id() != m_thread.get_id()) {
        m_idle.wait(lock, [&] { return m_running == nullptr; });
    }
}

void HostClock::resume(Nanoseconds missed) {
    const std::lock_guard lock(m_mutex);
    if (m_paused) {
        m_offset = host_monotonic() - m_paused_at - missed;
        m_paused = false;
        m_changed.notify_one();
    }
}

void HostClock::set_now(Nanoseconds value) {
    const std::lock_guard lock(m_mutex);
    if (m_paused) {
        m_paused_at = value;
    }
}

void HostClock::run() {
    std::unique_lock lock(m_mutex);
    while (!m_quit) {
        if (m_paused || m_queue.empty()) {
            m_changed.wait(lock);
            continue;
        }
        const Nanoseconds now = now_locked();
        m_running = m_queue.take_due(now);
        if (m_running == nullptr) {
            m_changed.wait_for(lock, std::chrono::nanoseconds(m_queue.first_deadline() - now));
            continue;
        }
        lock.unlock();
        m_running->callback();
        lock.lock();
        m_running = nullptr;
        m_idle.notify_all();
    }
}

class TestClock::TestTimer final : public Timer {
  public:
    TestTimer(TestClock& clock, std::function<void()> callback) : m_clock(clock) {
        m_entry.callback = std::move(callback);
    }
    ~TestTimer() override { m_clock.m_queue.disarm(m_entry); }
    void arm(Nanoseconds deadline) override { m_clock.m_queue.arm(m_entry, deadline); }
    void disarm() override { m_clock.m_queue.disarm(m_entry); }
    void cancel() override { disarm(); }

  private:
    TestClock& m_clock;
    TimerQueue::Entry m_entry;
};

std::unique_ptr<Timer> TestClock::make_timer(std::function<void()> callback) {
    return std::make_unique<TestTimer>(*this, std::move(callback));
}

void TestClock::advance(Nanoseconds by) {
    const Nanoseconds target = m_now + by;
    while (!m_queue.empty() && m_queue.first_deadline() <= target) {
        m_now = std::max(m_now, m_queue.first_deadline());
        if (TimerQueue::Entry* entry = m_queue.take_due(m_now)) {
            entry->callback();
        }
    }
    m_now = target;
}

}  // namespace skep
