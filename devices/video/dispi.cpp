// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/dispi.hpp"

#include <algorithm>

namespace skep::vga {
namespace {

constexpr uint16_t k_oldest_id = 0xb0c0, k_newest_id = 0xb0c5;
constexpr uint16_t k_smallest = 8;  // pixels
constexpr uint16_t k_enable_bits = k_dispi_enabled | k_dispi_getcaps | k_dispi_8bit_dac | k_dispi_lfb_enabled | k_dispi_noclearmem;

bool is_depth(uint16_t value) {
    return value == 4 || value == 8 || value == 15 || value == 16 || value == 24 || value == 32;
}

}  // namespace

void Dispi::reset() {
    m_registers = {};
    m_registers[k_dispi_id] = k_newest_id;
    m_registers[k_dispi_bpp] = 8;
    selected = 0;
}

uint32_t Dispi::bytes_for(uint32_t pixels, unsigned bits_per_pixel) {
    return bits_per_pixel == 4 ? pixels / 8 : pixels * ((bits_per_pixel + 7) / 8);
}

uint32_t Dispi::pitch() const { return bytes_for(virtual_width(), bits_per_pixel()); }

uint64_t Dispi::start() const {
    return uint64_t{m_registers[k_dispi_y_offset]} * pitch() + bytes_for(m_registers[k_dispi_x_offset], bits_per_pixel());
}

uint16_t Dispi::read(unsigned index) const {
    const bool caps = (m_registers[k_dispi_enable] & k_dispi_getcaps) != 0;
    switch (index) {
        case k_dispi_xres: return caps ? k_dispi_max_xres : m_registers[index];
        case k_dispi_yres: return caps ? k_dispi_max_yres : m_registers[index];
        case k_dispi_bpp: return caps ? 32 : m_registers[index];
        case k_dispi_video_memory_64k: return static_cast<uint16_t>(m_vram_bytes >> 16);
        default: return index < k_dispi_count ? m_registers[index] : uint16_t{0};
    }
}

Dispi::Effect Dispi::write(unsigned index, uint16_t value) {
    switch (index) {
        case k_dispi_id:
            if (value >= k_oldest_id && value <= k_newest_id) {
                m_registers[index] = value;
            }
            return Effect::none;
        case k_dispi_xres:
        case k_dispi_yres:
        case k_dispi_bpp:
            if (!enabled() && (index != k_dispi_bpp || is_depth(value) || value == 0)) {
                m_registers[index] = index == k_dispi_bpp && value == 0 ? uint16_t{8} : value;
            }
            return Effect::none;
        case k_dispi_enable: {
            const bool enters = !enabled() && (value & k_dispi_enabled) != 0;
            m_registers[index] = value & k_enable_bits;
            m_registers[k_dispi_bank] = 0;
            if (enters) {
                m_registers[k_dispi_virt_width] = m_registers[k_dispi_x_offset] = m_registers[k_dispi_y_offset] = 0;
                settle();
                return (value & k_dispi_noclearmem) == 0 ? Effect::mode_set : Effect::picture;
            }
            return Effect::picture;
        }
        case k_dispi_bank:
            m_registers[index] = static_cast<uint16_t>(std::min<uint64_t>(value, (m_vram_bytes >> 16) - 1));
            return Effect::none;
        case k_dispi_virt_width:
        case k_dispi_x_offset:
        case k_dispi_y_offset:
            m_registers[index] = value;
            settle();
            return Effect::picture;
        default: return Effect::none;  // VIRT_HEIGHT follows from the others
    }
}

// Brings the registers of an enabled mode to values that fit one another and the memory.
void Dispi::settle() {
    if (!enabled()) {
        return;
    }
    auto& [id, xres, yres, bpp, enable, bank, virt_width, virt_height, x_offset, y_offset, memory] = m_registers;
    if (!is_depth(bpp)) {
        bpp = 8;
    }
    xres = std::clamp<uint16_t>(static_cast<uint16_t>(xres & ~7U), k_smallest, k_dispi_max_xres);
    yres = std::clamp<uint16_t>(yres, 1, k_dispi_max_yres);
    // At least one line, also in the smallest memory: 5120 pixels of 4 bytes are less than 64 KiB.
    virt_width = std::clamp<uint16_t>(static_cast<uint16_t>(virt_width & ~7U), xres, 2 * k_dispi_max_xres);
    const uint64_t lines = plane_bytes() / pitch();
    yres = static_cast<uint16_t>(std::min<uint64_t>(yres, lines));
    virt_height = static_cast<uint16_t>(std::min<uint64_t>(lines, 0xffff));
    x_offset = std::min<uint16_t>(x_offset, static_cast<uint16_t>(virt_width - xres));
    y_offset = std::min<uint16_t>(y_offset, static_cast<uint16_t>(virt_height - yres));
}

void Dispi::save(StateWriter& writer) const {
    writer.put(selected);
    for (const uint16_t value : m_registers) {
        writer.put(value);
    }
}

void Dispi::load(StateReader& reader) {
    reader.get(selected);
    for (uint16_t& value : m_registers) {
        reader.get(value);
    }
    m_registers[k_dispi_enable] &= k_enable_bits;
    m_registers[k_dispi_bank] = static_cast<uint16_t>(std::min<uint64_t>(m_registers[k_dispi_bank], (m_vram_bytes >> 16) - 1));
    settle();
}

}  // namespace skep::vga
