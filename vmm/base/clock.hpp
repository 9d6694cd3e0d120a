// SPDX-License-Identifier: GPL-3.0-or-later
// Time: every device reads the time and sets timers through a Clock, so that tests own time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace skep {

using Nanoseconds = uint64_t;  // since the clock's own zero, monotonic

class Clock;

// A one-shot timer. Arming again moves it. cancel() is synchronous: when it returns, the callback is
// neither running nor will it run (except when called from the callback itself).
// Never call cancel() or destroy a timer while holding a lock that its callback takes.
// disarm() is the non-waiting form for use under such a lock: the callback may still be about to run
// and must check its own state.
class Timer {
  public:
    virtual ~Timer() = default;
    virtual void arm(Nanoseconds deadline) = 0;
    virtual void disarm() = 0;
    virtual void cancel() = 0;
};

class Clock {
  public:
    virtual ~Clock() = default;
    // Guest time: stands still while the VM is paused. Any thread.
    [[nodiscard]] virtual Nanoseconds now() const = 0;
    // Seconds since 1970-01-01 UTC on the host, for the RTC.
    [[nodiscard]] virtual int64_t wall_seconds() const = 0;
    // The callback runs on the clock's thread (host clock) or inside advance() (test clock), no lock held.
    [[nodiscard]] virtual std::unique_ptr<Timer> make_timer(std::function<void()> callback) = 0;
};

// The order of pending deadlines, shared by both clocks.
class TimerQueue {
  public:
    struct Entry;
    using Order = std::multimap<Nanoseconds, Entry*>;
    struct Entry {
        std::function<void()> callback;
        Order::iterator position;
        bool armed = false;
    };

    void arm(Entry& entry, Nanoseconds deadline);
    void disarm(Entry& entry);
    // The entry due first at or before `now`, removed from the queue; null if none.
    Entry* take_due(Nanoseconds now);
    [[nodiscard]] bool empty() const { return m_order.empty(); }
    [[nodiscard]] Nanoseconds first_deadline() const { return m_order.begin()->first; }

  private:
    Order m_order;
};

// CLOCK_MONOTONIC less the time that was paused and not made up for, with a thread of its own that runs the callbacks.
class HostClock final : public Clock {
  public:
    HostClock();
    ~HostClock() override;

    [[nodiscard]] Nanoseconds now() const override;
    [[nodiscard]] int64_t wall_seconds() const override;
    [[nodiscard]] std::unique_ptr<Timer> make_timer(std::function<void()> callback) override;

    // Control thread. While paused now() stands still and no callback starts; pause() waits for a running one.
    void pause();
    // now() goes on from where it stood, plus `missed` (of the time it stood still).
    void resume(Nanoseconds missed = 0);
    // Sets guest time (when a saved machine is restored). Only while paused.
    void set_now(Nanoseconds value);

  private:
    class HostTimer;
    void run();
    [[nodiscard]] Nanoseconds now_locked() const;

    mutable std::mutex m_mutex;
    std::condition_variable m_changed;
    std::condition_variable m_idle;
    TimerQueue m_queue;
    TimerQueue::Entry* m_running = nullptr;
    Nanoseconds m_offset = 0;      // host monotonic time at guest time zero
    Nanoseconds m_paused_at = 0;   // guest time when paused
    bool m_paused = false;
    bool m_quit = false;
    std::thread m_thread;
};

// A clock that moves only when told to. One thread.
class TestClock final : public Clock {
  public:
    [[nodiscard]] Nanoseconds now() const override { return m_now; }
    [[nodiscard]] int64_t wall_seconds() const override { return m_wall + static_cast<int64_t>(m_now / 1'000'000'000); }
    [[nodiscard]] std::unique_ptr<Timer> make_timer(std::function<void()> callback) override;

    // Moves time forward, running every timer that falls due at its own deadline.
    void advance(Nanoseconds by);
    void set_wall_seconds(int64_t seconds) { m_wall = seconds; }

  private:
    class TestTimer;
    TimerQueue m_queue;
    Nanoseconds m_now = 0;
    int64_t m_wall = 0;
};

}  // namespace skep
