// SPDX-License-Identifier: GPL-3.0-or-later
// What a file chosen as installation medium, disk or kernel is: its kind, whether it boots, which system is on it.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/result.hpp"

namespace skep {

enum class MediumKind {
    iso,       // ISO 9660 (a CD or DVD, perhaps hybrid)
    raw_disk,  // starts with an MBR or GPT, or is of unknown content
    qcow2,
    vmdk,
    vdi,
    vhd,
    linux_kernel,      // bzImage
    multiboot_kernel,  // multiboot v1
    elf,               // some other ELF file
};

// How sure the recognition of the system is.
enum class Confidence {
    none,     // nothing known: the values are generic defaults
    guess,    // a Linux or BSD of some sort
    likely,   // family recognised, version not
    certain,  // a catalogue entry matched
};

// What is on the medium, and what a new VM for it should be like.
struct OsGuess {
    std::string id;    // "debian12", as in osinfo-db where that knows it; empty when nothing was recognised
    std::string name;  // "Debian 12 (network installer)"
    Confidence confidence = Confidence::none;
    unsigned memory_mib = 2048;
    unsigned disk_gib = 20;
    unsigned cpus = 2;
    std::string vm_name = "New VM";  // suggested, not yet made unique
    bool needs_disk = true;          // false: rescue and test media
    bool needs_uefi = false;         // does not start from a BIOS (Windows 11)
};

struct MediumInfo {
    MediumKind kind = MediumKind::raw_disk;
    std::string path;
    uint64_t file_bytes = 0;
    uint64_t content_bytes = 0;  // the volume's or virtual disk's own idea of its size; file_bytes where there is none
    std::string volume_id;       // ISO only, trailing blanks removed; printable ASCII
    bool boots_bios = false;
    bool boots_uefi = false;
    bool hybrid = false;  // an ISO that is also a disk image
    bool debian_installer = false;  // an ISO with Debian's installer on it
    OsGuess os;
    // One sentence when the medium is readable but will not start a VM (truncated, not bootable); empty when all is
    // well.
    std::string problem;
};

// Reads at most a few hundred kilobytes of the file; never more, whatever the file says. Any thread; blocks on the
// disk. Fails (missing, directory, no permission, empty, unreadable) with a sentence that names the file.
[[nodiscard]] Result<MediumInfo> inspect_medium(const std::string& path);

// The same over bytes that were opened already; `path` is only named in sentences and, as a last resort, recognised.
class ByteSource;
[[nodiscard]] MediumInfo inspect_source(const ByteSource& source, const std::string& path);

// What starts a machine from its drives.
enum class BootBy { bios, uefi };
// Why this firmware does not start a medium that the other one would start; empty when it does, or when neither would.
[[nodiscard]] std::string firmware_problem(const MediumInfo& medium, BootBy firmware);
// The firmware for a new machine with this medium.
[[nodiscard]] BootBy best_firmware(const MediumInfo& medium);

// "CD image", "raw disk image", "Linux kernel" ...
[[nodiscard]] const char* describe(MediumKind kind);

}  // namespace skep
