// SPDX-License-Identifier: GPL-3.0-or-later
// What tablet and keyboard have in common: reports that wait for the interrupt endpoint, and the requests of the class
// (HID 1.11, 7.2).
#pragma once

#include <deque>
#include <memory>

#include "devices/usb/usb_function.hpp"
#include "vmm/base/clock.hpp"

namespace skep {

struct HidDescription {
    uint16_t product = 0;
    std::string name;
    uint8_t subclass = 0;  // 1: boot interface
    uint8_t protocol = 0;  // 1: keyboard
    std::vector<uint8_t> report_descriptor;
    uint8_t report_size = 0;  // bytes of an input report
};

class HidFunction : public UsbFunction {
  public:
    HidFunction(HidDescription description, Clock& clock);
    ~HidFunction() override;

    void unplug() override;
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  protected:
    using Report = std::vector<uint8_t>;
    static constexpr uint8_t k_endpoint = 1 | k_usb_in;
    static constexpr size_t k_most_reports = 128;

    // The input report of how things are now.
    [[nodiscard]] virtual Report current() const = 0;
    // An output report; false refuses it.
    virtual bool output(std::span<const uint8_t> /*report*/) { return false; }
    // True while the idle rate (7.2.4) is to be kept: the report is sent again and again.
    [[nodiscard]] virtual bool repeats() const { return false; }

    // Gate held. replace: it may take the place of the last one that waits (a movement).
    enum class Queueing { append, replace };
    void queue(Report report, Queueing queueing);
    [[nodiscard]] size_t waiting() const { return m_reports.size(); }
    // After a load, when repeats() is known again.
    void set_idle_timer();
    // Takes the gate.
    [[nodiscard]] bool driver_listens() const;

  private:
    UsbAnswer class_request(const UsbSetup& setup, std::vector<uint8_t>& data) final;
    UsbAnswer move(uint8_t endpoint, UsbTransfer& transfer) final;

    HidDescription m_about;
    Clock& m_clock;
    std::deque<Report> m_reports;
    Nanoseconds m_waits_since = 0;  // the first of them
    uint8_t m_idle = 0;             // in 4 ms, 0: never
    uint8_t m_protocol = 1;         // 1: report, 0: boot
    bool m_repeat_due = false;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
