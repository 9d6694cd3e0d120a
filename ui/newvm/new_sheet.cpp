// SPDX-License-Identifier: GPL-3.0-or-later
// NewSheet: layout and flow. What a medium means is NewVmDraft's business, what is allowed vmm/spec's.
#include "ui/newvm/new_sheet.hpp"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QFormLayout>
#include <QGroupBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QMimeData>
#include <QPushButton>
#include <QScreen>
#include <QScrollArea>
#include <QSpinBox>
#include <QStyle>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/model/background.hpp"
#include "ui/newvm/unattended_box.hpp"
#include "ui/widgets/dialogs.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep::ui {

namespace {

QString filter_text() {
    return NewSheet::tr("CD images, disks and kernels (*.iso *.img *.raw *.bin vmlinuz* bzImage*);;All files (*)");
}

}  // namespace

NewSheet::NewSheet(NewVmDraft draft, HostFacts host, QWidget* parent)
    : QDialog(parent), m_draft(std::move(draft)), m_editor(m_draft.spec(), host) {
    setObjectName(QStringLiteral("newSheet"));
    setWindowTitle(tr("New virtual machine"));
    setAccessibleName(windowTitle());
    setAcceptDrops(true);
    build();
    m_editor.set_extra_checks([root = m_draft.root()](const VmSpec& spec) -> std::vector<SpecProblem> {
        if (spec.name.empty() || !std::filesystem::exists(root / (spec.name + ".skep"))) {
            return {};
        }
        return {{"name", tr("“%1” exists already: choose another name.").arg(to_qstring(spec.name)).toStdString(),
                 Severity::error}};
    });
    connect(&m_editor, &SpecEditor::edited, this, &NewSheet::show_problems);
    show_draft();
    in_background(
        this, [folders = media_folders(), recent = recent_media()] { return find_media(folders, recent); },
        [this](std::vector<FoundMedium> media) { show_media(std::move(media)); });
}

void NewSheet::build() {
    auto* content = new QWidget;
    auto* column = new QVBoxLayout(content);
    column->addWidget(build_media());
    column->addWidget(build_settings());
    m_unattended = new UnattendedBox(content);
    column->addWidget(m_unattended);
    connect(m_unattended, &UnattendedBox::edited, this, &NewSheet::show_problems);
    connect(m_unattended, &QGroupBox::toggled, this, [this](bool on) {
        if (on) {  // once it has its place
            QTimer::singleShot(0, this, [this] { m_scroll->ensureWidgetVisible(m_unattended); });
        }
    });
    column->addWidget(build_advanced());
    column->addStretch(1);
    m_scroll = new QScrollArea(this);
    m_scroll->setObjectName(QStringLiteral("newSheetScroll"));
    m_scroll->setFrameShape(QFrame::NoFrame);
    m_scroll->setWidgetResizable(true);
    m_scroll->setWidget(content);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(m_scroll, 1);
    build_buttons();
    const QSize wanted(640, content->sizeHint().height() + 120);  // with a line or two of notes
    resize(wanted.expandedTo({640, 620}).boundedTo(screen()->availableSize() * 0.9));
}

