// SPDX-License-Identifier: GPL-3.0-or-later
// The bar under a terminal that searches its text while one types.
#pragma once

#include <QWidget>

class QLabel;
class QLineEdit;

namespace skep::ui {

class TerminalWidget;

class FindBar : public QWidget {
    Q_OBJECT
  public:
    explicit FindBar(TerminalWidget* terminal, QWidget* parent = nullptr);

    void open();
    void close_bar();

  protected:
    void keyPressEvent(QKeyEvent* event) override;

  private:
    void search(const QString& query);
    void step(int direction);
    void show_count();

    TerminalWidget* m_terminal;
    QLineEdit* m_query;
    QLabel* m_count;
};

}  // namespace skep::ui
