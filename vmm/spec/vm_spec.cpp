// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/vm_spec.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <random>

namespace skep {

DiskFormat DiskSpec::effective_format() const {
    if (format != DiskFormat::automatic) {
        return format;
    }
    return file.ends_with(".qcow2") ? DiskFormat::qcow2 : DiskFormat::raw;
}

const DiskSpec* VmSpec::find_disk(const std::string& disk_id) const {
    const auto found = std::find_if(disks.begin(), disks.end(), [&](const DiskSpec& disk) { return disk.id == disk_id; });
    return found == disks.end() ? nullptr : &*found;
}

const CdSpec* VmSpec::find_cd(const std::string& cd_id) const {
    const auto found = std::find_if(cds.begin(), cds.end(), [&](const CdSpec& cd) { return cd.id == cd_id; });
    return found == cds.end() ? nullptr : &*found;
}

CdSpec* VmSpec::find_cd(const std::string& cd_id) { return const_cast<CdSpec*>(std::as_const(*this).find_cd(cd_id)); }

const NetworkSpec* VmSpec::find_network(const std::string& network_id) const {
    const auto found = std::find_if(networks.begin(), networks.end(),
                                    [&](const NetworkSpec& network) { return network.id == network_id; });
    return found == networks.end() ? nullptr : &*found;
}

NetworkSpec* VmSpec::find_network(const std::string& network_id) {
    return const_cast<NetworkSpec*>(std::as_const(*this).find_network(network_id));
}

std::vector<std::string> VmSpec::effective_boot_order() const {
    if (!boot.empty()) {
        return boot;
    }
    std::vector<std::string> order;
    for (const CdSpec& cd : cds) {
        if (!cd.file.empty()) {
            order.push_back(cd.id);
        }
    }
    for (const DiskSpec& disk : disks) {
        order.push_back(disk.id);
    }
    return order;
}

SoundKind VmSpec::effective_sound() const {
    if (sound != SoundKind::automatic) {
        return sound;
    }
    return display == DisplayKind::none ? SoundKind::none : SoundKind::sdl;
}

UsbKind VmSpec::effective_usb() const {
    if (usb != UsbKind::automatic) {
        return usb;
    }
    const bool disk = std::any_of(disks.begin(), disks.end(), [](const DiskSpec& each) { return each.bus == DiskBus::usb; });
    return display != DisplayKind::none || usb_keyboard || disk ? UsbKind::xhci : UsbKind::none;
}

std::string VmSpec::free_id(const std::string& prefix) const {
    for (unsigned number = 0;; ++number) {
        std::string candidate = fmt::format("{}{}", prefix, number);
        if (find_disk(candidate) == nullptr && find_cd(candidate) == nullptr && find_network(candidate) == nullptr) {
            return candidate;
        }
    }
}

std::string make_uuid() {
    std::array<uint8_t, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        std::random_device source;  // kernels older than getrandom
        std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<uint8_t>(source()); });
    }
    bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4 (RFC 4122 section 4.4)
    bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);  // variant 1
    std::string text;
    for (size_t index = 0; index < bytes.size(); ++index) {
        const bool dash = index == 4 || index == 6 || index == 8 || index == 10;
        text += fmt::format("{}{:02x}", dash ? "-" : "", bytes[index]);
    }
    return text;
}

bool is_uuid(const std::string& text) {
    if (text.size() != 36) {
        return false;
    }
    for (size_t index = 0; index < text.size(); ++index) {
        const bool dash = index == 8 || index == 13 || index == 18 || index == 23;
        const char character = text[index];
        const bool hex = (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');
        if (dash ? character != '-' : !hex) {
            return false;
        }
    }
    return true;
}

}  // namespace skep
