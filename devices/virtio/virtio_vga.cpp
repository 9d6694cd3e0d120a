// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_vga.hpp"

namespace skep {

VirtioVga::VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen)
    : VgaFunction(context, config, log, context, "virtio-vga", address,
                  std::make_unique<VirtioGpu>(context.memory, config.preferred_size)),
      m_gpu(static_cast<VirtioGpu&>(device())),
      m_screen(screen) {
    m_gpu.set_fallback(core());
    m_screen.set_source(&m_gpu);
}

VirtioVga::~VirtioVga() { m_screen.set_source(nullptr); }

}  // namespace skep
