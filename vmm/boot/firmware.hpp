// SPDX-License-Identifier: GPL-3.0-or-later
// The BIOS image and what it is told through fw_cfg (QEMU's fw_cfg document; SeaBIOS' docs/Runtime_config.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/platform.hpp"

namespace skep {

struct FirmwareImage {
    std::string path;
    std::vector<std::byte> bytes;  // a multiple of 64 KiB; ends at 4 GiB

    [[nodiscard]] uint64_t address() const { return 0x1'0000'0000 - bytes.size(); }
    // The end of the image, as it also appears below 1 MiB until the guest opens the RAM there: up to 256 KiB.
    [[nodiscard]] size_t shadow_bytes() const { return bytes.size() < 0x4'0000 ? bytes.size() : 0x4'0000; }
};

// Empty path: the first of the places where distributions install SeaBIOS. Fails with a sentence that says where was
// looked or what is wrong with the file.
[[nodiscard]] Result<FirmwareImage> load_firmware(const std::string& path);
// Where load_firmware("") would look, first hit first; for the host check.
[[nodiscard]] std::span<const char* const> firmware_search_path();

// A PCI option ROM of SeaBIOS' package, such as "vgabios-stdvga.bin", padded to a power of two as a ROM BAR wants it.
// Looks where load_firmware("") looks.
[[nodiscard]] Result<std::vector<std::byte>> load_option_rom(const std::string& file_name);

// A device to boot from, by its place on PCI bus 0.
struct BootDevice {
    enum class Kind { ahci, virtio_block, usb_storage, nvme, network };
    Kind kind = Kind::ahci;
    unsigned slot = 0;
    unsigned function = 0;
    unsigned port = 0;  // of ahci; of usb_storage, from 1, among the ports of its protocol (USB 2 or USB 3)
};

// "/pci@i0cf8/pci8086,2922@1f,2/drive@0/disk@0" and the like: Open Firmware paths as SeaBIOS and OVMF match them.
[[nodiscard]] std::string boot_path(const BootDevice& device);

struct FirmwareOptions {
    std::vector<BootDevice> boot_order;                      // first tried first; devices not listed come after
    enum class Text { screen, serial } text = Text::serial;  // serial: BIOS text and keys on COM1
    enum class Menu { off, ask } menu = Menu::off;           // ask: "press ESC" for 2.5 s
    // After nothing could be booted: wait this long and start over; negative: stay, saying "No bootable device."
    int32_t boot_fail_wait_ms = -1;
};

// What goes into the fw_cfg device: set_item() and set_file() of FwCfg, one by one.
struct FirmwareConfig {
    std::vector<std::pair<uint16_t, std::vector<std::byte>>> items;
    std::vector<std::pair<std::string, std::vector<std::byte>>> files;
};

[[nodiscard]] FirmwareConfig firmware_config(const PlatformDescription& platform, const FirmwareOptions& options);

}  // namespace skep
