// SPDX-License-Identifier: GPL-3.0-or-later
// The New sheet: one page, everything filled in, two buttons.
#pragma once

#include <QDialog>
#include <vector>

#include "ui/newvm/media_finder.hpp"
#include "ui/newvm/new_vm_draft.hpp"
#include "ui/widgets/spec_editor.hpp"

class QCheckBox;
class QComboBox;
class QFormLayout;
class QGroupBox;
class QLabel;
class QListWidget;
class QPushButton;
class QScrollArea;
class QSpinBox;

namespace skep::ui {

class UnattendedBox;

class NewSheet : public QDialog {
    Q_OBJECT
  public:
    // Looks for media in media_folders(); `host` limits what validate() accepts.
    explicit NewSheet(NewVmDraft draft, HostFacts host, QWidget* parent = nullptr);

    // As if the user had picked the file: inspects it in the background.
    void choose_medium(const QString& path);
    [[nodiscard]] const NewVmDraft& draft() const { return m_draft; }

  signals:
    // The bundle exists now.
    void created(const QString& folder, bool start);

  protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

  private:
    void build();
    QWidget* build_media();
    QWidget* build_settings();
    QWidget* build_advanced();
    void build_buttons();
    void show_media(std::vector<FoundMedium> media);
    void take_medium(const QString& path, const Result<MediumInfo>& medium);
    void browse();
    void show_draft();
    void show_problems();
    void create(bool start);

    NewVmDraft m_draft;
    SpecEditor m_editor;
    std::vector<FoundMedium> m_media;
    QString m_chosen;  // the path being inspected or in use
    bool m_creating = false;
    QListWidget* m_list = nullptr;
    QLabel* m_recognised = nullptr;
    QLabel* m_problem = nullptr;
    QSpinBox* m_disk = nullptr;
    QLabel* m_disk_note = nullptr;
    QComboBox* m_disk_bus = nullptr;
    QComboBox* m_disk_format = nullptr;
    QCheckBox* m_network = nullptr;
    UnattendedBox* m_unattended = nullptr;
    QScrollArea* m_scroll = nullptr;
    QWidget* m_advanced = nullptr;
    QPushButton* m_start_button = nullptr;
    QPushButton* m_create_button = nullptr;
};

}  // namespace skep::ui
