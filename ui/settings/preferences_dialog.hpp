// SPDX-License-Identifier: GPL-3.0-or-later
// The application's own settings; few.
#pragma once

#include <QDialog>

namespace skep::ui {

// Writes QSettings when accepted: terminal/pointSize, terminal/scheme, quitAction.
class PreferencesDialog : public QDialog {
    Q_OBJECT
  public:
    explicit PreferencesDialog(QWidget* parent = nullptr);
};

}  // namespace skep::ui