QWidget* NewSheet::build_media() {
    auto* group = new QGroupBox(tr("Start from"));
    m_list = new QListWidget(group);
    m_list->setObjectName(QStringLiteral("mediaList"));
    m_list->setAccessibleName(tr("CD images found"));
    m_list->setUniformItemSizes(true);
    m_list->setMinimumHeight(120);
    m_list->setTextElideMode(Qt::ElideMiddle);
    auto* choose = new QPushButton(tr("Choose a &file…"), group);
    choose->setObjectName(QStringLiteral("chooseFile"));
    choose->setAccessibleName(tr("Choose a file"));
    auto* hint = new QLabel(tr("or drop a CD image, disk or kernel here"), group);
    m_recognised = new QLabel(group);
    m_recognised->setObjectName(QStringLiteral("recognised"));
    m_recognised->setAccessibleName(tr("Recognised"));
    m_problem = new QLabel(group);
    m_problem->setObjectName(QStringLiteral("mediumProblem"));
    m_problem->setAccessibleName(tr("Why the file cannot be used"));
    for (QLabel* label : {m_recognised, m_problem}) {
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        QFont bold = label->font();
        bold.setBold(true);
        label->setFont(bold);
        label->hide();
    }
    auto* row = new QHBoxLayout;
    row->addWidget(choose);
    row->addWidget(hint);
    row->addStretch(1);
    auto* layout = new QVBoxLayout(group);
    layout->addWidget(m_list);
    layout->addLayout(row);
    layout->addWidget(m_recognised);
    layout->addWidget(m_problem);
    connect(choose, &QPushButton::clicked, this, &NewSheet::browse);
    connect(m_list, &QListWidget::currentRowChanged, this, [this](int row_index) {
        if (row_index >= 0 && std::cmp_less(row_index, m_media.size())) {
            const FoundMedium& found = m_media[static_cast<size_t>(row_index)];
            m_chosen = found.path;
            take_medium(found.path, found.info);
        }
    });
    return group;
}

QWidget* NewSheet::build_settings() {
    auto* group = new QGroupBox(tr("Machine"));
    auto* form = new QFormLayout(group);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_editor.add_row(form, QStringLiteral("name"));
    m_editor.add_row(form, QStringLiteral("memory"));
    m_editor.add_row(form, QStringLiteral("cpus"));
    m_editor.add_row(form, QStringLiteral("display"));
    m_disk = new QSpinBox(group);
    m_disk->setObjectName(QStringLiteral("diskSize"));
    m_disk->setAccessibleName(tr("Size of the new disk"));
    m_disk->setRange(0, 16384);
    m_disk->setSuffix(tr(" GiB"));
    m_disk->setSpecialValueText(tr("No disk"));
    m_disk_note = new QLabel(group);
    m_disk_note->setObjectName(QStringLiteral("diskNote"));
    m_disk_note->setWordWrap(true);
    auto* column = new QVBoxLayout;
    column->setSpacing(2);
    column->addWidget(m_disk);
    column->addWidget(m_disk_note);
    auto* label = new QLabel(tr("New disk:"), group);
    label->setBuddy(m_disk);
    form->addRow(label, column);
    m_network = new QCheckBox(tr("A card on this computer's network"), group);
    m_network->setObjectName(QStringLiteral("networkCard"));
    m_network->setAccessibleName(tr("Network card"));
    m_network->setToolTip(tr("The guest reaches what this computer reaches, and nobody reaches the guest."));
    form->addRow(tr("Network:"), m_network);
    connect(m_network, &QCheckBox::clicked, this, [this](bool wanted) {
        m_editor.change([wanted](VmSpec& spec) {
            spec.networks.clear();
            if (wanted) {
                add_network(spec);
            }
        });
    });
    form->addRow(m_editor.add_note(QString(), group));
    connect(m_disk, &QSpinBox::valueChanged, this, [this](int gib) {
        m_draft.set_disk_gib(static_cast<unsigned>(gib));
        show_problems();
    });
    return group;
}

