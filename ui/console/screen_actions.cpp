// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenActions.
#include "ui/console/screen_actions.hpp"

#include <QCoreApplication>

namespace skep::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("ScreenActions", text);
}

struct Look {
    const char* name;
    const char* text;   // in a menu
    const char* brief;  // on a button
    const char* tip;
    const char* keys;
};
constexpr Look k_fit = {"scaleFit", QT_TRANSLATE_NOOP("ScreenActions", "F&it the window"), QT_TRANSLATE_NOOP("ScreenActions", "Fit"),
                        QT_TRANSLATE_NOOP("ScreenActions", "Scale the picture so that all of it is seen"), "Ctrl+Shift+I"};
constexpr Look k_exact = {"scaleExact", QT_TRANSLATE_NOOP("ScreenActions", "&1:1, pixel by pixel"),
                          QT_TRANSLATE_NOOP("ScreenActions", "1:1"),
                          QT_TRANSLATE_NOOP("ScreenActions", "A pixel of the guest is a pixel here"), "Ctrl+Shift+O"};
constexpr Look k_follow = {"scaleFollow", QT_TRANSLATE_NOOP("ScreenActions", "The guest follows the &window"),
                           QT_TRANSLATE_NOOP("ScreenActions", "Follow"),
                           QT_TRANSLATE_NOOP("ScreenActions", "The guest's resolution becomes the window's size, where the guest can do that"),
                           "Ctrl+Shift+W"};
constexpr Look k_full = {"actionFullScreen", QT_TRANSLATE_NOOP("ScreenActions", "&Full screen"),
                         QT_TRANSLATE_NOOP("ScreenActions", "Full screen"),
                         QT_TRANSLATE_NOOP("ScreenActions", "The guest's screen over all of this one, and back"), "Ctrl+Alt+Return"};
constexpr Look k_save = {"actionSaveScreenshot", QT_TRANSLATE_NOOP("ScreenActions", "&Save a picture of the screen…"),
                         QT_TRANSLATE_NOOP("ScreenActions", "Picture"),
                         QT_TRANSLATE_NOOP("ScreenActions", "Save a picture of the screen"), "Ctrl+Shift+S"};
constexpr Look k_copy = {"actionCopyScreenshot", QT_TRANSLATE_NOOP("ScreenActions", "&Copy a picture of the screen"), "", "", ""};
constexpr Look k_type = {"actionTypeClipboard", QT_TRANSLATE_NOOP("ScreenActions", "&Type clipboard as keys"),
                         QT_TRANSLATE_NOOP("ScreenActions", "Type"),
                         QT_TRANSLATE_NOOP("ScreenActions", "Type the clipboard's text as keys, or stop typing"), "Ctrl+Shift+V"};
constexpr Look k_copy_text = {"actionCopyScreenText", QT_TRANSLATE_NOOP("ScreenActions", "Copy the te&xt on the screen"), "", "",
                              "Ctrl+Shift+C"};

QAction* make(QObject* parent, const Look& look) {
    auto* action = new QAction(tr(look.text), parent);
    action->setObjectName(QString::fromLatin1(look.name));
    action->setIconText(*look.brief != 0 ? tr(look.brief) : QString());
    const QKeySequence keys(QString::fromLatin1(look.keys));
    action->setShortcut(keys);
    if (*look.tip != 0) {
        action->setToolTip(tip_with_keys(tr(look.tip), keys));
    }
    return action;
}

}  // namespace

QString tip_with_keys(const QString& tip, const QKeySequence& keys) {
    return keys.isEmpty() ? tip : tr("%1 (%2)").arg(tip, keys.toString(QKeySequence::NativeText));
}

ScreenActions::ScreenActions(QObject* parent)
    : scale(new QActionGroup(parent)),
      full_screen(make(parent, k_full)),
      save_picture(make(parent, k_save)),
      copy_picture(make(parent, k_copy)),
      type(make(parent, k_type)),
      copy_text(make(parent, k_copy_text)) {
    full_screen->setCheckable(true);
    const auto add = [&](const Look& look, ScaleMode mode) {
        QAction* action = make(parent, look);
        action->setCheckable(true);
        action->setData(static_cast<int>(mode));
        scale->addAction(action);
    };
    add(k_fit, ScaleMode::fit);
    add(k_exact, ScaleMode::exact);
    add(k_follow, ScaleMode::follow);
}

void ScreenActions::update(const ScreenAbilities& now) {
    for (QAction* action : scale->actions()) {
        action->setChecked(action->data().toInt() == static_cast<int>(now.mode));
    }
    full_screen->setEnabled(now.attached);
    full_screen->setChecked(now.full_screen);
    save_picture->setEnabled(now.picture);
    copy_picture->setEnabled(now.picture);
    type->setEnabled(now.attached);
    type->setText(now.typing ? tr("Stop &typing") : tr(k_type.text));
    type->setIconText(now.typing ? tr("Stop") : tr(k_type.brief));
    copy_text->setEnabled(now.attached);
}

}  // namespace skep::ui
