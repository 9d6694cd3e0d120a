// SPDX-License-Identifier: GPL-3.0-or-later
// InstallWatch: has an installer made a disk that starts by itself? Then its CD is not wanted any longer.
#pragma once

#include <vector>

#include "app/worker/machine_builder.hpp"

namespace skep {

class InstallWatch {
  public:
    // What runs: a CD, which may be there to mend a system; or an installer that nobody watches, which overwrites one.
    enum class Installer { attended, unattended };
    // Looks at the disks as they are now. They outlive it.
    InstallWatch(Firmware firmware, Installer installer, const std::vector<BuiltDisk>& disks);
    // Whether a disk from which this firmware found nothing to start has got something since; of an unattended installer also
    // whether what starts is not what started: it would else do it again at every restart. Says so once. Control thread,
    // while no processor runs; waits for the host's disk.
    [[nodiscard]] bool take_installed();

  private:
    struct Watched {
        const BuiltDisk* disk = nullptr;
        bool starts = false;
        uint64_t front = 0;  // a hash of the disk's beginning
    };
    [[nodiscard]] Watched look_at(const BuiltDisk& disk) const;

    Firmware m_firmware;
    Installer m_installer;
    std::vector<Watched> m_disks;
};

}  // namespace skep
