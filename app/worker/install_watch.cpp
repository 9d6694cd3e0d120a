// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/install_watch.hpp"

#include <algorithm>
#include <utility>

#include "devices/block/block_requests.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/media/partitioning.hpp"

namespace skep {
namespace {

// A disk's bytes through its back end, whatever its format.
class BackendSource final : public ByteSource {
  public:
    explicit BackendSource(BlockBackend& backend) : m_backend(backend) {}
    [[nodiscard]] uint64_t size() const override { return m_backend.info().size; }
    [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override {
        if (offset > size() || to.size() > size() - offset) {
            return false;
        }
        const uint64_t first = align_down(offset, m_backend.info().block_size);
        std::vector<std::byte> blocks(align_up(offset + to.size(), m_backend.info().block_size) - first);
        BlockRequest request{.op = BlockOp::read, .offset = first, .buffers = {{blocks.data(), blocks.size()}}, .done = {}};
        if (start_request(m_backend, std::move(request)).get() != BlockStatus::ok) {
            return false;
        }
        std::copy_n(blocks.begin() + static_cast<long>(offset - first), to.size(), to.begin());
        return true;
    }

  private:
    BlockBackend& m_backend;
};

}  // namespace

InstallWatch::InstallWatch(Firmware firmware, const std::vector<BuiltDisk>& disks) : m_firmware(firmware) {
    for (const BuiltDisk& disk : disks) {
        if (!disk.backend->info().read_only) {
            m_disks.push_back({&disk, starts(disk)});
        }
    }
}

bool InstallWatch::starts(const BuiltDisk& disk) const {
    const StartsBy found = starts_by(BackendSource(*disk.backend));
    return m_firmware == Firmware::uefi ? found.uefi : found.bios;
}

bool InstallWatch::take_installed() {
    bool installed = false;
    for (Watched& watched : m_disks) {
        if (!watched.starts && starts(*watched.disk)) {
            watched.starts = true;
            installed = true;
        }
    }
    return installed;
}

}  // namespace skep
