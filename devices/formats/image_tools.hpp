// SPDX-License-Identifier: GPL-3.0-or-later
// What people do to images that no machine uses: look, convert, resize, commit.
#pragma once

#include <cstdint>
#include <string>

#include "devices/formats/image.hpp"
#include "devices/formats/progress.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct ImageDetails {
    ImageFormat format = ImageFormat::raw;
    uint64_t disk_bytes = 0;  // what a guest sees
    uint64_t file_bytes = 0;
    uint64_t host_bytes = 0;  // what the file uses on the host's disk
    // of qcow2
    uint64_t cluster_bytes = 0;
    uint32_t version = 0;
    uint32_t snapshots = 0;
    std::string backing_file, backing_format;
    bool is_dirty = false, is_corrupt = false;
};

// The header alone: bases are named, not opened. Errors: as open_image.
Result<ImageDetails> describe_image(const std::string& path, ImageFormat format = ImageFormat::automatic);

// A new image (raw or qcow2) with the content of `source`; ranges of zeros use no space. What is left of it after an
// error or a `cancelled` is removed. An existing target is an in_use error.
Status convert_image(const std::string& source, const ImageOptions& options, const std::string& target, ImageFormat format,
                     const Progress& progress = {});

// Larger only; raw and qcow2. Errors: invalid_input for smaller sizes or what is no multiple of 512.
Status resize_image(const std::string& path, ImageFormat format, uint64_t new_size);

// Writes what `overlay` (qcow2) has of its own into the image it is based on. The overlay stays and reads the same.
Status commit_image(const std::string& overlay, const BackingPolicy& backing, const Progress& progress = {});

}  // namespace skep
