// SPDX-License-Identifier: GPL-3.0-or-later
// Tablet and keyboard, through the controller.
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "tests/support/xhci_driver.hpp"

namespace skep::test {
namespace {

using namespace xhci;
using Bytes = XhciDriver::Bytes;

struct UsbHid : ::testing::Test, XhciMachine {
    void start_tablet() {
        ASSERT_EQ(*xhci->plug(make_usb_tablet(hub, clock)), 1U);
        driver.start();
        slot = driver.start_hid(1);
        ASSERT_NE(slot, 0U);
    }
    void start_keyboard() {
        ASSERT_EQ(*xhci->plug(make_usb_keyboard(hub, clock)), 1U);
        driver.start();
        slot = driver.start_hid(1);
        ASSERT_NE(slot, 0U);
    }
    // The next report; empty when none comes (the transfer then waits).
    Bytes report(uint32_t size) {
        if (!m_asked) {
            driver.push(slot, XhciDriver::k_interrupt_in, {XhciDriver::k_data, 16, trb_type_bits(k_trb_normal) | k_trb_ioc | k_trb_isp});
            driver.doorbell(slot, XhciDriver::k_interrupt_in);
        }
        const auto event = driver.transfer_event();
        m_asked = !event;
        EXPECT_TRUE(!event || (event->status & 0xff'ffff) == 16 - size);
        return event ? driver.read(XhciDriver::k_data, size) : Bytes{};
    }
    Bytes tablet_report() { return report(7); }
    Bytes key_report() { return report(8); }

    XhciDriver driver{*this, bus};
    unsigned slot = 0;

  private:
    bool m_asked = false;
};

TEST_F(UsbHid, tablet_descriptors_sayWhatItIs) {
    start_tablet();
    const Bytes device = driver.descriptor(slot, 0x100, 18);
    EXPECT_EQ(device[0], 18);
    EXPECT_EQ(device[7], 64);
    const Bytes configuration = driver.descriptor(slot, 0x200, 34);
    EXPECT_EQ(configuration[2], 34) << "configuration, interface, HID, endpoint";
    EXPECT_EQ(configuration[14], 3);
    EXPECT_EQ(configuration[15], 0) << "no boot interface";
    const auto report_bytes = static_cast<uint16_t>(configuration[25] | configuration[26] << 8);
    EXPECT_EQ(driver.descriptor(slot, 0x2200, report_bytes, 0x81).back(), 0xc0);
    EXPECT_EQ(driver.descriptor(slot, 0x302, 4)[1], 3);
    EXPECT_EQ(driver.descriptor(slot, 0x600, 10)[0], 10) << "device qualifier";
    EXPECT_TRUE(driver.descriptor(slot, 0xf00).empty()) << "no BOS at high speed";
}

TEST_F(UsbHid, tablet_moves_givePlaces) {
    start_tablet();
    EXPECT_TRUE(tablet_report().empty());
    hub.move_to(0, 0, 1024, 768, 0);
    EXPECT_EQ(tablet_report(), (Bytes{0, 0, 0, 0, 0, 0, 0}));
    hub.move_to(1023, 767, 1024, 768, k_button_left);
    EXPECT_EQ(tablet_report(), (Bytes{1, 0xff, 0x7f, 0xff, 0x7f, 0, 0}));
    hub.wheel(1, 0);
    EXPECT_EQ(tablet_report(), (Bytes{1, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0}));
}

TEST_F(UsbHid, tablet_movesNobodyFetched_becomeOneAndClicksStay) {
    start_tablet();
    for (uint32_t x = 0; x < 500; ++x) {
        hub.move_to(x, 0, 501, 501, 0);
    }
    hub.move_to(500, 0, 501, 501, k_button_left);
    hub.move_to(500, 500, 501, 501, k_button_left);
    hub.move_to(500, 500, 501, 501, 0);
    EXPECT_EQ(tablet_report()[0], 0);
    EXPECT_EQ(tablet_report(), (Bytes{1, 0xff, 0x7f, 0, 0, 0, 0}));
    EXPECT_EQ(tablet_report(), (Bytes{1, 0xff, 0x7f, 0xff, 0x7f, 0, 0}));
    EXPECT_EQ(tablet_report(), (Bytes{0, 0xff, 0x7f, 0xff, 0x7f, 0, 0}));
    EXPECT_TRUE(tablet_report().empty());
}

TEST_F(UsbHid, tablet_listens_whileItsReportsAreFetched) {
    ASSERT_TRUE(xhci->plug(make_usb_tablet(hub, clock)));
    EXPECT_FALSE(hub.pointer_is_absolute());
    driver.start();
    slot = driver.start_hid(1);
    EXPECT_TRUE(hub.pointer_is_absolute());
    hub.move_to(5, 5, 10, 10, 0);
    clock.advance(3'000'000'000);
    EXPECT_FALSE(hub.pointer_is_absolute()) << "nobody has fetched the report";
    EXPECT_FALSE(tablet_report().empty());
    EXPECT_TRUE(hub.pointer_is_absolute());
    driver.set_op(k_usbcmd, k_cmd_hcrst);
    EXPECT_FALSE(hub.pointer_is_absolute());
}

TEST_F(UsbHid, keyboard_isABootKeyboard) {
    start_keyboard();
    const Bytes configuration = driver.descriptor(slot, 0x200, 34);
    EXPECT_EQ(configuration[15], 1);
    EXPECT_EQ(configuration[16], 1);
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 0x0b, 0, 0, 0)), k_success) << "boot protocol";
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0xa1, 0x03, 0, 0, 1)), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 1)[0], 0);
    driver.write(XhciDriver::k_data, {2});
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 9, 0x200, 0, 1)), k_success) << "lamps";
}

