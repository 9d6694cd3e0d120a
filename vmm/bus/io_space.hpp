// SPDX-License-Identifier: GPL-3.0-or-later
// The port and MMIO spaces: devices claim ranges, the space routes, splits and serialises accesses.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

namespace skep {

// One device's lock. The space holds it around every access of that device; the device's own timers
// and completions take it with std::lock_guard. A thread that is already inside is refused
// (a device's DMA or an access provoked by its own access must not come back into it).
class IoGate {
  public:
    void lock() {
        m_mutex.lock();
        m_owner.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    void unlock() {
        m_owner.store(std::thread::id(), std::memory_order_relaxed);
        m_mutex.unlock();
    }
    [[nodiscard]] bool held_by_this_thread() const {
        return m_owner.load(std::memory_order_relaxed) == std::this_thread::get_id();
    }
    [[nodiscard]] uint64_t blocked_reentrant_io() const { return m_blocked.load(std::memory_order_relaxed); }
    void count_blocked() { m_blocked.fetch_add(1, std::memory_order_relaxed); }

  private:
    std::mutex m_mutex;
    std::atomic<std::thread::id> m_owner{};
    std::atomic<uint64_t> m_blocked{0};
};

// What a device implements for a claimed range. Called with the device's gate held, on a vCPU's thread.
// offset: from the claim's start. size: 1, 2, 4 or 8 bytes and within the widths of the claim; the access
// lies wholly inside the claim. A device cannot fail: for "no such register" it returns all ones.
class IoHandler {
  public:
    virtual ~IoHandler() = default;
    virtual uint64_t io_read(uint64_t offset, unsigned size) = 0;
    virtual void io_write(uint64_t offset, unsigned size, uint64_t value) = 0;
};

struct IoRange {
    uint64_t start = 0;
    uint64_t size = 0;
    // Access widths in bytes that the handler takes. Wider ones are split low part first; narrower ones
    // read the containing register and pick (reads), or are widened with zeros at an aligned offset (writes).
    unsigned min_width = 1;
    unsigned max_width = 4;
    // Where ranges overlap the higher priority answers; among equals the one claimed first.
    int priority = 0;
};

inline constexpr int k_priority_pci_bar = -1;     // a BAR that the guest put over the board yields
inline constexpr int k_priority_background = -2;  // what answers when nobody else does

class IoSpace;

// Undoes itself. Move-only. Destroying it waits for an access that is under way on another thread.
class IoClaim {
  public:
    IoClaim() = default;
    IoClaim(IoClaim&& other) noexcept;
    IoClaim& operator=(IoClaim&& other) noexcept;
    ~IoClaim() { release(); }
    void release();
    [[nodiscard]] bool active() const { return m_entry != nullptr; }

  private:
    friend class IoSpace;
    struct Entry;
    IoClaim(IoSpace& space, std::shared_ptr<Entry> entry);
    IoSpace* m_space = nullptr;
    std::shared_ptr<Entry> m_entry;
};

class IoSpace {
  public:
    // name: for the log ("port", "mmio").
    explicit IoSpace(std::string name) : m_name(std::move(name)) {}

    // May be called from inside a handler (a BAR that moves). The handler and gate outlive the claim.
    [[nodiscard]] IoClaim claim(const IoRange& range, IoHandler& handler, IoGate& gate);

    // size: 1, 2, 4 or 8. What nobody claims reads as all ones and swallows writes. Any thread.
    uint64_t read(uint64_t address, unsigned size);
    void write(uint64_t address, unsigned size, uint64_t value);

  private:
    friend class IoClaim;
    [[nodiscard]] std::shared_ptr<IoClaim::Entry> find(uint64_t address) const;
    void remove(const std::shared_ptr<IoClaim::Entry>& entry);
    uint64_t read_part(uint64_t address, unsigned size);
    void write_part(uint64_t address, unsigned size, uint64_t value);
    // Bytes from `address` that one handler call may cover.
    [[nodiscard]] static unsigned part_size(const IoClaim::Entry* entry, uint64_t address, unsigned size);

    std::string m_name;
    mutable std::shared_mutex m_mutex;
    std::vector<std::shared_ptr<IoClaim::Entry>> m_entries;  // by falling priority, then age
};

}  // namespace skep
