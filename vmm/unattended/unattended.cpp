// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/unattended/unattended.hpp"

#include <fcntl.h>

#include "vmm/base/bits.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"
#include "vmm/media/debian_installer.hpp"
#include "vmm/unattended/answer_files.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t k_most_kernel_bytes = 64 << 20;
constexpr uint64_t k_most_ram_disk_bytes = 512 << 20;

// The installer's name for the machine's first disk.
std::string first_disk(const VmSpec& spec) {
    switch (spec.disks.front().bus) {
        case DiskBus::virtio: return "/dev/vda";
        case DiskBus::nvme: return "/dev/nvme0n1";
        case DiskBus::ahci:
        case DiskBus::usb: break;
    }
    return "/dev/sda";
}

Result<std::vector<std::byte>> read_file(const ByteSource& source, const IsoExtent& file, uint64_t most, const std::string& path) {
    auto bytes = file.size <= most ? source.read_block(file.offset, file.size) : std::nullopt;
    if (!bytes) {
        return fail(ErrorKind::invalid_input, "The installer on '{}' cannot be read: the image may be damaged; download it again.", path);
    }
    return std::move(*bytes);
}

// Readable by its owner only: there is a password's hash in it.
Status write_file(const fs::path& path, std::span<const std::byte> bytes) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) {
        return fail_errno(errno, fmt::format("Creating '{}'", path.string()));
    }
    if (!write_all(file.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
        return fail_errno(errno, fmt::format("Writing '{}'", path.string()));
    }
    return {};
}

// On the screen where there is one, else on the first serial port.
std::string installer_words(const VmSpec& spec) {
    const std::string console = spec.display == DisplayKind::none ? "console=ttyS0,115200n8" : "";
    return fmt::format("auto=true priority=critical{}{} ---{}{}", console.empty() ? "" : " ", console, console.empty() ? " quiet" : " ",
                       console);
}

Status prepare_debian(const fs::path& folder, VmSpec& spec, const MediumInfo& medium, const Answers& answers) {
    auto source = FileSource::open(medium.path);
    if (!source) {
        return tl::unexpected(source.error());
    }
    const auto volume = read_iso_volume(*source);
    const auto installer = volume ? find_debian_installer(*source, *volume) : std::nullopt;
    if (!installer) {
        return fail(ErrorKind::unsupported, "No Debian installer was found on '{}': install it by hand.", medium.path);
    }
    auto kernel = read_file(*source, installer->kernel, k_most_kernel_bytes, medium.path);
    auto ram_disk = read_file(*source, installer->initrd, k_most_ram_disk_bytes, medium.path);
    if (!kernel || !ram_disk) {
        return tl::unexpected(kernel ? ram_disk.error() : kernel.error());
    }
    ram_disk->resize(align_up(ram_disk->size(), k_ram_disk_alignment));
    const std::vector<std::byte> part = ram_disk_part({{"preseed.cfg", preseed_text(answers, first_disk(spec))}});
    ram_disk->insert(ram_disk->end(), part.begin(), part.end());
    return write_file(folder / "vmlinuz", *kernel).and_then([&] { return write_file(folder / "initrd.gz", *ram_disk); }).map([&] {
        spec.install_kernel = "install/vmlinuz";
        spec.install_initrd = "install/initrd.gz";
        spec.install_append = installer_words(spec);
    });
}

Status prepare_cloud_image(const fs::path& folder, VmSpec& spec, const Answers& answers) {
    return write_iso(folder / "answers.iso", "CIDATA",
                     {{"user-data", cloud_user_data(answers)}, {"meta-data", cloud_meta_data(answers, spec.id)}})
        .map([&] {
            if (spec.boot.empty()) {  // the answers start nothing
                for (const DiskSpec& disk : spec.disks) {
                    spec.boot.push_back(disk.id);
                }
            }
            spec.cds.push_back({spec.free_id("cd"), "install/answers.iso", {}});
        });
}

}  // namespace

UnattendedKind unattended_kind(const MediumInfo& medium) {
    if (medium.kind == MediumKind::iso) {
        return medium.debian_installer ? UnattendedKind::debian : UnattendedKind::none;
    }
    const bool is_disk = medium.kind == MediumKind::raw_disk || medium.kind == MediumKind::qcow2;
    return is_disk ? UnattendedKind::cloud_image : UnattendedKind::none;
}

std::string unattended_problem(const VmSpec& spec, UnattendedKind kind) {
    if (kind == UnattendedKind::none) {
        return "Only Debian's installer CDs and cloud images take answers beforehand.";
    }
    if (kind == UnattendedKind::debian && !boots_from_drives(spec.firmware)) {
        return "An unattended installation needs BIOS or UEFI as firmware.";
    }
    if (kind == UnattendedKind::debian && spec.secure_boot) {
        return "With Secure Boot the installer cannot be started unattended: turn it on after the installation.";
    }
    return {};
}

Status prepare_unattended(const Bundle& bundle, VmSpec& spec, const MediumInfo& medium, const Answers& answers) {
    const UnattendedKind kind = unattended_kind(medium);
    if (const std::string problem = unattended_problem(spec, kind); !problem.empty()) {
        return fail(ErrorKind::unsupported, "{}", problem);
    }
    if (spec.disks.empty()) {
        return fail(ErrorKind::invalid_input, "An unattended installation needs a disk to install to.");
    }
    const fs::path folder = bundle.folder() / "install";
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        return fail_errno(error.value(), fmt::format("Creating '{}'", folder.string()));
    }
    fs::permissions(folder, fs::perms::owner_all, error);
    return kind == UnattendedKind::debian ? prepare_debian(folder, spec, medium, answers) : prepare_cloud_image(folder, spec, answers);
}

}  // namespace skep
