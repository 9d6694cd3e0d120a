// SPDX-License-Identifier: GPL-3.0-or-later
// DeleteDialog and the work behind it.
#include "ui/library/delete_dialog.hpp"

#include <QCheckBox>
#include <QDialogButtonBox>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "ui/model/background.hpp"
#include "ui/widgets/dialogs.hpp"

namespace skep::ui {

namespace fs = std::filesystem;

bool is_disk_file(const fs::path& relative) {
    return relative.begin() != relative.end() && *relative.begin() == "disks";
}

DeleteDialog::DeleteDialog(const QString& name, const QString& folder, const std::vector<BundleFile>& files,
                           QWidget* parent)
    : QDialog(parent), m_files(new QTreeWidget(this)), m_keep(new QCheckBox(tr("&Keep the disks"), this)) {
    setObjectName(QStringLiteral("deleteDialog"));
    setWindowTitle(tr("Delete “%1”?").arg(name));
    setAccessibleName(windowTitle());
    auto* label = new QLabel(tr("The folder “%1” goes to the trash with these files; nothing else is touched.").arg(folder), this);
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
    m_files->setObjectName(QStringLiteral("deleteFiles"));
    m_files->setAccessibleName(tr("Files to be deleted"));
    m_files->setRootIsDecorated(false);
    m_files->setHeaderLabels({tr("File"), tr("On disk"), tr("Size")});
    m_files->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_files->header()->setStretchLastSection(false);
    uint64_t total = 0;
    bool disks = false;
    for (const BundleFile& file : files) {
        auto* item = new QTreeWidgetItem(
            m_files, {to_qstring(file.path.string()), size_text(file.allocated), size_text(file.size)});
        item->setTextAlignment(1, Qt::AlignRight);
        item->setTextAlignment(2, Qt::AlignRight);
        item->setData(0, Qt::UserRole, is_disk_file(file.path));
        total += file.allocated;
        disks = disks || is_disk_file(file.path);
    }
    auto* sum = new QLabel(tr("Together %1 on disk").arg(size_text(total)), this);
    sum->setObjectName(QStringLiteral("deleteTotal"));
    m_keep->setObjectName(QStringLiteral("keepDisks"));
    m_keep->setEnabled(disks);
    m_keep->setToolTip(disks ? tr("Disk images stay in the folder “disks” of Skep's data")
                             : tr("This machine has no disk images of its own"));
    auto* box = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
    QPushButton* remove = box->addButton(tr("&Move to trash"), QDialogButtonBox::AcceptRole);
    remove->setObjectName(QStringLiteral("confirmDelete"));
    box->button(QDialogButtonBox::Cancel)->setDefault(true);
    connect(box, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(m_keep, &QCheckBox::toggled, this, &DeleteDialog::mark_kept);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(label);
    layout->addWidget(m_files, 1);
    layout->addWidget(sum);
    layout->addWidget(m_keep);
    layout->addWidget(box);
    resize(560, 360);
}

DiskFate DeleteDialog::disk_fate() const {
    return m_keep->isChecked() ? DiskFate::kept : DiskFate::with_machine;
}

void DeleteDialog::mark_kept() {
    for (int i = 0; i < m_files->topLevelItemCount(); ++i) {
        QTreeWidgetItem* item = m_files->topLevelItem(i);
        item->setDisabled(m_keep->isChecked() && item->data(0, Qt::UserRole).toBool());
    }
}

namespace {

// A folder of that name that does not exist yet: "one", "one 2"...
fs::path free_folder(const fs::path& parent, const std::string& name) {
    fs::path folder = parent / name;
    std::error_code ignored;
    for (int number = 2; fs::exists(folder, ignored); ++number) {
        folder = parent / (name + " " + std::to_string(number));
    }
    return folder;
}

Status move_file(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    if (!error) {
        fs::rename(from, to, error);
    }
    if (error) {
        return fail(ErrorKind::io, "'{}' could not be moved to '{}': {}. Move it by hand.", from.string(), to.string(),
                    error.message());
    }
    return {};
}

}  // namespace

Result<Deleted> delete_bundle(Bundle bundle, DiskFate fate, DeleteMode mode) {
    if (bundle.running()) {
        return fail(ErrorKind::in_use, "'{}' is running: turn it off, then delete it.", bundle.folder_name());
    }
    Deleted deleted;
    deleted.name = bundle.folder_name();
    if (fate == DiskFate::kept) {
        const fs::path target = free_folder(machines_folder().parent_path() / "disks", deleted.name);
        for (const BundleFile& file : bundle.files()) {
            if (!is_disk_file(file.path)) {
                continue;
            }
            const fs::path to = target / file.path.filename();
            if (auto moved = move_file(bundle.folder() / file.path, to); !moved) {
                return tl::unexpected(moved.error());
            }
            deleted.kept.emplace_back(file.path, to);
        }
    }
    auto trashed = bundle.remove(mode);
    if (!trashed) {
        for (const auto& [relative, now] : deleted.kept) {
            (void)move_file(now, bundle.folder() / relative);  // the first failure is the one to tell
        }
        return tl::unexpected(trashed.error());
    }
    deleted.trashed = *trashed;
    return deleted;
}

Result<Bundle> undo_delete(const Deleted& deleted) {
    auto bundle = restore_from_trash(deleted.trashed);
    if (!bundle) {
        return bundle;
    }
    for (const auto& [relative, now] : deleted.kept) {
        if (auto moved = move_file(now, bundle->folder() / relative); !moved) {
            return tl::unexpected(moved.error());
        }
    }
    return bundle;
}

}  // namespace skep::ui
