// SPDX-License-Identifier: GPL-3.0-or-later
// The screen's widget against a real VNC server in this process.
#include "ui/console/screen_widget.hpp"

#include <gmock/gmock.h>
#include <linux/input-event-codes.h>

#include <QKeyEvent>
#include <QLineEdit>
#include <QMouseEvent>
#include <QTest>
#include <QVBoxLayout>
#include <QWheelEvent>
#include <memory>

#include "tests/ui/support/screen_server.hpp"
#include "tests/ui/support/test_library.hpp"
#include "ui/console/screen_client.hpp"

namespace skep::ui {
namespace {

using Key = ScreenServer::Key;
using Pointer = ScreenServer::Pointer;

constexpr int k_settle_ms = 20;

class ScreenWidgetTest : public ::testing::Test {
  protected:
    ScreenWidgetTest() {
        auto* layout = new QVBoxLayout(&m_window);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->addWidget(&m_widget);
        layout->addWidget(&m_other);
        m_widget.setFixedSize(400, 300);
        m_window.show();
        m_widget.setFocus();
        m_client = std::make_unique<ScreenClient>(m_server.take_socket());
        QObject::connect(m_client.get(), &ScreenClient::lost, [this](const QString& why) { m_lost = why; });
        m_widget.set_mode(ScaleMode::exact);
        m_widget.attach(m_client.get());
        EXPECT_TRUE(QTest::qWaitForWindowActive(&m_window));
        EXPECT_TRUE(wait_for([this] { return !m_widget.picture().isNull(); }));
        QTest::qWait(k_settle_ms);
    }
    [[nodiscard]] QRgb shown(int x, int y) { return m_widget.viewport()->grab().toImage().pixel(x, y); }
    void key(QEvent::Type type, KeyCode code, bool repeat = false) {
        QKeyEvent event(type, Qt::Key_unknown, Qt::NoModifier, code + 8U, 0, 0, {}, repeat);
        QApplication::sendEvent(&m_widget, &event);
    }
    void mouse(QEvent::Type type, QPointF at, Qt::MouseButton button, Qt::MouseButtons held) {
        QMouseEvent event(type, at, m_widget.viewport()->mapToGlobal(at), button, held, Qt::NoModifier);
        QApplication::sendEvent(m_widget.viewport(), &event);
    }
    [[nodiscard]] bool keys_become(const std::vector<Key>& wanted) {
        return wait_for([&] { return m_server.keys() == wanted; });
    }
    // Whether these are the last that the server has been told.
    [[nodiscard]] bool ends_with(const std::vector<Pointer>& wanted) const {
        const auto pointers = m_server.pointers();
        return pointers.size() >= wanted.size() && std::equal(wanted.rbegin(), wanted.rend(), pointers.rbegin());
    }

    ScreenServer m_server{200, 100};
    QWidget m_window;
    ScreenWidget m_widget{&m_window};
    QLineEdit m_other{&m_window};
    std::unique_ptr<ScreenClient> m_client;
    QString m_lost;
};

// --- picture

TEST_F(ScreenWidgetTest, drawn_pixels_are_shown_in_the_middle_as_they_are) {
    m_server.fill({0, 0, 200, 100}, 0x204060);
    m_server.fill({10, 20, 1, 1}, 0xff0000);
    EXPECT_TRUE(wait_for([this] { return shown(100 + 10, 100 + 20) == qRgb(255, 0, 0); }));
    EXPECT_EQ(shown(100, 100), qRgb(0x20, 0x40, 0x60));
    EXPECT_EQ(shown(299, 199), qRgb(0x20, 0x40, 0x60));
    EXPECT_NE(shown(99, 100), qRgb(0x20, 0x40, 0x60));
}

// No two neighbours alike.
QImage checks(int width, int height) {
    QImage picture(width, height, QImage::Format_RGB32);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            picture.setPixel(x, y, qRgb((x * 37) & 255, (y * 59) & 255, ((x ^ y) & 1) * 255));
        }
    }
    return picture;
}

// Runs at other device-pixel ratios too: see tests/ui/CMakeLists.txt.
TEST_F(ScreenWidgetTest, exact_shows_each_pixel_as_one_of_the_device) {
    const QImage drawn = checks(200, 100);
    m_window.layout()->setContentsMargins(7, 3, 0, 0);  // at a ratio of 1.25 these end in the middle of a pixel
    m_server.draw(drawn);
    ASSERT_TRUE(wait_for([&] { return m_widget.picture() == drawn; }));
    QTest::qWait(k_settle_ms);
    const QImage shot = m_window.grab().toImage().convertToFormat(QImage::Format_RGB32);
    EXPECT_EQ(shot.devicePixelRatio(), qEnvironmentVariable("QT_SCALE_FACTOR", "1").toDouble());
    EXPECT_EQ(shot.copy(m_widget.geometry_now().picture()), drawn);
}

