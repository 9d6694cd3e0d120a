// SPDX-License-Identifier: GPL-3.0-or-later
// One machine: its buttons, its messages, its tabs.
#pragma once

#include <QWidget>

class QAction;
class QLabel;
class QMenu;
class QToolBar;
class QToolButton;

namespace skep::ui {

class ConsoleView;
class ScreenView;
class SettingsDialog;
class VmBars;
struct VmBarActions;
class VmSession;
class VmTabs;

class VmPage : public QWidget {
    Q_OBJECT
  public:
    explicit VmPage(VmSession* session, QWidget* parent = nullptr);

    [[nodiscard]] VmSession* session() const { return m_session; }
    [[nodiscard]] ConsoleView* console(unsigned port) const;
    [[nodiscard]] ScreenView* screen() const;  // null: the machine has none
    // Puts the keyboard focus where one works: the guest of a running machine, else the Start button.
    void focus_work();

    void confirm_power_off();
    void confirm_reset();
    void show_log();
    void open_folder();
    void edit_settings();
    // Start, pause, stop and settings: for a window's menu.
    void fill_machine_menu(QMenu* menu);
    void read_preferences();

  signals:
    void delete_requested();

  private:
    VmBarActions bar_actions();
    void build_toolbar();
    void add_power_actions();
    QAction* add_action(const QString& name, const QString& text, const QString& tip, const QKeySequence& keys = {});
    void fill_cd_menu();
    void fill_console_menu();
    QString pick_cd();
    void add_stick_actions();
    void insert_cd(const QString& drive);
    void insert_and_reset();
    void update_page();
    void focus_buttons();
    void name_console_button();
    void save_report();
    void save_settings(SettingsDialog* dialog);

    VmSession* m_session;
    QToolBar* m_toolbar;
    QLabel* m_name;
    QLabel* m_badge;
    QAction* m_start = nullptr;
    QToolButton* m_stop = nullptr;
    QAction* m_pause = nullptr;
    QToolButton* m_cd = nullptr;
    QToolButton* m_console_button = nullptr;
    QAction* m_settings = nullptr;
    QMenu* m_cd_menu = nullptr;
    QMenu* m_console_menu = nullptr;
    VmBars* m_bars;
    VmTabs* m_tabs;
};

}  // namespace skep::ui
