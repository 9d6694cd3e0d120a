// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/smbios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>

#include "vmm/boot/byte_writer.hpp"

namespace skep {
namespace {

constexpr const char* k_manufacturer = "Skep";
constexpr const char* k_product = "Skep PC (Q35)";
constexpr uint16_t k_no_handle = 0xfffe;  // "no error information structure" (7.17.4)
constexpr uint64_t k_mib = uint64_t{1} << 20;
constexpr uint64_t k_gib = uint64_t{1} << 30;
constexpr uint64_t k_high_ram_start = 0x1'0000'0000;

// One structure: header, formatted area, strings (6.1).
class Structure {
  public:
    Structure(uint8_t type, uint16_t handle) { m_area.u8(type).u8(0).u16(handle); }
    ByteWriter& area() { return m_area; }
    // A string field: its number, or 0 for an empty one.
    Structure& string(const std::string& text) {
        if (text.empty()) {
            m_area.u8(0);
        } else {
            m_strings.push_back(text);
            m_area.u8(m_strings.size());
        }
        return *this;
    }
    void add_to(Smbios& smbios) {
        m_area.content()[1] = static_cast<std::byte>(m_area.size());
        for (const std::string& text : m_strings) {
            m_area.text(text).u8(0);
        }
        m_area.zeros(m_strings.empty() ? 2 : 1);
        ++smbios.structure_count;
        smbios.largest_structure = std::max(smbios.largest_structure, static_cast<uint16_t>(m_area.size()));
        smbios.tables.insert(smbios.tables.end(), m_area.content().begin(), m_area.content().end());
    }

