// SPDX-License-Identifier: GPL-3.0-or-later
// What a virtio device is to its transport. The session (queues, negotiated features) is moved in at activation and
// given back: reset, pause and save are all "give it back".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/virtio/virtio_queue.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/device/state_io.hpp"

namespace skep {

namespace virtio {
inline constexpr uint64_t k_feature_indirect_desc = uint64_t{1} << 28;
inline constexpr uint64_t k_feature_event_idx = uint64_t{1} << 29;
inline constexpr uint64_t k_feature_version_1 = uint64_t{1} << 32;
}  // namespace virtio

// What the device asks of its transport. With the gate held.
class VirtioTransport {
  public:
    virtual ~VirtioTransport() = default;
    // The lock around every call of the device; completions take it first.
    virtual IoGate& device_gate() = 0;
    virtual void interrupt_queue(unsigned queue) = 0;
    virtual void interrupt_config() = 0;
    // The guest broke a ring: DEVICE_NEEDS_RESET.
    virtual void device_broken(const std::string& why) = 0;
    // The last request in flight has completed (a reset may be waiting for that).
    virtual void device_idle() = 0;
};

struct VirtioSession {
    uint64_t features = 0;                            // as negotiated
    std::vector<std::unique_ptr<Virtqueue>> queues;   // null where the driver enabled none
};

// All calls with the transport's gate held, except drain() and cancel_held().
class VirtioDevice {
  public:
    virtual ~VirtioDevice() = default;
    [[nodiscard]] virtual uint16_t device_id() const = 0;    // 5.1 ff: 2 block, 4 entropy
    [[nodiscard]] virtual uint32_t class_code() const = 0;   // PCI class
    [[nodiscard]] virtual uint64_t features() const = 0;     // device-specific ones; ring features are the transport's
    [[nodiscard]] virtual std::vector<uint16_t> queue_sizes() const = 0;
    [[nodiscard]] virtual std::vector<std::byte> config() const = 0;  // the device-specific configuration as it is now
    virtual void config_written(uint32_t /*offset*/, std::span<const std::byte> /*data*/) {}

    virtual void set_transport(VirtioTransport& transport) = 0;  // once
    virtual void activate(VirtioSession session) = 0;
    [[nodiscard]] virtual bool active() const = 0;
    // Only while not busy: host I/O may still be writing into the guest's buffers.
    virtual VirtioSession deactivate() = 0;
    // The driver has reset the device, or the machine was: back to the initial state. After deactivate().
    virtual void reset_state() {}
    // Is host I/O in flight? Its end is told by VirtioTransport::device_idle().
    [[nodiscard]] virtual bool busy() const { return false; }
    virtual void queue_notified(unsigned queue) = 0;
    // Waits until no host I/O is in flight. Control thread, gate not held, no vCPU runs.
    virtual void drain() {}
    // Requests that wait for space on the host's disk are given up (the machine is being reset). As drain().
    virtual void cancel_held() {}
    // Device-specific state beyond the session's.
    virtual void save(StateWriter& writer) const = 0;
    virtual void load(StateReader& reader) = 0;
};

// For devices that answer every request at once: takes what waits in a queue, gives each chain to `answer`, which returns
// the bytes it has written, and tells the driver. Bounded by the ring's size: the rest waits for the next notification.
template <typename Answer>
void answer_chains(VirtioSession& session, VirtioTransport& transport, unsigned queue_index, Answer answer) {
    if (queue_index >= session.queues.size() || !session.queues[queue_index]) {
        return;
    }
    Virtqueue& queue = *session.queues[queue_index];
    unsigned budget = 2U * queue.config().size;
    do {
        for (auto chain = queue.pop(); chain; chain = queue.pop()) {
            queue.push(chain->head, answer(*chain));
        }
    } while (queue.enable_notifications() && --budget > 0);
    if (queue.take_notification()) {
        transport.interrupt_queue(queue_index);
    }
    if (!queue.problem().empty()) {
        transport.device_broken(queue.problem());
    }
}

}  // namespace skep
