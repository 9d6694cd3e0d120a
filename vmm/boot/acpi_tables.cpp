// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/acpi_tables.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "vmm/base/bits.hpp"
#include "vmm/boot/dsdt.hpp"

namespace skep::acpi {
namespace {

constexpr std::string_view k_oem_id = "SKEP  ";
constexpr std::string_view k_oem_table_id = "SKEPPC  ";
constexpr uint32_t k_checksum_in_header = 9;
constexpr unsigned k_last_xapic_id = 254;

// MADT interrupt flags (5.2.12.5): polarity bits 0-1, trigger bits 2-3.
constexpr uint16_t k_as_the_bus = 0;
constexpr uint16_t k_level_active_high = 0xd;
constexpr uint8_t k_all_processors = 0xff;
constexpr uint32_t k_all_processors_x2 = 0xffff'ffff;

// FADT flags (5.2.9, table 5.10) and IA-PC boot flags (table 5.11).
constexpr uint32_t k_wbinvd = bit(0), k_proc_c1 = bit(2), k_no_sleep_button = bit(5), k_no_rtc_fixed_event = bit(6);
constexpr uint32_t k_reset_register = bit(10), k_use_platform_clock = bit(15), k_physical_destination = bit(19);
constexpr uint16_t k_legacy_devices = bit(0), k_has_8042 = bit(1), k_no_vga = bit(2);

// One table while it is being written at the end of the blob; done() enters its length and checksum.
class Table {
  public:
    Table(Tables& all, std::string_view signature, uint8_t revision, uint32_t alignment = 16) : m_all(all) {
        m_all.tables.resize(align_up(m_all.tables.size(), alignment));
        m_start = static_cast<uint32_t>(m_all.tables.size());
        text(signature).u32(0).u8(revision).u8(0).text(k_oem_id).text(k_oem_table_id).u32(1).text("SKEP").u32(1);
    }
    Table& u8(uint64_t value) { return put(value, 1); }
    Table& u16(uint64_t value) { return put(value, 2); }
    Table& u32(uint64_t value) { return put(value, 4); }
    Table& u64(uint64_t value) { return put(value, 8); }
    Table& zeros(size_t count) {
        m_all.tables.resize(m_all.tables.size() + count);
        return *this;
    }
    Table& text(std::string_view value) {
        for (const char c : value) {
            u8(static_cast<uint8_t>(c));
        }
        return *this;
    }
    Table& bytes(const std::vector<std::byte>& value) {
        m_all.tables.insert(m_all.tables.end(), value.begin(), value.end());
        return *this;
    }
    // A field that points at another table of the blob.
    Table& pointer(uint32_t target, uint8_t size) {
        m_all.pointers.push_back({Blob::tables, static_cast<uint32_t>(m_all.tables.size()), size});
        return put(target, size);
    }
    // Generic address structure (5.2.3.2) of a port; width in bits.
    Table& port(uint16_t address, uint8_t width, uint8_t access) {
        return u8(1).u8(width).u8(0).u8(access).u64(address);
    }
    uint32_t done() {
        const auto length = static_cast<uint32_t>(m_all.tables.size() - m_start);
        store_le(&m_all.tables[m_start + 4], length);
        m_all.checksums.push_back({Blob::tables, m_start + k_checksum_in_header, m_start, length});
        return m_start;
    }

  private:
    Table& put(uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) {
            m_all.tables.push_back(static_cast<std::byte>(value >> (8 * i)));
        }
        return *this;
    }

