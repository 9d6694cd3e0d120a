// SPDX-License-Identifier: GPL-3.0-or-later
// Shared dialogs.
#include "ui/widgets/dialogs.hpp"

#include <QApplication>
#include <QClipboard>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QPushButton>
#include <QSettings>
#include <QStandardPaths>

#include "vmm/spec/spec_fields.hpp"

namespace skep::ui {

namespace {

// Qt makes a message box as narrow as its title, and breaks a sentence into a column of single words.
void widen(QMessageBox& box) {
    if (auto* text = box.findChild<QLabel*>(QStringLiteral("qt_msgbox_informativelabel"))) {
        text->setMinimumWidth(box.fontMetrics().averageCharWidth() * 60);
    }
}

}  // namespace

void show_error(QWidget* parent, const QString& title, const QString& message, const QString& details) {
    auto* box = new QMessageBox(QMessageBox::Warning, QApplication::applicationDisplayName(), title, QMessageBox::Close,
                                parent);
    box->setObjectName(QStringLiteral("errorDialog"));
    box->setAccessibleName(title);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setTextFormat(Qt::PlainText);
    box->setInformativeText(message);
    if (!details.isEmpty()) {
        box->setDetailedText(details);
    }
    QPushButton* copy = box->addButton(QMessageBox::tr("&Copy"), QMessageBox::ActionRole);
    copy->setObjectName(QStringLiteral("errorCopy"));
    copy->disconnect(box);  // copying does not close
    QObject::connect(copy, &QPushButton::clicked, box, [title, message, details] {
        QApplication::clipboard()->setText(QStringList{title, message, details}.join(u'\n').trimmed());
    });
    box->setDefaultButton(QMessageBox::Close);
    widen(*box);
    box->open();
}

void ask(QWidget* parent, const QString& object_name, const QString& title, const QString& risk, const QString& verb,
         std::function<void()> then) {
    auto* box = new QMessageBox(QMessageBox::Question, QApplication::applicationDisplayName(), title,
                                QMessageBox::Cancel, parent);
    box->setObjectName(object_name);
    box->setAccessibleName(title);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setTextFormat(Qt::PlainText);
    box->setInformativeText(risk);
    QPushButton* yes = box->addButton(verb, QMessageBox::AcceptRole);
    yes->setObjectName(object_name + QStringLiteral("Yes"));
    box->setDefaultButton(QMessageBox::Cancel);  // Enter alone must not lose anything
    widen(*box);
    QObject::connect(yes, &QPushButton::clicked, box, [then = std::move(then)] { then(); });
    box->open();
}

QString pick_file(QWidget* parent, const QString& title, const QString& filter) {
    QSettings settings;
    const QString key = QStringLiteral("lastFolder");
    QString folder = settings.value(key).toString();
    if (folder.isEmpty() || !QFileInfo(folder).isDir()) {
        folder = QStandardPaths::writableLocation(QStandardPaths::DownloadLocation);
    }
    if (!QFileInfo(folder).isDir()) {
        folder = QDir::homePath();
    }
    QFileDialog dialog(parent, title, folder, filter);
    dialog.setObjectName(QStringLiteral("filePicker"));
    dialog.setAccessibleName(title);
    dialog.setOption(QFileDialog::DontUseNativeDialog);
    dialog.setFileMode(QFileDialog::ExistingFile);
    dialog.resize(720, 480);
    if (dialog.exec() != QDialog::Accepted || dialog.selectedFiles().isEmpty()) {
        return {};
    }
    const QString path = dialog.selectedFiles().constFirst();
    settings.setValue(key, QFileInfo(path).absolutePath());
    return path;
}

QString size_text(quint64 bytes) {
    return QString::fromStdString(describe_size(bytes));
}

}  // namespace skep::ui
