// SPDX-License-Identifier: GPL-3.0-or-later
// The slow way of data accesses, and the exact segment check.
#include "vmm/interp/memory_access.hpp"

#include <algorithm>
#include <array>

#include "vmm/interp/blocks.hpp"
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::interp {
namespace {

// One operand, in at most two pages, with every check of its access already passed.
struct Piece {
    std::byte* host = nullptr;  // null: MMIO at `physical`
    GuestAddress physical = 0;
    unsigned size = 0;
};
struct Pieces {
    std::array<Piece, 2> piece{};
    unsigned count = 1;
};

bool is_canonical_range(uint64_t linear, unsigned size) {
    return x86::is_canonical(linear) && x86::is_canonical(linear + size - 1);
}

// #AC comes behind the page faults (SDM 3A, table 6-2). Larger operands have alignment rules of their own.
bool is_misaligned(uint64_t linear, unsigned size) {
    const bool is_natural = size == 2 || size == 4 || size == 8;
    return is_natural && (linear & (size - 1)) != 0;
}

bool refuse(Core& core, const Fault& fault) {
    core.fault = fault;
    return false;
}

bool translate_piece(Core& core, uint64_t linear, Access access, AccessRule rule, Piece& piece) {
    const Resolved found = try_resolve(core, linear, access, rule);
    if (found.faulted()) [[unlikely]] {
        return refuse(core, page_fault(core, linear, found.error_code));
    }
    piece.host = found.host;
    piece.physical = found.physical;
    return true;
}

// False: the fault is in Core::fault.
bool translate(Core& core, uint64_t linear, unsigned size, unsigned segment, Access access, Pieces& pieces) {
    if (core.code64 && !is_canonical_range(linear, size)) [[unlikely]] {
        return refuse(core, {segment == k_ss ? k_ss_fault : k_gp, true, 0});
    }
    const AccessRule rule = data_rule(core);
    const auto room = static_cast<unsigned>(k_page_size - (linear & k_page_mask));
    Piece& first = pieces.piece[0];
    first.size = std::min(size, room);
    if (!translate_piece(core, linear, access, rule, first)) {
        return false;
    }
    if (size > room) {
        pieces.count = 2;
        Piece& second = pieces.piece[1];
        const uint64_t rest = linear + room;
        second.size = size - room;
        if (!translate_piece(core, core.code64 ? rest : rest & 0xffff'ffff, access, rule, second)) {
            return false;
        }
    }
    if (rule == k_as_user_aligned && is_misaligned(linear, size)) [[unlikely]] {
        return refuse(core, {k_ac, true, 0});
    }
    note_data_access(core, linear, size, access);
    return true;
}

// MMIO in the largest naturally aligned units that the bus knows.
unsigned mmio_unit(GuestAddress address, unsigned size) {
    unsigned unit = 8;
    while (unit > size || (address & (unit - 1)) != 0) {
        unit /= 2;
    }
    return unit;
}
// An operand of 1, 2, 4 or 8 bytes goes as one access even when misaligned; the device decides.
unsigned mmio_size(GuestAddress address, unsigned size, bool whole) {
    const bool simple = size == 1 || size == 2 || size == 4 || size == 8;
    return whole && simple ? size : mmio_unit(address, size);
}
void read_piece(Core& core, const Piece& piece, std::byte* to, bool whole) {
    if (piece.host != nullptr) {
        std::memcpy(to, piece.host, piece.size);
        return;
    }
    for (unsigned done = 0; done < piece.size;) {
        const unsigned unit = mmio_size(piece.physical + done, piece.size - done, whole);
        const uint64_t value = core.io->mmio_read(piece.physical + done, unit);
        std::memcpy(to + done, &value, unit);
        done += unit;
    }
}
void write_piece(Core& core, const Piece& piece, const std::byte* from, bool whole) {
    if (piece.host != nullptr) {
        std::memcpy(piece.host, from, piece.size);
        note_code_write(core, piece.host, piece.size);
        return;
    }
    for (unsigned done = 0; done < piece.size;) {
        const unsigned unit = mmio_size(piece.physical + done, piece.size - done, whole);
        uint64_t value = 0;
        std::memcpy(&value, from + done, unit);
        core.io->mmio_write(piece.physical + done, unit, value);
        done += unit;
    }
}

void read_pieces(Core& core, const Pieces& pieces, std::byte* to) {
    read_piece(core, pieces.piece[0], to, pieces.count == 1);
    if (pieces.count == 2) {
        read_piece(core, pieces.piece[1], to + pieces.piece[0].size, false);
    }
}
void write_pieces(Core& core, const Pieces& pieces, const std::byte* from) {
    write_piece(core, pieces.piece[0], from, pieces.count == 1);
    if (pieces.count == 2) {
        write_piece(core, pieces.piece[1], from + pieces.piece[0].size, false);
    }
}

// The host memory of a small operand as one store or load, so that aligned ones stay atomic.
uint64_t load_host(const std::byte* host, unsigned size) {
    switch (size) {
        case 1: return load_le<uint8_t>(host);
        case 2: return load_le<uint16_t>(host);
        case 4: return load_le<uint32_t>(host);
        default: return load_le<uint64_t>(host);
    }
}
void store_host(std::byte* host, unsigned size, uint64_t value) {
    switch (size) {
        case 1: store_le(host, static_cast<uint8_t>(value)); break;
        case 2: store_le(host, static_cast<uint16_t>(value)); break;
        case 4: store_le(host, static_cast<uint32_t>(value)); break;
        default: store_le(host, value); break;
    }
}

uint64_t load_translated(Core& core, const Pieces& pieces, unsigned size) {
    if (pieces.count == 1 && pieces.piece[0].host != nullptr) {
        return load_host(pieces.piece[0].host, size);
    }
    uint64_t value = 0;
    read_pieces(core, pieces, reinterpret_cast<std::byte*>(&value));
    return value;
}

}  // namespace

bool try_load(Core& core, uint64_t linear, unsigned size, unsigned segment, uint64_t& value) noexcept {
    Pieces pieces;
    if (!translate(core, linear, size, segment, Access::read, pieces)) {
        return false;
    }
    value = load_translated(core, pieces, size);
    return true;
}

bool try_load_for_write(Core& core, uint64_t linear, unsigned size, unsigned segment, uint64_t& value) noexcept {
    Pieces pieces;
    if (!translate(core, linear, size, segment, Access::write, pieces)) {
        return false;
    }
    for (unsigned i = 0; i < pieces.count; ++i) {
        Piece& piece = pieces.piece[i];
        if (piece.host == nullptr) {  // MMIO, or a ROM that only its writes miss
            const uint64_t start = i == 0 ? linear : (linear & ~k_page_mask) + k_page_size;
            const uint64_t wrapped = core.code64 ? start : start & 0xffff'ffff;
            if (!translate_piece(core, wrapped, Access::read, data_rule(core), piece)) {
                return false;
            }
        }
    }
    value = load_translated(core, pieces, size);
    return true;
}

bool try_store(Core& core, uint64_t linear, unsigned size, unsigned segment, uint64_t value) noexcept {
    Pieces pieces;
    if (!translate(core, linear, size, segment, Access::write, pieces)) {
        return false;
    }
    if (pieces.count == 1 && pieces.piece[0].host != nullptr) {
        store_host(pieces.piece[0].host, size, value);
        note_code_write(core, pieces.piece[0].host, size);
    } else {
        write_pieces(core, pieces, reinterpret_cast<const std::byte*>(&value));
    }
    return true;
}

bool try_load_bytes(Core& core, uint64_t linear, unsigned size, unsigned segment, void* to) noexcept {
    Pieces pieces;
    if (!translate(core, linear, size, segment, Access::read, pieces)) {
        return false;
    }
    read_pieces(core, pieces, static_cast<std::byte*>(to));
    return true;
}

bool try_store_bytes(Core& core, uint64_t linear, unsigned size, unsigned segment, const void* from) noexcept {
    Pieces pieces;
    if (!translate(core, linear, size, segment, Access::write, pieces)) {
        return false;
    }
    write_pieces(core, pieces, static_cast<const std::byte*>(from));
    return true;
}

void leave_with_fault(Core& core, const Fault& fault) {
    core.fault = fault;
    core.requests.fetch_or(k_request_fault);
}

bool page_in(Core& core, uint64_t linear, unsigned size, Access access) {
    const uint64_t last_page = (linear + size - 1) & ~k_page_mask;
    if (last_page != (linear & ~k_page_mask) || (core.code64 && !x86::is_canonical(linear))) [[unlikely]] {
        return true;
    }
    const Resolved found = try_resolve(core, linear, access, data_rule(core));
    if (!found.faulted()) [[likely]] {
        return true;
    }
    leave_with_fault(core, page_fault(core, linear, found.error_code));
    return false;
}

std::byte* find_host_slowly(Core& core, uint64_t linear, Access access) noexcept {
    if (core.code64 && !x86::is_canonical(linear)) {
        return nullptr;
    }
    const uint64_t page = linear & ~k_page_mask;
    const TlbEntry& behind = core.tlb[(linear / k_page_size) % k_tlb_entries + k_tlb_entries];
    if ((access == Access::write ? behind.write_tag : behind.read_tag) == page) {
        return host_of(behind, linear);
    }
    if (try_resolve(core, linear, access, data_rule(core)).faulted()) {
        return nullptr;
    }
    return access == Access::write ? host_for_write(core, linear, 1) : host_for_read(core, linear, 1);
}

namespace {

void throw_unless(const Core& core, bool done) {
    if (!done) [[unlikely]] {
        throw core.fault;
    }
}

}  // namespace

uint64_t load_slow(Core& core, uint64_t linear, unsigned size, unsigned segment) {
    uint64_t value = 0;
    throw_unless(core, try_load(core, linear, size, segment, value));
    return value;
}

uint64_t load_for_write_slow(Core& core, uint64_t linear, unsigned size, unsigned segment) {
    uint64_t value = 0;
    throw_unless(core, try_load_for_write(core, linear, size, segment, value));
    return value;
}

void store_slow(Core& core, uint64_t linear, unsigned size, uint64_t value, unsigned segment) {
    throw_unless(core, try_store(core, linear, size, segment, value));
}

void load_bytes(Core& core, uint64_t linear, void* to, unsigned size, unsigned segment) {
    throw_unless(core, try_load_bytes(core, linear, size, segment, to));
}

void store_bytes(Core& core, uint64_t linear, const void* from, unsigned size, unsigned segment) {
    throw_unless(core, try_store_bytes(core, linear, size, segment, from));
}

void check_store(Core& core, uint64_t linear, unsigned size, unsigned segment) {
    Pieces pieces;
    throw_unless(core, translate(core, linear, size, segment, Access::write, pieces));
}

void check_segment_access(Core& core, unsigned segment, uint64_t offset, unsigned size, Access access) {
    const Segment& where = core.segment[segment];
    const auto refuse = [&] { raise(segment == k_ss ? k_ss_fault : k_gp, 0); };
    const uint64_t last = offset + size - 1;
    if (core.protected_mode && !core.v86) {
        const bool is_code = (where.type() & 8) != 0;
        const bool right = (where.type() & 2) != 0;  // code: readable, data: writable
        if (where.unusable() || (access == Access::write ? is_code || !right : is_code && !right)) {
            refuse();
        }
        const bool expand_down = !is_code && (where.type() & 4) != 0;
        if (expand_down) {
            const uint64_t top = where.default_big() ? 0xffff'ffff : 0xffff;
            if (offset <= where.limit || last > top) {
                refuse();
            }
            return;
        }
    }
    if (last > where.limit) {
        refuse();
    }
}

void note_code_write(Core& core, const std::byte* host, unsigned size) {
    const std::atomic<uint8_t>* marks = core.memory->marks_of(host);
    // The fence orders the write before the look at the marks; a decoder sets its marks before it reads.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (marks != nullptr && (marks->load(std::memory_order_relaxed) & k_page_has_code) != 0) [[unlikely]] {
        code_written(core, host, size);
    }
}

}  // namespace skep::interp
