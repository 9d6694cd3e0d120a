// SPDX-License-Identifier: GPL-3.0-or-later
// Settings page for network cards: the list, and a form for the chosen one.
#pragma once

#include <QWidget>

class QListWidget;
class QPushButton;
class QScrollArea;

namespace skep::ui {

class SpecEditor;

class NetworkPage : public QWidget {
    Q_OBJECT
  public:
    explicit NetworkPage(SpecEditor* editor, QWidget* parent = nullptr);

  private:
    void load();
    void show_current();
    void disable_by_backend();
    void add_card();
    void remove_current();

    SpecEditor* m_editor;
    QListWidget* m_list;
    QScrollArea* m_form_area;
    QPushButton* m_add;
    QPushButton* m_remove;
};

}  // namespace skep::ui
