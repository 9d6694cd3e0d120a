// SPDX-License-Identifier: GPL-3.0-or-later
// Hyper-V images of the second kind, fixed and dynamic (MS-VHDX).
#include <algorithm>
#include <array>

#include "devices/formats/block_map.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/base/crc32c.hpp"

namespace skep {
namespace {

using Guid = std::array<uint8_t, 16>;

// As they lie in the file: the first three parts little-endian.
constexpr Guid k_bat_region{0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
constexpr Guid k_metadata_region{0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
constexpr Guid k_file_parameters{0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
constexpr Guid k_disk_size{0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
constexpr Guid k_sector_size{0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};

constexpr uint64_t k_mib = uint64_t{1} << 20;
constexpr std::array<uint64_t, 2> k_headers_at{64 << 10, 128 << 10};
constexpr std::array<uint64_t, 2> k_region_tables_at{192 << 10, 256 << 10};
constexpr size_t k_header_bytes = 4096;
constexpr size_t k_region_table_bytes = 64 << 10;
constexpr uint64_t k_metadata_bytes = 128 << 10;  // the table and the items that matter
constexpr unsigned k_most_entries = 2047;

bool sum_is_right(std::vector<uint8_t> bytes) {
    const auto wanted = load_le<uint32_t>(&bytes[4]);
    store_le<uint32_t>(&bytes[4], 0);
    return crc32c(bytes) == wanted;
}

bool has(const std::vector<uint8_t>& bytes, size_t at, std::span<const uint8_t> what) {
    return at + what.size() <= bytes.size() && std::equal(what.begin(), what.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
}
bool has(const std::vector<uint8_t>& bytes, std::string_view what) {
    return std::equal(what.begin(), what.end(), bytes.begin());
}

struct Region {
    uint64_t offset = 0, length = 0;
};

class Reader {
  public:
    Reader(MetadataFile& file, uint64_t file_size, const std::string& path) : m_file(file), m_file_size(file_size), m_path(path) {}
    Result<BlockMap> read();

  private:
    [[nodiscard]] Status check_log();
    [[nodiscard]] Status find_regions();
    [[nodiscard]] Status read_metadata();
    [[nodiscard]] Status read_blocks();

    MetadataFile& m_file;
    uint64_t m_file_size;
    const std::string& m_path;
    Region m_bat, m_metadata;
    uint64_t m_sector = 0;
    BlockMap m_map;
};

// "Headers": the newer of the two that are whole counts. What its log holds is not yet in the tables.
Status Reader::check_log() {
    std::vector<uint8_t> newest;
    for (const uint64_t at : k_headers_at) {
        std::vector<uint8_t> header(k_header_bytes);
        if (m_file.read(at, header) != 0 || !has(header, "head") || !sum_is_right(header)) {
            continue;
        }
        if (newest.empty() || load_le<uint64_t>(&header[8]) > load_le<uint64_t>(&newest[8])) {
            newest = std::move(header);
        }
    }
    if (newest.empty()) {
        return damaged_image(m_path, "neither of its headers is whole");
    }
    if (!has(newest, 48, Guid{})) {
        return fail(ErrorKind::unsupported, "{} was not closed: open it once in Hyper-V, or run 'qemu-img check -r all' on it.", m_path);
    }
    return {};
}

Status Reader::find_regions() {
    for (const uint64_t at : k_region_tables_at) {
        std::vector<uint8_t> table(k_region_table_bytes);
        if (m_file.read(at, table) != 0 || !has(table, "regi") || !sum_is_right(table)) {
            continue;
        }
        const unsigned count = std::min(load_le<uint32_t>(&table[8]), k_most_entries);
        for (unsigned i = 0; i < count; ++i) {
            const size_t entry = 16 + i * 32;
            const Region region{load_le<uint64_t>(&table[entry + 16]), load_le<uint32_t>(&table[entry + 24])};
            if (region.offset > m_file_size || region.length > m_file_size - region.offset) {
                return damaged_image(m_path, "a region lies outside of the file");
            }
            if (has(table, entry, k_bat_region)) {
                m_bat = region;
            } else if (has(table, entry, k_metadata_region)) {
                m_metadata = region;
            } else if ((load_le<uint32_t>(&table[entry + 28]) & 1) != 0) {
                return fail(ErrorKind::unsupported, "{} uses a feature of VHDX that Skep does not know.", m_path);
            }
        }
        if (m_bat.length != 0 && m_metadata.length != 0) {
            return {};
        }
    }
    return damaged_image(m_path, "its regions are not there");
}

Status Reader::read_metadata() {
    std::vector<uint8_t> bytes(std::min(m_metadata.length, k_metadata_bytes));
    if (bytes.size() < 64 << 10 || m_file.read(m_metadata.offset, bytes) != 0 || !has(bytes, "metadata")) {
        return damaged_image(m_path, "what describes its disk is not there");
    }
    const unsigned count = std::min<unsigned>(load_le<uint16_t>(&bytes[10]), k_most_entries);
    bool based = false;
    for (unsigned i = 0; i < count; ++i) {
        const size_t entry = 32 + i * 32;
        const uint64_t at = load_le<uint32_t>(&bytes[entry + 16]);
        if (at > bytes.size() - 8) {
            continue;
        }
        if (has(bytes, entry, k_file_parameters)) {
            m_map.block_bytes = load_le<uint32_t>(&bytes[at]);
            based = (load_le<uint32_t>(&bytes[at + 4]) & 2) != 0;
        } else if (has(bytes, entry, k_disk_size)) {
            m_map.size = load_le<uint64_t>(&bytes[at]);
        } else if (has(bytes, entry, k_sector_size)) {
            m_sector = load_le<uint32_t>(&bytes[at]);
        }
    }
    if (based) {
        return fail(ErrorKind::unsupported, "{} is a VHDX image that is based on another one. Merge them first.", m_path);
    }
    const bool sane = is_power_of_two(m_map.block_bytes) && m_map.block_bytes >= k_mib && m_map.block_bytes <= 256 * k_mib &&
                      (m_sector == 512 || m_sector == 4096) && m_map.size != 0 && m_map.size <= 64 * k_mib * k_mib &&
                      m_map.size % m_sector == 0;
    return sane ? Status{} : Status(damaged_image(m_path, "what it says of its disk is impossible"));
}

// "BAT": after each chunk of payload entries one for a bitmap, which only images with a parent use.
Status Reader::read_blocks() {
    const uint64_t ratio = (m_sector << 23) / m_map.block_bytes;
    const uint64_t count = (m_map.size + m_map.block_bytes - 1) / m_map.block_bytes;
    const uint64_t entries = count + (count - 1) / ratio;
    if (const Status placed = check_table_place(m_bat.offset, entries, 8, m_bat.offset + m_bat.length, m_path); !placed) {
        return placed;
    }
    std::vector<uint8_t> table(entries * 8);
    if (const HostError error = m_file.read(m_bat.offset, table); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", m_path));
    }
    for (uint64_t block = 0; block < count; ++block) {
        const auto entry = load_le<uint64_t>(&table[(block + block / ratio) * 8]);
        const uint64_t state = entry & 7;
        const uint64_t at = entry >> 20 << 20;
        if (state == 4 || state == 5 || state == 7 || (state == 6 && (at == 0 || at >= m_file_size))) {
            return damaged_image(m_path, fmt::format("its block {} lies outside of the file", block));
        }
        m_map.blocks.push_back(state == 6 ? at : BlockMap::k_zeros);
    }
    return {};
}

Result<BlockMap> Reader::read() {
    Status status = check_log();
    for (Status (Reader::*step)() : {&Reader::find_regions, &Reader::read_metadata, &Reader::read_blocks}) {
        if (status) {
            status = (this->*step)();
        }
    }
    if (!status) {
        return tl::unexpected(status.error());
    }
    return std::move(m_map);
}

}  // namespace

Result<BlockMap> read_vhdx_map(MetadataFile& file, uint64_t file_size, const std::string& path) {
    return Reader(file, file_size, path).read();
}

}  // namespace skep