TEST_F(ScreenWidgetTest, still_guest_costs_no_repaint) {
    QTest::qWait(200);  // the window has come to rest
    const uint64_t before = m_widget.paints();
    QTest::qWait(300);
    EXPECT_EQ(m_widget.paints(), before);
    m_server.fill({0, 0, 5, 5}, 0xffffff);
    EXPECT_TRUE(wait_for([&] { return m_widget.paints() > before; })) << "a change is painted all the same";
}

TEST_F(ScreenWidgetTest, hidden_view_asks_for_nothing_and_catches_up) {
    constexpr int k_fills = 30, k_under_way = 10;
    m_widget.hide();
    int frames = 0;
    QObject::connect(m_client.get(), &ScreenClient::frame_finished, [&] { ++frames; });
    int early_frames = 0;
    for (int i = 0; i < k_fills; ++i) {
        m_server.fill({0, 0, 200, 100}, 0x10101 * i);
        QTest::qWait(10);
        early_frames = i < k_under_way ? frames : early_frames;
    }
    EXPECT_LT(early_frames, 3) << "only what was under way: a request and the answer to one before";
    EXPECT_EQ(frames, early_frames);
    m_widget.show();
    EXPECT_TRUE(wait_for([this] { return shown(150, 120) == qRgb(k_fills - 1, k_fills - 1, k_fills - 1); }));
}

TEST_F(ScreenWidgetTest, change_under_something_that_lies_over_the_picture_holds_up_none_after_it) {
    QWidget cover(&m_window);
    cover.setAutoFillBackground(true);
    cover.setGeometry(QRect(m_widget.mapTo(&m_window, QPoint(100, 100)), QSize(50, 50)));
    cover.show();
    QTest::qWait(k_settle_ms);
    for (const uint32_t pixel : {0x112233U, 0x445566U, 0x778899U}) {
        m_server.fill({10, 10, 5, 5}, pixel);
        EXPECT_TRUE(wait_for([&] { return (m_widget.picture().pixel(12, 12) & 0xffffff) == pixel; }));
    }
}

TEST_F(ScreenWidgetTest, another_size_of_the_guest_is_shown_whole) {
    m_server.resize(320, 240);
    m_server.fill({0, 0, 320, 240}, 0x00ff00);
    EXPECT_TRUE(wait_for([this] { return m_client->size() == QSize(320, 240); }));
    EXPECT_TRUE(wait_for([this] { return shown(40, 30) == qRgb(0, 255, 0) && shown(359, 269) == qRgb(0, 255, 0); }));
}

TEST_F(ScreenWidgetTest, fit_fills_the_view_and_exact_does_not) {
    m_server.fill({0, 0, 200, 100}, 0x0000ff);
    m_widget.set_mode(ScaleMode::fit);
    EXPECT_TRUE(wait_for([this] { return shown(1, 150) == qRgb(0, 0, 255) && shown(398, 150) == qRgb(0, 0, 255); }));
    m_widget.set_mode(ScaleMode::exact);
    EXPECT_TRUE(wait_for([this] { return shown(1, 150) != qRgb(0, 0, 255); }));
}

TEST_F(ScreenWidgetTest, many_resizes_in_follow_mode_wish_for_the_last_size_only) {
    m_widget.set_mode(ScaleMode::follow);
    EXPECT_TRUE(wait_for([this] { return m_client->size() == QSize(400, 300); }));
    const size_t before = m_server.wishes().size();
    for (int i = 0; i < 20; ++i) {
        m_widget.setFixedSize(400 + 7 * i, 300 + 5 * i);
        QCoreApplication::sendPostedEvents();  // what it leads to, but no timers: they follow each other closely on any host
    }
    EXPECT_TRUE(wait_for([this] { return m_client->size() == m_widget.viewport()->size(); }));
    EXPECT_EQ(m_client->size(), QSize(533, 395));
    EXPECT_EQ(m_server.wishes().size(), before + 1);
    EXPECT_EQ(m_lost, QString());
}

TEST_F(ScreenWidgetTest, cursor_of_the_guest_becomes_the_views) {
    m_server.set_cursor(16, 12, {3, 4});
    EXPECT_TRUE(wait_for([this] { return m_widget.viewport()->cursor().shape() == Qt::BitmapCursor; }));
    EXPECT_EQ(m_widget.viewport()->cursor().hotSpot(), QPoint(3, 4));
    EXPECT_EQ(m_widget.viewport()->cursor().pixmap().size(), QSize(16, 12));
}

TEST_F(ScreenWidgetTest, end_of_the_server_is_said) {
    m_server.hang_up();
    EXPECT_TRUE(wait_for([this] { return !m_lost.isEmpty(); }));
    key(QEvent::KeyPress, KEY_A);
    EXPECT_FALSE(m_client->connected());
}

