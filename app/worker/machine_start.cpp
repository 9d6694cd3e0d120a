// SPDX-License-Identifier: GPL-3.0-or-later
// MachineAssembly: firmware and its files, or a kernel without firmware.
#include <algorithm>

#include "app/worker/kernel_start.hpp"
#include "app/worker/machine_assembly.hpp"
#include "app/worker/variable_file.hpp"
#include "devices/board/cfi_flash.hpp"
#include "devices/board/fw_cfg.hpp"
#include "vmm/base/log.hpp"

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

FwCfg& MachineAssembly::give_firmware_its_files() {
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
    FwCfg& device = *fw_cfg;
    m_built.machine->add_device(std::move(fw_cfg));
    return device;
}

Result<KernelFiles> MachineAssembly::kernel_files(const std::string& kernel, const std::string& initrd,
                                                  const std::string& words) const {
    auto kernel_path = host_path(kernel);
    auto initrd_path = initrd.empty() ? Result<std::string>(std::string()) : host_path(initrd);
    if (!kernel_path || !initrd_path) {
        return tl::unexpected(kernel_path ? initrd_path.error() : kernel_path.error());
    }
    return KernelFiles{.kernel = *kernel_path, .initrd = *initrd_path, .command_line = words, .modules = {}};
}

Status MachineAssembly::set_up_direct_boot() {
    auto files = kernel_files(m_spec.kernel, m_spec.initrd, m_spec.append);
    if (!files) {
        return tl::unexpected(files.error());
    }
    for (const ModuleSpec& module : m_spec.modules) {
        auto path = host_path(module.file);
        if (!path) {
            return tl::unexpected(path.error());
        }
        files->modules.push_back({*path, module.arguments});
    }
    start_by_kernel(*m_built.machine, m_platform, *m_bus, m_spec.firmware, m_built.vga_bios, *files);
    return {};
}

// A system that UEFI did not start would not be installed for it, so there it is UEFI that starts the kernel.
Status MachineAssembly::set_up_installer(FwCfg& fw_cfg) {
    auto files = kernel_files(m_spec.install_kernel, m_spec.install_initrd, m_spec.install_append);
    if (!files) {
        return tl::unexpected(files.error());
    }
    if (m_spec.firmware == Firmware::uefi) {
        m_built.forget_installer = [&fw_cfg] { take_kernel_from_uefi(fw_cfg); };
        return give_kernel_to_uefi(fw_cfg, *files);
    }
    start_by_kernel(*m_built.machine, m_platform, *m_bus, Firmware::linux_kernel, m_built.vga_bios, *files);
    m_built.forget_installer = [machine = m_built.machine.get()] { machine->set_boot_load({}); };
    return {};
}

Status MachineAssembly::set_up_boot() {
    if (boots_from_drives(m_spec.firmware)) {
        FwCfg& fw_cfg = give_firmware_its_files();
        return m_spec.install_kernel.empty() ? Status() : set_up_installer(fw_cfg);
    }
    return set_up_direct_boot();
}

}  // namespace skep
