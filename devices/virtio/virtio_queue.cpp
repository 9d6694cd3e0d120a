// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

namespace skep {
namespace {

constexpr uint16_t k_desc_next = 1;
constexpr uint16_t k_desc_write = 2;
constexpr uint16_t k_desc_indirect = 4;
constexpr uint16_t k_avail_no_interrupt = 1;
constexpr uint16_t k_used_no_notify = 1;
constexpr uint64_t k_descriptor_bytes = 16;
constexpr uint64_t k_used_element_bytes = 8;
// A request of more than this is no request: the sum of a chain must fit the 32-bit lengths of the rings (2.7.5).
constexpr uint64_t k_max_chain_bytes = uint64_t{1} << 32;

constexpr uint64_t k_ring_flags = 0;
constexpr uint64_t k_ring_index = 2;
constexpr uint64_t k_ring_entries = 4;

}  // namespace

uint64_t VirtioChain::total(const std::vector<VirtioBuffer>& buffers) {
    uint64_t sum = 0;
    for (const VirtioBuffer& buffer : buffers) {
        sum += buffer.length;
    }
    return sum;
}

namespace {

// Calls visit(address, length) for the pieces of [offset, offset+size) of the buffers; false when it is too short or
// visit says so.
template <typename Visit>
bool for_each_piece(const std::vector<VirtioBuffer>& buffers, uint64_t offset, uint64_t size, const Visit& visit) {
    for (const VirtioBuffer& buffer : buffers) {
        if (size == 0) {
            break;
        }
        if (offset >= buffer.length) {
            offset -= buffer.length;
            continue;
        }
        const uint64_t piece = std::min<uint64_t>(buffer.length - offset, size);
        if (!visit(buffer.address + offset, piece)) {
            return false;
        }
        offset = 0;
        size -= piece;
    }
    return size == 0;
}

}  // namespace

bool VirtioChain::read(const GuestMemory& memory, uint64_t offset, void* to, uint64_t size) const {
    auto* out = static_cast<std::byte*>(to);
    return for_each_piece(readable, offset, size, [&](GuestAddress address, uint64_t length) {
        const bool good = memory.read(address, out, length);
        out += length;
        return good;
    });
}

bool VirtioChain::write(GuestMemory& memory, uint64_t offset, const void* from, uint64_t size) const {
    const auto* in = static_cast<const std::byte*>(from);
    return for_each_piece(writable, offset, size, [&](GuestAddress address, uint64_t length) {
        const bool good = memory.write(address, in, length);
        in += length;
        return good;
    });
}

bool VirtioChain::slices(const GuestMemory& memory, Part part, uint64_t offset, uint64_t size,
                         std::vector<iovec>& pieces) const {
    const bool for_write = part == Part::writable;
    return for_each_piece(for_write ? writable : readable, offset, size, [&](GuestAddress address, uint64_t length) {
        while (length != 0) {
            const auto range = memory.find(address);
            if (!range || (for_write && !range->writable)) {
                return false;
            }
            const uint64_t offset_in_range = address - range->start;
            const uint64_t piece = std::min(length, range->size - offset_in_range);
            pieces.push_back({range->host + offset_in_range, piece});
            address += piece;
            length -= piece;
        }
        return true;
    });
}

void VirtioChain::mark_written(GuestMemory& memory, uint64_t offset, uint64_t size) const {
    for_each_piece(writable, offset, size, [&](GuestAddress address, uint64_t length) {
        memory.mark_written(address, length);
        return true;
    });
}

Virtqueue::Virtqueue(GuestMemory& memory, const VirtqueueConfig& config, EventIndex event_index)
    : m_memory(memory), m_config(config), m_event_index(event_index) {}

void Virtqueue::fail(std::string why) {
    if (m_problem.empty()) {
        m_problem = std::move(why);
    }
}

bool Virtqueue::append(VirtioChain& chain, const Descriptor& descriptor) {
    const bool device_writes = (descriptor.flags & k_desc_write) != 0;
    if (!device_writes && !chain.writable.empty()) {
        fail("a readable descriptor follows a writable one");
        return false;
    }
    m_chain_bytes += descriptor.length;
    if (m_chain_bytes > k_max_chain_bytes) {
        fail("a chain of more than 4 GiB");
        return false;
    }
    (device_writes ? chain.writable : chain.readable).push_back({descriptor.address, descriptor.length});
    return true;
}

bool Virtqueue::walk(VirtioChain& chain, GuestAddress table, uint32_t entries, uint16_t first, bool indirect) {
    uint16_t index = first;
    while (true) {
        if (index >= entries) {
            fail(fmt::format("descriptor {} of {}", index, entries));
            return false;
        }
        // 2.7.5.3.1: a chain, its indirect table included, is no longer than the queue.
        if (++m_chain_descriptors > m_config.size + 1U) {
            fail("a chain longer than the queue");
            return false;
        }
        const auto descriptor = m_memory.read_value<Descriptor>(table + index * k_descriptor_bytes);
        if (!descriptor) {
            fail("the descriptor table is not in memory");
            return false;
        }
        if ((descriptor->flags & k_desc_indirect) != 0) {
            const bool well_formed = !indirect && (descriptor->flags & k_desc_next) == 0 && descriptor->length != 0 &&
                                     descriptor->length % k_descriptor_bytes == 0;
            if (!well_formed) {
                fail("a malformed indirect descriptor");
                return false;
            }
            return walk(chain, descriptor->address, descriptor->length / k_descriptor_bytes, 0, true);
        }
        if (!append(chain, *descriptor)) {
            return false;
        }
        if ((descriptor->flags & k_desc_next) == 0) {
            return true;
        }
        index = descriptor->next;
    }
}

std::optional<VirtioChain> Virtqueue::pop() {
    if (!m_problem.empty()) {
        return std::nullopt;
    }
    const auto available = m_memory.read_value<uint16_t>(m_config.driver_area + k_ring_index);
    if (!available) {
        fail("the available ring is not in memory");
        return std::nullopt;
    }
    const auto waiting = static_cast<uint16_t>(*available - m_next_available);
    if (waiting == 0) {
        return std::nullopt;
    }
    if (waiting > m_config.size) {
        fail("the available index has overtaken the ring");
        return std::nullopt;
    }
    std::atomic_thread_fence(std::memory_order_acquire);  // the entry was written before the index
    const uint64_t slot = m_next_available % m_config.size;
    const auto head = m_memory.read_value<uint16_t>(m_config.driver_area + k_ring_entries + slot * 2);
    if (!head) {
        fail("the available ring is not in memory");
        return std::nullopt;
    }
    auto chain = take_again(*head);
    if (chain) {
        ++m_next_available;
    }
    return chain;
}

std::optional<VirtioChain> Virtqueue::take_again(uint16_t head) {
    VirtioChain chain;
    chain.head = head;
    m_chain_bytes = 0;
    m_chain_descriptors = 0;
    if (!walk(chain, m_config.descriptors, m_config.size, head, false)) {
        return std::nullopt;
    }
    return chain;
}

void Virtqueue::push(uint16_t head, uint32_t written) {
    put(head, written);
    publish();
}

void Virtqueue::put(uint16_t head, uint32_t written) {
    struct {
        uint32_t id;
        uint32_t length;
    } const element{head, written};
    const uint64_t slot = m_next_used % m_config.size;
    if (!m_memory.write_value(m_config.device_area + k_ring_entries + slot * k_used_element_bytes, element)) {
        fail("the used ring is not in memory");
        return;
    }
    ++m_next_used;
}

void Virtqueue::publish() {
    std::atomic_thread_fence(std::memory_order_release);  // the elements before the index
    if (!m_memory.write_value(m_config.device_area + k_ring_index, m_next_used)) {
        fail("the used ring is not in memory");
    }
}

bool Virtqueue::take_notification() {
    const uint16_t before = m_notified_used;
    const uint16_t after = m_next_used;
    if (before == after) {
        return false;
    }
    m_notified_used = after;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // our index before the driver's wish
    if (m_event_index == EventIndex::off) {
        const auto flags = m_memory.read_value<uint16_t>(m_config.driver_area + k_ring_flags);
        return !flags || (*flags & k_avail_no_interrupt) == 0;
    }
    const auto event = m_memory.read_value<uint16_t>(m_config.driver_area + k_ring_entries + m_config.size * 2U);
    return !event || static_cast<uint16_t>(after - *event - 1) < static_cast<uint16_t>(after - before);
}

bool Virtqueue::enable_notifications() {
    bool good = false;
    if (m_event_index == EventIndex::on) {
        const GuestAddress event = m_config.device_area + k_ring_entries + m_config.size * k_used_element_bytes;
        good = m_memory.write_value(event, m_next_available);
    } else {
        good = m_memory.write_value<uint16_t>(m_config.device_area + k_ring_flags, 0);
    }
    if (!good) {
        fail("the used ring is not in memory");
        return false;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // our wish before the driver's index
    const auto available = m_memory.read_value<uint16_t>(m_config.driver_area + k_ring_index);
    return available && *available != m_next_available && m_problem.empty();
}

void Virtqueue::disable_notifications() {
    // With event indices there is nothing to do: the event stays behind until it is moved on.
    if (m_event_index == EventIndex::off &&
        !m_memory.write_value<uint16_t>(m_config.device_area + k_ring_flags, k_used_no_notify)) {
        fail("the used ring is not in memory");
    }
}

void Virtqueue::save(StateWriter& writer) const {
    writer.put(m_next_available);
    writer.put(m_next_used);
    writer.put(m_notified_used);
    writer.put_string(m_problem);
}

void Virtqueue::load(StateReader& reader) {
    reader.get(m_next_available);
    reader.get(m_next_used);
    reader.get(m_notified_used);
    m_problem = reader.get_string();
}

}  // namespace skep
