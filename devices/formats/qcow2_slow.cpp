// SPDX-License-Identifier: GPL-3.0-or-later
// Requests to a qcow2 image that need its tables or its compressed clusters, on the thread that owns them.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

#include "devices/block/block_requests.hpp"
#include "devices/formats/qcow2.hpp"

namespace skep {

using qcow2::ClusterKind;

namespace {

void copy_out(const std::vector<iovec>& buffers, const uint8_t* from) {
    for (const iovec& buffer : buffers) {
        std::memcpy(buffer.iov_base, from, buffer.iov_len);
        from += buffer.iov_len;
    }
}

}  // namespace

void Qcow2Image::advance(const RequestPtr& request) {
    bool through = false;
    switch (request->request.op) {
        case BlockOp::read: through = advance_read(request); break;
        case BlockOp::write: through = advance_write(request); break;
        case BlockOp::discard: through = advance_discard(request); break;
        case BlockOp::write_zeroes: through = advance_zeroes(request); break;
        case BlockOp::flush: through = true; break;
    }
    if (through) {
        end_logged(request);
    }
}

void Qcow2Image::fail_rest(const RequestPtr& request, HostError error) {
    if (error == ENOSPC || error == EDQUOT) {
        hold({request, [this, request] { advance(request); }, [this, request] { end_part(request, BlockStatus::no_space); }});
        return;
    }
    if (m_store->file().sync_failed()) {
        sync_failed();
    }
    end_part(request, BlockStatus::io_error);
}

uint64_t Qcow2Image::table_end(uint64_t guest) const {
    const unsigned shift = m_cluster_bits + m_store->header().l2_bits();
    return ((guest >> shift) + 1) << shift;
}

bool Qcow2Image::advance_read(const RequestPtr& request) {
    while (request->at < request->end) {
        if (const HostError error = m_store->load(request->at); error != 0) {
            fail_rest(request, error);
            return false;
        }
        const uint64_t end = std::min(request->end, table_end(request->at));
        std::vector<Extent> extents;
        while (request->at < end) {
            const qcow2::ClusterPlace place = m_store->place_now(request->at);
            const uint64_t within = request->at & ((uint64_t{1} << m_cluster_bits) - 1);
            const uint64_t length = std::min(cluster_end(request->at), end) - request->at;
            Extent extent{place, request->at, length};
            if (place.kind == ClusterKind::compressed) {
                if (const HostError error = read_compressed(request, extent); error != 0) {
                    request->status = BlockStatus::io_error;
                }
            } else if (place.kind == ClusterKind::damaged) {
                request->status = BlockStatus::io_error;
            } else {
                extent.place.host += within;
                Extent* last = extents.empty() ? nullptr : &extents.back();
                if (last != nullptr && last->place.kind == place.kind && last->guest + last->length == extent.guest &&
                    (place.kind != ClusterKind::data || last->place.host + last->length == extent.place.host)) {
                    last->length += length;
                } else {
                    extents.push_back(extent);
                }
            }
            request->at += length;
        }
        start_extents(request, extents, 0);
    }
    return true;
}

HostError Qcow2Image::load_compressed(uint64_t entry) {
    if (entry == m_decompressed_entry) {
        return 0;
    }
    const qcow2::CompressedPlace place = m_store->compressed_place(entry);
    std::vector<uint8_t> packed(place.length);
    if (const HostError error = m_store->file().read(place.offset, packed); error != 0) {
        return error;
    }
    m_decompressed_entry = 0;
    m_decompressed.resize(uint64_t{1} << m_cluster_bits);
    if (const HostError error = m_decompressor.decompress(packed, m_decompressed); error != 0) {
        return error;
    }
    m_decompressed_entry = entry;
    return 0;
}

HostError Qcow2Image::read_compressed(const RequestPtr& request, const Extent& extent) {
    if (const HostError error = load_compressed(extent.place.host); error != 0) {
        return error;
    }
    const uint64_t within = extent.guest & ((uint64_t{1} << m_cluster_bits) - 1);
    copy_out(slice(*request, extent.guest, extent.length), m_decompressed.data() + within);
    return 0;
}

HostError Qcow2Image::read_backing_now(uint64_t guest, std::span<uint8_t> to) {
    const uint64_t size = m_backing ? m_backing->info().size : 0;
    const uint64_t there = guest >= size ? 0 : std::min<uint64_t>(to.size(), size - guest);
    std::memset(to.data() + there, 0, to.size() - there);
    if (there == 0) {
        return 0;
    }
    BlockRequest below{.op = BlockOp::read, .offset = guest, .buffers = {{to.data(), there}}, .done = {}};
    return start_request(*m_backing, std::move(below)).get() == BlockStatus::ok ? 0 : EIO;
}

// A range within one cluster whose table is in memory.
HostError Qcow2Image::read_now(uint64_t guest, std::span<uint8_t> to) {
    const qcow2::ClusterPlace place = m_store->place_now(guest);
    const uint64_t within = guest & ((uint64_t{1} << m_cluster_bits) - 1);
    switch (place.kind) {
        case ClusterKind::unallocated: return read_backing_now(guest, to);
        case ClusterKind::zero:
        case ClusterKind::zero_allocated: std::memset(to.data(), 0, to.size()); return 0;
        case ClusterKind::data: return m_store->file().read(place.host + within, to);
        case ClusterKind::compressed: {
            const HostError error = load_compressed(place.host);
            if (error == 0) {
                std::memcpy(to.data(), m_decompressed.data() + within, to.size());
            }
            return error;
        }
        case ClusterKind::damaged: break;
    }
    return EIO;
}

}  // namespace skep
