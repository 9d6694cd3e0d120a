// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nat/resolver_page.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace skep {

ResolverPage* ResolverPage::create() {
    void* const page = mmap(nullptr, sizeof(ResolverPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? nullptr : new (page) ResolverPage;
}

void ResolverPage::update(std::string_view text) {
    text = text.substr(0, m_text.size());
    if (text == std::string_view(m_text.data(), m_length)) {
        return;
    }
    m_version.fetch_add(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    std::ranges::copy(text, m_text.begin());
    m_length = static_cast<uint32_t>(text.size());
    m_version.fetch_add(1, std::memory_order_release);
}

std::string ResolverPage::text() const {
    constexpr unsigned k_most_tries = 1000;
    for (unsigned attempt = 0; attempt < k_most_tries; ++attempt) {
        const uint32_t before = version();
        std::string copy(m_text.data(), std::min<size_t>(m_length, m_text.size()));
        std::atomic_thread_fence(std::memory_order_acquire);
        if (before % 2 == 0 && m_version.load(std::memory_order_relaxed) == before) {
            return copy;
        }
    }
    return {};
}

}  // namespace skep
