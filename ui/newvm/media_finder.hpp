// SPDX-License-Identifier: GPL-3.0-or-later
// Installation media the user probably means: those used before and CD images in the usual folders.
#pragma once

#include <QString>
#include <QStringList>
#include <vector>

#include "vmm/media/medium.hpp"

namespace skep::ui {

struct FoundMedium {
    QString path;
    Result<MediumInfo> info;
};

// Folders that are searched, not deeper: downloads, desktop, documents, home and the folder used last.
[[nodiscard]] QStringList media_folders();
// Newest first, at most k_max_media of them; reads a little of each. Blocks on the disk.
inline constexpr int k_max_media = 40;
[[nodiscard]] std::vector<FoundMedium> find_media(const QStringList& folders, const QStringList& recent);

// Files chosen before, newest first (kept in the settings).
[[nodiscard]] QStringList recent_media();
void remember_medium(const QString& path);

}  // namespace skep::ui