// --- keys

// The place of every key on a 105-key keyboard and the code that a PC keyboard sends for it in set 1, with 0x80 for an
// 0xe0 prefix (IBM; QEMU's RFB extension for Print and Pause).
struct KeyOfPc {
    KeyCode code;
    uint32_t scancode;
};
constexpr KeyOfPc k_beyond_the_first_83[] = {
    {KEY_102ND, 0x56},     {KEY_F11, 0x57},     {KEY_F12, 0x58},      {KEY_KPENTER, 0x9c}, {KEY_RIGHTCTRL, 0x9d},
    {KEY_KPSLASH, 0xb5},   {KEY_SYSRQ, 0x54},   {KEY_RIGHTALT, 0xb8}, {KEY_HOME, 0xc7},    {KEY_UP, 0xc8},
    {KEY_PAGEUP, 0xc9},    {KEY_LEFT, 0xcb},    {KEY_RIGHT, 0xcd},    {KEY_END, 0xcf},     {KEY_DOWN, 0xd0},
    {KEY_PAGEDOWN, 0xd1},  {KEY_INSERT, 0xd2},  {KEY_DELETE, 0xd3},   {KEY_PAUSE, 0xc6},   {KEY_LEFTMETA, 0xdb},
    {KEY_RIGHTMETA, 0xdc}, {KEY_COMPOSE, 0xdd},
};

std::vector<KeyOfPc> keys_of_pc() {
    std::vector<KeyOfPc> keys;
    for (KeyCode code = KEY_ESC; code <= KEY_KPDOT; ++code) {  // these are numbered as in set 1
        keys.push_back({code, code});
    }
    keys.insert(keys.end(), std::begin(k_beyond_the_first_83), std::end(k_beyond_the_first_83));
    return keys;
}

TEST_F(ScreenWidgetTest, every_key_of_105_arrives_by_its_place) {
    const std::vector<KeyOfPc> keys = keys_of_pc();
    ASSERT_EQ(keys.size(), 105U);
    std::vector<Key> wanted;
    for (const KeyOfPc& each : keys) {
        key(QEvent::KeyPress, each.code);
        key(QEvent::KeyRelease, each.code);
        wanted.push_back({each.scancode, true});
        wanted.push_back({each.scancode, false});
    }
    EXPECT_TRUE(keys_become(wanted));
}

TEST_F(ScreenWidgetTest, repeated_key_is_pressed_again_and_released_once) {
    key(QEvent::KeyPress, KEY_A);
    for (int i = 0; i < 2; ++i) {
        key(QEvent::KeyRelease, KEY_A, true);
        key(QEvent::KeyPress, KEY_A, true);
    }
    key(QEvent::KeyRelease, KEY_A);
    EXPECT_TRUE(keys_become({{0x1e, true}, {0x1e, true}, {0x1e, true}, {0x1e, false}}));
}

TEST_F(ScreenWidgetTest, nothing_stays_down_after_the_focus_has_gone) {
    key(QEvent::KeyPress, KEY_LEFTSHIFT);
    key(QEvent::KeyPress, KEY_A);
    m_other.setFocus();
    EXPECT_TRUE(keys_become({{0x2a, true}, {0x1e, true}, {0x1e, false}, {0x2a, false}}));
    key(QEvent::KeyRelease, KEY_A);
    m_server.forget_input();
    QTest::qWait(k_settle_ms);
    EXPECT_TRUE(m_server.keys().empty()) << "a release that comes later is not sent again";
}

TEST_F(ScreenWidgetTest, shortcuts_and_tab_are_the_guests) {
    bool triggered = false;
    QAction action;
    action.setShortcut(QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_Q));
    QObject::connect(&action, &QAction::triggered, [&] { triggered = true; });
    m_window.addAction(&action);
    QTest::keyClick(&m_widget, Qt::Key_Q, Qt::ControlModifier | Qt::ShiftModifier);
    QTest::keyClick(&m_widget, Qt::Key_Tab);
    EXPECT_FALSE(triggered);
    EXPECT_TRUE(m_widget.hasFocus());
    EXPECT_TRUE(wait_for([this] {
        const auto keys = m_server.keys();
        return std::ranges::count(keys, Key{0x10, true}) == 1 && std::ranges::count(keys, Key{0x0f, true}) == 1;
    }));
}

