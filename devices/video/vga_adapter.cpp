// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/vga_adapter.hpp"

namespace skep {
namespace {

constexpr PciIdentity k_identity{.vendor = 0x1234, .device = 0x1111, .class_code = 0x030000, .revision = 2};

}  // namespace

VgaAdapter::VgaAdapter(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen)
    : VgaFunction(context, config, log, context, "vga", address, k_identity), m_screen(screen) {
    m_screen.set_source(&core());
}

VgaAdapter::~VgaAdapter() { m_screen.set_source(nullptr); }

}  // namespace skep
