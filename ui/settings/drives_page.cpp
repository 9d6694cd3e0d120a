// SPDX-License-Identifier: GPL-3.0-or-later
// DrivesPage.
#include "ui/settings/drives_page.hpp"

#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include "ui/settings/image_panel.hpp"
#include "ui/settings/new_disk_dialog.hpp"
#include "ui/widgets/dialogs.hpp"
#include "ui/widgets/spec_editor.hpp"

namespace skep::ui {

DrivesPage::DrivesPage(SpecEditor* editor, std::filesystem::path folder, MachineActivity activity, QWidget* parent)
    : QWidget(parent),
      m_editor(editor),
      m_folder(std::move(folder)),
      m_activity(activity),
      m_list(new QListWidget(this)),
      m_form_area(new QScrollArea(this)) {
    m_list->setObjectName(QStringLiteral("drivesList"));
    m_list->setAccessibleName(tr("Disks and CD drives"));
    m_list->setMaximumHeight(140);
    m_form_area->setFrameShape(QFrame::NoFrame);
    m_form_area->setWidgetResizable(true);
    auto* row = new QHBoxLayout;
    build_buttons(row);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(m_list);
    layout->addLayout(row);
    layout->addWidget(m_form_area, 1);
    layout->addWidget(m_editor->add_note(QStringLiteral("disks"), this));
    layout->addWidget(m_editor->add_note(QStringLiteral("cds"), this));
    connect(m_list, &QListWidget::currentRowChanged, this, &DrivesPage::show_current);
    load();
}

void DrivesPage::build_buttons(QHBoxLayout* row) {
    const auto add = [&](const QString& name, const QString& text, auto method) {
        auto* button = new QPushButton(text, this);
        button->setObjectName(name);
        button->setAccessibleName(text);
        connect(button, &QPushButton::clicked, this, method);
        row->addWidget(button);
        return button;
    };
    add(QStringLiteral("addDisk"), tr("New disk…"), &DrivesPage::add_new_disk);
    add(QStringLiteral("addImage"), tr("Add image…"), &DrivesPage::add_image);
    add(QStringLiteral("addCd"), tr("Add CD drive"), &DrivesPage::add_cd);
    m_remove = add(QStringLiteral("removeDrive"), tr("Remove"), &DrivesPage::remove_current);
    row->addStretch(1);
}

void DrivesPage::load() {
    const int row = m_list->currentRow();
    {
        const QSignalBlocker blocker(m_list);
        m_list->clear();
        for (const DiskSpec& disk : m_editor->spec().disks) {
            m_list->addItem(tr("%1: disk, %2").arg(QString::fromStdString(disk.id), QString::fromStdString(disk.file)));
        }
        for (const CdSpec& cd : m_editor->spec().cds) {
            m_list->addItem(tr("%1: CD, %2")
                                .arg(QString::fromStdString(cd.id),
                                     cd.file.empty() ? tr("empty") : QString::fromStdString(cd.file)));
        }
        for (const NewDisk& disk : m_new_disks) {
            m_list->addItem(tr("New disk, %1 (made when saved)").arg(size_text(disk.bytes)));
        }
        m_list->setCurrentRow(std::clamp(row, 0, std::max(0, m_list->count() - 1)));
    }
    show_current();
}

void DrivesPage::show_current() {
    m_editor->drop_rows(QStringLiteral("disks["));
    m_editor->drop_rows(QStringLiteral("cds["));
    auto* page = new QWidget;
    auto* form = new QFormLayout(page);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    const int row = m_list->currentRow();
    const int disks = static_cast<int>(m_editor->spec().disks.size());
    const int cds = static_cast<int>(m_editor->spec().cds.size());
    if (row >= 0 && row < disks) {
        for (const char* field : {"file", "bus", "format", "cache", "discard", "read_only", "serial"}) {
            m_editor->add_row(form, QStringLiteral("disks[%1].%2").arg(row).arg(QString::fromLatin1(field)));
        }
        form->addRow(new ImagePanel(m_editor->spec().disks[static_cast<size_t>(row)], m_folder, m_activity));
    } else if (row >= disks && row < disks + cds) {
        m_editor->add_row(form, QStringLiteral("cds[%1].file").arg(row - disks));
    } else {
        form->addRow(new QLabel(row < 0 ? tr("This machine has no drives.") : tr("Save to make the disk."), page));
    }
    m_remove->setEnabled(row >= 0);
    m_form_area->setWidget(page);  // deletes the one before
}

void DrivesPage::add_new_disk() {
    auto* dialog = new NewDiskDialog(this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &QDialog::accepted, this, [this, dialog] {
        m_new_disks.push_back(dialog->disk());
        load();
        m_list->setCurrentRow(m_list->count() - 1);
        emit new_disks_changed();
    });
    dialog->open();
}

void DrivesPage::add_image() {
    const QString path = pick_file(this, tr("Choose a disk image"), tr("Disk images (*.img *.raw *.qcow2);;All files (*)"));
    if (!path.isEmpty()) {
        m_editor->change([&](VmSpec& spec) {
            DiskSpec disk;
            disk.id = spec.free_id("disk");
            disk.file = path.toStdString();
            spec.disks.push_back(disk);
        });
        load();
    }
}

void DrivesPage::add_cd() {
    m_editor->change([](VmSpec& spec) { spec.cds.push_back({spec.free_id("cd"), {}, {}}); });
    load();
}

void DrivesPage::remove_current() {
    const int row = m_list->currentRow();
    const int disks = static_cast<int>(m_editor->spec().disks.size());
    const int cds = static_cast<int>(m_editor->spec().cds.size());
    m_editor->drop_rows(QStringLiteral("disks["));
    m_editor->drop_rows(QStringLiteral("cds["));
    if (row >= disks + cds) {
        m_new_disks.erase(m_new_disks.begin() + (row - disks - cds));
        emit new_disks_changed();
    } else if (row >= 0) {
        m_editor->change([&](VmSpec& spec) {
            const std::string id =
                row < disks ? spec.disks[static_cast<size_t>(row)].id : spec.cds[static_cast<size_t>(row - disks)].id;
            std::erase_if(spec.disks, [&](const DiskSpec& disk) { return disk.id == id; });
            std::erase_if(spec.cds, [&](const CdSpec& cd) { return cd.id == id; });
            std::erase(spec.boot, id);
        });
    }
    load();
}

}  // namespace skep::ui
