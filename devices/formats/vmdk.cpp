// SPDX-License-Identifier: GPL-3.0-or-later
// VMware images in one file: monolithic sparse and stream-optimized (VMware Virtual Disk Format 5.0, "Hosted Sparse
// Extents" and "Stream-Optimized Compressed Sparse Extents").
#include <algorithm>
#include <string_view>

#include "devices/formats/block_map.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_header_bytes = 512;
constexpr uint32_t k_magic = 0x564d444b;  // "KDMV"
constexpr uint32_t k_flag_zeroed_grains = bit(2);
constexpr uint32_t k_flag_compressed = bit(16);
constexpr uint64_t k_directory_at_end = ~uint64_t{0};
constexpr uint64_t k_footer_from_end = 1024;
constexpr uint64_t k_most_descriptor = 64 << 10;

struct Header {
    uint32_t flags;
    uint64_t capacity, grain;  // sectors
    uint64_t descriptor_at, descriptor_sectors;
    uint32_t entries_per_table;
    uint64_t directory_at;  // sectors
    uint16_t compression;
};

Header take_apart(const std::vector<uint8_t>& raw) {
    return {load_le<uint32_t>(&raw[8]),  load_le<uint64_t>(&raw[12]), load_le<uint64_t>(&raw[20]), load_le<uint64_t>(&raw[28]),
            load_le<uint64_t>(&raw[36]), load_le<uint32_t>(&raw[44]), load_le<uint64_t>(&raw[56]), load_le<uint16_t>(&raw[77])};
}

// The embedded text says whether the image stands alone.
Status check_descriptor(MetadataFile& file, const Header& header, uint64_t file_size, const std::string& path) {
    const uint64_t at = header.descriptor_at * 512;
    const uint64_t length = std::min(header.descriptor_sectors * 512, k_most_descriptor);
    if (header.descriptor_at == 0 || header.descriptor_at > file_size / 512 || length == 0) {
        return {};
    }
    std::vector<uint8_t> raw(length);
    if (const HostError error = file.read(at, raw); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
    const size_t parent = text.find("parentCID=");
    if (parent != std::string_view::npos && text.substr(parent + 10, 8) != "ffffffff") {
        return fail(ErrorKind::unsupported, "{} is a VMDK image that is based on another one. Merge them first.", path);
    }
    return {};
}

Result<std::vector<uint32_t>> read_table(MetadataFile& file, uint64_t sector, uint64_t count, uint64_t file_size, const std::string& path) {
    if (sector > file_size / 512) {
        return damaged_image(path, "a table lies outside of the file");
    }
    if (const Status placed = check_table_place(sector * 512, count, 4, file_size, path); !placed) {
        return tl::unexpected(placed.error());
    }
    std::vector<uint8_t> raw(count * 4);
    if (const HostError error = file.read(sector * 512, raw); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    std::vector<uint32_t> table(count);
    for (size_t i = 0; i < count; ++i) {
        table[i] = load_le<uint32_t>(&raw[i * 4]);
    }
    return table;
}

Status add_grains(MetadataFile& file, const Header& header, uint64_t table_at, BlockMap& map, uint64_t file_size, const std::string& path) {
    const uint64_t wanted = (header.capacity + header.grain - 1) / header.grain - map.blocks.size();
    const uint64_t count = std::min<uint64_t>(header.entries_per_table, wanted);
    if (table_at == 0) {
        map.blocks.insert(map.blocks.end(), count, BlockMap::k_zeros);
        return {};
    }
    const auto table = read_table(file, table_at, count, file_size, path);
    if (!table) {
        return tl::unexpected(table.error());
    }
    for (const uint32_t grain : *table) {
        const bool zeros = grain == 0 || (grain == 1 && (header.flags & k_flag_zeroed_grains) != 0);
        if (!zeros && uint64_t{grain} * 512 >= file_size) {
            return damaged_image(path, fmt::format("its grain {} lies outside of the file", map.blocks.size()));
        }
        map.blocks.push_back(zeros ? BlockMap::k_zeros : uint64_t{grain} * 512);
    }
    return {};
}

}  // namespace

Result<BlockMap> read_vmdk_map(MetadataFile& file, uint64_t file_size, const std::string& path) {
    std::vector<uint8_t> raw(k_header_bytes);
    if (file.read(0, raw) != 0 || load_le<uint32_t>(raw.data()) != k_magic) {
        return fail(ErrorKind::unsupported,
                    "{} only describes a VMDK image whose data lies in other files. Convert it to one file in VMware first.", path);
    }
    if (take_apart(raw).directory_at == k_directory_at_end) {
        if (file_size < k_footer_from_end + k_header_bytes || file.read(file_size - k_footer_from_end, raw) != 0 ||
            load_le<uint32_t>(raw.data()) != k_magic) {
            return damaged_image(path, "its end is missing");
        }
    }
    const Header header = take_apart(raw);
    const bool sane = is_power_of_two(header.grain) && header.grain >= 8 && header.grain <= 32768 && header.capacity != 0 &&
                      header.capacity <= uint64_t{1} << 40 && header.entries_per_table != 0 && header.entries_per_table <= 4096;
    if (!sane) {
        return damaged_image(path, "its header contradicts itself");
    }
    BlockMap map;
    map.size = header.capacity * 512;
    map.block_bytes = header.grain * 512;
    map.compressed = (header.flags & k_flag_compressed) != 0;
    if (map.compressed && header.compression != 1) {
        return fail(ErrorKind::unsupported, "{} is compressed in a way that Skep does not know.", path);
    }
    if (const Status alone = check_descriptor(file, header, file_size, path); !alone) {
        return tl::unexpected(alone.error());
    }
    const uint64_t covered = header.grain * header.entries_per_table;
    const auto directory = read_table(file, header.directory_at, (header.capacity + covered - 1) / covered, file_size, path);
    if (!directory) {
        return tl::unexpected(directory.error());
    }
    if (directory->size() * header.entries_per_table > uint64_t{1} << 24) {
        return damaged_image(path, "its disk is too large");
    }
    for (const uint32_t table_at : *directory) {
        if (const Status added = add_grains(file, header, table_at, map, file_size, path); !added) {
            return tl::unexpected(added.error());
        }
    }
    return map;
}

}  // namespace skep
