// SPDX-License-Identifier: GPL-3.0-or-later
// VmListModel: the library's machines, kept in step with the disk and with running workers.
#pragma once

#include <QAbstractListModel>
#include <QFileSystemWatcher>
#include <QTimer>
#include <filesystem>
#include <memory>
#include <vector>

#include "ui/model/vm_session.hpp"

namespace skep::ui {

class VmListModel : public QAbstractListModel {
    Q_OBJECT
  public:
    enum Role {
        session_role = Qt::UserRole,  // VmSession*
        state_role,                   // int(VmState)
        state_text_role,
        detail_role,  // the second line: last console output, or what is wrong
        thumbnail_role,  // QImage, null when the machine has no screen or is off
    };
    static constexpr int k_poll_ms = 500;     // workers
    static constexpr int k_rescan_ms = 3000;  // bundles, for folders that cannot be watched

    explicit VmListModel(std::filesystem::path root = machines_folder(), QObject* parent = nullptr);
    ~VmListModel() override;

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;

    [[nodiscard]] VmSession* session(int row) const;
    // By bundle folder; null when it is not in the library.
    [[nodiscard]] VmSession* find(const QString& folder) const;
    [[nodiscard]] int row_of(const VmSession* session) const;
    [[nodiscard]] const std::filesystem::path& root() const { return m_root; }
    // Looks at the disk again, in the background; scanned() follows.
    void rescan();
    // The same at once, for a machine that was just made.
    void rescan_now();
    [[nodiscard]] bool scanned_once() const { return m_scanned; }

  signals:
    void scanned();
    void session_added(skep::ui::VmSession* session);
    // The session is deleted right after this.
    void session_removed(skep::ui::VmSession* session);

  private:
    void take(const std::vector<BundleEntry>& entries);
    void add(const BundleEntry& entry);
    void poll_workers();
    void watch();

    std::filesystem::path m_root;
    std::vector<std::unique_ptr<VmSession>> m_sessions;
    QFileSystemWatcher m_watcher;
    QTimer m_poll_timer;
    QTimer m_rescan_timer;
    bool m_scanning = false;
    bool m_scan_again = false;
    bool m_scanned = false;
};

}  // namespace skep::ui
