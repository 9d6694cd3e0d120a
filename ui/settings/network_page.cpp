// SPDX-License-Identifier: GPL-3.0-or-later
// NetworkPage.
#include "ui/settings/network_page.hpp"

#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/widgets/spec_editor.hpp"
#include "vmm/control/network_plug.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep::ui {
namespace {

constexpr int k_most_cards = 4;  // as validate() has it

}  // namespace

NetworkPage::NetworkPage(SpecEditor* editor, QWidget* parent)
    : QWidget(parent),
      m_editor(editor),
      m_list(new QListWidget(this)),
      m_form_area(new QScrollArea(this)),
      m_add(new QPushButton(tr("Add card"), this)),
      m_remove(new QPushButton(tr("Remove"), this)) {
    m_list->setObjectName(QStringLiteral("networkList"));
    m_list->setAccessibleName(tr("Network cards"));
    m_list->setMaximumHeight(110);
    m_form_area->setFrameShape(QFrame::NoFrame);
    m_form_area->setWidgetResizable(true);
    m_add->setObjectName(QStringLiteral("addNetwork"));
    m_add->setAccessibleName(m_add->text());
    m_remove->setObjectName(QStringLiteral("removeNetwork"));
    m_remove->setAccessibleName(m_remove->text());
    auto* row = new QHBoxLayout;
    row->addWidget(m_add);
    row->addWidget(m_remove);
    row->addStretch(1);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(m_list);
    layout->addLayout(row);
    layout->addWidget(m_form_area, 1);
    layout->addWidget(m_editor->add_note(QStringLiteral("networks"), this));
    connect(m_add, &QPushButton::clicked, this, &NetworkPage::add_card);
    connect(m_remove, &QPushButton::clicked, this, &NetworkPage::remove_current);
    connect(m_list, &QListWidget::currentRowChanged, this, &NetworkPage::show_current);
    connect(m_editor, &SpecEditor::edited, this, &NetworkPage::disable_by_backend);
    load();
}

void NetworkPage::load() {
    const int row = m_list->currentRow();
    {
        const QSignalBlocker blocker(m_list);
        m_list->clear();
        for (const NetworkSpec& network : m_editor->spec().networks) {
            m_list->addItem(tr("%1: %2").arg(QString::fromStdString(network.id),
                                             QString::fromStdString(print_mac(effective_mac(m_editor->spec(), network)))));
        }
        m_list->setCurrentRow(std::clamp(row, 0, std::max(0, m_list->count() - 1)));
    }
    show_current();
}

void NetworkPage::show_current() {
    m_editor->drop_rows(QStringLiteral("networks["));
    auto* page = new QWidget;
    auto* form = new QFormLayout(page);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    const int row = m_list->currentRow();
    if (row >= 0) {
        const auto path = [row](const char* field) {
            return QStringLiteral("networks[%1].%2").arg(row).arg(QString::fromLatin1(field));
        };
        for (const char* field : {"backend", "network", "link", "forwards", "restrict", "card", "mac"}) {
            m_editor->add_row(form, path(field));
        }
        if (const std::string problem = tap_problem(); !problem.empty()) {
            m_editor->disable_choice(path("backend"), QStringLiteral("tap"), QString::fromStdString(problem));
        }
        disable_by_backend();
    } else {
        form->addRow(new QLabel(tr("This machine has no network card."), page));
    }
    if (m_editor->running()) {
        auto* live = new QLabel(tr("What a card is connected to, port forwards and the cable change at once when you save, cards at the next start."), page);
        live->setObjectName(QStringLiteral("networkLive"));
        live->setWordWrap(true);
        form->addRow(live);
    }
    m_add->setEnabled(m_list->count() < k_most_cards);
    m_add->setToolTip(m_add->isEnabled() ? QString() : tr("A machine has room for %1 network cards.").arg(k_most_cards));
    m_remove->setEnabled(row >= 0);
    m_form_area->setWidget(page);  // deletes the one before
}

// What the back end of the card shown does not look at is off, and says why.
void NetworkPage::disable_by_backend() {
    const auto row = static_cast<size_t>(m_list->currentRow());
    if (row >= m_editor->spec().networks.size()) {
        return;
    }
    const NetworkBackend backend = m_editor->spec().networks[row].backend;
    const bool is_named = backend == NetworkBackend::socket || backend == NetworkBackend::tap;
    const QString user_only = backend == NetworkBackend::user ? QString() : tr("Only on this computer's network.");
    const QString prefix = QStringLiteral("networks[%1].").arg(row);
    m_editor->set_disabled_reason(prefix + QStringLiteral("network"),
                                  is_named ? QString() : tr("Only on a private network, a tap or a bridge."));
    m_editor->set_disabled_reason(prefix + QStringLiteral("forwards"), user_only);
    m_editor->set_disabled_reason(prefix + QStringLiteral("restrict"), user_only);
}

void NetworkPage::add_card() {
    m_editor->change([](VmSpec& spec) { add_network(spec); });
    load();
    m_list->setCurrentRow(m_list->count() - 1);
}

void NetworkPage::remove_current() {
    const int row = m_list->currentRow();
    m_editor->drop_rows(QStringLiteral("networks["));
    m_editor->change([row](VmSpec& spec) {
        std::erase(spec.boot, spec.networks[static_cast<size_t>(row)].id);
        spec.networks.erase(spec.networks.begin() + row);
    });
    load();
}

}  // namespace skep::ui