TEST_F(UsbHid, keyboard_keys_comeAndGo) {
    start_keyboard();
    hub.key(KEY_LEFTSHIFT, true);
    hub.key(KEY_A, true);
    hub.key(KEY_A, true);
    hub.key(KEY_B, true);
    hub.key(KEY_A, false);
    hub.key(KEY_LEFTSHIFT, false);
    EXPECT_EQ(key_report(), (Bytes{2, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(key_report(), (Bytes{2, 0, 4, 0, 0, 0, 0, 0}));
    EXPECT_EQ(key_report(), (Bytes{2, 0, 4, 5, 0, 0, 0, 0}));
    EXPECT_EQ(key_report(), (Bytes{2, 0, 5, 0, 0, 0, 0, 0}));
    EXPECT_EQ(key_report(), (Bytes{0, 0, 5, 0, 0, 0, 0, 0}));
    EXPECT_TRUE(key_report().empty());
}

TEST_F(UsbHid, keyboard_moreThanSixKeys_rollOver) {
    start_keyboard();
    for (const KeyCode key : {KEY_A, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G}) {
        hub.key(key, true);
    }
    for (unsigned count = 0; count < 6; ++count) {
        EXPECT_NE(key_report()[2], 1);
    }
    EXPECT_EQ(key_report(), (Bytes{0, 0, 1, 1, 1, 1, 1, 1}));
    hub.key(KEY_A, false);
    EXPECT_EQ(key_report(), (Bytes{0, 0, 5, 6, 7, 8, 9, 10}));
}

TEST_F(UsbHid, keyboard_idleRate_repeatsWhileAKeyIsDown) {
    start_keyboard();
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 0x0a, 8 << 8, 0, 0)), k_success);
    hub.key(KEY_A, true);
    EXPECT_EQ(key_report()[2], 4);
    EXPECT_TRUE(key_report().empty());
    clock.advance(32'000'000);
    EXPECT_EQ(key_report()[2], 4);
    hub.key(KEY_A, false);
    EXPECT_EQ(key_report()[2], 0);
    clock.advance(100'000'000);
    EXPECT_TRUE(key_report().empty());
}

TEST_F(UsbHid, keyboard_saveAndLoad_keepsWhatWaitsAndWhatIsDown) {
    start_keyboard();
    hub.key(KEY_A, true);
    hub.key(KEY_B, true);
    xhci->pause();
    const auto state = saved();
    StateReader reader(state);
    xhci->load(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(saved(), state);
    xhci->resume();
    EXPECT_EQ(key_report()[2], 4);
    hub.key(KEY_A, false);
    EXPECT_EQ(key_report(), (Bytes{0, 0, 4, 5, 0, 0, 0, 0}));
    EXPECT_EQ(key_report(), (Bytes{0, 0, 5, 0, 0, 0, 0, 0}));
}

TEST_F(UsbHid, unplugged_leavesTheHub) {
    start_keyboard();
    hub.key(KEY_A, true);
    EXPECT_NE(xhci->unplug(1), nullptr);
    hub.key(KEY_A, false);
    hub.key(KEY_B, true);
}

}  // namespace
}  // namespace skep::test
