// SPDX-License-Identifier: GPL-3.0-or-later
// Deleting a machine: what goes, how big it is, what may stay, and the way back.
#pragma once

#include <QDialog>
#include <filesystem>
#include <utility>
#include <vector>

#include "vmm/spec/bundle.hpp"

class QCheckBox;
class QTreeWidget;

namespace skep::ui {

enum class DiskFate { with_machine, kept };

class DeleteDialog : public QDialog {
    Q_OBJECT
  public:
    DeleteDialog(const QString& name, const QString& folder, const std::vector<BundleFile>& files,
                 QWidget* parent = nullptr);
    [[nodiscard]] DiskFate disk_fate() const;

  private:
    void mark_kept();

    QTreeWidget* m_files;
    QCheckBox* m_keep;
};

// What was deleted, for Undo.
struct Deleted {
    std::string name;
    std::filesystem::path trashed;  // empty when it was deleted permanently
    std::vector<std::pair<std::filesystem::path, std::filesystem::path>> kept;  // relative in the bundle, now
};

// Moves kept disks to $XDG_DATA_HOME/skep/disks/<name>/ and the rest to the trash. Blocks on the disk.
// Kind unsupported, with nothing changed, when there is no trash for it: ask, then delete permanently (no Undo).
[[nodiscard]] Result<Deleted> delete_bundle(Bundle bundle, DiskFate fate, DeleteMode mode = DeleteMode::trash);
// Puts everything back where it was. Blocks on the disk.
[[nodiscard]] Result<Bundle> undo_delete(const Deleted& deleted);
// True for a file below disks/.
[[nodiscard]] bool is_disk_file(const std::filesystem::path& relative);

}  // namespace skep::ui
