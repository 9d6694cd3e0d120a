// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/bus/io_space.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/bits.hpp"

namespace skep {

struct IoClaim::Entry {
    IoRange range;
    IoHandler* handler = nullptr;
    IoGate* gate = nullptr;
    std::atomic<bool> alive{true};

    [[nodiscard]] bool holds(uint64_t address) const { return address - range.start < range.size; }
};

IoClaim::IoClaim(IoSpace& space, std::shared_ptr<Entry> entry) : m_space(&space), m_entry(std::move(entry)) {}

IoClaim::IoClaim(IoClaim&& other) noexcept
    : m_space(std::exchange(other.m_space, nullptr)), m_entry(std::move(other.m_entry)) {}

IoClaim& IoClaim::operator=(IoClaim&& other) noexcept {
    if (this != &other) {
        release();
        m_space = std::exchange(other.m_space, nullptr);
        m_entry = std::move(other.m_entry);
    }
    return *this;
}

void IoClaim::release() {
    if (!m_entry) {
        return;
    }
    m_space->remove(m_entry);
    if (m_entry->gate->held_by_this_thread()) {
        m_entry->alive = false;
    } else {
        const std::lock_guard lock(*m_entry->gate);  // waits for an access under way
        m_entry->alive = false;
    }
    m_entry.reset();
    m_space = nullptr;
}

IoClaim IoSpace::claim(const IoRange& range, IoHandler& handler, IoGate& gate) {
    auto entry = std::make_shared<IoClaim::Entry>();
    entry->range = range;
    entry->handler = &handler;
    entry->gate = &gate;
    const std::unique_lock lock(m_mutex);
    const auto place = std::find_if(m_entries.begin(), m_entries.end(),
                                    [&](const auto& other) { return other->range.priority < range.priority; });
    m_entries.insert(place, entry);
    return {*this, entry};
}

void IoSpace::remove(const std::shared_ptr<IoClaim::Entry>& entry) {
    const std::unique_lock lock(m_mutex);
    std::erase(m_entries, entry);
}

std::shared_ptr<IoClaim::Entry> IoSpace::find(uint64_t address) const {
    const std::shared_lock lock(m_mutex);
    for (const auto& entry : m_entries) {
        if (entry->holds(address)) {
            return entry;
        }
    }
    return nullptr;
}

unsigned IoSpace::part_size(const IoClaim::Entry* entry, uint64_t address, unsigned size) {
    if (entry == nullptr) {
        return 1;  // the next byte may be somebody's
    }
    const uint64_t left = entry->range.size - (address - entry->range.start);
    unsigned part = std::min(size, entry->range.max_width);
    while (part > left || address % part != 0) {
        if (part == 1) {
            break;
        }
        // A misaligned access stays whole when the handler takes that width (ports 0xcf9, 0x511 ...), or when it
        // lies inside one of the handler's wider registers.
        const uint64_t in_register = (address - entry->range.start) % entry->range.min_width;
        if (part <= left && part == size && (part >= entry->range.min_width || in_register + part <= entry->range.min_width)) {
            break;
        }
        part /= 2;
    }
    return part;
}

uint64_t IoSpace::read_part(uint64_t address, unsigned size) {
    const std::shared_ptr<IoClaim::Entry> entry = find(address);
    if (!entry) {
        return all_ones(size);
    }
    IoGate& gate = *entry->gate;
    if (gate.held_by_this_thread()) {
        gate.count_blocked();
        return all_ones(size);
    }
    const std::lock_guard lock(gate);
    if (!entry->alive) {
        return all_ones(size);
    }
    const uint64_t offset = address - entry->range.start;
    const unsigned width = std::max(size, entry->range.min_width);
    const uint64_t aligned = width > size ? align_down(offset, width) : offset;
    return bits(entry->handler->io_read(aligned, width), static_cast<unsigned>(offset - aligned) * 8, size * 8);
}

void IoSpace::write_part(uint64_t address, unsigned size, uint64_t value) {
    const std::shared_ptr<IoClaim::Entry> entry = find(address);
    if (!entry) {
        return;
    }
    IoGate& gate = *entry->gate;
    if (gate.held_by_this_thread()) {
        gate.count_blocked();
        return;
    }
    const std::lock_guard lock(gate);
    if (!entry->alive) {
        return;
    }
    const uint64_t offset = address - entry->range.start;
    const unsigned width = std::max(size, entry->range.min_width);
    const uint64_t aligned = width > size ? align_down(offset, width) : offset;
    entry->handler->io_write(aligned, width, bits(value, 0, size * 8) << ((offset - aligned) * 8));
}

uint64_t IoSpace::read(uint64_t address, unsigned size) {
    uint64_t value = 0;
    for (unsigned done = 0; done < size;) {
        const unsigned part = part_size(find(address + done).get(), address + done, size - done);
        value |= bits(read_part(address + done, part), 0, part * 8) << (done * 8);
        done += part;
    }
    return value;
}

void IoSpace::write(uint64_t address, unsigned size, uint64_t value) {
    for (unsigned done = 0; done < size;) {
        const unsigned part = part_size(find(address + done).get(), address + done, size - done);
        write_part(address + done, part, bits(value, done * 8, part * 8));
        done += part;
    }
}

}  // namespace skep
