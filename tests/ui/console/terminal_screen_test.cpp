// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal's model: what guests send, what is kept, what is answered.
#include "ui/console/terminal_screen.hpp"

#include <gtest/gtest.h>

#include <random>

#include "ui/console/terminal_find.hpp"
#include "ui/console/terminal_selection.hpp"

namespace skep::ui {
namespace {

class TerminalScreenTest : public ::testing::Test {
  protected:
    TerminalScreenTest() {
        TerminalScreen::Events events;
        events.output = [this](const QByteArray& bytes) { m_output += bytes; };
        events.bell = [this] { ++m_bells; };
        m_screen.set_events(std::move(events));
    }
    void feed_lines(int from, int to) {
        for (int i = from; i < to; ++i) {
            m_screen.feed("line " + std::to_string(i) + "\r\n");
        }
    }
    TerminalScreen m_screen{100};
    QByteArray m_output;
    int m_bells = 0;
};

TEST_F(TerminalScreenTest, text_cursor_addressing_lands_where_told) {
    m_screen.feed("\x1b[2J\x1b[5;10Hhello\x1b[1;1Htop");
    EXPECT_EQ(m_screen.line_text(m_screen.screen_top()), "top");
    EXPECT_EQ(m_screen.line_text(m_screen.screen_top() + 4), "         hello");
    EXPECT_EQ(m_screen.cursor(), (TerminalPosition{m_screen.screen_top(), 3}));
}

TEST_F(TerminalScreenTest, scroll_region_keeps_lines_outside) {
    m_screen.feed("\x1b[1;1Hhead\x1b[24;1Hfoot\x1b[2;23r\x1b[23;1H\n\n\nbody");
    EXPECT_EQ(m_screen.line_text(m_screen.screen_top()), "head");
    EXPECT_EQ(m_screen.line_text(m_screen.screen_top() + 23), "foot");
    EXPECT_EQ(m_screen.line_text(m_screen.screen_top() + 22), "body");
}

TEST_F(TerminalScreenTest, line_drawing_charset_becomes_unicode) {
    m_screen.feed("\x1b(0lqk\x1b(B");
    EXPECT_EQ(m_screen.line_text(0), QStringLiteral("┌─┐"));
}

TEST_F(TerminalScreenTest, colors_all_three_kinds_are_kept) {
    m_screen.feed("\x1b[31ma\x1b[38;5;200mb\x1b[38;2;1;2;3mc\x1b[0;1;3;4;7;9md");
    const TerminalLine line = m_screen.line(0);
    EXPECT_EQ(line[0].style.foreground, (TerminalColor{TerminalColor::Kind::indexed, 1, 0, 0}));
    EXPECT_EQ(line[1].style.foreground, (TerminalColor{TerminalColor::Kind::indexed, 200, 0, 0}));
    EXPECT_EQ(line[2].style.foreground, (TerminalColor{TerminalColor::Kind::rgb, 1, 2, 3}));
    const TerminalStyle& style = line[3].style;
    EXPECT_TRUE(style.bold && style.italic && style.reverse && style.strike);
    EXPECT_EQ(style.underline, Underline::single);
    EXPECT_EQ(style.foreground, TerminalColor{});
}

TEST_F(TerminalScreenTest, wide_characters_take_two_cells) {
    m_screen.feed("日本x");
    const TerminalLine line = m_screen.line(0);
    EXPECT_EQ(line[0].width, 2);
    EXPECT_EQ(line[1].width, 0);
    EXPECT_EQ(line[4].chars[0], U'x');
    EXPECT_EQ(m_screen.line_text(0), QStringLiteral("日本x"));
}

TEST_F(TerminalScreenTest, combining_mark_stays_with_its_base) {
    m_screen.feed("e\xcc\x81z");
    EXPECT_EQ(m_screen.line_text(0), QString::fromUtf8("e\xcc\x81z"));
}

TEST_F(TerminalScreenTest, scrollback_is_bounded_and_numbered) {
    feed_lines(0, 300);
    EXPECT_EQ(m_screen.screen_top(), 300 - 23);
    EXPECT_EQ(m_screen.first_line(), m_screen.screen_top() - 100);
    EXPECT_EQ(m_screen.line_text(250), "line 250");
    EXPECT_TRUE(m_screen.line(10).empty());
}

TEST_F(TerminalScreenTest, alternate_screen_leaves_scrollback_alone) {
    feed_lines(0, 30);
    const int64_t top = m_screen.screen_top();
    m_screen.feed("\x1b[?1049h");
    EXPECT_TRUE(m_screen.alternate_screen());
    feed_lines(0, 100);
    m_screen.feed("\x1b[?1049l");
    EXPECT_EQ(m_screen.screen_top(), top);
    EXPECT_EQ(m_screen.line_text(29), "line 29");
}

// What Debian's SeaBIOS sends first, then a kernel's long line.
TEST_F(TerminalScreenTest, long_line_after_the_firmware_is_wrapped_not_cut) {
    m_screen.feed("\x1b" "c\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n" + std::string(100, 'x') + "\r\nnext");
    EXPECT_EQ(m_screen.line_text(1), QString(80, u'x'));
    EXPECT_EQ(m_screen.line_text(2), QString(20, u'x'));
    EXPECT_EQ(m_screen.line_text(3), QStringLiteral("next"));
    m_screen.resize(50, 24);
    EXPECT_EQ(m_screen.line_text(1), QString(50, u'x'));
    EXPECT_EQ(m_screen.line_text(2), QString(50, u'x'));
}

// The firmware counts on the cursor staying at the right margin until it moves it.
TEST_F(TerminalScreenTest, firmware_that_fills_a_row_of_80_sees_no_extra_line) {
    m_screen.feed("\x1b" "c\x1b[?7l" + std::string(80, '-') + "\r\n" + std::string(80, '=') + "\x1b[3;1Hend");
    EXPECT_EQ(m_screen.line_text(1), QString(80, u'='));
    EXPECT_EQ(m_screen.line_text(2), QStringLiteral("end"));
}

TEST_F(TerminalScreenTest, program_that_turns_wrap_off_is_obeyed) {
    m_screen.feed("\x1b[?7l" + std::string(100, 'x') + "y\r\nnext");
    EXPECT_EQ(m_screen.line_text(0), QString(79, u'x') + u'y');
    EXPECT_EQ(m_screen.line_text(1), QStringLiteral("next"));
}

TEST_F(TerminalScreenTest, resize_keeps_the_text_and_wraps_it_anew) {
    feed_lines(0, 30);
    m_screen.feed("0123456789abcdef");
    m_screen.resize(10, 10);
    EXPECT_EQ(m_screen.line_text(m_screen.end_line() - 2), "0123456789");
    EXPECT_EQ(m_screen.line_text(m_screen.end_line() - 1), "abcdef");
    m_screen.resize(80, 40);
    EXPECT_EQ(m_screen.line_text(0), "line 0");
    EXPECT_EQ(m_screen.line_text(30), "0123456789abcdef");
    EXPECT_EQ(m_screen.cursor(), (TerminalPosition{30, 16}));
}

TEST_F(TerminalScreenTest, resize_answers_no_old_question_and_rings_no_old_bell) {
    m_screen.feed("\x1b[6n\a");
    m_output.clear();
    m_screen.resize(60, 20);
    EXPECT_EQ(m_output, "");
    EXPECT_EQ(m_bells, 1);
}

TEST_F(TerminalScreenTest, resize_after_clearing_brings_nothing_back) {
    feed_lines(0, 60);
    m_screen.clear_scrollback();
    EXPECT_EQ(m_screen.first_line(), m_screen.screen_top());
    m_screen.resize(80, 20);
    EXPECT_EQ(m_screen.first_line(), m_screen.screen_top());
}

TEST_F(TerminalScreenTest, resize_cursor_above_text_then_erase_does_not_crash) {
    m_screen.feed("\x1b[24;1Hbottom\x1b[1;1H");
    m_screen.resize(80, 5);
    m_screen.feed("\x1b[K\x1b[J");
    EXPECT_EQ(m_screen.screen_text().count('\n'), 5);
}

TEST_F(TerminalScreenTest, resize_absurd_size_is_clamped) {
    m_screen.resize(0, -5);
    EXPECT_EQ(m_screen.columns(), TerminalScreen::k_min_columns);
    m_screen.resize(1 << 30, 1 << 30);
    EXPECT_EQ(m_screen.rows(), TerminalScreen::k_max_cells_per_side);
}

TEST_F(TerminalScreenTest, questions_live_are_answered) {
    m_screen.feed("\x1b[3;7H\x1b[6n");
    EXPECT_EQ(m_output, "\x1b[3;7R");
    m_output.clear();
    m_screen.feed("\x1b[c");
    EXPECT_TRUE(m_output.startsWith("\x1b[?"));
}

TEST_F(TerminalScreenTest, questions_in_replayed_history_are_not_answered) {
    m_screen.feed("\x1b[6n\x1b[c", Answers::swallow);
    EXPECT_EQ(m_output, "");
}

TEST_F(TerminalScreenTest, clipboard_sequence_is_ignored) {
    m_screen.feed("\x1b]52;c;c2VjcmV0\x07ok\x1b]52;c;?\x07");
    EXPECT_EQ(m_output, "");
    EXPECT_EQ(m_screen.line_text(0), "ok");
}

TEST_F(TerminalScreenTest, bell_is_reported) {
    m_screen.feed("\a\a");
    EXPECT_EQ(m_bells, 2);
}

TEST_F(TerminalScreenTest, keys_follow_application_mode) {
    m_screen.send_key(TerminalKey::up, {});
    m_screen.feed("\x1b[?1h");
    m_screen.send_key(TerminalKey::up, {});
    m_screen.send_key(TerminalKey::up, {.control = true});
    EXPECT_EQ(m_output, "\x1b[A\x1bOA\x1b[1;5A");
}

TEST_F(TerminalScreenTest, keys_plain_bytes_stay_plain_with_modifiers) {
    m_screen.send_key(TerminalKey::enter, {.shift = true});
    m_screen.send_key(TerminalKey::tab, {.control = true});
    m_screen.send_key(TerminalKey::backspace, {.alt = true});
    m_screen.send_key(TerminalKey::back_tab, {});
    EXPECT_EQ(m_output, "\r\t\x1b\x7f\x1b[Z");
}

TEST_F(TerminalScreenTest, characters_control_and_alt_become_bytes) {
    m_screen.send_character(U'c', {.control = true});
    m_screen.send_character(U'i', {.control = true});
    m_screen.send_character(U'[', {.control = true});
    m_screen.send_character(U'x', {.alt = true});
    m_screen.send_character(U'é', {});
    EXPECT_EQ(m_output, "\x03\t\x1b\x1bx\xc3\xa9");
}

TEST_F(TerminalScreenTest, paste_brackets_only_when_asked_for) {
    EXPECT_EQ(m_screen.paste_start(), "");
    m_screen.feed("\x1b[?2004h");
    EXPECT_EQ(m_screen.paste_start(), "\x1b[200~");
    EXPECT_EQ(m_screen.paste_end(), "\x1b[201~");
    EXPECT_EQ(m_output, "");
}

TEST_F(TerminalScreenTest, cursor_shape_and_visibility_follow_the_guest) {
    m_screen.feed("\x1b[?25l\x1b[6 q");
    EXPECT_FALSE(m_screen.cursor_visible());
    EXPECT_EQ(m_screen.cursor_shape(), CursorShape::bar);
}

TEST_F(TerminalScreenTest, random_bytes_never_harm) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        std::string bytes;
        for (int i = 0; i < 400; ++i) {
            const unsigned dice = random() % 8;
            bytes += dice == 0   ? std::string("\x1b[")
                     : dice == 1 ? std::to_string(random() % 100000) + ";"
                                 : std::string(1, static_cast<char>(random()));
        }
        m_screen.feed(bytes);
        m_screen.resize(static_cast<int>(random() % 120), static_cast<int>(random() % 60));
    }
    EXPECT_LE(m_screen.screen_top() - m_screen.first_line(), 100);
    EXPECT_EQ(m_screen.screen_text().count('\n'), m_screen.rows());
}

