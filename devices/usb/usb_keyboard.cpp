// SPDX-License-Identifier: GPL-3.0-or-later
// The keyboard. Its reports are those of the boot protocol (HID 1.11, B.1), so both protocols are the same: modifiers, a
// byte of nothing, and up to six keys.
#include <algorithm>
#include <mutex>

#include "devices/usb/hid_function.hpp"
#include "devices/usb/usb_hid.hpp"
#include "display/input/scan_codes.hpp"

namespace skep {
namespace {

constexpr uint16_t k_product = 2;
constexpr uint8_t k_report_size = 8;
constexpr size_t k_most_keys = 6;
constexpr uint8_t k_boot_interface = 1;
constexpr uint8_t k_protocol_keyboard = 1;
constexpr uint8_t k_first_modifier = 0xe0;  // left control; eight of them
constexpr uint8_t k_last_modifier = 0xe7;
constexpr uint8_t k_roll_over = 0x01;  // in every place when more keys are down than there are places

const std::vector<uint8_t> k_report_descriptor{
    0x05, 0x01,        // usage page (generic desktop)
    0x09, 0x06,        // usage (keyboard)
    0xa1, 0x01,        // collection (application)
    0x05, 0x07,        //   usage page (keyboard)
    0x19, 0xe0,        //   usage minimum (left control)
    0x29, 0xe7,        //   usage maximum (right GUI)
    0x15, 0x00,        //   logical minimum
    0x25, 0x01,        //   logical maximum
    0x75, 0x01,        //   report size
    0x95, 0x08,        //   report count
    0x81, 0x02,        //   input (data, variable, absolute)
    0x95, 0x01,        //   report count
    0x75, 0x08,        //   report size
    0x81, 0x01,        //   input (constant)
    0x95, 0x05,        //   report count
    0x75, 0x01,        //   report size
    0x05, 0x08,        //   usage page (LEDs)
    0x19, 0x01,        //   usage minimum (num lock)
    0x29, 0x05,        //   usage maximum (kana)
    0x91, 0x02,        //   output (data, variable, absolute)
    0x95, 0x01,        //   report count
    0x75, 0x03,        //   report size
    0x91, 0x01,        //   output (constant)
    0x95, 0x06,        //   report count
    0x75, 0x08,        //   report size
    0x15, 0x00,        //   logical minimum
    0x26, 0xff, 0x00,  //   logical maximum (255)
    0x05, 0x07,        //   usage page (keyboard)
    0x19, 0x00,        //   usage minimum
    0x2a, 0xff, 0x00,  //   usage maximum (255)
    0x81, 0x00,        //   input (data, array)
    0xc0,              // end collection
};

class UsbKeyboard final : public HidFunction, public KeyboardSink {
  public:
    UsbKeyboard(InputHub& hub, Clock& clock)
        : HidFunction({.product = k_product,
                       .name = "USB keyboard",
                       .subclass = k_boot_interface,
                       .protocol = k_protocol_keyboard,
                       .report_descriptor = k_report_descriptor,
                       .report_size = k_report_size},
                      clock),
          m_hub(hub) {}

    [[nodiscard]] std::string_view kind() const override { return "keyboard"; }
    void plug(UsbPort& port) override {
        HidFunction::plug(port);
        m_hub.add(*this);
    }
    void unplug() override {
        m_hub.remove(*this);
        HidFunction::unplug();
    }

    [[nodiscard]] bool listening() const override { return driver_listens(); }
    void key(KeyCode code, bool down) override {
        const uint8_t usage = hid_usage_of_key(code);
        const std::lock_guard lock(port()->gate());
        if (usage != 0 && (usage >= k_first_modifier && usage <= k_last_modifier ? set_modifier(usage, down) : set_key(usage, down))) {
            queue(current(), Queueing::append);
        }
    }

    void save(StateWriter& writer) const override {
        HidFunction::save(writer);
        writer.put(m_modifiers);
        writer.put_bytes(std::as_bytes(std::span(m_down)));
    }
    void load(StateReader& reader) override {
        HidFunction::load(reader);
        reader.get(m_modifiers);
        const std::vector<std::byte> down = reader.get_bytes();
        m_down.clear();
        for (const std::byte usage : down) {
            set_key(std::to_integer<uint8_t>(usage), true);
        }
        set_idle_timer();
    }

  private:
    // Each true when that is news.
    bool set_modifier(uint8_t usage, bool down) {
        const auto mask = static_cast<uint8_t>(1U << (usage - k_first_modifier));
        const uint8_t before = m_modifiers;
        m_modifiers = static_cast<uint8_t>(down ? before | mask : before & ~mask);
        return m_modifiers != before;
    }
    bool set_key(uint8_t usage, bool down) {
        const auto found = std::find(m_down.begin(), m_down.end(), usage);
        if (down == (found != m_down.end())) {
            return false;  // repetition is the guest's business
        }
        if (down) {
            m_down.push_back(usage);
        } else {
            m_down.erase(found);
        }
        return true;
    }
    [[nodiscard]] Report current() const override {
        Report report(k_report_size);
        report[0] = m_modifiers;
        if (m_down.size() > k_most_keys) {
            std::fill(report.begin() + 2, report.end(), k_roll_over);
        } else {
            std::copy(m_down.begin(), m_down.end(), report.begin() + 2);
        }
        return report;
    }
    bool output(std::span<const uint8_t> report) override { return !report.empty(); }  // the lamps
    [[nodiscard]] bool repeats() const override { return m_modifiers != 0 || !m_down.empty(); }

    InputHub& m_hub;
    uint8_t m_modifiers = 0;
    std::vector<uint8_t> m_down;  // usages, the one pressed first in front; at most one of each
};

}  // namespace

std::unique_ptr<UsbDevice> make_usb_keyboard(InputHub& hub, Clock& clock) {
    return std::make_unique<UsbKeyboard>(hub, clock);
}

}  // namespace skep
