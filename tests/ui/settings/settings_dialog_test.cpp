// SPDX-License-Identifier: GPL-3.0-or-later
// Settings: rows from descriptors, messages beside fields, "next start" badges, drives and boot order.
#include "ui/settings/settings_dialog.hpp"

#include <gtest/gtest.h>

#include <QComboBox>
#include <QInputDialog>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>

#include "devices/formats/image_tools.hpp"
#include "tests/ui/support/test_library.hpp"
#include "vmm/control/launcher.hpp"

namespace skep::ui {
namespace {

class SettingsDialogTest : public LibraryTest {
  protected:
    void open(MachineActivity activity) {
        VmSpec spec;
        spec.id = make_uuid();
        spec.name = "one";
        spec.cds.push_back({"cd0", "", {}});
        DiskSpec disk;
        disk.id = "disk0";
        disk.file = write_file(QStringLiteral("d.img"), QByteArray(4096, 'x')).toStdString();
        spec.disks.push_back(disk);
        m_dialog =
            std::make_unique<SettingsDialog>(spec, m_folder.path().toStdString(), HostFacts{8192, 4096, 4}, activity);
        m_dialog->show();
    }
    template <typename Widget>
    Widget* get(const char* name) {
        auto* widget = m_dialog->findChild<Widget*>(QString::fromLatin1(name));
        EXPECT_NE(widget, nullptr) << name;
        return widget;
    }
    void page(int row) { get<QListWidget>("settingsPages")->setCurrentRow(row); }
    std::unique_ptr<SettingsDialog> m_dialog;
};

TEST_F(SettingsDialogTest, unchanged_has_nothing_to_save) {
    open(MachineActivity::off);
    EXPECT_FALSE(get<QPushButton>("settingsSave")->isEnabled());
    get<QSpinBox>("field_memory")->setValue(2048);
    EXPECT_TRUE(get<QPushButton>("settingsSave")->isEnabled());
    EXPECT_EQ(m_dialog->edited().memory_mib, 2048U);
    get<QSpinBox>("field_memory")->setValue(1024);
    EXPECT_FALSE(get<QPushButton>("settingsSave")->isEnabled());
}

TEST_F(SettingsDialogTest, bad_value_is_said_beside_the_field_and_blocks_saving) {
    open(MachineActivity::off);
    page(0);
    get<QLineEdit>("field_name")->setText(QStringLiteral("a/b"));
    EXPECT_TRUE(get<QLabel>("note_name")->isVisible());
    EXPECT_FALSE(get<QPushButton>("settingsSave")->isEnabled());
}

TEST_F(SettingsDialogTest, running_machine_badges_what_waits_for_the_next_start) {
    open(MachineActivity::running);
    page(1);
    EXPECT_FALSE(get<QLabel>("note_cpus")->isVisible());
    get<QSpinBox>("field_cpus")->setValue(3);
    EXPECT_TRUE(get<QLabel>("note_cpus")->text().contains(QStringLiteral("next start")));
    EXPECT_FALSE(get<QLineEdit>("field_name")->isEnabled());
    EXPECT_TRUE(get<QLabel>("note_name")->text().contains(QStringLiteral("off")));
}

TEST_F(SettingsDialogTest, kernel_is_disabled_with_its_reason_until_the_firmware_wants_one) {
    open(MachineActivity::off);
    page(2);
    EXPECT_FALSE(get<QWidget>("field_kernel")->isEnabled());
    auto* firmware = get<QComboBox>("field_firmware");
    firmware->setCurrentIndex(firmware->findData(QStringLiteral("linux")));
    EXPECT_TRUE(get<QWidget>("field_kernel")->isEnabled());
    EXPECT_FALSE(get<QPushButton>("settingsSave")->isEnabled()) << "a kernel is needed now";
}

TEST_F(SettingsDialogTest, boot_order_moves_and_is_kept) {
    open(MachineActivity::off);
    page(2);
    auto* list = get<QListWidget>("bootOrder");
    ASSERT_EQ(list->count(), 2);
    list->setCurrentRow(1);
    QTest::mouseClick(get<QPushButton>("bootUp"), Qt::LeftButton);
    EXPECT_EQ(m_dialog->edited().boot, std::vector<std::string>{"disk0"});
    list->item(1)->setCheckState(Qt::Checked);
    EXPECT_EQ(m_dialog->edited().boot, (std::vector<std::string>{"disk0", "cd0"}));
}

TEST_F(SettingsDialogTest, drives_are_edited_added_and_removed) {
    open(MachineActivity::off);
    page(3);
    auto* drives = get<QListWidget>("drivesList");
    ASSERT_EQ(drives->count(), 2);
    drives->setCurrentRow(0);
    auto* bus = get<QComboBox>("field_disks_0__bus");
    bus->setCurrentIndex(bus->findData(QStringLiteral("ahci")));
    EXPECT_EQ(m_dialog->edited().disks[0].bus, DiskBus::ahci);
    drives->setCurrentRow(1);
    get<QLineEdit>("path_cds_0__file")->setText(QStringLiteral("/nowhere/x.iso"));
    EXPECT_TRUE(get<QLabel>("settingsSummary")->text().contains(QStringLiteral("x.iso")));
    QTest::mouseClick(get<QPushButton>("removeDrive"), Qt::LeftButton);
    EXPECT_TRUE(m_dialog->edited().cds.empty());
    QTest::mouseClick(get<QPushButton>("addCd"), Qt::LeftButton);
    ASSERT_EQ(m_dialog->edited().cds.size(), 1U);
    EXPECT_EQ(m_dialog->edited().cds[0].id, "cd0");
}

TEST_F(SettingsDialogTest, card_on_a_private_network_needs_its_name_and_says_what_it_does_not_look_at) {
    open(MachineActivity::running);
    page(4);
    QTest::mouseClick(get<QPushButton>("addNetwork"), Qt::LeftButton);
    EXPECT_FALSE(get<QLineEdit>("field_networks_0__network")->isEnabled());
    EXPECT_TRUE(get<QLabel>("note_networks_0__network")->text().contains(QStringLiteral("private network")));
    auto* backend = get<QComboBox>("field_networks_0__backend");
    backend->setCurrentIndex(backend->findData(QStringLiteral("socket")));
    EXPECT_FALSE(get<QLineEdit>("field_networks_0__forwards")->isEnabled());
    EXPECT_TRUE(get<QLabel>("note_networks_0__network")->text().contains(QStringLiteral("without a name")));
    EXPECT_FALSE(get<QPushButton>("settingsSave")->isEnabled());
    get<QLineEdit>("field_networks_0__network")->setText(QStringLiteral("lab"));
    EXPECT_TRUE(get<QPushButton>("settingsSave")->isEnabled());
    EXPECT_EQ(m_dialog->edited().networks[0].network, "lab");
}

TEST_F(SettingsDialogTest, new_disk_is_what_was_asked_for) {
    open(MachineActivity::off);
    page(3);
    QTest::mouseClick(get<QPushButton>("addDisk"), Qt::LeftButton);
    auto* format = get<QComboBox>("newDiskFormat");
    auto* bus = get<QComboBox>("newDiskBus");
    format->setCurrentIndex(format->findData(QStringLiteral("qcow2")));
    bus->setCurrentIndex(bus->findData(QStringLiteral("nvme")));
    get<QSpinBox>("newDiskSize")->setValue(3);
    QTest::mouseClick(get<QPushButton>("newDiskAdd"), Qt::LeftButton);
    ASSERT_EQ(m_dialog->new_disks().size(), 1U);
    EXPECT_TRUE(get<QPushButton>("settingsSave")->isEnabled());
    const NewDisk disk = m_dialog->new_disks()[0];
    EXPECT_EQ(disk.bus, DiskBus::nvme);
    const QString file = m_folder.filePath(QStringLiteral("new.qcow2"));
    ASSERT_TRUE(disk.make(file.toStdString(), disk.bytes));
    const auto made = describe_image(file.toStdString());
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->format, ImageFormat::qcow2);
    EXPECT_EQ(made->disk_bytes, uint64_t{3} << 30);
}

TEST_F(SettingsDialogTest, image_is_described_and_made_larger) {
    open(MachineActivity::off);
    page(3);
    get<QListWidget>("drivesList")->setCurrentRow(0);
    auto* enlarge = get<QPushButton>("enlargeDisk");
    ASSERT_TRUE(QTest::qWaitFor([&] { return enlarge->isEnabled(); }));
    EXPECT_TRUE(get<QLabel>("imageFacts")->text().contains(QStringLiteral("4 KiB")))
        << get<QLabel>("imageFacts")->text().toStdString();
    EXPECT_TRUE(get<QLabel>("imageFacts")->text().contains(QStringLiteral("cannot be told")));
    QTest::mouseClick(enlarge, Qt::LeftButton);
    auto* ask = get<QInputDialog>("enlargeDialog");
    ask->setIntValue(2);
    ask->accept();
    ASSERT_TRUE(QTest::qWaitFor([&] { return enlarge->isEnabled(); }));
    EXPECT_TRUE(get<QLabel>("imageFacts")->text().contains(QStringLiteral("2 GiB")))
        << get<QLabel>("imageFacts")->text().toStdString();
    EXPECT_EQ(std::filesystem::file_size(m_dialog->edited().disks[0].file), uint64_t{2} << 30);
}

TEST_F(SettingsDialogTest, running_machines_disk_is_described_and_grows) {
    const Bundle bundle = make_machine("runs");
    auto launched = launch(bundle, "test");
    ASSERT_TRUE(launched) << launched.error().message;
    VmSpec spec = *bundle.load();
    DiskSpec disk;
    disk.id = "disk0";
    disk.file = "disks/disk0.img";
    spec.disks.push_back(disk);
    m_dialog = std::make_unique<SettingsDialog>(spec, bundle.folder(), HostFacts{8192, 4096, 4}, MachineActivity::running);
    m_dialog->show();
    page(3);
    get<QListWidget>("drivesList")->setCurrentRow(0);
    auto* enlarge = get<QPushButton>("enlargeDisk");
    ASSERT_TRUE(wait_for([&] { return enlarge->isEnabled(); })) << get<QLabel>("imageFacts")->text().toStdString();
    for (const char* part : {"1 GiB", "3 MiB", "use 1 MiB", "At least 2 MiB", "fstrim"}) {
        EXPECT_TRUE(get<QLabel>("imageFacts")->text().contains(QLatin1String(part))) << part << " is not in " << get<QLabel>("imageFacts")->text().toStdString();
    }
    QTest::mouseClick(enlarge, Qt::LeftButton);
    auto* ask = get<QInputDialog>("enlargeDialog");
    ask->setIntValue(5);
    ask->accept();
    EXPECT_TRUE(wait_for([&] { return get<QLabel>("imageFacts")->text().contains(QStringLiteral("5 GiB")); }))
        << get<QLabel>("imageFacts")->text().toStdString();
    EXPECT_TRUE(launched->client.command(MessageType::power_off));
}

TEST_F(SettingsDialogTest, running_machine_that_does_not_answer_says_so) {
    open(MachineActivity::running);
    page(3);
    get<QListWidget>("drivesList")->setCurrentRow(0);
    EXPECT_TRUE(wait_for([&] { return !get<QLabel>("imageFacts")->text().isEmpty(); }));
    EXPECT_FALSE(get<QPushButton>("enlargeDisk")->isEnabled());
}

TEST_F(SettingsDialogTest, yaml_page_shows_what_would_be_saved) {
    open(MachineActivity::off);
    get<QSpinBox>("field_memory")->setValue(3072);
    EXPECT_TRUE(get<QPlainTextEdit>("yamlText")->toPlainText().contains(QStringLiteral("memory: 3G")))
        << get<QPlainTextEdit>("yamlText")->toPlainText().toStdString();
}

}  // namespace
}  // namespace skep::ui
