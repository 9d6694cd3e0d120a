// SPDX-License-Identifier: GPL-3.0-or-later
// Kinds by their magic numbers: qcow2 (QEMU docs/interop/qcow2.txt), VMDK (VMware Virtual Disk Format 5.0), VDI, VHD
// (Microsoft VHD specification), bzImage (Linux boot protocol), ELF, Multiboot 0.6.96.
#include "vmm/media/medium.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "vmm/base/bits.hpp"
#include "vmm/media/byte_source.hpp"
#include "vmm/media/debian_installer.hpp"
#include "vmm/media/iso9660.hpp"
#include "vmm/media/os_catalogue.hpp"
#include "vmm/media/partitioning.hpp"

namespace skep {
namespace {

constexpr size_t k_start_bytes = 8192;  // a multiboot header lies within the first 8 KiB
constexpr size_t k_boot_sector = 512;

std::string file_name(const std::string& path) {
    return path.substr(path.find_last_of('/') + 1);
}

std::string stem(const std::string& path) {
    const std::string name = file_name(path);
    const std::string without = name.substr(0, name.find_last_of('.'));
    return without.empty() ? name : without;
}

// The start of the file, with zeros behind its end so that fixed offsets need no further checks.
struct Start {
    std::array<std::byte, k_start_bytes> bytes{};
    size_t size = 0;

