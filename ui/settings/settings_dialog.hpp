// SPDX-License-Identifier: GPL-3.0-or-later
// The settings of one machine: a page a subject, rules from vmm/spec, messages beside the fields.
#pragma once

#include <QDialog>
#include <filesystem>

#include "ui/settings/drives_page.hpp"
#include "ui/settings/machine_activity.hpp"
#include "ui/widgets/spec_editor.hpp"

class QFormLayout;
class QLabel;
class QListWidget;
class QPlainTextEdit;
class QPushButton;
class QStackedWidget;

namespace skep::ui {

class SettingsDialog : public QDialog {
    Q_OBJECT
  public:
    SettingsDialog(VmSpec spec, std::filesystem::path bundle_folder, HostFacts host, MachineActivity activity,
                   QWidget* parent = nullptr);

    [[nodiscard]] const VmSpec& original() const { return m_original; }
    [[nodiscard]] const VmSpec& edited() const { return m_editor.spec(); }
    [[nodiscard]] const std::vector<NewDisk>& new_disks() const { return m_drives->new_disks(); }

  private:
    QFormLayout* add_page(const QString& name, const QString& title);
    void add_page_widget(QWidget* page, const QString& name, const QString& title);
    void build_pages(MachineActivity activity);
    void update_state();

    VmSpec m_original;
    std::filesystem::path m_folder;
    SpecEditor m_editor;
    QListWidget* m_pages;
    QStackedWidget* m_stack;
    DrivesPage* m_drives = nullptr;
    QPlainTextEdit* m_yaml = nullptr;
    QLabel* m_summary;
    QPushButton* m_save = nullptr;
};

}  // namespace skep::ui
