// SPDX-License-Identifier: GPL-3.0-or-later
// A library in a temporary folder, tiny media files, and waiting for a condition.
#pragma once

#include <gtest/gtest.h>

#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>
#include <string>

#include "vmm/spec/bundle.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep::ui {

// Runs the event loop until the condition holds.
template <typename Condition>
[[nodiscard]] bool wait_for(Condition condition, int milliseconds = 5000) {
    return QTest::qWaitFor([&] { return static_cast<bool>(condition()); }, milliseconds);
}

// The smallest CD that counts as bootable from a BIOS: a primary descriptor, an El Torito boot record (El Torito 1.0,
// section 2) and its catalogue with one entry for x86.
inline QByteArray tiny_iso(const char* volume_id, bool bootable = true, int sectors = 40) {
    QByteArray iso(static_cast<qsizetype>(sectors) * 2048, '\0');
    const auto put = [&](qsizetype at, const QByteArray& bytes) { iso.replace(at, bytes.size(), bytes); };
    const auto both_endian = [](quint32 value) {
        QByteArray bytes;
        for (int i = 0; i < 4; ++i) {
            bytes.append(static_cast<char>(value >> (8 * i)));
        }
        for (int i = 3; i >= 0; --i) {
            bytes.append(static_cast<char>(value >> (8 * i)));
        }
        return bytes;
    };
    put(16 * 2048, QByteArray("\x01"
                              "CD001\x01\x00",
                              8));
    put(16 * 2048 + 40, QByteArray(volume_id).leftJustified(32, ' '));
    put(16 * 2048 + 80, both_endian(static_cast<quint32>(sectors)));
    put(16 * 2048 + 128, QByteArray("\x00\x08\x08\x00", 4));
    int next = 17;
    if (bootable) {
        put(next * 2048, QByteArray("\x00"
                                    "CD001\x01",
                                    7) +
                             QByteArray("EL TORITO SPECIFICATION").leftJustified(32, '\0'));
        put(next * 2048 + 71, QByteArray("\x14\x00\x00\x00", 4));
        QByteArray validation("\x01\x00\x00\x00", 4);
        validation = validation.leftJustified(28, '\0') + QByteArray("\xaa\x55\x55\xaa", 4);
        put(20 * 2048, validation + QByteArray("\x88\x00\x00\x00\x00\x00\x04\x00\x15\x00\x00\x00", 12));
        put(21 * 2048, QByteArray("\xfa\xf4", 2));
        ++next;
    }
    put(next * 2048, QByteArray("\xff"
                                "CD001\x01",
                                7));
    return iso;
}

class LibraryTest : public ::testing::Test {
  protected:
    LibraryTest() {
        qputenv("SKEP_VMM", SKEP_FAKE_WORKER);
        qputenv("XDG_DATA_HOME", m_folder.path().toUtf8());
        qputenv("XDG_RUNTIME_DIR", m_runtime.path().toUtf8());
        m_root = (m_folder.path() + QStringLiteral("/skep/machines")).toStdString();
        std::filesystem::create_directories(m_root);
    }
    QString write_file(const QString& name, const QByteArray& bytes) {
        const QString path = m_folder.filePath(name);
        QFile file(path);
        EXPECT_TRUE(file.open(QIODevice::WriteOnly));
        file.write(bytes);
        return path;
    }
    Bundle make_machine(const std::string& name, const std::string& notes = {}) {
        VmSpec spec;
        spec.name = name;
        spec.notes = notes;
        spec.cds.push_back({"cd0", "", {}});
        add_network(spec);
        auto bundle = Bundle::create(m_root, spec);
        EXPECT_TRUE(bundle.has_value()) << (bundle ? "" : bundle.error().message);
        return *bundle;
    }

    QTemporaryDir m_folder;
    QTemporaryDir m_runtime;
    std::filesystem::path m_root;
};

}  // namespace skep::ui