    Tables& m_all;
    uint32_t m_start = 0;
};

// 5.2.10. Has no checksum and no ordinary header.
uint32_t add_facs(Tables& all) {
    constexpr uint32_t k_facs_bytes = 64;
    all.tables.resize(align_up(all.tables.size(), k_tables_alignment));
    const auto start = static_cast<uint32_t>(all.tables.size());
    all.tables.resize(start + k_facs_bytes);
    std::memcpy(&all.tables[start], "FACS", 4);
    store_le(&all.tables[start + 4], k_facs_bytes);
    all.tables[start + 32] = std::byte{2};  // version
    return start;
}

uint32_t fadt_flags(const PlatformDescription& platform) {
    constexpr unsigned k_flat_logical_limit = 8;  // the flat logical destination has one bit a processor
    const uint32_t many = platform.cpu_count > k_flat_logical_limit ? k_physical_destination : 0;
    // The power button is a fixed one: its flag stays 0. The PM timer counts 24 bits.
    return k_wbinvd | k_proc_c1 | k_no_sleep_button | k_no_rtc_fixed_event | k_reset_register | k_use_platform_clock |
           many;
}

// 5.2.9, revision 6 (276 bytes).
uint32_t add_fadt(Tables& all, const PlatformDescription& platform, uint32_t facs, uint32_t dsdt) {
    constexpr uint16_t k_smi_command = 0xb2;
    constexpr uint8_t k_acpi_enable = 2, k_acpi_disable = 3;
    constexpr uint16_t k_no_c2 = 0xfff, k_no_c3 = 0xfff;
    constexpr uint8_t k_rtc_century = 0x32;
    constexpr uint16_t k_reset_port = 0xcf9;
    constexpr uint8_t k_reset_value = 6, k_gpe0_bytes = 16, k_minor_revision = 0;
    const uint16_t pm1_event = platform.pm_base, pm1_control = platform.pm_base + 4;
    const uint16_t timer = platform.pm_base + 8, gpe0 = platform.pm_base + 0x20;
    const auto boot_flags = static_cast<uint16_t>(k_legacy_devices | (platform.has_i8042 ? k_has_8042 : 0) |
                                                  (platform.has_vga ? 0 : k_no_vga));
    Table table(all, "FACP", 6);
    table.pointer(facs, 4).pointer(dsdt, 4).u8(0).u8(0).u16(platform.sci_irq);
    table.u32(k_smi_command).u8(k_acpi_enable).u8(k_acpi_disable).u8(0).u8(0);
    table.u32(pm1_event).u32(0).u32(pm1_control).u32(0).u32(0).u32(timer).u32(gpe0).u32(0);
    table.u8(4).u8(2).u8(0).u8(4).u8(k_gpe0_bytes).u8(0).u8(0).u8(0);
    table.u16(k_no_c2).u16(k_no_c3).u16(0).u16(0).u8(0).u8(0).u8(0).u8(0).u8(k_rtc_century);
    table.u16(boot_flags).u8(0).u32(fadt_flags(platform));
    table.port(k_reset_port, 8, 1).u8(k_reset_value).u16(0).u8(k_minor_revision);
    table.u64(0).pointer(dsdt, 8);  // X_FIRMWARE_CTRL stays 0: the FACS lies below 4 GiB
    table.port(pm1_event, 32, 2).zeros(12).port(pm1_control, 16, 2).zeros(12).zeros(12);
    table.port(timer, 32, 3).port(gpe0, k_gpe0_bytes * 8, 1).zeros(12);
    table.zeros(12).zeros(12).zeros(8);  // sleep control and status, hypervisor vendor identity
    return table.done();
}

void add_processors(Table& table, unsigned count) {
    constexpr uint32_t k_enabled = 1;
    for (unsigned id = 0; id < count; ++id) {
        if (id <= k_last_xapic_id) {
            table.u8(0).u8(8).u8(id).u8(id).u32(k_enabled);
        } else {
            table.u8(9).u8(16).u16(0).u32(id).u32(k_enabled).u32(id);
        }
    }
}

// 5.2.12
uint32_t add_madt(Tables& all, const PlatformDescription& platform) {
    constexpr uint32_t k_pcat_compatible = 1;
    constexpr uint8_t k_nmi_pin = 1;  // LINT1
    Table table(all, "APIC", 5);
    table.u32(k_local_apic_base).u32(k_pcat_compatible);
    add_processors(table, platform.cpu_count);
    table.u8(1).u8(12).u8(platform.io_apic_id).u8(0).u32(k_io_apic_base).u32(0);
    table.u8(2).u8(10).u8(0).u8(0).u32(2).u16(k_as_the_bus);  // the 8254 is wired to input 2
    table.u8(2).u8(10).u8(0).u8(platform.sci_irq).u32(platform.sci_irq).u16(k_level_active_high);
    table.u8(4).u8(6).u8(k_all_processors).u16(k_as_the_bus).u8(k_nmi_pin);
    if (platform.cpu_count > k_last_xapic_id + 1) {
        table.u8(10).u8(12).u16(k_as_the_bus).u32(k_all_processors_x2).u8(k_nmi_pin).zeros(3);
    }
    return table.done();
}

// IA-PC HPET specification 1.0a, 3.2.4
uint32_t add_hpet(Tables& all) {
    constexpr uint32_t k_block_id = 0x8086'a201;  // Intel, legacy replacement, 64-bit, 3 comparators, revision 1
    constexpr uint16_t k_minimum_tick = 0x80;
    Table table(all, "HPET", 1);
    table.u32(k_block_id).u8(0).u8(64).u8(0).u8(0).u64(k_hpet_base).u8(0).u16(k_minimum_tick).u8(0);
    return table.done();
}

// PCI Firmware specification 3.2, 4.1.2
uint32_t add_mcfg(Tables& all, const PlatformDescription& platform) {
    Table table(all, "MCFG", 1);
    table.u64(0).u64(platform.ecam_base).u16(0).u8(0).u8(255).u32(0);
    return table.done();
}

// "Windows ACPI Emulated Devices Table": one read of the PM timer is enough.
uint32_t add_waet(Tables& all) {
    constexpr uint32_t k_pm_timer_good = 2;
    Table table(all, "WAET", 1);
    table.u32(k_pm_timer_good);
    return table.done();
}

uint32_t add_root(Tables& all, std::string_view signature, const std::vector<uint32_t>& entries, uint8_t entry_size) {
    Table table(all, signature, 1);
    for (const uint32_t entry : entries) {
        table.pointer(entry, entry_size);
    }
    return table.done();
}

// 5.2.5.3
void add_rsdp(Tables& all, uint32_t rsdt, uint32_t xsdt) {
    constexpr uint32_t k_rsdp_bytes = 36, k_revision_1_bytes = 20;
    all.rsdp.assign(k_rsdp_bytes, std::byte{0});
    std::memcpy(&all.rsdp[0], "RSD PTR ", 8);
    std::memcpy(&all.rsdp[9], k_oem_id.data(), k_oem_id.size());
    all.rsdp[15] = std::byte{2};
    store_le(&all.rsdp[16], rsdt);
    store_le(&all.rsdp[20], k_rsdp_bytes);
    store_le<uint64_t>(&all.rsdp[24], xsdt);
    all.pointers.push_back({Blob::rsdp, 16, 4});
    all.pointers.push_back({Blob::rsdp, 24, 8});
    all.checksums.push_back({Blob::rsdp, 8, 0, k_revision_1_bytes});
    all.checksums.push_back({Blob::rsdp, 32, 0, k_rsdp_bytes});
}

}  // namespace

