// SPDX-License-Identifier: GPL-3.0-or-later
// The host's /etc/resolv.conf, in memory shared by the process that may read files and the one that may not.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace skep {

class ResolverPage {
  public:
    // Shared with processes forked later; null when the host has no memory left. Lives as long as the process.
    static ResolverPage* create();
    // Takes the file's text, if it is another than before. One writer.
    void update(std::string_view text);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] uint32_t version() const { return m_version.load(std::memory_order_acquire); }

  private:
    std::atomic<uint32_t> m_version{0};  // odd while it is being written
    uint32_t m_length = 0;
    std::array<char, 4080> m_text{};
};

}  // namespace skep
