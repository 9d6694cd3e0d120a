// SPDX-License-Identifier: GPL-3.0-or-later
// The keys that do something in Skep itself; all others go to the guest while its console has the keyboard.
#pragma once

class QWidget;

namespace skep::ui {

void show_keys(QWidget* parent);

}  // namespace skep::ui
