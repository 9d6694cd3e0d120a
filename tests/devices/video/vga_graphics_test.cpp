// SPDX-License-Identifier: GPL-3.0-or-later
// Graphics modes: the window's write and read modes, what the maps look like on the screen, linear modes and damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/devices/video/vga_fixture.hpp"

namespace skep::test {
namespace {

using testing::Each;
using testing::ElementsAre;

struct VgaGraphicsTest : testing::Test, VgaMachine {
    uint32_t maps(uint64_t address) const {  // the four bytes at an address
        uint32_t value = 0;
        std::memcpy(&value, &vram[address * 4], 4);
        return value;
    }
    void write(uint64_t offset, uint8_t value) { mmio.write(k_window + offset, 1, value); }
    uint8_t read(uint64_t offset) { return static_cast<uint8_t>(mmio.read(k_window + offset, 1)); }
    void graphics(uint8_t index, uint8_t value) { indexed(0x3ce, index, value); }
    // The guest writes pixels into its frame buffer by itself.
    void draw(uint64_t offset, uint32_t pixel) {
        std::memcpy(&vram[offset], &pixel, 4);
        log.write(offset);
    }
};

TEST_F(VgaGraphicsTest, write_mode_0_rotates_sets_and_masks) {
    planar_mode(4, 8);
    write(0, 0xf0);
    EXPECT_EQ(maps(0), 0xf0f0'f0f0U);
    graphics(3, 0x04);  // rotate by 4
    write(1, 0xf0);
    EXPECT_EQ(maps(1), 0x0f0f'0f0fU);
    graphics(3, 0x00);
    graphics(0, 0x05);  // set/reset 0101 in maps 0 and 1
    graphics(1, 0x03);
    write(2, 0x3c);
    EXPECT_EQ(maps(2), 0x3c3c'00ffU);
    graphics(1, 0x00);
    graphics(8, 0x0f);
    read(2);  // fills the latches
    write(2, 0x00);
    EXPECT_EQ(maps(2), 0x3030'00f0U);
}

TEST_F(VgaGraphicsTest, logic_functions_combine_with_the_latches) {
    planar_mode(4, 8);
    write(0, 0xcc);
    const auto combined = [&](uint8_t function) {
        graphics(3, static_cast<uint8_t>(function << 3));
        read(0);
        write(1, 0xaa);
        return maps(1) & 0xff;
    };
    EXPECT_EQ(combined(0), 0xaaU);
    EXPECT_EQ(combined(1), 0x88U);
    EXPECT_EQ(combined(2), 0xeeU);
    EXPECT_EQ(combined(3), 0x66U);
}

TEST_F(VgaGraphicsTest, write_mode_1_copies_and_2_and_3_fill_with_a_colour) {
    planar_mode(4, 8);
    write(0, 0x5a);
    graphics(5, 0x01);
    read(0);
    write(9, 0xff);
    EXPECT_EQ(maps(9), 0x5a5a'5a5aU);
    graphics(5, 0x02);
    write(3, 0x09);
    EXPECT_EQ(maps(3), 0xff00'00ffU);
    graphics(5, 0x03);
    graphics(0, 0x06);
    graphics(8, 0x3c);
    read(20);  // latches of zeros
    write(4, 0xf0);
    EXPECT_EQ(maps(4), 0x0030'3000U);
}

TEST_F(VgaGraphicsTest, map_mask_protects_maps) {
    planar_mode(4, 8);
    indexed(0x3c4, 2, 0x04);
    write(0, 0xff);
    EXPECT_EQ(maps(0), 0x00ff'0000U);
}

TEST_F(VgaGraphicsTest, read_modes_pick_a_map_or_compare_colours) {
    planar_mode(4, 8);
    graphics(5, 0x02);
    graphics(8, 0x0f);
    write(0, 0x05);  // low four pixels of colour 5
    graphics(8, 0xff);
    graphics(5, 0x00);
    graphics(4, 2);
    EXPECT_EQ(read(0), 0x0f);
    graphics(4, 1);
    EXPECT_EQ(read(0), 0x00);
    graphics(5, 0x08);
    graphics(2, 0x05);
    graphics(7, 0x0f);
    EXPECT_EQ(read(0), 0x0f);
    graphics(7, 0x00);
    EXPECT_EQ(read(0), 0xff) << "no map cared for: everything is equal";
}

TEST_F(VgaGraphicsTest, memory_disabled_or_beyond_the_chosen_window_reads_as_ones) {
    planar_mode(4, 8);
    write(0, 0x12);
    EXPECT_EQ(read(0x1'0000), 0xff);
    graphics(6, 0x0d);  // 0xb8000
    EXPECT_EQ(read(0), 0xff);
    EXPECT_EQ(read(0x1'8000), 0x12);
    out(0x3c2, 0x65);
    EXPECT_EQ(read(0x1'8000), 0xff);
}

TEST_F(VgaGraphicsTest, sixteen_colours_come_from_four_maps) {
    planar_mode(2, 4);
    graphics(5, 0x02);
    graphics(8, 0x80);
    write(0, 9);
    graphics(8, 0x01);
    write(3, 15);
    EXPECT_EQ(size(), (ScreenSize{16, 4}));
    EXPECT_EQ(row(0)[0], blue(9));
    EXPECT_EQ(row(0)[1], blue(0));
    EXPECT_EQ(row(1)[15], blue(15));
}

TEST_F(VgaGraphicsTest, split_screen_begins_anew_at_address_0) {
    planar_mode(2, 8);
    graphics(5, 0x02);
    write(0, 7);
    indexed(0x3d4, 0x0d, 100);
    indexed(0x3d4, 0x18, 3);
    indexed(0x3d4, 0x07, 0);
    indexed(0x3d4, 0x09, 0);
    EXPECT_EQ(row(3)[0], blue(0));
    EXPECT_EQ(row(4)[0], blue(7));
}

TEST_F(VgaGraphicsTest, panning_shifts_by_dots) {
    planar_mode(2, 4);
    graphics(5, 0x02);
    graphics(8, 0x20);
    write(0, 3);
    attribute(0x13, 2);
    screen_on();
    EXPECT_EQ(row(0)[0], blue(3));
    EXPECT_EQ(row(0)[1], blue(0));
}

TEST_F(VgaGraphicsTest, mode_13h_has_256_colours_of_two_dots_and_two_lines) {
    planar_mode(80, 400);
    indexed(0x3c4, 4, 0x0e);
    graphics(5, 0x40);
    indexed(0x3d4, 0x09, 0x41);
    indexed(0x3d4, 0x14, 0x40);
    indexed(0x3d4, 0x17, 0xa3);
    colour(0xc8, 63, 0, 0);
    write(321, 0xc8);
    EXPECT_EQ(size(), (ScreenSize{640, 400}));
    EXPECT_EQ(row(2)[2], 0xff'0000U);
    EXPECT_EQ(row(3)[3], 0xff'0000U);
    EXPECT_EQ(row(2)[1], 0U);
    EXPECT_EQ(row(4)[2], 0U);
}

TEST_F(VgaGraphicsTest, cga_graphics_interleave_rows_and_pairs_of_bits) {
    planar_mode(40, 400);
    indexed(0x3c4, 1, 0x09);
    indexed(0x3c4, 2, 0x03);
    indexed(0x3c4, 4, 0x02);
    graphics(5, 0x30);
    graphics(6, 0x0f);
    indexed(0x3d4, 0x09, 0xc1);
    indexed(0x3d4, 0x17, 0xa2);
    write(0x1'8000, 0xb1);            // row 0: pixels 2 3 0 1
    write(0x1'8000 + 0x2000, 0xc0);   // row 1: pixel 3
    EXPECT_EQ(size(), (ScreenSize{640, 400}));
    const std::vector<uint32_t> first = row(0);
    EXPECT_THAT((std::vector<uint32_t>{first[0], first[2], first[4], first[6], first[8]}),
                ElementsAre(blue(2), blue(3), blue(0), blue(1), blue(0)));
    EXPECT_EQ(row(2)[0], blue(3));
    EXPECT_EQ(row(4)[0], blue(0));
}

TEST_F(VgaGraphicsTest, linear_modes_show_every_depth) {
    struct Case {
        uint16_t depth;
        uint32_t stored;
        uint32_t shown;
    };
    for (const Case& each : {Case{15, 0x7fff, 0xff'ffff}, Case{15, 0x001f, 0x0000ff}, Case{16, 0xf800, 0xff'0000},
                             Case{16, 0x07e0, 0x00ff00}, Case{24, 0x123456, 0x12'3456}, Case{32, 0xff123456, 0x12'3456}}) {
        linear_mode(64, 16, each.depth);
        update = view->take();
        draw(0, each.stored);
        EXPECT_EQ(row(0)[0], each.shown) << each.depth;
    }
    linear_mode(64, 16, 8);
    colour(7, 0, 63, 0);
    draw(0, 7);
    EXPECT_EQ(row(0)[0], 0x00ff00U);
}

TEST_F(VgaGraphicsTest, still_screen_is_no_damage_and_a_drawn_pixel_is_one) {
    linear_mode(256, 64, 32);
    update = view->take();
    EXPECT_TRUE(view->take().damage.empty());
    draw(1024 * 10 + 4 * 30, 0xffffff);
    update = view->take();
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{30, 10, 31, 11}));
    log.write(1024 * 10);
    EXPECT_TRUE(view->take().damage.empty()) << "written, but with what was there";
    draw(1024 * 64, 1);
    EXPECT_TRUE(view->take().damage.empty()) << "not on the screen";
}

TEST_F(VgaGraphicsTest, page_flip_shows_the_other_half) {
    linear_mode(64, 16, 32);
    draw(64 * 4 * 16, 0xabcdef);
    update = view->take();
    dispi(9, 16);
    EXPECT_EQ(row(0)[0], 0xabcdefU);
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{0, 0, 1, 1}));
}

TEST_F(VgaGraphicsTest, entering_a_mode_clears_the_memory_unless_told_not_to) {
    linear_mode(64, 16, 32);
    draw(0, 0xffffff);
    dispi(4, 0);
    dispi(4, 0xc1);
    EXPECT_EQ(row(0)[0], 0xffffffU);
    dispi(4, 0);
    dispi(4, 0x41);
    EXPECT_EQ(row(0)[0], 0U);
}

TEST_F(VgaGraphicsTest, window_reaches_the_linear_memory_by_banks) {
    linear_mode(256, 128, 32);
    dispi(5, 1);
    write(4, 0x7f);
    EXPECT_EQ(vram[0x1'0004], std::byte{0x7f});
    EXPECT_EQ(read(4), 0x7f);
    EXPECT_EQ(row(64)[1], 0x7fU);
}

TEST_F(VgaGraphicsTest, no_mode_reaches_beyond_the_memory) {
    for (const uint16_t depth : {4, 8, 15, 16, 24, 32, 7, 0xffff}) {
        linear_mode(0xffff, 0xffff, depth);
        dispi(6, 0xffff);
        dispi(8, 0xffff);
        dispi(9, 0xffff);
        const ScreenSize shown = size();
        EXPECT_TRUE(shown.acceptable()) << depth;
        EXPECT_LE(uint64_t{dispi(9)} + dispi(2), dispi(7)) << depth;
    }
}

TEST_F(VgaGraphicsTest, dispi_tells_its_limits_and_memory) {
    EXPECT_EQ(dispi(0), 0xb0c5);
    EXPECT_EQ(dispi(10), k_vram_bytes >> 16);
    dispi(4, 2);
    EXPECT_EQ(dispi(3), 32);
    EXPECT_GE(dispi(1), 1920);
    dispi(4, 0);
    ports.write(0x1ce, 2, 1);
    ports.write(0x1d0, 2, 1024);
    EXPECT_EQ(ports.read(0x1d0, 2), 1024U) << "the aligned data port";
    EXPECT_EQ(mmio.read(k_registers + 0x500, 2), 0xb0c5U);
    mmio.write(k_registers + 0x502, 2, 800);
    EXPECT_EQ(dispi(1), 800);
}

TEST_F(VgaGraphicsTest, register_area_shows_edid_ports_and_byte_order) {
    EXPECT_EQ(mmio.read(k_registers, 4), 0xffff'ff00U);
    unsigned sum = 0;
    for (unsigned i = 0; i < 128; ++i) {
        sum += static_cast<unsigned>(mmio.read(k_registers + i, 1));
    }
    EXPECT_EQ(sum % 256, 0U);
    EXPECT_EQ(mmio.read(k_registers + 56, 1) | (mmio.read(k_registers + 58, 1) & 0xf0) << 4, 1280U);
    EXPECT_EQ(mmio.read(k_registers + 0x604, 4), 0x1e1e'1e1eU);
    mmio.write(k_registers + 0x404, 2, 0x0f02);
    out(0x3c4, 2);
    EXPECT_EQ(in(0x3c5), 0x0f);
}

TEST_F(VgaGraphicsTest, frame_buffer_is_memory_and_follows_its_bar) {
    EXPECT_TRUE(memory->write_value<uint32_t>(k_frame_buffer + 8, 0x1234));
    EXPECT_EQ(static_cast<uint8_t>(vram[8]), 0x34);
    bus.config_write(k_address, 0x10, 4, 0xd000'0000);
    EXPECT_FALSE(memory->read_value<uint32_t>(k_frame_buffer));
    EXPECT_EQ(memory->read_value<uint32_t>(0xd000'0008), 0x1234U);
    bus.config_write(k_address, 0x04, 2, 0);
    EXPECT_FALSE(memory->read_value<uint32_t>(0xd000'0000));
}

TEST_F(VgaGraphicsTest, frame_buffer_over_ram_leaves_the_ram) {
    ASSERT_TRUE(memory->write_value<uint32_t>(0x8'0000, 77));
    bus.config_write(k_address, 0x10, 4, 0);
    bus.config_write(k_address, 0x04, 2, 0);
    bus.config_write(k_address, 0x04, 2, 7);
    EXPECT_EQ(memory->read_value<uint32_t>(0x8'0000), 77U);
}

TEST_F(VgaGraphicsTest, retrace_comes_and_goes_with_time) {
    planar_mode(80, 480);
    unsigned changes = 0;
    uint8_t before = in(0x3da) & 8;
    for (int step = 0; step < 1000; ++step) {
        clock.advance(100'000);
        const uint8_t now = in(0x3da) & 8;
        changes += now != before ? 1 : 0;
        before = now;
    }
    EXPECT_GT(changes, 8U);
    EXPECT_LT(changes, 20U);
}

TEST_F(VgaGraphicsTest, protected_timing_keeps_all_but_line_compare) {
    planar_mode(80, 480);
    indexed(0x3d4, 0x11, 0x80);
    indexed(0x3d4, 0x01, 3);
    indexed(0x3d4, 0x07, 0xff);
    out(0x3d4, 0x01);
    EXPECT_EQ(in(0x3d5), 79);
    out(0x3d4, 0x07);
    EXPECT_EQ(in(0x3d5) & 0x10, 0x10);
    EXPECT_NE(in(0x3d5), 0xff);
}

TEST_F(VgaGraphicsTest, dac_reads_back_in_turn_and_has_8_bits_by_request) {
    colour(3, 10, 20, 30);
    out(0x3c7, 3);
    EXPECT_THAT((std::vector<int>{in(0x3c9), in(0x3c9), in(0x3c9)}), ElementsAre(10, 20, 30));
    EXPECT_EQ(in(0x3c7), 3);
    linear_mode(64, 16, 8);
    dispi(4, 0x61);
    colour(0, 0x12, 0xfe, 0x80);
    EXPECT_EQ(row(0)[0], 0x12fe80U);
}

TEST_F(VgaGraphicsTest, picture_is_the_same_in_another_machine) {
    linear_mode(64, 16, 32);
    draw(64 * 4 * 3, 0x00ff88);
    VgaMachine other;
    ASSERT_TRUE(other.become(*this));
    EXPECT_EQ(other.row(3)[0], 0x00ff88U);
    EXPECT_EQ(other.size(), (ScreenSize{64, 16}));
}

}  // namespace
}  // namespace skep::test
