// SPDX-License-Identifier: GPL-3.0-or-later
// A machine's tabs: its screen, its serial consoles, its overview. Keeps them in step with the machine and connects
// them to it when it runs. Screen and consoles may be in windows of their own.
#pragma once

#include <QTabWidget>
#include <vector>

#include "ui/library/guest_windows.hpp"
#include "vmm/control/console_link.hpp"

class QMenu;

namespace skep::ui {

class ConsoleView;
class OverviewTab;
class ScreenView;
class VmSession;

class VmTabs : public QTabWidget {
    Q_OBJECT
  public:
    explicit VmTabs(VmSession* session, QWidget* parent = nullptr);

    [[nodiscard]] OverviewTab* overview() const { return m_overview; }
    // Null when the machine has no such port, or no screen.
    [[nodiscard]] ConsoleView* console(unsigned port) const;
    [[nodiscard]] ScreenView* screen() const { return m_screen; }

    // After the session has changed.
    void refresh();
    // Gives the keyboard to the guest: the tab in front, else the screen, else the first console, in whatever window it is.
    // False when there is none or the machine is off.
    bool focus_guest();
    // The actions of the screen or console in front.
    void fill_menu(QMenu* menu);
    // What fill_menu() is about.
    [[nodiscard]] QString menu_title() const;
    // The machine's own actions, for the windows of its screen and consoles.
    void set_machine_menu(GuestWindow::FillMenu fill) { m_windows.set_machine_menu(std::move(fill)); }
    void read_preferences();

  signals:
    void last_line_changed(const QString& line);  // of the first console
    void keyboard_given_back();

  private:
    void sync_screen();
    void sync_consoles();
    void open_links();
    void open_screen();
    void take_console(unsigned port, ConsoleLink link);
    [[nodiscard]] QWidget* guest_view() const;
    [[nodiscard]] QString off_text() const;

    VmSession* m_session;
    OverviewTab* m_overview;
    ScreenView* m_screen = nullptr;
    std::vector<ConsoleView*> m_consoles;
    GuestWindows m_windows;
};

}  // namespace skep::ui
