// SPDX-License-Identifier: GPL-3.0-or-later
// A serial console as a tab: terminal, find bar, and the actions around them.
#pragma once

#include <QPointer>
#include <QWidget>

#include "ui/console/terminal_widget.hpp"
#include "vmm/control/console_link.hpp"

class QAction;
class QLabel;
class QMenu;

namespace skep::ui {

class ConsoleConnection;
class FindBar;

class ConsoleView : public QWidget {
    Q_OBJECT
  public:
    // `port` counts from 0; `vm_name` names saved logs.
    ConsoleView(unsigned port, QString vm_name, QWidget* parent = nullptr);
    ~ConsoleView() override;

    // Shows another run: the history that comes first on the socket replaces what was shown.
    void attach(ConsoleLink link);
    // Says that the machine is off: over an empty terminal, under the last output. Empty: it is on.
    void set_off(const QString& text);
    [[nodiscard]] bool attached() const;
    [[nodiscard]] unsigned port() const { return m_port; }
    [[nodiscard]] TerminalWidget* terminal() const { return m_terminal; }
    [[nodiscard]] QString last_line() const;
    // Copy, paste, find, zoom, save log, send size: for a window's menu.
    void fill_menu(QMenu* menu);
    // One more for the menu's end: where the console is.
    void set_place_action(QAction* action) { m_place = action; }
    // Types `stty cols N rows M` for a guest that cannot know the size of a serial terminal.
    void send_terminal_size();
    // Text size and colours, as the settings say now.
    void read_preferences();

  signals:
    void link_lost();
    void text_changed();

  private:
    void save_log();
    QAction* add_command(QMenu* menu, const QString& name, const QString& text, const QString& keys,
                         TerminalCommand command);

    unsigned m_port;
    QString m_vm_name;
    TerminalWidget* m_terminal;
    FindBar* m_find_bar;
    QLabel* m_notice;
    QAction* m_place = nullptr;
    QPointer<ConsoleConnection> m_connection;
};

}  // namespace skep::ui
