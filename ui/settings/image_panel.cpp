// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/image_panel.hpp"

#include <QHBoxLayout>
#include <QInputDialog>
#include <QLabel>
#include <QPushButton>

#include "devices/formats/image_tools.hpp"
#include "ui/model/background.hpp"
#include "ui/widgets/dialogs.hpp"
#include "vmm/spec/bundle_path.hpp"

namespace skep::ui {
namespace {

constexpr int k_gib_shift = 30, k_most_gib = 16384;

ImageFormat format_of(const DiskSpec& disk) {
    return disk.effective_format() == DiskFormat::qcow2 ? ImageFormat::qcow2 : ImageFormat::raw;
}

QString facts_of(const ImageDetails& details) {
    QString text = ImagePanel::tr("%1 image of a disk of %2; it uses %3 of this computer's disk.")
                       .arg(to_qstring(to_text(details.format)), size_text(details.disk_bytes), size_text(details.host_bytes));
    if (!details.backing_file.empty()) {
        text += ImagePanel::tr(" What it does not hold is read from “%1”.").arg(to_qstring(details.backing_file));
    }
    return text;
}

}  // namespace

ImagePanel::ImagePanel(DiskSpec disk, std::filesystem::path folder, MachineActivity activity, QWidget* parent)
    : QWidget(parent),
      m_disk(std::move(disk)),
      m_activity(activity),
      m_facts(new QLabel(this)),
      m_enlarge(new QPushButton(tr("Make larger…"), this)) {
    m_facts->setObjectName(QStringLiteral("imageFacts"));
    m_facts->setTextFormat(Qt::PlainText);
    m_facts->setWordWrap(true);
    m_enlarge->setObjectName(QStringLiteral("enlargeDisk"));
    m_enlarge->setAccessibleName(tr("Make the disk larger"));
    m_enlarge->setEnabled(false);
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->addWidget(m_facts, 1);
    row->addWidget(m_enlarge, 0, Qt::AlignTop);
    connect(m_enlarge, &QPushButton::clicked, this, &ImagePanel::ask_for_size);
    if (m_activity == MachineActivity::running) {
        m_facts->setText(tr("Turn the machine off to see what the image uses and to make the disk larger."));
        return;
    }
    if (const auto file = resolve_in_folder(folder, m_disk.file); file) {
        m_file = *file;
        look();
    } else {
        m_facts->setText(to_qstring(file.error().message));
    }
}

void ImagePanel::look() {
    in_background(
        this, [file = m_file.string(), format = format_of(m_disk)] { return describe_image(file, format); },
        [this](const Result<ImageDetails>& details) {
            m_facts->setText(details ? facts_of(*details) : to_qstring(details.error().message));
            m_bytes = details ? details->disk_bytes : 0;
            m_enlarge->setEnabled(details && !m_disk.read_only);
        });
}

void ImagePanel::ask_for_size() {
    const int now = static_cast<int>((m_bytes + (uint64_t{1} << k_gib_shift) - 1) >> k_gib_shift);
    auto* dialog = new QInputDialog(this);
    dialog->setObjectName(QStringLiteral("enlargeDialog"));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setInputMode(QInputDialog::IntInput);
    dialog->setWindowTitle(tr("Make the disk larger"));
    dialog->setLabelText(tr("New size in GiB. This is done at once, and a disk cannot be made smaller again.\n"
                            "The guest finds the new space behind its partitions."));
    dialog->setIntRange(now, k_most_gib);
    dialog->setIntValue(now);
    dialog->setOkButtonText(tr("Make larger"));
    connect(dialog, &QInputDialog::intValueSelected, this,
            [this](int gib) { enlarge(static_cast<uint64_t>(gib) << k_gib_shift); });
    dialog->open();
}

void ImagePanel::enlarge(uint64_t bytes) {
    m_enlarge->setEnabled(false);
    in_background(
        this, [file = m_file.string(), format = format_of(m_disk), bytes] { return resize_image(file, format, bytes); },
        [this](const Status& done) {
            if (!done) {
                show_error(this, tr("The disk was not made larger"), to_qstring(done.error().message));
            }
            look();
        });
}

}  // namespace skep::ui
