// SPDX-License-Identifier: GPL-3.0-or-later
// InstallWatch: has an installer made a disk that starts by itself? Then its CD is not wanted any longer.
#pragma once

#include <vector>

#include "app/worker/machine_builder.hpp"

namespace skep {

class InstallWatch {
  public:
    // Looks at the disks as they are now. They outlive it.
    InstallWatch(Firmware firmware, const std::vector<BuiltDisk>& disks);
    // Whether a disk from which this firmware found nothing to start has got something since. Says so once. Control thread,
    // while no processor runs; waits for the host's disk.
    [[nodiscard]] bool take_installed();

  private:
    struct Watched {
        const BuiltDisk* disk = nullptr;
        bool starts = false;
    };
    [[nodiscard]] bool starts(const BuiltDisk& disk) const;

    Firmware m_firmware;
    std::vector<Watched> m_disks;
};

}  // namespace skep
