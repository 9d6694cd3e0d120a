// SPDX-License-Identifier: GPL-3.0-or-later
// What the screen's tab offers around the picture.
#include "ui/console/screen_view.hpp"

#include <gmock/gmock.h>
#include <linux/input-event-codes.h>

#include <QApplication>
#include <QClipboard>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QTest>
#include <QToolButton>
#include <QVBoxLayout>
#include <memory>

#include "tests/ui/support/screen_server.hpp"
#include "tests/ui/support/test_library.hpp"
#include "ui/console/screen_client.hpp"
#include "ui/console/screen_full.hpp"
#include "ui/console/screen_toast.hpp"

namespace skep::ui {
namespace {

using Key = ScreenServer::Key;

class ScreenViewTest : public ::testing::Test {
  protected:
    ScreenViewTest() {
        QSettings().remove(QStringLiteral("screen/scale"));
        m_view = std::make_unique<ScreenView>(QStringLiteral("Test"));
        m_view->resize(700, 300);  // all of the bar
        m_view->show();
        EXPECT_TRUE(QTest::qWaitForWindowActive(m_view.get()));
    }
    void connect_to_server() {
        m_server = std::make_unique<ScreenServer>(200, 100);
        m_view->attach(m_server->take_socket());
        EXPECT_TRUE(wait_for([this] { return !m_view->screen()->picture().isNull(); }));
        m_server->fill({0, 0, 200, 100}, 0x336699);
        EXPECT_TRUE(wait_for([this] { return m_view->screen()->picture().pixel(5, 5) == qRgb(0x33, 0x66, 0x99); }));
    }
    static QAction* find(const QMenu& menu, const QString& name) {
        for (QAction* action : menu.actions()) {
            QAction* inside = action->menu() != nullptr ? find(*action->menu(), name) : nullptr;
            if (inside != nullptr || action->objectName() == name) {
                return inside != nullptr ? inside : action;
            }
        }
        return nullptr;
    }
    // Chooses an entry of the view's menu, at any depth.
    void choose(const char* name) {
        QMenu menu;
        m_view->fill_menu(&menu);
        QAction* action = find(menu, QString::fromLatin1(name));
        ASSERT_NE(action, nullptr) << name;
        ASSERT_TRUE(action->isEnabled()) << name;
        action->trigger();
    }
    [[nodiscard]] bool enabled(const char* name) {
        QMenu menu;
        m_view->fill_menu(&menu);
        return find(menu, QString::fromLatin1(name))->isEnabled();
    }
    // A button of the bar, by its action's name or its own.
    [[nodiscard]] QToolButton* button(const char* name) const {
        for (auto* found : m_view->findChildren<QToolButton*>()) {
            if (found->objectName() == QLatin1String(name) ||
                (found->defaultAction() != nullptr && found->defaultAction()->objectName() == QLatin1String(name))) {
                return found;
            }
        }
        return nullptr;
    }
    [[nodiscard]] QString label(const char* name) const {
        const auto* found = m_view->findChild<QLabel*>(QString::fromLatin1(name));
        return found != nullptr && found->isVisible() ? found->text() : QString();
    }

