// SPDX-License-Identifier: GPL-3.0-or-later
// main() of the window's tests: an application without a display, in folders of its own.
#include <gmock/gmock.h>

#include <QApplication>
#include <QStandardPaths>
#include <QTemporaryDir>

int main(int argc, char** argv) {
    ::testing::InitGoogleMock(&argc, argv);
    const QTemporaryDir home;
    qputenv("QT_QPA_PLATFORM", "offscreen");
    qputenv("HOME", home.path().toUtf8());
    qputenv("XDG_DATA_HOME", home.filePath(QStringLiteral("data")).toUtf8());
    qputenv("XDG_CONFIG_HOME", home.filePath(QStringLiteral("config")).toUtf8());
    qputenv("XDG_CACHE_HOME", home.filePath(QStringLiteral("cache")).toUtf8());
    qputenv("XDG_RUNTIME_DIR", home.path().toUtf8());
    QApplication::setOrganizationName(QStringLiteral("skep-test"));
    QApplication::setApplicationName(QStringLiteral("skep-test"));
    const QApplication application(argc, argv);
    return RUN_ALL_TESTS();
}
