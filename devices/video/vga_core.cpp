// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/vga_core.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "vmm/base/bits.hpp"

namespace skep::vga {
namespace {

// 16 frames lit and 16 dark at 70 Hz; characters half as fast.
constexpr Nanoseconds k_cursor_half = 228'000'000;
// A cursor goes on blinking so long after the last change of the text and then stays lit: a still screen costs nobody
// anything.
constexpr Nanoseconds k_blinking_time = 4'000'000'000;
constexpr ScreenSize k_size_before_first_mode{640, 480};

}  // namespace

VgaCore::VgaCore(IoGate& gate, Clock& clock, std::span<std::byte> vram, WriteLog& log)
    : m_gate(gate),
      m_clock(clock),
      m_log(log),
      m_vram(vram),
      m_dispi(vram.size()),
      m_memory(vram),
      m_written((vram.size() / k_vram_page + 63) / 64) {
    m_frame.size = k_size_before_first_mode;
    m_log.begin_write_log(vram);
}

VgaCore::~VgaCore() { m_log.end_write_log(); }

void VgaCore::dispi_write(unsigned index, uint16_t value) {
    const Dispi::Effect effect = m_dispi.write(index, value);
    if (effect == Dispi::Effect::none) {
        return;
    }
    m_registers.set_dac_8_bit(m_dispi.dac_8_bit());
    ++m_generation;
    if (effect == Dispi::Effect::mode_set) {
        const uint64_t maps = m_dispi.bits_per_pixel() == 4 ? 4 : 1;
        const uint64_t size = std::min<uint64_t>(uint64_t{m_dispi.pitch()} * m_dispi.height() * maps, m_vram.size());
        std::memset(m_vram.data(), 0, size);
        m_memory.mark_all();
    }
}

// Gives the pages back to the host where it can: most of the memory is never used.
void VgaCore::clear_memory() {
    if (madvise(m_vram.data(), m_vram.size(), MADV_REMOVE) != 0) {
        std::memset(m_vram.data(), 0, m_vram.size());
    }
    m_memory.mark_all();
}

void VgaCore::reset() {
    m_registers.reset();
    m_dispi.reset();
    m_memory.reset();
    clear_memory();
    ++m_generation;
}

// --- the picture ---------------------------------------------------------------------------------------------------------

// Takes what has changed since the last refresh. The marks are cleared before the memory is read: what is written
// meanwhile is marked again.
VgaCore::News VgaCore::look() {
    News news;
    {
        const std::lock_guard lock(m_gate);
        m_memory.take_written(m_written);
        m_now = m_clock.now();
        const uint64_t generation = m_registers.generation() + m_generation;
        if (std::exchange(m_seen, generation) != generation) {
            news.registers = true;
            Frame frame = frame_of(m_registers, m_dispi, m_vram.size());
            if (frame.kind == Frame::Kind::blank) {
                frame.size = m_frame.size;  // black, as large as before
            }
            Frame moved = m_frame;
            moved.start = frame.start;
            if (moved != frame) {
                m_text.forget();
            }
            m_frame = frame;
            const TextCursor cursor = cursor_of(m_registers);
            if (cursor != std::exchange(m_cursor, cursor)) {
                m_last_change = m_now;
            }
        }
    }
    m_log.collect_writes(m_written);
    news.memory = std::any_of(m_written.begin(), m_written.end(), [](uint64_t word) { return word != 0; });
    return news;
}

BlinkPhase VgaCore::blink_phase() const {
    BlinkPhase phase;
    const uint64_t half = m_now / k_cursor_half;
    if (m_cursor.shown && m_now - m_last_change < k_blinking_time) {
        phase.cursor_lit = half % 2 == 0;
    }
    if (m_text.has_blinking_characters()) {
        phase.characters_lit = half / 2 % 2 == 0;
    }
    return phase;
}

void VgaCore::refresh(Canvas& canvas) {
    const News news = look();
    const BlinkPhase phase = m_frame.kind == Frame::Kind::text ? blink_phase() : m_phase;
    if (!news.registers && !news.memory && phase == m_phase && !canvas.whole()) {
        return;
    }
    m_phase = phase;
    Surface* surface = canvas.surface(m_frame.size);
    if (surface == nullptr) {
        m_seen = ~uint64_t{0};  // perhaps next time
        return;
    }
    // Other registers may make anything of the same memory; rows that stay the same are no damage all the same.
    if (news.registers || canvas.whole()) {
        std::fill(m_written.begin(), m_written.end(), all_ones(8));
    }
    switch (m_frame.kind) {
        case Frame::Kind::text: draw_text(canvas, *surface, canvas.whole()); break;
        case Frame::Kind::blank: draw_blank(canvas, *surface, canvas.whole()); break;
        default: draw_graphics(canvas, *surface, canvas.whole());
    }
    std::fill(m_written.begin(), m_written.end(), 0);
}

void VgaCore::draw_text(Canvas& canvas, Surface& surface, bool whole) {
    if (whole) {
        m_text.forget();
    }
    RowPainter painter(canvas, surface, whole);
    if (m_text.paint(m_frame, m_cursor, m_phase, m_vram, painter)) {
        m_last_change = m_now;
    }
}

void VgaCore::draw_graphics(Canvas& canvas, Surface& surface, bool whole) {
    RowPainter painter(canvas, surface, whole);
    if (m_frame.kind == Frame::Kind::planar) {
        m_graphics.paint_planar(m_frame, m_vram, painter);
    } else {
        m_graphics.paint_linear(
            m_frame, m_vram, [this](uint64_t start, uint64_t end) { return is_written(start, end); }, painter);
    }
}

void VgaCore::draw_blank(Canvas& canvas, Surface& surface, bool whole) {
    RowPainter painter(canvas, surface, whole);
    const std::vector<uint32_t> black(surface.size().width);
    for (uint32_t y = 0; y < surface.size().height; ++y) {
        painter.put(y, 0, black);
    }
}

bool VgaCore::is_written(uint64_t start, uint64_t end) const {
    for (uint64_t page = start / k_vram_page; page * k_vram_page < end; ++page) {
        if ((m_written[page / 64] >> (page % 64) & 1) != 0) {
            return true;
        }
    }
    return false;
}

std::optional<TextCells> VgaCore::text() {
    Frame frame;
    TextCursor cursor;
    {
        const std::lock_guard lock(m_gate);
        frame = frame_of(m_registers, m_dispi, m_vram.size());
        cursor = cursor_of(m_registers);
    }
    if (frame.kind != Frame::Kind::text) {
        return std::nullopt;
    }
    TextCells cells{.columns = frame.columns,
                    .rows = frame.size.height / (frame.row_lines * (frame.double_lines ? 2 : 1)),
                    .characters = {},
                    .attributes = {}};
    for (uint32_t row = 0; row < cells.rows; ++row) {
        for (uint32_t column = 0; column < cells.columns; ++column) {
            const uint64_t address = (frame.start + uint64_t{row} * frame.row_step + column) & 0xffff;
            cells.characters.push_back(static_cast<uint8_t>(m_vram[cell_byte(address)]));
            cells.attributes.push_back(static_cast<uint8_t>(m_vram[cell_byte(address) + 1]));
            if (address == cursor.cell) {
                cells.cursor_column = column;
                cells.cursor_row = row;
            }
        }
    }
    return cells;
}

// --- state ---------------------------------------------------------------------------------------------------------------

void VgaCore::save(StateWriter& writer) const {
    m_registers.save(writer);
    m_dispi.save(writer);
    m_memory.save(writer);
    save_memory(writer);
}

void VgaCore::load(StateReader& reader) {
    m_registers.load(reader);
    m_dispi.load(reader);
    m_memory.load(reader);
    load_memory(reader);
    ++m_generation;
}

// Pages that are not all zero, each with its number, and an end mark.
void VgaCore::save_memory(StateWriter& writer) const {
    static constexpr std::array<std::byte, k_vram_page> k_zeros{};
    for (uint64_t page = 0; page * k_vram_page < m_vram.size(); ++page) {
        const std::span<const std::byte> content = m_vram.subspan(page * k_vram_page, k_vram_page);
        if (std::memcmp(content.data(), k_zeros.data(), k_vram_page) != 0) {
            writer.put(static_cast<uint32_t>(page));
            writer.put_bytes(content);
        }
    }
    writer.put(~uint32_t{0});
}

void VgaCore::load_memory(StateReader& reader) {
    clear_memory();
    const uint64_t pages = m_vram.size() / k_vram_page;
    uint64_t next = 0;
    for (auto page = reader.get<uint32_t>(); reader.ok() && page != ~uint32_t{0}; page = reader.get<uint32_t>()) {
        if (page < next || page >= pages) {
            reader.fail("a page of video memory is out of order");
            return;
        }
        const std::vector<std::byte> content = reader.get_bytes(k_vram_page);
        std::memcpy(&m_vram[page * k_vram_page], content.data(), k_vram_page);
        next = uint64_t{page} + 1;
    }
}

}  // namespace skep::vga