QWidget* NewSheet::build_advanced() {
    auto* holder = new QWidget;
    auto* toggle = new QToolButton(holder);
    toggle->setObjectName(QStringLiteral("advancedToggle"));
    toggle->setText(tr("Advanced"));
    toggle->setAccessibleName(tr("Show advanced settings"));
    toggle->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    toggle->setArrowType(Qt::RightArrow);
    toggle->setCheckable(true);
    toggle->setAutoRaise(true);
    m_advanced = new QWidget(holder);
    auto* form = new QFormLayout(m_advanced);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_editor.add_row(form, QStringLiteral("firmware"));
    m_editor.add_row(form, QStringLiteral("secure_boot"));
    m_editor.add_row(form, QStringLiteral("kernel"));
    m_editor.add_row(form, QStringLiteral("initrd"));
    m_editor.add_row(form, QStringLiteral("append"));
    m_editor.add_row(form, QStringLiteral("cpu.backend"));
    m_disk_bus = new QComboBox(m_advanced);
    m_disk_bus->setObjectName(QStringLiteral("diskBus"));
    m_disk_bus->setAccessibleName(tr("Disk bus"));
    m_disk_bus->addItem(choice_text("disks[].bus", "virtio"), static_cast<int>(DiskBus::virtio));
    m_disk_bus->addItem(choice_text("disks[].bus", "nvme"), static_cast<int>(DiskBus::nvme));
    m_disk_bus->addItem(choice_text("disks[].bus", "ahci"), static_cast<int>(DiskBus::ahci));
    form->addRow(tr("Disk bus:"), m_disk_bus);
    m_disk_format = new QComboBox(m_advanced);
    m_disk_format->setObjectName(QStringLiteral("diskFormat"));
    m_disk_format->setAccessibleName(tr("Image of the new disk"));
    m_disk_format->addItem(choice_text("disks[].format", "raw"), static_cast<int>(DiskFormat::raw));
    m_disk_format->addItem(choice_text("disks[].format", "qcow2"), static_cast<int>(DiskFormat::qcow2));
    form->addRow(tr("New disk's image:"), m_disk_format);
    connect(m_disk_format, &QComboBox::currentIndexChanged, this,
            [this] { m_draft.set_disk_format(static_cast<DiskFormat>(m_disk_format->currentData().toInt())); });
    connect(m_disk_bus, &QComboBox::currentIndexChanged, this,
            [this] { m_draft.set_disk_bus(static_cast<DiskBus>(m_disk_bus->currentData().toInt())); });
    connect(toggle, &QToolButton::toggled, this, [this, toggle](bool open) {
        toggle->setArrowType(open ? Qt::DownArrow : Qt::RightArrow);
        m_advanced->setVisible(open);
        if (open) {  // once it has its place
            QTimer::singleShot(0, this, [this] { m_scroll->ensureWidgetVisible(m_advanced); });
        }
    });
    auto* layout = new QVBoxLayout(holder);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(toggle);
    layout->addWidget(m_advanced);
    m_advanced->hide();
    return holder;
}

void NewSheet::build_buttons() {
    auto* box = new QDialogButtonBox(this);
    m_start_button = box->addButton(tr("Create && &Start"), QDialogButtonBox::AcceptRole);
    m_start_button->setObjectName(QStringLiteral("createAndStart"));
    m_start_button->setAccessibleName(tr("Create and start"));
    m_start_button->setDefault(true);
    m_create_button = box->addButton(tr("&Create"), QDialogButtonBox::ActionRole);
    m_create_button->setObjectName(QStringLiteral("createOnly"));
    m_create_button->setAccessibleName(tr("Create"));
    QPushButton* cancel = box->addButton(QDialogButtonBox::Cancel);
    cancel->setObjectName(QStringLiteral("cancelNew"));
    connect(m_start_button, &QPushButton::clicked, this, [this] { create(true); });
    connect(m_create_button, &QPushButton::clicked, this, [this] { create(false); });
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    layout()->addWidget(box);
}

void NewSheet::show_media(std::vector<FoundMedium> media) {
    m_media = std::move(media);
    const QSignalBlocker blocker(m_list);
    m_list->clear();
    for (const FoundMedium& found : m_media) {
        const QString file = QFileInfo(found.path).fileName();
        const bool good = found.info && found.info->problem.empty();
        const QString system = found.info ? QString::fromStdString(found.info->os.name) : QString();
        auto* item = new QListWidgetItem(system.isEmpty() ? file : tr("%1 — %2").arg(system, file), m_list);
        item->setIcon(style()->standardIcon(good ? QStyle::SP_DriveCDIcon : QStyle::SP_MessageBoxWarning));
        item->setToolTip(found.path);
        item->setData(Qt::UserRole, found.path);
        if (found.path == m_chosen) {
            m_list->setCurrentItem(item);
        }
    }
    if (m_media.empty()) {
        auto* item = new QListWidgetItem(tr("No CD image in your downloads or home folder"), m_list);
        item->setFlags(Qt::NoItemFlags);
    }
}

