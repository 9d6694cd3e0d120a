// SPDX-License-Identifier: GPL-3.0-or-later
// What every PCI display with a VGA inside has in common, whatever else its function is (Base: PciFunction or a class derived
// from it): legacy ports and window, BAR 0 the frame buffer, BAR 2 registers and EDID, the option ROM.
#pragma once

#include <mutex>
#include <span>
#include <utility>

#include "devices/pci/pci_function.hpp"
#include "devices/video/vga_bus.hpp"
#include "devices/video/vga_core.hpp"

namespace skep {

struct VgaConfig {
    std::span<std::byte> vram;              // of GuestMemory::add_device_memory: a power of two, 256 KiB to 64 MiB
    std::span<std::byte> rom;               // of GuestMemory::add_rom: a power of two; empty: none
    ScreenSize preferred_size{1280, 800};   // what the EDID says
};

template <typename Base>
class VgaFunction : public Base {
  public:
    // The log outlives this; `base` is for Base's constructor.
    template <typename... Arguments>
    VgaFunction(DeviceContext& context, const VgaConfig& config, WriteLog& log, Arguments&&... base)
        : Base(std::forward<Arguments>(base)...),
          m_edid(make_edid(config.preferred_size)),
          m_core(Base::gate(), context.clock, config.vram, log),
          m_legacy(context, Base::gate(), m_core) {
        Base::add_legacy_decoding();
        Base::add_bar({.index = k_frame_buffer_bar, .kind = BarKind::memory32, .size = config.vram.size(),
                       .prefetch = Prefetch::yes, .memory = config.vram.data()});
        Base::add_bar({.index = k_vga_register_bar, .kind = BarKind::memory32, .size = vga::k_register_area});
        if (!config.rom.empty()) {
            Base::add_expansion_rom(config.rom.data(), config.rom.size());
        }
    }

    void reset() override {
        Base::reset();
        const std::lock_guard lock(Base::gate());
        m_core.reset();
    }
    void save(StateWriter& writer) const override {
        Base::save(writer);
        writer.section(Base::name(), 1);
        m_core.save(writer);
    }
    void load(StateReader& reader) override {
        Base::load(reader);
        reader.section(Base::name(), 1);
        const std::lock_guard lock(Base::gate());
        m_core.load(reader);
    }

  protected:
    [[nodiscard]] vga::VgaCore& core() { return m_core; }

  private:
    static constexpr unsigned k_frame_buffer_bar = 0;
    static constexpr unsigned k_vga_register_bar = 2;

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override {
        return bar == k_vga_register_bar ? vga::register_area_read(m_core, m_edid, offset, size) : Base::bar_read(bar, offset, size);
    }
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override {
        if (bar == k_vga_register_bar) {
            vga::register_area_write(m_core, offset, size, value);
        } else {
            Base::bar_write(bar, offset, size, value);
        }
    }

    Edid m_edid;
    vga::VgaCore m_core;
    vga::LegacyRanges m_legacy;
};

}  // namespace skep
