// SPDX-License-Identifier: GPL-3.0-or-later
// The thread that owns a qcow2 image's tables: flushes, what is held for want of space, and the end.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>

#include "devices/formats/qcow2.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

constexpr size_t k_most_unlogged = 64;

}  // namespace

Qcow2Image::~Qcow2Image() {
    for (;;) {
        drain();
        {
            const std::lock_guard lock(m_mutex);
            if (m_held.empty()) {
                break;
            }
        }
        cancel_held();
    }
    {
        const std::lock_guard lock(m_mutex);
        m_quit = true;
    }
    m_changed.notify_all();
    m_thread.join();
    m_engine.reset();  // their completions use what is below
    m_backing.reset();
}

void Qcow2Image::begin_work() {
    const std::lock_guard lock(m_mutex);
    ++m_active;
}

void Qcow2Image::end_work() {
    const std::lock_guard lock(m_mutex);
    if (--m_active == 0) {
        m_idle.notify_all();
    }
}

void Qcow2Image::start_op(FileOp op) {
    begin_work();
    op.done = [this, done = std::move(op.done)](int64_t result) {
        done(result);
        end_work();
    };
    m_engine->start(std::move(op));
}

void Qcow2Image::post(std::function<void()> work) {
    {
        const std::lock_guard lock(m_mutex);
        ++m_active;
        m_work.push_back(std::move(work));
    }
    m_changed.notify_one();
}

void Qcow2Image::drain() {
    std::unique_lock lock(m_mutex);
    m_idle.wait(lock, [this] { return m_active == 0; });
}

void Qcow2Image::run() {
    using Clock = std::chrono::steady_clock;
    const auto patience = std::chrono::seconds(m_options.commit_seconds);
    Clock::time_point due = Clock::time_point::max();
    std::unique_lock lock(m_mutex);
    const auto ready = [this] { return m_quit || !m_work.empty(); };
    for (;;) {
        if (due == Clock::time_point::max()) {
            m_changed.wait(lock, ready);
        } else {
            m_changed.wait_until(lock, due, ready);
        }
        std::function<void()> work;
        if (!m_work.empty()) {
            work = std::move(m_work.front());
            m_work.pop_front();
        }
        const bool last = !work && m_quit;
        const bool more = !m_work.empty();
        lock.unlock();
        if (work) {
            work();
            work = nullptr;
            log_changes(more);
            end_work();
        }
        if (last || Clock::now() >= due) {
            // Whoever flushes learns of a failure; without a flush nothing was promised.
            static_cast<void>(commit());
            due = Clock::time_point::max();
        }
        if (last) {
            break;
        }
        if (!m_tables_dirty) {
            due = Clock::time_point::max();
        } else if (due == Clock::time_point::max() && m_options.commit_seconds != 0) {
            due = Clock::now() + patience;
        }
        lock.lock();
    }
    release_unused();
    if (commit() == 0 && !m_info.read_only) {
        m_store->close_log();
    }
}

// A part of a request that changed the tables ends; with others', one write to the log serves them all.
void Qcow2Image::end_logged(const RequestPtr& request) {
    if (m_store->has_unlogged()) {
        m_unlogged.push_back(request);
    } else {
        end_part(request);
    }
}

void Qcow2Image::log_changes(bool more_to_come) {
    if (m_unlogged.empty() || (more_to_come && m_unlogged.size() < k_most_unlogged)) {
        return;
    }
    const HostError error = m_store->log_changes();
    if (m_store->file().sync_failed()) {
        sync_failed();
    }
    for (const RequestPtr& request : std::exchange(m_unlogged, {})) {
        if (error == ENOSPC || error == EDQUOT) {
            hold({request, [this, request] { m_unlogged.push_back(request); },
                  [this, request] { end_part(request, BlockStatus::no_space); }});
        } else {
            end_part(request, error == 0 ? BlockStatus::ok : BlockStatus::io_error);
        }
    }
}

