// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/power_cuts/guest_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

namespace skep::test {
namespace {

namespace fs = std::filesystem;

// As cut_files.c has them.
uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}
uint64_t word(unsigned file, unsigned version, uint64_t index) {
    return mix(uint64_t{file} << 52 ^ uint64_t{version} << 24 ^ index);
}

bool begins_with(const std::string& bytes, unsigned file, unsigned version, unsigned size) {
    if (bytes.size() < size) {
        return false;
    }
    for (unsigned at = 0; at < size; ++at) {
        if (static_cast<uint8_t>(bytes[at]) != static_cast<uint8_t>(word(file, version, at / 8) >> (at % 8 * 8))) {
            return false;
        }
    }
    return true;
}

std::string read_file(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

void GuestFiles::said(std::string_view sector) {
    char what[16] = "";
    unsigned number = 0;
    Content content;
    if (std::sscanf(std::string(sector).c_str(), "%15s %u %u %u", what, &number, &content.version, &content.size) != 4) {
        return;
    }
    const std::string_view word = what;
    if (word == "ready") {
        m_is_ready = true;
        return;
    }
    File& file = m_files[number];
    const Content old = file.now;
    const bool known = file.promise == Promise::kept;
    file = {word == "kept"      ? Promise::kept
            : word == "gone"    ? Promise::gone
            : !known            ? Promise::nothing
            : word == "replace" ? Promise::replaced
            : word == "append"  ? Promise::appended
            : word == "delete"  ? Promise::leaving
                                : Promise::nothing,
            content, old};
}

size_t GuestFiles::promised() const {
    return static_cast<size_t>(
        std::ranges::count_if(m_files, [](const auto& entry) { return entry.second.promise != Promise::nothing; }));
}

std::string GuestFiles::broken(unsigned number, const File& file, const std::vector<fs::path>& found) {
    if (found.size() > 1) {
        return fmt::format("file {} is in {} folders", number, found.size());
    }
    if (file.promise == Promise::gone || found.empty()) {
        const bool may_be_gone = file.promise == Promise::gone || file.promise == Promise::leaving;
        return may_be_gone && found.empty() ? "" : fmt::format("file {} is {}", number, found.empty() ? "gone" : "there again");
    }
    const std::string bytes = read_file(found.front());
    const auto is = [&](const Content& content) {
        return bytes.size() == content.size && begins_with(bytes, number, content.version, content.size);
    };
    const bool good = file.promise == Promise::kept       ? is(file.now)
                      : file.promise == Promise::replaced ? is(file.now) || is(file.old)
                      : file.promise == Promise::appended ? begins_with(bytes, number, file.old.version, file.old.size)
                                                          : is(file.old);
    return good ? "" : fmt::format("file {} of {} bytes is not as promised: version {} with {} bytes, before that version {} with {}",
                                   number, bytes.size(), file.now.version, file.now.size, file.old.version, file.old.size);
}

std::string GuestFiles::broken_promise(const fs::path& root) const {
    std::map<unsigned, std::vector<fs::path>> found;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
        unsigned number = 0;
        if (std::sscanf(entry.path().filename().c_str(), "f%u", &number) == 1) {
            found[number].push_back(entry.path());
        }
    }
    for (const auto& [number, file] : m_files) {
        if (file.promise == Promise::nothing) {
            continue;
        }
        if (std::string sentence = broken(number, file, found[number]); !sentence.empty()) {
            return sentence;
        }
    }
    return {};
}

}  // namespace skep::test
