// SPDX-License-Identifier: GPL-3.0-or-later
// What is asked of a disk after a power cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"

namespace skep::test {

// A file with any content, changed where it differs: for programs that look at many similar images. On a tmpfs.
class ImageForPrograms {
  public:
    // Made anew. An empty path afterwards: the host failed.
    ImageForPrograms(const std::filesystem::path& path, size_t size);
    ~ImageForPrograms();
    // All of it, whatever a program has made of the last one.
    void put(std::span<const uint8_t> bytes);
    [[nodiscard]] const std::string& path() const { return m_path; }

  private:
    std::string m_path;
    Fd m_fd;
    std::span<uint8_t> m_mapped;
};

// The exit code of a shell command, and what it says. -1: it could not be run.
struct Answer {
    int code = -1;
    std::string text;
};
[[nodiscard]] Answer ask_program(const std::string& command);

// As a guest's kernel and boot do: the journal is replayed and orphans are removed, and nothing else is wrong. A sentence,
// or empty. `image` is changed.
[[nodiscard]] std::string ext4_problem(const std::string& image);

struct TablesAfterCut {
    std::string problem;  // a sentence, or empty
    uint64_t leaks = 0;   // clusters
};
// A qcow2 file, opened for writing as after a restart of the host. `disk` gets the pieces of 64 KiB as its guest will see them.
[[nodiscard]] TablesAfterCut open_after_cut(std::span<const uint8_t> file, std::span<uint8_t> disk, std::span<const uint64_t> pieces);

}  // namespace skep::test
