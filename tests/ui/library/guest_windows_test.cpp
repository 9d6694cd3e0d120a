// SPDX-License-Identifier: GPL-3.0-or-later
// A machine's screen and consoles in windows of their own, and what is plugged into it.
#include <gtest/gtest.h>

#include <QAction>
#include <QApplication>
#include <QCloseEvent>
#include <QFileDialog>
#include <QLineEdit>
#include <QMenu>
#include <QMenuBar>
#include <QPushButton>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>
#include <qtestspontaneevent.h>

#include "tests/ui/library/library_fixture.hpp"
#include "ui/library/guest_window.hpp"

namespace skep::ui {
namespace {

class GuestWindowsTest : public LibraryWindowTest {
  protected:
    ConsoleView* console() { return page()->console(0); }
    QTabWidget* tabs() { return get<QTabWidget>("vmTabs", page()); }
    QAction* own_window() { return console()->findChild<QAction*>(QStringLiteral("actionOwnWindow")); }
    // Null while it is in its tab.
    GuestWindow* window() { return qobject_cast<GuestWindow*>(console()->window()); }
    // As the window manager does it.
    void close_window() {
        QCloseEvent event;
        QSpontaneKeyEvent::setSpontaneous(&event);
        qApp->notify(window(), &event);
    }
    [[nodiscard]] bool console_says(const QString& text) {
        return wait_for([&] { return console()->last_line() == text; });
    }
    static QAction* entry(QMenu* menu, const QString& part) {
        for (QAction* action : menu->actions()) {
            if (action->text().contains(part)) {
                return action;
            }
        }
        return nullptr;
    }
};

TEST_F(GuestWindowsTest, own_window_has_the_console_and_closing_puts_it_back) {
    start_machine();
    const int count = tabs()->count();
    own_window()->trigger();
    ASSERT_NE(window(), nullptr);
    EXPECT_TRUE(window()->isVisible() && console()->isVisible());
    EXPECT_EQ(window()->windowTitle(), QStringLiteral("one — Serial 1"));
    EXPECT_EQ(tabs()->count(), count);
    EXPECT_EQ(tabs()->tabText(0), QStringLiteral("Serial 1"));
    EXPECT_TRUE(get<QWidget>("elsewherePage", page())->isVisible());
    QTest::keyClicks(console()->terminal(), QStringLiteral("there"));
    EXPECT_TRUE(console_says(QStringLiteral("login: there")));
    close_window();
    EXPECT_EQ(console()->window(), m_window.get());
    EXPECT_EQ(tabs()->indexOf(console()), 0);
    EXPECT_TRUE(console()->isVisible());
    QTest::keyClicks(console()->terminal(), QStringLiteral("-back"));
    EXPECT_TRUE(console_says(QStringLiteral("login: there-back")));
}

TEST_F(GuestWindowsTest, same_keys_move_it_out_and_back) {
    start_machine();
    const auto press = [this] { QTest::keyClick(console()->terminal(), Qt::Key_D, Qt::ControlModifier | Qt::ShiftModifier); };
    ASSERT_TRUE(QTest::qWaitForWindowActive(m_window.get()));
    console()->terminal()->setFocus();
    press();
    ASSERT_NE(window(), nullptr);
    ASSERT_TRUE(QTest::qWaitForWindowActive(window()));
    press();
    EXPECT_EQ(window(), nullptr);
}

TEST_F(GuestWindowsTest, page_in_its_place_puts_it_back) {
    start_machine();
    own_window()->trigger();
    ASSERT_NE(window(), nullptr);
    QTest::mouseClick(get<QPushButton>("putBack", page()), Qt::LeftButton);
    EXPECT_EQ(window(), nullptr);
    EXPECT_FALSE(own_window()->isChecked());
    EXPECT_EQ(tabs()->currentWidget(), console());
}

TEST_F(GuestWindowsTest, place_is_remembered_for_the_machine) {
    start_machine();
    own_window()->trigger();
    window()->resize(512, 345);
    window()->close();  // as the end of Skep does: nobody has put it back
    m_window.reset();
    open();
    ASSERT_TRUE(wait_for([&] { return console() != nullptr && console()->attached(); }));
    ASSERT_NE(window(), nullptr);
    EXPECT_EQ(window()->size(), QSize(512, 345));
    session()->power_off();
    ASSERT_TRUE(becomes(VmState::off));
    EXPECT_EQ(window(), nullptr) << "there is nothing to see in it";
    session()->start();
    ASSERT_TRUE(becomes(VmState::running));
    ASSERT_TRUE(wait_for([&] { return window() != nullptr; })) << "as it was the last time";
    own_window()->trigger();
    m_window.reset();
    open();
    ASSERT_TRUE(wait_for([&] { return console() != nullptr && console()->attached(); }));
    EXPECT_EQ(window(), nullptr);
}

TEST_F(GuestWindowsTest, own_window_has_the_machines_menu) {
    start_machine();
    own_window()->trigger();
    const QList<QAction*> menus = window()->findChild<QMenuBar*>(QStringLiteral("guestMenuBar"))->actions();
    ASSERT_EQ(menus.size(), 2);
    EXPECT_NE(entry(menus[0]->menu(), QStringLiteral("Pause")), nullptr);
    EXPECT_NE(entry(menus[1]->menu(), QStringLiteral("Paste")), nullptr);
    get<QAction>("actionPause", page())->trigger();
    ASSERT_TRUE(becomes(VmState::paused));
    EXPECT_EQ(window()->windowTitle(), QStringLiteral("one — Serial 1 (Paused)"));
}

class DevicesMenuTest : public GuestWindowsTest {
  protected:
    // As when it opens.
    QMenu* devices() {
        QMenu* menu = get<QToolButton>("cdButton", page())->menu();
        emit menu->aboutToShow();
        return menu;
    }
    // Chooses the file in the dialog that opens next.
    void will_pick(const QString& path) {
        QTimer::singleShot(0, m_window.get(), [path] {
            auto* dialog = qobject_cast<QFileDialog*>(QApplication::activeModalWidget());
            ASSERT_NE(dialog, nullptr);
            dialog->findChild<QLineEdit*>(QStringLiteral("fileNameEdit"))->setText(path);
            QMetaObject::invokeMethod(dialog, "accept");
        });
    }
};

TEST_F(DevicesMenuTest, stick_is_plugged_in_and_ejected) {
    const QString image = write_file(QStringLiteral("stick.img"), QByteArray(4096, '\0'));
    start_machine(UsbKind::xhci);
    QAction* attach = entry(devices(), QStringLiteral("USB stick"));
    ASSERT_TRUE(attach != nullptr && attach->isEnabled());
    will_pick(image);
    attach->trigger();
    ASSERT_TRUE(wait_for([&] { return session()->sticks().size() == 1; }));
    EXPECT_EQ(session()->sticks().begin()->second, image);
    QAction* eject = entry(devices(), QStringLiteral("Eject stick.img"));
    ASSERT_NE(eject, nullptr);
    eject->trigger();
    ASSERT_TRUE(wait_for([&] { return session()->sticks().empty(); }));
    EXPECT_EQ(entry(devices(), QStringLiteral("Eject stick.img")), nullptr);
}

TEST_F(DevicesMenuTest, machine_that_is_off_takes_no_stick) {
    make_machine("one");
    open();
    EXPECT_FALSE(entry(devices(), QStringLiteral("USB stick"))->isEnabled());
}

}  // namespace
}  // namespace skep::ui
