// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/input_hub.hpp"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <string>

#include "display/input/keysym_keyboard.hpp"

namespace skep::test {
namespace {

class Keyboard final : public KeyboardSink {
  public:
    void key(KeyCode code, bool down) override { heard += fmt::format("{}{} ", down ? "+" : "-", code); }
    [[nodiscard]] bool listening() const override { return listens; }
    [[nodiscard]] std::string take() { return std::exchange(heard, {}); }
    bool listens = true;
    std::string heard;
};

class Pointer final : public PointerSink {
  public:
    explicit Pointer(bool absolute) : m_absolute(absolute) {}
    [[nodiscard]] bool absolute() const override { return m_absolute; }
    [[nodiscard]] bool listening() const override { return listens; }
    void move_to(uint32_t x, uint32_t y, uint8_t buttons) override { heard += fmt::format("to {},{}:{} ", x, y, buttons); }
    void move_by(int32_t x, int32_t y, uint8_t buttons) override { heard += fmt::format("by {},{}:{} ", x, y, buttons); }
    void wheel(int32_t v, int32_t h, uint8_t buttons) override { heard += fmt::format("wheel {},{}:{} ", v, h, buttons); }
    [[nodiscard]] std::string take() { return std::exchange(heard, {}); }
    bool listens = true;
    std::string heard;

