// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/e1000.hpp"

#include <algorithm>
#include <mutex>

#include "vmm/base/bits.hpp"

namespace skep {

using namespace e1000;

namespace {

constexpr unsigned k_memory_bar = 0;
constexpr unsigned k_io_bar = 2;
constexpr uint64_t k_memory_bytes = 128 * 1024;
constexpr uint64_t k_io_bytes = 64;
constexpr PciIdentity k_identity{.vendor = 0x8086,
                                 .device = 0x100e,
                                 .class_code = 0x020000,
                                 .revision = 2,
                                 .subsystem_vendor = 0x8086,
                                 .subsystem = 0x001e,
                                 .pin = IntxPin::a};
constexpr Nanoseconds k_delay_unit = 1024;
constexpr Nanoseconds k_throttle_unit = 256;

}  // namespace

E1000::E1000(DeviceContext& context, std::string name, PciAddress address, std::shared_ptr<NetCable> cable, const Mac& mac)
    : PciFunction(context, std::move(name), address, k_identity),
      m_cable(std::move(cable)),
      m_eeprom(mac),
      m_timer(context.clock.make_timer([this] { on_timer(); })) {
    add_bar({.index = k_memory_bar, .kind = BarKind::memory32, .size = k_memory_bytes, .min_width = 4, .max_width = 4});
    add_bar({.index = k_io_bar, .kind = BarKind::io, .size = k_io_bytes, .min_width = 4, .max_width = 4});
    m_phy.set_cable(m_cable->is_up());
    reset_mac();
    m_cable->set_card(this);
    // Large segments are taken apart for it; the checksums it looks at itself.
    m_cable->set_offloads({.checksum = true});
}

E1000::~E1000() {
    m_cable->set_card(nullptr);
    m_timer->cancel();
}

void E1000::reset() {
    m_timer->cancel();
    PciFunction::reset();
    const std::lock_guard lock(gate());
    m_phy.reset();
    m_io_address = 0;
    reset_mac();
}

// What CTRL.RST does, too (13.4.1): the PHY stays as it is, the address comes from the EEPROM.
void E1000::reset_mac() {
    m_registers.fill(0);
    m_eeprom.reset_wires();
    const Mac mac = m_eeprom.mac();
    reg(k_ctrl) = k_ctrl_fd;
    reg(k_ledctl) = 0x0706'8302;
    reg(k_pba) = 0x0010'0030;
    reg(k_ra) = load_le<uint32_t>(mac.data());
    reg(k_ra + 4) = k_rah_av | mac[4] | static_cast<uint32_t>(mac[5]) << 8;
    m_deadlines.fill(k_never);
    m_first_transmitted = k_never;
    m_first_received = k_never;
    m_delayed_causes = 0;
    m_next_interrupt = 0;
    m_offload = {};
    m_segmentation = {};
    m_packet = {};
    m_batch.clear();
    m_timer->disarm();
    set_intx(false);
    if (m_card_waits) {
        m_card_waits = false;
        m_cable->card_ready();  // what waits is lost now
    }
}

void E1000::pause() {
    {
        const std::lock_guard lock(gate());
        m_paused = true;
    }
    m_timer->cancel();
}

void E1000::resume() {
    const std::lock_guard lock(gate());
    m_paused = false;
    m_card_waits = false;
    m_cable->card_ready();
    transmit();
    schedule();
}

void E1000::bus_master_allowed() {
    if (!m_paused) {
        transmit();
        m_card_waits = false;
        m_cable->card_ready();
    }
}

void E1000::link_changed() {
    const std::lock_guard lock(gate());
    m_phy.set_cable(m_cable->is_up());
    link_came_or_went();
}

void E1000::link_came_or_went() { set_cause(k_int_lsc); }

void E1000::set_cause(uint32_t causes) {
    reg(k_icr) |= causes & k_int_all;
    update_interrupt();
}

// The pin shows ICR & IMS. Between two interrupts lies what ITR says (13.4.18).
void E1000::update_interrupt() {
    if ((reg(k_icr) & reg(k_ims)) == 0) {
        set_intx(false);
        m_deadlines[k_throttled] = k_never;
        return;
    }
    if (intx()) {
        return;
    }
    const Nanoseconds now = context().clock.now();
    if (now < m_next_interrupt) {
        m_deadlines[k_throttled] = m_next_interrupt;
        schedule();
        return;
    }
    m_deadlines[k_throttled] = k_never;
    m_next_interrupt = now + reg(k_itr) * k_throttle_unit;
    set_intx(true);
}

void E1000::set_cause_later(Deadline which, Nanoseconds& first, uint32_t delay, uint32_t most, uint32_t causes) {
    if (delay == 0) {
        set_cause(causes);
        return;
    }
    const Nanoseconds now = context().clock.now();
    first = std::min(first, now);
    const Nanoseconds latest = most == 0 ? k_never : first + most * k_delay_unit;
    m_deadlines[which] = std::min(now + delay * k_delay_unit, latest);
    m_delayed_causes |= causes;
    schedule();
}

void E1000::schedule() {
    const Nanoseconds next = *std::ranges::min_element(m_deadlines);
    if (next == k_never || m_paused) {
        m_timer->disarm();
    } else {
        m_timer->arm(next);
    }
}

void E1000::on_timer() {
    const std::lock_guard lock(gate());
    if (m_paused) {
        return;
    }
    const Nanoseconds now = context().clock.now();
    const auto due = [&](Deadline which) {
        const bool is_due = m_deadlines[which] <= now;
        m_deadlines[which] = is_due ? k_never : m_deadlines[which];
        return is_due;
    };
    constexpr uint32_t k_transmit_causes = k_int_txdw | k_int_txqe;
    uint32_t causes = 0;
    if (due(k_transmitted)) {
        causes |= m_delayed_causes & k_transmit_causes;
        m_first_transmitted = k_never;
    }
    if (due(k_received)) {
        causes |= m_delayed_causes & ~k_transmit_causes;
        m_first_received = k_never;
    }
    m_delayed_causes &= ~causes;
    if (due(k_throttled) || causes != 0) {
        set_cause(causes);
    }
    if (due(k_more_to_send)) {
        transmit();
    }
    schedule();
}

void E1000::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section("e1000", 1);
    for (const uint32_t value : m_registers) {
        writer.put(value);
    }
    writer.put(m_io_address);
    m_eeprom.save(writer);
    m_phy.save(writer);
    for (const Nanoseconds deadline : m_deadlines) {
        writer.put(deadline);
    }
    for (const Nanoseconds time : {m_first_transmitted, m_first_received, m_next_interrupt}) {
        writer.put(time);
    }
    writer.put(m_delayed_causes);
    for (const Offload& offload : {m_offload, m_segmentation}) {
        for (const uint8_t byte : {offload.ip_start, offload.ip_at, offload.tu_start, offload.tu_at, offload.header_bytes}) {
            writer.put(byte);
        }
        for (const uint16_t word : {offload.ip_end, offload.tu_end, offload.mss}) {
            writer.put(word);
        }
        writer.put(static_cast<uint8_t>((offload.ip4 ? 1 : 0) | (offload.tcp ? 2 : 0)));
    }
    writer.put(static_cast<uint8_t>((m_packet.begun ? 1 : 0) | (m_packet.segmented ? 2 : 0) | (m_packet.too_long ? 4 : 0)));
    writer.put(m_packet.options);
    writer.put(m_packet.segments_done);
    writer.put_bytes(std::as_bytes(std::span(m_packet.bytes)));
    // What waits for the back end is lost, as on a wire.
}

