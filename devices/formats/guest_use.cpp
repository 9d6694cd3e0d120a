// SPDX-License-Identifier: GPL-3.0-or-later
// Partition tables: UEFI specification 2.10, chapter 5. ext4: the kernel's Documentation/filesystems/ext4, "Super Block" and "Block
// Group Descriptors".
#include "devices/formats/guest_use.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "devices/block/block_requests.hpp"
#include "devices/formats/image_tools.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_sector = 512;
constexpr unsigned k_most_logical = 32;
constexpr unsigned k_most_gpt_entries = 128;
constexpr uint64_t k_most_descriptor_bytes = 4 << 20;

using Sector = std::array<uint8_t, k_sector>;

struct Range {
    uint64_t offset = 0, length = 0;  // bytes
};

class Looker {
  public:
    Looker(uint64_t disk_bytes, const ReadDisk& read) : m_size(disk_bytes), m_read(read) {}

    std::optional<GuestUse> look() {
        std::vector<Range> partitions = gpt();
        if (partitions.empty()) {
            partitions = mbr();
        }
        if (partitions.empty()) {
            partitions = {{0, m_size}};
        }
        GuestUse use;
        for (const Range& partition : partitions) {
            if (const auto used = ext_bytes(partition)) {
                ++use.file_systems;
                use.used_bytes += *used;
            } else {
                use.other_bytes += partition.length;
            }
        }
        const bool sane = use.used_bytes + use.other_bytes <= m_size;  // else partitions overlap
        return use.file_systems != 0 && sane ? std::optional(use) : std::nullopt;
    }

  private:
    [[nodiscard]] bool read(uint64_t offset, std::span<uint8_t> to) const {
        return offset <= m_size && to.size() <= m_size - offset && m_read(offset, to);
    }
    [[nodiscard]] bool is_inside(const Range& range) const {
        return range.length != 0 && range.offset < m_size && range.length <= m_size - range.offset;
    }
    // Of a partition in sectors; length 0 when it is none.
    [[nodiscard]] Range in_sectors(uint64_t first, uint64_t count) const {
        const bool possible = first != 0 && first < m_size / k_sector && count <= m_size / k_sector;
        const Range range{first * k_sector, count * k_sector};
        return possible && is_inside(range) ? range : Range{};
    }
    [[nodiscard]] std::vector<Range> gpt() const;
    [[nodiscard]] std::vector<Range> mbr() const;
    void add_logical(uint64_t extended, std::vector<Range>& partitions) const;
    [[nodiscard]] std::optional<uint64_t> ext_bytes(const Range& partition) const;
    [[nodiscard]] std::optional<uint64_t> free_blocks(const Range& partition, std::span<const uint8_t> super) const;

    uint64_t m_size;
    const ReadDisk& m_read;
};

std::vector<Range> Looker::gpt() const {
    Sector header;
    if (!read(k_sector, header) || std::memcmp(header.data(), "EFI PART", 8) != 0) {
        return {};
    }
    const unsigned count = std::min(load_le<uint32_t>(&header[80]), k_most_gpt_entries);
    const uint64_t entry_bytes = load_le<uint32_t>(&header[84]);
    const uint64_t at = load_le<uint64_t>(&header[72]);
    if (entry_bytes < 128 || entry_bytes > 1024 || at > m_size / k_sector) {
        return {};
    }
    std::vector<uint8_t> entries(count * entry_bytes);
    if (!read(at * k_sector, entries)) {
        return {};
    }
    std::vector<Range> partitions;
    for (unsigned i = 0; i < count; ++i) {
        const auto entry = std::span(entries).subspan(i * entry_bytes, entry_bytes);
        const auto first = load_le<uint64_t>(&entry[32]), last = load_le<uint64_t>(&entry[40]);
        if (std::ranges::all_of(entry.first(16), [](uint8_t byte) { return byte == 0; }) || last < first) {
            continue;
        }
        if (const Range range = in_sectors(first, last - first + 1); range.length != 0) {
            partitions.push_back(range);
        }
    }
    return partitions;
}

std::vector<Range> Looker::mbr() const {
    Sector sector;
    if (!read(0, sector) || sector[510] != 0x55 || sector[511] != 0xaa) {
        return {};
    }
    std::vector<Range> partitions;
    for (size_t at = 446; at < 510; at += 16) {
        const uint8_t type = sector[at + 4];
        const uint64_t first = load_le<uint32_t>(&sector[at + 8]);
        if (type == 0x05 || type == 0x0f || type == 0x85) {
            add_logical(first, partitions);
        } else if (const Range range = in_sectors(first, load_le<uint32_t>(&sector[at + 12])); type != 0 && range.length != 0) {
            partitions.push_back(range);
        }
    }
    return partitions;
}

