// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/new_disk_dialog.hpp"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>

#include "devices/formats/new_disk.hpp"
#include "ui/widgets/spec_editor.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep::ui {
namespace {

constexpr std::string_view k_qcow2 = "qcow2";
constexpr int k_usual_gib = 20, k_most_gib = 16384;

QComboBox* choices(QWidget* parent, const char* path, std::initializer_list<std::string_view> words) {
    auto* box = new QComboBox(parent);
    for (const std::string_view word : words) {
        box->addItem(choice_text(path, word), QString::fromUtf8(word.data(), static_cast<qsizetype>(word.size())));
    }
    return box;
}

}  // namespace

NewDiskDialog::NewDiskDialog(QWidget* parent)
    : QDialog(parent),
      m_gib(new QSpinBox(this)),
      m_format(choices(this, "disks[].format", {"raw", k_qcow2})),
      m_bus(choices(this, "disks[].bus",
                    {to_text(DiskBus::virtio), to_text(DiskBus::nvme), to_text(DiskBus::ahci), to_text(DiskBus::usb)})) {
    setObjectName(QStringLiteral("newDiskDialog"));
    setWindowTitle(tr("New disk"));
    setAccessibleName(windowTitle());
    m_gib->setRange(1, k_most_gib);
    m_gib->setValue(k_usual_gib);
    m_gib->setSuffix(tr(" GiB"));
    auto* form = new QFormLayout(this);
    const auto add = [&](const QString& name, const QString& text, QWidget* widget) {
        widget->setObjectName(name);
        widget->setAccessibleName(text);
        form->addRow(text, widget);
    };
    add(QStringLiteral("newDiskSize"), tr("Size:"), m_gib);
    add(QStringLiteral("newDiskFormat"), tr("Image:"), m_format);
    add(QStringLiteral("newDiskBus"), tr("Plugged in by:"), m_bus);
    auto* about = new QLabel(tr("The image takes space only for what is written to it."), this);
    about->setWordWrap(true);
    form->addRow(about);
    auto* box = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel, this);
    box->button(QDialogButtonBox::Ok)->setText(tr("Add disk"));
    box->button(QDialogButtonBox::Ok)->setObjectName(QStringLiteral("newDiskAdd"));
    form->addRow(box);
    connect(box, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
}

NewDisk NewDiskDialog::disk() const {
    return new_disk(static_cast<uint64_t>(m_gib->value()) << 30,
                    disk_bus_from_text(m_bus->currentData().toString().toStdString()).value_or(DiskBus::virtio),
                    m_format->currentData().toString().toStdString() == k_qcow2 ? DiskFormat::qcow2 : DiskFormat::raw);
}

}  // namespace skep::ui
