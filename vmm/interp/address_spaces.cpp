// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/address_spaces.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.hpp"

namespace skep::interp {
namespace {

// Neighbouring pages must not share a bit: code and data of a library lie side by side.
unsigned place_of(uint64_t linear, unsigned shift) {
    const uint64_t page = linear >> shift;
    return static_cast<unsigned>((page ^ (page >> 16) ^ shift * 0x1357U) & 0xffff);
}

}  // namespace

void ExecutedPages::insert(uint64_t linear, unsigned shift) {
    const unsigned place = place_of(linear, shift);
    m_bits[place / 64] |= bit(place % 64);
    m_words[place / 64 / 64] |= bit(place / 64 % 64);
    m_shifts |= bit(shift);
}

bool ExecutedPages::may_contain(uint64_t linear) const {
    for (const unsigned shift : {12U, 21U, 22U, 30U}) {
        const unsigned place = place_of(linear, shift);
        if ((m_shifts & bit(shift)) != 0 && (m_bits[place / 64] & bit(place % 64)) != 0) {
            return true;
        }
    }
    return false;
}

void ExecutedPages::clear() {
    for (unsigned i = 0; i < m_words.size(); ++i) {
        for (; m_words[i] != 0; m_words[i] &= m_words[i] - 1) {
            m_bits[i * 64 + static_cast<unsigned>(std::countr_zero(m_words[i]))] = 0;
        }
    }
    m_shifts = 0;
}

AddressSpace* AddressSpaces::find(uint16_t pcid) {
    const uint8_t slot = m_slots[pcid];
    return slot != k_none ? &m_spaces[slot] : nullptr;
}

void AddressSpaces::enter(uint16_t pcid) {
    uint8_t& slot = m_slots[pcid];
    if (slot == k_none) {
        if (m_count < k_most) {
            slot = static_cast<uint8_t>(m_count++);
        } else {
            const auto oldest = std::min_element(m_entered.begin(), m_entered.end()) - m_entered.begin();
            m_slots[m_spaces[static_cast<size_t>(oldest)].pcid] = k_none;
            slot = static_cast<uint8_t>(oldest);
        }
        m_spaces[slot].pcid = pcid;
        renew(m_spaces[slot]);
    }
    m_current = slot;
    m_entered[slot] = ++m_entries;
}

void AddressSpaces::forget_views(AddressSpace& space) {
    space.user_view = space.supervisor_view = 0;
    space.executed.clear();
}

void AddressSpaces::forget_all_views() {
    for (unsigned i = 0; i < m_count; ++i) {
        forget_views(m_spaces[i]);
    }
    m_global_view = fresh_view();
    m_global_executed.clear();
}

void AddressSpaces::renew(AddressSpace& space) {
    space.tag = fresh_tag();
    space.structures_tag = fresh_tag();
    if (!space.executed.empty()) {
        forget_views(space);
    }
}

void AddressSpaces::renew_all() {
    for (unsigned i = 0; i < m_count; ++i) {
        renew(m_spaces[i]);
    }
}

void AddressSpaces::forget_everything() {
    const uint16_t pcid = m_count != 0 ? current().pcid : uint16_t{0};
    forget_all_views();
    m_global_tag = fresh_tag();
    m_slots.fill(k_none);
    m_count = 0;
    m_entered.fill(0);
    enter(pcid);
}

void AddressSpaces::page_dropped(AddressSpace& space, uint64_t linear, Reach reach) {
    if (reach == Reach::global && m_global_executed.may_contain(linear)) {
        forget_all_views();
    } else if (space.executed.may_contain(linear)) {
        forget_views(space);
    }
}

void AddressSpaces::restart_tags() {
    m_last_tag = 0;
    forget_everything();
}

View AddressSpaces::view(Privilege privilege) {
    AddressSpace& space = current();
    if (privilege == Privilege::supervisor) {
        return space.supervisor_view != 0 ? space.supervisor_view : m_global_view;
    }
    if (space.user_view == 0) {
        space.user_view = fresh_view();
    }
    return space.user_view;
}

View AddressSpaces::page_executed(uint64_t linear, unsigned shift, Privilege privilege, Reach reach) {
    if (reach == Reach::global) {
        m_global_executed.insert(linear, shift);
        return m_global_view;
    }
    AddressSpace& space = current();
    space.executed.insert(linear, shift);
    if (privilege == Privilege::supervisor && space.supervisor_view == 0) {
        space.supervisor_view = fresh_view();
    }
    return view(privilege);
}

}  // namespace skep::interp
