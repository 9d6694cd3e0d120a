// SPDX-License-Identifier: GPL-3.0-or-later
// The guest's physical memory: RAM in one piece, ROMs, and the flat map of what lies where.
// This is the only turner of guest addresses into host pointers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

using GuestAddress = uint64_t;  // guest physical, bytes

inline constexpr uint64_t k_page_size = 4096;
inline constexpr uint64_t k_page_mask = k_page_size - 1;

// A stretch of guest physical addresses answered by host memory. Everything else is MMIO.
// Writes to a range that is not writable go to the MMIO bus as well (ROM, PAM write holes).
struct MemoryRange {
    GuestAddress start = 0;
    uint64_t size = 0;
    std::byte* host = nullptr;
    bool writable = false;

    [[nodiscard]] GuestAddress end() const { return start + size; }
};

// Told after the flat map changed (PAM, flash mode). CPU back ends refill their TLBs or memory slots.
// Called on the thread that changed the map, with no lock of GuestMemory held.
class MemoryMapListener {
  public:
    virtual ~MemoryMapListener() = default;
    virtual void memory_map_changed() = 0;
};

// Per-page marks of RAM and device memory, indexed by page number from the start of RAM.
enum PageMark : uint8_t {
    k_page_has_code = 1,  // a software CPU holds decoded code of this page: writes must be told
    k_page_dirty = 2,     // written since the mark was last cleared (only kept for pages with the next mark)
    k_page_logged = 4,    // somebody wants to know of writes
};

class GuestMemory {
  public:
    // RAM below this address first, the rest from 4 GiB up (Q35: the ECAM window starts at 0xb0000000).
    static constexpr GuestAddress k_low_ram_limit = 0x8000'0000;
    static constexpr GuestAddress k_high_ram_start = 0x1'0000'0000;
    static constexpr uint64_t k_device_memory_limit = 64 << 20;

    // ram_bytes: a multiple of 4096. Fails with no_space and a sentence when the host cannot give so much.
    static Result<std::unique_ptr<GuestMemory>> create(uint64_t ram_bytes);
    ~GuestMemory();

    [[nodiscard]] uint64_t ram_bytes() const { return m_ram_bytes; }
    [[nodiscard]] uint64_t low_ram_bytes() const;   // RAM from address 0
    [[nodiscard]] uint64_t high_ram_bytes() const;  // RAM from 4 GiB
    // All RAM as one host range, low part first: for the loader, snapshots and the RAM checksum.
    [[nodiscard]] std::span<std::byte> ram() const { return {m_ram, m_ram_bytes}; }

    // --- the map -------------------------------------------------------------------------------
    // Adds host memory that lives as long as this object (a ROM image). Page-aligned, zero padded.
    std::byte* add_rom(std::span<const std::byte> content);
    // Adds zeroed memory that devices and the guest share (a frame buffer), in a sealed memfd of its own, with page marks
    // as RAM has. size: a multiple of 4096; all such memory together up to k_device_memory_limit.
    Result<std::span<std::byte>> add_device_memory(uint64_t size);
    // Puts a range into the flat map over whatever was there / takes addresses out of it (they become MMIO).
    void map(const MemoryRange& range);
    void unmap(GuestAddress start, uint64_t size);
    // The RAM that would lie at [start, start+size) had nothing been mapped over it; null if none does.
    [[nodiscard]] std::byte* ram_at(GuestAddress start, uint64_t size) const;
    [[nodiscard]] std::vector<MemoryRange> ranges() const;
    void add_listener(MemoryMapListener& listener);
    void remove_listener(MemoryMapListener& listener);

    // The range holding this address now, or nothing (MMIO). For CPU back ends' TLB fills. Any thread.
    [[nodiscard]] std::optional<MemoryRange> find(GuestAddress address) const;

    // --- device access (DMA): RAM and ROM only, never MMIO --------------------------------------
    // False, and nothing copied, unless every byte is in mapped memory (writable memory for write). Any thread.
    [[nodiscard]] bool read(GuestAddress address, void* to, uint64_t size) const;
    [[nodiscard]] bool write(GuestAddress address, const void* from, uint64_t size);
    // Copy-in once: a value, never a pointer into memory that the guest may change under the reader.
    template <typename T>
    [[nodiscard]] std::optional<T> read_value(GuestAddress address) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        return read(address, &value, sizeof value) ? std::optional<T>(value) : std::nullopt;
    }
    template <typename T>
    [[nodiscard]] bool write_value(GuestAddress address, const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(address, &value, sizeof value);
    }
    // Bulk data for vectored host I/O: wholly inside one range of the map, or nothing. The caller that
    // writes through it calls mark_written() when done.
    [[nodiscard]] std::optional<std::span<std::byte>> slice(GuestAddress address, uint64_t size, bool for_write) const;
    void mark_written(GuestAddress address, uint64_t size);
    // The same for RAM that was written through ram() or ram_at() (RAM that a ROM hides from the map).
    void mark_host_written(std::byte* host, uint64_t size) { told_written(host, size); }

    // --- page marks -----------------------------------------------------------------------------
    // Marks of the page under a host pointer into RAM or device memory, or null if it points elsewhere (then it is ROM).
    [[nodiscard]] std::atomic<uint8_t>* marks_of(const std::byte* host) const {
        const auto offset = static_cast<uint64_t>(host - m_ram);
        return offset < m_marked_bytes ? &m_marks[offset / k_page_size] : nullptr;
    }
    // How many bytes from ram() on have marks: RAM, a guard page and the room for device memory.
    [[nodiscard]] uint64_t marked_bytes() const { return m_marked_bytes; }
    // This page is written now, or was just: for whoever writes other than by GuestMemory::write().
    void log_write(std::atomic<uint8_t>& marks) {
        if ((marks.load(std::memory_order_seq_cst) & (k_page_logged | k_page_dirty)) == k_page_logged) [[unlikely]] {
            marks.fetch_or(k_page_dirty);
            m_any_dirty.store(true);
        }
    }
    // The marks as back ends use them for their WriteLog (write_log.hpp). pages: whole pages that have marks.
    void mark_logged(std::span<const std::byte> pages);
    void clear_logged(std::span<const std::byte> pages);
    // Sets a bit for each page that is marked dirty and clears the mark; false when there was none.
    bool take_dirty(std::span<const std::byte> pages, std::span<uint64_t> written);
    // Called after a device wrote into pages marked k_page_has_code; `host` is the start of one such page.
    using CodeWriteObserver = std::function<void(const std::byte* host_page)>;
    void set_code_write_observer(CodeWriteObserver observer);

  private:
    GuestMemory() = default;
    void told_written(std::byte* host, uint64_t size);
    void notify();

    std::byte* m_reservation = nullptr;  // RAM and device memory with inaccessible guard pages around each
    uint64_t m_reserved_bytes = 0;
    std::byte* m_ram = nullptr;
    uint64_t m_ram_bytes = 0;
    uint64_t m_marked_bytes = 0;
    uint64_t m_device_memory_used = 0;
    std::unique_ptr<std::atomic<uint8_t>[]> m_marks;
    std::atomic<bool> m_any_dirty{false};  // set after a dirty mark, so that looking for none is cheap
    std::vector<std::pair<std::byte*, size_t>> m_roms;

    mutable std::shared_mutex m_mutex;
    std::vector<MemoryRange> m_ranges;  // sorted, disjoint
    std::vector<MemoryMapListener*> m_listeners;
    CodeWriteObserver m_code_observer;
};

}  // namespace skep