// A chain of tables with one partition each: places of partitions are relative to their table, those of tables to the first.
void Looker::add_logical(uint64_t extended, std::vector<Range>& partitions) const {
    Sector sector;
    uint64_t table = extended;
    for (unsigned i = 0; i < k_most_logical; ++i) {
        if (table > m_size / k_sector || !read(table * k_sector, sector) || sector[510] != 0x55 || sector[511] != 0xaa) {
            return;
        }
        const Range range = in_sectors(table + load_le<uint32_t>(&sector[446 + 8]), load_le<uint32_t>(&sector[446 + 12]));
        if (sector[446 + 4] != 0 && range.length != 0) {
            partitions.push_back(range);
        }
        const uint64_t next = load_le<uint32_t>(&sector[462 + 8]);
        if (sector[462 + 4] == 0 || next == 0) {
            return;
        }
        table = extended + next;
    }
}

std::optional<uint64_t> Looker::ext_bytes(const Range& partition) const {
    std::array<uint8_t, 1024> super;
    if (partition.length < 4096 || !read(partition.offset + 1024, super) || load_le<uint16_t>(&super[0x38]) != 0xef53) {
        return std::nullopt;
    }
    const uint32_t shift = load_le<uint32_t>(&super[0x18]);
    const bool is_64bit = (load_le<uint32_t>(&super[0x60]) & 0x80) != 0;
    const uint64_t blocks = load_le<uint32_t>(&super[0x04]) | (is_64bit ? uint64_t{load_le<uint32_t>(&super[0x150])} << 32 : 0);
    if (shift > 6 || blocks == 0 || blocks > partition.length >> (10 + shift)) {
        return std::nullopt;
    }
    const auto free = free_blocks(partition, super);
    return free && *free <= blocks ? std::optional((blocks - *free) << (10 + shift)) : std::nullopt;
}

// The groups' own counts: the superblock's sum is old while the file system is mounted.
std::optional<uint64_t> Looker::free_blocks(const Range& partition, std::span<const uint8_t> super) const {
    const uint32_t shift = load_le<uint32_t>(&super[0x18]);
    const uint32_t incompatible = load_le<uint32_t>(&super[0x60]);
    const bool is_64bit = (incompatible & 0x80) != 0;
    const uint64_t blocks = load_le<uint32_t>(&super[0x04]) | (is_64bit ? uint64_t{load_le<uint32_t>(&super[0x150])} << 32 : 0);
    const uint64_t first = load_le<uint32_t>(&super[0x14]), per_group = load_le<uint32_t>(&super[0x20]);
    const uint64_t bytes = is_64bit ? load_le<uint16_t>(&super[0xfe]) : 32;
    if (first >= blocks || per_group == 0 || bytes < 32 || bytes > 1024) {
        return std::nullopt;
    }
    const uint64_t groups = (blocks - first + per_group - 1) / per_group;
    const bool is_scattered = (incompatible & 0x10) != 0;  // meta_bg
    if (is_scattered || groups > k_most_descriptor_bytes / bytes) {
        return load_le<uint32_t>(&super[0x0c]) | (is_64bit ? uint64_t{load_le<uint32_t>(&super[0x158])} << 32 : 0);
    }
    std::vector<uint8_t> descriptors(groups * bytes);
    if (!read(partition.offset + ((first + 1) << (10 + shift)), descriptors)) {
        return std::nullopt;
    }
    uint64_t free = 0;
    for (uint64_t at = 0; at < descriptors.size(); at += bytes) {
        free += load_le<uint16_t>(&descriptors[at + 0x0c]) | (bytes >= 64 ? uint32_t{load_le<uint16_t>(&descriptors[at + 0x2c])} << 16 : 0);
    }
    return free;
}

}  // namespace

std::optional<uint64_t> DiskLedger::reclaimable() const {
    if (!guest) {
        return std::nullopt;
    }
    const uint64_t used = guest->used_bytes + guest->other_bytes;
    return host_bytes > used ? host_bytes - used : 0;
}

std::optional<GuestUse> read_guest_use(uint64_t disk_bytes, const ReadDisk& read) { return Looker(disk_bytes, read).look(); }

DiskLedger look_at_disk(BlockBackend& disk, const std::string& path) {
    DiskLedger ledger{.disk_bytes = disk.info().size};
    struct stat status {};
    if (stat(path.c_str(), &status) == 0) {
        ledger.host_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
    }
    ledger.guest = read_guest_use(ledger.disk_bytes, [&](uint64_t offset, std::span<uint8_t> to) {
        BlockRequest request;
        request.offset = offset;
        request.buffers = {{to.data(), to.size()}};
        return start_request(disk, std::move(request)).get() == BlockStatus::ok;
    });
    return ledger;
}

Result<DiskLedger> look_at_image(const std::string& path, const ImageOptions& options) {
    ImageOptions reading = options;
    reading.access = ImageAccess::read_only;
    const auto details = describe_image(path, options.format);
    if (!details) {
        return tl::unexpected(details.error());
    }
    reading.format = details->format;
    const auto disk = open_image(path, reading);
    if (!disk) {
        return tl::unexpected(disk.error());
    }
    return look_at_disk(**disk, path);
}

}  // namespace skep
