// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/boot_screen.hpp"

#include "app/worker/seat_devices.hpp"
#include "devices/pci/pci_bus.hpp"
#include "devices/video/dispi.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

struct Size {
    uint16_t width = 1024, height = 768;
};

constexpr uint32_t k_pixel_bytes = vga::k_linear_depth / 8;
constexpr unsigned k_bar0 = 0x10;

uint32_t frame_buffer(PciBus& bus, PciAddress display) { return bus.config_read(display, k_bar0, 4) & ~15U; }

Size size_for(const MultibootVideo& wish) {
    constexpr uint32_t k_least = 320, k_multiple = 8;
    const bool is_there = wish.width >= k_least && wish.width % k_multiple == 0 && wish.width <= vga::k_dispi_max_xres &&
                          wish.height != 0 && wish.height <= vga::k_dispi_max_yres &&
                          uint64_t{wish.width} * wish.height * k_pixel_bytes <= k_display_memory_bytes;
    return is_there ? Size{static_cast<uint16_t>(wish.width), static_cast<uint16_t>(wish.height)} : Size{};
}

}  // namespace

BootScreen set_boot_mode(IoSpace& ports, PciBus& bus, PciAddress display) {
    constexpr Size k_size;
    vga::set_linear_mode(ports, k_size.width, k_size.height);
    return {.address = frame_buffer(bus, display),
            .bytes = uint32_t{k_size.width} * k_size.height * k_pixel_bytes,
            .width = k_size.width,
            .height = k_size.height};
}

MultibootScreen set_multiboot_mode(Machine& machine, PciBus& bus, PciAddress display, std::optional<vga::Font> font,
                                   const std::optional<MultibootVideo>& wish) {
    if (wish && wish->mode == MultibootVideo::Mode::graphics) {
        const Size size = size_for(*wish);
        vga::set_linear_mode(machine.ports(), size.width, size.height);
        return {.mode = {.width = size.width, .height = size.height, .depth = vga::k_linear_depth}, .address = frame_buffer(bus, display)};
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
