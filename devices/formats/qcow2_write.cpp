// SPDX-License-Identifier: GPL-3.0-or-later
// Writes to a qcow2 image that need a new cluster: allocation, copy-on-write of the edges, and the entry at the end.
#include <algorithm>
#include <cerrno>

#include "devices/formats/qcow2.hpp"

namespace skep {

using qcow2::ClusterKind;
using qcow2::ClusterPlace;

namespace {

constexpr uint64_t k_most_allocated = uint64_t{16} << 20;  // bytes at a time, so that others come to their turn

bool reuses_place(const ClusterPlace& place) { return place.kind == ClusterKind::zero_allocated && place.alone; }
bool is_in_place(const ClusterPlace& place) { return place.kind == ClusterKind::data && place.alone; }

}  // namespace

Qcow2Image::AllocationPtr Qcow2Image::allocation_at(uint64_t guest_cluster) const {
    auto after = m_allocations.upper_bound(guest_cluster);
    if (after == m_allocations.begin()) {
        return nullptr;
    }
    const AllocationPtr& candidate = std::prev(after)->second;
    return guest_cluster < candidate->first + candidate->count ? candidate : nullptr;
}

bool Qcow2Image::advance_write(const RequestPtr& request) {
    while (request->at < request->end) {
        if (const AllocationPtr busy = allocation_at(request->at >> m_cluster_bits)) {
            busy->waiting.push_back(request);
            return false;
        }
        HostError error = m_store->load(request->at);
        const ClusterPlace place = error == 0 ? m_store->place_now(request->at) : ClusterPlace{};
        if (error == 0 && place.kind == ClusterKind::damaged) {
            error = EIO;
        }
        if (error == 0 && is_in_place(place)) {
            error = m_store->log_changes();  // its end must not come before the end of the write that made this place
        }
        if (error == 0 && is_in_place(place)) {
            const uint64_t within = request->at & ((uint64_t{1} << m_cluster_bits) - 1);
            Extent extent{{place.kind, place.host + within, true}, request->at, 0};
            extent.length = std::min(cluster_end(request->at), request->end) - request->at;
            request->at += extent.length;
            start_extents(request, {extent}, 0);
            continue;
        }
        if (error == 0) {
            error = allocate(request, place);
        }
        if (error != 0) {
            fail_rest(request, error);
            return false;
        }
    }
    return true;
}

// Starts as much of the request as fits into one run of clusters, and moves its cursor.
HostError Qcow2Image::allocate(const RequestPtr& request, const ClusterPlace& place) {
    if (const HostError error = m_store->make_writable(request->at); error != 0) {
        return error;
    }
    auto allocation = std::make_shared<Allocation>();
    allocation->first = request->at >> m_cluster_bits;
    allocation->count = 1;
    const uint64_t stop = std::min(std::min(request->end, table_end(request->at)), request->at + k_most_allocated);
    if (reuses_place(place)) {
        allocation->reused = true;
        allocation->host = place.host;
    } else {
        for (uint64_t at = cluster_end(request->at); at < stop; at += uint64_t{1} << m_cluster_bits) {
            const ClusterPlace next = m_store->place_now(at);
            if (is_in_place(next) || reuses_place(next) || next.kind == ClusterKind::damaged || allocation_at(at >> m_cluster_bits)) {
                break;
            }
            ++allocation->count;
        }
        qcow2::ClusterRun run;
        const HostError error = m_store->refcounts().allocate(allocation->count, run);
        m_tables_dirty = true;
        if (error != 0) {
            return error;
        }
        allocation->count = run.count;
        allocation->host = run.first << m_cluster_bits;
    }
    const uint64_t end = std::min(request->end, (allocation->first + allocation->count) << m_cluster_bits);
    const HostError error = fill_edges(*allocation, request->at, end, place);
    if (error != 0) {
        abandon(allocation, error);
        return error;
    }
    if (!allocation->reused) {
        m_store->refcounts().no_longer_fresh((allocation->host >> m_cluster_bits) + allocation->count - 1);
    }
    m_allocations[allocation->first] = allocation;
    const uint64_t begin = std::exchange(request->at, end);
    write_allocation(request, allocation, begin, end);
    return 0;
}

// What the guest does not write of the first and the last cluster comes from where it was.
HostError Qcow2Image::fill_edges(Allocation& allocation, uint64_t begin, uint64_t end, const ClusterPlace& place) {
    const auto is_zero = [this](const ClusterPlace& old, uint64_t from) {
        return old.kind == ClusterKind::zero || old.kind == ClusterKind::zero_allocated ||
               (old.kind == ClusterKind::unallocated && (!m_backing || from >= m_backing->info().size));
    };
    const auto is_fresh = [&](uint64_t index) {
        return !allocation.reused && m_store->refcounts().is_fresh((allocation.host >> m_cluster_bits) + index);
    };
    const uint64_t first_at = allocation.first << m_cluster_bits;
    const uint64_t behind = (allocation.first + allocation.count) << m_cluster_bits;
    if (begin > first_at && !(is_fresh(0) && is_zero(place, first_at))) {
        allocation.head.resize(begin - first_at);
        if (const HostError error = read_now(first_at, allocation.head); error != 0) {
            return error;
        }
    }
    if (end < behind && !(is_fresh(allocation.count - 1) && is_zero(m_store->place_now(end), end))) {
        allocation.tail.resize(behind - end);
        if (const HostError error = read_now(end, allocation.tail); error != 0) {
            return error;
        }
    }
    return 0;
}

void Qcow2Image::write_allocation(const RequestPtr& request, const AllocationPtr& allocation, uint64_t begin, uint64_t end) {
    auto part = std::make_shared<Part>();
    part->request = request;
    part->kind = FileOpKind::write;
    part->host = allocation->host + (begin - (allocation->first << m_cluster_bits)) - allocation->head.size();
    if (!allocation->head.empty()) {
        part->buffers.push_back({allocation->head.data(), allocation->head.size()});
    }
    for (const iovec& buffer : slice(*request, begin, end - begin)) {
        part->buffers.push_back(buffer);
    }
    if (!allocation->tail.empty()) {
        part->buffers.push_back({allocation->tail.data(), allocation->tail.size()});
    }
    part->done = [this, request, allocation](HostError error) {
        post([this, request, allocation, error] {
            if (error == 0) {
                link(request, allocation);
                return;
            }
            m_allocations.erase(allocation->first);
            abandon(allocation, error);
            end_part(request, error == ENOSPC ? BlockStatus::no_space : BlockStatus::io_error);
        });
    };
    ++request->parts;
    start_part(part);
}

// The data is written; from now on the table names it. Durable with the next commit, safe from a kill with the log.
void Qcow2Image::link(const RequestPtr& request, const AllocationPtr& allocation) {
    const uint64_t at = allocation->first << m_cluster_bits;
    if (const HostError error = m_store->make_writable(at); error != 0) {
        const auto give_up = [this, request, allocation](BlockStatus status, HostError why) {
            m_allocations.erase(allocation->first);
            abandon(allocation, why);
            end_part(request, status);
        };
        if (error == ENOSPC || error == EDQUOT) {
            hold({request, [this, request, allocation] { link(request, allocation); },
                  [give_up] { give_up(BlockStatus::no_space, ENOSPC); }});
        } else {
            give_up(BlockStatus::io_error, error);
        }
        return;
    }
    for (uint64_t i = 0; i < allocation->count; ++i) {
        const uint64_t guest = at + (i << m_cluster_bits);
        const uint64_t old = m_store->entry(guest);
        m_store->set_entry(guest, (allocation->host + (i << m_cluster_bits)) | qcow2::k_copied);
        if (!allocation->reused) {
            m_store->release_later(old);
        }
    }
    m_tables_dirty = true;
    m_allocations.erase(allocation->first);
    end_logged(request);
    wake(allocation);
}

void Qcow2Image::wake(const AllocationPtr& allocation) {
    for (const RequestPtr& waiting : std::exchange(allocation->waiting, {})) {
        post([this, waiting] { advance(waiting); });
    }
}

// Nothing names the clusters: they are free again. Who waited for them goes on, or shares in being cancelled.
void Qcow2Image::abandon(const AllocationPtr& allocation, HostError error) {
    for (uint64_t i = 0; i < allocation->count && !allocation->reused; ++i) {
        static_cast<void>(m_store->refcounts().change((allocation->host >> m_cluster_bits) + i, -1));
    }
    if (error != ENOSPC) {
        wake(allocation);
        return;
    }
    for (const RequestPtr& waiting : std::exchange(allocation->waiting, {})) {
        end_part(waiting, BlockStatus::no_space);
    }
}

}  // namespace skep
