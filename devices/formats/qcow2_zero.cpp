// SPDX-License-Identifier: GPL-3.0-or-later
// Discard and write_zeroes on a qcow2 image, on the thread that owns its tables.
#include <algorithm>
#include <array>
#include <cerrno>

#include "devices/formats/qcow2.hpp"

namespace skep {

using qcow2::ClusterKind;

namespace {

constexpr uint64_t k_zero_chunk = 64 << 10;

const std::array<char, k_zero_chunk>& zeros() {
    static const std::array<char, k_zero_chunk> k_zeros{};
    return k_zeros;
}

}  // namespace

// The cluster at `guest` loses its place (or keeps it, reading as zeros). Its table is in memory.
HostError Qcow2Image::unmap(uint64_t guest, bool keep_place, bool must_read_zero) {
    const qcow2::ClusterPlace place = m_store->place_now(guest);
    if (place.kind == ClusterKind::damaged) {
        return EIO;
    }
    const bool nothing_there = place.kind == ClusterKind::zero || (place.kind == ClusterKind::zero_allocated && must_read_zero) ||
                               (place.kind == ClusterKind::unallocated && (!must_read_zero || !m_backing));
    if (nothing_there) {
        return 0;
    }
    const bool keeps = keep_place && place.kind == ClusterKind::data && place.alone;
    if (const HostError error = m_store->make_writable(guest); error != 0) {
        return error;
    }
    const uint64_t old = m_store->entry(guest);
    if (keeps) {
        m_store->set_entry(guest, place.host | qcow2::k_copied | qcow2::k_reads_zero);
    } else {
        m_store->set_entry(guest, m_backing ? qcow2::k_reads_zero : 0);
        m_store->release_later(old);
    }
    m_tables_dirty = true;
    return 0;
}

// Only whole clusters can be given back; a discard is free to do less than it was asked.
bool Qcow2Image::advance_discard(const RequestPtr& request) {
    const uint64_t size = uint64_t{1} << m_cluster_bits;
    const uint64_t end = request->end == m_info.size ? request->end : align_down(request->end, size);
    request->at = align_up(request->at, size);
    if (m_backing && !m_store->header().has_zero_clusters()) {
        return true;  // the backing file's content would come back
    }
    const uint64_t stop = std::min(end, request->at < end ? table_end(request->at) : end);
    for (; request->at < stop; request->at += size) {
        if (const AllocationPtr busy = allocation_at(request->at >> m_cluster_bits)) {
            busy->waiting.push_back(request);
            return false;
        }
        HostError error = m_store->load(request->at);
        error = error != 0 ? error : unmap(request->at, false, false);
        if (error != 0) {
            fail_rest(request, error);
            return false;
        }
    }
    if (request->at < end) {  // others come to their turn between tables
        post([this, request] { advance(request); });
        return false;
    }
    return true;
}

bool Qcow2Image::advance_zeroes(const RequestPtr& request) {
    const uint64_t size = uint64_t{1} << m_cluster_bits;
    const bool as_data = m_backing && !m_store->header().has_zero_clusters();
    const uint64_t stop = std::min(request->end, table_end(request->at));
    while (request->at < stop) {
        if (const AllocationPtr busy = allocation_at(request->at >> m_cluster_bits)) {
            busy->waiting.push_back(request);
            return false;
        }
        const uint64_t next = std::min(cluster_end(request->at), request->end);
        const bool whole = request->at % size == 0 && (next - request->at == size || next == m_info.size);
        HostError error = m_store->load(request->at);
        if (error == 0 && whole && !as_data) {
            const bool keep = !request->request.may_unmap && m_store->header().has_zero_clusters();
            error = unmap(request->at, keep, true);
        } else if (error == 0) {
            write_zeros(request, next);
        }
        if (error != 0) {
            fail_rest(request, error);
            return false;
        }
        request->at = next;
    }
    if (request->at < request->end) {
        post([this, request] { advance(request); });
        return false;
    }
    return true;
}

// Part of a cluster, or a cluster of an image that has no other way to say zero.
void Qcow2Image::write_zeros(const RequestPtr& request, uint64_t end) {
    const ClusterKind kind = m_store->place_now(request->at).kind;
    if (kind == ClusterKind::zero || kind == ClusterKind::zero_allocated || (kind == ClusterKind::unallocated && !m_backing)) {
        return;
    }
    BlockRequest write;
    write.op = BlockOp::write;
    write.offset = request->at;
    for (uint64_t left = end - request->at; left > 0;) {
        const uint64_t chunk = std::min(left, k_zero_chunk);
        write.buffers.push_back({const_cast<char*>(zeros().data()), chunk});  // only read from
        left -= chunk;
    }
    write.done = [this, request](BlockStatus status) { end_part(request, status); };
    ++request->parts;
    submit(std::move(write));
}

}  // namespace skep
