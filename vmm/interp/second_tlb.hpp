// SPDX-License-Identifier: GPL-3.0-or-later
// The second-level TLB: translations as the guest made them, of all its address spaces, for everybody who asks. It refills
// the small inline TLB of Core, where a hit must be one comparison and a flush is a loss. And the cache of page tables, so
// that a walk need not begin at the root (SDM 3A, 4.10.3).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "vmm/base/bits.hpp"
#include "vmm/x86/paging.hpp"

namespace skep::interp {

class SecondTlb {
  public:
    static constexpr unsigned k_ways = 4;
    static constexpr unsigned k_small_sets = 2048, k_large_sets = 256, k_tables = 512;

    struct Found {
        uint64_t effective;  // x86::Translation::effective
        unsigned shift;
    };
    // What `tag` or `global_tag` know of the page around this address.
    [[nodiscard]] std::optional<Found> find(uint64_t linear, uint32_t tag, uint32_t global_tag) const;
    // Pages larger than 4 KiB are kept in pieces of 2 MiB. When one of these had to go for this one, its linear address:
    // the inline TLB may not keep what this one does not know.
    struct Evicted {
        uint64_t linear;  // of the piece
        uint32_t tag;
    };
    std::optional<Evicted> insert(uint64_t linear, uint32_t tag, uint64_t effective, unsigned shift);
    // Forgets the page around this address, all of it. True if it was larger than 4 KiB.
    bool drop(uint64_t linear, uint32_t tag);
    void clear();

    // --- page tables whose entries map 4 KiB, by the 2 MiB that they cover ----------------------------------------------
    [[nodiscard]] x86::Translation::Start find_table(uint64_t linear, uint32_t structures_tag) const;
    void insert_table(uint64_t linear, uint32_t structures_tag, const x86::Translation::Start& table);
    void drop_table(uint64_t linear, uint32_t structures_tag);

  private:
    // key: the page's number below, the tag above. Zero is no key: tags start at 1.
    struct Entry {
        uint64_t key = 0;
        uint64_t effective = 0;  // bits 9 and 10: which size
    };
    using Set = std::array<Entry, k_ways>;
    static_assert(sizeof(Set) == 64);

    // Bits above 48 of a canonical address repeat bit 47.
    static constexpr unsigned k_linear_bits = 48, k_piece_shift = 21, k_tag_at = 36;
    static constexpr uint64_t k_size_bits = 3 << 9;
    static constexpr std::array<uint8_t, 4> k_shifts{12, 21, 22, 30};

    static uint64_t small_key(uint64_t linear, uint32_t tag) {
        return bits(linear, 12, k_linear_bits - 12) | uint64_t{tag} << k_tag_at;
    }
    static uint64_t large_key(uint64_t linear, uint32_t tag) {
        return bits(linear, k_piece_shift, k_linear_bits - k_piece_shift) | uint64_t{tag} << k_tag_at;
    }
    static unsigned small_set(uint64_t linear) {
        return static_cast<unsigned>((linear >> 12 ^ linear >> 23 ^ linear >> 34) % k_small_sets);
    }
    static unsigned large_set(uint64_t linear) {
        return static_cast<unsigned>((linear >> k_piece_shift ^ linear >> 30) % k_large_sets);
    }
    static unsigned shift_of(uint64_t effective) { return k_shifts[(effective & k_size_bits) >> 9]; }
    void note_huge(uint64_t linear, uint32_t tag, unsigned shift);
    [[nodiscard]] bool may_be_huge(uint64_t linear, uint32_t tag, unsigned shift) const;
    bool drop_pieces(uint64_t linear, uint32_t tag, unsigned shift);

    alignas(64) std::array<Set, k_small_sets> m_small{};
    alignas(64) std::array<Set, k_large_sets> m_large{};
    struct Table {
        uint64_t key = 0;
        uint64_t table = 0;  // and the rights
    };
    std::array<Table, k_tables> m_tables{};
    // Pages beyond 2 MiB that may have pieces in m_large, so that a drop need not look through all of it.
    struct Huge {
        uint64_t linear;
        uint32_t tag;
        unsigned shift;
    };
    static constexpr unsigned k_most_huge = 16;
    std::array<Huge, k_most_huge> m_huge{};
    unsigned m_huge_count = 0;  // k_most_huge + 1: more than there is room for
};

inline std::optional<SecondTlb::Found> SecondTlb::find(uint64_t linear, uint32_t tag, uint32_t global_tag) const {
    const uint64_t own = small_key(linear, tag), global = small_key(linear, global_tag);
    for (const Entry& entry : m_small[small_set(linear)]) {
        if (entry.key == own || entry.key == global) {
            return Found{entry.effective, 12};
        }
    }
    const uint64_t own_piece = large_key(linear, tag), global_piece = large_key(linear, global_tag);
    for (const Entry& entry : m_large[large_set(linear)]) {
        if (entry.key == own_piece || entry.key == global_piece) {
            return Found{entry.effective & ~k_size_bits, shift_of(entry.effective)};
        }
    }
    return std::nullopt;
}

}  // namespace skep::interp
