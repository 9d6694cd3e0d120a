// SPDX-License-Identifier: GPL-3.0-or-later
// VirtualBox disk images, dynamic and fixed (VDI 1.1, as VirtualBox' VDICore.h describes it).
#include "devices/formats/block_map.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_header_bytes = 400;
constexpr uint32_t k_signature = 0xbeda107f;
constexpr uint32_t k_least_special = 0xfffffffe;  // discarded (zeros) and unallocated

}  // namespace

Result<BlockMap> read_vdi_map(MetadataFile& file, uint64_t file_size, const std::string& path) {
    std::vector<uint8_t> header(k_header_bytes);
    if (file.read(0, header) != 0 || load_le<uint32_t>(&header[64]) != k_signature) {
        return damaged_image(path, "it has no header");
    }
    const auto type = load_le<uint32_t>(&header[76]);
    if (load_le<uint32_t>(&header[68]) >> 16 != 1 || (type != 1 && type != 2)) {
        return fail(ErrorKind::unsupported, "{} is a VDI image of a kind that cannot be read alone. Clone it in VirtualBox first.", path);
    }
    const uint64_t map_at = load_le<uint32_t>(&header[340]);
    const uint64_t data_at = load_le<uint32_t>(&header[344]);
    const auto block_bytes = load_le<uint32_t>(&header[376]);
    const uint64_t extra = load_le<uint32_t>(&header[380]);
    const uint64_t count = load_le<uint32_t>(&header[384]);
    BlockMap map;
    map.size = load_le<uint64_t>(&header[368]);
    map.block_bytes = block_bytes;
    if (!is_power_of_two(block_bytes) || block_bytes < 4096 || map.size == 0 || map.size > count * block_bytes || extra > block_bytes) {
        return damaged_image(path, "its header contradicts itself");
    }
    if (const Status placed = check_table_place(map_at, count, 4, file_size, path); !placed) {
        return tl::unexpected(placed.error());
    }
    std::vector<uint8_t> table(count * 4);
    if (const HostError error = file.read(map_at, table); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    for (uint64_t i = 0; i < count; ++i) {
        const auto entry = load_le<uint32_t>(&table[i * 4]);
        const uint64_t at = data_at + entry * (block_bytes + extra) + extra;
        if (entry < k_least_special && at >= file_size) {
            return damaged_image(path, fmt::format("its block {} lies outside of the file", i));
        }
        map.blocks.push_back(entry < k_least_special ? at : BlockMap::k_zeros);
    }
    return map;
}

}  // namespace skep
