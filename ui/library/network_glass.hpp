// SPDX-License-Identifier: GPL-3.0-or-later
// What goes over a running machine's networks: the names that were looked up, the connections and their bytes.
#pragma once

#include <QTreeWidget>
#include <vector>

#include "ui/model/network_state.hpp"

namespace skep::ui {

// Hidden while there is nothing to show.
class NetworkGlass : public QTreeWidget {
    Q_OBJECT
  public:
    explicit NetworkGlass(QWidget* parent = nullptr);
    void show_networks(const std::vector<NetworkState>& networks);

  private:
    void show_names();
    void show_connections();

    std::vector<NetworkState> m_networks;  // as shown
    QTreeWidgetItem* m_names;
    QTreeWidgetItem* m_connections;
};

}  // namespace skep::ui
