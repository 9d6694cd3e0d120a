// SPDX-License-Identifier: GPL-3.0-or-later
// The log of written pages on KVM: Documentation/virt/kvm/api.rst, KVM_GET_DIRTY_LOG.
#include <algorithm>

#include "vmm/base/bits.hpp"
#include "vmm/base/log.hpp"
#include "vmm/kvm/kvm_fd.hpp"
#include "vmm/kvm/kvm_vm.hpp"

namespace skep::kvm {

bool KvmVm::is_logged(const MemoryRange& range) const {
    return !m_log.empty() && range.host < m_log.data() + m_log.size() && m_log.data() < range.host + range.size;
}

// m_mutex held. Slots that take their part in the log, or no longer do, are set again.
void KvmVm::set_log(std::span<std::byte> pages) {
    std::vector<bool> before;
    for (const MemoryRange& range : m_slots) {
        before.push_back(is_logged(range));
    }
    m_memory.clear_logged(m_log);
    m_log = pages;
    m_memory.mark_logged(m_log);
    m_log_is_new = !pages.empty();
    for (uint32_t slot = 0; slot < m_slots.size(); ++slot) {
        if (m_slots[slot].size == 0 || is_logged(m_slots[slot]) == before[slot]) {
            continue;
        }
        if (Status set = set_slot(slot, m_slots[slot]); !set) {
            log_error("{}", set.error().message);
        }
    }
}

void KvmVm::begin_write_log(std::span<std::byte> pages) {
    const std::lock_guard lock(m_mutex);
    set_log(pages);
}

void KvmVm::end_write_log() {
    const std::lock_guard lock(m_mutex);
    set_log({});
}

void KvmVm::collect_writes(std::span<uint64_t> written) {
    const std::lock_guard lock(m_mutex);
    const uint64_t pages = m_log.size() / k_page_size;
    if (written.size() < (pages + 63) / 64) {
        return;
    }
    m_memory.take_dirty(m_log, written);
    for (uint32_t slot = 0; slot < m_slots.size(); ++slot) {
        if (m_slots[slot].size != 0 && is_logged(m_slots[slot])) {
            collect_slot(slot, written);
        }
    }
    if (m_log_is_new) {
        m_log_is_new = false;
        for (uint64_t page = 0; page < pages; ++page) {
            written[page / 64] |= bit(page % 64);
        }
    }
}

void KvmVm::collect_slot(uint32_t slot, std::span<uint64_t> written) const {
    const MemoryRange& range = m_slots[slot];
    std::vector<uint64_t> bitmap((range.size / k_page_size + 63) / 64);
    kvm_dirty_log log{};
    log.slot = slot;
    log.dirty_bitmap = bitmap.data();
    if (auto got = SKEP_KVM_CALL(m_vm.get(), KVM_GET_DIRTY_LOG, &log); !got) {
        log_error("{}", got.error().message);
        std::fill(bitmap.begin(), bitmap.end(), all_ones(8));  // rather too much
    }
    for (uint64_t word = 0; word < bitmap.size(); ++word) {
        for (uint64_t left = bitmap[word]; left != 0; left &= left - 1) {
            const auto in_slot = word * 64 + static_cast<unsigned>(__builtin_ctzll(left));
            const std::byte* page = range.host + in_slot * k_page_size;
            const auto offset = static_cast<uint64_t>(page - m_log.data());
            if (offset < m_log.size()) {
                written[offset / k_page_size / 64] |= bit(offset / k_page_size % 64);
            }
        }
    }
}

}  // namespace skep::kvm
