// SPDX-License-Identifier: GPL-3.0-or-later
// A word over a guest's screen that goes away by itself. It takes no clicks.
#pragma once

#include <QLabel>
#include <QTimer>

namespace skep::ui {

class ScreenToast : public QLabel {
  public:
    enum class Edge { top, bottom };
    ScreenToast(const QString& object_name, Edge edge, QWidget* over);

    // Empty text, or the time being over, hides it; 0 ms: it stays.
    void say(const QString& text, int milliseconds);

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    void place();

    Edge m_edge;
    QTimer m_timer;
};

}  // namespace skep::ui
