// SPDX-License-Identifier: GPL-3.0-or-later
// Text to read, copy and save.
#include "ui/library/text_dialog.hpp"

#include <QApplication>
#include <QClipboard>
#include <QDialog>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFontDatabase>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSaveFile>
#include <QVBoxLayout>

#include "ui/widgets/dialogs.hpp"

namespace skep::ui {

void show_text(QWidget* parent, const QString& object_name, const QString& title, const QString& text) {
    auto* dialog = new QDialog(parent);
    dialog->setObjectName(object_name);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setWindowTitle(title);
    dialog->setAccessibleName(title);
    auto* view = new QPlainTextEdit(text, dialog);
    view->setObjectName(object_name + QStringLiteral("Text"));
    view->setAccessibleName(title);
    view->setReadOnly(true);
    view->setTabChangesFocus(true);
    view->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
    view->moveCursor(QTextCursor::End);
    auto* box = new QDialogButtonBox(QDialogButtonBox::Close, dialog);
    QPushButton* copy = box->addButton(QDialog::tr("&Copy"), QDialogButtonBox::ActionRole);
    copy->setAutoDefault(false);
    box->button(QDialogButtonBox::Close)->setDefault(true);
    QObject::connect(copy, &QPushButton::clicked, dialog, [text] { QApplication::clipboard()->setText(text); });
    QObject::connect(box, &QDialogButtonBox::rejected, dialog, &QDialog::close);
    auto* layout = new QVBoxLayout(dialog);
    layout->addWidget(view);
    layout->addWidget(box);
    dialog->resize(760, 480);
    dialog->open();
}

void save_text(QWidget* parent, const QString& title, const QString& proposed_name, const QString& text) {
    QString name = proposed_name;
    name.replace(u'/', u'_');
    QFileDialog dialog(parent, title, QDir::homePath());
    dialog.setObjectName(QStringLiteral("saveText"));
    dialog.setOption(QFileDialog::DontUseNativeDialog);
    dialog.setAcceptMode(QFileDialog::AcceptSave);
    dialog.selectFile(name);
    if (dialog.exec() != QDialog::Accepted || dialog.selectedFiles().isEmpty()) {
        return;
    }
    QSaveFile file(dialog.selectedFiles().constFirst());
    if (!file.open(QIODevice::WriteOnly) || file.write(text.toUtf8()) < 0 || !file.commit()) {
        show_error(
            parent, title,
            QDialog::tr("'%1' was not written: %2. Choose another place.").arg(file.fileName(), file.errorString()));
    }
}

}  // namespace skep::ui
