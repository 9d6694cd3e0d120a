// SPDX-License-Identifier: GPL-3.0-or-later
// The Overview tab of a machine: state, uptime, processor, disks, network, notes.
#pragma once

#include <QTimer>
#include <QWidget>

#include "vmm/spec/bundle.hpp"

class QFormLayout;
class QLabel;

namespace skep::ui {

class NetworkGlass;
class VmSession;

class OverviewTab : public QWidget {
    Q_OBJECT
  public:
    explicit OverviewTab(VmSession* session, QWidget* parent = nullptr);

  signals:
    void log_requested();
    void folder_requested();

  protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

  private:
    QLabel* add_line(QFormLayout* form, const QString& name, const QString& title);
    void update_texts();
    void load_files();
    [[nodiscard]] QString disks_text() const;
    [[nodiscard]] QString network_text() const;
    void update_network();

    VmSession* m_session;
    QLabel* m_state;
    QLabel* m_uptime;
    QLabel* m_cpu;
    QLabel* m_memory;
    QLabel* m_media;
    QLabel* m_disks;
    QLabel* m_network;
    QLabel* m_notes;
    NetworkGlass* m_glass;
    QTimer m_timer;
    std::vector<BundleFile> m_files;
};

}  // namespace skep::ui
