// SPDX-License-Identifier: GPL-3.0-or-later
// OverviewTab: refreshed once a second while it is seen, never otherwise.
#include "ui/library/overview_tab.hpp"

#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/library/network_glass.hpp"
#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"
#include "ui/widgets/dialogs.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep::ui {

namespace {

QString duration_text(uint64_t milliseconds) {
    const uint64_t seconds = milliseconds / 1000;
    return QStringLiteral("%1:%2:%3")
        .arg(seconds / 3600)
        .arg(seconds / 60 % 60, 2, 10, QChar(u'0'))
        .arg(seconds % 60, 2, 10, QChar(u'0'));
}

}  // namespace

OverviewTab::OverviewTab(VmSession* session, QWidget* parent) : QWidget(parent), m_session(session) {
    setObjectName(QStringLiteral("overviewTab"));
    setAccessibleName(tr("Overview"));
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_state = add_line(form, QStringLiteral("overviewState"), tr("State:"));
    m_uptime = add_line(form, QStringLiteral("overviewUptime"), tr("Running for:"));
    m_cpu = add_line(form, QStringLiteral("overviewCpu"), tr("Processor:"));
    m_memory = add_line(form, QStringLiteral("overviewMemory"), tr("Memory:"));
    m_media = add_line(form, QStringLiteral("overviewMedia"), tr("CD:"));
    m_disks = add_line(form, QStringLiteral("overviewDisks"), tr("Disks:"));
    m_network = add_line(form, QStringLiteral("overviewNetwork"), tr("Network:"));
    m_notes = add_line(form, QStringLiteral("overviewNotes"), tr("Notes:"));
    auto* folder = new QPushButton(tr("Open &folder"), this);
    folder->setObjectName(QStringLiteral("overviewFolder"));
    auto* log = new QPushButton(tr("Show &log"), this);
    log->setObjectName(QStringLiteral("overviewLog"));
    auto* buttons = new QHBoxLayout;
    buttons->addWidget(folder);
    buttons->addWidget(log);
    buttons->addStretch(1);
    auto* layout = new QVBoxLayout(this);
    layout->addLayout(form);
    layout->addLayout(buttons);
    m_glass = new NetworkGlass(this);
    layout->addWidget(m_glass, 1);
    layout->addStretch(0);
    connect(folder, &QPushButton::clicked, this, &OverviewTab::folder_requested);
    connect(log, &QPushButton::clicked, this, &OverviewTab::log_requested);
    connect(m_session, &VmSession::changed, this, [this] {
        if (isVisible()) {
            update_texts();
            load_files();
        }
    });
    m_timer.setInterval(1000);
    connect(&m_timer, &QTimer::timeout, this, [this] {
        update_texts();
        m_session->ask_networks();
    });
    connect(m_session, &VmSession::networks_changed, this, &OverviewTab::update_network);
}

QLabel* OverviewTab::add_line(QFormLayout* form, const QString& name, const QString& title) {
    auto* value = new QLabel(this);
    value->setObjectName(name);
    value->setAccessibleName(title);
    value->setTextFormat(Qt::PlainText);
    value->setWordWrap(true);
    value->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    form->addRow(title, value);
    return value;
}

void OverviewTab::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    update_texts();
    load_files();
    m_session->ask_networks();
    m_timer.start();
}

void OverviewTab::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    m_timer.stop();
}

void OverviewTab::load_files() {
    if (!m_session->bundle()) {
        return;
    }
    in_background(
        this, [bundle = *m_session->bundle()] { return bundle.files(); },
        [this](std::vector<BundleFile> files) {
            m_files = std::move(files);
            m_disks->setText(disks_text());
        });
}

QString OverviewTab::disks_text() const {
    if (!m_session->spec() || m_session->spec()->disks.empty()) {
        return tr("none");
    }
    QStringList lines;
    for (const DiskSpec& disk : m_session->spec()->disks) {
        QString line = tr("%1: %2").arg(to_qstring(disk.id), to_qstring(disk.file));
        for (const BundleFile& file : m_files) {
            if (file.path == disk.file) {
                line += tr(" — %1, takes %2").arg(size_text(file.size), size_text(file.allocated));
            }
        }
        lines << line;
    }
    return lines.join(u'\n');
}

// A line a card; what only a running machine knows is left out while it is off.
QString OverviewTab::network_text() const {
    const auto& spec = m_session->running_spec();
    if (!spec || spec->networks.empty()) {
        return tr("no card");
    }
    QStringList lines;
    for (const NetworkSpec& card : spec->networks) {
        const QString id = to_qstring(card.id);
        const auto state = std::ranges::find(m_session->networks(), id, &NetworkState::id);
        if (state == m_session->networks().end()) {
            lines << tr("%1: %2").arg(id, to_qstring(describe_connection(card)));
            continue;
        }
        QStringList addresses;
        for (const QString& address : {state->ip, state->ip6}) {
            if (!address.isEmpty()) {
                addresses << address;
            }
        }
        const QString who = !state->link           ? tr("the cable is unplugged")
                            : addresses.isEmpty() ? tr("no address yet")
                                                  : addresses.join(QStringLiteral(", "));
        const QString where = state->backend.isEmpty() || state->backend == QStringLiteral("user") ? who : tr("%1, %2").arg(state->connected_to, who);
        lines << tr("%1: %2 — %3 received, %4 sent").arg(id, where, size_text(state->received), size_text(state->sent));
    }
    return lines.join(u'\n');
}

void OverviewTab::update_network() {
    m_network->setText(network_text());
    m_glass->show_networks(m_session->networks());
}

void OverviewTab::update_texts() {
    const bool active = is_active(m_session->state());
    const QString reason = m_session->reason();
    m_state->setText(reason.isEmpty() ? state_text(m_session->state())
                                      : tr("%1 — %2").arg(state_text(m_session->state()), reason));
    const MachineStatus& status = m_session->status();
    m_uptime->setText(active ? duration_text(status.uptime_ms) : tr("not running"));
    const auto& spec = m_session->running_spec();
    if (!spec) {
        return;
    }
    QString cpu = spec->cpus == 1 ? tr("1 virtual processor") : tr("%1 virtual processors").arg(spec->cpus);
    if (active && !status.cpu_backend.empty()) {
        cpu += status.cpu_backend == "kvm" ? tr(", hardware (KVM)") : tr(", software");
        if (!status.cpu_reason.empty()) {
            cpu += u'\n' + to_qstring(status.cpu_reason);
        }
    }
    m_cpu->setText(cpu);
    m_memory->setText(size_text(spec->memory_mib << 20));
    QStringList media;
    for (const CdSpec& cd : spec->cds) {
        const QString file = m_session->cd_file(to_qstring(cd.id));
        media << tr("%1: %2").arg(to_qstring(cd.id), file.isEmpty() ? tr("empty") : file);
    }
    m_media->setText(media.isEmpty() ? tr("no drive") : media.join(u'\n'));
    m_disks->setText(disks_text());
    update_network();
    m_notes->setText(!m_session->spec() || m_session->spec()->notes.empty() ? tr("none") : to_qstring(m_session->spec()->notes));
}

}  // namespace skep::ui
