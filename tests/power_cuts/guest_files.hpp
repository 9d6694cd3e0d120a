// SPDX-License-Identifier: GPL-3.0-or-later
// What tests/guest/linux/cut_files.c has said of its files, and whether they are so.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace skep::test {

class GuestFiles {
  public:
    // A sector of the disk that it talks to.
    void said(std::string_view sector);
    [[nodiscard]] bool is_ready() const { return m_is_ready; }
    // Files whose content is promised.
    [[nodiscard]] size_t promised() const;

    // The first file that breaks a promise, as a sentence; empty: none. `root` has the guest's folders dNN.
    [[nodiscard]] std::string broken_promise(const std::filesystem::path& root) const;

  private:
    enum class Promise {
        nothing,
        kept,      // is there with this content
        replaced,  // with this one or the old one
        appended,  // begins with the old content
        leaving,   // with the old content, or gone
        gone,
    };
    struct Content {
        unsigned version = 0, size = 0;
    };
    struct File {
        Promise promise = Promise::nothing;
        Content now, old;
    };

    [[nodiscard]] static std::string broken(unsigned number, const File& file, const std::vector<std::filesystem::path>& found);

    std::map<unsigned, File> m_files;
    bool m_is_ready = false;
};

}  // namespace skep::test
