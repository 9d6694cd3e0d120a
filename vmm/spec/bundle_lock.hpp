// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: the two locks in <bundle>/lock, as open file description locks (they vanish with the holder, and
// closing another descriptor of the file does not drop them).
#pragma once

#include <filesystem>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

enum class BundleLock : int { run = 0, edit = 1 };  // the byte of the file that is locked
enum class Waiting { no, yes };

[[nodiscard]] Result<Fd> lock_bundle(const std::filesystem::path& folder, BundleLock lock, Waiting waiting);
[[nodiscard]] bool is_locked(const std::filesystem::path& folder, BundleLock lock);

}  // namespace skep
