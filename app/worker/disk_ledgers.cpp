// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/disk_ledgers.hpp"

namespace skep {
namespace {

using namespace std::chrono_literals;

constexpr auto k_believed_for = 5s;
constexpr auto k_patience = 200ms;  // of who asks for the first time

std::vector<DiskLedger> look_at_all(const std::vector<BuiltDisk>& disks) {
    std::vector<DiskLedger> ledgers;
    for (const BuiltDisk& disk : disks) {
        ledgers.push_back(look_at_disk(*disk.backend, disk.path));
    }
    return ledgers;
}

}  // namespace

const std::vector<DiskLedger>& DiskLedgers::now(const std::vector<BuiltDisk>& disks) {
    const auto time = std::chrono::steady_clock::now();
    if (!m_looking.valid() && (m_known.empty() || time - m_looked_at > k_believed_for)) {
        m_looked_at = time;
        m_looking = std::async(std::launch::async, [disks] { return look_at_all(disks); });
    }
    if (m_looking.valid() && m_looking.wait_for(m_known.empty() ? k_patience : 0ms) == std::future_status::ready) {
        m_known = m_looking.get();
    }
    return m_known;
}

void DiskLedgers::settle() {
    if (m_looking.valid()) {
        m_looking.wait();
        m_looking = {};
    }
    m_known.clear();
}

}  // namespace skep
