// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/boot_screen.hpp"

#include "devices/pci/pci_bus.hpp"
#include "devices/video/dispi.hpp"

namespace skep {
namespace {

constexpr uint16_t k_width = 1024, k_height = 768, k_depth = 32;
constexpr uint16_t k_dispi_index = 0x1ce, k_dispi_data = 0x1d0, k_attribute_port = 0x3c0;
constexpr uint8_t k_palette_address_source = 0x20;  // the screen is on
constexpr unsigned k_bar0 = 0x10;

}  // namespace

BootScreen set_boot_mode(IoSpace& ports, PciBus& bus, PciAddress display) {
    const auto set = [&](uint16_t index, uint16_t value) {
        ports.write(k_dispi_index, 2, index);
        ports.write(k_dispi_data, 2, value);
    };
    set(vga::k_dispi_enable, 0);
    set(vga::k_dispi_xres, k_width);
    set(vga::k_dispi_yres, k_height);
    set(vga::k_dispi_bpp, k_depth);
    set(vga::k_dispi_enable, vga::k_dispi_enabled | vga::k_dispi_lfb_enabled);
    ports.write(k_attribute_port, 1, k_palette_address_source);
    return {.address = bus.config_read(display, k_bar0, 4) & ~15U,
            .bytes = k_width * k_height * (k_depth / 8),
            .width = k_width,
            .height = k_height};
}

}  // namespace skep
