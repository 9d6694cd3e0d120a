// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/boot_screen.hpp"

#include "app/worker/seat_devices.hpp"
#include "devices/pci/pci_bus.hpp"
#include "devices/video/dispi.hpp"
#include "devices/video/vga_registers.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

struct Size {
    uint16_t width = 1024, height = 768;
};

constexpr uint16_t k_depth = 32;
constexpr uint16_t k_dispi_index = 0x1ce, k_dispi_data = 0x1d0, k_attribute_port = 0x3c0;
constexpr unsigned k_bar0 = 0x10;

// Where its frame buffer is.
uint32_t set_linear_mode(IoSpace& ports, PciBus& bus, PciAddress display, Size size) {
    const auto set = [&](uint16_t index, uint16_t value) {
        ports.write(k_dispi_index, 2, index);
        ports.write(k_dispi_data, 2, value);
    };
    set(vga::k_dispi_enable, 0);
    set(vga::k_dispi_xres, size.width);
    set(vga::k_dispi_yres, size.height);
    set(vga::k_dispi_bpp, k_depth);
    set(vga::k_dispi_enable, vga::k_dispi_enabled | vga::k_dispi_lfb_enabled);
    ports.write(k_attribute_port, 1, vga::k_palette_address_source);  // the screen is on
    return bus.config_read(display, k_bar0, 4) & ~15U;
}

Size size_for(const MultibootVideo& wish) {
    constexpr uint32_t k_least = 320, k_multiple = 8;
    const bool is_there = wish.width >= k_least && wish.width % k_multiple == 0 && wish.width <= vga::k_dispi_max_xres &&
                          wish.height != 0 && wish.height <= vga::k_dispi_max_yres &&
                          uint64_t{wish.width} * wish.height * (k_depth / 8) <= k_display_memory_bytes;
    return is_there ? Size{static_cast<uint16_t>(wish.width), static_cast<uint16_t>(wish.height)} : Size{};
}

}  // namespace

BootScreen set_boot_mode(IoSpace& ports, PciBus& bus, PciAddress display) {
    constexpr Size k_size;
    return {.address = set_linear_mode(ports, bus, display, k_size),
            .bytes = uint32_t{k_size.width} * k_size.height * (k_depth / 8),
            .width = k_size.width,
            .height = k_size.height};
}

MultibootScreen set_multiboot_mode(Machine& machine, PciBus& bus, PciAddress display, std::optional<vga::Font> font,
                                   const std::optional<MultibootVideo>& wish) {
    if (wish && wish->mode == MultibootVideo::Mode::graphics) {
        const Size size = size_for(*wish);
        return {.mode = {.width = size.width, .height = size.height, .depth = k_depth},
                .address = set_linear_mode(machine.ports(), bus, display, size)};
    }
    if (font) {
        vga::set_text_mode(machine.ports(), machine.mmio(), *font);
    } else {
        log_warning("display: the VGA BIOS has no font that is known, so the kernel's text will not be seen");
    }
    return {.mode = {.mode = MultibootVideo::Mode::text, .width = vga::k_text_columns, .height = vga::k_text_rows, .depth = 16},
            .address = vga::k_text_address};
}

}  // namespace skep
