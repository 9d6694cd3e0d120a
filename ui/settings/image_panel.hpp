// SPDX-License-Identifier: GPL-3.0-or-later
// What a disk's image is, what it uses and what its guest uses of it; makes the disk larger. A running machine's worker is asked.
#pragma once

#include <QWidget>
#include <filesystem>

#include "ui/settings/machine_activity.hpp"
#include "vmm/spec/vm_spec.hpp"

class QLabel;
class QPushButton;

namespace skep::ui {

class ImagePanel : public QWidget {
    Q_OBJECT
  public:
    // folder: the machine's, which `disk.file` may be relative to.
    ImagePanel(DiskSpec disk, std::filesystem::path folder, MachineActivity activity, QWidget* parent = nullptr);

  private:
    void look();
    void ask_for_size();
    void enlarge(uint64_t bytes);

    DiskSpec m_disk;
    std::filesystem::path m_folder, m_file;
    MachineActivity m_activity;
    uint64_t m_bytes = 0;  // of the disk, once it is known
    QLabel* m_facts;
    QPushButton* m_enlarge;
};

}  // namespace skep::ui
