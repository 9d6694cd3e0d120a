// SPDX-License-Identifier: GPL-3.0-or-later
// The log of written pages for the software processors.
#include <algorithm>

#include "vmm/base/bits.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/interp/vm.hpp"

namespace skep::interp {
namespace {

size_t words_for(std::span<const std::byte> pages) { return (pages.size() / k_page_size + 63) / 64; }

}  // namespace

void InterpWriteLog::protect() {
    m_tickets.clear();
    m_vm.for_each_vcpu([this](InterpVcpu& vcpu) {
        m_tickets.emplace_back(&vcpu, vcpu.ask_to_protect(m_pages.data(), m_pages.size()));
    });
}

bool InterpWriteLog::is_protected() const {
    bool all = true;
    m_vm.for_each_vcpu([&](const InterpVcpu& vcpu) {
        const auto asked = std::find_if(m_tickets.begin(), m_tickets.end(), [&](const auto& each) { return each.first == &vcpu; });
        all = all && (asked == m_tickets.end() || vcpu.has_answered(asked->second));
    });
    return all;
}

void InterpWriteLog::begin_write_log(std::span<std::byte> pages) {
    end_write_log();
    const std::lock_guard lock(m_mutex);
    m_pages = pages;
    m_vm.memory().mark_logged(pages);
    protect();
    m_doubtful.assign(words_for(pages), 0);
    for (uint64_t page = 0; page < pages.size() / k_page_size; ++page) {
        m_doubtful[page / 64] |= bit(page % 64);
    }
    m_any_doubtful = true;
}

void InterpWriteLog::end_write_log() {
    const std::lock_guard lock(m_mutex);
    m_vm.memory().clear_logged(m_pages);
    m_pages = {};
    m_tickets.clear();
    m_doubtful.clear();
    m_any_doubtful = false;
}

void InterpWriteLog::collect_writes(std::span<uint64_t> written) {
    const std::lock_guard lock(m_mutex);
    if (written.size() < words_for(m_pages)) {
        return;
    }
    std::vector<uint64_t> found(m_doubtful.size());
    const bool any_new = m_vm.memory().take_dirty(m_pages, found);
    if (!any_new && !m_any_doubtful) {
        return;
    }
    for (size_t word = 0; word < found.size(); ++word) {
        found[word] |= m_doubtful[word];
        written[word] |= found[word];
    }
    if (any_new) {
        protect();
    }
    m_any_doubtful = !is_protected();
    m_doubtful = m_any_doubtful ? std::move(found) : std::vector<uint64_t>(found.size());
}

}  // namespace skep::interp
