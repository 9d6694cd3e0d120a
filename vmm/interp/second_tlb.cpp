// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/second_tlb.hpp"

#include <algorithm>

#include "vmm/base/bits.hpp"

namespace skep::interp {
std::optional<SecondTlb::Evicted> SecondTlb::insert(uint64_t linear, uint32_t tag, uint64_t effective, unsigned shift) {
    const bool large = shift > 12;
    const auto size = static_cast<uint64_t>(std::find(k_shifts.begin(), k_shifts.end(), shift) - k_shifts.begin());
    const uint64_t key = large ? large_key(linear, tag) : small_key(linear, tag);
    Set& set = large ? m_large[large_set(linear)] : m_small[small_set(linear)];
    if (shift > k_piece_shift) {
        note_huge(linear, tag, shift);
    }
    // First in, first out; what is already there, or nothing, goes first.
    unsigned place = 0;
    while (place + 1 < k_ways && set[place].key != key && set[place].key != 0) {
        ++place;
    }
    const Entry gone = set[place];
    std::move_backward(set.begin(), set.begin() + place, set.begin() + place + 1);
    set[0] = {key, (effective & ~k_size_bits) | size << 9};
    if (!large || gone.key == 0 || gone.key == key) {
        return std::nullopt;
    }
    constexpr unsigned k_sign_bits = 64 - k_linear_bits;
    const uint64_t shifted = bits(gone.key, 0, k_linear_bits - k_piece_shift) << (k_piece_shift + k_sign_bits);
    return Evicted{static_cast<uint64_t>(static_cast<int64_t>(shifted) >> k_sign_bits),
                   static_cast<uint32_t>(gone.key >> k_tag_at)};
}

bool SecondTlb::may_be_huge(uint64_t linear, uint32_t tag, unsigned shift) const {
    const auto end = m_huge.begin() + std::min(m_huge_count, k_most_huge);
    return m_huge_count > k_most_huge || std::any_of(m_huge.begin(), end, [&](const Huge& known) {
               return known.shift == shift && known.tag == tag && (known.linear ^ linear) >> shift == 0;
           });
}

void SecondTlb::note_huge(uint64_t linear, uint32_t tag, unsigned shift) {
    if (may_be_huge(linear, tag, shift)) {
        return;
    }
    if (m_huge_count < k_most_huge) {
        m_huge[m_huge_count] = {linear, tag, shift};
    }
    ++m_huge_count;
}

bool SecondTlb::drop_pieces(uint64_t linear, uint32_t tag, unsigned shift) {
    if (!may_be_huge(linear, tag, shift)) {
        return false;
    }
    bool found = false;
    for (Set& set : m_large) {
        for (Entry& entry : set) {
            const uint64_t piece = bits(entry.key, 0, k_linear_bits - k_piece_shift);
            const uint64_t wanted = bits(linear, k_piece_shift, k_linear_bits - k_piece_shift);
            const bool same = (piece ^ wanted) >> (shift - k_piece_shift) == 0 && entry.key >> k_tag_at == tag;
            if (entry.key != 0 && same && shift_of(entry.effective) == shift) {
                entry = {};
                found = true;
            }
        }
    }
    return found;
}

bool SecondTlb::drop(uint64_t linear, uint32_t tag) {
    for (Entry& entry : m_small[small_set(linear)]) {
        if (entry.key == small_key(linear, tag)) {
            entry = {};
        }
    }
    bool found = false;
    for (Entry& entry : m_large[large_set(linear)]) {
        if (entry.key == large_key(linear, tag)) {
            entry = {};
            found = true;
        }
    }
    found = drop_pieces(linear, tag, 22) || found;
    return drop_pieces(linear, tag, 30) || found;
}

void SecondTlb::clear() {
    m_small.fill({});
    m_large.fill({});
    m_tables.fill({});
    m_huge_count = 0;
}

// --- tables --------------------------------------------------------------------------------------------------------------
namespace {

constexpr uint64_t k_rights = x86::paging::k_writable | x86::paging::k_user | x86::paging::k_nx;

}  // namespace

x86::Translation::Start SecondTlb::find_table(uint64_t linear, uint32_t structures_tag) const {
    const Table& entry = m_tables[(linear >> k_piece_shift) % k_tables];
    if (entry.key != large_key(linear, structures_tag)) {
        return {};
    }
    return {entry.table & x86::paging::k_address_mask, entry.table & k_rights, 12};
}

void SecondTlb::insert_table(uint64_t linear, uint32_t structures_tag, const x86::Translation::Start& table) {
    m_tables[(linear >> k_piece_shift) % k_tables] = {large_key(linear, structures_tag), table.table | table.rights};
}

void SecondTlb::drop_table(uint64_t linear, uint32_t structures_tag) {
    Table& entry = m_tables[(linear >> k_piece_shift) % k_tables];
    if (entry.key == large_key(linear, structures_tag)) {
        entry = {};
    }
}

}  // namespace skep::interp
