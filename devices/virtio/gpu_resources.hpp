// SPDX-License-Identifier: GPL-3.0-or-later
// The GPU's 2D resources: pictures kept on the host, and the guest memory that they are filled from (Virtual I/O Device 1.2,
// 5.7.6.8). All the guest's numbers end here.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "devices/virtio/gpu_protocol.hpp"
#include "display/surface/geometry.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::gpu {

class Resource {
  public:
    // 0x00RRGGBB or 0xAARRGGBB out of a pixel as it is stored.
    [[nodiscard]] uint32_t pixel(uint32_t x, uint32_t y) const;
    [[nodiscard]] ScreenSize size() const { return m_size; }
    // Is the rectangle inside?
    [[nodiscard]] bool holds(const Rect& rect) const {
        return uint64_t{rect.x} + rect.width <= m_size.width && uint64_t{rect.y} + rect.height <= m_size.height;
    }
    // A row, ready for a surface.
    void copy_row(uint32_t y, uint32_t x, uint32_t count, uint32_t* to) const;

  private:
    friend class Resources;
    [[nodiscard]] bool read_backing(const GuestMemory& memory, uint64_t offset, void* to, uint64_t size) const;

    uint32_t m_format = 0;
    ScreenSize m_size;
    std::vector<uint32_t> m_pixels;  // as the guest stores them
    std::vector<MemoryEntry> m_backing;
    std::vector<uint64_t> m_backing_ends;  // of each entry, from the start of the first
};

class Resources {
  public:
    // What all resources together may take of the host.
    static constexpr uint64_t k_most_bytes = 128 << 20;
    static constexpr size_t k_most_resources = 1024;
    static constexpr uint32_t k_most_entries = 16384;  // of one resource's backing

    [[nodiscard]] Response create(const ResourceCreate2d& command);
    [[nodiscard]] Response remove(uint32_t id);
    [[nodiscard]] Response attach(uint32_t id, std::vector<MemoryEntry> entries);
    [[nodiscard]] Response detach(uint32_t id);
    [[nodiscard]] Response transfer(const GuestMemory& memory, const TransferToHost2d& command);
    [[nodiscard]] const Resource* find(uint32_t id) const;
    void clear();

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    std::map<uint32_t, Resource> m_resources;
    uint64_t m_bytes = 0;
};

}  // namespace skep::gpu
