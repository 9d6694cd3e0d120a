// SPDX-License-Identifier: GPL-3.0-or-later
// Open-file-description locks on an image, by QEMU's byte scheme so that QEMU and qemu-img see us and we them
// (docs/system/qemu-block-drivers, "Disk image file locking").
#pragma once

#include <string>

#include "vmm/base/result.hpp"

namespace skep {

enum class ImageAccess { read_only, read_write };

// One writer, or any number of readers. The lock goes with the last copy of the descriptor.
// Fails with in_use when somebody is in the way; with unsupported where the file system has no locks (readers then
// go on without one).
Status lock_image(int fd, ImageAccess access, const std::string& path);

}  // namespace skep
