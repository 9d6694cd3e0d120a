// SPDX-License-Identifier: GPL-3.0-or-later
// A card across a page: something to know, with buttons to act on it.
#pragma once

#include <QFrame>
#include <functional>

class QLabel;
class QHBoxLayout;
class QPushButton;

namespace skep::ui {

enum class MessageLevel { information, warning, critical };

class MessageBar : public QFrame {
    Q_OBJECT
  public:
    MessageBar(const QString& object_name, MessageLevel level, QWidget* parent = nullptr);

    // Plain text; an empty title hides the bar.
    void set_text(const QString& title, const QString& text);
    QPushButton* add_button(const QString& object_name, const QString& text, std::function<void()> action);

  private:
    QLabel* m_title;
    QLabel* m_text;
    QHBoxLayout* m_buttons;
};

}  // namespace skep::ui
