// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenView: bar and menus, pictures of the screen, typing.
#include <linux/input-event-codes.h>

#include <QClipboard>
#include <QDateTime>
#include <QDir>
#include <QFileDialog>
#include <QGuiApplication>
#include <QMenu>
#include <QSettings>
#include <QShortcut>
#include <QToolBar>
#include <QToolButton>

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

void ScreenView::connect_actions() {
    connect(m_actions.scale, &QActionGroup::triggered, this, [this](const QAction* action) {
        QSettings().setValue(QStringLiteral("screen/scale"), action->data());
        m_screen->set_mode(static_cast<ScaleMode>(action->data().toInt()));
        update_actions();
    });
    connect(m_actions.full_screen, &QAction::triggered, this, [this] {
        set_full_screen(!full_screen());
        update_actions();
    });
    connect(m_actions.save_picture, &QAction::triggered, this, &ScreenView::save_screenshot);
    connect(m_actions.copy_picture, &QAction::triggered, this, &ScreenView::copy_screenshot);
    connect(m_actions.type, &QAction::triggered, this, &ScreenView::type_clipboard);
    connect(m_actions.copy_text, &QAction::triggered, this, &ScreenView::text_requested);
    connect(m_typist, &ScreenTypist::typing_changed, this, &ScreenView::update_actions);
}

void ScreenView::update_actions() {
    m_actions.update({.attached = attached(),
                      .picture = m_client != nullptr && !m_client->size().isEmpty(),
                      .typing = m_typist->typing(),
                      .full_screen = full_screen(),
                      .mode = m_screen->mode()});
    m_key_menu->setEnabled(attached());
    m_key_button->setEnabled(attached());
}

void ScreenView::build_bar() {
    m_bar->setObjectName(QStringLiteral("screenBar"));
    m_bar->setAccessibleName(tr("Screen"));
    build_key_menu();
    const QKeySequence keys(tr("Ctrl+Shift+K"));
    m_key_button->setObjectName(QStringLiteral("sendKeyButton"));
    m_key_button->setText(tr("Send key"));
    m_key_button->setAccessibleName(tr("Send a key to the guest"));
    m_key_button->setToolTip(tip_with_keys(tr("Press keys in the guest that this desktop keeps for itself"), keys));
    m_key_button->setPopupMode(QToolButton::InstantPopup);
    m_key_button->setMenu(m_key_menu);
    connect(new QShortcut(keys, this), &QShortcut::activated, m_key_button, &QToolButton::showMenu);
    m_bar->addActions(m_actions.scale->actions());
    m_bar->addSeparator();
    m_bar->addAction(m_actions.full_screen);
    m_bar->addAction(m_actions.save_picture);
    m_bar->addSeparator();
    m_bar->addWidget(m_key_button);
    m_bar->addAction(m_actions.type);
    addAction(m_actions.copy_text);  // for its keys
}

void ScreenView::set_place_action(QAction* action) {
    m_place = action;
    auto* spacer = new QWidget(m_bar);
    spacer->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    m_bar->addWidget(spacer);
    m_bar->addAction(action);
}

void ScreenView::focus_bar() {
    m_bar->widgetForAction(m_actions.full_screen)->setFocus();
}

void ScreenView::fill_menu(QMenu* menu) {
    menu->addActions(m_actions.scale->actions());
    menu->addSeparator();
    menu->addMenu(m_key_menu);
    menu->addActions({m_actions.type, m_actions.copy_text});
    menu->addSeparator();
    menu->addActions({m_actions.save_picture, m_actions.copy_picture});
    menu->addSeparator();
    menu->addAction(m_actions.full_screen);
    if (m_place != nullptr) {
        menu->addAction(m_place);
    }
    menu->addSeparator();
    menu->addAction(tr("Ctrl+Alt gives the keyboard back to Skep"))->setEnabled(false);
}

void ScreenView::build_key_menu() {
    m_key_menu->setObjectName(QStringLiteral("sendKeyMenu"));
    m_key_menu->setTitle(tr("Send &key"));
    const auto add = [this](QMenu* menu, const QString& name, const QString& text, std::vector<KeyCode> keys) {
        QAction* entry = menu->addAction(text);
        entry->setObjectName(name);
        connect(entry, &QAction::triggered, this, [this, keys = std::move(keys)] {
            m_screen->send_chord(keys);
            m_screen->setFocus();
        });
    };
    for (const Chord& chord : chords()) {
        add(m_key_menu, QString::fromLatin1(chord.name), tr(chord.text), chord.keys);
    }
    QMenu* consoles = m_key_menu->addMenu(tr("Ctrl+Alt+&F1…F12"));
    for (size_t i = 0; i < std::size(k_function_keys); ++i) {
        add(consoles, QStringLiteral("sendCtrlAltF%1").arg(i + 1), tr("Ctrl+Alt+F%1").arg(i + 1),
            {KEY_LEFTCTRL, KEY_LEFTALT, k_function_keys[i]});
    }
}

void ScreenView::copy_screenshot() {
    QGuiApplication::clipboard()->setImage(m_screen->picture());
    m_size->say(tr("The picture is in the clipboard"), k_size_ms);
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
