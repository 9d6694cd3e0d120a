// SPDX-License-Identifier: GPL-3.0-or-later
// VmListModel: scans in the background, changes rows one by one so that a selection stays.
#include "ui/model/vm_list_model.hpp"

#include <QLocale>
#include <algorithm>

#include "ui/model/background.hpp"

namespace skep::ui {

VmListModel::VmListModel(std::filesystem::path root, QObject* parent)
    : QAbstractListModel(parent), m_root(std::move(root)) {
    connect(&m_watcher, &QFileSystemWatcher::directoryChanged, this, &VmListModel::rescan);
    m_poll_timer.setInterval(k_poll_ms);
    connect(&m_poll_timer, &QTimer::timeout, this, &VmListModel::poll_workers);
    m_poll_timer.start();
    m_rescan_timer.setInterval(k_rescan_ms);
    connect(&m_rescan_timer, &QTimer::timeout, this, &VmListModel::rescan);
    m_rescan_timer.start();
    rescan();
}

VmListModel::~VmListModel() = default;

int VmListModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_sessions.size());
}

QVariant VmListModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || index.row() >= rowCount()) {
        return {};
    }
    VmSession* session = m_sessions[static_cast<size_t>(index.row())].get();
    switch (role) {
        case Qt::DisplayRole:
            return session->name();
        case Qt::AccessibleTextRole:
            return tr("%1, %2").arg(session->name(), state_text(session->state()));
        case session_role:
            return QVariant::fromValue(session);
        case state_role:
            return static_cast<int>(session->state());
        case state_text_role:
            return state_text(session->state());
        case detail_role:
            if (session->state() == VmState::running && !session->last_line().isEmpty()) {
                return session->last_line();
            }
            return session->reason();
        case thumbnail_role:
            return session->thumbnail();
        default:
            return {};
    }
}

VmSession* VmListModel::session(int row) const {
    return row >= 0 && row < rowCount() ? m_sessions[static_cast<size_t>(row)].get() : nullptr;
}

VmSession* VmListModel::find(const QString& folder) const {
    const auto it = std::find_if(m_sessions.begin(), m_sessions.end(),
                                 [&](const auto& session) { return session->folder() == folder; });
    return it == m_sessions.end() ? nullptr : it->get();
}

int VmListModel::row_of(const VmSession* session) const {
    const auto it =
        std::find_if(m_sessions.begin(), m_sessions.end(), [&](const auto& each) { return each.get() == session; });
    return it == m_sessions.end() ? -1 : static_cast<int>(it - m_sessions.begin());
}

void VmListModel::rescan() {
    if (m_scanning) {
        m_scan_again = true;
        return;
    }
    m_scanning = true;
    in_background(
        this, [root = m_root] { return list_bundles(root); },
        [this](const std::vector<BundleEntry>& entries) {
            m_scanning = false;
            if (std::exchange(m_scan_again, false)) {
                rescan();  // what was read may be from before the change
                return;
            }
            take(entries);
        });
}

void VmListModel::rescan_now() {
    m_scan_again = m_scanning;
    take(list_bundles(m_root));
}

void VmListModel::take(const std::vector<BundleEntry>& entries) {
    for (int row = rowCount() - 1; row >= 0; --row) {
        VmSession* session = m_sessions[static_cast<size_t>(row)].get();
        const bool present = std::any_of(entries.begin(), entries.end(), [&](const BundleEntry& entry) {
            return to_qstring(entry.folder.string()) == session->folder();
        });
        if (!present) {
            emit session_removed(session);
            beginRemoveRows({}, row, row);
            m_sessions.erase(m_sessions.begin() + row);
            endRemoveRows();
        }
    }
    for (const BundleEntry& entry : entries) {
        if (VmSession* session = find(to_qstring(entry.folder.string()))) {
            session->refresh(entry);
        } else {
            add(entry);
        }
    }
    watch();
    m_scanned = true;
    emit scanned();
}

void VmListModel::add(const BundleEntry& entry) {
    auto session = std::make_unique<VmSession>(entry);
    VmSession* added = session.get();
    const int row = rowCount();
    beginInsertRows({}, row, row);
    m_sessions.push_back(std::move(session));
    endInsertRows();
    connect(added, &VmSession::changed, this, [this, added] {
        const QModelIndex changed = index(row_of(added));
        emit dataChanged(changed, changed);
    });
    emit session_added(added);
    added->poll();
}

void VmListModel::poll_workers() {
    for (const auto& session : m_sessions) {
        session->poll();
    }
}

void VmListModel::watch() {
    QStringList wanted;
    std::error_code ignored;
    if (std::filesystem::is_directory(m_root, ignored)) {
        wanted << to_qstring(m_root.string());
    }
    for (const auto& session : m_sessions) {
        wanted << session->folder();
    }
    const QStringList watched = m_watcher.directories();
    for (const QString& folder : wanted) {
        if (!watched.contains(folder)) {
            m_watcher.addPath(folder);
        }
    }
    for (const QString& folder : watched) {
        if (!wanted.contains(folder)) {
            m_watcher.removePath(folder);
        }
    }
}

}  // namespace skep::ui
