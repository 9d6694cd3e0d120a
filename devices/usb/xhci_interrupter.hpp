// SPDX-License-Identifier: GPL-3.0-or-later
// An interrupter: its registers, its event ring and what does not fit in it (xHCI 1.1, 4.9.4, 4.17, 5.5.2).
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "devices/usb/xhci_regs.hpp"
#include "vmm/base/log.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::xhci {

enum class Urgency { interrupt, blocked };  // blocked: BEI, the event comes without an interrupt

// With the controller's gate held.
class Interrupter {
  public:
    struct Controller {
        GuestMemory& memory;
        GuestErrorLog& guest_errors;
        std::function<void(unsigned index)> pending;  // IP has become 1
        std::function<void(unsigned index)> changed;  // IMAN was written: the wire may have to follow
    };
    Interrupter(unsigned index, Controller controller) : m_index(index), m_controller(std::move(controller)) {}

    void reset();
    // reg: inside the register set, a multiple of 4.
    [[nodiscard]] uint32_t read(unsigned reg) const;
    void write(unsigned reg, uint32_t value);

    // The cycle bit is put in here.
    void post(Trb event, Urgency urgency = Urgency::interrupt);
    // Events wait for room in the ring: nothing that makes more of them should be started.
    [[nodiscard]] bool blocked() const { return !m_waiting.empty(); }
    [[nodiscard]] bool asserted() const { return (m_iman & (k_iman_ip | k_iman_ie)) == (k_iman_ip | k_iman_ie); }
    // The message has been sent (4.17.5: IP is then cleared by itself).
    void acknowledge() { m_iman &= ~k_iman_ip; }

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    struct Segment {
        GuestAddress base = 0;
        uint32_t size = 0;  // TRBs
    };
    struct Place {
        uint32_t segment = 0;
        uint32_t index = 0;
        bool operator==(const Place&) const = default;
    };

    bool load_table();
    [[nodiscard]] bool read_segments();
    [[nodiscard]] Place after(Place place) const;
    [[nodiscard]] bool dequeue_place(Place& place) const;
    void put(Trb event);
    void raise();
    void dequeue_written();
    void flush();

    unsigned m_index;
    Controller m_controller;
    uint32_t m_iman = 0;
    uint32_t m_imod = 0;
    uint32_t m_erstsz = 0;
    uint64_t m_erstba = 0;
    uint64_t m_erdp = 0;

    bool m_loaded = false;  // the segment table has been read since it was set
    std::vector<Segment> m_segments;
    Place m_enqueue;
    bool m_cycle = true;
    struct Waiting {
        Trb event;
        Urgency urgency;
    };
    std::deque<Waiting> m_waiting;
};

}  // namespace skep::xhci
