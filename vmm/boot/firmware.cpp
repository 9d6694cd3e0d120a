// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/firmware.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <filesystem>

#include "vmm/boot/acpi_tables.hpp"
#include "vmm/boot/boot_file.hpp"
#include "vmm/boot/byte_writer.hpp"
#include "vmm/boot/e820.hpp"
#include "vmm/boot/smbios.hpp"

namespace skep {
namespace {

constexpr const char* k_search_path[] = {
    "/usr/share/seabios/bios-256k.bin",   // Debian, Ubuntu, Fedora
    "/usr/share/qemu/bios-256k.bin",      // Arch, openSUSE
    "/usr/share/qemu-kvm/bios-256k.bin",  // RHEL family
    "/usr/local/share/qemu/bios-256k.bin",
};

constexpr size_t k_largest_option_rom = 256 << 10;
constexpr size_t k_granule = 64 << 10;
constexpr size_t k_largest = 16 << 20;  // 0xff000000 up to 4 GiB is the chipset's firmware window

Status check_image(const std::string& path, std::span<const std::byte> image) {
    if (image.size() % k_granule != 0) {
        return fail(
            ErrorKind::invalid_input,
            "The firmware '{}' has {} bytes, which is not a multiple of 64 KiB: it is truncated or no PC firmware.",
            path, image.size());
    }
    // The processor starts 16 bytes before the end: erased flash there is no program.
    const std::span vector = image.last(16);
    const bool erased = std::all_of(vector.begin(), vector.end(), [&](std::byte value) {
        return value == vector.front() && (value == std::byte{0} || value == std::byte{0xff});
    });
    if (erased) {
        return fail(
            ErrorKind::invalid_input,
            "The firmware '{}' has no code at its end, where a PC starts: choose a BIOS image such as bios-256k.bin.",
            path);
    }
    return {};
}

// Keys of numbered items.
constexpr uint16_t k_no_graphics = 0x04, k_cpus = 0x05, k_boot_menu = 0x0e, k_max_cpus = 0x0f;

std::vector<std::byte> little_endian(uint64_t value, unsigned size) {
    ByteWriter out;
    for (unsigned i = 0; i < size; ++i) {
        out.u8(value >> (8 * i));
    }
    return out.take();
}

std::vector<std::byte> boot_order_lines(const std::vector<BootDevice>& order) {
    ByteWriter lines;
    for (const BootDevice& device : order) {
        lines.text(boot_path(device)).text("\n");
    }
    return lines.u8(0).take();
}

}  // namespace

std::span<const char* const> firmware_search_path() {
    return k_search_path;
}

Result<FirmwareImage> load_firmware(const std::string& path) {
    std::string chosen = path;
    if (chosen.empty()) {
        const auto found = std::find_if(std::begin(k_search_path), std::end(k_search_path),
                                        [](const char* candidate) { return access(candidate, F_OK) == 0; });
        if (found == std::end(k_search_path)) {
            return fail(ErrorKind::not_found,
                        "No BIOS was found at {} or the other usual places: install the package 'seabios'.",
                        k_search_path[0]);
        }
        chosen = *found;
    }
    Result<LargeBuffer> image = read_boot_file("firmware", chosen, k_largest);
    if (!image) {
        return tl::unexpected(image.error());
    }
    if (const Status fine = check_image(chosen, *image); !fine) {
        return tl::unexpected(fine.error());
    }
    return FirmwareImage{std::move(chosen), {image->begin(), image->end()}};
}

Result<std::vector<std::byte>> load_option_rom(const std::string& file_name) {
    for (const char* bios : k_search_path) {
        const std::string path = std::filesystem::path(bios).replace_filename(file_name).string();
        if (access(path.c_str(), F_OK) != 0) {
            continue;
        }
        Result<LargeBuffer> image = read_boot_file("option ROM", path, k_largest_option_rom);
        // PCI 3.0, 6.3.1: the image begins with 55h aah.
        if (image && (image->size() < 3 || (*image)[0] != std::byte{0x55} || (*image)[1] != std::byte{0xaa})) {
            return fail(ErrorKind::invalid_input, "The file '{}' is no option ROM: install the package 'seabios' again.", path);
        }
        if (!image) {
            return tl::unexpected(image.error());
        }
        std::vector<std::byte> padded(image->begin(), image->end());
        padded.resize(std::bit_ceil(padded.size()));
        return padded;
    }
    return fail(ErrorKind::not_found, "No {} was found beside {} or in the other usual places: install the package 'seabios'.",
                file_name, k_search_path[0]);
}

std::string boot_path(const BootDevice& device) {
    const std::string function = device.function == 0 ? "" : fmt::format(",{:x}", device.function);
    // SeaBIOS goes by the place alone; OVMF by these very names (edk2, QemuBootOrderLib), whatever the controller's real ids.
    const auto path = [&](const char* controller, const std::string& unit) {
        return fmt::format("/pci@i0cf8/{}@{:x}{}/{}", controller, device.slot, function, unit);
    };
    switch (device.kind) {
        case BootDevice::Kind::ahci:
            return path("pci8086,2922", fmt::format("drive@{:x}/disk@0", device.port));
        case BootDevice::Kind::virtio_block:
            return path("scsi", "disk@0,0");
        case BootDevice::Kind::usb_storage:
            return path("usb", fmt::format("storage@{:x}/channel@0/disk@0,0", device.port));
        case BootDevice::Kind::nvme:
            return path("pci8086,5845", "namespace@1,0");
        case BootDevice::Kind::network:
            return path("ethernet", "ethernet-phy@0");
    }
    return {};
}

FirmwareConfig firmware_config(const PlatformDescription& platform, const FirmwareOptions& options) {
    FirmwareConfig config;
    const bool serial = options.text == FirmwareOptions::Text::serial;
    config.items.emplace_back(k_no_graphics, little_endian(serial ? 1 : 0, 2));
    config.items.emplace_back(k_cpus, little_endian(platform.cpu_count, 2));
    config.items.emplace_back(k_max_cpus, little_endian(platform.cpu_count, 2));
    config.items.emplace_back(k_boot_menu, little_endian(options.menu == FirmwareOptions::Menu::ask ? 1 : 0, 2));

    config.files.emplace_back("etc/e820", e820_bytes(firmware_memory_map(platform)));
    config.files.emplace_back("bootorder", boot_order_lines(options.boot_order));
    config.files.emplace_back("etc/boot-fail-wait", little_endian(static_cast<uint32_t>(options.boot_fail_wait_ms), 4));
    // Sleep states: S5 there (0x80), S3 and S4 not.
    constexpr uint64_t k_system_states = 0x80'02'01'00'00'80;
    config.files.emplace_back("etc/system-states", little_endian(k_system_states, 6));

    acpi::Tables tables = acpi::build_tables(platform);
    config.files.emplace_back("etc/table-loader", acpi::table_loader_script(tables));
    config.files.emplace_back("etc/acpi/rsdp", std::move(tables.rsdp));
    config.files.emplace_back("etc/acpi/tables", std::move(tables.tables));

    Smbios smbios = build_smbios(platform);
    config.files.emplace_back("etc/smbios/smbios-anchor", smbios_anchor_3(smbios, 0));
    config.files.emplace_back("etc/smbios/smbios-tables", std::move(smbios.tables));
    return config;
}

}  // namespace skep