void E1000::load(StateReader& reader) {
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    reader.section("e1000", 1);
    for (uint32_t& value : m_registers) {
        reader.get(value);
    }
    reg(k_itr) &= 0xffff;
    reader.get(m_io_address);
    m_eeprom.load(reader);
    m_phy.load(reader);
    for (Nanoseconds& deadline : m_deadlines) {
        reader.get(deadline);
    }
    for (Nanoseconds* const time : {&m_first_transmitted, &m_first_received, &m_next_interrupt}) {
        reader.get(*time);
    }
    m_delayed_causes = reader.get<uint32_t>() & k_int_all;
    for (Offload* const offload : {&m_offload, &m_segmentation}) {
        for (uint8_t* const byte :
             {&offload->ip_start, &offload->ip_at, &offload->tu_start, &offload->tu_at, &offload->header_bytes}) {
            reader.get(*byte);
        }
        for (uint16_t* const word : {&offload->ip_end, &offload->tu_end, &offload->mss}) {
            reader.get(*word);
        }
        const auto flags = reader.get<uint8_t>();
        offload->ip4 = (flags & 1) != 0;
        offload->tcp = (flags & 2) != 0;
    }
    const auto flags = reader.get<uint8_t>();
    m_packet = {};
    m_packet.begun = (flags & 1) != 0;
    m_packet.segmented = (flags & 2) != 0;
    m_packet.too_long = (flags & 4) != 0;
    reader.get(m_packet.options);
    reader.get(m_packet.segments_done);
    const auto bytes = reader.get_bytes();
    if (bytes.size() > net::k_most_frame_bytes) {
        reader.fail("a packet is longer than any");
    } else {
        const auto* const first = reinterpret_cast<const uint8_t*>(bytes.data());
        m_packet.bytes.assign(first, first + bytes.size());
    }
    m_batch.clear();
    m_phy.set_cable(m_cable->is_up());
    schedule();
}

}  // namespace skep
