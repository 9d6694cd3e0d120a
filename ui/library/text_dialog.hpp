// SPDX-License-Identifier: GPL-3.0-or-later
// A window of plain text to read and copy: logs.
#pragma once

#include <QString>

class QWidget;

namespace skep::ui {

void show_text(QWidget* parent, const QString& object_name, const QString& title, const QString& text);
// Asks where and writes the file; tells when that fails.
void save_text(QWidget* parent, const QString& title, const QString& proposed_name, const QString& text);

}  // namespace skep::ui
