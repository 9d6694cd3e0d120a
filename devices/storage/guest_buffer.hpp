// SPDX-License-Identifier: GPL-3.0-or-later
// A scattered buffer in guest memory (the PRDs of one command).
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/memory/guest_memory.hpp"

namespace skep {

class GuestBuffer {
  public:
    void add(GuestAddress address, uint64_t size);
    [[nodiscard]] uint64_t size() const { return m_size; }

    // Copies to or from [offset, offset + data.size()), which lies inside the buffer. False when a piece is not in
    // (writable) memory; some of it may have been copied then.
    [[nodiscard]] bool write(GuestMemory& memory, uint64_t offset, std::span<const uint8_t> data) const;
    [[nodiscard]] bool read(const GuestMemory& memory, uint64_t offset, std::span<uint8_t> data) const;

    // Host memory of the range for vectored I/O; nothing when a piece is not in (writable) memory.
    // A piece that crosses from one range of the map into the next becomes two.
    [[nodiscard]] std::optional<std::vector<iovec>> map(const GuestMemory& memory, uint64_t offset, uint64_t bytes,
                                                        bool for_write) const;
    void mark_written(GuestMemory& memory, uint64_t offset, uint64_t bytes) const;

  private:
    struct Piece {
        GuestAddress address = 0;
        uint64_t size = 0;
    };
    // The pieces of a range, in order; `visit` returns false to stop.
    template <typename Visit>
    bool for_each(uint64_t offset, uint64_t bytes, const Visit& visit) const;

    std::vector<Piece> m_pieces;
    uint64_t m_size = 0;
};

}  // namespace skep