Tables build_tables(const PlatformDescription& platform) {
    Tables all;
    const uint32_t facs = add_facs(all);
    const uint32_t dsdt = Table(all, "DSDT", 2, k_tables_alignment).bytes(dsdt_code(platform)).done();
    std::vector<uint32_t> entries{add_fadt(all, platform, facs, dsdt), add_madt(all, platform)};
    if (platform.has_hpet) {
        entries.push_back(add_hpet(all));
    }
    entries.push_back(add_mcfg(all, platform));
    entries.push_back(add_waet(all));
    const uint32_t rsdt = add_root(all, "RSDT", entries, 4);
    const uint32_t xsdt = add_root(all, "XSDT", entries, 8);
    add_rsdp(all, rsdt, xsdt);
    return all;
}

Tables relocated(Tables tables, GuestAddress tables_address) {
    const auto blob = [&](Blob which) -> std::vector<std::byte>& {
        return which == Blob::rsdp ? tables.rsdp : tables.tables;
    };
    for (const Pointer& pointer : tables.pointers) {
        std::byte* field = &blob(pointer.where)[pointer.offset];
        if (pointer.size == 4) {
            store_le(field, load_le<uint32_t>(field) + static_cast<uint32_t>(tables_address));
        } else {
            store_le(field, load_le<uint64_t>(field) + tables_address);
        }
    }
    for (const Checksum& checksum : tables.checksums) {
        std::vector<std::byte>& bytes = blob(checksum.where);
        uint8_t sum = 0;
        for (uint32_t i = 0; i < checksum.length; ++i) {
            sum = static_cast<uint8_t>(sum + std::to_integer<uint8_t>(bytes[checksum.start + i]));
        }
        bytes[checksum.offset] = static_cast<std::byte>(std::to_integer<uint8_t>(bytes[checksum.offset]) - sum);
    }
    return tables;
}

}  // namespace skep::acpi
