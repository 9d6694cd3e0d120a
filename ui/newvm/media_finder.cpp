// SPDX-License-Identifier: GPL-3.0-or-later
// Looking for CD images.
#include "ui/newvm/media_finder.hpp"

#include <QDir>
#include <QFileInfo>
#include <QSettings>
#include <QStandardPaths>

namespace skep::ui {

namespace {

constexpr qsizetype k_max_recent = 10;
const char* const k_recent_key = "recentMedia";

}  // namespace

QStringList media_folders() {
    QStringList folders{QStandardPaths::writableLocation(QStandardPaths::DownloadLocation),
                        QDir::home().filePath(QStringLiteral("Downloads")),
                        QStandardPaths::writableLocation(QStandardPaths::DesktopLocation),
                        QStandardPaths::writableLocation(QStandardPaths::DocumentsLocation),
                        QDir::homePath(),
                        QSettings().value(QStringLiteral("lastFolder")).toString()};
    folders.removeAll(QString());
    folders.removeDuplicates();
    return folders;
}

std::vector<FoundMedium> find_media(const QStringList& folders, const QStringList& recent) {
    QFileInfoList files;
    for (const QString& path : recent) {
        if (QFileInfo(path).isFile()) {
            files << QFileInfo(path);
        }
    }
    QFileInfoList found;
    for (const QString& folder : folders) {
        found << QDir(folder).entryInfoList({QStringLiteral("*.iso"), QStringLiteral("*.ISO")},
                                            QDir::Files | QDir::Readable, QDir::Time);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const QFileInfo& a, const QFileInfo& b) { return a.lastModified() > b.lastModified(); });
    files << found;
    std::vector<FoundMedium> media;
    QStringList seen;
    for (const QFileInfo& file : files) {
        const QString path = file.canonicalFilePath();
        if (seen.contains(path) || std::cmp_greater_equal(media.size(), k_max_media)) {
            continue;
        }
        seen << path;
        media.push_back({file.absoluteFilePath(), inspect_medium(file.absoluteFilePath().toStdString())});
    }
    return media;
}

QStringList recent_media() {
    return QSettings().value(QString::fromLatin1(k_recent_key)).toStringList();
}

void remember_medium(const QString& path) {
    QStringList recent = recent_media();
    recent.removeAll(path);
    recent.prepend(path);
    QSettings().setValue(QString::fromLatin1(k_recent_key), QVariant(recent.mid(0, k_max_recent)));
}

}  // namespace skep::ui
