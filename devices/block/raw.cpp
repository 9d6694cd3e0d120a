// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/block/raw.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "devices/block/block_requests.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

constexpr uint64_t k_zero_chunk = 64 << 10;  // for file systems that can neither zero nor punch
constexpr uint64_t k_logged_errors = 20;

bool is_no_space(int error) { return error == ENOSPC || error == EDQUOT; }
bool is_refusal(int error) { return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV; }

const std::array<char, k_zero_chunk>& zeros() {
    static const std::array<char, k_zero_chunk> k_zeros{};
    return k_zeros;
}


FileOpKind first_choice(const BlockRequest& request) {
    switch (request.op) {
        case BlockOp::read: return FileOpKind::read;
        case BlockOp::write:
            return request.durability == Durability::through ? FileOpKind::write_through : FileOpKind::write;
        case BlockOp::flush: return FileOpKind::sync;
        case BlockOp::discard: return FileOpKind::punch_hole;
        case BlockOp::write_zeroes: return request.may_unmap ? FileOpKind::punch_hole : FileOpKind::zero_range;
    }
    return FileOpKind::nothing;
}

}  // namespace

RawImage::RawImage(std::string path, BlockInfo info, uint64_t file_size, Fd fd, std::unique_ptr<FileEngine> engine)
    : m_path(std::move(path)), m_info(info), m_file_size(file_size), m_fd(std::move(fd)), m_engine(std::move(engine)) {}

RawImage::~RawImage() {
    finish_all(*this);
}

BlockStatus RawImage::validate(const Pending& pending) const {
    const BlockRequest& request = pending.request;
    if (pending.length > m_info.size || request.offset > m_info.size - pending.length) {
        return BlockStatus::io_error;
    }
    if (changes_data(request.op) && m_info.read_only) {
        return BlockStatus::io_error;
    }
    return BlockStatus::ok;
}

void RawImage::submit(BlockRequest request) {
    auto pending = std::make_shared<Pending>();
    pending->length = request_length(request);
    pending->kind = first_choice(request);
    pending->request = std::move(request);
    {
        const std::lock_guard lock(m_mutex);
        ++m_in_flight;
    }
    const bool lost = m_sync_failed && pending->request.op != BlockOp::read;
    const BlockStatus verdict = lost ? BlockStatus::io_error : validate(*pending);
    const bool empty = pending->length == 0 && pending->request.op != BlockOp::flush;
    const bool nothing_to_sync = m_info.read_only && pending->request.op == BlockOp::flush;
    if (verdict != BlockStatus::ok || empty || nothing_to_sync) {
        answer_later(pending, verdict);
        return;
    }
    issue(pending);
}

void RawImage::answer_later(const PendingPtr& pending, BlockStatus status) {
    FileOp op;
    op.done = [this, pending, status](int64_t) { finish(pending, status); };
    m_engine->start(std::move(op));
}

void RawImage::issue(const PendingPtr& pending) {
    const BlockRequest& request = pending->request;
    FileOp op;
    op.kind = pending->stage == Stage::sync ? FileOpKind::sync : pending->kind;
    op.offset = request.offset + pending->done;
    op.length = pending->length - pending->done;
    if (op.kind == FileOpKind::read || op.kind == FileOpKind::write || op.kind == FileOpKind::write_through) {
        if (request.op == BlockOp::write_zeroes) {
            op.buffers = {{const_cast<char*>(zeros().data()), std::min(op.length, k_zero_chunk)}};  // only read from
        } else {
            op.buffers = remaining_buffers(request.buffers, pending->done);
            op.buffers.resize(std::min<size_t>(op.buffers.size(), IOV_MAX));
        }
    }
    op.done = [this, pending](int64_t result) { completed(pending, result); };
    m_engine->start(std::move(op));
}

void RawImage::completed(const PendingPtr& pending, int64_t result) {
    if (result < 0) {
        failed(pending, static_cast<int>(-result));
        return;
    }
    if (pending->stage == Stage::sync || pending->kind == FileOpKind::sync) {
        finish(pending, BlockStatus::ok);
        return;
    }
    const bool whole = pending->kind == FileOpKind::punch_hole || pending->kind == FileOpKind::zero_range;
    moved(pending, whole ? pending->length - pending->done : static_cast<uint64_t>(result));
}

