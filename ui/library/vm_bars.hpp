// SPDX-License-Identifier: GPL-3.0-or-later
// VmBars: what is wrong with one machine and what can be done about it, above its page. One bar for each trouble; none
// takes room while all is well.
#pragma once

#include <QCoreApplication>
#include <QWidget>
#include <functional>

class QPushButton;

namespace skep::ui {

class MessageBar;
class VmSession;

// What the bars' buttons do besides the session's own actions.
struct VmBarActions {
    std::function<void()> show_log;
    std::function<void()> save_report;
    std::function<void()> open_folder;
    std::function<void()> edit_settings;
    std::function<void()> delete_machine;
    std::function<void()> insert_and_reset;  // asks for a CD image, then starts the machine from it
};

class VmBars : public QWidget {
    Q_DECLARE_TR_FUNCTIONS(VmBars)
  public:
    VmBars(VmSession* session, VmBarActions actions, QWidget* parent = nullptr);
    // After the session has changed.
    void refresh();
    // The console's last line: the firmware says there that it found nothing to start.
    void set_last_line(const QString& line);

  private:
    [[nodiscard]] QString boot_advice() const;

    VmSession* m_session;
    VmBarActions m_actions;
    bool m_nothing_to_boot = false;
    MessageBar* m_crash;
    MessageBar* m_failed;
    MessageBar* m_broken;
    QPushButton* m_restore;
    MessageBar* m_space;
    MessageBar* m_boot;
    QPushButton* m_insert;
    MessageBar* m_notice;
    MessageBar* m_later;
};

}  // namespace skep::ui