void NewSheet::choose_medium(const QString& path) {
    m_chosen = path;
    m_recognised->setText(tr("Reading '%1'…").arg(QFileInfo(path).fileName()));
    m_recognised->show();
    m_start_button->setEnabled(false);
    m_create_button->setEnabled(false);
    in_background(
        this, [file = path.toStdString()] { return inspect_medium(file); },
        [this, path](const Result<MediumInfo>& medium) {
            if (path == m_chosen) {
                const QSignalBlocker blocker(m_list);
                m_list->setCurrentRow(-1);
                take_medium(path, medium);
            }
        });
}

void NewSheet::take_medium(const QString& path, const Result<MediumInfo>& medium) {
    if (medium) {
        m_draft.use_medium(*medium);
    } else {
        m_draft.use_failed_medium(path, QString::fromStdString(medium.error().message));
    }
    show_draft();
}

void NewSheet::browse() {
    const QString path = pick_file(this, tr("Choose a CD image, disk or kernel"), filter_text());
    if (!path.isEmpty()) {
        choose_medium(path);
    }
}

void NewSheet::show_draft() {
    {
        const QSignalBlocker blocker(m_disk);
        m_disk->setValue(static_cast<int>(m_draft.disk_gib()));
    }
    m_network->setChecked(!m_draft.spec().networks.empty());
    m_recognised->setText(m_draft.recognised_text());
    m_editor.set_spec(m_draft.spec());
}

void NewSheet::show_problems() {
    m_draft.spec() = m_editor.spec();
    const QString problem = m_draft.medium_problem();
    {
        const QSignalBlocker blocker(m_unattended);
        m_unattended->set_machine_name(to_qstring(m_draft.spec().name));
        m_unattended->set_reason(m_draft.unattended_problem());
    }
    m_draft.set_answers(m_unattended->form());
    m_recognised->setVisible(!m_recognised->text().isEmpty() && problem.isEmpty());
    m_problem->setText(QStringLiteral("✖ ") + problem);
    m_problem->setVisible(!problem.isEmpty());
    const bool direct = !boots_from_drives(m_draft.spec().firmware);
    m_editor.disable_by_firmware();
    const uint64_t free = m_draft.free_bytes();
    const uint64_t wanted = uint64_t{m_draft.disk_gib()} << 30;
    QString note =
        free == 0 ? QString() : tr("%1 free. The disk takes space only as the guest fills it.").arg(size_text(free));
    if (free != 0 && wanted > free) {
        note = tr("⚠ Only %1 free: the guest is paused when that is used up.").arg(size_text(free));
    }
    m_disk_note->setText(note);
    const bool good = problem.isEmpty() && m_editor.acceptable() && m_unattended->acceptable() && !m_creating;
    const bool bootable = m_draft.medium().has_value() || direct;
    m_create_button->setEnabled(good);
    m_start_button->setEnabled(good && bootable);
    m_start_button->setToolTip(bootable ? QString() : tr("Choose what to start from first"));
}

void NewSheet::create(bool start) {
    m_creating = true;
    show_problems();
    in_background(
        this, [draft = m_draft] { return draft.create(); },
        [this, start](const Result<Bundle>& bundle) {
            m_creating = false;
            show_problems();
            if (!bundle) {
                show_error(this, tr("The machine was not created"), QString::fromStdString(bundle.error().message));
                return;
            }
            if (m_draft.medium()) {
                remember_medium(QString::fromStdString(m_draft.medium()->path));
            }
            emit created(QString::fromStdString(bundle->folder().string()), start);
            accept();
        });
}

void NewSheet::dragEnterEvent(QDragEnterEvent* event) {
    if (event->mimeData()->hasUrls() && event->mimeData()->urls().constFirst().isLocalFile()) {
        event->acceptProposedAction();
    }
}

void NewSheet::dropEvent(QDropEvent* event) {
    if (event->mimeData()->hasUrls()) {
        choose_medium(event->mimeData()->urls().constFirst().toLocalFile());
        event->acceptProposedAction();
    }
}

}  // namespace skep::ui
