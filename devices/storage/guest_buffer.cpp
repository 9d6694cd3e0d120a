// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/storage/guest_buffer.hpp"

#include <algorithm>

namespace skep {

void GuestBuffer::add(GuestAddress address, uint64_t size) {
    if (!m_pieces.empty() && m_pieces.back().address + m_pieces.back().size == address) {
        m_pieces.back().size += size;
    } else {
        m_pieces.push_back({address, size});
    }
    m_size += size;
}

template <typename Visit>
bool GuestBuffer::for_each(uint64_t offset, uint64_t bytes, const Visit& visit) const {
    for (const Piece& piece : m_pieces) {
        if (bytes == 0) {
            return true;
        }
        if (offset >= piece.size) {
            offset -= piece.size;
            continue;
        }
        const uint64_t part = std::min(bytes, piece.size - offset);
        if (!visit(piece.address + offset, part)) {
            return false;
        }
        bytes -= part;
        offset = 0;
    }
    return bytes == 0;
}

bool GuestBuffer::write(GuestMemory& memory, uint64_t offset, std::span<const uint8_t> data) const {
    const uint8_t* from = data.data();
    return for_each(offset, data.size(), [&](GuestAddress address, uint64_t part) {
        const bool written = memory.write(address, from, part);
        from += part;
        return written;
    });
}

bool GuestBuffer::read(const GuestMemory& memory, uint64_t offset, std::span<uint8_t> data) const {
    uint8_t* to = data.data();
    return for_each(offset, data.size(), [&](GuestAddress address, uint64_t part) {
        const bool done = memory.read(address, to, part);
        to += part;
        return done;
    });
}

std::optional<std::vector<iovec>> GuestBuffer::map(const GuestMemory& memory, uint64_t offset, uint64_t bytes,
                                                   bool for_write) const {
    std::vector<iovec> result;
    const bool whole = for_each(offset, bytes, [&](GuestAddress address, uint64_t part) {
        while (part != 0) {
            const std::optional<MemoryRange> range = memory.find(address);
            if (!range || (for_write && !range->writable)) {
                return false;
            }
            const uint64_t size = std::min(part, range->end() - address);
            result.push_back({range->host + (address - range->start), size});
            address += size;
            part -= size;
        }
        return true;
    });
    return whole ? std::optional(std::move(result)) : std::nullopt;
}

void GuestBuffer::mark_written(GuestMemory& memory, uint64_t offset, uint64_t bytes) const {
    for_each(offset, bytes, [&](GuestAddress address, uint64_t part) {
        memory.mark_written(address, part);
        return true;
    });
}

}  // namespace skep
