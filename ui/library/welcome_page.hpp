// SPDX-License-Identifier: GPL-3.0-or-later
// What is shown when no machine is selected: how to get one.
#pragma once

#include <QWidget>

class QLabel;
class QPushButton;

namespace skep::ui {

class WelcomePage : public QWidget {
    Q_OBJECT
  public:
    explicit WelcomePage(QWidget* parent = nullptr);
    // The text differs when the library holds machines.
    void set_library_empty(bool empty);
    // Why "Try a small Linux" cannot be pressed; empty when it can.
    void set_try_reason(const QString& reason);

  signals:
    void new_requested();
    void try_requested();

  private:
    QLabel* m_title;
    QLabel* m_text;
    QPushButton* m_try;
};

}  // namespace skep::ui