  private:
    bool m_absolute;
};

class InputHubTest : public testing::Test {
  protected:
    InputHubTest() {
        hub.add(ps2);
        hub.add(mouse);
    }
    Keyboard ps2;
    Keyboard usb;
    Pointer mouse{false};
    Pointer tablet{true};
    InputHub hub;
};

TEST_F(InputHubTest, keys_go_to_the_listening_keyboard_added_last) {
    hub.add(usb);
    hub.key(KEY_A, true);
    hub.key(KEY_A, false);
    EXPECT_EQ(usb.take(), "+30 -30 ");
    usb.listens = false;
    hub.key(KEY_B, true);
    EXPECT_EQ(usb.take(), "");
    EXPECT_EQ(ps2.take(), "+48 ");
}

TEST_F(InputHubTest, key_pressed_on_one_keyboard_is_released_on_it) {
    usb.listens = false;
    hub.add(usb);
    hub.key(KEY_LEFTCTRL, true);
    usb.listens = true;  // the driver starts while Ctrl is held
    hub.key(KEY_LEFTCTRL, true);
    hub.key(KEY_LEFTCTRL, false);
    EXPECT_EQ(ps2.take(), "+29 +29 -29 ");
    EXPECT_EQ(usb.take(), "");
}

TEST_F(InputHubTest, release_of_a_key_that_is_up_is_not_passed_on) {
    hub.key(KEY_A, false);
    hub.key(0, true);
    hub.key(300, true);
    EXPECT_EQ(ps2.take(), "");
}

TEST_F(InputHubTest, all_keys_are_released_and_removed_keyboards_left_clean) {
    hub.key(KEY_A, true);
    hub.key(KEY_B, true);
    hub.release_all_keys();
    EXPECT_EQ(ps2.take(), "+30 +48 -30 -48 ");
    hub.add(usb);
    hub.key(KEY_A, true);
    hub.remove(usb);
    EXPECT_EQ(usb.take(), "+30 -30 ");
    hub.key(KEY_A, false);
    EXPECT_EQ(ps2.take(), "");
}

TEST_F(InputHubTest, tablet_is_told_the_place_and_its_corners_are_exact) {
    EXPECT_FALSE(hub.pointer_is_absolute());
    hub.add(tablet);
    EXPECT_TRUE(hub.pointer_is_absolute());
    hub.move_to(0, 0, 800, 600, 0);
    hub.move_to(799, 599, 800, 600, k_button_left);
    hub.move_to(5000, 300, 800, 601, 0);
    hub.move_to(0, 0, 0, 0, 0);
    EXPECT_EQ(tablet.take(), "to 0,0:0 to 32767,32767:1 to 32767,16384:0 to 0,0:0 ");
}

TEST_F(InputHubTest, mouse_is_told_the_difference) {
    hub.move_to(100, 100, 800, 600, 0);
    hub.move_to(110, 95, 800, 600, k_button_right);
    hub.move_by(-3, 4, 0);
    EXPECT_EQ(mouse.take(), "by 0,0:0 by 10,-5:2 by -3,4:0 ");
}

TEST_F(InputHubTest, wheel_keeps_the_buttons) {
    hub.move_by(0, 0, k_button_middle);
    hub.wheel(-1, 2);
    EXPECT_EQ(mouse.take(), "by 0,0:4 wheel -1,2:4 ");
}

TEST_F(InputHubTest, button_is_released_where_it_was_pressed) {
    tablet.listens = false;
    hub.add(tablet);
    hub.move_by(0, 0, k_button_left);
    tablet.listens = true;
    hub.move_to(10, 10, 100, 100, k_button_left);
    EXPECT_EQ(mouse.take(), "by 0,0:1 by 0,0:0 ");
    EXPECT_EQ(tablet.take(), "to 3310,3310:1 ");
    hub.remove(tablet);
    EXPECT_EQ(tablet.take(), "to 3310,3310:0 ");
}

TEST_F(InputHubTest, nothing_listens_nothing_happens) {
    ps2.listens = mouse.listens = false;
    hub.key(KEY_A, true);
    hub.move_to(1, 1, 2, 2, 1);
    hub.wheel(1, 0);
    EXPECT_FALSE(hub.pointer_is_absolute());
    EXPECT_EQ(ps2.take() + mouse.take(), "");
}

class KeysymTest : public InputHubTest {
  protected:
    KeysymKeyboard viewer{hub};
};

TEST_F(KeysymTest, us_viewer_types_as_it_is) {
    viewer.symbol(0xffe1, true);
    viewer.symbol('A', true);
    viewer.symbol('A', false);
    viewer.symbol('!', true);
    viewer.symbol('!', false);
    viewer.symbol(0xffe1, false);
    EXPECT_EQ(ps2.take(), "+42 +30 -30 +2 -2 -42 ");
}

TEST_F(KeysymTest, french_viewer_gets_its_symbols) {
    viewer.symbol(0xffe2, true);  // Shift for a digit
    viewer.symbol('1', true);
    viewer.symbol('1', false);
    viewer.symbol(0xffe2, false);
    EXPECT_EQ(ps2.take(), "+54 -54 +2 +54 -2 -54 ");
    viewer.symbol('!', true);  // no Shift for a mark
    viewer.symbol('!', false);
    EXPECT_EQ(ps2.take(), "+42 +2 -42 -2 ");
    viewer.symbol(0xfe03, true);  // AltGr
    viewer.symbol('@', true);
    viewer.symbol('@', false);
    viewer.symbol(0xfe03, false);
    EXPECT_EQ(ps2.take(), "+100 -100 +42 +3 -42 +100 -3 -100 ");
}

TEST_F(KeysymTest, symbol_is_released_by_the_key_that_it_was_pressed_on) {
    viewer.symbol('a', true);
    viewer.symbol('A', false);
    viewer.symbol(0xe9, true);
    EXPECT_EQ(ps2.take(), "+30 ");
    viewer.symbol('a', false);
    EXPECT_EQ(ps2.take(), "-30 ");
}

TEST_F(KeysymTest, viewer_that_goes_releases_its_keys_and_no_others) {
    hub.key(KEY_B, true);
    {
        KeysymKeyboard other(hub);
        other.symbol(0xffe3, true);
        other.key(KEY_C, true);
    }
    EXPECT_EQ(ps2.take(), "+48 +29 +46 -29 -46 ");
}

}  // namespace
}  // namespace skep::test
