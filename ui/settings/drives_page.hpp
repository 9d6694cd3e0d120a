// SPDX-License-Identifier: GPL-3.0-or-later
// Settings page for disks and CD drives: the list, and a form for the chosen one.
#pragma once

#include <QWidget>
#include <filesystem>
#include <vector>

#include "ui/settings/machine_activity.hpp"
#include "vmm/spec/bundle.hpp"

class QHBoxLayout;
class QListWidget;
class QPushButton;
class QScrollArea;

namespace skep::ui {

class SpecEditor;

class DrivesPage : public QWidget {
    Q_OBJECT
  public:
    // folder: the machine's.
    DrivesPage(SpecEditor* editor, std::filesystem::path folder, MachineActivity activity, QWidget* parent = nullptr);
    // Those that will be made when the settings are saved.
    [[nodiscard]] const std::vector<NewDisk>& new_disks() const { return m_new_disks; }

  signals:
    void new_disks_changed();

  private:
    void build_buttons(QHBoxLayout* row);
    void load();
    void show_current();
    void add_new_disk();
    void add_image();
    void add_cd();
    void remove_current();

    SpecEditor* m_editor;
    std::filesystem::path m_folder;
    MachineActivity m_activity;
    QListWidget* m_list;
    QScrollArea* m_form_area;
    QPushButton* m_remove = nullptr;
    std::vector<NewDisk> m_new_disks;
};

}  // namespace skep::ui
