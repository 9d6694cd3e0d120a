// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_input.hpp"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <algorithm>
#include <random>

#include "display/input/key_table.hpp"
#include "tests/support/virtio_driver.hpp"

namespace skep::test {
namespace {

constexpr uint32_t k_event_size = 8;

// The guest's side of an input device, with event buffers as Linux gives them.
template <auto make_device>
struct InputTest : testing::Test, FakeMachine {
    InputTest() {
        context.pci = &bus;
        bus.reset();
        device = std::make_unique<VirtioPci>(context, "input", VirtioDriver::k_address, make_device(*memory, hub));
        device->reset();
        driver = std::make_unique<VirtioDriver>(*this, bus);
    }
    void start(uint16_t buffers = 16, uint64_t features = 0) {
        ASSERT_TRUE(driver->negotiate(virtio::k_feature_version_1 | features));
        driver->set_up_queue(0);
        driver->set_up_queue(1);
        driver->driver_ok();
        give_buffers(buffers);
    }
    void give_buffers(uint16_t count) {
        for (uint16_t index = 0; index < count; ++index, ++given) {
            const auto head = static_cast<uint16_t>(given % VirtioDriver::k_queue_size);
            driver->add(0, head, {{VirtioDriver::k_buffers + head * k_event_size, k_event_size, true}});
        }
        driver->kick(0);
    }
    // "type:code=value " for everything that has arrived since.
    std::string arrived() {
        std::string text;
        for (; taken != driver->used_index(0); ++taken) {
            const auto used = driver->used(0, taken);
            EXPECT_EQ(used.length, k_event_size);
            const GuestAddress at = VirtioDriver::k_buffers + used.id * k_event_size;
            text += fmt::format("{}:{}={} ", *memory->read_value<uint16_t>(at), *memory->read_value<uint16_t>(at + 2),
                                static_cast<int32_t>(*memory->read_value<uint32_t>(at + 4)));
        }
        return text;
    }
    // What the device answers to a select of its configuration.
    std::vector<uint8_t> ask(unsigned select, unsigned subsel) {
        mmio.write(VirtioDriver::k_registers + 0x2000, 1, select);
        mmio.write(VirtioDriver::k_registers + 0x2001, 1, subsel);
        std::vector<uint8_t> bytes(driver->device_config(2, 1));
        for (size_t index = 0; index < bytes.size(); ++index) {
            bytes[index] = static_cast<uint8_t>(driver->device_config(static_cast<uint32_t>(8 + index), 1));
        }
        return bytes;
    }
    bool has_code(unsigned type, unsigned code) {
        const std::vector<uint8_t> bitmap = ask(0x11, type);
        return code / 8 < bitmap.size() && (bitmap[code / 8] >> code % 8 & 1) != 0;
    }

