// SPDX-License-Identifier: GPL-3.0-or-later
// A display adapter on a bus, its screen with one viewer, and what firmware does to set a mode.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <vector>

#include "devices/pci/pci_bus.hpp"
#include "devices/video/vga_adapter.hpp"
#include "tests/support/fake_machine.hpp"

namespace skep::test {

struct VgaMachine : FakeMachine {
    static constexpr PciAddress k_address{1, 0};
    static constexpr uint64_t k_vram_bytes = 1 << 20;
    static constexpr uint64_t k_frame_buffer = 0xc000'0000;
    static constexpr uint64_t k_registers = 0xc100'0000;
    static constexpr uint64_t k_window = 0xa'0000;
    static constexpr uint64_t k_text_window = 0xb'8000;

    explicit VgaMachine(uint64_t vram_bytes = k_vram_bytes) : bus(context), vram(*memory->add_device_memory(vram_bytes)) {
        context.pci = &bus;
        bus.reset();
        memory->unmap(k_window, vga::k_window_bytes);
        adapter = std::make_unique<VgaAdapter>(context, k_address, VgaConfig{.vram = vram, .rom = {}}, log, screen);
        adapter->reset();
        bus.config_write(k_address, 0x10, 4, k_frame_buffer);
        bus.config_write(k_address, 0x18, 4, k_registers);
        bus.config_write(k_address, 0x04, 2, 7);
        view = std::make_unique<Screen::View>(screen);
    }
    ~VgaMachine() { view.reset(); }

    // Takes the saved state of another one's adapter; false when something of it is wrong or left.
    [[nodiscard]] bool become(const VgaMachine& from) {
        update = view->take();
        StateWriter writer;
        from.adapter->save(writer);
        StateReader reader(writer.bytes());
        adapter->load(reader);
        return reader.ok() && reader.at_end();
    }

    void out(uint16_t port, uint8_t value) { ports.write(port, 1, value); }
    uint8_t in(uint16_t port) { return static_cast<uint8_t>(ports.read(port, 1)); }
    void indexed(uint16_t port, uint8_t index, uint8_t value) { ports.write(port, 2, index | value << 8); }
    void attribute(uint8_t index, uint8_t value) {
        in(0x3da);
        out(0x3c0, index);
        out(0x3c0, value);
    }
    void dispi(uint16_t index, uint16_t value) {
        ports.write(0x1ce, 2, index);
        ports.write(0x1cf, 2, value);
    }
    uint16_t dispi(uint16_t index) {
        ports.write(0x1ce, 2, index);
        return static_cast<uint16_t>(ports.read(0x1cf, 2));
    }
    void colour(uint8_t index, uint8_t red, uint8_t green, uint8_t blue) {
        out(0x3c8, index);
        for (const uint8_t part : {red, green, blue}) {
            out(0x3c9, part);
        }
    }
    void screen_on() {
        in(0x3da);
        out(0x3c0, 0x20);
    }
    // A linear mode by the dispi.
    void linear_mode(uint16_t width, uint16_t height, uint16_t depth) {
        dispi(4, 0);
        dispi(1, width);
        dispi(2, height);
        dispi(3, depth);
        dispi(4, 0x41);
        screen_on();
    }
    // `columns` by `rows` characters of 8 x 4 dots, the lines' colours as a VGA BIOS sets them: attribute n is colour n,
    // colour n has blue 4n.
    void text_mode(uint8_t columns, uint8_t rows, uint8_t lines = 4) {
        common_mode(0x00);
        indexed(0x3c4, 1, 0x01);
        indexed(0x3c4, 2, 0x03);
        indexed(0x3c4, 4, 0x02);
        indexed(0x3ce, 5, 0x10);
        indexed(0x3ce, 6, 0x0e);
        crtc(columns, static_cast<uint16_t>(rows * lines));
        indexed(0x3d4, 0x09, static_cast<uint8_t>(lines - 1));
        indexed(0x3d4, 0x0a, 0x20);
        indexed(0x3d4, 0x14, 0x1f);
        screen_on();
    }
    // Graphics of `groups` of 8 dots by `lines`, 16 colours in four maps, at 0xa0000.
    void planar_mode(uint8_t groups, uint16_t lines) {
        common_mode(0x01);
        indexed(0x3c4, 1, 0x01);
        indexed(0x3c4, 2, 0x0f);
        indexed(0x3c4, 4, 0x06);
        indexed(0x3ce, 5, 0x00);
        indexed(0x3ce, 6, 0x05);
        indexed(0x3ce, 8, 0xff);
        crtc(groups, lines);
        screen_on();
    }
    void common_mode(uint8_t attribute_mode) {
        dispi(4, 0);
        out(0x3c2, 0x67);
        for (uint8_t i = 0; i < 16; ++i) {
            attribute(i, i);
            colour(i, 0, 0, i * 4);
        }
        attribute(0x10, attribute_mode);
        attribute(0x12, 0x0f);
        indexed(0x3ce, 8, 0xff);
        indexed(0x3d4, 0x11, 0);
        indexed(0x3d4, 0x17, 0xe3);
        indexed(0x3d4, 0x18, 0xff);
    }
    void crtc(uint8_t columns, uint16_t lines) {
        indexed(0x3d4, 0x01, columns - 1);
        indexed(0x3d4, 0x12, static_cast<uint8_t>(lines - 1));
        indexed(0x3d4, 0x07, static_cast<uint8_t>(0x10 | ((lines - 1) >> 7 & 2) | ((lines - 1) >> 3 & 0x40)));
        indexed(0x3d4, 0x09, 0x40);
        indexed(0x3d4, 0x13, columns / 2);
        indexed(0x3d4, 0x0c, 0);
        indexed(0x3d4, 0x0d, 0);
    }
    static uint32_t blue(unsigned index) { return (index * 4) << 2 | (index * 4) >> 4; }

    // Pixels as the viewer sees them now.
    std::vector<uint32_t> row(uint32_t y) {
        update = view->take();
        std::vector<uint32_t> pixels;
        view->read([&](const Surface& surface) { pixels.assign(surface.row(y).begin(), surface.row(y).end()); });
        return pixels;
    }
    ScreenSize size() {
        update = view->take();
        return update.surface == nullptr ? ScreenSize{} : update.surface->size();
    }

    PciBus bus;
    std::span<std::byte> vram;
    FakeWriteLog log;
    Screen screen;
    std::unique_ptr<VgaAdapter> adapter;
    std::unique_ptr<Screen::View> view;
    Screen::Update update;
};

}  // namespace skep::test
