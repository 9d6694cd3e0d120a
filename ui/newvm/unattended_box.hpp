// SPDX-License-Identifier: GPL-3.0-or-later
// UnattendedBox: the New sheet's section for an installation without questions. Off unless the user turns it on.
#pragma once

#include <QGroupBox>
#include <optional>

#include "vmm/unattended/answers.hpp"

class QFormLayout;
class QLabel;
class QLineEdit;

namespace skep::ui {

class UnattendedBox : public QGroupBox {
    Q_OBJECT
  public:
    explicit UnattendedBox(QWidget* parent = nullptr);

    // Why it cannot be used with the medium and settings there are now; empty: it can.
    void set_reason(const QString& reason);
    // The host name follows the machine's until the user has typed one.
    void set_machine_name(const QString& name);
    // What was answered; nothing while it is off.
    [[nodiscard]] std::optional<AnswerForm> form() const;
    // Off, or every answer is good.
    [[nodiscard]] bool acceptable() const;

  signals:
    void edited();

  private:
    using Check = std::string (*)(std::string_view text);  // what is wrong with it, or nothing
    struct Row {
        QLineEdit* line = nullptr;
        QLabel* note = nullptr;
        Check check = nullptr;  // null: it is the password once more
    };
    Row add_row(QFormLayout* form, const char* name, const QString& label, Check check);
    [[nodiscard]] QString problem_of(const Row& row) const;
    void show_problems();

    QLabel* m_reason = nullptr;
    QWidget* m_fields = nullptr;
    Row m_full_name;
    Row m_user;
    Row m_password;
    Row m_again;
    Row m_host_name;
    bool m_host_name_typed = false;
};

}  // namespace skep::ui
