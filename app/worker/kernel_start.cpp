// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/kernel_start.hpp"

#include <array>
#include <span>

#include "app/worker/boot_screen.hpp"
#include "app/worker/pci_resources.hpp"
#include "app/worker/seat_devices.hpp"
#include "devices/pci/pci_bus.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/boot/boot_file.hpp"
#include "vmm/boot/direct_boot.hpp"
#include "vmm/boot/linux_loader.hpp"

namespace skep {
namespace {

// QEMU's fw_cfg specification, keys of a kernel to start; sizes are 32-bit little endian.
constexpr uint16_t k_kernel_size = 0x08, k_initrd_size = 0x0b, k_kernel_data = 0x11, k_initrd_data = 0x12;
constexpr uint16_t k_command_line_size = 0x14, k_command_line_data = 0x15, k_setup_size = 0x17, k_setup_data = 0x18;
constexpr std::array k_keys{k_kernel_size, k_initrd_size, k_kernel_data, k_initrd_data,
                            k_command_line_size, k_command_line_data, k_setup_size, k_setup_data};

constexpr uint64_t k_most_kernel_bytes = 256 << 20;
constexpr uint64_t k_most_initrd_bytes = uint64_t{1} << 30;
constexpr size_t k_setup_sectors = 0x1f1;  // in a bzImage's header; 0 means 4 (Documentation/arch/x86/boot.rst)
constexpr size_t k_sector = 512;

void set_sized(FwCfg& fw_cfg, uint16_t size_key, uint16_t data_key, std::span<const std::byte> content) {
    std::vector<std::byte> size(sizeof(uint32_t));
    store_le(size.data(), static_cast<uint32_t>(content.size()));
    fw_cfg.set_item(size_key, std::move(size));
    fw_cfg.set_item(data_key, {content.begin(), content.end()});
}

}  // namespace

void start_by_kernel(Machine& machine, const PlatformDescription& platform, PciBus& bus, Firmware kind,
                     std::span<const std::byte> vga_bios, const KernelFiles& files) {
    const bool has_screen = !vga_bios.empty();
    const bool is_multiboot = kind == Firmware::multiboot;
    const MultibootFiles multiboot{.kernel = files.kernel, .command_line = files.command_line, .modules = files.modules};
    SetMultibootScreen set_screen;
    if (has_screen) {
        set_screen = [&machine, &bus, vga_bios](const std::optional<MultibootVideo>& wish) {
            return set_multiboot_mode(machine, bus, k_display_address, vga::find_font(vga_bios), wish);
        };
    }
    const LinuxFiles linux_files{.kernel = files.kernel, .initrd = files.initrd, .command_line = files.command_line, .screen = {}};
    machine.set_boot_load([=, &ports = machine.ports(), &bus](GuestMemory& memory, CpuState& state) -> Status {
        for (const PortWrite& write : direct_boot_chipset_setup(platform)) {
            ports.write(write.port, write.size, write.value);
        }
        assign_pci_resources(bus);
        LinuxFiles kernel = linux_files;
        if (has_screen && !is_multiboot) {
            kernel.screen = set_boot_mode(ports, bus, k_display_address);
        }
        auto rsdp = place_direct_boot_tables(memory, platform);
        if (!rsdp) {
            return tl::unexpected(rsdp.error());
        }
        auto loaded = is_multiboot ? load_multiboot(memory, platform, multiboot, set_screen, state)
                                   : load_linux(memory, platform, kernel, *rsdp, state);
        if (!loaded) {
            return tl::unexpected(loaded.error());
        }
        state = *loaded;
        return {};
    });
}

Status give_kernel_to_uefi(FwCfg& fw_cfg, const KernelFiles& files) {
    const auto kernel = read_boot_file("kernel", files.kernel, k_most_kernel_bytes);
    if (!kernel) {
        return tl::unexpected(kernel.error());
    }
    const std::span<const std::byte> image(kernel->data(), kernel->size());
    const unsigned sectors = image.size() > k_setup_sectors ? std::to_integer<unsigned>(image[k_setup_sectors]) : 0;
    const size_t setup = ((sectors == 0 ? 4 : sectors) + 1) * k_sector;
    if (setup >= image.size()) {
        return fail(ErrorKind::invalid_input, "'{}' is no Linux kernel: it is too short; choose another file.", files.kernel);
    }
    set_sized(fw_cfg, k_setup_size, k_setup_data, image.first(setup));
    set_sized(fw_cfg, k_kernel_size, k_kernel_data, image.subspan(setup));
    const auto words = std::as_bytes(std::span(files.command_line.c_str(), files.command_line.size() + 1));  // with its NUL
    set_sized(fw_cfg, k_command_line_size, k_command_line_data, words);
    if (!files.initrd.empty()) {
        const auto initrd = read_boot_file("initial RAM disk", files.initrd, k_most_initrd_bytes);
        if (!initrd) {
            return tl::unexpected(initrd.error());
        }
        set_sized(fw_cfg, k_initrd_size, k_initrd_data, {initrd->data(), initrd->size()});
    }
    return {};
}

void take_kernel_from_uefi(FwCfg& fw_cfg) {
    for (const uint16_t key : k_keys) {
        fw_cfg.set_item(key, {});
    }
}

}  // namespace skep
