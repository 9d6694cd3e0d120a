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
    auto* theme = new QComboBox(this);
    theme->setObjectName(QStringLiteral("theme"));
    theme->setAccessibleName(tr("Window colours"));
    theme->addItem(tr("As the desktop"), QStringLiteral("system"));
    theme->addItem(tr("Dark"), QStringLiteral("dark"));
    theme->addItem(tr("Light"), QStringLiteral("light"));
    theme->setCurrentIndex(std::max(0, theme->findData(settings.value(QStringLiteral("theme")))));
    auto* size = new QSpinBox(this);
    size->setObjectName(QStringLiteral("terminalFontSize"));
    size->setAccessibleName(tr("Console text size"));
    size->setRange(5, 48);
    size->setSuffix(tr(" pt"));
    size->setValue(settings.value(QStringLiteral("terminal/pointSize"), 11).toInt());
    auto* scheme = new QComboBox(this);
    scheme->setObjectName(QStringLiteral("terminalScheme"));
    scheme->setAccessibleName(tr("Console colours"));
    scheme->addItem(tr("As the window"), QStringLiteral("system"));
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
    form->addRow(tr("&Window colours:"), theme);
    form->addRow(tr("Console &text size:"), size);
    form->addRow(tr("Console &colours:"), scheme);
    form->addRow(tr("&Running machines when the window is closed:"), quit);
    form->addRow(box);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(box, &QDialogButtonBox::accepted, this, [this, theme, size, scheme, quit] {
        QSettings store;
        store.setValue(QStringLiteral("theme"), theme->currentData());
        store.setValue(QStringLiteral("terminal/pointSize"), size->value());
        store.setValue(QStringLiteral("terminal/scheme"), scheme->currentData());
        store.setValue(QStringLiteral("quitAction"), quit->currentData());
        accept();
    });
}

}  // namespace skep::ui
