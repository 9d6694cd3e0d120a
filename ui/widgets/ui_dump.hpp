// SPDX-License-Identifier: GPL-3.0-or-later
// What is on the screen, as JSON in a file: for tests that drive the window from outside with real mouse clicks and
// need to know where to click and what a person would read there.
#pragma once

#include <QObject>
#include <QString>
#include <QTimer>
#include <memory>

class QJsonObject;
class QWidget;

namespace skep::ui {

// {"time": monotonic seconds, "widgets": [{"name", "class", "label", "text", "enabled", "focus", "window",
// "x", "y", "width", "height", "items": [...]}]}: every visible widget, by the part of it that can be seen, in global
// pixels. Items are the entries of menus, lists, trees and tab bars, with "name", "text", "enabled" and their place. A widget
// that counts how often it was painted (property "paints") tells that too.
[[nodiscard]] QJsonObject describe_windows();

// Writes describe_windows() to a file whenever it changed, looking ten times a second.
class UiDump : public QObject {
  public:
    static constexpr int k_interval_ms = 100;

    explicit UiDump(QString file, QObject* parent = nullptr);
    // One for the file that the environment variable SKEP_UI_DUMP names; none when it is not set.
    [[nodiscard]] static std::unique_ptr<UiDump> from_environment();

    void write();

  private:
    QString m_file;
    QByteArray m_written;
    QTimer m_timer;
};

}  // namespace skep::ui
