// SPDX-License-Identifier: GPL-3.0-or-later
// The boot order as a list with Up and Down.
#pragma once

#include <QWidget>

class QListWidget;
class QPushButton;

namespace skep::ui {

class SpecEditor;

class BootOrderList : public QWidget {
    Q_OBJECT
  public:
    explicit BootOrderList(SpecEditor* editor, QWidget* parent = nullptr);

  private:
    void load();
    void move(int step);
    void update_buttons();

    SpecEditor* m_editor;
    QListWidget* m_list;
    QPushButton* m_up;
    QPushButton* m_down;
    bool m_loading = false;
};

}  // namespace skep::ui