    std::unique_ptr<ScreenServer> m_server;
    std::unique_ptr<ScreenView> m_view;
};

TEST_F(ScreenViewTest, without_a_machine_says_so_and_offers_nothing_that_needs_one) {
    m_view->set_off(QStringLiteral("“Test” is off"));
    EXPECT_EQ(m_view->screen()->description(), QStringLiteral("“Test” is off"));
    EXPECT_FALSE(enabled("actionTypeClipboard"));
    EXPECT_FALSE(enabled("actionSaveScreenshot"));
    EXPECT_FALSE(enabled("actionFullScreen"));
}

TEST_F(ScreenViewTest, resolution_is_said_when_it_changes) {
    connect_to_server();
    m_server->resize(320, 200);
    EXPECT_TRUE(wait_for([this] { return label("screenSize") == QStringLiteral("320 × 200"); }))
        << "it says " << label("screenSize").toStdString() << ", the picture is "
        << m_view->screen()->description().toStdString();
}

TEST(ScreenToast, text_stays_as_long_as_asked_and_a_new_one_begins_anew) {
    QWidget over;
    ScreenToast toast(QStringLiteral("toast"), ScreenToast::Edge::top, &over);
    over.show();
    toast.say(QStringLiteral("one"), 40);
    EXPECT_TRUE(toast.isVisible());
    toast.say(QStringLiteral("two"), 0);
    QTest::qWait(60);
    EXPECT_EQ(toast.text(), QStringLiteral("two"));
    EXPECT_TRUE(toast.isVisible());
    toast.say(QStringLiteral("three"), 20);
    EXPECT_TRUE(wait_for([&] { return !toast.isVisible(); }));
}

TEST_F(ScreenViewTest, send_key_menu_presses_what_the_host_keeps) {
    connect_to_server();
    choose("sendCtrlAltF2");
    EXPECT_TRUE(wait_for([this] { return m_server->keys().size() == 6; }));
    EXPECT_THAT(m_server->keys(), ::testing::ElementsAre(Key{0x1d, true}, Key{0x38, true}, Key{0x3c, true},
                                                         Key{0x3c, false}, Key{0x38, false}, Key{0x1d, false}));
    m_server->forget_input();
    choose("sendSuper");
    EXPECT_TRUE(wait_for([this] { return m_server->keys().size() == 2; }));
    EXPECT_EQ(m_server->keys().front(), (Key{0xdb, true}));
}

TEST_F(ScreenViewTest, clipboard_is_typed_with_shift_where_it_is_needed) {
    connect_to_server();
    QApplication::clipboard()->setText(QStringLiteral("aB"));
    choose("actionTypeClipboard");
    EXPECT_TRUE(wait_for([this] { return m_server->keys().size() == 6; }));
    EXPECT_THAT(m_server->keys(), ::testing::ElementsAre(Key{0x1e, true}, Key{0x1e, false}, Key{0x2a, true},
                                                         Key{0x30, true}, Key{0x30, false}, Key{0x2a, false}));
}

TEST_F(ScreenViewTest, several_lines_are_typed_only_when_confirmed) {
    connect_to_server();
    QApplication::clipboard()->setText(QStringLiteral("a\nb"));
    choose("actionTypeClipboard");
    auto* question = m_view->findChild<QWidget*>(QStringLiteral("confirmType"));
    ASSERT_NE(question, nullptr);
    QTest::qWait(100);
    EXPECT_TRUE(m_server->keys().empty());
    question->close();
}

TEST_F(ScreenViewTest, picture_goes_to_the_clipboard_as_the_guest_drew_it) {
    connect_to_server();
    choose("actionCopyScreenshot");
    const QImage copied = QApplication::clipboard()->image();
    EXPECT_EQ(copied.size(), QSize(200, 100));
    EXPECT_EQ(copied.pixel(199, 99), qRgb(0x33, 0x66, 0x99));
}

TEST_F(ScreenViewTest, every_button_of_the_bar_says_what_it_does_and_its_keys) {
    for (const char* name : {"scaleFit", "scaleExact", "scaleFollow", "actionFullScreen", "actionSaveScreenshot", "sendKeyButton",
                             "actionTypeClipboard"}) {
        const QToolButton* found = button(name);
        ASSERT_NE(found, nullptr) << name;
        EXPECT_FALSE(found->text().isEmpty()) << name;
        EXPECT_TRUE(found->toolTip().contains(QStringLiteral("(Ctrl+"))) << name << ": " << found->toolTip().toStdString();
    }
}

TEST_F(ScreenViewTest, buttons_are_offered_while_they_can_do_something) {
    EXPECT_FALSE(button("actionFullScreen")->isEnabled());
    EXPECT_FALSE(button("sendKeyButton")->isEnabled());
    EXPECT_TRUE(button("scaleExact")->isEnabled()) << "a wish for the next start";
    connect_to_server();
    for (const char* name : {"actionFullScreen", "actionSaveScreenshot", "sendKeyButton", "actionTypeClipboard"}) {
        EXPECT_TRUE(button(name)->isEnabled()) << name;
    }
    m_view->set_off(QStringLiteral("off"));
    EXPECT_FALSE(button("actionSaveScreenshot")->isEnabled());
    EXPECT_FALSE(button("actionTypeClipboard")->isEnabled());
}

TEST_F(ScreenViewTest, scale_button_shows_and_sets_the_mode) {
    QTest::mouseClick(button("scaleExact"), Qt::LeftButton);
    EXPECT_EQ(m_view->screen()->mode(), ScaleMode::exact);
    EXPECT_TRUE(button("scaleExact")->isChecked());
    choose("scaleFit");
    EXPECT_TRUE(button("scaleFit")->isChecked());
    EXPECT_FALSE(button("scaleExact")->isChecked());
}

TEST_F(ScreenViewTest, keys_of_the_bar_are_the_guests_while_it_has_the_keyboard) {
    connect_to_server();
    m_view->screen()->setFocus();
    QTest::keyClick(m_view->screen(), Qt::Key_O, Qt::ControlModifier | Qt::ShiftModifier);
    EXPECT_EQ(m_view->screen()->mode(), ScaleMode::follow);
    m_view->focus_bar();
    ASSERT_FALSE(m_view->screen()->hasFocus());
    QTest::keyClick(QApplication::focusWidget(), Qt::Key_O, Qt::ControlModifier | Qt::ShiftModifier);
    EXPECT_EQ(m_view->screen()->mode(), ScaleMode::exact);
}

TEST_F(ScreenViewTest, type_button_stops_what_it_began) {
    connect_to_server();
    QApplication::clipboard()->setText(QString(500, u'a'));
    QTest::mouseClick(button("actionTypeClipboard"), Qt::LeftButton);
    EXPECT_EQ(button("actionTypeClipboard")->text(), QStringLiteral("Stop"));
    QTest::mouseClick(button("actionTypeClipboard"), Qt::LeftButton);
    EXPECT_EQ(button("actionTypeClipboard")->text(), QStringLiteral("Type"));
    EXPECT_LT(m_server->keys().size(), 100U);
}

TEST_F(ScreenViewTest, scale_is_remembered) {
    choose("scaleExact");
    EXPECT_EQ(m_view->screen()->mode(), ScaleMode::exact);
    EXPECT_EQ(ScreenView(QStringLiteral("Other")).screen()->mode(), ScaleMode::exact);
}

TEST_F(ScreenViewTest, lost_connection_is_said_and_made_again_by_a_click) {
    connect_to_server();
    QSignalSpy wishes(m_view.get(), &ScreenView::socket_requested);
    m_server->hang_up();
    auto* reconnect = m_view->findChild<QPushButton*>(QStringLiteral("screenReconnect"));
    ASSERT_TRUE(wait_for([&] { return reconnect->isVisible(); }));
    reconnect->click();
    EXPECT_EQ(wishes.count(), 1);
    m_server = std::make_unique<ScreenServer>(64, 48);
    m_view->attach(m_server->take_socket());
    EXPECT_TRUE(wait_for([this] { return m_view->screen()->description() == QStringLiteral("64 × 48"); }));
    EXPECT_FALSE(reconnect->isVisible());
}

TEST_F(ScreenViewTest, full_screen_shows_its_bar_and_gives_the_picture_back) {
    connect_to_server();
    choose("actionFullScreen");
    ASSERT_TRUE(m_view->full_screen());
    QWidget* full = m_view->screen()->window();
    EXPECT_EQ(full->objectName(), QStringLiteral("fullScreenWindow"));
    EXPECT_TRUE(full->isFullScreen());
    auto* leave = full->findChild<QPushButton*>(QStringLiteral("leaveFullScreen"));
    EXPECT_TRUE(leave->isVisible());
    EXPECT_TRUE(wait_for([&] {
        emit m_view->screen()->pointer_at(full->mapToGlobal(QPoint(5, 200)));
        return !leave->isVisible();
    }));
    emit m_view->screen()->pointer_at(full->mapToGlobal(QPoint(5, 0)));
    ASSERT_TRUE(leave->isVisible());
    leave->click();
    EXPECT_TRUE(wait_for([this] { return !m_view->full_screen(); }));
    EXPECT_EQ(m_view->screen()->window(), m_view.get());
    EXPECT_TRUE(m_view->screen()->isVisible());
    m_server->fill({0, 0, 200, 100}, 0xffffff);
    EXPECT_TRUE(wait_for([this] { return m_view->screen()->picture().pixel(0, 0) == qRgb(255, 255, 255); }));
}

TEST_F(ScreenViewTest, in_another_window_it_goes_on_and_full_screen_leads_back_there) {
    connect_to_server();
    choose("scaleExact");  // the guest keeps its size, and its picture
    QWidget other;
    auto* layout = new QVBoxLayout(&other);
    layout->addWidget(m_view.get());
    m_view->show();
    other.show();
    ASSERT_TRUE(QTest::qWaitForWindowActive(&other));
    for (const uint32_t colour : {0x00ff00U, 0x0000ffU}) {  // a frame shown asks for the next
        m_server->fill({0, 0, 200, 100}, colour);
        EXPECT_TRUE(wait_for([&] { return m_view->screen()->picture().pixel(5, 5) == (0xff000000U | colour); }));
    }
    choose("actionFullScreen");
    EXPECT_NE(m_view->screen()->window(), &other);
    EXPECT_TRUE(button("actionFullScreen")->isChecked());
    m_view->set_full_screen(false);
    EXPECT_EQ(m_view->screen()->window(), &other);
    EXPECT_TRUE(m_view->screen()->hasFocus());
    choose("sendSuper");
    EXPECT_TRUE(wait_for([this] { return m_server->keys().size() == 2; }));
    m_view->setParent(nullptr);
}

TEST_F(ScreenViewTest, guest_without_a_tablet_is_explained) {
    connect_to_server();
    m_server->set_absolute(false);
    EXPECT_TRUE(wait_for([this] { return label("screenHint").contains(QStringLiteral("Click to give")); }));
}

TEST_F(ScreenViewTest, thumbnail_is_offered_for_a_view_that_nobody_sees) {
    connect_to_server();
    QSignalSpy thumbnails(m_view.get(), &ScreenView::thumbnail_taken);
    m_view->hide();
    m_server->fill({0, 0, 200, 100}, 0x00ff00);
    ASSERT_TRUE(wait_for([&] {
        m_view->offer_thumbnail();
        return thumbnails.count() > 1;
    }));
    const auto small = thumbnails.last().front().value<QImage>();
    EXPECT_EQ(small.size(), QSize(160, 80));
}

}  // namespace
}  // namespace skep::ui
