// SPDX-License-Identifier: GPL-3.0-or-later
// SpecEditor: rows, binding, messages.
#include "ui/widgets/spec_editor.hpp"

#include <QCheckBox>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QStandardItemModel>
#include <QVBoxLayout>

#include "ui/widgets/dialogs.hpp"

namespace skep::ui {

namespace {

QString text(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

QLabel* make_note(const QString& name, QWidget* parent) {
    auto* note = new QLabel(parent);
    note->setObjectName(name);
    note->setTextFormat(Qt::PlainText);
    note->setWordWrap(true);
    QFont font = note->font();
    font.setItalic(true);
    note->setFont(font);
    note->hide();
    return note;
}

int spin_limit(uint64_t value) {
    return static_cast<int>(std::min<uint64_t>(value, INT32_MAX));
}

}  // namespace

QString field_object_name(const QString& prefix, const QString& path) {
    QString name = prefix;
    for (const QChar c : path) {
        name += c.isLetterOrNumber() ? c : QChar(u'_');
    }
    return name;
}

QString choice_text(std::string_view path, std::string_view word) {
    const QString key = text(path) + u'=' + text(word);
    const std::map<QString, QString> names = {
        {QStringLiteral("cpu.backend=auto"), SpecEditor::tr("Automatic")},
        {QStringLiteral("cpu.backend=kvm"), SpecEditor::tr("Hardware (KVM)")},
        {QStringLiteral("cpu.backend=jit"), SpecEditor::tr("Software processor")},
        {QStringLiteral("cpu.backend=interp"), SpecEditor::tr("Software processor without translation (slow)")},
        {QStringLiteral("firmware=bios"), SpecEditor::tr("BIOS (starts from CD or disk)")},
        {QStringLiteral("firmware=uefi"), SpecEditor::tr("UEFI (starts from CD or disk)")},
        {QStringLiteral("firmware=linux"), SpecEditor::tr("Linux kernel file")},
        {QStringLiteral("firmware=multiboot"), SpecEditor::tr("Multiboot kernel file")},
        {QStringLiteral("disks[].bus=virtio"), SpecEditor::tr("virtio (fast)")},
        {QStringLiteral("disks[].bus=nvme"), SpecEditor::tr("NVMe (fast, in every newer system)")},
        {QStringLiteral("disks[].bus=ahci"), SpecEditor::tr("SATA (works everywhere)")},
        {QStringLiteral("disks[].bus=usb"), SpecEditor::tr("USB stick")},
        {QStringLiteral("disks[].format=auto"), SpecEditor::tr("By the file's name")},
        {QStringLiteral("disks[].format=raw"), SpecEditor::tr("raw (every program reads it)")},
        {QStringLiteral("disks[].format=qcow2"), SpecEditor::tr("qcow2 (small on every file system)")},
        {QStringLiteral("disks[].cache=writeback"), SpecEditor::tr("Fast (kept safe by the guest's flushes)")},
        {QStringLiteral("disks[].cache=writethrough"), SpecEditor::tr("Each write waits for the host's disk")},
        {QStringLiteral("usb.controller=auto"), SpecEditor::tr("Where there is a screen")},
        {QStringLiteral("usb.controller=none"), SpecEditor::tr("None")},
        {QStringLiteral("usb.controller=xhci"), SpecEditor::tr("USB 3 (xHCI)")},
        {QStringLiteral("sound=auto"), SpecEditor::tr("Where there is a screen")},
        {QStringLiteral("sound=none"), SpecEditor::tr("None")},
        {QStringLiteral("sound=silent"), SpecEditor::tr("A sound card that nobody hears")},
        {QStringLiteral("sound=sdl"), SpecEditor::tr("On this computer")},
        {QStringLiteral("display=none"), SpecEditor::tr("No screen (serial console only)")},
        {QStringLiteral("display=vga"), SpecEditor::tr("VGA (works everywhere)")},
        {QStringLiteral("display=virtio"), SpecEditor::tr("virtio (follows the window's size)")},
        {QStringLiteral("networks[].card=virtio"), SpecEditor::tr("virtio (fast)")},
        {QStringLiteral("networks[].card=e1000"), SpecEditor::tr("Intel e1000 (works everywhere)")},
        {QStringLiteral("networks[].backend=user"), SpecEditor::tr("This computer's network")},
        {QStringLiteral("networks[].backend=socket"), SpecEditor::tr("A private network of your machines")},
        {QStringLiteral("networks[].backend=tap"), SpecEditor::tr("A tap or bridge of this computer")},
        {QStringLiteral("networks[].backend=none"), SpecEditor::tr("Nothing")},
        {QStringLiteral("on_reboot=restart"), SpecEditor::tr("Start again")},
        {QStringLiteral("on_reboot=exit"), SpecEditor::tr("Turn off")},
        {QStringLiteral("on_power_off=exit"), SpecEditor::tr("Turn off")},
        {QStringLiteral("on_power_off=restart"), SpecEditor::tr("Start again")},
        {QStringLiteral("on_halt=exit"), SpecEditor::tr("Turn off")},
        {QStringLiteral("on_halt=restart"), SpecEditor::tr("Start again")},
        {QStringLiteral("on_crash=exit"), SpecEditor::tr("Turn off")},
        {QStringLiteral("on_crash=restart"), SpecEditor::tr("Start again")},
        {QStringLiteral("on_panic=keep"), SpecEditor::tr("Leave it to the guest")},
        {QStringLiteral("on_panic=pause"), SpecEditor::tr("Pause")},
        {QStringLiteral("on_panic=exit"), SpecEditor::tr("Turn off")},
        {QStringLiteral("on_panic=restart"), SpecEditor::tr("Start again")},
    };
    const auto it = names.find(key);
    return it == names.end() ? text(word) : it->second;
}

SpecEditor::SpecEditor(VmSpec spec, HostFacts host, QObject* parent)
    : QObject(parent), m_spec(std::move(spec)), m_original(m_spec), m_host(host) {
    check();
}

void SpecEditor::set_spec(VmSpec spec) {
    m_spec = std::move(spec);
    m_loading = true;
    for (auto& [path, row] : m_rows) {
        row.refusal.clear();
        load_row(row);
    }
    m_loading = false;
    check();
    emit edited();
}

void SpecEditor::change(const std::function<void(VmSpec&)>& edit) {
    VmSpec changed = m_spec;
    edit(changed);
    set_spec(std::move(changed));
}

void SpecEditor::set_running(bool running) {
    m_running = running;
    show_notes();
}

void SpecEditor::set_extra_checks(std::function<std::vector<SpecProblem>(const VmSpec&)> checks) {
    m_extra_checks = std::move(checks);
    check();
}

QWidget* SpecEditor::add_row(QFormLayout* form, const QString& path, const QString& label) {
    const FieldDescriptor* field = find_field(path.toStdString());
    if (field == nullptr) {
        return nullptr;
    }
    Row& row = m_rows[path];
    row = {};
    row.path = path;
    row.label_text = label.isEmpty() ? text(field->label) : label;
    QWidget* parent = form->parentWidget();
    row.editor = make_editor(row, *field);
    row.editor->setParent(parent);
    row.editor->setObjectName(field_object_name(QStringLiteral("field_"), path));
    row.editor->setAccessibleName(row.label_text);
    row.editor->setAccessibleDescription(text(field->help));
    row.editor->setToolTip(text(field->help));
    row.note = make_note(field_object_name(QStringLiteral("note_"), path), parent);
    auto* column = new QVBoxLayout;
    column->setSpacing(2);
    column->addWidget(row.editor);
    column->addWidget(row.note);
    row.label = new QLabel(row.label_text + u':', parent);
    row.label->setBuddy(row.editor);
    form->addRow(row.label, column);
    m_loading = true;
    load_row(row);
    m_loading = false;
    show_notes();
    return row.editor;
}

QLabel* SpecEditor::add_note(const QString& path_prefix, QWidget* parent) {
    QLabel* note = make_note(field_object_name(QStringLiteral("note_"), path_prefix), parent);
    m_notes.emplace_back(path_prefix, note);
    show_notes();
    return note;
}

QWidget* SpecEditor::make_editor(Row& row, const FieldDescriptor& field) {
    const QString path = row.path;
    switch (field.type) {
        case FieldType::boolean: {
            auto* box = new QCheckBox(text(field.help));
            row.show = [box](const QString& value) { box->setChecked(value == QStringLiteral("true")); };
            connect(box, &QCheckBox::toggled, this,
                    [this, path](bool on) { commit(path, on ? QStringLiteral("true") : QStringLiteral("false")); });
            return box;
        }
        case FieldType::integer:
        case FieldType::size_mib: {
            const bool size = field.type == FieldType::size_mib;
            auto* box = new QSpinBox;
            box->setRange(spin_limit(field.minimum), spin_limit(field.maximum));
            box->setGroupSeparatorShown(size);
            box->setSuffix(size ? QStringLiteral(" MiB") : QString());
            box->setSingleStep(size ? 256 : 1);
            row.show = [box, size](const QString& value) {
                const auto bytes =
                    size ? parse_size(value.toStdString(), 1 << 20) : Result<uint64_t>(value.toULongLong());
                box->setValue(spin_limit(size ? bytes.value_or(0) >> 20 : *bytes));
            };
            connect(box, &QSpinBox::valueChanged, this, [this, path, size](int value) {
                commit(path, QString::number(value) + (size ? QStringLiteral("M") : QString()));
            });
            return box;
        }
        case FieldType::choice: {
            auto* box = new QComboBox;
            for (const std::string_view word : field.choices) {
                box->addItem(choice_text(field.path, word), text(word));
            }
            row.show = [box](const QString& value) { box->setCurrentIndex(box->findData(value)); };
            connect(box, &QComboBox::currentIndexChanged, this,
                    [this, path, box] { commit(path, box->currentData().toString()); });
            return box;
        }
        case FieldType::long_text: {
            auto* box = new QPlainTextEdit;
            box->setTabChangesFocus(true);
            row.show = [box](const QString& value) {
                if (box->toPlainText() != value) {
                    box->setPlainText(value);
                }
            };
            connect(box, &QPlainTextEdit::textChanged, this, [this, path, box] { commit(path, box->toPlainText()); });
            return box;
        }
        case FieldType::file:
            return make_file_editor(row, nullptr);
        case FieldType::text:
        case FieldType::text_list:
            break;
    }
    auto* box = new QLineEdit;
    row.show = [box](const QString& value) {
        if (box->text() != value) {
            box->setText(value);
        }
    };
    connect(box, &QLineEdit::textChanged, this, [this, path](const QString& value) { commit(path, value); });
    return box;
}

QWidget* SpecEditor::make_file_editor(Row& row, QWidget* parent) {
    auto* holder = new QWidget(parent);
    auto* line = new QLineEdit(holder);
    auto* browse = new QPushButton(tr("Browse…"), holder);
    line->setObjectName(field_object_name(QStringLiteral("path_"), row.path));
    line->setAccessibleName(row.label_text);
    line->setClearButtonEnabled(true);
    browse->setObjectName(field_object_name(QStringLiteral("browse_"), row.path));
    browse->setAccessibleName(tr("Browse for %1").arg(row.label_text));
    auto* layout = new QHBoxLayout(holder);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(line, 1);
    layout->addWidget(browse);
    holder->setFocusProxy(line);
    row.show = [line](const QString& value) {
        if (line->text() != value) {
            line->setText(value);
        }
    };
    connect(line, &QLineEdit::textChanged, this,
            [this, path = row.path](const QString& value) { commit(path, value); });
    connect(browse, &QPushButton::clicked, this, [line, label = row.label_text] {
        const QString file = pick_file(line->window(), label, tr("All files (*)"));
        if (!file.isEmpty()) {
            line->setText(file);
        }
    });
    return holder;
}

void SpecEditor::load_row(Row& row) {
    if (const auto value = get_field(m_spec, row.path.toStdString())) {
        row.show(QString::fromStdString(*value));
    }
}

void SpecEditor::commit(const QString& path, const QString& value) {
    if (m_loading) {
        return;
    }
    Row& row = m_rows[path];
    const Status done = set_field(m_spec, path.toStdString(), value.toStdString());
    row.refusal = done ? QString() : QString::fromStdString(done.error().message);
    check();
    emit edited();
}

void SpecEditor::check() {
    m_problems = validate(m_spec, m_host);
    if (m_extra_checks) {
        for (SpecProblem& problem : m_extra_checks(m_spec)) {
            m_problems.push_back(std::move(problem));
        }
    }
    for (const auto& [path, row] : m_rows) {
        if (!row.refusal.isEmpty()) {
            std::erase_if(m_problems, [&](const SpecProblem& p) { return p.path == path.toStdString(); });
            m_problems.push_back({path.toStdString(), row.refusal.toStdString(), Severity::error});
        }
    }
    show_notes();
    emit problems_changed();
}

SpecEditor::Row* SpecEditor::row_for(const std::string& path) {
    const auto it = m_rows.find(QString::fromStdString(path));
    return it == m_rows.end() ? nullptr : &it->second;
}

QString SpecEditor::badge_for(const Row& row) const {
    const FieldDescriptor* field = find_field(row.path.toStdString());
    if (!m_running || field == nullptr || field->apply != Apply::next_start) {
        return {};
    }
    const auto now = get_field(m_spec, row.path.toStdString());
    const auto before = get_field(m_original, row.path.toStdString());
    return now && before && *now == *before ? QString() : tr("Takes effect at the next start.");
}

void SpecEditor::show_notes() {
    const auto put = [](QLabel* label, const QStringList& lines) {
        label->setText(lines.join(u'\n'));
        label->setVisible(!lines.isEmpty());
    };
    const auto mark = [](const SpecProblem& problem) {
        const QString sign = problem.severity == Severity::error ? QStringLiteral("✖ ") : QStringLiteral("⚠ ");
        return sign + QString::fromStdString(problem.message);
    };
    for (auto& [path, row] : m_rows) {
        QStringList lines;
        if (!row.disabled_reason.isEmpty()) {
            lines << row.disabled_reason;
        }
        for (const SpecProblem& problem : m_problems) {
            if (problem.path == path.toStdString()) {
                lines << mark(problem);
            }
        }
        if (const QString badge = badge_for(row); !badge.isEmpty()) {
            lines << QStringLiteral("↻ ") + badge;
        }
        put(row.note, lines);
    }
    for (auto& [prefix, note] : m_notes) {
        QStringList lines;
        for (const SpecProblem& problem : m_problems) {
            if (row_for(problem.path) == nullptr && QString::fromStdString(problem.path).startsWith(prefix)) {
                lines << mark(problem);
            }
        }
        put(note, lines);
    }
}

void SpecEditor::drop_rows(const QString& path_prefix) {
    std::erase_if(m_rows, [&](const auto& entry) { return entry.first.startsWith(path_prefix); });
}

void SpecEditor::disable_by_firmware() {
    const Firmware firmware = m_spec.firmware;
    const QString kernel_reason = boots_from_drives(firmware) ? tr("Only when Firmware is a kernel file.") : QString();
    for (const char* path : {"kernel", "initrd", "append"}) {
        set_disabled_reason(QString::fromLatin1(path), kernel_reason);
    }
    set_disabled_reason(QStringLiteral("secure_boot"), firmware == Firmware::uefi ? QString() : tr("Only when Firmware is UEFI."));
}

void SpecEditor::disable_choice(const QString& path, const QString& word, const QString& reason) {
    Row* const row = row_for(path.toStdString());
    auto* const box = row == nullptr ? nullptr : qobject_cast<QComboBox*>(row->editor);
    auto* const model = box == nullptr ? nullptr : qobject_cast<QStandardItemModel*>(box->model());
    const int index = box == nullptr ? -1 : box->findData(word);
    if (model != nullptr && index >= 0) {
        QStandardItem* const item = model->item(index);
        item->setEnabled(reason.isEmpty());
        item->setToolTip(reason);
        item->setText(reason.isEmpty() ? item->text() : tr("%1: %2").arg(item->text(), reason));
    }
}

void SpecEditor::set_disabled_reason(const QString& path, const QString& reason) {
    if (Row* row = row_for(path.toStdString())) {
        row->disabled_reason = reason;
        row->editor->setEnabled(reason.isEmpty());
        show_notes();
    }
}

}  // namespace skep::ui
