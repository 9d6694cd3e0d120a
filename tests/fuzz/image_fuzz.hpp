// SPDX-License-Identifier: GPL-3.0-or-later
// What the fuzz targets of image formats share: the input as a file in memory, on the caller's thread.
#pragma once

#include <cstdlib>

#include "devices/formats/block_map.hpp"
#include "tests/support/memory_file.hpp"

namespace skep::fuzz {

using test::MemoryFile;

// A file that says it has `size` bytes as an image to import: a map whose every place can be asked for, or a sentence.
inline void read_map(ImageFormat format, MemoryFile& memory, uint64_t size) {
    MetadataFile file(memory);
    const auto map = read_block_map(format, file, size, "fuzz");
    if (map && (map->block_bytes == 0 || map->blocks.size() > uint64_t{1} << 25)) {
        std::abort();
    }
    if (!map && map.error().message.empty()) {
        std::abort();
    }
}

inline void read_map(ImageFormat format, const uint8_t* data, size_t size) {
    if (size != 0) {
        MemoryFile memory(data, size);
        read_map(format, memory, size);
    }
}

}  // namespace skep::fuzz
