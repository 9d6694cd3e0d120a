// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/xhci_interrupter.hpp"

namespace skep::xhci {
namespace {

constexpr uint32_t k_imod_after_reset = 4000;  // 5.5.2.2: a millisecond; taken and kept, events are not held back
constexpr uint32_t k_most_segments = 1U << k_erst_max_log2;
constexpr uint32_t k_least_segment = 16;
constexpr uint32_t k_most_segment = 4096;
constexpr size_t k_most_waiting = 8192;  // a transfer of as many TRBs as one may have, each with an event

constexpr uint64_t with_low(uint64_t old, uint32_t value) { return (old & ~uint64_t{0xffff'ffff}) | value; }
constexpr uint64_t with_high(uint64_t old, uint32_t value) { return (old & 0xffff'ffff) | uint64_t{value} << 32; }

}  // namespace

void Interrupter::reset() {
    m_iman = 0;
    m_imod = k_imod_after_reset;
    m_erstsz = 0;
    m_erstba = 0;
    m_erdp = 0;
    m_loaded = false;
    m_segments.clear();
    m_enqueue = {};
    m_cycle = true;
    m_waiting.clear();
}

uint32_t Interrupter::read(unsigned reg) const {
    switch (reg) {
        case k_iman: return m_iman;
        case k_imod: return m_imod;
        case k_erstsz: return m_erstsz;
        case k_erstba: return static_cast<uint32_t>(m_erstba);
        case k_erstba + 4: return static_cast<uint32_t>(m_erstba >> 32);
        case k_erdp: return static_cast<uint32_t>(m_erdp);
        case k_erdp + 4: return static_cast<uint32_t>(m_erdp >> 32);
        default: return 0;
    }
}

void Interrupter::write(unsigned reg, uint32_t value) {
    switch (reg) {
        case k_iman:
            m_iman = (m_iman & k_iman_ip & ~value) | (value & k_iman_ie);
            m_controller.changed(m_index);
            break;
        case k_imod: m_imod = value; break;
        case k_erstsz:
            m_erstsz = value & 0xffff;
            m_loaded = false;
            break;
        case k_erstba:
            m_erstba = with_low(m_erstba, value & ~0x3fU);
            m_loaded = false;
            break;
        case k_erstba + 4:
            m_erstba = with_high(m_erstba, value);
            m_loaded = false;
            break;
        case k_erdp: {
            const uint64_t busy = m_erdp & k_erdp_ehb & ~uint64_t{value};
            m_erdp = with_low(m_erdp, value & ~static_cast<uint32_t>(k_erdp_ehb)) | busy;
            dequeue_written();
            break;
        }
        case k_erdp + 4:
            m_erdp = with_high(m_erdp, value);
            dequeue_written();
            break;
        default: break;
    }
}

bool Interrupter::read_segments() {
    m_segments.clear();
    if (m_erstsz == 0 || m_erstsz > k_most_segments) {
        return false;
    }
    for (uint32_t index = 0; index < m_erstsz; ++index) {
        const auto entry = m_controller.memory.read_value<Trb>(m_erstba + index * k_trb_size);
        const uint32_t size = entry ? entry->status & 0xffff : 0;
        if (size < k_least_segment || size > k_most_segment) {
            m_segments.clear();
            return false;
        }
        m_segments.push_back({entry->parameter & ~uint64_t{0x3f}, size});
    }
    return true;
}

// Read when the first event comes, so that drivers may write the registers in any order.
bool Interrupter::load_table() {
    if (!m_loaded) {
        m_loaded = true;
        m_enqueue = {};
        m_cycle = true;
        m_waiting.clear();
        if (!read_segments()) {
            m_controller.guest_errors.report("interrupter {}: no event ring at {:#x} of {} segments", m_index, m_erstba, m_erstsz);
        }
    }
    return !m_segments.empty();
}

Interrupter::Place Interrupter::after(Place place) const {
    if (++place.index >= m_segments[place.segment].size) {
        place = {(place.segment + 1) % static_cast<uint32_t>(m_segments.size()), 0};
    }
    return place;
}

bool Interrupter::dequeue_place(Place& place) const {
    const GuestAddress address = m_erdp & ~uint64_t{0xf};
    for (uint32_t index = 0; index < m_segments.size(); ++index) {
        const Segment& segment = m_segments[index];
        if (address >= segment.base && address < segment.base + uint64_t{segment.size} * k_trb_size) {
            place = {index, static_cast<uint32_t>((address - segment.base) / k_trb_size)};
            return true;
        }
    }
    return false;
}

// The control word with the cycle bit goes last: the driver polls it.
void Interrupter::put(Trb event) {
    event.control = (event.control & ~k_trb_cycle) | (m_cycle ? k_trb_cycle : 0);
    const GuestAddress address = m_segments[m_enqueue.segment].base + m_enqueue.index * k_trb_size;
    GuestMemory& memory = m_controller.memory;
    if (!memory.write(address, &event, k_trb_size - sizeof event.control) ||
        !memory.write_value(address + k_trb_size - sizeof event.control, event.control)) {
        m_controller.guest_errors.report("interrupter {}: the event ring at {:#x} is not memory", m_index, address);
    }
    m_enqueue = after(m_enqueue);
    if (m_enqueue == Place{}) {
        m_cycle = !m_cycle;
    }
}

void Interrupter::post(Trb event, Urgency urgency) {
    if (!load_table()) {
        return;
    }
    if (m_waiting.size() >= k_most_waiting) {
        m_controller.guest_errors.report("interrupter {}: an event is lost, the driver fetches none", m_index);
        return;
    }
    m_waiting.push_back({event, urgency});
    flush();
}

// 4.9.4: with two places left one takes the Event Ring Full Error, the other tells full from empty.
void Interrupter::flush() {
    Place dequeue;
    while (!m_waiting.empty()) {
        if (!dequeue_place(dequeue)) {
            m_controller.guest_errors.report("interrupter {}: the dequeue pointer {:#x} is outside the event ring", m_index, m_erdp);
            m_waiting.clear();
            return;
        }
        const Place next = after(m_enqueue);
        if (next == dequeue) {
            return;  // full, and said so
        }
        if (after(next) == dequeue) {
            put({.parameter = 0,
                 .status = uint32_t{k_event_ring_full} << 24,
                 .control = trb_type_bits(k_trb_host_controller_event)});
            raise();
            return;
        }
        const Waiting first = m_waiting.front();
        m_waiting.pop_front();
        put(first.event);
        if (first.urgency == Urgency::interrupt) {
            raise();
        }
    }
}

// 4.17.2: while the handler is busy it will find the event by itself.
void Interrupter::raise() {
    if ((m_erdp & k_erdp_ehb) != 0) {
        return;
    }
    m_erdp |= k_erdp_ehb;
    m_iman |= k_iman_ip;
    m_controller.pending(m_index);
}

void Interrupter::dequeue_written() {
    if (!m_loaded || m_segments.empty()) {
        return;
    }
    flush();
    Place dequeue;
    if (dequeue_place(dequeue) && !(dequeue == m_enqueue)) {
        raise();  // more events than the handler has looked at
    }
}

void Interrupter::save(StateWriter& writer) const {
    writer.put(m_iman);
    writer.put(m_imod);
    writer.put(m_erstsz);
    writer.put(m_erstba);
    writer.put(m_erdp);
    writer.put(static_cast<uint8_t>(m_loaded ? 1 : 0));
    writer.put(static_cast<uint8_t>(m_segments.size()));
    for (const Segment& segment : m_segments) {
        writer.put(segment.base);
        writer.put(segment.size);
    }
    writer.put(m_enqueue.segment);
    writer.put(m_enqueue.index);
    writer.put(static_cast<uint8_t>(m_cycle ? 1 : 0));
    writer.put(static_cast<uint32_t>(m_waiting.size()));
    for (const Waiting& waiting : m_waiting) {
        writer.put(waiting.event.parameter);
        writer.put(waiting.event.status);
        writer.put(waiting.event.control);
        writer.put(static_cast<uint8_t>(waiting.urgency == Urgency::blocked ? 1 : 0));
    }
}

void Interrupter::load(StateReader& reader) {
    reset();
    m_iman = reader.get<uint32_t>() & (k_iman_ip | k_iman_ie);
    reader.get(m_imod);
    m_erstsz = reader.get<uint32_t>() & 0xffff;
    m_erstba = reader.get<uint64_t>() & ~uint64_t{0x3f};
    reader.get(m_erdp);
    m_loaded = reader.get<uint8_t>() != 0;
    const auto segments = reader.get<uint8_t>();
    for (unsigned index = 0; index < segments && reader.ok(); ++index) {
        Segment segment;
        reader.get(segment.base);
        reader.get(segment.size);
        if (segments > k_most_segments || segment.size < k_least_segment || segment.size > k_most_segment) {
            reader.fail("an event ring has segments that there cannot be");
            return;
        }
        m_segments.push_back(segment);
    }
    reader.get(m_enqueue.segment);
    reader.get(m_enqueue.index);
    m_cycle = reader.get<uint8_t>() != 0;
    const bool inside = m_segments.empty() ? m_enqueue == Place{}
                                           : m_enqueue.segment < m_segments.size() &&
                                                 m_enqueue.index < m_segments[m_enqueue.segment].size;
    const auto waiting = reader.get<uint32_t>();
    if (!inside || waiting > k_most_waiting || (waiting != 0 && m_segments.empty())) {
        reader.fail("an event ring is used beyond its end");
        return;
    }
    for (uint32_t index = 0; index < waiting && reader.ok(); ++index) {
        Waiting one{};
        reader.get(one.event.parameter);
        reader.get(one.event.status);
        reader.get(one.event.control);
        one.urgency = reader.get<uint8_t>() != 0 ? Urgency::blocked : Urgency::interrupt;
        m_waiting.push_back(one);
    }
}

}  // namespace skep::xhci
