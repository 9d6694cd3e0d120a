// SPDX-License-Identifier: GPL-3.0-or-later
// virtio-vga: a virtio GPU and a VGA on one function, so that firmware and boot loaders have a screen too. As QEMU's: 1af4:1050
// with class VGA, BAR 0 the VGA's frame buffer, BAR 2 its registers; the virtio structures lie where VirtioPci puts them.
#pragma once

#include "devices/video/vga_adapter.hpp"
#include "devices/virtio/virtio_gpu.hpp"
#include "devices/virtio/virtio_pci.hpp"

namespace skep {

class VirtioVga final : public VirtioPci {
  public:
    // As VgaAdapter.
    VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen);
    ~VirtioVga() override;

    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // The GPU is made before the function, the VGA, which needs the function's gate, after it.
    VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen,
              std::unique_ptr<VirtioGpu> gpu);
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;

    VirtioGpu& m_gpu;
    Edid m_edid;
    vga::VgaCore m_core;
    vga::LegacyRanges m_legacy;
    Screen& m_screen;
};

}  // namespace skep
