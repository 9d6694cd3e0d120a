// SPDX-License-Identifier: GPL-3.0-or-later
// Settings page for disks and CD drives: the list, and a form for the chosen one.
#pragma once

#include <QWidget>
#include <cstdint>
#include <vector>

#include "vmm/spec/vm_spec.hpp"

class QHBoxLayout;
class QListWidget;
class QPushButton;
class QScrollArea;

namespace skep::ui {

class SpecEditor;

// A disk that will be made when the settings are saved.
struct NewDisk {
    uint64_t bytes = 0;
    DiskBus bus = DiskBus::virtio;
};

class DrivesPage : public QWidget {
    Q_OBJECT
  public:
    explicit DrivesPage(SpecEditor* editor, QWidget* parent = nullptr);
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
    QListWidget* m_list;
    QScrollArea* m_form_area;
    QPushButton* m_remove = nullptr;
    std::vector<NewDisk> m_new_disks;
};

}  // namespace skep::ui