TEST_F(TerminalScreenTest, selection_survives_new_output) {
    feed_lines(0, 5);
    TerminalSelection selection;
    selection.start({1, 0}, SelectionMode::character);
    selection.extend({2, 4});
    EXPECT_EQ(selection.text(m_screen), "line 1\nline");
    feed_lines(5, 90);
    EXPECT_EQ(selection.text(m_screen), "line 1\nline");
    feed_lines(90, 400);
    EXPECT_TRUE(selection.empty(m_screen)) << "its text has left the scrollback";
}

TEST_F(TerminalScreenTest, selection_word_takes_a_whole_path) {
    m_screen.feed("see /etc/apt/sources.list now");
    TerminalSelection selection;
    selection.start({0, 8}, SelectionMode::word);
    EXPECT_EQ(selection.text(m_screen), "/etc/apt/sources.list");
    selection.extend({0, 27});
    EXPECT_EQ(selection.text(m_screen), "/etc/apt/sources.list now");
}

TEST_F(TerminalScreenTest, selection_line_and_block) {
    m_screen.feed("abcdef\r\nghijkl\r\nmnopqr");
    TerminalSelection selection;
    selection.start({1, 3}, SelectionMode::line);
    EXPECT_EQ(selection.text(m_screen), "ghijkl");
    selection.start({2, 4}, SelectionMode::block);
    selection.extend({0, 2});
    EXPECT_EQ(selection.text(m_screen), "cd\nij\nop");
}

