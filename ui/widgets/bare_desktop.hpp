// SPDX-License-Identifier: GPL-3.0-or-later
// Where no window manager runs (the window served over VNC, or on the frame buffer alone) nobody draws frames and titles,
// and Qt chooses its plainest style: this does what is missing.
#pragma once

#include <QObject>

namespace skep::ui {

class BareDesktop : public QObject {
  public:
    // True on Qt's platforms without a window manager.
    [[nodiscard]] static bool needed();

    // Watches the application's windows: every dialog gets a title bar (which moves it) and a frame, inside the screen.
    explicit BareDesktop(QObject* parent = nullptr);

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
};

}  // namespace skep::ui
