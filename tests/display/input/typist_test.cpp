// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/typist.hpp"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <optional>
#include <string>

namespace skep::test {
namespace {

class Notes final : public KeyboardSink, public PointerSink {
  public:
    void key(KeyCode code, bool down) override { heard += fmt::format("{}{} ", down ? "+" : "-", code); }
    [[nodiscard]] bool absolute() const override { return true; }
    [[nodiscard]] bool listening() const override { return true; }
    void move_to(uint32_t x, uint32_t y, uint8_t buttons) override { heard += fmt::format("{},{}:{} ", x, y, buttons); }
    void move_by(int32_t, int32_t, uint8_t) override {}
    void wheel(int32_t, int32_t, uint8_t) override {}
    std::string heard;
};

class TypistTest : public testing::Test {
  protected:
    TypistTest() {
        hub.add(static_cast<KeyboardSink&>(notes));
        hub.add(static_cast<PointerSink&>(notes));
    }
    void play(Typist::Milliseconds time) {
        loop.after(time, [this] { stop_when_idle(); });
        loop.run();
    }
    void stop_when_idle() {
        if (typist->idle()) {
            loop.quit();
        } else {
            loop.after(Typist::Milliseconds(1), [this] { stop_when_idle(); });  // a busy host plays late
        }
    }
    Notes notes;
    InputHub hub;
    EventLoop loop;
    std::optional<Typist> typist{std::in_place, loop, hub};
};

TEST_F(TypistTest, chord_is_released_in_the_other_order) {
    const KeyCode chord[] = {KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE};
    play(*typist->press(chord, Typist::Milliseconds(5)));
    EXPECT_EQ(notes.heard, "+29 +56 +111 -111 -56 -29 ");
}

TEST_F(TypistTest, text_holds_shift_over_its_capitals) {
    play(*typist->type(*strokes_of_text("aBC ")));
    EXPECT_EQ(notes.heard, "+30 -30 +42 +48 -48 +46 -46 -42 +57 -57 ");
}

TEST_F(TypistTest, what_is_asked_later_comes_later_and_is_waited_for) {
    const auto first = *typist->type(*strokes_of_text("a"));
    const auto second = *typist->click({319, 0, 320, 200}, k_button_right);
    EXPECT_GT(second, first);
    play(second);
    EXPECT_EQ(notes.heard, "+30 -30 32767,0:0 32767,0:2 32767,0:0 ");
}

TEST_F(TypistTest, typist_that_goes_holds_nothing) {
    const KeyCode chord[] = {KEY_LEFTALT, KEY_F2};
    ASSERT_TRUE(typist->press(chord));
    typist.reset();
    EXPECT_EQ(notes.heard, "+56 -56 ");
}

TEST_F(TypistTest, too_much_is_refused) {
    const std::vector<KeyStroke> book(Typist::k_most_steps, KeyStroke{KEY_A, false});
    EXPECT_EQ(typist->type(book).error().kind, ErrorKind::invalid_input);
    EXPECT_EQ(*typist->press({}), Typist::Milliseconds(0));
}

}  // namespace
}  // namespace skep::test
