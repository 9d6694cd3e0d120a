// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_vga.hpp"

#include <utility>

namespace skep {
namespace {

constexpr unsigned k_frame_buffer_bar = 0;
constexpr unsigned k_vga_register_bar = 2;

}  // namespace

VirtioVga::VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen)
    : VirtioVga(context, address, config, log, screen, std::make_unique<VirtioGpu>(context.memory, config.preferred_size)) {}

VirtioVga::VirtioVga(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen,
                     std::unique_ptr<VirtioGpu> gpu)
    : VirtioPci(context, "virtio-vga", address, std::move(gpu)),
      m_gpu(static_cast<VirtioGpu&>(device())),
      m_edid(make_edid(config.preferred_size)),
      m_core(gate(), context.clock, config.vram, log),
      m_legacy(context, gate(), m_core),
      m_screen(screen) {
    add_legacy_decoding();
    add_bar({.index = k_frame_buffer_bar, .kind = BarKind::memory32, .size = config.vram.size(), .prefetch = Prefetch::yes,
             .memory = config.vram.data()});
    add_bar({.index = k_vga_register_bar, .kind = BarKind::memory32, .size = vga::k_register_area});
    if (!config.rom.empty()) {
        add_expansion_rom(config.rom.data(), config.rom.size());
    }
    m_gpu.set_fallback(m_core);
    m_screen.set_source(&m_gpu);
}

VirtioVga::~VirtioVga() { m_screen.set_source(nullptr); }

void VirtioVga::reset() {
    VirtioPci::reset();
    const std::lock_guard lock(gate());
    m_core.reset();
}

void VirtioVga::save(StateWriter& writer) const {
    VirtioPci::save(writer);
    writer.section(name(), 1);
    m_core.save(writer);
}

void VirtioVga::load(StateReader& reader) {
    VirtioPci::load(reader);
    reader.section(name(), 1);
    const std::lock_guard lock(gate());
    m_core.load(reader);
}

uint64_t VirtioVga::bar_read(unsigned bar, uint64_t offset, unsigned size) {
    return bar == k_vga_register_bar ? vga::register_area_read(m_core, m_edid, offset, size)
                                     : VirtioPci::bar_read(bar, offset, size);
}

void VirtioVga::bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) {
    if (bar == k_vga_register_bar) {
        vga::register_area_write(m_core, offset, size, value);
    } else {
        VirtioPci::bar_write(bar, offset, size, value);
    }
}

}  // namespace skep
