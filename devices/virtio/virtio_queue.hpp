// SPDX-License-Identifier: GPL-3.0-or-later
// A split virtqueue as the device sees it (Virtual I/O Device 1.2, section 2.7), with indirect descriptors and event
// indices. It bounds every chain: loops, overlong chains, bad addresses and huge lengths end here, never in a device.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

inline constexpr uint16_t k_virtqueue_max_size = 1024;

// One buffer of guest memory. It may lie anywhere: reads and writes through GuestMemory say so.
struct VirtioBuffer {
    GuestAddress address = 0;
    uint32_t length = 0;
};

// A request taken off the available ring: first what the device reads, then what it writes.
class VirtioChain {
  public:
    uint16_t head = 0;
    std::vector<VirtioBuffer> readable;
    std::vector<VirtioBuffer> writable;

    [[nodiscard]] uint64_t readable_bytes() const { return total(readable); }
    [[nodiscard]] uint64_t writable_bytes() const { return total(writable); }
    // Copies a stretch of the readable (writable) part; false when it is not all there or not RAM.
    [[nodiscard]] bool read(const GuestMemory& memory, uint64_t offset, void* to, uint64_t size) const;
    [[nodiscard]] bool write(GuestMemory& memory, uint64_t offset, const void* from, uint64_t size) const;

    enum class Part { readable, writable };
    // Appends host pieces of [offset, offset+size) to `pieces`; false when some of it is not RAM.
    [[nodiscard]] bool slices(const GuestMemory& memory, Part part, uint64_t offset, uint64_t size,
                              std::vector<iovec>& pieces) const;
    // After host I/O wrote through slices.
    void mark_written(GuestMemory& memory, uint64_t offset, uint64_t size) const;

  private:
    [[nodiscard]] static uint64_t total(const std::vector<VirtioBuffer>& buffers);
};

// What the driver programmed for a queue.
struct VirtqueueConfig {
    uint16_t size = 0;  // a power of two up to k_virtqueue_max_size
    GuestAddress descriptors = 0;
    GuestAddress driver_area = 0;  // available ring
    GuestAddress device_area = 0;  // used ring
};

class Virtqueue {
  public:
    enum class EventIndex { off, on };

    Virtqueue(GuestMemory& memory, const VirtqueueConfig& config, EventIndex event_index);

    // The next request, or nothing: the ring is empty or broken (see problem()).
    [[nodiscard]] std::optional<VirtioChain> pop();
    // A request that was popped before the machine was saved, by its head; nothing when there is no such chain any more.
    [[nodiscard]] std::optional<VirtioChain> take_again(uint16_t head);
    // Gives the request back with the number of bytes written to its writable part.
    void push(uint16_t head, uint32_t written);
    // The same in two steps: several requests become the driver's at once, as the buffers of one network packet must.
    void put(uint16_t head, uint32_t written);
    void publish();
    // The last `count` requests popped, none of them given back yet, are on the ring again as if never popped.
    void unpop(uint16_t count) { m_next_available = static_cast<uint16_t>(m_next_available - count); }
    // Must the driver be interrupted for what was pushed since the last call? (2.7.7)
    [[nodiscard]] bool take_notification();
    // Asks for driver notifications again; true when an entry slipped in meanwhile, which must be taken without one.
    [[nodiscard]] bool enable_notifications();
    void disable_notifications();

    // Not empty once the guest has broken the ring: the device then needs a reset.
    [[nodiscard]] const std::string& problem() const { return m_problem; }
    [[nodiscard]] const VirtqueueConfig& config() const { return m_config; }

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
    };
    static_assert(sizeof(Descriptor) == 16);

    void fail(std::string why);
    [[nodiscard]] bool append(VirtioChain& chain, const Descriptor& descriptor);
    [[nodiscard]] bool walk(VirtioChain& chain, GuestAddress table, uint32_t entries, uint16_t first, bool indirect);

    GuestMemory& m_memory;
    VirtqueueConfig m_config;
    EventIndex m_event_index;
    uint16_t m_next_available = 0;
    uint16_t m_next_used = 0;
    uint16_t m_notified_used = 0;  // used index at the last take_notification()
    uint64_t m_chain_bytes = 0;
    uint32_t m_chain_descriptors = 0;
    std::string m_problem;
};

}  // namespace skep
