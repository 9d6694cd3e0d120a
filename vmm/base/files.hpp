// SPDX-License-Identifier: GPL-3.0-or-later
// Whole small files: reading with a limit, and replacing so that after a crash either the old or the new one is there.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Kind invalid_input when the file is larger than `limit` bytes or no regular file.
[[nodiscard]] Result<std::string> read_small_file(const std::filesystem::path& file, size_t limit);
// Temporary file in the same folder, fsync, rename, fsync of the folder. `mode` for a new file.
[[nodiscard]] Status replace_file(const std::filesystem::path& file, std::string_view content, mode_t mode = 0600);
// Makes the entries of a folder durable (after a rename).
[[nodiscard]] Status sync_folder(const std::filesystem::path& folder);
// Writes everything, going on after short writes and EINTR. False with errno set on failure.
[[nodiscard]] bool write_all(int fd, std::string_view bytes);

}  // namespace skep
