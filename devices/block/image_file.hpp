// SPDX-License-Identifier: GPL-3.0-or-later
// A disk image's file, opened and locked, whatever its format.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "devices/block/file_engine.hpp"
#include "devices/block/image_lock.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct ImageFile {
    Fd fd;
    uint64_t size = 0;  // bytes, not 0
    std::unique_ptr<FileEngine> engine;  // on fd: gone before it
};

// Errors: not_found, permission, in_use, invalid_input (a folder, an empty file, neither file nor disk), unsupported.
Result<ImageFile> open_image_file(const std::string& path, ImageAccess access, IoMethod method = IoMethod::automatic);

}  // namespace skep
