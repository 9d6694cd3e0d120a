// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/install_watch.hpp"

#include <algorithm>
#include <utility>

#include "devices/block/block_requests.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/base/fnv.hpp"
#include "vmm/media/partitioning.hpp"

namespace skep {
namespace {

constexpr uint64_t k_front_bytes = 1 << 20;  // partition tables, and before the first partition a boot loader's second stage

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

InstallWatch::InstallWatch(Firmware firmware, Installer installer, const std::vector<BuiltDisk>& disks)
    : m_firmware(firmware), m_installer(installer) {
    for (const BuiltDisk& disk : disks) {
        if (!disk.backend->info().read_only) {
            m_disks.push_back(look_at(disk));
        }
    }
}

InstallWatch::Watched InstallWatch::look_at(const BuiltDisk& disk) const {
    const BackendSource source(*disk.backend);
    const StartsBy found = starts_by(source);
    Watched watched{.disk = &disk, .starts = m_firmware == Firmware::uefi ? found.uefi : found.bios};
    if (m_installer == Installer::unattended) {
        std::vector<std::byte> front(std::min(source.size(), k_front_bytes));
        watched.front = source.read(0, front) ? fnv1a(front) : 0;
    }
    return watched;
}

bool InstallWatch::take_installed() {
    bool installed = false;
    for (Watched& watched : m_disks) {
        const Watched now = look_at(*watched.disk);
        installed |= now.starts && (!watched.starts || now.front != watched.front);
        watched.starts |= now.starts;
        watched.front = now.front;
    }
    return installed;
}

}  // namespace skep
