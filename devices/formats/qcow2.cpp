// SPDX-License-Identifier: GPL-3.0-or-later
// Requests to a qcow2 image: those whose clusters are where they should be are started at once.
#include "devices/formats/qcow2.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "devices/block/block_requests.hpp"
#include "vmm/base/log.hpp"

namespace skep {

using qcow2::ClusterKind;

namespace {

constexpr uint64_t k_logged_errors = 20;
constexpr size_t k_most_buffers = IOV_MAX;

void clear(const std::vector<iovec>& buffers) {
    for (const iovec& buffer : buffers) {
        std::memset(buffer.iov_base, 0, buffer.iov_len);
    }
}

}  // namespace

Qcow2Image::Qcow2Image(Fd fd, std::unique_ptr<FileEngine> engine, std::unique_ptr<qcow2::Store> store,
                       std::shared_ptr<BlockBackend> backing, const Qcow2Options& options)
    : m_fd(std::move(fd)),
      m_cluster_bits(store->header().cluster_bits),
      m_options(options),
      m_backing(std::move(backing)),
      m_engine(std::move(engine)),
      m_store(std::move(store)),
      m_decompressor(m_store->header().compression) {
    const bool writer = options.access == ImageAccess::read_write;
    m_info = {m_store->header().size, 512, !writer, writer};
    m_thread = std::thread([this] { run(); });
}

Result<std::shared_ptr<Qcow2Image>> Qcow2Image::open(const std::string& path, Fd fd, std::unique_ptr<FileEngine> engine,
                                                     uint64_t file_size, std::shared_ptr<BlockBackend> backing,
                                                     const Qcow2Options& options) {
    auto store = qcow2::Store::open(*engine, file_size, path,
                                    {options.access, options.cache_bytes, options.acknowledged, options.session});
    if (!store) {
        return tl::unexpected(store.error());
    }
    return std::shared_ptr<Qcow2Image>(
        new Qcow2Image(std::move(fd), std::move(engine), std::move(*store), std::move(backing), options));
}

bool Qcow2Image::is_valid(const Request& request) const {
    const uint64_t length = request.end - request.begin;
    if (request.begin > m_info.size || length > m_info.size - request.begin) {
        return false;
    }
    return !(m_info.read_only && changes_data(request.request.op)) && !(m_sync_failed && request.request.op != BlockOp::read);
}

void Qcow2Image::submit(BlockRequest block) {
    auto request = std::make_shared<Request>();
    const BlockOp op = block.op;
    const uint64_t length = request_length(block);
    request->begin = request->at = op == BlockOp::flush ? 0 : block.offset;
    request->end = request->begin + std::min(length, ~request->begin);
    request->request = std::move(block);
    {
        const std::lock_guard lock(m_mutex);
        request->parity = m_parity;
        ++m_in_flight[m_parity];
    }
    const bool valid = is_valid(*request) && (op == BlockOp::flush || length == request->end - request->begin);
    const bool empty = op == BlockOp::flush ? m_info.read_only : length == 0;
    if (!valid || empty) {
        FileOp nothing;
        nothing.done = [this, request, valid](int64_t) { end_part(request, valid ? BlockStatus::ok : BlockStatus::io_error); };
        start_op(std::move(nothing));
        return;
    }
    if (op == BlockOp::flush && !m_tables_dirty) {
        sync_directly(request);
        return;
    }
    if (op == BlockOp::flush) {
        {
            const std::lock_guard lock(m_mutex);
            m_flushes.push_back(request);
        }
        post([this] { flush_all(); });
        return;
    }
    if (has_buffers(op) && start_directly(request)) {
        return;
    }
    post([this, request] { advance(request); });
}

// Starts the whole request when every cluster is described in memory and needs nothing of the owner of the tables.
bool Qcow2Image::start_directly(const RequestPtr& request) {
    const bool writes = request->request.op == BlockOp::write;
    std::vector<Extent> extents;
    {
        const std::lock_guard lock(m_store->mutex());
        if (writes && m_store->has_unlogged()) {
            return false;
        }
        for (uint64_t at = request->begin; at < request->end;) {
            if (!m_store->is_loaded(at)) {
                return false;
            }
            const qcow2::ClusterPlace place = m_store->place(at);
            const uint64_t within = at & ((uint64_t{1} << m_cluster_bits) - 1);
            const uint64_t length = std::min((uint64_t{1} << m_cluster_bits) - within, request->end - at);
            const bool in_place = place.kind == ClusterKind::data && (place.alone || !writes);
            if ((writes && !in_place) || place.kind == ClusterKind::compressed || place.kind == ClusterKind::damaged) {
                return false;
            }
            Extent* last = extents.empty() ? nullptr : &extents.back();
            const bool continues = last != nullptr && last->place.kind == place.kind &&
                                   (place.kind != ClusterKind::data || last->place.host + last->length == place.host + within);
            if (continues) {
                last->length += length;
            } else {
                extents.push_back({{place.kind, place.host + within, place.alone}, at, length});
            }
            at += length;
        }
    }
    request->at = request->end;
    const bool any_host = std::ranges::any_of(extents, [this](const Extent& extent) {
        return extent.place.kind == ClusterKind::data || (extent.place.kind == ClusterKind::unallocated && m_backing);
    });
    start_extents(request, extents, 1);
    if (any_host) {
        return true;
    }
    FileOp nothing;  // the end must not come from inside submit()
    nothing.done = [this, request](int64_t) { end_part(request); };
    start_op(std::move(nothing));
    return true;
}

// The parts of a request that need the host are counted before the first is started.
void Qcow2Image::start_extents(const RequestPtr& request, const std::vector<Extent>& extents,
                               unsigned counted) {
    std::vector<PartPtr> parts;
    std::vector<const Extent*> from_backing;
    for (const Extent& extent : extents) {
        if (extent.place.kind == ClusterKind::data) {
            auto part = std::make_shared<Part>();
            part->request = request;
            part->kind = request->request.op == BlockOp::read ? FileOpKind::read : FileOpKind::write;
            part->host = extent.place.host;
            part->buffers = slice(*request, extent.guest, extent.length);
            parts.push_back(std::move(part));
        } else if (extent.place.kind == ClusterKind::unallocated && m_backing) {
            from_backing.push_back(&extent);
        } else {
            clear(slice(*request, extent.guest, extent.length));
        }
    }
    const size_t count = parts.size() + from_backing.size();
    if (count == 0) {
        return;
    }
    request->parts += static_cast<unsigned>(count) - counted;
    for (const Extent* extent : from_backing) {
        read_backing(request, *extent);
    }
    for (const PartPtr& part : parts) {
        start_part(part);
    }
}

std::vector<iovec> Qcow2Image::slice(const Request& request, uint64_t guest, uint64_t length) const {
    std::vector<iovec> rest = remaining_buffers(request.request.buffers, guest - request.begin);
    size_t count = 0;
    for (uint64_t left = length; left > 0; ++count) {
        rest[count].iov_len = std::min<uint64_t>(rest[count].iov_len, left);
        left -= rest[count].iov_len;
    }
    rest.resize(count);
    return rest;
}

void Qcow2Image::read_backing(const RequestPtr& request, const Extent& extent) {
    std::vector<iovec> buffers = slice(*request, extent.guest, extent.length);
    const uint64_t size = m_backing->info().size;
    const uint64_t there = extent.guest >= size ? 0 : std::min(extent.length, size - extent.guest);
    clear(remaining_buffers(buffers, there));
    BlockRequest below;
    below.offset = extent.guest;
    below.buffers = slice(*request, extent.guest, there);
    below.done = [this, request](BlockStatus status) {
        end_part(request, status);
        end_work();
    };
    if (there == 0) {
        below.offset = 0;  // an empty request, for the sake of its completion
    }
    begin_work();
    m_backing->submit(std::move(below));
}

void Qcow2Image::start_part(const PartPtr& part) {
    FileOp op;
    op.kind = part->kind;
    op.offset = part->host;
    op.buffers = part->buffers;
    op.buffers.resize(std::min(op.buffers.size(), k_most_buffers));
    op.done = [this, part](int64_t result) { part_moved(part, result); };
    start_op(std::move(op));
}

void Qcow2Image::part_moved(const PartPtr& part, int64_t result) {
    if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
        start_part(part);
        return;
    }
    if (result < 0 || (result == 0 && part->kind == FileOpKind::write)) {
        part_failed(part, result < 0 ? static_cast<HostError>(-result) : EIO);
        return;
    }
    if (result == 0) {  // a cluster behind the file's end
        clear(part->buffers);
        part->buffers.clear();
    } else {
        part->buffers = remaining_buffers(part->buffers, static_cast<uint64_t>(result));
        part->host += static_cast<uint64_t>(result);
    }
    if (!part->buffers.empty()) {
        start_part(part);
    } else if (part->done) {
        part->done(0);
    } else {
        end_part(part->request);
    }
}

