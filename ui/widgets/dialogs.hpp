// SPDX-License-Identifier: GPL-3.0-or-later
// The dialogs every room of the window shares: errors, questions, picking a file.
#pragma once

#include <QMessageBox>
#include <QString>
#include <functional>

class QWidget;

namespace skep::ui {

// What failed (title), why and what to do (message), details in a fold, a Copy button. Does not block. Guest and
// file text is shown as plain text.
void show_error(QWidget* parent, const QString& title, const QString& message, const QString& details = {});

// A question with a verb on its button; `then` runs when it is pressed. Does not block.
void ask(QWidget* parent, const QString& object_name, const QString& title, const QString& risk, const QString& verb,
         std::function<void()> then);

// Qt's own file dialog (the same everywhere, driven by keyboard). Empty when cancelled. Starts where the last file
// came from.
[[nodiscard]] QString pick_file(QWidget* parent, const QString& title, const QString& filter);

// "1.4 GiB".
[[nodiscard]] QString size_text(quint64 bytes);

}  // namespace skep::ui
