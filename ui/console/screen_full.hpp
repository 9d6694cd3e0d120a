// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's screen over the whole of the host's, with a bar at the top that shows when the pointer touches that edge.
#pragma once

#include <QTimer>
#include <QWidget>
#include <functional>

class QFrame;
class QMenu;

namespace skep::ui {

class ScreenFullWindow : public QWidget {
    Q_OBJECT
  public:
    static constexpr int k_first_ms = 3000;  // the bar shows itself at first

    // `stage` becomes a child until give_back().
    ScreenFullWindow(const QString& vm_name, QWidget* stage, std::function<void(QMenu*)> fill_menu);
    QWidget* give_back();
    // Where the pointer is over the stage.
    void pointer_at(QPoint global);
    // The keyboard is back from the guest: the bar shows and has it.
    void reveal();

  signals:
    void leave_requested();

  protected:
    void closeEvent(QCloseEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    void build_bar(const QString& vm_name, std::function<void(QMenu*)> fill_menu);
    void place_bar();

    QWidget* m_stage;
    QFrame* m_bar;
    QTimer m_hide;
};

}  // namespace skep::ui