    InputHub hub;
    PciBus bus{context};
    std::unique_ptr<VirtioPci> device;
    std::unique_ptr<VirtioDriver> driver;
    uint16_t given = 0;
    uint16_t taken = 0;
};

using VirtioKeyboardTest = InputTest<make_virtio_keyboard>;
using VirtioTabletTest = InputTest<make_virtio_tablet>;

TEST_F(VirtioKeyboardTest, identity_and_name_are_told) {
    EXPECT_EQ(bus.config_read(VirtioDriver::k_address, 0, 4), 0x1052'1af4U);
    EXPECT_EQ(bus.config_read(VirtioDriver::k_address, 8, 4), 0x0900'0001U);
    const std::vector<uint8_t> name = ask(1, 0);
    EXPECT_EQ(std::string(name.begin(), name.end()), "Skep virtio keyboard");
    EXPECT_EQ(ask(3, 0).size(), 8U);
    EXPECT_TRUE(ask(2, 0).empty());
    EXPECT_TRUE(ask(0x12, 0).empty());
    EXPECT_TRUE(ask(0xff, 0xff).empty());
}

TEST_F(VirtioKeyboardTest, every_key_of_the_table_is_on_offer_and_arrives) {
    start();
    for (const KeyFacts& facts : key_table()) {
        EXPECT_TRUE(has_code(EV_KEY, facts.key)) << facts.name;
        hub.key(facts.key, true);
        hub.key(facts.key, false);
        EXPECT_EQ(arrived(), fmt::format("1:{0}=1 0:0=0 1:{0}=0 0:0=0 ", facts.key));
        give_buffers(4);
    }
    EXPECT_FALSE(has_code(EV_KEY, 84));
    EXPECT_TRUE(has_code(EV_LED, LED_CAPSL));
}

TEST_F(VirtioKeyboardTest, keys_before_the_driver_go_elsewhere) {
    hub.key(KEY_A, true);
    hub.key(KEY_A, false);
    start();
    EXPECT_EQ(arrived(), "");
}

TEST_F(VirtioKeyboardTest, events_wait_for_buffers_and_are_bounded) {
    start(0);
    for (int press = 0; press < 1000; ++press) {
        hub.key(KEY_A, true);
        hub.key(KEY_A, false);
    }
    EXPECT_EQ(arrived(), "");
    give_buffers(4);
    EXPECT_EQ(arrived(), "1:30=1 0:0=0 1:30=0 0:0=0 ");
    unsigned more = 0;
    for (give_buffers(16); !arrived().empty(); give_buffers(16)) {
        ASSERT_LT(++more, 100U);
    }
    EXPECT_EQ(more, (512U - 4) / 16 + 1);
}

TEST_F(VirtioKeyboardTest, release_arrives_however_long_the_guest_did_not_look) {
    start(0);
    for (int repeat = 0; repeat < 1000; ++repeat) {
        hub.key(KEY_A, true);
    }
    for (KeyCode code = 2; code < 200; ++code) {
        hub.key(code, true);
    }
    hub.release_all_keys();
    std::string all;
    for (std::string some; all.empty() || !some.empty(); all += some) {
        give_buffers(16);
        some = arrived();
    }
    for (KeyCode code = 2; code < 200; ++code) {
        const auto pressed = all.find(fmt::format("1:{}=1 ", code));
        const auto released = all.find(fmt::format("1:{}=0 ", code));
        EXPECT_EQ(pressed == std::string::npos, released == std::string::npos) << code;
        EXPECT_LE(pressed, released);
    }
    EXPECT_NE(all.find("1:30=0 "), std::string::npos);
}

TEST_F(VirtioKeyboardTest, driver_is_asked_to_tell_of_buffers_while_events_wait) {
    start(2, virtio::k_feature_event_idx);
    hub.key(KEY_A, true);
    EXPECT_EQ(arrived(), "1:30=1 0:0=0 ");
    hub.key(KEY_A, false);
    const auto told_at = [&] {  // avail_event: the driver tells when it makes this buffer available
        return *memory->read_value<uint16_t>(VirtioDriver::k_rings + 0x2004 + VirtioDriver::k_queue_size * 8);
    };
    EXPECT_EQ(told_at(), 2);
    give_buffers(2);
    EXPECT_EQ(arrived(), "1:30=0 0:0=0 ");
    for (uint16_t lamp = 0; lamp < 3; ++lamp) {
        driver->add(1, 0, {{VirtioDriver::k_buffers + 0x800, 8, false}});
        driver->kick(1);
        EXPECT_EQ(*memory->read_value<uint16_t>(VirtioDriver::k_rings + 0x3000 + 0x2004 + VirtioDriver::k_queue_size * 8), lamp + 1);
    }
}

TEST_F(VirtioKeyboardTest, reset_forgets_what_waited) {
    start(0);
    hub.key(KEY_A, true);
    given = taken = 0;
    start();
    EXPECT_EQ(arrived(), "");
    hub.key(KEY_A, false);
    EXPECT_EQ(arrived(), "") << "the guest has not seen it pressed";
    hub.key(KEY_A, true);
    EXPECT_EQ(arrived(), "1:30=1 0:0=0 ");
}

TEST_F(VirtioKeyboardTest, lamps_are_taken_and_given_back) {
    start();
    driver->add(1, 0, {{VirtioDriver::k_buffers + 0x800, 8, false}});
    driver->kick(1);
    EXPECT_EQ(driver->used_index(1), 1);
    EXPECT_EQ(driver->used(1, 0).length, 0U);
}

TEST_F(VirtioKeyboardTest, buffer_too_small_or_nowhere_loses_its_event_only) {
    start(0);
    driver->add(0, 0, {{VirtioDriver::k_buffers, 4, true}});
    driver->add(0, 1, {{0xfee0'0000, 8, true}});
    hub.key(KEY_A, true);
    EXPECT_EQ(driver->used_index(0), 2);
    EXPECT_EQ(driver->used(0, 0).length, 0U);
    EXPECT_EQ(driver->used(0, 1).length, 0U);
    EXPECT_EQ(driver->status() & 0x40, 0);
}

TEST_F(VirtioKeyboardTest, waiting_events_are_saved_and_go_on) {
    start(0);
    hub.key(KEY_B, true);
    device->pause();
    StateWriter writer;
    device->save(writer);
    device->reset();
    StateReader reader(writer.bytes());
    device->load(reader);
    ASSERT_TRUE(reader.ok() && reader.at_end());
    device->resume();
    give_buffers(2);
    EXPECT_EQ(arrived(), "1:48=1 0:0=0 ");
}

TEST_F(VirtioTabletTest, axes_reach_from_edge_to_edge) {
    const std::vector<uint8_t> x = ask(0x12, ABS_X);
    ASSERT_EQ(x.size(), 20U);
    EXPECT_EQ(x[4] | x[5] << 8, 0x7fff);
    EXPECT_EQ(ask(0x12, ABS_Y), x);
    EXPECT_TRUE(ask(0x12, ABS_Z).empty());
    EXPECT_TRUE(has_code(EV_ABS, ABS_X) && has_code(EV_ABS, ABS_Y));
    EXPECT_TRUE(has_code(EV_REL, REL_WHEEL) && has_code(EV_REL, REL_HWHEEL));
    EXPECT_TRUE(has_code(EV_KEY, BTN_LEFT) && has_code(EV_KEY, BTN_EXTRA));
}

TEST_F(VirtioTabletTest, place_comes_before_the_button) {
    EXPECT_FALSE(hub.pointer_is_absolute());
    start();
    EXPECT_TRUE(hub.pointer_is_absolute());
    hub.move_to(799, 0, 800, 600, k_button_left);
    EXPECT_EQ(arrived(), "3:0=32767 3:1=0 0:0=0 1:272=1 0:0=0 ");
    hub.move_to(0, 599, 800, 600, k_button_right);
    EXPECT_EQ(arrived(), "3:0=0 3:1=32767 0:0=0 1:272=0 0:0=0 1:273=1 0:0=0 ");
}

TEST_F(VirtioTabletTest, wheel_up_is_positive) {
    start();
    hub.wheel(-1, 0);
    hub.wheel(1, 1);
    EXPECT_EQ(arrived(), "2:8=1 0:0=0 2:8=-1 0:0=0 2:6=1 0:0=0 ");
}

TEST_F(VirtioTabletTest, movements_give_way_to_buttons_when_the_guest_does_not_look) {
    start(0);
    for (uint32_t x = 0; x < 500; ++x) {
        hub.move_to(x, 0, 800, 600, 0);
    }
    hub.move_to(700, 0, 800, 600, k_button_left);
    hub.move_to(700, 0, 800, 600, 0);
    std::string all;
    for (int round = 0; round < 20; ++round) {
        give_buffers(16);
        all += arrived();
    }
    EXPECT_TRUE(all.ends_with("1:272=1 0:0=0 3:0=28707 3:1=0 0:0=0 1:272=0 0:0=0 ")) << all;
    EXPECT_LT(std::ranges::count(all, ' '), 100);
}

TEST_F(VirtioTabletTest, random_rings_and_input_are_survived) {
    std::mt19937_64 random(11);
    start();
    for (int round = 0; round < 20'000; ++round) {
        switch (random() % 6) {
            case 0: hub.move_to(random() % 900, random() % 700, 800, 600, random() % 32); break;
            case 1: mmio.write(VirtioDriver::k_registers + random() % 0x3010, 1U << random() % 3, random() % 64); break;
            case 2: mmio.read(VirtioDriver::k_registers + random() % 0x3010, 1U << random() % 4); break;
            case 3: (void)memory->write_value(VirtioDriver::k_rings + random() % 0x6000, random()); break;
            case 4: driver->kick(random() % 2); break;
            default:
                if (random() % 64 == 0) {
                    start();
                }
        }
    }
    device->reset();
    EXPECT_FALSE(hub.pointer_is_absolute());
}

}  // namespace
}  // namespace skep::test