  private:
    ByteWriter m_area;
    std::vector<std::string> m_strings;
};

// Printable ASCII of at most 64 characters: what every guest's tools show unharmed.
std::string clean(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (out.size() < 64) {
            out.push_back(c >= ' ' && c <= '~' ? c : '?');
        }
    }
    return out;
}

void add_bios(Smbios& smbios, const PlatformDescription& platform) {
    constexpr uint64_t k_pci_and_selectable_boot = (1 << 7) | (1 << 16);  // characteristics (7.1.1)
    constexpr uint8_t k_acpi = 1, k_virtual_machine = 1 << 4;
    Structure bios(0, 0);
    bios.string(k_manufacturer).string(clean(platform.version));
    bios.area().u16(0xe000);
    bios.string("01/01/2024").area().u8(3).u64(k_pci_and_selectable_boot).u8(k_acpi).u8(k_virtual_machine);
    bios.area().u8(0xff).u8(0xff).u8(0xff).u8(0xff).u16(0);
    bios.add_to(smbios);
}

void add_system(Smbios& smbios, const PlatformDescription& platform) {
    constexpr uint8_t k_wake_by_power_switch = 6;
    Structure system(1, 0x100);
    system.string(k_manufacturer).string(k_product).string(clean(platform.version)).string("");
    const std::span uuid(platform.uuid);
    // The first three fields are little-endian (7.2.1).
    constexpr std::array<uint8_t, 16> k_order{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (const uint8_t index : k_order) {
        system.area().u8(uuid[index]);
    }
    system.area().u8(k_wake_by_power_switch);
    system.string("").string("Virtual Machine");
    system.add_to(smbios);
}

void add_board_and_chassis(Smbios& smbios, const PlatformDescription& platform) {
    constexpr uint8_t k_hosting_board = 1, k_motherboard = 0x0a, k_other_chassis = 1, k_safe = 3, k_no_security = 3;
    Structure board(2, 0x200);
    board.string(k_manufacturer).string(k_product).string(clean(platform.version)).string("").string("");
    board.area().u8(k_hosting_board);
    board.string("").area().u16(0x300).u8(k_motherboard).u8(0);
    board.add_to(smbios);

    Structure chassis(3, 0x300);
    chassis.string(k_manufacturer).area().u8(k_other_chassis);
    chassis.string(clean(platform.version)).string("").string(clean(platform.name));
    chassis.area().u8(k_safe).u8(k_safe).u8(k_safe).u8(k_no_security).u32(0).u8(0).u8(0).u8(0).u8(0);
    chassis.string("");
    chassis.add_to(smbios);
}

void add_processor(Smbios& smbios, unsigned index) {
    constexpr uint8_t k_central = 3, k_family_other = 1, k_populated_enabled = 0x41, k_upgrade_other = 1;
    constexpr uint16_t k_64_bit_capable = 1 << 2;
    constexpr uint16_t k_unknown_cache = 0xffff;
    Structure cpu(4, static_cast<uint16_t>(0x400 + index));
    cpu.string(fmt::format("CPU {}", index)).area().u8(k_central).u8(k_family_other);
    cpu.string(k_manufacturer).area().u64(0);
    cpu.string("").area().u8(0).u16(0).u16(0).u16(0).u8(k_populated_enabled).u8(k_upgrade_other);
    cpu.area().u16(k_unknown_cache).u16(k_unknown_cache).u16(k_unknown_cache);
    cpu.string("").string("").string("");
    cpu.area().u8(1).u8(1).u8(1).u16(k_64_bit_capable).u16(k_family_other).u16(1).u16(1).u16(1);
    cpu.add_to(smbios);
}

void add_memory_range(Smbios& smbios, uint16_t handle, uint64_t start, uint64_t size) {
    constexpr uint64_t k_kib_limit = uint64_t{0xffff'ffff} << 10;  // beyond it the extended fields are used (7.20)
    const bool extended = start + size > k_kib_limit;
    Structure range(19, handle);
    range.area().u32(extended ? 0xffff'ffff : start >> 10).u32(extended ? 0xffff'ffff : ((start + size) >> 10) - 1);
    range.area().u16(0x1000).u8(1).u64(extended ? start : 0).u64(extended ? start + size - 1 : 0);
    range.add_to(smbios);
}

void add_memory(Smbios& smbios, const PlatformDescription& platform) {
    constexpr uint8_t k_on_motherboard = 3, k_system_memory = 3, k_no_error_correction = 3;
    constexpr uint8_t k_dimm = 9, k_type_ram = 7;
    constexpr uint16_t k_other_detail = 2, k_unknown_width = 0xffff, k_see_extended_size = 0x7fff;
    const uint64_t total = platform.low_ram_bytes + platform.high_ram_bytes;
    const bool small = total < uint64_t{2048} * k_gib;
    Structure array(16, 0x1000);
    array.area().u8(k_on_motherboard).u8(k_system_memory).u8(k_no_error_correction);
    array.area().u32(small ? total >> 10 : 0x8000'0000).u16(k_no_handle).u16(1).u64(small ? 0 : total);
    array.add_to(smbios);

    const uint64_t mib = total / k_mib;
    Structure module(17, 0x1100);
    module.area().u16(0x1000).u16(k_no_handle).u16(k_unknown_width).u16(k_unknown_width);
    module.area().u16(mib < k_see_extended_size ? mib : k_see_extended_size).u8(k_dimm).u8(0);
    module.string("DIMM 0").string("").area().u8(k_type_ram).u16(k_other_detail).u16(0);
    module.string(k_manufacturer).string("").string("").string("");
    module.area().u8(0).u32(mib < k_see_extended_size ? 0 : mib).u16(0).u16(0).u16(0).u16(0);
    module.add_to(smbios);

    add_memory_range(smbios, 0x1300, 0, platform.low_ram_bytes);
    if (platform.high_ram_bytes != 0) {
        add_memory_range(smbios, 0x1301, k_high_ram_start, platform.high_ram_bytes);
    }
}

}  // namespace

Smbios build_smbios(const PlatformDescription& platform) {
    constexpr unsigned k_most_sockets = 0x400;  // handles 0x400..0x7ff
    Smbios smbios;
    add_bios(smbios, platform);
    add_system(smbios, platform);
    add_board_and_chassis(smbios, platform);
    for (unsigned index = 0; index < std::min(platform.cpu_count, k_most_sockets); ++index) {
        add_processor(smbios, index);
    }
    add_memory(smbios, platform);
    Structure boot_status(32, 0x2000);
    boot_status.area().zeros(6).u8(0);  // no errors detected
    boot_status.add_to(smbios);
    Structure(127, 0x7f00).add_to(smbios);
    return smbios;
}

std::vector<std::byte> smbios_anchor_3(const Smbios& smbios, uint64_t tables_address) {
    ByteWriter anchor;
    anchor.text("_SM3_").u8(0).u8(24).u8(3).u8(0).u8(0).u8(1).u8(0);
    anchor.u32(smbios.tables.size()).u64(tables_address);
    anchor.content()[5] = zero_sum(anchor.content());
    return anchor.take();
}

std::vector<std::byte> smbios_anchor_2(const Smbios& smbios, uint32_t tables_address) {
    constexpr size_t k_intermediate = 16, k_intermediate_checksum = 21;
    ByteWriter anchor;
    anchor.text("_SM_").u8(0).u8(31).u8(2).u8(8).u16(smbios.largest_structure).u8(0).zeros(5);
    anchor.text("_DMI_").u8(0).u16(std::min<size_t>(smbios.tables.size(), 0xffff)).u32(tables_address);
    anchor.u16(smbios.structure_count).u8(0x28);
    anchor.content()[k_intermediate_checksum] = zero_sum(std::span(anchor.content()).subspan(k_intermediate));
    anchor.content()[4] = zero_sum(anchor.content());
    return anchor.take();
}

}  // namespace skep
