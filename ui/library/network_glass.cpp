// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/library/network_glass.hpp"

#include <QHeaderView>
#include <algorithm>

#include "ui/widgets/dialogs.hpp"

namespace skep::ui {

NetworkGlass::NetworkGlass(QWidget* parent)
    : QTreeWidget(parent), m_names(new QTreeWidgetItem(this)), m_connections(new QTreeWidgetItem(this)) {
    setObjectName(QStringLiteral("networkGlass"));
    setAccessibleName(tr("Names looked up and connections"));
    setHeaderLabels({tr("Network"), tr("Where"), tr("Received"), tr("Sent")});
    setSelectionMode(QAbstractItemView::NoSelection);
    setUniformRowHeights(true);
    setMinimumHeight(120);
    header()->setSectionResizeMode(QHeaderView::ResizeToContents);
    header()->setStretchLastSection(false);
    m_connections->setExpanded(true);
    hide();
}

void NetworkGlass::show_networks(const std::vector<NetworkState>& networks) {
    if (networks == m_networks) {
        return;
    }
    m_networks = networks;
    show_names();
    show_connections();
    setVisible(m_names->childCount() + m_connections->childCount() != 0);
}

void NetworkGlass::show_names() {
    qDeleteAll(m_names->takeChildren());
    for (const NetworkState& network : m_networks) {
        for (const NetworkState::Name& name : network.names) {
            const QString where = name.addresses.isEmpty() ? tr("no such name") : QString(name.addresses).replace(u',', QStringLiteral(", "));
            m_names->insertChild(0, new QTreeWidgetItem({name.name, where}));  // the youngest first
        }
    }
    m_names->setText(0, tr("Names looked up: %1").arg(m_names->childCount()));
}

void NetworkGlass::show_connections() {
    qDeleteAll(m_connections->takeChildren());
    int open = 0;
    for (const NetworkState& network : m_networks) {
        for (const NetworkState::Connection& one : network.connections) {
            const QString state = one.open ? one.protocol : tr("%1, closed").arg(one.protocol);
            m_connections->insertChild(
                0, new QTreeWidgetItem({state, one.remote, size_text(one.received), size_text(one.sent)}));
            open += one.open ? 1 : 0;
        }
    }
    m_connections->setText(0, tr("Connections: %1 open").arg(open));
}

}  // namespace skep::ui
