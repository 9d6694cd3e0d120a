// SPDX-License-Identifier: GPL-3.0-or-later
// BootOrderList: ticked drives are tried in this order; with none ticked CDs that hold a medium come first, then disks.
#include "ui/settings/boot_order_list.hpp"

#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/widgets/spec_editor.hpp"

namespace skep::ui {

namespace {

// Every drive: the ones in the boot order first.
std::vector<std::string> all_drives(const VmSpec& spec) {
    std::vector<std::string> drives = spec.boot;
    const auto add = [&](const std::string& id) {
        if (std::find(drives.begin(), drives.end(), id) == drives.end()) {
            drives.push_back(id);
        }
    };
    for (const CdSpec& cd : spec.cds) {
        add(cd.id);
    }
    for (const DiskSpec& disk : spec.disks) {
        add(disk.id);
    }
    return drives;
}

}  // namespace

BootOrderList::BootOrderList(SpecEditor* editor, QWidget* parent)
    : QWidget(parent),
      m_editor(editor),
      m_list(new QListWidget(this)),
      m_up(new QPushButton(tr("Up"), this)),
      m_down(new QPushButton(tr("Down"), this)) {
    m_list->setObjectName(QStringLiteral("bootOrder"));
    m_list->setAccessibleName(tr("Boot order"));
    m_list->setMaximumHeight(110);
    auto* rule =
        new QLabel(tr("Ticked drives are tried from the top. None ticked: a CD that is in, then the disks."), this);
    rule->setWordWrap(true);
    m_up->setObjectName(QStringLiteral("bootUp"));
    m_up->setAccessibleName(tr("Try earlier"));
    m_down->setObjectName(QStringLiteral("bootDown"));
    m_down->setAccessibleName(tr("Try later"));
    auto* buttons = new QVBoxLayout;
    buttons->addWidget(m_up);
    buttons->addWidget(m_down);
    buttons->addStretch(1);
    auto* row = new QHBoxLayout;
    row->addWidget(m_list, 1);
    row->addLayout(buttons);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    layout->addLayout(row);
    layout->addWidget(rule);
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
    connect(m_up, &QPushButton::clicked, this, [this] { move(-1); });
    connect(m_down, &QPushButton::clicked, this, [this] { move(1); });
    connect(m_list, &QListWidget::currentRowChanged, this, &BootOrderList::update_buttons);
    connect(m_list, &QListWidget::itemChanged, this, [this] { move(0); });
    connect(m_editor, &SpecEditor::edited, this, &BootOrderList::load);
    load();
}

void BootOrderList::load() {
    if (m_loading) {
        return;
    }
    const VmSpec& spec = m_editor->spec();
    const int row = m_list->currentRow();
    const QSignalBlocker blocker(m_list);
    m_list->clear();
    for (const std::string& id : all_drives(spec)) {
        const bool cd = spec.find_cd(id) != nullptr;
        auto* item = new QListWidgetItem(QString::fromStdString(id) + (cd ? tr(" (CD)") : tr(" (disk)")), m_list);
        item->setData(Qt::UserRole, QString::fromStdString(id));
        item->setFlags(item->flags() | Qt::ItemIsUserCheckable);
        const bool chosen = std::find(spec.boot.begin(), spec.boot.end(), id) != spec.boot.end();
        item->setCheckState(chosen ? Qt::Checked : Qt::Unchecked);
    }
    m_list->setCurrentRow(std::min(row, m_list->count() - 1));
    update_buttons();
}

void BootOrderList::move(int step) {
    const int row = m_list->currentRow();
    if (step != 0 && (row < 0 || row + step < 0 || row + step >= m_list->count())) {
        return;
    }
    const QSignalBlocker blocker(m_list);
    if (step != 0) {
        QListWidgetItem* item = m_list->takeItem(row);
        item->setCheckState(Qt::Checked);
        m_list->insertItem(row + step, item);
        m_list->setCurrentRow(row + step);
    }
    std::vector<std::string> order;
    for (int i = 0; i < m_list->count(); ++i) {
        if (m_list->item(i)->checkState() == Qt::Checked) {
            order.push_back(m_list->item(i)->data(Qt::UserRole).toString().toStdString());
        }
    }
    m_loading = true;
    m_editor->change([&](VmSpec& spec) { spec.boot = order; });
    m_loading = false;
    update_buttons();
}

void BootOrderList::update_buttons() {
    const int row = m_list->currentRow();
    m_up->setEnabled(row > 0);
    m_down->setEnabled(row >= 0 && row + 1 < m_list->count());
}

}  // namespace skep::ui
