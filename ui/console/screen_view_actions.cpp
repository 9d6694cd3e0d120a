// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenView: menus, pictures of the screen, typing.
#include <linux/input-event-codes.h>

#include <QActionGroup>
#include <QClipboard>
#include <QDateTime>
#include <QDir>
#include <QFileDialog>
#include <QGuiApplication>
#include <QMenu>
#include <QSettings>

#include "ui/console/screen_client.hpp"
#include "ui/console/screen_toast.hpp"
#include "ui/console/screen_typist.hpp"
#include "ui/console/screen_view.hpp"
#include "ui/widgets/dialogs.hpp"

namespace skep::ui {

namespace {

struct Chord {
    const char* name;  // of the action
    const char* text;
    std::vector<KeyCode> keys;
};

// What the host's desktop keeps for itself, or what people look for.
const std::vector<Chord>& chords() {
    static const std::vector<Chord> chords = {
        {"sendCtrlAltDel",
         QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Ctrl+Alt+&Del"),
         {KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE}},
        {"sendCtrlAltBackspace",
         QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Ctrl+Alt+&Backspace"),
         {KEY_LEFTCTRL, KEY_LEFTALT, KEY_BACKSPACE}},
        {"sendCtrlAltEnter",
         QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Ctrl+Alt+E&nter"),
         {KEY_LEFTCTRL, KEY_LEFTALT, KEY_ENTER}},
        {"sendAltTab", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Alt+&Tab"), {KEY_LEFTALT, KEY_TAB}},
        {"sendAltF4", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Alt+&F4"), {KEY_LEFTALT, KEY_F4}},
        {"sendSuper", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "&Super (Windows key)"), {KEY_LEFTMETA}},
        {"sendPrint", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "&Print screen"), {KEY_SYSRQ}},
        {"sendSysRq", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Alt+SysR&q"), {KEY_LEFTALT, KEY_SYSRQ}},
        {"sendPause", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "Pa&use"), {KEY_PAUSE}},
        {"sendMenu", QT_TRANSLATE_NOOP("skep::ui::ScreenView", "&Menu key"), {KEY_COMPOSE}},
    };
    return chords;
}

constexpr KeyCode k_function_keys[] = {KEY_F1, KEY_F2, KEY_F3, KEY_F4,  KEY_F5,  KEY_F6,
                                       KEY_F7, KEY_F8, KEY_F9, KEY_F10, KEY_F11, KEY_F12};

}  // namespace

QAction* ScreenView::add_action(QMenu* menu, const QString& name, const QString& text, std::function<void()> action) {
    QAction* entry = menu->addAction(text);
    entry->setObjectName(name);
    connect(entry, &QAction::triggered, this, [action = std::move(action)] { action(); });
    return entry;
}

void ScreenView::fill_menu(QMenu* menu) {
    add_scale_menu(menu);
    QMenu* keys = menu->addMenu(tr("Send &key"));
    keys->setObjectName(QStringLiteral("sendKeyMenu"));
    keys->setEnabled(attached());
    fill_key_menu(keys);
    add_action(menu, QStringLiteral("actionTypeClipboard"),
               m_typist->typing() ? tr("Stop &typing") : tr("&Type clipboard as keys"), [this] { type_clipboard(); })
        ->setEnabled(attached());
    add_action(menu, QStringLiteral("actionCopyScreenText"), tr("Copy the te&xt on the screen"), [this] {
        emit text_requested();
    })->setEnabled(attached());
    menu->addSeparator();
    add_picture_actions(menu);
    menu->addSeparator();
    QAction* full = add_action(menu, QStringLiteral("actionFullScreen"), tr("&Full screen\tCtrl+Alt+Enter"),
                               [this] { set_full_screen(!full_screen()); });
    full->setCheckable(true);
    full->setChecked(full_screen());
    full->setEnabled(attached());
    menu->addSeparator();
    menu->addAction(tr("Ctrl+Alt gives the keyboard back to Skep"))->setEnabled(false);
}

void ScreenView::add_scale_menu(QMenu* menu) {
    auto* group = new QActionGroup(menu);
    const auto add = [&](const char* name, const QString& text, ScaleMode mode) {
        QAction* entry = add_action(menu, QString::fromLatin1(name), text, [this, mode] {
            QSettings().setValue(QStringLiteral("screen/scale"), static_cast<int>(mode));
            m_screen->set_mode(mode);
        });
        entry->setCheckable(true);
        entry->setChecked(m_screen->mode() == mode);
        group->addAction(entry);
    };
    add("scaleFit", tr("F&it the window"), ScaleMode::fit);
    add("scaleExact", tr("&1:1, pixel by pixel"), ScaleMode::exact);
    add("scaleFollow", tr("The guest follows the &window"), ScaleMode::follow);
    menu->addSeparator();
}

void ScreenView::fill_key_menu(QMenu* menu) {
    for (const Chord& chord : chords()) {
        add_action(menu, QString::fromLatin1(chord.name), tr(chord.text), [this, keys = chord.keys] {
            m_screen->send_chord(keys);
            m_screen->setFocus();
        });
    }
    QMenu* consoles = menu->addMenu(tr("Ctrl+Alt+&F1…F12"));
    for (size_t i = 0; i < std::size(k_function_keys); ++i) {
        add_action(consoles, QStringLiteral("sendCtrlAltF%1").arg(i + 1), tr("Ctrl+Alt+F%1").arg(i + 1),
                   [this, key = k_function_keys[i]] {
                       m_screen->send_chord({KEY_LEFTCTRL, KEY_LEFTALT, key});
                       m_screen->setFocus();
                   });
    }
}

void ScreenView::add_picture_actions(QMenu* menu) {
    const bool any = !m_screen->picture().isNull();
    add_action(menu, QStringLiteral("actionSaveScreenshot"), tr("&Save a picture of the screen…"), [this] {
        save_screenshot();
    })->setEnabled(any);
    add_action(menu, QStringLiteral("actionCopyScreenshot"), tr("&Copy a picture of the screen"), [this] {
        QGuiApplication::clipboard()->setImage(m_screen->picture());
        m_size->say(tr("The picture is in the clipboard"), k_size_ms);
    })->setEnabled(any);
}

void ScreenView::save_screenshot() {
    const QImage picture = m_screen->picture();  // as it is now, not when the dialog closes
    QString name = QStringLiteral("%1 %2.png")
                       .arg(m_vm_name, QDateTime::currentDateTime().toString(QStringLiteral("yyyy-MM-dd HH.mm.ss")));
    name.replace(u'/', u'_');
    QString path =
        QFileDialog::getSaveFileName(window(), tr("Save a picture of the screen"), QDir::home().filePath(name),
                                     tr("PNG pictures (*.png)"), nullptr, QFileDialog::DontUseNativeDialog);
    if (path.isEmpty()) {
        return;
    }
    path += path.endsWith(QStringLiteral(".png"), Qt::CaseInsensitive) ? QString() : QStringLiteral(".png");
    if (!picture.save(path, "PNG")) {
        show_error(window(), tr("The picture was not saved"),
                   tr("'%1' could not be written: choose another place.").arg(path));
    }
}

void ScreenView::type_clipboard() {
    if (m_typist->typing()) {
        m_typist->stop();
        return;
    }
    const QString text = QGuiApplication::clipboard()->text();
    if (text.isEmpty()) {
        m_size->say(tr("The clipboard holds no text"), k_size_ms);
        return;
    }
    const auto type = [this, text] {
        if (const Status typed = m_typist->type(text); !typed) {
            show_error(window(), tr("The clipboard was not typed"), QString::fromStdString(typed.error().message));
        }
        m_screen->setFocus();
    };
    const auto lines = text.count(u'\n');
    if (lines == 0) {
        type();
    } else {
        ask(window(), QStringLiteral("confirmType"), tr("Type %n line(s)?", nullptr, static_cast<int>(lines) + 1),
            tr("Each line ends with Enter: a shell in the guest would run it."), tr("&Type"), type);
    }
}

void ScreenView::take_text(const QString& text) {
    QGuiApplication::clipboard()->setText(text);
    m_size->say(tr("The text is in the clipboard"), k_size_ms);
}

}  // namespace skep::ui
