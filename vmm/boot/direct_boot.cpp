// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/direct_boot.hpp"

#include "vmm/base/bits.hpp"
#include "vmm/boot/acpi_tables.hpp"
#include "vmm/boot/entry_state.hpp"
#include "vmm/boot/mptable.hpp"
#include "vmm/boot/smbios.hpp"

namespace skep {
namespace {

constexpr GuestAddress k_large_tables = 0xe'0000;  // ACPI, SMBIOS and MP tables, whatever is only pointed at
constexpr GuestAddress k_scanned = 0xf'f000;       // what kernels search for on 16-byte boundaries
constexpr GuestAddress k_end = 0x10'0000;

// Hands out a stretch of addresses and copies into it.
class Placer {
  public:
    Placer(GuestMemory& memory, GuestAddress start, GuestAddress end) : m_memory(memory), m_next(start), m_end(end) {}
    [[nodiscard]] GuestAddress next(uint64_t alignment) const { return align_up(m_next, alignment); }
    Status put(const std::vector<std::byte>& bytes, uint64_t alignment) {
        const GuestAddress address = next(alignment);
        if (address > m_end || bytes.size() > m_end - address) {
            return fail(
                ErrorKind::invalid_input,
                "The tables that describe the VM to its kernel do not fit below 1 MiB: give the VM fewer processors.");
        }
        m_next = address + bytes.size();
        return put_into_ram(m_memory, address, bytes.data(), bytes.size());
    }

  private:
    GuestMemory& m_memory;
    GuestAddress m_next;
    GuestAddress m_end;
};

}  // namespace

Result<GuestAddress> place_direct_boot_tables(GuestMemory& memory, const PlatformDescription& platform) {
    Placer large(memory, k_large_tables, k_scanned);
    Placer scanned(memory, k_scanned, k_end);
    const GuestAddress rsdp = k_scanned;

    const acpi::Tables acpi_tables =
        acpi::relocated(acpi::build_tables(platform), large.next(acpi::k_tables_alignment));
    const Smbios smbios = build_smbios(platform);
    Status done = scanned.put(acpi_tables.rsdp, acpi::k_rsdp_alignment);
    const auto then = [&](Placer& placer, const std::vector<std::byte>& bytes, uint64_t alignment) {
        if (done) {
            done = placer.put(bytes, alignment);
        }
    };
    then(large, acpi_tables.tables, acpi::k_tables_alignment);
    const auto smbios_address = static_cast<uint32_t>(large.next(16));
    then(large, smbios.tables, 16);
    then(scanned, smbios_anchor_3(smbios, smbios_address), 16);
    then(scanned, smbios_anchor_2(smbios, smbios_address), 16);
    const auto mp_address = static_cast<uint32_t>(large.next(16));
    then(large, build_mp_table(platform), 16);
    then(scanned, mp_floating_pointer(mp_address), 16);
    if (!done) {
        return tl::unexpected(done.error());
    }
    return rsdp;
}

std::vector<PortWrite> direct_boot_chipset_setup(const PlatformDescription& platform) {
    constexpr uint16_t k_config_address = 0xcf8, k_config_data = 0xcfc;
    constexpr uint32_t k_enable = 0x8000'0000;
    constexpr uint32_t k_host_bridge = 0, k_lpc_bridge = (0x1f << 11);
    std::vector<PortWrite> writes;
    const auto config = [&](uint32_t function, uint32_t offset, uint8_t size, uint32_t value) {
        writes.push_back({k_config_address, 4, k_enable | function | (offset & ~3u)});
        writes.push_back({static_cast<uint16_t>(k_config_data + (offset & 3)), size, value});
    };
    // Host bridge (Intel 3 Series data sheet, 5.1): PAM0-PAM6 at 0x90, PCIEXBAR at 0x60.
    config(k_host_bridge, 0x90, 1, 0x30);
    for (uint32_t pam = 0x91; pam <= 0x96; ++pam) {
        config(k_host_bridge, pam, 1, 0x33);
    }
    config(k_host_bridge, 0x64, 4, static_cast<uint32_t>(platform.ecam_base >> 32));
    config(k_host_bridge, 0x60, 4, static_cast<uint32_t>(platform.ecam_base) | 1);
    // LPC bridge (ICH9 data sheet, 13.1): PMBASE, ACPI_CNTL with the SCI on IRQ 9, PIRQA-H.
    config(k_lpc_bridge, 0x40, 4, platform.pm_base | 1u);
    config(k_lpc_bridge, 0x44, 1, 0x80);
    constexpr uint8_t k_routes[] = {10, 10, 11, 11};
    for (uint32_t line = 0; line < 4; ++line) {
        config(k_lpc_bridge, 0x60 + line, 1, k_routes[line]);
        config(k_lpc_bridge, 0x68 + line, 1, k_routes[line]);
    }
    writes.push_back({0x4d0, 1, 0x00});
    writes.push_back({0x4d1, 1, 0x0c});  // IRQ 10 and 11 are level triggered
    return writes;
}

}  // namespace skep