TEST_F(ScreenWidgetTest, control_and_alt_alone_are_the_way_out) {
    int out = 0;
    QObject::connect(&m_widget, &ScreenWidget::host_key_pressed, [&] { ++out; });
    const auto chord = [this](std::vector<KeyCode> codes) {
        for (const KeyCode code : codes) {
            key(QEvent::KeyPress, code);
        }
        for (const KeyCode code : codes) {
            key(QEvent::KeyRelease, code);
        }
    };
    chord({KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE});
    chord({KEY_LEFTCTRL});
    chord({KEY_LEFTALT, KEY_TAB});
    EXPECT_EQ(out, 0) << "chords of the guest's";
    chord({KEY_LEFTCTRL, KEY_LEFTALT});
    EXPECT_EQ(out, 1);
    chord({KEY_LEFTALT, KEY_LEFTCTRL});
    EXPECT_EQ(out, 2);
}

TEST_F(ScreenWidgetTest, sent_chord_is_pressed_in_order_and_released_backwards) {
    m_widget.send_chord({KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE});
    EXPECT_TRUE(keys_become({{0x1d, true}, {0x38, true}, {0xd3, true}, {0xd3, false}, {0x38, false}, {0x1d, false}}));
}

// --- pointer

TEST_F(ScreenWidgetTest, pointer_lands_on_the_pixel_under_it) {
    mouse(QEvent::MouseMove, {100.0 + 7, 100.0 + 9}, Qt::NoButton, Qt::NoButton);
    EXPECT_TRUE(wait_for([this] { return !m_server.pointers().empty(); }));
    EXPECT_EQ(m_server.pointers().back(), (Pointer{7, 9, 0}));
    m_widget.set_mode(ScaleMode::fit);  // twice as large, 50 below the view's top
    mouse(QEvent::MouseMove, {60, 50 + 81}, Qt::NoButton, Qt::NoButton);
    EXPECT_TRUE(wait_for([this] { return m_server.pointers().back() == Pointer{30, 40, 0}; }));
}

TEST_F(ScreenWidgetTest, motion_is_coalesced_and_never_late_for_a_button) {
    for (int x = 0; x < 100; ++x) {
        mouse(QEvent::MouseMove, {100.0 + x, 110}, Qt::NoButton, Qt::NoButton);
    }
    mouse(QEvent::MouseButtonPress, {200, 110}, Qt::LeftButton, Qt::LeftButton);
    mouse(QEvent::MouseButtonRelease, {200, 110}, Qt::LeftButton, Qt::NoButton);
    EXPECT_TRUE(wait_for([this] { return ends_with({{100, 10, 1}, {100, 10, 0}}); }));
    const auto pointers = m_server.pointers();
    EXPECT_LT(pointers.size(), 20U);
    EXPECT_EQ(*std::prev(pointers.end(), 3), (Pointer{100, 10, 0})) << "the place comes before the button";
}

TEST_F(ScreenWidgetTest, buttons_and_wheel_have_their_own_bits) {
    mouse(QEvent::MouseButtonPress, {110, 110}, Qt::RightButton, Qt::RightButton);
    mouse(QEvent::MouseButtonRelease, {110, 110}, Qt::RightButton, Qt::NoButton);
    QWheelEvent up({110, 110}, m_widget.viewport()->mapToGlobal(QPointF(110, 110)), {}, {0, 240}, Qt::NoButton,
                   Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(m_widget.viewport(), &up);
    EXPECT_TRUE(wait_for([this] { return ends_with({{10, 10, 8}, {10, 10, 0}, {10, 10, 8}, {10, 10, 0}}); }));
    EXPECT_EQ(std::ranges::count(m_server.pointers(), Pointer{10, 10, 4}), 1);
}

TEST_F(ScreenWidgetTest, guest_without_a_tablet_gets_the_pointer_by_a_click_and_gives_it_back) {
    m_server.set_absolute(false);
    ASSERT_TRUE(wait_for([this] { return m_widget.pointer_needs_grab(); }));
    m_server.forget_input();
    mouse(QEvent::MouseMove, {110, 110}, Qt::NoButton, Qt::NoButton);
    EXPECT_FALSE(m_widget.grabbed());
    mouse(QEvent::MouseButtonPress, {110, 110}, Qt::LeftButton, Qt::LeftButton);
    EXPECT_TRUE(m_widget.grabbed());
    const QPointF middle = QPointF(m_widget.viewport()->rect().center());
    mouse(QEvent::MouseMove, middle + QPointF(5, -3), Qt::NoButton, Qt::NoButton);
    EXPECT_TRUE(wait_for([this] { return !m_server.pointers().empty(); }));
    EXPECT_EQ(m_server.pointers().front(), (Pointer{0x7fff + 5, 0x7fff - 3, 0}));
    key(QEvent::KeyPress, KEY_LEFTCTRL);
    key(QEvent::KeyPress, KEY_LEFTALT);
    key(QEvent::KeyRelease, KEY_LEFTALT);
    EXPECT_FALSE(m_widget.grabbed());
}

}  // namespace
}  // namespace skep::ui
