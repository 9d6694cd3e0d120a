// SPDX-License-Identifier: GPL-3.0-or-later
// The list of keys, as a dialog.
#include "ui/library/keys_dialog.hpp"

#include <QCoreApplication>
#include <QDialog>
#include <QDialogButtonBox>
#include <QGridLayout>
#include <QKeySequence>
#include <QLabel>
#include <QVBoxLayout>

namespace skep::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("KeysDialog", text);
}

struct Key {
    const char* sequence;
    const char* does;
};
constexpr Key k_keys[] = {
    {"Ctrl+Shift+N", QT_TRANSLATE_NOOP("KeysDialog", "New machine")},
    {"Ctrl+Shift+R", QT_TRANSLATE_NOOP("KeysDialog", "Start the machine")},
    {"Ctrl+Shift+P", QT_TRANSLATE_NOOP("KeysDialog", "Pause it, or let it go on")},
    {"Ctrl+Shift+E", QT_TRANSLATE_NOOP("KeysDialog", "Its settings")},
    {"Del", QT_TRANSLATE_NOOP("KeysDialog", "Delete it (in the list of machines)")},
    {"Ctrl+Shift+Q", QT_TRANSLATE_NOOP("KeysDialog", "Quit")},
    {"Ctrl+Shift+D", QT_TRANSLATE_NOOP("KeysDialog", "Its screen or console into a window of its own, and back")},
    {"Ctrl+Alt+Return", QT_TRANSLATE_NOOP("KeysDialog", "Full screen, and back (in a guest's screen)")},
    {"Ctrl+Shift+I", QT_TRANSLATE_NOOP("KeysDialog", "Screen: fit (Ctrl+Shift+O 1:1, Ctrl+Shift+W follow the window)")},
    {"Ctrl+Shift+S", QT_TRANSLATE_NOOP("KeysDialog", "Screen: save a picture")},
    {"Ctrl+Shift+K", QT_TRANSLATE_NOOP("KeysDialog", "Screen: send a key")},
    {"Ctrl+Shift+Esc", QT_TRANSLATE_NOOP("KeysDialog", "Move the keyboard out of the console")},
    {"Ctrl+Shift+C", QT_TRANSLATE_NOOP("KeysDialog", "Copy from the console, or the screen's text")},
    {"Ctrl+Shift+V", QT_TRANSLATE_NOOP("KeysDialog", "Paste into the console, or type into the screen")},
    {"Ctrl+Shift+F", QT_TRANSLATE_NOOP("KeysDialog", "Find in the console")},
    {"Shift+PgUp", QT_TRANSLATE_NOOP("KeysDialog", "Scroll the console back")},
    {"Ctrl++", QT_TRANSLATE_NOOP("KeysDialog", "Larger text (Ctrl+- smaller, Ctrl+0 normal)")},
};

}  // namespace

void show_keys(QWidget* parent) {
    auto* dialog = new QDialog(parent);
    dialog->setObjectName(QStringLiteral("keysDialog"));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setWindowTitle(tr("Keyboard"));
    dialog->setAccessibleName(dialog->windowTitle());
    auto* grid = new QGridLayout;
    grid->setHorizontalSpacing(24);
    int row = 0;
    for (const Key& key : k_keys) {
        auto* sequence = new QLabel(QKeySequence(QString::fromLatin1(key.sequence)).toString(QKeySequence::NativeText));
        QFont bold = sequence->font();
        bold.setBold(true);
        sequence->setFont(bold);
        grid->addWidget(sequence, row, 0);
        grid->addWidget(new QLabel(tr(key.does)), row++, 1);
    }
    auto* rest = new QLabel(
        tr("While the console has the keyboard, all other keys go to the guest. A guest's screen gets these too: "
           "Ctrl and Alt pressed together and released take keyboard and pointer back."));
    rest->setWordWrap(true);
    auto* box = new QDialogButtonBox(QDialogButtonBox::Close, dialog);
    QObject::connect(box, &QDialogButtonBox::rejected, dialog, &QDialog::reject);
    auto* layout = new QVBoxLayout(dialog);
    layout->addLayout(grid);
    layout->addSpacing(8);
    layout->addWidget(rest);
    layout->addWidget(box);
    dialog->open();
}

}  // namespace skep::ui
