// SPDX-License-Identifier: GPL-3.0-or-later
// Where the Debian installer's kernel and RAM disk lie on its CDs (Installation Guide, 5.1 and 4.2.1).
#pragma once

#include <optional>

#include "vmm/media/iso9660.hpp"

namespace skep {

struct DebianInstaller {
    IsoExtent kernel;
    IsoExtent initrd;
};

// Of the text installer. Looks only at where things lie; that it is Debian's is the caller's to know.
[[nodiscard]] std::optional<DebianInstaller> find_debian_installer(const ByteSource& source, const IsoVolume& volume);

}  // namespace skep
