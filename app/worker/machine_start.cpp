// SPDX-License-Identifier: GPL-3.0-or-later
// MachineAssembly: firmware and its files, or a kernel without firmware.
#include <algorithm>

#include "app/worker/boot_screen.hpp"
#include "app/worker/machine_assembly.hpp"
#include "app/worker/pci_resources.hpp"
#include "app/worker/seat_devices.hpp"
#include "app/worker/variable_file.hpp"
#include "devices/board/cfi_flash.hpp"
#include "devices/board/fw_cfg.hpp"
#include "vmm/base/log.hpp"
#include "vmm/boot/direct_boot.hpp"
#include "vmm/boot/linux_loader.hpp"
#include "vmm/boot/multiboot.hpp"

namespace skep {

Status MachineAssembly::load_rom() {
    if (m_spec.firmware == Firmware::bios) {
        auto image = load_firmware({});
        return image ? add_rom(*image) : tl::unexpected(image.error());
    }
    if (m_spec.firmware == Firmware::uefi) {
        auto firmware = load_uefi(m_spec.secure_boot ? SecureBoot::enrolled : SecureBoot::none);
        if (!firmware) {
            return tl::unexpected(firmware.error());
        }
        m_uefi = std::move(*firmware);
        return add_rom(m_uefi->code);
    }
    return {};
}

Status MachineAssembly::add_rom(const FirmwareImage& image) {
    GuestMemory& memory = m_built.machine->memory();
    std::byte* rom = memory.add_rom(image.bytes);
    if (rom == nullptr) {
        return fail(ErrorKind::no_space, "There is no memory left on this host for the firmware {}.", image.path);
    }
    memory.map({image.address(), image.bytes.size(), rom, false});
    m_shadow = {rom + (image.bytes.size() - image.shadow_bytes()), image.shadow_bytes()};
    return {};
}

// The variables of a machine with Secure Boot are others: switching it does not lose either.
Status MachineAssembly::add_flash() {
    if (!m_uefi) {
        return {};
    }
    std::vector<std::byte> content = m_uefi->variables;
    std::unique_ptr<VariableFile> store;
    if (!m_inputs.folder.empty()) {
        const std::filesystem::path file =
            m_inputs.folder / (m_spec.secure_boot ? "uefi-variables-secure.fd" : "uefi-variables.fd");
        auto variables = load_variables(file, m_uefi->variables);
        if (!variables) {
            return tl::unexpected(variables.error());
        }
        auto opened = VariableFile::open(file);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        content = std::move(*variables);
        store = std::move(*opened);
    }
    auto array = m_built.machine->memory().add_device_memory(content.size());
    if (!array) {
        return tl::unexpected(array.error());
    }
    std::ranges::copy(content, array->begin());
    m_built.machine->add_device(
        std::make_unique<CfiFlash>(*m_context, m_uefi->variables_address(), *array, std::move(store)));
    return {};
}

void MachineAssembly::give_firmware_its_files() {
    FirmwareOptions options;
    options.text = m_spec.display == DisplayKind::none ? FirmwareOptions::Text::serial : FirmwareOptions::Text::screen;
    for (const std::string& id : m_spec.effective_boot_order()) {
        if (const auto found = m_boot_devices.find(id); found != m_boot_devices.end()) {
            options.boot_order.push_back(found->second);
        }
    }
    auto fw_cfg = std::make_unique<FwCfg>(*m_context);
    FirmwareConfig config = firmware_config(m_platform, options);
    for (auto& [key, content] : config.items) {
        fw_cfg->set_item(key, std::move(content));
    }
    for (auto& [name, content] : config.files) {
        if (!fw_cfg->set_file(name, std::move(content))) {
            log_error("fw_cfg has no room for {}", name);
        }
    }
    m_built.machine->add_device(std::move(fw_cfg));
}

Status MachineAssembly::set_up_direct_boot() {
    auto kernel = host_path(m_spec.kernel);
    auto initrd = m_spec.initrd.empty() ? Result<std::string>(std::string()) : host_path(m_spec.initrd);
    if (!kernel || !initrd) {
        return tl::unexpected(kernel ? initrd.error() : kernel.error());
    }
    MultibootFiles multiboot{.kernel = *kernel, .command_line = m_spec.append, .modules = {}};
    for (const ModuleSpec& module : m_spec.modules) {
        auto path = host_path(module.file);
        if (!path) {
            return tl::unexpected(path.error());
        }
        multiboot.modules.push_back({*path, module.arguments});
    }
    LinuxFiles linux{.kernel = *kernel, .initrd = *initrd, .command_line = m_spec.append, .screen = {}};
    IoSpace& ports = m_built.machine->ports();
    const bool has_display = m_spec.display != DisplayKind::none;
    m_built.machine->set_boot_load([=, &ports, platform = m_platform, bus = m_bus, kind = m_spec.firmware](
                                       GuestMemory& memory, CpuState& state) mutable -> Status {
        for (const PortWrite& write : direct_boot_chipset_setup(platform)) {
            ports.write(write.port, write.size, write.value);
        }
        assign_pci_resources(*bus);
        if (has_display) {
            linux.screen = set_boot_mode(ports, *bus, k_display_address);
        }
        auto rsdp = place_direct_boot_tables(memory, platform);
        if (!rsdp) {
            return tl::unexpected(rsdp.error());
        }
        auto loaded = kind == Firmware::linux_kernel ? load_linux(memory, platform, linux, *rsdp, state)
                                                     : load_multiboot(memory, platform, multiboot, state);
        if (!loaded) {
            return tl::unexpected(loaded.error());
        }
        state = *loaded;
        return {};
    });
    return {};
}

Status MachineAssembly::set_up_boot() {
    if (boots_from_drives(m_spec.firmware)) {
        give_firmware_its_files();
        return {};
    }
    return set_up_direct_boot();
}

}  // namespace skep
