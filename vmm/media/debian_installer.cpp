// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/media/debian_installer.hpp"

#include <array>

namespace skep {
namespace {

struct Place {
    const char* kernel;
    const char* initrd;
};
constexpr std::array k_places{
    Place{"install.amd/vmlinuz", "install.amd/initrd.gz"},  // netinst and DVD
    Place{"install.386/vmlinuz", "install.386/initrd.gz"},
    Place{"install/vmlinuz", "install/initrd.gz"},  // live CDs with an installer
    Place{"linux", "initrd.gz"},                    // mini.iso
};

}  // namespace

std::optional<DebianInstaller> find_debian_installer(const ByteSource& source, const IsoVolume& volume) {
    for (const Place& place : k_places) {
        const auto kernel = find_in_iso(source, volume, place.kernel);
        const auto initrd = kernel ? find_in_iso(source, volume, place.initrd) : std::nullopt;
        if (initrd && !kernel->is_directory && !initrd->is_directory) {
            return DebianInstaller{*kernel, *initrd};
        }
    }
    return std::nullopt;
}

}  // namespace skep
