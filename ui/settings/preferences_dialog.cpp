// SPDX-License-Identifier: GPL-3.0-or-later
// PreferencesDialog.
#include "ui/settings/preferences_dialog.hpp"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QSettings>
#include <QSpinBox>

namespace skep::ui {

PreferencesDialog::PreferencesDialog(QWidget* parent) : QDialog(parent) {
    setObjectName(QStringLiteral("preferencesDialog"));
    setWindowTitle(tr("Preferences"));
    setAccessibleName(windowTitle());
    const QSettings settings;
    auto* size = new QSpinBox(this);
    size->setObjectName(QStringLiteral("terminalFontSize"));
    size->setAccessibleName(tr("Terminal font size"));
    size->setRange(5, 48);
    size->setSuffix(tr(" pt"));
    size->setValue(settings.value(QStringLiteral("terminal/pointSize"), 11).toInt());
    auto* scheme = new QComboBox(this);
    scheme->setObjectName(QStringLiteral("terminalScheme"));
    scheme->setAccessibleName(tr("Terminal colours"));
    scheme->addItem(tr("As the desktop"), QStringLiteral("system"));
    scheme->addItem(tr("Dark"), QStringLiteral("dark"));
    scheme->addItem(tr("Light"), QStringLiteral("light"));
    scheme->setCurrentIndex(std::max(0, scheme->findData(settings.value(QStringLiteral("terminal/scheme")))));
    auto* quit = new QComboBox(this);
    quit->setObjectName(QStringLiteral("quitAction"));
    quit->setAccessibleName(tr("Running machines when the window is closed"));
    quit->addItem(tr("Ask"), QString());
    quit->addItem(tr("Keep running"), QStringLiteral("keep"));
    quit->addItem(tr("Shut down"), QStringLiteral("shutdown"));
    quit->addItem(tr("Force off"), QStringLiteral("off"));
    quit->setCurrentIndex(std::max(0, quit->findData(settings.value(QStringLiteral("quitAction")).toString())));
    auto* box = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel, this);
    auto* form = new QFormLayout(this);
    form->addRow(tr("Terminal font size:"), size);
    form->addRow(tr("Terminal colours:"), scheme);
    form->addRow(tr("Machines when the window is closed:"), quit);
    form->addRow(box);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(box, &QDialogButtonBox::accepted, this, [this, size, scheme, quit] {
        QSettings store;
        store.setValue(QStringLiteral("terminal/pointSize"), size->value());
        store.setValue(QStringLiteral("terminal/scheme"), scheme->currentData());
        store.setValue(QStringLiteral("quitAction"), quit->currentData());
        accept();
    });
}

}  // namespace skep::ui
