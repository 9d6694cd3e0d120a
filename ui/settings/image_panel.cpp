// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/image_panel.hpp"

#include <QHBoxLayout>
#include <QInputDialog>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QPushButton>
#include <algorithm>

#include "devices/formats/guest_use.hpp"
#include "devices/formats/image_tools.hpp"
#include "ui/model/background.hpp"
#include "ui/widgets/dialogs.hpp"
#include "vmm/control/launcher.hpp"
#include "vmm/spec/bundle_path.hpp"

namespace skep::ui {
namespace {

constexpr int k_gib_shift = 30, k_most_gib = 16384;

struct ImageFacts {
    QString text;
    uint64_t disk_bytes = 0;
    bool may_grow = false;
};

ImageFormat format_of(const DiskSpec& disk) {
    return disk.effective_format() == DiskFormat::qcow2 ? ImageFormat::qcow2 : ImageFormat::raw;
}

QString guest_text(const DiskLedger& ledger, bool discards) {
    if (!ledger.guest) {
        return ImagePanel::tr(" What the guest uses of it cannot be told: there is no file system that Skep reads (ext2 to ext4).");
    }
    QString text = ImagePanel::tr(" The guest’s file systems use %1").arg(size_text(ledger.guest->used_bytes));
    text += ledger.guest->other_bytes == 0
                ? QStringLiteral(".")
                : ImagePanel::tr("; %1 of the disk hold something else, such as swap.").arg(size_text(ledger.guest->other_bytes));
    if (const uint64_t reclaimable = ledger.reclaimable().value_or(0); reclaimable != 0) {
        text += (discards ? ImagePanel::tr(" At least %1 can be given back: run “fstrim -av” in the guest.")
                          : ImagePanel::tr(" At least %1 could be given back if the disk had trim."))
                    .arg(size_text(reclaimable));
    }
    return text;
}

ImageFacts facts_of(const DiskSpec& disk, const std::string& file) {
    const auto details = describe_image(file, format_of(disk));
    if (!details) {
        return {to_qstring(details.error().message)};
    }
    QString text = ImagePanel::tr("%1 image of a disk of %2; it uses %3 of this computer’s disk.")
                       .arg(to_qstring(to_text(details->format)), size_text(details->disk_bytes), size_text(details->host_bytes));
    ImageOptions options;
    options.format = details->format;
    options.backing.folders = {std::filesystem::path(file).parent_path()};
    options.backing.files.assign(disk.backing.begin(), disk.backing.end());
    const auto ledger = look_at_image(file, options);
    text += guest_text(ledger ? *ledger : DiskLedger{}, disk.discard);
    if (!details->backing_file.empty()) {
        text += ImagePanel::tr(" What it does not hold is read from “%1”.").arg(to_qstring(details->backing_file));
    }
    return {text, details->disk_bytes, !disk.read_only};
}

Result<ControlClient> worker_of(const std::filesystem::path& folder) {
    return Bundle::open(folder).and_then([](const Bundle& bundle) { return attach(bundle, "skep"); });
}

uint64_t number(const QJsonObject& object, const char* key) {
    return static_cast<uint64_t>(std::max(0.0, object.value(QLatin1String(key)).toDouble()));
}

// What the worker says of the disks that it uses.
ImageFacts facts_of_running(const DiskSpec& disk, const std::filesystem::path& folder) {
    const auto info = worker_of(folder).and_then([](ControlClient client) { return client.info_with_disks(); });
    if (!info) {
        return {to_qstring(info.error().message)};
    }
    const QJsonObject object = QJsonDocument::fromJson(QByteArray::fromStdString(*info)).object();
    for (const QJsonValue& each : object.value(QLatin1String("disks")).toArray()) {
        const QJsonObject now = each.toObject();
        if (now.value(QLatin1String("id")).toString() != to_qstring(disk.id)) {
            continue;
        }
        DiskLedger ledger;
        ledger.disk_bytes = number(now, "size");
        ledger.host_bytes = number(now, "host_size");
        if (const QJsonObject guest = now.value(QLatin1String("guest")).toObject(); !guest.isEmpty()) {
            ledger.guest = GuestUse{static_cast<unsigned>(number(guest, "file_systems")), number(guest, "used"), number(guest, "other")};
        }
        const bool may_grow = disk.bus == DiskBus::virtio && !disk.read_only;
        QString text = ImagePanel::tr("The image of a disk of %1; it uses %2 of this computer’s disk.")
                           .arg(size_text(ledger.disk_bytes), size_text(ledger.host_bytes));
        text += guest_text(ledger, disk.discard);
        text += may_grow || disk.read_only ? QString() : ImagePanel::tr(" Turn the machine off to make it larger: only virtio disks grow while it runs.");
        return {text, ledger.disk_bytes, may_grow};
    }
    return {ImagePanel::tr("The machine runs without this disk.")};
}

}  // namespace

ImagePanel::ImagePanel(DiskSpec disk, std::filesystem::path folder, MachineActivity activity, QWidget* parent)
    : QWidget(parent),
      m_disk(std::move(disk)),
      m_folder(std::move(folder)),
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
    if (const auto file = resolve_in_folder(m_folder, m_disk.file); file) {
        m_file = *file;
        look();
    } else {
        m_facts->setText(to_qstring(file.error().message));
    }
}

void ImagePanel::look() {
    in_background(
        this,
        [running = m_activity == MachineActivity::running, disk = m_disk, file = m_file.string(), folder = m_folder] {
            return running ? facts_of_running(disk, folder) : facts_of(disk, file);
        },
        [this](const ImageFacts& facts) {
            m_facts->setText(facts.text);
            m_bytes = facts.disk_bytes;
            m_enlarge->setEnabled(facts.may_grow);
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
        this,
        [running = m_activity == MachineActivity::running, file = m_file.string(), folder = m_folder, disk = m_disk, bytes]() -> Status {
            if (!running) {
                return resize_image(file, format_of(disk), bytes);
            }
            return worker_of(folder).and_then([&](ControlClient client) {
                return client.command(MessageType::disk_resize, {{"disk", disk.id}, {"size", static_cast<int64_t>(bytes)}});
            });
        },
        [this](const Status& done) {
            if (!done) {
                show_error(this, tr("The disk was not made larger"), to_qstring(done.error().message));
            }
            look();
        });
}

}  // namespace skep::ui
