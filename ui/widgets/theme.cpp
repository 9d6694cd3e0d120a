// SPDX-License-Identifier: GPL-3.0-or-later
// Themes as palettes of the style.
#include "ui/widgets/theme.hpp"

#include <QApplication>
#include <QDBusConnection>
#include <QDBusMessage>
#include <QDBusPendingCallWatcher>
#include <QDBusPendingReply>
#include <QDBusVariant>
#include <QPalette>
#include <QSettings>

namespace skep::ui {

namespace {

const char* const k_portal = "org.freedesktop.portal.Desktop";
const char* const k_portal_path = "/org/freedesktop/portal/desktop";
const char* const k_portal_settings = "org.freedesktop.portal.Settings";
constexpr uint k_prefers_dark = 1;

bool is_dark(const QPalette& palette) {
    return palette.color(QPalette::Window).lightness() < palette.color(QPalette::WindowText).lightness();
}

QPalette dark_palette() {
    const QColor text(0xe6, 0xe6, 0xe6);
    QPalette palette(QColor(0x3a, 0x3b, 0x3e), QColor(0x2b, 0x2c, 0x2e));  // shades follow from the two
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText, QPalette::ToolTipText}) {
        palette.setColor(role, text);
        palette.setColor(QPalette::Disabled, role, QColor(0x8c, 0x8c, 0x8c));
    }
    palette.setColor(QPalette::Base, QColor(0x1f, 0x20, 0x22));
    palette.setColor(QPalette::AlternateBase, QColor(0x36, 0x37, 0x3a));
    palette.setColor(QPalette::ToolTipBase, QColor(0x3a, 0x3b, 0x3e));
    palette.setColor(QPalette::PlaceholderText, QColor(0x9a, 0x9a, 0x9a));
    palette.setColor(QPalette::Highlight, QColor(0x2f, 0x6f, 0xb3));
    palette.setColor(QPalette::HighlightedText, Qt::white);
    palette.setColor(QPalette::Link, QColor(0x7f, 0xb4, 0xf0));
    palette.setColor(QPalette::BrightText, QColor(0xff, 0x70, 0x70));
    return palette;
}

QPalette light_palette() {
    QPalette palette(QColor(0xef, 0xef, 0xef), QColor(0xef, 0xef, 0xef));
    palette.setColor(QPalette::AlternateBase, QColor(0xf7, 0xf7, 0xf7));
    palette.setColor(QPalette::Highlight, QColor(0x30, 0x8c, 0xc6));
    palette.setColor(QPalette::PlaceholderText, QColor(0x70, 0x70, 0x70));
    return palette;
}

// The palette with which the desktop started us.
const QPalette& desktop_palette() {
    static const QPalette palette = QApplication::palette();
    return palette;
}

void ask_portal(QObject* context) {
    QDBusMessage question = QDBusMessage::createMethodCall(QLatin1String(k_portal), QLatin1String(k_portal_path),
                                                           QLatin1String(k_portal_settings), QStringLiteral("Read"));
    question << QStringLiteral("org.freedesktop.appearance") << QStringLiteral("color-scheme");
    auto* watcher = new QDBusPendingCallWatcher(QDBusConnection::sessionBus().asyncCall(question, 2000), context);
    QObject::connect(watcher, &QDBusPendingCallWatcher::finished, context, [watcher] {
        watcher->deleteLater();
        const QDBusPendingReply<QDBusVariant> reply = *watcher;
        if (reply.isError() || saved_theme() != Theme::system) {
            return;
        }
        const QVariant inner = reply.value().variant();  // Read wraps its answer once more
        const uint wanted = inner.canConvert<QDBusVariant>() ? inner.value<QDBusVariant>().variant().toUInt() : inner.toUInt();
        const bool dark = wanted == k_prefers_dark && !is_dark(desktop_palette());
        QApplication::setPalette(dark ? dark_palette() : desktop_palette());
    });
}

}  // namespace

Theme saved_theme() {
    const QString name = QSettings().value(QStringLiteral("theme")).toString();
    return name == QStringLiteral("dark") ? Theme::dark : name == QStringLiteral("light") ? Theme::light : Theme::system;
}

void apply_theme(Theme theme) {
    const QPalette& desktop = desktop_palette();
    switch (theme) {
        case Theme::light:
            QApplication::setPalette(is_dark(desktop) ? light_palette() : desktop);
            break;
        case Theme::dark:
            QApplication::setPalette(is_dark(desktop) ? desktop : dark_palette());
            break;
        case Theme::system:
            QApplication::setPalette(desktop);
            if (QDBusConnection::sessionBus().isConnected()) {
                ask_portal(qApp);
            }
            break;
    }
}

}  // namespace skep::ui