    [[nodiscard]] bool holds(size_t offset, std::string_view magic) const {
        return std::memcmp(&bytes[offset], magic.data(), magic.size()) == 0;
    }
    template <typename T>
    [[nodiscard]] T le(size_t offset) const {
        return load_le<T>(&bytes[offset]);
    }
    [[nodiscard]] uint8_t byte(size_t offset) const { return std::to_integer<uint8_t>(bytes[offset]); }
};

bool is_multiboot(const Start& start) {
    constexpr uint32_t k_magic = 0x1bad'b002;
    for (size_t at = 0; at + 12 <= start.size; at += 4) {
        if (start.le<uint32_t>(at) == k_magic &&
            k_magic + start.le<uint32_t>(at + 4) + start.le<uint32_t>(at + 8) == 0) {
            return true;
        }
    }
    return false;
}

// --- disk images of virtual machines -----------------------------------------------------------------------------

bool recognise_disk_format(const ByteSource& source, const Start& start, MediumInfo& info) {
    constexpr size_t k_vhd_footer = 512;
    if (start.holds(0, "QFI\xfb")) {
        info.kind = MediumKind::qcow2;
        info.content_bytes = load_be<uint64_t>(&start.bytes[24]);
    } else if (start.holds(0, "KDMV")) {
        info.kind = MediumKind::vmdk;
        info.content_bytes = std::min(start.le<uint64_t>(12), uint64_t{1} << 50) * k_boot_sector;
    } else if (start.holds(0, "# Disk DescriptorFile")) {
        info.kind = MediumKind::vmdk;
    } else if (start.le<uint32_t>(0x40) == 0xbeda'107f) {
        info.kind = MediumKind::vdi;
        info.content_bytes = start.le<uint64_t>(0x170);
    } else {
        const auto footer = info.file_bytes >= k_vhd_footer
                                ? source.read_block(info.file_bytes - k_vhd_footer, k_vhd_footer)
                                : std::nullopt;
        if (!footer || std::memcmp(footer->data(), "conectix", 8) != 0) {
            return false;
        }
        info.kind = MediumKind::vhd;
        info.content_bytes = load_be<uint64_t>(footer->data() + 48);
    }
    return true;
}

// --- CD images ---------------------------------------------------------------------------------------------------

// What the tree says when neither volume id nor ".disk/info" nor the file's name did.
OsGuess guess_by_tree(const ByteSource& source, const IsoVolume& volume) {
    struct Sign {
        const char* path;
        const char* name;  // known to the catalogue, or a description
    };
    constexpr Sign k_signs[] = {
        {"casper", "Linux of the Ubuntu family"},
        {"live/filesystem.squashfs", "Linux of the Debian family"},
        {"LiveOS", "Linux of the Fedora family"},
        {".treeinfo", "Linux of the Red Hat family"},
        {"arch/boot", "Arch Linux"},
        {"ipxe.krn", "iPXE"},
        {"live/vmlinuz", "Linux live system"},
        {"isolinux", "Linux"},
        {"boot/grub/i386-pc/eltorito.img", "GRUB rescue disk"},
        {"boot/grub", "Linux"},
    };
    OsGuess guess;
    for (const Sign& sign : k_signs) {
        if (!find_in_iso(source, volume, sign.path)) {
            continue;
        }
        const std::string_view name = sign.name;
        if (const auto known = name.starts_with("Linux") ? std::nullopt : recognise_os(name)) {
            guess = *known;
        } else {
            guess.name = name;
            guess.vm_name = "Linux";
        }
        guess.confidence = Confidence::guess;
        return guess;
    }
    return guess;
}

OsGuess recognise_iso(const ByteSource& source, const IsoVolume& volume, const std::string& path) {
    constexpr size_t k_info_bytes = 256;
    if (auto by_volume = recognise_os(volume.volume_id)) {
        // Windows 10 and 11 share their volume ids: the file's name knows more.
        const auto by_name = recognise_os(stem(path));
        const bool name_knows_more = by_volume->id == "win10" && by_name && by_name->id == "win11";
        return name_knows_more ? *by_name : *by_volume;
    }
    if (const auto info = find_in_iso(source, volume, ".disk/info"); info && !info->is_directory) {
        if (auto by_info = recognise_os(read_iso_text(source, *info, k_info_bytes))) {
            return *by_info;
        }
    }
    if (auto by_name = recognise_os(stem(path))) {
        by_name->confidence = Confidence::likely;
        return *by_name;
    }
    return guess_by_tree(source, volume);
}

std::string iso_problem(const ByteSource& source, const IsoVolume& volume, const MediumInfo& info) {
    const std::string name = file_name(info.path);
    if (volume.volume_bytes > info.file_bytes) {
        return fmt::format("'{}' is truncated: it has {} MiB of the {} MiB that the CD should have; download it again.",
                           name, info.file_bytes >> 20, (volume.volume_bytes + (1 << 20) - 1) >> 20);
    }
    const bool for_arm = find_in_iso(source, volume, "EFI/BOOT/BOOTAA64.EFI").has_value() &&
                         !find_in_iso(source, volume, "EFI/BOOT/BOOTX64.EFI").has_value();
    if (for_arm && !info.boots_bios) {
        return fmt::format("'{}' is made for ARM computers; download the one for amd64 (x86_64).", name);
    }
    if (!info.boots_bios && !info.boots_uefi) {
        return fmt::format(
            "'{}' is a CD image without a boot loader: a VM cannot start from it; choose an installer's image.", name);
    }
    return {};
}

void inspect_iso(const ByteSource& source, const IsoVolume& volume, MediumInfo& info) {
    info.kind = MediumKind::iso;
    info.volume_id = volume.volume_id;
    info.content_bytes = volume.volume_bytes;
    info.boots_bios = volume.boots_bios;
    info.boots_uefi = volume.boots_uefi;
    info.os = recognise_iso(source, volume, info.path);
    info.debian_installer = info.os.id.starts_with("debian") && find_debian_installer(source, volume).has_value();
    info.problem = iso_problem(source, volume, info);
    if (info.os.confidence == Confidence::none) {
        info.os.vm_name = stem(info.path);
    }
}

void inspect_other(const ByteSource& source, const Start& start, MediumInfo& info) {
    const Partitioning partitioning = read_partitioning(source);
    info.os.vm_name = stem(info.path);
    info.os.needs_disk = false;
    if (recognise_disk_format(source, start, info)) {
        return;
    }
    if (start.holds(0x202, "HdrS")) {
        info.kind = MediumKind::linux_kernel;
        info.os.name = "Linux kernel";
        info.os.vm_name = "Linux";
        info.os.confidence = Confidence::guess;
    } else if (is_multiboot(start)) {
        info.kind = MediumKind::multiboot_kernel;
    } else if (start.holds(0,
                           "\x7f"
                           "ELF")) {
        info.kind = MediumKind::elf;
        info.problem = fmt::format(
            "'{}' is a program or kernel without a multiboot header: a VM cannot start it; choose a "
            "bzImage (vmlinuz), a multiboot kernel or a CD image.",
            file_name(info.path));
    } else {
        info.boots_bios = partitioning.has_boot_code;
        info.boots_uefi = !partitioning.efi_system.empty();
        info.hybrid = false;
        if (!info.boots_bios && !info.boots_uefi) {
            info.problem = fmt::format(
                "'{}' is no CD image and has no boot loader: a VM cannot start from it; choose an "
                "installer's image.",
                file_name(info.path));
        }
    }
}

}  // namespace

MediumInfo inspect_source(const ByteSource& source, const std::string& path) {
    MediumInfo info;
    info.path = path;
    info.file_bytes = source.size();
    info.content_bytes = source.size();
    Start start;
    const std::vector<std::byte> first = source.read_start(k_start_bytes);
    std::copy(first.begin(), first.end(), start.bytes.begin());
    start.size = first.size();
    if (const auto volume = read_iso_volume(source)) {
        info.hybrid = read_partitioning(source).present;
        inspect_iso(source, *volume, info);
    } else {
        inspect_other(source, start, info);
    }
    return info;
}

Result<MediumInfo> inspect_medium(const std::string& path) {
    const Result<FileSource> source = FileSource::open(path);
    if (!source) {
        return tl::unexpected(source.error());
    }
    return inspect_source(*source, path);
}

std::string firmware_problem(const MediumInfo& medium, BootBy firmware) {
    if (firmware == BootBy::bios && !medium.boots_bios && medium.boots_uefi) {
        return fmt::format("'{}' starts only from UEFI firmware: choose the firmware 'uefi' or another image.", file_name(medium.path));
    }
    if (firmware == BootBy::uefi && !medium.boots_uefi && medium.boots_bios) {
        return fmt::format("'{}' starts only from a BIOS: choose the firmware 'bios' or another image.", file_name(medium.path));
    }
    return {};
}

BootBy best_firmware(const MediumInfo& medium) {
    const bool uefi = medium.boots_uefi && (!medium.boots_bios || medium.os.needs_uefi);
    return uefi ? BootBy::uefi : BootBy::bios;
}

const char* describe(MediumKind kind) {
    switch (kind) {
        case MediumKind::iso:
            return "CD image";
        case MediumKind::raw_disk:
            return "raw disk image";
        case MediumKind::qcow2:
            return "qcow2 disk image";
        case MediumKind::vmdk:
            return "VMDK disk image";
        case MediumKind::vdi:
            return "VDI disk image";
        case MediumKind::vhd:
            return "VHD disk image";
        case MediumKind::linux_kernel:
            return "Linux kernel";
        case MediumKind::multiboot_kernel:
            return "multiboot kernel";
        case MediumKind::elf:
            return "ELF file";
    }
    return "file";
}

}  // namespace skep
