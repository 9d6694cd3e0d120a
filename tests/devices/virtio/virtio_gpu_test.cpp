// SPDX-License-Identifier: GPL-3.0-or-later
// The GPU's commands, its picture and cursor, the window's size, and the VGA behind it.
#include "devices/virtio/virtio_gpu.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "devices/virtio/virtio_vga.hpp"
#include "tests/support/virtio_driver.hpp"

namespace skep::test {
namespace {

using gpu::Response;
using testing::ElementsAre;

constexpr GuestAddress k_command = VirtioDriver::k_buffers, k_answer = k_command + 0x1000, k_backing = 0x9'0000;
constexpr uint32_t k_bgrx = 2, k_bgra = 1;

struct VirtioGpuTest : testing::Test, FakeMachine {
    VirtioGpuTest() : vram(*memory->add_device_memory(256 << 10)) {
        context.pci = &bus;
        bus.reset();
        vga = std::make_unique<VirtioVga>(context, VirtioDriver::k_address, VgaConfig{.vram = vram, .rom = {}}, log, screen);
        vga->reset();
        driver = std::make_unique<VirtioDriver>(*this, bus);
        view = std::make_unique<Screen::View>(screen);
        EXPECT_TRUE(driver->negotiate(virtio::k_feature_version_1 | gpu::k_feature_edid));
        driver->set_up_queue(0);
        driver->set_up_queue(1);
        driver->driver_ok();
    }
    ~VirtioGpuTest() override { view.reset(); }