void Qcow2Image::part_failed(const PartPtr& part, HostError error) {
    if (part->kind == FileOpKind::write && (error == ENOSPC || error == EDQUOT)) {
        hold({part->request, [this, part] { start_part(part); },
              [this, part] {
                  if (part->done) {
                      part->done(ENOSPC);
                  } else {
                      end_part(part->request, BlockStatus::no_space);
                  }
              }});
        return;
    }
    if (m_errors.fetch_add(1) < k_logged_errors) {
        log_error("disk image {}: {} at {}: {}", m_store->path(), part->kind == FileOpKind::read ? "reading" : "writing",
                  part->host, std::strerror(error));
    }
    if (part->done) {
        part->done(error);
    } else {
        end_part(part->request, BlockStatus::io_error);
    }
}

void Qcow2Image::end_part(const RequestPtr& request, BlockStatus status) {
    if (status != BlockStatus::ok) {
        request->status = status;
    }
    if (request->parts.fetch_sub(1) == 1) {
        finish(request);
    }
}

// A durable write is one with a flush behind it.
void Qcow2Image::finish(const RequestPtr& request) {
    const BlockRequest& block = request->request;
    const bool through = changes_data(block.op) && block.op != BlockOp::discard && block.durability == Durability::through;
    if (through && request->status == BlockStatus::ok && request->at != request->begin) {
        {
            const std::lock_guard lock(m_mutex);
            m_flushes.push_back(request);
        }
        post([this] { flush_all(); });
        return;
    }
    complete(request, request->status);
}

void Qcow2Image::complete(const RequestPtr& request, BlockStatus status) {
    request->request.done(status);
    request->request.done = nullptr;
    bool unused = false;
    {
        const std::lock_guard lock(m_mutex);
        --m_in_flight[request->parity];
        unused = !m_retiring.empty() && m_in_flight[m_parity ^ 1] == 0;
    }
    if (unused) {
        post([this] { release_unused(); });
    }
}

}  // namespace skep
