// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses by an explicit rule: descriptor tables, task states, frames of inner stacks.
#include <bit>

#include "vmm/base/bits.hpp"
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/memory_access.hpp"
#include "vmm/interp/mmu.hpp"

namespace skep::interp {
namespace {

uint64_t next_page(const Core& core, uint64_t linear) {
    const uint64_t next = (linear & ~k_page_mask) + k_page_size;
    return core.long_mode_active ? next : next & 0xffff'ffff;
}

// One side of an access, resolved: host memory, or a guest address for the machine.
struct Piece {
    std::byte* host = nullptr;
    GuestAddress physical = 0;
};

Piece resolve_piece(Core& core, uint64_t linear, Access access, AccessRule rule) {
    Piece piece;
    piece.host = resolve(core, linear, access, rule, &piece.physical);
    return piece;
}

uint64_t load_piece(Core& core, const Piece& piece, unsigned size) {
    if (piece.host == nullptr) {
        uint64_t value = 0;
        for (unsigned done = 0; done < size;) {
            const unsigned part = std::bit_floor(size - done);
            value |= core.io->mmio_read(piece.physical + done, part) << (done * 8);
            done += part;
        }
        return value;
    }
    switch (size) {
        case 8: return load_le<uint64_t>(piece.host);
        case 4: return load_le<uint32_t>(piece.host);
        case 2: return load_le<uint16_t>(piece.host);
        default: break;
    }
    uint64_t value = 0;
    std::memcpy(&value, piece.host, size);
    return value;
}

void store_host(std::byte* host, unsigned size, uint64_t value) {
    switch (size) {
        case 8: store_le<uint64_t>(host, value); break;
        case 4: store_le(host, static_cast<uint32_t>(value)); break;
        case 2: store_le(host, static_cast<uint16_t>(value)); break;
        default: std::memcpy(host, &value, size); break;
    }
}

void store_piece(Core& core, const Piece& piece, unsigned size, uint64_t value) {
    if (piece.host == nullptr) {
        for (unsigned done = 0; done < size;) {
            const unsigned part = std::bit_floor(size - done);
            core.io->mmio_write(piece.physical + done, part, (value >> (done * 8)) & all_ones(part));
            done += part;
        }
        return;
    }
    store_host(piece.host, size, value);
    note_code_write(core, piece.host, size);
}

}  // namespace

uint64_t read_linear(Core& core, uint64_t linear, unsigned size, AccessRule rule) {
    const uint64_t offset = linear & k_page_mask;
    note_data_access(core, linear, size, Access::read);
    const TlbEntry& entry = core.tlb_sets[rule][(linear / k_page_size) % k_tlb_entries];
    if (offset + size <= k_page_size) {
        if (entry.read_tag == (linear & ~k_page_mask)) {
            return load_piece(core, {.host = host_of(entry, linear)}, size);
        }
        return load_piece(core, resolve_piece(core, linear, Access::read, rule), size);
    }
    const auto first_size = static_cast<unsigned>(k_page_size - offset);
    const Piece first = resolve_piece(core, linear, Access::read, rule);
    const Piece second = resolve_piece(core, next_page(core, linear), Access::read, rule);
    return load_piece(core, first, first_size) | (load_piece(core, second, size - first_size) << (first_size * 8));
}

void write_linear(Core& core, uint64_t linear, unsigned size, uint64_t value, AccessRule rule) {
    const uint64_t offset = linear & k_page_mask;
    note_data_access(core, linear, size, Access::write);
    if (offset + size <= k_page_size) {
        const TlbEntry& entry = core.tlb_sets[rule][(linear / k_page_size) % k_tlb_entries];
        if (entry.write_tag == (linear & ~k_page_mask)) {
            store_host(host_of(entry, linear), size, value);
            return;
        }
        store_piece(core, resolve_piece(core, linear, Access::write, rule), size, value);
        return;
    }
    const auto first_size = static_cast<unsigned>(k_page_size - offset);
    const Piece first = resolve_piece(core, linear, Access::write, rule);
    const Piece second = resolve_piece(core, next_page(core, linear), Access::write, rule);
    store_piece(core, first, first_size, value & all_ones(first_size));
    store_piece(core, second, size - first_size, value >> (first_size * 8));
}

void check_linear_write(Core& core, uint64_t linear, uint64_t size, AccessRule rule) {
    resolve(core, linear, Access::write, rule, nullptr);
    if ((linear & k_page_mask) + size > k_page_size) {
        resolve(core, next_page(core, linear), Access::write, rule, nullptr);
    }
}

}  // namespace skep::interp
