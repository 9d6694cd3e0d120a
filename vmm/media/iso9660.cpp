// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/media/iso9660.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_sector = 2048;
constexpr uint64_t k_first_descriptor = 16;
constexpr unsigned k_most_descriptors = 32;  // real discs have two to five
constexpr uint8_t k_boot_record = 0, k_primary = 1, k_terminator = 255;

constexpr size_t k_most_directory_bytes = 512 << 10;  // some thousand entries
constexpr unsigned k_most_path_parts = 8;

using Sector = std::array<std::byte, k_sector>;

uint8_t byte_at(std::span<const std::byte> bytes, size_t offset) {
    return std::to_integer<uint8_t>(bytes[offset]);
}

std::string printable(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte value : bytes) {
        const auto c = std::to_integer<uint8_t>(value);
        if (c == 0) {
            break;
        }
        text.push_back(c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

// The fixed part of a directory record (ECMA-119, 9.1).
IsoExtent extent_of(std::span<const std::byte> record) {
    constexpr uint8_t k_directory_flag = 2;
    return {.offset = uint64_t{load_le<uint32_t>(&record[2])} * k_sector,
            .size = load_le<uint32_t>(&record[10]),
            .is_directory = (byte_at(record, 25) & k_directory_flag) != 0};
}

void read_primary(const Sector& sector, IsoVolume& volume) {
    const std::span bytes(sector);
    volume.volume_id = printable(bytes.subspan(40, 32));
    volume.application_id = printable(bytes.subspan(574, 128));
    volume.volume_bytes = uint64_t{load_le<uint32_t>(&sector[80])} * load_le<uint16_t>(&sector[128]);
    volume.root = extent_of(bytes.subspan(156, 34));
}

// --- El Torito ---------------------------------------------------------------------------------------------------

constexpr uint8_t k_platform_x86 = 0, k_platform_efi = 0xef;
constexpr uint8_t k_bootable = 0x88;

void note_platform(uint8_t platform, IsoVolume& volume) {
    volume.boots_bios = volume.boots_bios || platform == k_platform_x86;
    volume.boots_uefi = volume.boots_uefi || platform == k_platform_efi;
}

// Validation entry, default entry, then sections: a header and its entries, 32 bytes each.
void read_boot_catalogue(std::span<const std::byte> catalogue, IsoVolume& volume) {
    constexpr size_t k_entry = 32;
    constexpr uint8_t k_validation = 1, k_more_sections = 0x90, k_last_section = 0x91;
    if (byte_at(catalogue, 0) != k_validation || byte_at(catalogue, 30) != 0x55 || byte_at(catalogue, 31) != 0xaa) {
        return;
    }
    if (byte_at(catalogue, k_entry) == k_bootable) {
        note_platform(byte_at(catalogue, 1), volume);
    }
    uint8_t platform = 0;
    for (size_t at = 2 * k_entry; at + k_entry <= catalogue.size(); at += k_entry) {
        const uint8_t kind = byte_at(catalogue, at);
        if (kind == k_more_sections || kind == k_last_section) {
            platform = byte_at(catalogue, at + 1);
        } else if (kind == k_bootable) {
            note_platform(platform, volume);
        }
    }
}

void read_boot_record(const ByteSource& source, const Sector& sector, IsoVolume& volume) {
    constexpr std::string_view k_el_torito = "EL TORITO SPECIFICATION";
    if (std::memcmp(&sector[7], k_el_torito.data(), k_el_torito.size()) != 0) {
        return;
    }
    Sector catalogue;
    if (source.read(uint64_t{load_le<uint32_t>(&sector[0x47])} * k_sector, catalogue)) {
        read_boot_catalogue(catalogue, volume);
    }
}

// --- directories -------------------------------------------------------------------------------------------------

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// How ISO 9660 proper stores a name: no version, no dot at the end.
std::string plain_name(std::span<const std::byte> identifier) {
    std::string name = printable(identifier);
    name = name.substr(0, name.find(';'));
    while (!name.empty() && name.back() == '.') {
        name.pop_back();
    }
    return lower(name);
}

// The alternate name of a Rock Ridge "NM" entry in the system use area (P1282, 4.1.4); empty if there is none.
std::string rock_ridge_name(std::span<const std::byte> area) {
    constexpr size_t k_header = 4, k_name_header = 5;
    std::string name;
    while (area.size() >= k_header) {
        const size_t length = byte_at(area, 2);
        if (length < k_header || length > area.size()) {
            break;
        }
        if (byte_at(area, 0) == 'N' && byte_at(area, 1) == 'M' && length > k_name_header) {
            name += printable(area.subspan(k_name_header, length - k_name_header));
        }
        area = area.subspan(length);
    }
    return lower(name);
}

bool names_match(const std::string& wanted, std::span<const std::byte> record) {
    constexpr size_t k_fixed = 33;
    const size_t name_length = byte_at(record, 32);
    if (k_fixed + name_length > record.size()) {
        return false;
    }
    const size_t area_start = align_up(k_fixed + name_length, 2);
    if (area_start < record.size() && rock_ridge_name(record.subspan(area_start)) == wanted) {
        return true;
    }
    std::string mangled = wanted;
    if (!mangled.empty() && mangled.front() == '.') {
        mangled.front() = '_';
    }
    const std::string plain = plain_name(record.subspan(k_fixed, name_length));
    return plain == wanted || plain == mangled;
}

std::optional<IsoExtent> find_in_directory(const ByteSource& source, const IsoExtent& directory,
                                           const std::string& name) {
    constexpr size_t k_shortest_record = 34;
    const size_t size = std::min<size_t>(directory.size, k_most_directory_bytes);
    const auto content = source.read_block(directory.offset, size);
    if (!content) {
        return std::nullopt;
    }
    const std::span<const std::byte> bytes(*content);
    for (size_t at = 0; at + k_shortest_record <= bytes.size();) {
        const size_t length = byte_at(bytes, at);
        if (length == 0) {  // records do not cross sectors: the rest of this one is unused
            at = align_down(at, k_sector) + k_sector;
            continue;
        }
        if (length < k_shortest_record || length > bytes.size() - at) {
            return std::nullopt;
        }
        const std::span record = bytes.subspan(at, length);
        if (names_match(name, record)) {
            return extent_of(record);
        }
        at += length;
    }
    return std::nullopt;
}

}  // namespace

std::optional<IsoVolume> read_iso_volume(const ByteSource& source) {
    IsoVolume volume;
    bool found = false;
    for (unsigned i = 0; i < k_most_descriptors; ++i) {
        Sector sector;
        if (!source.read((k_first_descriptor + i) * k_sector, sector) || std::memcmp(&sector[1], "CD001", 5) != 0) {
            break;
        }
        const auto type = std::to_integer<uint8_t>(sector[0]);
        if (type == k_terminator) {
            break;
        }
        if (type == k_primary && !found) {
            read_primary(sector, volume);
            found = true;
        } else if (type == k_boot_record) {
            read_boot_record(source, sector, volume);
        }
    }
    return found ? std::optional(volume) : std::nullopt;
}

std::optional<IsoExtent> find_in_iso(const ByteSource& source, const IsoVolume& volume, std::string_view path) {
    IsoExtent here = volume.root;
    here.is_directory = true;
    for (unsigned part = 0; part < k_most_path_parts && !path.empty(); ++part) {
        if (!here.is_directory) {
            return std::nullopt;
        }
        const size_t slash = std::min(path.find('/'), path.size());
        const auto next = find_in_directory(source, here, lower(path.substr(0, slash)));
        if (!next) {
            return std::nullopt;
        }
        here = *next;
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return path.empty() ? std::optional(here) : std::nullopt;
}

std::string read_iso_text(const ByteSource& source, const IsoExtent& file, size_t limit) {
    const auto content = source.read_block(file.offset, std::min<size_t>(file.size, limit));
    std::string text;
    if (content) {
        for (const std::byte value : *content) {
            const auto c = std::to_integer<uint8_t>(value);
            text.push_back((c >= 0x20 && c < 0x7f) || c == '\n' ? static_cast<char>(c) : '?');
        }
    }
    return text;
}

}  // namespace skep
