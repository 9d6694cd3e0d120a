// SPDX-License-Identifier: GPL-3.0-or-later
// Virtual PC and Hyper-V images of the first kind, fixed and dynamic (Virtual Hard Disk Image Format Specification 1.0).
#include <algorithm>
#include <string_view>

#include "devices/formats/block_map.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_footer_bytes = 512;
constexpr uint32_t k_fixed = 2;
constexpr uint32_t k_dynamic = 3;
constexpr uint32_t k_unused = 0xffffffff;

bool starts_with(const std::vector<uint8_t>& bytes, std::string_view magic) {
    return std::equal(magic.begin(), magic.end(), bytes.begin());
}

// "Checksum": the ones' complement of the sum of all bytes without the checksum itself.
bool sum_is_right(std::vector<uint8_t> bytes, size_t sum_at) {
    const auto wanted = load_be<uint32_t>(&bytes[sum_at]);
    store_be<uint32_t>(&bytes[sum_at], 0);
    uint32_t sum = 0;
    for (const uint8_t byte : bytes) {
        sum += byte;
    }
    return ~sum == wanted;
}

Result<BlockMap> read_dynamic(MetadataFile& file, uint64_t header_at, BlockMap map, uint64_t file_size, const std::string& path) {
    std::vector<uint8_t> header(1024);
    if (header_at > file_size - k_footer_bytes || file.read(header_at, header) != 0 || !starts_with(header, "cxsparse") ||
        !sum_is_right(header, 36)) {
        return damaged_image(path, "its second header is not there");
    }
    const auto table_at = load_be<uint64_t>(&header[16]);
    const uint64_t count = load_be<uint32_t>(&header[28]);
    map.block_bytes = load_be<uint32_t>(&header[32]);
    if (!is_power_of_two(map.block_bytes) || map.block_bytes < 4096 || map.size > count * map.block_bytes) {
        return damaged_image(path, "its headers contradict each other");
    }
    if (const Status placed = check_table_place(table_at, count, 4, file_size, path); !placed) {
        return tl::unexpected(placed.error());
    }
    std::vector<uint8_t> table(count * 4);
    if (const HostError error = file.read(table_at, table); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    // Before each block a bitmap of its sectors; sectors that were never written hold zeros.
    const uint64_t bitmap = align_up(map.block_bytes / 512 / 8, 512);
    for (uint64_t i = 0; i < count; ++i) {
        const auto sector = load_be<uint32_t>(&table[i * 4]);
        const uint64_t at = uint64_t{sector} * 512 + bitmap;
        if (sector != k_unused && at >= file_size) {
            return damaged_image(path, fmt::format("its block {} lies outside of the file", i));
        }
        map.blocks.push_back(sector == k_unused ? BlockMap::k_zeros : at);
    }
    return map;
}

}  // namespace

Result<BlockMap> read_vhd_map(MetadataFile& file, uint64_t file_size, const std::string& path) {
    std::vector<uint8_t> footer(k_footer_bytes);
    if (file_size < k_footer_bytes || file.read(file_size - k_footer_bytes, footer) != 0) {
        return damaged_image(path, "it is too short");
    }
    if (!starts_with(footer, "conectix") && (file.read(0, footer) != 0 || !starts_with(footer, "conectix"))) {
        return damaged_image(path, "it has no footer");
    }
    if (!sum_is_right(footer, 64)) {
        return damaged_image(path, "the checksum of its footer is wrong");
    }
    const auto type = load_be<uint32_t>(&footer[60]);
    BlockMap map;
    map.size = load_be<uint64_t>(&footer[48]);
    if (map.size == 0 || map.size > uint64_t{1} << 50) {
        return damaged_image(path, "the size of its disk is impossible");
    }
    if (type == k_dynamic) {
        return read_dynamic(file, load_be<uint64_t>(&footer[16]), std::move(map), file_size, path);
    }
    if (type != k_fixed) {
        return fail(ErrorKind::unsupported, "{} is a VHD image that is based on another one. Merge them first.", path);
    }
    if (map.size > file_size - k_footer_bytes) {
        return damaged_image(path, "the file is shorter than its disk");
    }
    map.block_bytes = align_up(map.size, 512);
    map.blocks = {0};
    return map;
}

}  // namespace skep
