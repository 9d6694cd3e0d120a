// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/vga_adapter.hpp"

namespace skep {
namespace {

constexpr PciIdentity k_identity{.vendor = 0x1234, .device = 0x1111, .class_code = 0x030000, .revision = 2};
constexpr unsigned k_frame_buffer_bar = 0;
constexpr unsigned k_register_bar = 2;

}  // namespace

VgaAdapter::VgaAdapter(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen)
    : PciFunction(context, "vga", address, k_identity),
      m_edid(make_edid(config.preferred_size)),
      m_core(gate(), context.clock, config.vram, log),
      m_legacy(context, gate(), m_core),
      m_screen(screen) {
    add_legacy_decoding();
    add_bar({.index = k_frame_buffer_bar, .kind = BarKind::memory32, .size = config.vram.size(), .prefetch = Prefetch::yes,
             .memory = config.vram.data()});
    add_bar({.index = k_register_bar, .kind = BarKind::memory32, .size = vga::k_register_area});
    if (!config.rom.empty()) {
        add_expansion_rom(config.rom.data(), config.rom.size());
    }
    m_screen.set_source(&m_core);
}

VgaAdapter::~VgaAdapter() { m_screen.set_source(nullptr); }

void VgaAdapter::reset() {
    PciFunction::reset();
    const std::lock_guard lock(gate());
    m_core.reset();
}

void VgaAdapter::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section(name(), 1);
    m_core.save(writer);
}

void VgaAdapter::load(StateReader& reader) {
    PciFunction::load(reader);
    reader.section(name(), 1);
    const std::lock_guard lock(gate());
    m_core.load(reader);
}

uint64_t VgaAdapter::bar_read(unsigned bar, uint64_t offset, unsigned size) {
    return bar == k_register_bar ? vga::register_area_read(m_core, m_edid, offset, size) : PciFunction::bar_read(bar, offset, size);
}

void VgaAdapter::bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) {
    if (bar == k_register_bar) {
        vga::register_area_write(m_core, offset, size, value);
    }
}

}  // namespace skep
