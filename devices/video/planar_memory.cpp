// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/planar_memory.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep::vga {
namespace {

constexpr uint64_t k_map_bytes = 0x1'0000;  // what a VGA addresses of each map

// A byte in each map.
constexpr uint32_t to_all_maps(uint8_t value) { return value * 0x0101'0101U; }

// 0xff in each map whose bit is set.
constexpr uint32_t map_mask(unsigned maps) {
    uint32_t mask = 0;
    for (unsigned map = 0; map < 4; ++map) {
        mask |= (maps >> map & 1) != 0 ? 0xffU << (8 * map) : 0;
    }
    return mask;
}

// The window's start and size, by the memory map field of the miscellaneous register.
struct WindowPart {
    uint64_t start;
    uint64_t size;
};
constexpr WindowPart k_parts[] = {{0, 0x2'0000}, {0, 0x1'0000}, {0x1'0000, 0x8000}, {0x1'8000, 0x8000}};

}  // namespace

struct PlanarMemory::Place {
    enum class Kind { nowhere, linear, maps };
    Kind kind = Kind::nowhere;
    uint64_t index = 0;     // linear: byte of the memory; maps: byte of each map, before odd/even
    uint64_t map_bytes = 0; // maps: how many of each map are addressed
};

PlanarMemory::PlanarMemory(std::span<std::byte> vram)
    : m_vram(vram), m_written((vram.size() / k_vram_page + 63) / 64) {
    mark_all();
}

void PlanarMemory::mark_all() { std::fill(m_written.begin(), m_written.end(), all_ones(8)); }

void PlanarMemory::take_written(std::vector<uint64_t>& pages) {
    for (size_t i = 0; i < m_written.size(); ++i) {
        pages[i] |= m_written[i];
        m_written[i] = 0;
    }
}

uint32_t PlanarMemory::fetch(uint64_t index) const { return load_le<uint32_t>(&m_vram[(index * 4) & (m_vram.size() - 1)]); }

void PlanarMemory::store(uint64_t index, uint32_t value) {
    const uint64_t byte = (index * 4) & (m_vram.size() - 1);
    store_le<uint32_t>(&m_vram[byte], value);
    mark(byte);
}

PlanarMemory::Place PlanarMemory::place_of(const Registers& registers, const Dispi& dispi, uint64_t offset) const {
    if (dispi.enabled() && dispi.bits_per_pixel() != 4) {
        const uint64_t byte = dispi.bank_start() + offset;
        return {offset < k_map_bytes && byte < m_vram.size() ? Place::Kind::linear : Place::Kind::nowhere, byte, 0};
    }
    const WindowPart part = k_parts[registers.graphics[k_gr_miscellaneous] >> 2 & 3];
    if ((registers.miscellaneous & k_misc_enable_ram) == 0 || offset < part.start || offset - part.start >= part.size) {
        return {};
    }
    const uint64_t address = offset - part.start + (dispi.enabled() ? dispi.bank_start() : 0);
    const uint8_t mode = registers.sequencer[k_sr_memory_mode];
    if ((mode & k_memory_mode_chain_4) != 0) {
        return {Place::Kind::linear, address & (m_vram.size() - 1), 0};
    }
    return {Place::Kind::maps, address, dispi.enabled() ? m_vram.size() / 4 : k_map_bytes};
}

uint8_t PlanarMemory::read(const Registers& registers, const Dispi& dispi, uint64_t offset) {
    Place place = place_of(registers, dispi, offset);
    if (place.kind == Place::Kind::nowhere) {
        return 0xff;
    }
    if (place.kind == Place::Kind::linear) {
        m_latch = fetch(place.index / 4);
        return static_cast<uint8_t>(m_vram[place.index]);
    }
    unsigned map = registers.graphics[k_gr_read_map] & 3;
    if ((registers.graphics[k_gr_mode] & k_graphics_mode_odd_even) != 0) {
        map = (map & 2) | (place.index & 1);
        place.index /= 2;
    }
    m_latch = fetch(place.index % place.map_bytes);
    if ((registers.graphics[k_gr_mode] & 0x08) == 0) {  // read mode 0: one map
        return static_cast<uint8_t>(m_latch >> (8 * map));
    }
    // Read mode 1: a 1 for each pixel whose colour is the one compared with, in the maps that are cared for.
    const uint32_t care = map_mask(registers.graphics[k_gr_colour_dont_care]);
    const uint32_t differs = (m_latch ^ map_mask(registers.graphics[k_gr_colour_compare])) & care;
    return static_cast<uint8_t>(~(differs | differs >> 8 | differs >> 16 | differs >> 24));
}

void PlanarMemory::write(const Registers& registers, const Dispi& dispi, uint64_t offset, uint8_t value) {
    Place place = place_of(registers, dispi, offset);
    if (place.kind == Place::Kind::nowhere) {
        return;
    }
    const unsigned map_mask_register = registers.sequencer[k_sr_map_mask] & 0x0f;
    if (place.kind == Place::Kind::linear) {
        const bool is_dispi = dispi.enabled() && dispi.bits_per_pixel() != 4;
        if (is_dispi || (map_mask_register >> (place.index & 3) & 1) != 0) {
            m_vram[place.index] = static_cast<std::byte>(value);
            mark(place.index);
        }
        return;
    }
    unsigned maps = map_mask_register;
    if ((registers.sequencer[k_sr_memory_mode] & k_memory_mode_sequential) == 0) {
        maps &= (place.index & 1) != 0 ? 0b1010U : 0b0101U;
        place.index /= 2;
    }
    write_planes(registers, place.index % place.map_bytes, map_mask(maps), value);
}

// Write modes 0 to 3. enabled: 0xff in each map that is written.
void PlanarMemory::write_planes(const Registers& registers, uint64_t index, uint32_t enabled, uint8_t value) {
    const unsigned mode = registers.graphics[k_gr_mode] & 3;
    const uint8_t rotated = std::rotr(value, registers.graphics[k_gr_data_rotate] & 7);
    const uint32_t set_reset = map_mask(registers.graphics[k_gr_set_reset]);
    uint32_t bits = to_all_maps(registers.graphics[k_gr_bit_mask]);
    uint32_t data = 0;
    switch (mode) {
        case 0: {
            const uint32_t chosen = map_mask(registers.graphics[k_gr_enable_set_reset]);
            data = (to_all_maps(rotated) & ~chosen) | (set_reset & chosen);
            break;
        }
        case 1: data = m_latch; break;
        case 2: data = map_mask(value & 0x0f); break;
        default:
            bits &= to_all_maps(rotated);
            data = set_reset;
            break;
    }
    if (mode != 1) {
        switch (registers.graphics[k_gr_data_rotate] >> 3 & 3) {
            case 1: data &= m_latch; break;
            case 2: data |= m_latch; break;
            case 3: data ^= m_latch; break;
            default: break;
        }
        data = (data & bits) | (m_latch & ~bits);
    }
    store(index, (data & enabled) | (fetch(index) & ~enabled));
}

void PlanarMemory::save(StateWriter& writer) const { writer.put(m_latch); }

void PlanarMemory::load(StateReader& reader) {
    reader.get(m_latch);
    mark_all();
}

}  // namespace skep::vga
