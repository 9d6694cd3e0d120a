// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/hid_function.hpp"

#include <mutex>

namespace skep {
namespace {

constexpr uint8_t k_class_hid = 3;
constexpr uint8_t k_type_hid = 0x21;
constexpr uint8_t k_type_report = 0x22;
constexpr uint8_t k_interrupt = 3;
constexpr uint8_t k_interval = 4;  // 2^(4-1) microframes: a millisecond
constexpr uint16_t k_packet = 16;
constexpr Nanoseconds k_idle_unit = 4'000'000;
// A driver asks again within milliseconds. Who has let a report lie for so long does not look any more.
constexpr Nanoseconds k_patience = 2'000'000'000;

enum Request : uint16_t {  // HID 1.11, 7.1 and 7.2
    k_get_interface_descriptor = 0x8106,
    k_get_report = 0xa101,
    k_get_idle = 0xa102,
    k_get_protocol = 0xa103,
    k_set_report = 0x2109,
    k_set_idle = 0x210a,
    k_set_protocol = 0x210b,
};
enum ReportType : uint8_t { k_input_report = 1, k_output_report = 2 };

std::vector<uint8_t> hid_descriptor(size_t report_descriptor_size) {
    return {9, k_type_hid, 0x11, 0x01, 0, 1, k_type_report, static_cast<uint8_t>(report_descriptor_size),
            static_cast<uint8_t>(report_descriptor_size >> 8)};
}

UsbDescription describe(const HidDescription& about) {
    return {.speed = UsbSpeed::high,
            .product = about.product,
            .name = about.name,
            .serial = {},
            .interface_class = k_class_hid,
            .interface_subclass = about.subclass,
            .interface_protocol = about.protocol,
            .class_descriptor = hid_descriptor(about.report_descriptor.size()),
            .endpoints = {{.address = 1 | k_usb_in, .attributes = k_interrupt, .max_packet_size = k_packet, .interval = k_interval}},
            .may_wake_host = true};
}

}  // namespace

HidFunction::HidFunction(HidDescription description, Clock& clock)
    : UsbFunction(describe(description)),
      m_about(std::move(description)),
      m_clock(clock),
      m_timer(clock.make_timer([this] {
          const std::lock_guard lock(port()->gate());
          if (repeats() && m_idle != 0) {
              m_repeat_due = true;
              port()->wake(k_endpoint);
          }
      })) {}

HidFunction::~HidFunction() { m_timer->cancel(); }

void HidFunction::unplug() { m_timer->cancel(); }

void HidFunction::reset() {
    UsbFunction::reset();
    m_reports.clear();
    m_idle = 0;
    m_protocol = 1;
    m_repeat_due = false;
    m_timer->disarm();
}

void HidFunction::queue(Report report, Queueing queueing) {
    if (!configured()) {
        return;
    }
    if (queueing == Queueing::replace && !m_reports.empty()) {
        m_reports.back() = std::move(report);
    } else if (m_reports.size() < k_most_reports) {
        if (m_reports.empty()) {
            m_waits_since = m_clock.now();
        }
        m_reports.push_back(std::move(report));
    } else {
        m_reports.back() = std::move(report);  // how it ended up is what counts
    }
    port()->wake(k_endpoint);
}

bool HidFunction::driver_listens() const {
    if (port() == nullptr) {
        return false;
    }
    const std::lock_guard lock(port()->gate());
    const bool forgotten = !m_reports.empty() && m_clock.now() - m_waits_since > k_patience;
    return configured() && !forgotten && port()->endpoint_runs(k_endpoint);
}

UsbAnswer HidFunction::move(uint8_t /*endpoint*/, UsbTransfer& transfer) {
    if (!m_reports.empty()) {
        transfer.give(m_reports.front());
        m_reports.pop_front();
        m_waits_since = m_clock.now();
    } else if (m_repeat_due && repeats()) {
        transfer.give(current());
    } else {
        return UsbAnswer::nak;
    }
    m_repeat_due = false;
    set_idle_timer();
    return UsbAnswer::ack;
}

void HidFunction::set_idle_timer() {
    if (m_idle != 0 && repeats()) {
        m_timer->arm(m_clock.now() + m_idle * k_idle_unit);
    } else {
        m_timer->disarm();
    }
}

UsbAnswer HidFunction::class_request(const UsbSetup& setup, std::vector<uint8_t>& data) {
    switch (setup.key()) {
        case k_get_interface_descriptor:
            if (setup.value >> 8 == k_type_report) {
                data = m_about.report_descriptor;
            } else if (setup.value >> 8 == k_type_hid) {
                data = hid_descriptor(m_about.report_descriptor.size());
            }
            return data.empty() ? UsbAnswer::stall : UsbAnswer::ack;
        case k_get_report:
            data = setup.value >> 8 == k_input_report ? current() : std::vector<uint8_t>{};
            return data.empty() ? UsbAnswer::stall : UsbAnswer::ack;
        case k_set_report: return setup.value >> 8 == k_output_report && output(data) ? UsbAnswer::ack : UsbAnswer::stall;
        case k_get_idle: data = {m_idle}; return UsbAnswer::ack;
        case k_set_idle:
            m_idle = static_cast<uint8_t>(setup.value >> 8);
            set_idle_timer();
            return UsbAnswer::ack;
        case k_get_protocol:
            data = {m_protocol};
            return m_about.subclass != 0 ? UsbAnswer::ack : UsbAnswer::stall;
        case k_set_protocol:
            if (m_about.subclass == 0 || setup.value > 1) {
                return UsbAnswer::stall;
            }
            m_protocol = static_cast<uint8_t>(setup.value);
            return UsbAnswer::ack;
        default: return UsbAnswer::stall;
    }
}

void HidFunction::save(StateWriter& writer) const {
    UsbFunction::save(writer);
    writer.put(m_waits_since);
    writer.put(m_idle);
    writer.put(m_protocol);
    writer.put(static_cast<uint8_t>(m_repeat_due ? 1 : 0));
    writer.put(static_cast<uint16_t>(m_reports.size()));
    for (const Report& report : m_reports) {
        writer.put_bytes(std::as_bytes(std::span(report)));
    }
}

void HidFunction::load(StateReader& reader) {
    UsbFunction::load(reader);
    reader.get(m_waits_since);
    reader.get(m_idle);
    m_protocol = reader.get<uint8_t>() & 1;
    m_repeat_due = reader.get<uint8_t>() != 0;
    const auto count = reader.get<uint16_t>();
    m_reports.clear();
    if (count > k_most_reports) {
        reader.fail("more reports wait than there is room for");
        return;
    }
    for (unsigned index = 0; index < count && reader.ok(); ++index) {
        const std::vector<std::byte> bytes = reader.get_bytes(m_about.report_size);
        Report report;
        for (const std::byte byte : bytes) {
            report.push_back(std::to_integer<uint8_t>(byte));
        }
        m_reports.push_back(std::move(report));
    }
}

}  // namespace skep
