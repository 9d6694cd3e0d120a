// SPDX-License-Identifier: GPL-3.0-or-later
// A VGA without a bus: registers, dispi and memory, and what of it is on the screen. The device that holds it gives the
// bus accesses, and its gate, under which all calls but those of ScreenSource come.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/video/dispi.hpp"
#include "devices/video/frame.hpp"
#include "devices/video/graphics_painter.hpp"
#include "devices/video/planar_memory.hpp"
#include "devices/video/text_painter.hpp"
#include "devices/video/vga_registers.hpp"
#include "display/surface/screen.hpp"
#include "vmm/base/clock.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/memory/write_log.hpp"

namespace skep::vga {

class VgaCore final : public ScreenSource {
  public:
    // vram: memory that the guest sees as the linear frame buffer: a power of two, 256 KiB to 64 MiB.
    // log: tells what the guest writes there by itself. All references outlive this.
    VgaCore(IoGate& gate, Clock& clock, std::span<std::byte> vram, WriteLog& log);
    ~VgaCore() override;

    // --- bus, with the gate held ---
    uint8_t port_read(uint16_t port) { return m_registers.read(port, m_clock.now()); }  // 0x3b0-0x3df
    void port_write(uint16_t port, uint8_t value) { m_registers.write(port, value); }
    [[nodiscard]] uint16_t dispi_read(unsigned index) const { return m_dispi.read(index); }
    void dispi_write(unsigned index, uint16_t value);
    void dispi_select(uint16_t index) { m_dispi.selected = index; }
    [[nodiscard]] uint16_t dispi_selected() const { return m_dispi.selected; }
    uint8_t window_read(uint64_t offset) { return m_memory.read(m_registers, m_dispi, offset); }  // from 0xa0000
    void window_write(uint64_t offset, uint8_t value) { m_memory.write(m_registers, m_dispi, offset, value); }

    void reset();
    // Parts of the device's own section; the memory too.
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

    // --- ScreenSource, without the gate ---
    void refresh(Canvas& canvas) override;
    std::optional<TextCells> text() override;

  private:
    struct News {
        bool registers = false;  // the frame or the cursor may differ
        bool memory = false;
    };
    void clear_memory();
    News look();
    [[nodiscard]] BlinkPhase blink_phase() const;
    void draw_text(Canvas& canvas, Surface& surface, bool whole);
    void draw_graphics(Canvas& canvas, Surface& surface, bool whole);
    void draw_blank(Canvas& canvas, Surface& surface, bool whole);
    [[nodiscard]] bool is_written(uint64_t start, uint64_t end) const;
    void save_memory(StateWriter& writer) const;
    void load_memory(StateReader& reader);

    IoGate& m_gate;
    Clock& m_clock;
    WriteLog& m_log;
    std::span<std::byte> m_vram;

    // With the gate held.
    Registers m_registers;
    Dispi m_dispi;
    PlanarMemory m_memory;
    uint64_t m_generation = 0;  // of everything but m_registers

    // Under the screen's lock: what was drawn last.
    Frame m_frame;
    TextCursor m_cursor;
    uint64_t m_seen = ~uint64_t{0};
    std::vector<uint64_t> m_written;  // pages
    TextPainter m_text;
    GraphicsPainter m_graphics;
    BlinkPhase m_phase;
    Nanoseconds m_now = 0;
    Nanoseconds m_last_change = 0;
};

}  // namespace skep::vga
