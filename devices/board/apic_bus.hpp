// SPDX-License-Identifier: GPL-3.0-or-later
// How interrupt messages find their local APICs: IPIs, IO-APIC messages and MSIs, after the Intel SDM
// volume 3A, chapter 10 (10.6 IPIs and destinations, 10.11 MSI, 10.12.10 x2APIC logical destinations).
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "vmm/irq/irq.hpp"

namespace skep {

class LocalApic;

// As encoded in ICR[10:8], redirection entries and MSI data.
enum class DeliveryMode : uint8_t {
    fixed = 0,
    lowest_priority = 1,
    smi = 2,
    reserved = 3,
    nmi = 4,
    init = 5,
    startup = 6,
    ext_int = 7,
};
enum class DestinationMode : uint8_t { physical = 0, logical = 1 };
enum class TriggerMode : uint8_t { edge = 0, level = 1 };

struct ApicMessage {
    static constexpr uint32_t k_everybody = 0xffff'ffff;

    uint32_t destination = 0;  // APIC id or logical set; the 8-bit physical broadcast 0xff is k_everybody here
    DestinationMode destination_mode = DestinationMode::physical;
    DeliveryMode delivery_mode = DeliveryMode::fixed;
    TriggerMode trigger = TriggerMode::edge;
    uint8_t vector = 0;
};

// Told when a level-triggered interrupt was completed. Called with no local APIC's lock held.
class EoiListener {
  public:
    virtual ~EoiListener() = default;
    virtual void end_of_interrupt(uint8_t vector) = 0;
};

class ApicBus final : public MsiSink {
  public:
    // Attach everything before the first message. References outlive the bus' last message.
    void attach(LocalApic& apic) { m_apics.push_back(&apic); }
    void attach(EoiListener& listener) { m_listeners.push_back(&listener); }

    // A write of a device to 0xfeexxxxx; other addresses are ignored. Any thread.
    void deliver(MsiMessage message) override;
    // To every local APIC that the destination names, or for lowest priority to one of them. Any thread.
    void send(const ApicMessage& message);
    // The ICR shorthands "all including self" and "all excluding self" (excluded: that one, or null).
    void send_to_all(const ApicMessage& message, const LocalApic* excluded);
    void broadcast_eoi(uint8_t vector);

  private:
    void send_lowest_priority(const ApicMessage& message);

    std::vector<LocalApic*> m_apics;
    std::vector<EoiListener*> m_listeners;
    std::atomic<uint32_t> m_turn{0};  // breaks ties of the arbitration fairly
};

}  // namespace skep
