// SPDX-License-Identifier: GPL-3.0-or-later
// The tablet: buttons, absolute X and Y, a wheel and a tilting wheel (HID Usage Tables, pages 1, 9 and 12).
#include <algorithm>
#include <mutex>

#include "devices/usb/hid_function.hpp"
#include "devices/usb/usb_hid.hpp"

namespace skep {
namespace {

constexpr uint16_t k_product = 1;
constexpr uint8_t k_report_size = 7;  // buttons, X, Y, wheel, tilt
constexpr int32_t k_most_notches = 127;

// Buttons 1 to 5; X and Y of 0 to PointerSink::k_absolute_most; notches of -127 to 127.
const std::vector<uint8_t> k_report_descriptor{
    0x05, 0x01,        // usage page (generic desktop)
    0x09, 0x02,        // usage (mouse)
    0xa1, 0x01,        // collection (application)
    0x09, 0x01,        //   usage (pointer)
    0xa1, 0x00,        //   collection (physical)
    0x05, 0x09,        //     usage page (button)
    0x19, 0x01,        //     usage minimum
    0x29, 0x05,        //     usage maximum
    0x15, 0x00,        //     logical minimum
    0x25, 0x01,        //     logical maximum
    0x95, 0x05,        //     report count
    0x75, 0x01,        //     report size
    0x81, 0x02,        //     input (data, variable, absolute)
    0x95, 0x01,        //     report count
    0x75, 0x03,        //     report size
    0x81, 0x01,        //     input (constant)
    0x05, 0x01,        //     usage page (generic desktop)
    0x09, 0x30,        //     usage (X)
    0x09, 0x31,        //     usage (Y)
    0x15, 0x00,        //     logical minimum
    0x26, 0xff, 0x7f,  //     logical maximum (32767)
    0x35, 0x00,        //     physical minimum
    0x46, 0xff, 0x7f,  //     physical maximum
    0x75, 0x10,        //     report size
    0x95, 0x02,        //     report count
    0x81, 0x02,        //     input (data, variable, absolute)
    0x09, 0x38,        //     usage (wheel)
    0x15, 0x81,        //     logical minimum (-127)
    0x25, 0x7f,        //     logical maximum (127)
    0x35, 0x00,        //     physical minimum (as logical)
    0x45, 0x00,        //     physical maximum
    0x75, 0x08,        //     report size
    0x95, 0x01,        //     report count
    0x81, 0x06,        //     input (data, variable, relative)
    0x05, 0x0c,        //     usage page (consumer)
    0x0a, 0x38, 0x02,  //     usage (AC pan)
    0x81, 0x06,        //     input (data, variable, relative)
    0xc0,              //   end collection
    0xc0,              // end collection
};

class UsbTablet final : public HidFunction, public PointerSink {
  public:
    UsbTablet(InputHub& hub, Clock& clock)
        : HidFunction({.product = k_product,
                       .name = "USB tablet",
                       .subclass = 0,
                       .protocol = 0,
                       .report_descriptor = k_report_descriptor,
                       .report_size = k_report_size},
                      clock),
          m_hub(hub) {}

    [[nodiscard]] std::string_view kind() const override { return "tablet"; }
    void plug(UsbPort& port) override {
        HidFunction::plug(port);
        m_hub.add(*this);
    }
    void unplug() override {
        m_hub.remove(*this);
        HidFunction::unplug();
    }

    [[nodiscard]] bool absolute() const override { return true; }
    [[nodiscard]] bool listening() const override { return driver_listens(); }
    void move_to(uint32_t x, uint32_t y, uint8_t buttons) override {
        const std::lock_guard lock(port()->gate());
        // Movements that nobody has fetched yet become one; the place where a button changes is never lost.
        const bool same = buttons == m_buttons && m_last_was_movement;
        m_last_was_movement = buttons == m_buttons;
        m_x = static_cast<uint16_t>(std::min(x, k_absolute_most));
        m_y = static_cast<uint16_t>(std::min(y, k_absolute_most));
        m_buttons = buttons;
        queue(report(0, 0), same ? Queueing::replace : Queueing::append);
    }
    void move_by(int32_t /*x*/, int32_t /*y*/, uint8_t /*buttons*/) override {}
    void wheel(int32_t vertical, int32_t horizontal, uint8_t buttons) override {
        const std::lock_guard lock(port()->gate());
        m_buttons = buttons;
        m_last_was_movement = false;
        queue(report(-vertical, horizontal), Queueing::append);  // away from the user is positive
    }

    void reset() override {
        HidFunction::reset();
        m_last_was_movement = false;
    }
    void save(StateWriter& writer) const override {
        HidFunction::save(writer);
        writer.put(m_x);
        writer.put(m_y);
        writer.put(m_buttons);
        writer.put(static_cast<uint8_t>(m_last_was_movement ? 1 : 0));
    }
    void load(StateReader& reader) override {
        HidFunction::load(reader);
        reader.get(m_x);
        reader.get(m_y);
        reader.get(m_buttons);
        m_last_was_movement = reader.get<uint8_t>() != 0;
    }

  private:
    [[nodiscard]] Report report(int32_t vertical, int32_t horizontal) const {
        const auto notches = [](int32_t count) {
            return static_cast<uint8_t>(static_cast<int8_t>(std::clamp(count, -k_most_notches, k_most_notches)));
        };
        return {m_buttons,
                static_cast<uint8_t>(m_x), static_cast<uint8_t>(m_x >> 8),
                static_cast<uint8_t>(m_y), static_cast<uint8_t>(m_y >> 8),
                notches(vertical), notches(horizontal)};
    }
    [[nodiscard]] Report current() const override { return report(0, 0); }

    InputHub& m_hub;
    uint16_t m_x = 0;
    uint16_t m_y = 0;
    uint8_t m_buttons = 0;  // PointerButton is in the order of HID's buttons
    bool m_last_was_movement = false;
};

}  // namespace

std::unique_ptr<UsbDevice> make_usb_tablet(InputHub& hub, Clock& clock) { return std::make_unique<UsbTablet>(hub, clock); }

}  // namespace skep
