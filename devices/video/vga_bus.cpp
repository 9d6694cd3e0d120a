// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/vga_bus.hpp"

#include "vmm/base/bits.hpp"

namespace skep::vga {
namespace {

constexpr uint16_t k_first_port = 0x3b0;
constexpr uint64_t k_port_count = 0x30;
constexpr uint16_t k_first_dispi_port = 0x1ce;
constexpr uint64_t k_dispi_ports = 4;  // index; data; from 0x1d0 data again, where it is aligned
constexpr uint64_t k_window = 0xa'0000;

constexpr uint64_t k_area_ports = 0x400, k_area_ports_end = 0x420;
constexpr uint16_t k_area_first_port = 0x3c0;
constexpr uint64_t k_area_dispi = 0x500, k_area_dispi_end = k_area_dispi + 2 * k_dispi_count;
constexpr uint64_t k_area_extension_size = 0x600, k_area_byte_order = 0x604;
constexpr uint32_t k_extension_size = 8;
constexpr uint32_t k_little_endian = 0x1e1e'1e1e;

}  // namespace

LegacyRanges::LegacyRanges(const DeviceContext& context, IoGate& gate, VgaCore& core)
    : m_ports(core),
      m_dispi_ports(core),
      m_window(core),
      m_port_claim(context.ports.claim({k_first_port, k_port_count, 1, 1}, m_ports, gate)),
      m_dispi_claim(context.ports.claim({k_first_dispi_port, k_dispi_ports, 1, 2}, m_dispi_ports, gate)),
      m_window_claim(context.mmio.claim({k_window, k_window_bytes, 1, 8}, m_window, gate)) {}

uint64_t LegacyRanges::Ports::io_read(uint64_t offset, unsigned /*size*/) {
    return core.port_read(static_cast<uint16_t>(k_first_port + offset));
}

void LegacyRanges::Ports::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    core.port_write(static_cast<uint16_t>(k_first_port + offset), static_cast<uint8_t>(value));
}

// Registers have 16 bits; a byte is the low half.
uint64_t LegacyRanges::DispiPorts::io_read(uint64_t offset, unsigned size) {
    const uint16_t value = offset == 0 ? core.dispi_selected() : core.dispi_read(core.dispi_selected());
    return value & all_ones(size);
}

void LegacyRanges::DispiPorts::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    if (offset == 0) {
        core.dispi_select(static_cast<uint16_t>(value));
    } else {
        core.dispi_write(core.dispi_selected(), static_cast<uint16_t>(value));
    }
}

uint64_t LegacyRanges::Window::io_read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= uint64_t{core.window_read(offset + i)} << (8 * i);
    }
    return value;
}

void LegacyRanges::Window::io_write(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; ++i) {
        core.window_write(offset + i, static_cast<uint8_t>(value >> (8 * i)));
    }
}

namespace {

uint8_t read_byte(VgaCore& core, const Edid& edid, uint64_t offset) {
    if (offset < k_area_ports) {
        return offset < edid.size() ? edid[offset] : 0;
    }
    if (offset < k_area_ports_end) {
        return core.port_read(static_cast<uint16_t>(k_area_first_port + offset - k_area_ports));
    }
    if (offset >= k_area_dispi && offset < k_area_dispi_end) {
        const uint16_t value = core.dispi_read(static_cast<unsigned>((offset - k_area_dispi) / 2));
        return static_cast<uint8_t>((offset & 1) != 0 ? value >> 8 : value);
    }
    if (offset >= k_area_extension_size && offset < k_area_extension_size + 4) {
        return static_cast<uint8_t>(k_extension_size >> (8 * (offset - k_area_extension_size)));
    }
    if (offset >= k_area_byte_order && offset < k_area_byte_order + 4) {
        return static_cast<uint8_t>(k_little_endian);
    }
    return 0xff;
}

}  // namespace

uint64_t register_area_read(VgaCore& core, const Edid& edid, uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= uint64_t{read_byte(core, edid, offset + i)} << (8 * i);
    }
    return value;
}

void register_area_write(VgaCore& core, uint64_t offset, unsigned size, uint64_t value) {
    if (offset >= k_area_ports && offset + size <= k_area_ports_end) {
        for (unsigned i = 0; i < size; ++i) {
            core.port_write(static_cast<uint16_t>(k_area_first_port + offset - k_area_ports + i),
                            static_cast<uint8_t>(value >> (8 * i)));
        }
    } else if (offset >= k_area_dispi && offset + size <= k_area_dispi_end) {
        for (unsigned i = 0; i < size; i += 2) {
            core.dispi_write(static_cast<unsigned>((offset - k_area_dispi + i) / 2), static_cast<uint16_t>(value >> (8 * i)));
        }
    }
}

}  // namespace skep::vga