void RawImage::moved(const PendingPtr& pending, uint64_t bytes) {
    pending->done += bytes;
    if (bytes == 0 && pending->kind == FileOpKind::read) {
        if (pending->request.offset + pending->done < m_file_size) {
            failed(pending, EIO);  // the file has become shorter under us
            return;
        }
        zero_tail(*pending);
    } else if (bytes == 0) {
        failed(pending, EIO);
        return;
    }
    if (pending->done < pending->length) {
        issue(pending);
        return;
    }
    // write_through is durable already; every other way of a durable write needs the sync behind it.
    if (pending->request.durability == Durability::through && changes_data(pending->request.op) &&
        pending->kind != FileOpKind::write_through) {
        pending->stage = Stage::sync;
        issue(pending);
        return;
    }
    finish(pending, BlockStatus::ok);
}

void RawImage::zero_tail(Pending& pending) const {
    for (const iovec& rest : remaining_buffers(pending.request.buffers, pending.done)) {
        std::memset(rest.iov_base, 0, rest.iov_len);
    }
    pending.done = pending.length;
}

// The next way of doing the same where the file system refuses one.
bool RawImage::use_fallback(Pending& pending, int error) const {
    if (!is_refusal(error) || pending.stage == Stage::sync) {
        return false;
    }
    if (pending.kind == FileOpKind::write_through) {
        pending.kind = FileOpKind::write;
        return true;
    }
    if (pending.request.op != BlockOp::write_zeroes) {
        return false;
    }
    if (pending.kind == FileOpKind::zero_range || pending.kind == FileOpKind::punch_hole) {
        pending.kind = FileOpKind::write;
        return true;
    }
    return false;
}

void RawImage::failed(const PendingPtr& pending, int error) {
    // ECANCELED: io_uring gives up what a thread had submitted when that thread ends; ours, which runs this, stays.
    if (error == EINTR || error == EAGAIN || error == ECANCELED || use_fallback(*pending, error)) {
        issue(pending);
        return;
    }
    const bool syncing = pending->stage == Stage::sync || pending->kind == FileOpKind::sync;
    if (!syncing && changes_data(pending->request.op) && is_no_space(error)) {
        hold(pending);
        return;
    }
    if (syncing || pending->kind == FileOpKind::write_through) {
        sync_failed(error);
    } else if (pending->request.op == BlockOp::discard && is_refusal(error)) {
        finish(pending, BlockStatus::unsupported);
        return;
    } else if (m_errors.fetch_add(1) < k_logged_errors) {
        log_error("disk image {}: {} at {}: {}", m_path, pending->request.op == BlockOp::read ? "reading" : "writing",
                  pending->request.offset + pending->done, std::strerror(error));
    }
    finish(pending, BlockStatus::io_error);
}

void RawImage::sync_failed(int error) {
    if (!m_sync_failed.exchange(true)) {
        log_error("disk image {}: the host could not make written data durable ({}); every further write fails", m_path,
                  std::strerror(error));
    }
}

void RawImage::hold(const PendingPtr& pending) {
    std::function<void(const std::string&)> report;
    {
        const std::lock_guard lock(m_mutex);
        if (m_held.empty()) {
            report = m_report_no_space;
        }
        m_held.push_back(pending);
    }
    if (report) {
        report(fmt::format("The host's disk is full: {} cannot grow. Free some space, then press Retry.", m_path));
    }
    const std::lock_guard lock(m_mutex);
    if (--m_in_flight == 0) {
        m_idle.notify_all();
    }
}

void RawImage::finish(const PendingPtr& pending, BlockStatus status) {
    pending->request.done(status);
    pending->request.done = nullptr;
    const std::lock_guard lock(m_mutex);
    if (--m_in_flight == 0) {
        m_idle.notify_all();
    }
}

void RawImage::drain() {
    std::unique_lock lock(m_mutex);
    m_idle.wait(lock, [this] { return m_in_flight == 0; });
}

void RawImage::set_on_no_space(std::function<void(const std::string&)> report) {
    const std::lock_guard lock(m_mutex);
    m_report_no_space = std::move(report);
}

void RawImage::retry() {
    std::vector<PendingPtr> held;
    {
        const std::lock_guard lock(m_mutex);
        held.swap(m_held);
        m_in_flight += static_cast<unsigned>(held.size());
    }
    for (const PendingPtr& pending : held) {
        issue(pending);
    }
}

void RawImage::cancel_held() {
    std::vector<PendingPtr> held;
    {
        const std::lock_guard lock(m_mutex);
        held.swap(m_held);
        m_in_flight += static_cast<unsigned>(held.size());
    }
    for (const PendingPtr& pending : held) {
        answer_later(pending, BlockStatus::no_space);
    }
}

}  // namespace skep
