// SPDX-License-Identifier: GPL-3.0-or-later
// What a USB device is to the host controller behind whose port it is, and what it may ask of that port (Universal
// Serial Bus 2.0, chapter 9; Universal Serial Bus 3.2, chapter 9).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "devices/storage/guest_buffer.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/device/state_io.hpp"

namespace skep {

// As xHCI numbers them (xHCI 1.1, table 27: default speed IDs).
enum class UsbSpeed : uint8_t { full = 1, low = 2, high = 3, super = 4 };

enum class UsbAnswer {
    ack,    // the transfer has ended; with fewer bytes than asked for it ended with a short packet
    nak,    // not (all) now: the device calls UsbPort::wake() when it is worth another try
    stall,  // the endpoint halts; for a control request: it is refused
};

inline constexpr uint8_t k_usb_in = 0x80;  // in endpoint addresses and bmRequestType

struct UsbSetup {
    uint8_t type = 0;  // bmRequestType
    uint8_t request = 0;
    uint16_t value = 0;
    uint16_t index = 0;
    uint16_t length = 0;

    // The eight bytes of a SETUP packet.
    static constexpr UsbSetup unpack(uint64_t packet) {
        return {static_cast<uint8_t>(packet), static_cast<uint8_t>(packet >> 8), static_cast<uint16_t>(packet >> 16),
                static_cast<uint16_t>(packet >> 32), static_cast<uint16_t>(packet >> 48)};
    }
    [[nodiscard]] bool to_host() const { return (type & k_usb_in) != 0; }
    // bmRequestType and bRequest in one number, for tables of requests.
    [[nodiscard]] uint16_t key() const { return static_cast<uint16_t>(type << 8 | request); }
};

// The data of one transfer: a scattered buffer in guest memory, and how much of it has been moved. It lives only for the
// call it is handed to; what was moved is remembered for the next call.
class UsbTransfer {
  public:
    UsbTransfer(GuestMemory& memory, const GuestBuffer& buffer, uint64_t moved)
        : m_memory(memory), m_buffer(buffer), m_moved(moved) {}

    [[nodiscard]] uint64_t length() const { return m_buffer.size(); }
    [[nodiscard]] uint64_t moved() const { return m_moved; }
    [[nodiscard]] uint64_t remaining() const { return m_buffer.size() - m_moved; }
    // Moves as many bytes as there is room for (are left) and returns how many: to the host, or from it.
    size_t give(std::span<const uint8_t> data);
    size_t take(std::span<uint8_t> data);
    // A piece of the buffer is not (writable) memory.
    [[nodiscard]] bool failed() const { return m_failed; }

  private:
    GuestMemory& m_memory;
    const GuestBuffer& m_buffer;
    uint64_t m_moved;
    bool m_failed = false;
};

// The controller's side of a port.
class UsbPort {
  public:
    virtual ~UsbPort() = default;
    // The lock of everything below and of all calls to the device unless said otherwise.
    [[nodiscard]] virtual IoGate& gate() = 0;
    // Something that an endpoint was asked for has become possible. Gate held; may call the device's transfer().
    // endpoint: with k_usb_in. A sleeping host is woken if it has allowed that.
    virtual void wake(uint8_t endpoint) = 0;
    // True while the guest's driver has this endpoint running. Gate held.
    [[nodiscard]] virtual bool endpoint_runs(uint8_t endpoint) const = 0;
};

// All calls come with the port's gate held, except those that say otherwise. Host I/O that a device has started goes to
// memory of its own, never to the guest's, so a transfer may be given up at any time without telling the device.
class UsbDevice {
  public:
    virtual ~UsbDevice() = default;
    [[nodiscard]] virtual UsbSpeed speed() const = 0;
    // What it is, for the log and the saved state: "tablet".
    [[nodiscard]] virtual std::string_view kind() const = 0;

    // Without the gate, on the control thread: before the guest sees the device, and after it last did. unplug() waits
    // for host I/O under way.
    virtual void plug(UsbPort& port) = 0;
    virtual void unplug() {}

    // A bus reset: the device forgets its address and configuration.
    virtual void reset() = 0;
    // A control request. data: what the host sent, or (to_host) where the answer goes; the host takes no more than
    // setup.length bytes of it. Never nak.
    virtual UsbAnswer control(const UsbSetup& setup, std::vector<uint8_t>& data) = 0;
    // endpoint: its number (1 to 15) with k_usb_in for transfers to the host.
    virtual UsbAnswer transfer(uint8_t endpoint, UsbTransfer& transfer) = 0;
    // The host lets the device wake it.
    [[nodiscard]] virtual bool may_wake_host() const { return false; }

    // Without the gate: waits for host I/O under way, except requests held for want of space. Later completions only
    // change the device's own memory until the controller asks again.
    virtual void drain() {}
    // Without the gate: ends held requests too.
    virtual void cancel_held() {}
    virtual void save(StateWriter& writer) const = 0;
    virtual void load(StateReader& reader) = 0;
};

}  // namespace skep