    template <typename Body>
    Response send(uint32_t type, const Body& body, uint16_t queue = 0) {
        gpu::Header header{};
        header.type = type;
        header.flags = gpu::k_flag_fence;
        header.fence_id = ++fence;
        EXPECT_TRUE(memory->write_value(k_command, header));
        EXPECT_TRUE(memory->write_value(k_command + sizeof header, body));
        const uint16_t before = driver->used_index(queue);
        driver->add(queue, 0, {{k_command, sizeof header + sizeof body, false}, {k_answer, 0x1000, true}});
        driver->kick(queue);
        EXPECT_EQ(driver->used_index(queue), static_cast<uint16_t>(before + 1));
        const auto answer = *memory->read_value<gpu::Header>(k_answer);
        EXPECT_EQ(answer.fence_id, fence);
        return static_cast<Response>(answer.type);
    }
    Response create(uint32_t id, uint32_t width, uint32_t height, uint32_t format = k_bgrx) {
        return send(gpu::k_resource_create_2d, gpu::ResourceCreate2d{id, format, width, height});
    }
    // In two pieces that do not follow one another.
    Response attach(uint32_t id, uint32_t bytes) {
        struct {
            gpu::AttachBacking command;
            gpu::MemoryEntry entries[2];
        } body{{id, 2}, {{k_backing, 64, 0}, {k_backing + 0x1'0000, bytes - 64, 0}}};
        return send(gpu::k_resource_attach_backing, body);
    }
    void set_pixel(uint64_t offset, uint32_t pixel) {
        EXPECT_TRUE(memory->write_value(offset < 64 ? k_backing + offset : k_backing + 0x1'0000 + offset - 64, pixel));
    }
    void show(uint32_t id, uint32_t width, uint32_t height) {
        EXPECT_EQ(create(id, width, height), Response::ok_nodata);
        EXPECT_EQ(attach(id, width * height * 4), Response::ok_nodata);
        EXPECT_EQ(send(gpu::k_set_scanout, gpu::SetScanout{{0, 0, width, height}, 0, id}), Response::ok_nodata);
        update = view->take();
    }
    Response transfer(uint32_t id, gpu::Rect rect, uint64_t offset) {
        return send(gpu::k_transfer_to_host_2d, gpu::TransferToHost2d{rect, offset, id, 0});
    }
    Response flush(uint32_t id, gpu::Rect rect) { return send(gpu::k_resource_flush, gpu::ResourceFlush{rect, id, 0}); }
    uint32_t pixel(uint32_t x, uint32_t y) {
        update = view->take();
        uint32_t value = 0;
        view->read([&](const Surface& surface) { value = surface.row(y)[x]; });
        return value;
    }

    PciBus bus{context};
    std::span<std::byte> vram;
    FakeWriteLog log;
    Screen screen;
    std::unique_ptr<VirtioVga> vga;
    std::unique_ptr<VirtioDriver> driver;
    std::unique_ptr<Screen::View> view;
    Screen::Update update;
    uint64_t fence = 0;
};

TEST_F(VirtioGpuTest, flushed_pixels_reach_the_screen_and_only_they_are_damage) {
    show(7, 16, 8);
    EXPECT_EQ(update.surface->size(), (ScreenSize{16, 8}));
    set_pixel((16 * 3 + 5) * 4, 0xff123456);
    EXPECT_EQ(transfer(7, {4, 3, 2, 1}, (16 * 3 + 4) * 4), Response::ok_nodata);
    EXPECT_TRUE(view->take().damage.empty()) << "nothing is shown before it is flushed";
    EXPECT_EQ(flush(7, {4, 3, 2, 1}), Response::ok_nodata);
    EXPECT_EQ(pixel(5, 3), 0x123456U);
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{4, 3, 6, 4}));
    EXPECT_TRUE(view->take().damage.empty());
}

TEST_F(VirtioGpuTest, whole_rows_are_transferred_across_pieces_of_memory) {
    show(7, 16, 8);
    for (uint32_t i = 0; i < 16 * 8; ++i) {
        set_pixel(uint64_t{i} * 4, i);
    }
    EXPECT_EQ(transfer(7, {0, 0, 16, 8}, 0), Response::ok_nodata);
    EXPECT_EQ(flush(7, {0, 0, 16, 8}), Response::ok_nodata);
    EXPECT_EQ(pixel(15, 0), 15U);
    EXPECT_EQ(pixel(0, 1), 16U);
    EXPECT_EQ(pixel(15, 7), 127U);
}

TEST_F(VirtioGpuTest, numbers_out_of_range_are_refused) {
    EXPECT_EQ(create(0, 8, 8), Response::err_invalid_resource_id);
    EXPECT_EQ(create(1, 0, 8), Response::err_invalid_parameter);
    EXPECT_EQ(create(1, 0xffff'ffff, 0xffff'ffff), Response::err_invalid_parameter);
    EXPECT_EQ(create(1, 8, 8, 5), Response::err_invalid_parameter);
    EXPECT_EQ(create(1, 8, 8), Response::ok_nodata);
    EXPECT_EQ(create(1, 8, 8), Response::err_invalid_resource_id);
    EXPECT_EQ(transfer(1, {0, 0, 8, 8}, 0), Response::err_unspec) << "no memory behind it";
    EXPECT_EQ(attach(1, 256), Response::ok_nodata);
    EXPECT_EQ(transfer(1, {0, 0, 8, 8}, 4), Response::err_unspec) << "beyond its end";
    EXPECT_EQ(transfer(1, {0, 0, 8, 8}, ~uint64_t{0} - 3), Response::err_unspec);
    EXPECT_EQ(transfer(1, {0xffff'fff8, 0, 16, 1}, 0), Response::err_invalid_parameter);
    EXPECT_EQ(flush(1, {0, 1, 8, 8}), Response::err_invalid_parameter);
    EXPECT_EQ(send(gpu::k_set_scanout, gpu::SetScanout{{0, 0, 9, 8}, 0, 1}), Response::err_invalid_parameter);
    EXPECT_EQ(send(gpu::k_set_scanout, gpu::SetScanout{{0, 0, 8, 8}, 1, 1}), Response::err_invalid_scanout_id);
    EXPECT_EQ(send(gpu::k_set_scanout, gpu::SetScanout{{0, 0, 8, 8}, 0, 2}), Response::err_invalid_resource_id);
    EXPECT_EQ(send(0x1234, gpu::ResourceId{}), Response::err_unspec);
}

TEST_F(VirtioGpuTest, host_memory_for_resources_is_limited) {
    uint32_t made = 0;
    while (made < 8 && create(made + 1, 4096, 2048) == Response::ok_nodata) {
        ++made;
    }
    EXPECT_EQ(made, 4U) << "of 32 MiB each";
    EXPECT_EQ(send(gpu::k_resource_unref, gpu::ResourceId{2, 0}), Response::ok_nodata);
    EXPECT_EQ(create(9, 4096, 2048), Response::ok_nodata);
}

TEST_F(VirtioGpuTest, window_size_reaches_the_driver_as_an_event) {
    ASSERT_TRUE(screen.suggest_size({1003, 700}));
    EXPECT_EQ(driver->device_config(0, 4), gpu::k_event_display);
    EXPECT_EQ(driver->isr() & 2, 2U);
    EXPECT_EQ(send(gpu::k_get_display_info, gpu::ResourceId{}), Response::ok_display_info);
    const auto info = *memory->read_value<gpu::DisplayInfo>(k_answer);
    EXPECT_EQ(info.displays[0].rect.width, 1000U);
    EXPECT_EQ(info.displays[0].rect.height, 700U);
    EXPECT_EQ(info.displays[0].enabled, 1U);
    EXPECT_EQ(info.displays[1].enabled, 0U);
    mmio.write(VirtioDriver::k_registers + 0x2004, 4, gpu::k_event_display);
    EXPECT_EQ(driver->device_config(0, 4), 0U);
    EXPECT_EQ(send(gpu::k_get_edid, gpu::GetEdid{}), Response::ok_edid);
    const auto edid = *memory->read_value<gpu::EdidAnswer>(k_answer);
    EXPECT_EQ(edid.edid[56] | (edid.edid[58] & 0xf0) << 4, 1000);
}

TEST_F(VirtioGpuTest, size_at_the_drivers_start_stays_a_mode_of_the_monitor) {
    const auto modes = [&] {
        EXPECT_EQ(send(gpu::k_get_edid, gpu::GetEdid{}), Response::ok_edid);
        const auto edid = *memory->read_value<gpu::EdidAnswer>(k_answer);
        std::vector<int> widths;
        for (size_t at = 54; at < 126; at += 18) {
            if ((edid.edid[at] | edid.edid[at + 1]) != 0) {
                widths.push_back(edid.edid[at + 2] | (edid.edid[at + 4] & 0xf0) << 4);
            }
        }
        return widths;
    };
    EXPECT_THAT(modes(), ElementsAre(1280));
    ASSERT_TRUE(screen.suggest_size({1600, 1200}));
    EXPECT_THAT(modes(), ElementsAre(1600, 1280));
    vga->pause();
    vga->resume();
    EXPECT_THAT(modes(), ElementsAre(1600, 1280));
}

TEST_F(VirtioGpuTest, size_wished_for_before_the_driver_is_what_it_begins_with) {
    driver->set_common(20, 1, 0);
    EXPECT_FALSE(screen.suggest_size({1000, 700})) << "the guest does not follow yet";
    EXPECT_TRUE(driver->negotiate(virtio::k_feature_version_1 | gpu::k_feature_edid));
    driver->set_up_queue(0);
    driver->set_up_queue(1);
    driver->driver_ok();
    EXPECT_EQ(driver->device_config(0, 4), 0U) << "no event";
    EXPECT_EQ(send(gpu::k_get_display_info, gpu::ResourceId{}), Response::ok_display_info);
    EXPECT_EQ(memory->read_value<gpu::DisplayInfo>(k_answer)->displays[0].rect.width, 1000U);
}

TEST_F(VirtioGpuTest, cursor_is_told_with_its_hot_spot_and_hidden_again) {
    ASSERT_EQ(create(3, 64, 64, k_bgra), Response::ok_nodata);
    ASSERT_EQ(attach(3, 64 * 64 * 4), Response::ok_nodata);
    set_pixel(4, 0x80ff0000);
    ASSERT_EQ(transfer(3, {0, 0, 64, 64}, 0), Response::ok_nodata);
    gpu::UpdateCursor command{};
    command.resource_id = 3;
    command.hot_x = 5;
    command.hot_y = 1000;
    EXPECT_EQ(send(gpu::k_update_cursor, command, 1), Response::ok_nodata);
    update = view->take();
    ASSERT_TRUE(update.cursor);
    EXPECT_EQ(update.cursor->width, 64U);
    EXPECT_EQ(update.cursor->hot_x, 5U);
    EXPECT_EQ(update.cursor->hot_y, 63U);
    EXPECT_EQ(update.cursor->argb[1], 0x80ff0000U);
    command.resource_id = 0;
    EXPECT_EQ(send(gpu::k_update_cursor, command, 1), Response::ok_nodata);
    update = view->take();
    ASSERT_TRUE(update.cursor);
    EXPECT_EQ(update.cursor->width, 0U);
}

TEST_F(VirtioGpuTest, vga_shows_until_a_scanout_is_set_and_again_after_a_reset) {
    const auto dispi = [&](uint16_t index, uint16_t value) {
        ports.write(0x1ce, 2, index);
        ports.write(0x1cf, 2, value);
    };
    dispi(1, 32);
    dispi(2, 16);
    dispi(3, 32);
    dispi(4, 0x41);
    ports.write(0x3c0, 1, 0x20);
    vram[1] = std::byte{0x77};
    log.write(0);
    EXPECT_EQ(pixel(0, 0), 0x7700U);
    show(7, 32, 16);
    EXPECT_EQ(pixel(0, 0), 0U);
    driver->set_common(20, 1, 0);
    EXPECT_EQ(pixel(0, 0), 0x7700U);
}

TEST_F(VirtioGpuTest, scanout_off_is_black) {
    show(7, 16, 8);
    set_pixel(0, 0xffffff);
    ASSERT_EQ(transfer(7, {0, 0, 1, 1}, 0), Response::ok_nodata);
    ASSERT_EQ(flush(7, {0, 0, 1, 1}), Response::ok_nodata);
    EXPECT_EQ(pixel(0, 0), 0xffffffU);
    EXPECT_EQ(send(gpu::k_set_scanout, gpu::SetScanout{{}, 0, 0}), Response::ok_nodata);
    EXPECT_EQ(pixel(0, 0), 0U);
    EXPECT_EQ(update.surface->size(), (ScreenSize{16, 8}));
}

TEST_F(VirtioGpuTest, picture_survives_saving_and_loading) {
    show(7, 16, 8);
    set_pixel(0, 0xabcdef);
    ASSERT_EQ(transfer(7, {0, 0, 1, 1}, 0), Response::ok_nodata);
    vga->pause();
    StateWriter writer;
    vga->save(writer);
    vga->reset();
    vga->pause();
    StateReader reader(writer.bytes());
    vga->load(reader);
    ASSERT_TRUE(reader.ok() && reader.at_end()) << reader.status().error().message;
    vga->resume();
    EXPECT_EQ(pixel(0, 0), 0xabcdefU);
    EXPECT_EQ(flush(7, {0, 0, 1, 1}), Response::ok_nodata);
}

}  // namespace
}  // namespace skep::test