void Qcow2Image::sync_failed() {
    if (!m_sync_failed.exchange(true)) {
        log_error("disk image {}: the host could not make written data durable; every further write fails", m_store->path());
    }
}

HostError Qcow2Image::commit() {
    if (m_info.read_only) {
        return 0;
    }
    const HostError error = m_store->commit();
    if (m_store->file().sync_failed()) {
        sync_failed();
    }
    if (error == 0) {
        const std::vector<uint64_t> released = m_store->take_released();
        m_released.insert(m_released.end(), released.begin(), released.end());
        m_tables_dirty = false;
        release_unused();
    }
    return error;
}

// Clusters that no table names any more are free once no request is in flight that may have looked them up before.
void Qcow2Image::release_unused() {
    for (;;) {
        std::vector<uint64_t> unused;
        {
            const std::lock_guard lock(m_mutex);
            if (m_in_flight[m_parity ^ 1] != 0) {
                return;
            }
            unused.swap(m_retiring);
            if (unused.empty() && m_released.empty()) {
                return;
            }
            m_retiring.swap(m_released);
            m_parity ^= 1;
        }
        if (!unused.empty()) {
            static_cast<void>(m_store->drop_released(unused));  // an error is logged there; the clusters are lost
            m_tables_dirty = true;
        }
    }
}

void Qcow2Image::flush_all() {
    std::vector<RequestPtr> flushes;
    {
        const std::lock_guard lock(m_mutex);
        flushes.swap(m_flushes);
    }
    if (flushes.empty()) {
        return;
    }
    const HostError error = commit();
    for (const RequestPtr& request : flushes) {
        if (error == ENOSPC || error == EDQUOT) {
            const auto again = [this, request] {
                {
                    const std::lock_guard lock(m_mutex);
                    m_flushes.push_back(request);
                }
                post([this] { flush_all(); });
            };
            hold({request, again, [this, request] { complete(request, BlockStatus::no_space); }});
        } else {
            complete(request, error == 0 ? BlockStatus::ok : BlockStatus::io_error);
        }
    }
}

void Qcow2Image::sync_directly(const RequestPtr& request) {
    FileOp op;
    op.kind = FileOpKind::sync;
    op.done = [this, request](int64_t result) {
        if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
            sync_directly(request);
            return;
        }
        if (result < 0) {
            sync_failed();
        }
        complete(request, result < 0 ? BlockStatus::io_error : BlockStatus::ok);
    };
    start_op(std::move(op));
}

void Qcow2Image::hold(Held held) {
    std::function<void(const std::string&)> report;
    {
        const std::lock_guard lock(m_mutex);
        if (m_held.empty()) {
            report = m_report_no_space;
        }
        m_held.push_back(std::move(held));
    }
    if (report) {
        report(fmt::format("The host's disk is full: {} cannot grow. Free some space, then press Retry.", m_store->path()));
    }
}

void Qcow2Image::set_on_no_space(std::function<void(const std::string&)> report) {
    const std::lock_guard lock(m_mutex);
    m_report_no_space = std::move(report);
}

void Qcow2Image::retry() {
    std::vector<Held> held;
    {
        const std::lock_guard lock(m_mutex);
        held.swap(m_held);
    }
    for (Held& one : held) {
        post(std::move(one.again));
    }
}

Status Qcow2Image::grow(uint64_t size) {
    if (Status may = may_grow(size); !may) {
        return may;
    }
    std::promise<Status> promise;
    std::future<Status> done = promise.get_future();
    post([&] { promise.set_value(m_store->grow(size)); });
    Status grown = done.get();
    if (grown) {
        m_info.size = size;
    }
    return grown;
}

void Qcow2Image::cancel_held() {
    std::vector<Held> held;
    {
        const std::lock_guard lock(m_mutex);
        held.swap(m_held);
    }
    for (Held& one : held) {
        post(std::move(one.cancel));
    }
}

}  // namespace skep
