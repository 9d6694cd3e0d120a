// SPDX-License-Identifier: GPL-3.0-or-later
// SettingsDialog: pages out of field descriptors.
#include "ui/settings/settings_dialog.hpp"

#include <QDialogButtonBox>
#include <QFontDatabase>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/settings/boot_order_list.hpp"
#include "ui/settings/network_page.hpp"
#include "vmm/spec/spec_yaml.hpp"

namespace skep::ui {

SettingsDialog::SettingsDialog(VmSpec spec, std::filesystem::path bundle_folder, HostFacts host,
                               MachineActivity activity, QWidget* parent)
    : QDialog(parent),
      m_original(spec),
      m_folder(bundle_folder),
      m_editor(std::move(spec), host),
      m_pages(new QListWidget(this)),
      m_stack(new QStackedWidget(this)),
      m_summary(new QLabel(this)) {
    setObjectName(QStringLiteral("settingsDialog"));
    setWindowTitle(tr("Settings of “%1”").arg(QString::fromStdString(m_original.name)));
    setAccessibleName(windowTitle());
    m_pages->setObjectName(QStringLiteral("settingsPages"));
    m_pages->setAccessibleName(tr("Subjects"));
    m_pages->setFixedWidth(150);
    m_summary->setObjectName(QStringLiteral("settingsSummary"));
    m_summary->setTextFormat(Qt::PlainText);
    m_summary->setWordWrap(true);
    m_editor.set_extra_checks(
        [folder = std::move(bundle_folder)](const VmSpec& now) { return validate_files(now, folder); });
    m_editor.set_running(activity == MachineActivity::running);
    build_pages(activity);
    auto* box = new QDialogButtonBox(QDialogButtonBox::Save | QDialogButtonBox::Cancel, this);
    m_save = box->button(QDialogButtonBox::Save);
    m_save->setObjectName(QStringLiteral("settingsSave"));
    box->button(QDialogButtonBox::Cancel)->setObjectName(QStringLiteral("settingsCancel"));
    auto* middle = new QHBoxLayout;
    middle->addWidget(m_pages);
    middle->addWidget(m_stack, 1);
    auto* layout = new QVBoxLayout(this);
    layout->addLayout(middle, 1);
    layout->addWidget(m_summary);
    layout->addWidget(box);
    connect(box, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(m_pages, &QListWidget::currentRowChanged, m_stack, &QStackedWidget::setCurrentIndex);
    connect(&m_editor, &SpecEditor::edited, this, &SettingsDialog::update_state);
    connect(m_drives, &DrivesPage::new_disks_changed, this, &SettingsDialog::update_state);
    m_pages->setCurrentRow(0);
    resize(720, 520);
    update_state();
}

void SettingsDialog::add_page_widget(QWidget* page, const QString& name, const QString& title) {
    page->setObjectName(name);
    page->setAccessibleName(title);
    m_pages->addItem(title);
    m_stack->addWidget(page);
}

QFormLayout* SettingsDialog::add_page(const QString& name, const QString& title) {
    auto* page = new QWidget(m_stack);
    auto* form = new QFormLayout(page);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    add_page_widget(page, name, title);
    return form;
}

void SettingsDialog::build_pages(MachineActivity activity) {
    const auto add_rows = [this](QFormLayout* form, std::initializer_list<const char*> paths) {
        for (const char* path : paths) {
            m_editor.add_row(form, QString::fromLatin1(path));
        }
    };
    add_rows(add_page(QStringLiteral("pageGeneral"), tr("General")), {"name", "os", "notes"});
    if (activity == MachineActivity::running) {
        m_editor.set_disabled_reason(QStringLiteral("name"), tr("Turn the machine off to rename it."));
    }
    add_rows(add_page(QStringLiteral("pageSystem"), tr("System")),
             {"memory", "cpus", "cpu.backend", "usb.controller", "usb.keyboard", "rng"});
    add_rows(add_page(QStringLiteral("pageEnds"), tr("Ends & crashes")),
             {"on_reboot", "on_power_off", "on_halt", "on_crash", "on_panic"});
    add_rows(add_page(QStringLiteral("pageDisplay"), tr("Screen & sound")), {"display", "vnc_port", "sound", "serial.ports"});
    QFormLayout* boot = add_page(QStringLiteral("pageBoot"), tr("Boot"));
    add_rows(boot, {"firmware", "secure_boot"});
    boot->addRow(tr("Boot order:"), new BootOrderList(&m_editor));
    boot->addRow(m_editor.add_note(QStringLiteral("boot"), this));
    add_rows(boot, {"kernel", "initrd", "append"});
    m_drives = new DrivesPage(&m_editor, m_folder, activity);
    add_page_widget(m_drives, QStringLiteral("pageDrives"), tr("Disks & CD"));
    add_page_widget(new NetworkPage(&m_editor), QStringLiteral("pageNetwork"), tr("Network"));
    m_yaml = new QPlainTextEdit;
    m_yaml->setReadOnly(true);
    m_yaml->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
    m_yaml->setTabChangesFocus(true);
    auto* yaml_page = new QWidget(m_stack);
    auto* yaml_layout = new QVBoxLayout(yaml_page);
    auto* where = new QLabel(tr("This is what Save writes to “%1/vm.yaml”.").arg(QString::fromStdString(m_folder.string())));
    where->setTextFormat(Qt::PlainText);
    where->setWordWrap(true);
    where->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_yaml->setObjectName(QStringLiteral("yamlText"));
    m_yaml->setAccessibleName(tr("Description"));
    yaml_layout->addWidget(where);
    yaml_layout->addWidget(m_yaml, 1);
    add_page_widget(yaml_page, QStringLiteral("pageYaml"), tr("vm.yaml"));
}

void SettingsDialog::update_state() {
    m_editor.disable_by_firmware();
    m_yaml->setPlainText(QString::fromStdString(print_spec(m_editor.spec())));
    const QString error = QString::fromStdString(first_error(m_editor.problems()));
    m_summary->setText(error.isEmpty() ? QString() : QStringLiteral("✖ ") + error);
    m_summary->setVisible(!error.isEmpty());
    m_save->setEnabled(error.isEmpty() && (m_editor.modified() || !m_drives->new_disks().empty()));
    m_save->setToolTip(error);
}

}  // namespace skep::ui
