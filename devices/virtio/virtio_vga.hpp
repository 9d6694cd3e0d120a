// SPDX-License-Identifier: GPL-3.0-or-later
// virtio-vga: a virtio GPU and a VGA on one function, so that firmware and boot loaders have a screen too. As QEMU's: 1af4:1050
// with class VGA, BAR 0 the VGA's frame buffer, BAR 2 its registers; the virtio structures lie where VirtioPci puts them.
#pragma once

#include "devices/video/vga_function.hpp"
#include "devices/virtio/virtio_gpu.hpp"
#include "devices/virtio/virtio_pci.hpp"

namespace skep {

class VirtioVga final : public VgaFunction<VirtioPci> {
  public:
    // As VgaAdapter.
    VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen);
    ~VirtioVga() override;

  private:
    VirtioGpu& m_gpu;
    Screen& m_screen;
};

}  // namespace skep