TEST_F(TerminalScreenTest, selection_click_without_drag_is_empty) {
    m_screen.feed("abc");
    TerminalSelection selection;
    selection.start({0, 1}, SelectionMode::character);
    EXPECT_TRUE(selection.empty(m_screen));
    EXPECT_EQ(selection.text(m_screen), "");
}

TEST_F(TerminalScreenTest, find_reaches_into_scrollback_and_steps_around) {
    feed_lines(0, 60);
    TerminalFind find;
    find.set_query(QStringLiteral("LINE 5"));
    find.refresh(m_screen);
    EXPECT_TRUE(find.matches().empty()) << "a capital letter makes it exact";
    find.set_query(QStringLiteral("line 5"));
    find.refresh(m_screen);
    ASSERT_EQ(find.matches().size(), 11U);  // 5 and 50..59
    find.next();
    EXPECT_EQ(find.current()->at, (TerminalPosition{5, 0}));
    find.previous();
    EXPECT_EQ(find.current()->at, (TerminalPosition{59, 0}));
    EXPECT_EQ(find.current_number(), 11);
}

TEST_F(TerminalScreenTest, find_counts_cells_of_wide_characters) {
    m_screen.feed("日本語 x");
    TerminalFind find;
    find.set_query(QStringLiteral("本語"));
    find.refresh(m_screen);
    ASSERT_EQ(find.matches().size(), 1U);
    EXPECT_EQ(find.matches()[0], (TerminalMatch{{0, 2}, 4}));
}

TEST_F(TerminalScreenTest, link_only_web_addresses_count) {
    m_screen.feed("go https://debian.org/x. or file:///etc/passwd");
    const auto link = link_at(m_screen, {0, 10});
    ASSERT_TRUE(link.has_value());
    EXPECT_EQ(link->address, "https://debian.org/x");
    EXPECT_FALSE(link_at(m_screen, {0, 0}).has_value());
    EXPECT_FALSE(link_at(m_screen, {0, 32}).has_value());
}

}  // namespace
}  // namespace skep::ui
