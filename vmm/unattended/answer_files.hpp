// SPDX-License-Identifier: GPL-3.0-or-later
// The answers in the words of those who ask: Debian's installer (Installation Guide, appendix B) and cloud-init (NoCloud
// data source of its documentation), and the media that carry them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "vmm/unattended/answers.hpp"

namespace skep {

// preseed.cfg: everything the installer asks at priority critical and high. `disk`: the one to be overwritten ("/dev/vda").
[[nodiscard]] std::string preseed_text(const Answers& answers, const std::string& disk);

// cloud-init's two files. `instance`: changes when everything is to be done anew; the machine's id.
[[nodiscard]] std::string cloud_user_data(const Answers& answers);
[[nodiscard]] std::string cloud_meta_data(const Answers& answers, const std::string& instance);

using NamedFiles = std::vector<std::pair<std::string, std::string>>;  // path and content

inline constexpr size_t k_ram_disk_alignment = 4;  // of an archive that follows another, and of what lies in one

// A cpio archive (newc) for the end of an initial RAM disk (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
[[nodiscard]] std::vector<std::byte> ram_disk_part(const NamedFiles& files);

// Writes an ISO 9660 image with Rock Ridge and Joliet names, readable by its owner only. Nothing is left of it on a failure.
[[nodiscard]] Status write_iso(const std::filesystem::path& path, const std::string& volume_id, const NamedFiles& files);

}  // namespace skep
