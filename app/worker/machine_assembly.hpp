// SPDX-License-Identifier: GPL-3.0-or-later
// How a Machine is put together from a VmSpec: frame and order in machine_builder.cpp, drives in machine_drives.cpp, what it
// starts with in machine_start.cpp. For these three only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "app/worker/kernel_start.hpp"
#include "app/worker/machine_builder.hpp"
#include "devices/pci/q35_host_bridge.hpp"
#include "vmm/boot/firmware.hpp"
#include "vmm/boot/uefi_firmware.hpp"

namespace skep {

class MachineAssembly {
  public:
    explicit MachineAssembly(const BuildInputs& inputs) : m_inputs(inputs), m_spec(inputs.spec) {}

    Result<BuiltMachine> build();

  private:
    // machine_builder.cpp
    Status make_machine();
    void make_board();
    void add_bridges();
    Status add_networks();
    Status add_vcpus();
    [[nodiscard]] Result<std::string> host_path(const std::string& file) const;

    // machine_drives.cpp
    Status add_disks();
    Status add_ahci();
    Status add_ahci_disk(const DiskSpec& disk);
    Status add_cd(const CdSpec& cd);
    Status add_pci_disk(const DiskSpec& disk);
    Status add_usb();
    Status add_usb_disk(const DiskSpec& disk);
    Result<std::shared_ptr<BlockBackend>> open_disk(const DiskSpec& disk);
    void watch_disk_space();

    // machine_start.cpp
    Status load_rom();
    Status add_rom(const FirmwareImage& image);
    Status add_flash();
    Status set_up_boot();
    FwCfg& give_firmware_its_files();
    Status set_up_direct_boot();
    Status set_up_installer(FwCfg& fw_cfg);
    [[nodiscard]] Result<KernelFiles> kernel_files(const std::string& kernel, const std::string& initrd,
                                                   const std::string& words) const;

    static constexpr uint8_t k_first_disk_slot = 4;
    static constexpr unsigned k_most_queues = 4;  // of a virtio or NVMe device; more bring nothing on one back end

    const BuildInputs& m_inputs;
    const VmSpec& m_spec;
    BuiltMachine m_built;
    PlatformDescription m_platform;
    ShadowRom m_shadow;
    std::optional<UefiFirmware> m_uefi;
    PciBus* m_bus = nullptr;
    std::unique_ptr<DeviceContext> m_context;
    unsigned m_next_port = 0;
    uint8_t m_next_slot = k_first_disk_slot;
    std::map<std::string, BootDevice> m_boot_devices;
};

}  // namespace skep
