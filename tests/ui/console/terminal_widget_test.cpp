// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal as a widget: keys, mouse, pasting, zoom, the find bar, and a console over a socket pair.
#include "ui/console/terminal_widget.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QAccessible>
#include <QApplication>
#include <QClipboard>
#include <QLineEdit>
#include <QPainter>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTest>
#include <array>

#include "tests/ui/support/test_library.hpp"
#include "ui/console/box_drawing.hpp"
#include "ui/console/console_view.hpp"
#include "ui/console/paste_pacer.hpp"

namespace skep::ui {
namespace {

class TerminalWidgetTest : public ::testing::Test {
  protected:
    TerminalWidgetTest() {
        m_terminal.resize(m_terminal.size_for(80, 24));
        m_terminal.show();
        QTest::qWait(TerminalWidget::k_resize_ms + 10);
        QObject::connect(&m_terminal, &TerminalWidget::send_to_guest,
                         [this](const QByteArray& bytes) { m_sent += bytes; });
    }
    [[nodiscard]] QPoint cell(int column, int row) const {
        const QSize size = m_terminal.cell_size();
        return {column * size.width() + 1, row * size.height() + size.height() / 2};
    }
    void drag(QPoint from, QPoint to, Qt::KeyboardModifiers modifiers = {}) {
        QTest::mousePress(m_terminal.viewport(), Qt::LeftButton, modifiers, from);
        QMouseEvent move(QEvent::MouseMove, to, m_terminal.viewport()->mapToGlobal(to), Qt::NoButton, Qt::LeftButton,
                         modifiers);
        QApplication::sendEvent(m_terminal.viewport(), &move);
        QTest::mouseRelease(m_terminal.viewport(), Qt::LeftButton, modifiers, to);
    }
    TerminalWidget m_terminal;
    QByteArray m_sent;
};

TEST_F(TerminalWidgetTest, size_holds_whole_cells) {
    EXPECT_EQ(m_terminal.screen().columns(), 80);
    EXPECT_EQ(m_terminal.screen().rows(), 24);
}

TEST_F(TerminalWidgetTest, accessible_value_is_the_visible_text) {
    m_terminal.feed("hello");
    QAccessibleInterface* accessible = QAccessible::queryAccessibleInterface(&m_terminal);
    ASSERT_NE(accessible, nullptr);
    EXPECT_EQ(accessible->role(), QAccessible::Terminal);
    EXPECT_TRUE(accessible->text(QAccessible::Value).startsWith(QStringLiteral("hello\n")));
    EXPECT_EQ(accessible->text(QAccessible::Name), QStringLiteral("Serial console"));
}

TEST_F(TerminalWidgetTest, keys_all_go_to_the_guest) {
    QTest::keyClicks(&m_terminal, QStringLiteral("aZ"));
    QTest::keyClick(&m_terminal, Qt::Key_C, Qt::ControlModifier);
    QTest::keyClick(&m_terminal, Qt::Key_Tab);
    QTest::keyClick(&m_terminal, Qt::Key_Down);
    QTest::keyClick(&m_terminal, Qt::Key_F5);
    QTest::keyClick(&m_terminal, Qt::Key_Return);
    EXPECT_EQ(m_sent, "aZ\x03\t\x1b[B\x1b[15~\r");
}

TEST_F(TerminalWidgetTest, keys_of_the_window_do_not_reach_the_guest) {
    QSignalSpy find(&m_terminal, &TerminalWidget::find_requested);
    QTest::keyClick(&m_terminal, Qt::Key_F, Qt::ControlModifier | Qt::ShiftModifier);
    EXPECT_EQ(find.count(), 1);
    const int before = m_terminal.point_size();
    QTest::keyClick(&m_terminal, Qt::Key_Plus, Qt::ControlModifier);
    EXPECT_EQ(m_terminal.point_size(), before + 1);
    QTest::keyClick(&m_terminal, Qt::Key_0, Qt::ControlModifier);
    EXPECT_EQ(m_terminal.point_size(), before);
    EXPECT_EQ(m_sent, "");
}

TEST_F(TerminalWidgetTest, drag_selects_and_copies) {
    m_terminal.feed("hello world\r\nsecond line\r\n");
    drag(cell(6, 0), cell(6, 1));
    EXPECT_EQ(m_terminal.selected_text(), "world\nsecond");
    QTest::keyClick(&m_terminal, Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
    EXPECT_EQ(QApplication::clipboard()->text(), "world\nsecond");
    m_terminal.feed(QByteArray("x\r\n").repeated(100));
    EXPECT_EQ(m_terminal.selected_text(), "world\nsecond");
}

TEST_F(TerminalWidgetTest, drag_with_alt_selects_a_block) {
    m_terminal.feed("abcdef\r\nghijkl\r\n");
    drag(cell(1, 0), cell(3, 1), Qt::AltModifier);
    EXPECT_EQ(m_terminal.selected_text(), "bc\nhi");
}

TEST_F(TerminalWidgetTest, double_click_selects_a_word) {
    m_terminal.feed("one two-three four");
    QTest::mouseDClick(m_terminal.viewport(), Qt::LeftButton, {}, cell(6, 0));
    EXPECT_EQ(m_terminal.selected_text(), "two-three");
}

TEST_F(TerminalWidgetTest, view_scrolled_up_stays_while_output_arrives) {
    m_terminal.feed(QByteArray("row\r\n").repeated(200));
    ASSERT_TRUE(wait_for([&] { return m_terminal.verticalScrollBar()->maximum() > 100; }));
    m_terminal.verticalScrollBar()->setValue(50);
    m_terminal.feed(QByteArray("row\r\n").repeated(50));
    ASSERT_TRUE(wait_for([&] { return m_terminal.verticalScrollBar()->maximum() > 200; }));
    EXPECT_EQ(m_terminal.verticalScrollBar()->value(), 50);
    QTest::keyClick(&m_terminal, Qt::Key_A);
    EXPECT_EQ(m_terminal.verticalScrollBar()->value(), m_terminal.verticalScrollBar()->maximum());
}

TEST_F(TerminalWidgetTest, paste_one_line_is_typed_in_chunks) {
    QSignalSpy chunks(&m_terminal, &TerminalWidget::send_to_guest);
    const QString text = QString(200, u'x');
    m_terminal.paste_text(text);
    ASSERT_TRUE(wait_for([&] { return !m_terminal.pasting(); }));
    EXPECT_EQ(m_sent, text.toUtf8());
    EXPECT_GE(chunks.count(), 4);
}

TEST_F(TerminalWidgetTest, paste_several_lines_asks_and_cancel_sends_nothing) {
    bool asked = false;
    QTimer::singleShot(0, [&] {
        QWidget* dialog = QApplication::activeModalWidget();
        asked = dialog != nullptr && dialog->objectName() == QStringLiteral("confirmPaste");
        if (dialog != nullptr) {
            QTest::keyClick(dialog, Qt::Key_Escape);
        }
    });
    m_terminal.paste_text(QStringLiteral("rm a\nrm b\n"));
    EXPECT_TRUE(asked);
    EXPECT_EQ(m_sent, "");
}

TEST_F(TerminalWidgetTest, paste_bracketed_needs_no_question) {
    m_terminal.feed("\x1b[?2004h");
    m_terminal.paste_text(QStringLiteral("a\nb\x1b[201~"));
    ASSERT_TRUE(wait_for([&] { return !m_terminal.pasting(); }));
    EXPECT_EQ(m_sent, "\x1b[200~a\rb[201~\x1b[201~") << "an escape in the clipboard cannot end the bracket";
}

TEST_F(TerminalWidgetTest, mouse_is_reported_to_a_program_that_asks) {
    m_terminal.feed("\x1b[?1000h\x1b[?1006h");
    QTest::mouseClick(m_terminal.viewport(), Qt::LeftButton, {}, cell(4, 2));
    EXPECT_EQ(m_sent, "\x1b[<0;5;3M\x1b[<0;5;3m");
    EXPECT_EQ(m_terminal.selected_text(), "");
}

TEST_F(TerminalWidgetTest, box_characters_join_between_cells) {
    m_terminal.feed("\x1b[38;2;255;0;0m\x1b[48;2;0;0;0m\x1b[1;1H──\x1b[2;1H──");
    QTest::qWait(40);
    const QImage image = m_terminal.viewport()->grab().toImage();
    const int width = 2 * m_terminal.cell_size().width();
    int full_rows = 0;
    for (int y = 0; y < m_terminal.cell_size().height(); ++y) {
        int red = 0;
        for (int x = 0; x < width; ++x) {
            red += image.pixelColor(x, y) == QColor(255, 0, 0) ? 1 : 0;
        }
        full_rows += red == width ? 1 : 0;
    }
    EXPECT_GE(full_rows, 1);
}

TEST(BoxDrawing, every_character_touches_the_edges_its_arms_reach) {
    for (const char32_t character : {U'┼', U'╬', U'╋', U'╪', U'╫', U'┿'}) {
        QImage image(11, 21, QImage::Format_RGB32);
        image.fill(Qt::black);
        QPainter painter(&image);
        draw_box_character(painter, image.rect(), character, Qt::white);
        painter.end();
        bool left = false;
        bool right = false;
        for (int y = 0; y < image.height(); ++y) {
            left = left || image.pixelColor(0, y) == Qt::white;
            right = right || image.pixelColor(10, y) == Qt::white;
        }
        bool top = false;
        bool bottom = false;
        for (int x = 0; x < image.width(); ++x) {
            top = top || image.pixelColor(x, 0) == Qt::white;
            bottom = bottom || image.pixelColor(x, 20) == Qt::white;
        }
        EXPECT_TRUE(left && right && top && bottom) << static_cast<uint32_t>(character);
    }
}

TEST(TypedBytes, line_ends_become_returns_and_controls_vanish) {
    EXPECT_EQ(typed_bytes(QStringLiteral("a\r\nb\nc\td\x04\x1b")), "a\rb\rc\td");
    EXPECT_FALSE(needs_confirmation(QStringLiteral("ls\n")));
    EXPECT_TRUE(needs_confirmation(QStringLiteral("ls\nls")));
}

TEST(ConsoleView, socket_history_is_shown_and_typing_is_sent) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    const Fd guest(pair[0]);
    ConsoleView view(0, QStringLiteral("vm"));
    view.resize(800, 500);
    view.show();
    ASSERT_EQ(write(guest.get(), "boot: \x1b[6n", 10), 10);
    view.attach({Fd(pair[1]), 10});
    ASSERT_TRUE(wait_for([&] { return view.last_line() == QStringLiteral("boot:"); }));
    QTest::keyClick(view.terminal(), Qt::Key_X);
    std::array<char, 32> buffer{};
    ASSERT_EQ(recv(guest.get(), buffer.data(), buffer.size(), 0), 1) << "the old question must not be answered";
    EXPECT_EQ(buffer[0], 'x');
    ASSERT_EQ(write(guest.get(), "\x1b[5n", 4), 4);
    ssize_t answered = 0;
    ASSERT_TRUE(wait_for([&] { return (answered = recv(guest.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0; }));
    EXPECT_EQ(std::string(buffer.data(), static_cast<size_t>(answered)), "\x1b[0n") << "a live one must";
}

TEST(ConsoleView, peer_going_away_is_told) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    ConsoleView view(0, QStringLiteral("vm"));
    view.attach({Fd(pair[1])});
    QSignalSpy lost(&view, &ConsoleView::link_lost);
    close(pair[0]);
    ASSERT_TRUE(wait_for([&] { return lost.count() == 1; }));
    EXPECT_FALSE(view.attached());
}

TEST(ConsoleView, find_bar_searches_while_typing) {
    ConsoleView view(0, QStringLiteral("vm"));
    view.resize(800, 500);
    view.show();
    view.terminal()->feed("alpha\r\nbeta\r\nalpha\r\n");
    QTest::keyClick(view.terminal(), Qt::Key_F, Qt::ControlModifier | Qt::ShiftModifier);
    auto* query = view.findChild<QLineEdit*>(QStringLiteral("findQuery"));
    ASSERT_TRUE(query->isVisible());
    QTest::keyClicks(query, QStringLiteral("alp"));
    EXPECT_EQ(view.terminal()->find().matches().size(), 2U);
    EXPECT_EQ(view.terminal()->find().current()->at.line, 2);
    QTest::keyClick(query, Qt::Key_Return);
    EXPECT_EQ(view.terminal()->find().current()->at.line, 0);
    QTest::keyClick(query, Qt::Key_Escape);
    EXPECT_FALSE(query->isVisible());
    EXPECT_TRUE(view.terminal()->find().matches().empty());
}

}  // namespace
}  // namespace skep::ui
