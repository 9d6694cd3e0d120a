// SPDX-License-Identifier: GPL-3.0-or-later
// SpecEditor: a VmSpec being edited through widgets made from its field descriptors. Rules live in vmm/spec's
// validate(); here their messages are shown beside the field they name.
#pragma once

#include <QObject>
#include <QString>
#include <functional>
#include <map>
#include <vector>

#include "vmm/spec/spec_fields.hpp"
#include "vmm/spec/validate.hpp"
#include "vmm/spec/vm_spec.hpp"

class QFormLayout;
class QLabel;
class QWidget;

namespace skep::ui {

class SpecEditor : public QObject {
    Q_OBJECT
  public:
    SpecEditor(VmSpec spec, HostFacts host, QObject* parent = nullptr);

    [[nodiscard]] const VmSpec& spec() const { return m_spec; }
    // Replaces the whole spec; every row shows the new values.
    void set_spec(VmSpec spec);
    // A change made by other means than a row (a list of disks); validates and tells.
    void change(const std::function<void(VmSpec&)>& edit);
    // What the values are compared with for the "next start" badge while the machine runs.
    void set_running(bool running);
    [[nodiscard]] bool running() const { return m_running; }
    void set_extra_checks(std::function<std::vector<SpecProblem>(const VmSpec&)> checks);

    // Adds label, editor and message of a field ("memory", "disks[0].bus") to a form; returns the editor, whose
    // object name is "field_" + the path with '_' for what is no letter or digit.
    QWidget* add_row(QFormLayout* form, const QString& path, const QString& label = {});
    // The label that shows the messages of everything below `path_prefix` that has no row of its own.
    QLabel* add_note(const QString& path_prefix, QWidget* parent);
    // Forgets the rows of fields below the prefix ("disks["): call before their form is taken down.
    void drop_rows(const QString& path_prefix);
    // Turns a row off, saying why under it; an empty reason turns it on again.
    void set_disabled_reason(const QString& path, const QString& reason);
    // Makes one word of a choice that has just been added impossible to choose, and says why with it.
    void disable_choice(const QString& path, const QString& word, const QString& reason);
    // Turns off what the chosen firmware does not look at.
    void disable_by_firmware();

    [[nodiscard]] const std::vector<SpecProblem>& problems() const { return m_problems; }
    [[nodiscard]] bool acceptable() const { return !has_errors(m_problems); }
    [[nodiscard]] bool modified() const { return m_spec != m_original; }

  signals:
    void edited();
    void problems_changed();

  private:
    struct Row {
        QString path;
        QString label_text;
        QLabel* label = nullptr;
        QWidget* editor = nullptr;
        QLabel* note = nullptr;
        QString refusal;  // why the text in the editor is no value at all
        QString disabled_reason;
        std::function<void(const QString&)> show;  // writes a value into the editor
    };
    QWidget* make_editor(Row& row, const FieldDescriptor& field);
    QWidget* make_file_editor(Row& row, QWidget* parent);
    void commit(const QString& path, const QString& text);
    void load_row(Row& row);
    void check();
    void show_notes();
    [[nodiscard]] Row* row_for(const std::string& path);
    [[nodiscard]] QString badge_for(const Row& row) const;

    VmSpec m_spec;
    VmSpec m_original;
    HostFacts m_host;
    bool m_running = false;
    bool m_loading = false;
    std::function<std::vector<SpecProblem>(const VmSpec&)> m_extra_checks;
    std::vector<SpecProblem> m_problems;
    std::map<QString, Row> m_rows;
    std::vector<std::pair<QString, QLabel*>> m_notes;
};

// A choice's word as a person would say it ("interp" -> "Software").
[[nodiscard]] QString choice_text(std::string_view path, std::string_view word);
[[nodiscard]] QString field_object_name(const QString& prefix, const QString& path);

}  // namespace skep::ui
