// SPDX-License-Identifier: GPL-3.0-or-later
// Host check: each finding with its cause, its cure and the command to copy; the same findings as `skepctl doctor`.
#pragma once

#include <QDialog>
#include <vector>

#include "vmm/control/host_check.hpp"

class QVBoxLayout;

namespace skep::ui {

class HostCheckDialog : public QDialog {
    Q_OBJECT
  public:
    explicit HostCheckDialog(QWidget* parent = nullptr);
    void show_findings(const std::vector<HostFinding>& findings);

  private:
    void check();
    QWidget* make_card(const HostFinding& finding);

    QVBoxLayout* m_cards;
};

// What deserves a line in the library: the worst finding that keeps machines from starting, as one sentence.
[[nodiscard]] QString blocking_finding(const std::vector<HostFinding>& findings);

}  // namespace skep::ui
