// SPDX-License-Identifier: GPL-3.0-or-later
// The actions around a guest's screen, made once: the bar above the picture, menus and keys show the same ones.
#pragma once

#include <QAction>
#include <QActionGroup>

#include "ui/console/screen_geometry.hpp"

namespace skep::ui {

// Which of them are possible now.
struct ScreenAbilities {
    bool attached = false;  // to a running guest
    bool picture = false;   // there is one
    bool typing = false;
    bool full_screen = false;
    ScaleMode mode = ScaleMode::follow;
};

// Belongs to the parent; what they do is connected by who has them. The keys work while Skep has the keyboard, not the guest.
class ScreenActions {
  public:
    explicit ScreenActions(QObject* parent);
    void update(const ScreenAbilities& now);

    QActionGroup* scale;  // data(): a ScaleMode
    QAction* full_screen;
    QAction* save_picture;
    QAction* copy_picture;
    QAction* type;
    QAction* copy_text;
};

// "Tip (Ctrl+X)".
[[nodiscard]] QString tip_with_keys(const QString& tip, const QKeySequence& keys);

}  // namespace skep::ui
