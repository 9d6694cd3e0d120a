// SPDX-License-Identifier: GPL-3.0-or-later
// The New sheet: good and bad media, what is prefilled, what is refused beside which field, and that cancelling or
// failing leaves nothing behind.
#include "ui/newvm/new_sheet.hpp"

#include <gtest/gtest.h>

#include <QCheckBox>
#include <QComboBox>
#include <QGroupBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QSpinBox>
#include <QToolButton>

#include "tests/ui/support/test_library.hpp"

namespace skep::ui {
namespace {

class NewSheetTest : public LibraryTest {
  protected:
    void open() {
        m_sheet = std::make_unique<NewSheet>(NewVmDraft(m_root), HostFacts{8192, 4096, 4});
        m_sheet->show();
    }
    template <typename Widget>
    Widget* get(const char* name) {
        auto* widget = m_sheet->findChild<Widget*>(QString::fromLatin1(name));
        EXPECT_NE(widget, nullptr) << name;
        return widget;
    }
    // Chooses the file and waits until it was read.
    void choose(const QString& path) {
        m_sheet->choose_medium(path);
        EXPECT_TRUE(wait_for([&] { return !get<QLabel>("recognised")->text().startsWith(QStringLiteral("Reading")); }));
    }
    // Makes the machine; leaves the only one there is.
    void create_only(std::vector<BundleEntry>& entries) {
        QSignalSpy created(m_sheet.get(), &NewSheet::created);
        QTest::mouseClick(get<QPushButton>("createOnly"), Qt::LeftButton);
        ASSERT_TRUE(wait_for([&] { return created.count() == 1; }));
        entries = list_bundles(m_root);
        ASSERT_EQ(entries.size(), 1U);
        ASSERT_TRUE(entries[0].spec.has_value());
    }
    void expect_refused(const QString& path, const QString& words) {
        open();
        choose(path);
        EXPECT_TRUE(get<QLabel>("mediumProblem")->isVisible());
        EXPECT_TRUE(get<QLabel>("mediumProblem")->text().contains(words))
            << get<QLabel>("mediumProblem")->text().toStdString();
        EXPECT_FALSE(get<QPushButton>("createAndStart")->isEnabled());
        EXPECT_FALSE(get<QPushButton>("createOnly")->isEnabled());
    }
    std::unique_ptr<NewSheet> m_sheet;
};

TEST_F(NewSheetTest, good_iso_is_recognised_and_created_with_a_disk) {
    const QString iso = write_file(QStringLiteral("netinst.iso"), tiny_iso("Debian 12.5.0 amd64 n"));
    open();
    choose(iso);
    EXPECT_TRUE(get<QLabel>("recognised")->text().contains(QStringLiteral("Debian 12")))
        << get<QLabel>("recognised")->text().toStdString();
    EXPECT_FALSE(get<QLabel>("mediumProblem")->isVisible()) << get<QLabel>("mediumProblem")->text().toStdString();
    QSignalSpy created(m_sheet.get(), &NewSheet::created);
    ASSERT_TRUE(get<QPushButton>("createAndStart")->isEnabled());
    QTest::mouseClick(get<QPushButton>("createAndStart"), Qt::LeftButton);
    ASSERT_TRUE(wait_for([&] { return created.count() == 1; }));
    EXPECT_TRUE(created[0][1].toBool());
    const auto entries = list_bundles(m_root);
    ASSERT_EQ(entries.size(), 1U);
    ASSERT_TRUE(entries[0].spec.has_value());
    EXPECT_EQ(entries[0].spec->cds.at(0).file, iso.toStdString());
    ASSERT_EQ(entries[0].spec->disks.size(), 1U);
    EXPECT_TRUE(std::filesystem::exists(entries[0].folder / entries[0].spec->disks[0].file));
    ASSERT_EQ(entries[0].spec->networks.size(), 1U);
    EXPECT_EQ(entries[0].spec->networks[0].backend, NetworkBackend::user);
    EXPECT_EQ(recent_media().value(0), iso);
}

TEST_F(NewSheetTest, list_offers_images_of_the_usual_folders_and_one_click_picks) {
    const QString downloads = QDir::home().filePath(QStringLiteral("Downloads"));
    QDir().mkpath(downloads);
    QFile file(downloads + QStringLiteral("/found.iso"));
    ASSERT_TRUE(file.open(QIODevice::WriteOnly));
    file.write(tiny_iso("Debian 12.5.0 amd64 n"));
    file.close();
    open();
    auto* list = get<QListWidget>("mediaList");
    const auto row = [&] {
        for (int i = 0; i < list->count(); ++i) {
            if (list->item(i)->data(Qt::UserRole).toString().endsWith(QStringLiteral("/found.iso"))) {
                return i;
            }
        }
        return -1;
    };
    ASSERT_TRUE(wait_for([&] { return row() >= 0; }));
    QTest::mouseClick(list->viewport(), Qt::LeftButton, {}, list->visualItemRect(list->item(row())).center());
    EXPECT_TRUE(get<QPushButton>("createAndStart")->isEnabled());
    EXPECT_EQ(m_sheet->draft().spec().cds.at(0).file, file.fileName().toStdString());
    file.remove();
}

TEST_F(NewSheetTest, network_card_can_be_left_out) {
    open();
    choose(write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n")));
    auto* const network = get<QCheckBox>("networkCard");
    EXPECT_TRUE(network->isChecked());
    network->click();
    EXPECT_TRUE(m_sheet->draft().spec().networks.empty());
    network->click();
    EXPECT_EQ(m_sheet->draft().spec().networks.size(), 1U);
}

TEST_F(NewSheetTest, bad_media_are_refused_beside_the_choice) {
    expect_refused(m_folder.filePath(QStringLiteral("missing.iso")), QStringLiteral("missing.iso"));
    expect_refused(m_folder.path(), QStringLiteral("folder"));
    expect_refused(write_file(QStringLiteral("empty.iso"), {}), QStringLiteral("empty.iso"));
    expect_refused(write_file(QStringLiteral("data.iso"), tiny_iso("PHOTOS", false)), QStringLiteral("boot"));
    expect_refused(
        write_file(QStringLiteral("cut.iso"), tiny_iso("Debian 12.5.0 amd64 n", true, 4000).left(100 * 2048)),
        QStringLiteral("truncated"));
    EXPECT_TRUE(list_bundles(m_root).empty());
}

TEST_F(NewSheetTest, choosing_a_good_one_after_a_bad_one_clears_the_message) {
    open();
    choose(m_folder.filePath(QStringLiteral("missing.iso")));
    choose(write_file(QStringLiteral("ok.iso"), tiny_iso("Debian 12.5.0 amd64 n")));
    EXPECT_FALSE(get<QLabel>("mediumProblem")->isVisible());
    EXPECT_TRUE(get<QPushButton>("createAndStart")->isEnabled());
}

TEST_F(NewSheetTest, name_taken_is_made_unique_and_refused_when_typed) {
    const QString iso = write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n"));
    open();
    choose(iso);
    const QString first = get<QLineEdit>("field_name")->text();
    make_machine(first.toStdString());
    open();
    choose(iso);
    EXPECT_EQ(get<QLineEdit>("field_name")->text(), first + QStringLiteral(" 2"));
    get<QLineEdit>("field_name")->setText(first);
    EXPECT_TRUE(get<QLabel>("note_name")->isVisible());
    EXPECT_TRUE(get<QLabel>("note_name")->text().contains(QStringLiteral("exists already")));
    EXPECT_FALSE(get<QPushButton>("createOnly")->isEnabled());
    get<QLineEdit>("field_name")->clear();
    EXPECT_TRUE(get<QLabel>("note_name")->isVisible());
    EXPECT_FALSE(get<QPushButton>("createOnly")->isEnabled());
    get<QLineEdit>("field_name")->setText(QStringLiteral("Another"));
    EXPECT_FALSE(get<QLabel>("note_name")->isVisible());
    EXPECT_TRUE(get<QPushButton>("createOnly")->isEnabled());
}

TEST_F(NewSheetTest, memory_beyond_the_host_is_said_beside_the_field) {
    open();
    choose(write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n")));
    get<QSpinBox>("field_memory")->setValue(64 * 1024);
    EXPECT_TRUE(get<QLabel>("note_memory")->isVisible());
    EXPECT_FALSE(get<QPushButton>("createAndStart")->isEnabled());
    get<QSpinBox>("field_memory")->setValue(512);
    EXPECT_FALSE(get<QLabel>("note_memory")->isVisible());
    EXPECT_TRUE(get<QPushButton>("createAndStart")->isEnabled());
}

TEST_F(NewSheetTest, kernel_fields_wait_for_a_kernel_firmware_with_their_reason) {
    open();
    QTest::mouseClick(get<QToolButton>("advancedToggle"), Qt::LeftButton);
    EXPECT_FALSE(get<QWidget>("field_kernel")->isEnabled());
    EXPECT_TRUE(get<QLabel>("note_kernel")->isVisible());
}

TEST_F(NewSheetTest, cancel_leaves_nothing_behind) {
    open();
    choose(write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n")));
    QTest::mouseClick(get<QPushButton>("cancelNew"), Qt::LeftButton);
    EXPECT_FALSE(m_sheet->isVisible());
    EXPECT_TRUE(std::filesystem::is_empty(m_root));
}

TEST_F(NewSheetTest, draft_that_cannot_make_its_disk_leaves_nothing_behind) {
    NewVmDraft draft(m_root);
    draft.set_disk_gib(20);
    draft.spec().name = "bad/name";
    EXPECT_FALSE(draft.create());
    EXPECT_TRUE(std::filesystem::is_empty(m_root));
}

TEST_F(NewSheetTest, new_disk_as_qcow2_on_nvme_is_made_so) {
    open();
    choose(write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n")));
    get<QComboBox>("diskBus")->setCurrentIndex(1);
    get<QComboBox>("diskFormat")->setCurrentIndex(1);
    std::vector<BundleEntry> entries;
    ASSERT_NO_FATAL_FAILURE(create_only(entries));
    ASSERT_EQ(entries[0].spec->disks.size(), 1U);
    const DiskSpec& disk = entries[0].spec->disks[0];
    EXPECT_EQ(disk.bus, DiskBus::nvme);
    EXPECT_EQ(disk.effective_format(), DiskFormat::qcow2);
    QFile image(QString::fromStdString((entries[0].folder / disk.file).string()));
    ASSERT_TRUE(image.open(QIODevice::ReadOnly));
    EXPECT_EQ(image.read(4), QByteArray("QFI\xfb", 4));
}

TEST_F(NewSheetTest, raw_disk_becomes_the_machines_disk) {
    QByteArray disk(1 << 20, '\0');
    disk[510] = '\x55';
    disk[511] = '\xaa';
    const QString path = write_file(QStringLiteral("old machine.img"), disk);
    open();
    choose(path);
    ASSERT_EQ(m_sheet->draft().spec().disks.size(), 1U);
    EXPECT_EQ(m_sheet->draft().spec().disks[0].file, path.toStdString());
    EXPECT_EQ(m_sheet->draft().disk_gib(), 0U);
    EXPECT_EQ(get<QLineEdit>("field_name")->text(), QStringLiteral("old machine"));
}

TEST_F(NewSheetTest, medium_that_takes_no_answers_says_so) {
    open();
    EXPECT_FALSE(get<QGroupBox>("unattended")->isEnabled());
    EXPECT_TRUE(get<QLabel>("unattendedReason")->text().contains(QStringLiteral("Choose"))) << "before anything is chosen";
    choose(write_file(QStringLiteral("a.iso"), tiny_iso("Debian 12.5.0 amd64 n")));  // without its installer's kernel
    EXPECT_FALSE(get<QGroupBox>("unattended")->isEnabled());
    EXPECT_TRUE(get<QLabel>("unattendedReason")->text().contains(QStringLiteral("Only Debian")));
    EXPECT_TRUE(get<QPushButton>("createAndStart")->isEnabled()) << "it is not asked for";
}

TEST_F(NewSheetTest, cloud_image_is_created_with_its_answers) {
    QByteArray disk(1 << 20, '\0');
    disk[0] = '\xeb';  // a boot loader
    disk[510] = '\x55';
    disk[511] = '\xaa';
    open();
    choose(write_file(QStringLiteral("cloud.img"), disk));
    auto* box = get<QGroupBox>("unattended");
    ASSERT_TRUE(box->isEnabled());
    EXPECT_FALSE(box->isChecked()) << "nobody asked for it";
    EXPECT_TRUE(get<QPushButton>("createOnly")->isEnabled());
    box->setChecked(true);
    EXPECT_FALSE(get<QPushButton>("createOnly")->isEnabled()) << "nothing was answered yet";
    EXPECT_FALSE(get<QLabel>("note_unattendedUser")->isVisible()) << "nor is anything wrong";
    EXPECT_EQ(get<QLineEdit>("unattendedHostName")->text(), QStringLiteral("cloud"));
    EXPECT_EQ(get<QLineEdit>("unattendedPassword")->echoMode(), QLineEdit::Password);
    get<QLineEdit>("unattendedUser")->setText(QStringLiteral("root"));
    EXPECT_TRUE(get<QLabel>("note_unattendedUser")->isVisible());
    get<QLineEdit>("unattendedUser")->setText(QStringLiteral("ada"));
    EXPECT_FALSE(get<QLabel>("note_unattendedUser")->isVisible());
    get<QLineEdit>("unattendedPassword")->setText(QStringLiteral("very secret"));
    get<QLineEdit>("unattendedAgain")->setText(QStringLiteral("very sec"));
    EXPECT_TRUE(get<QLabel>("note_unattendedAgain")->isVisible());
    EXPECT_FALSE(get<QPushButton>("createOnly")->isEnabled());
    get<QLineEdit>("unattendedAgain")->setText(QStringLiteral("very secret"));
    ASSERT_TRUE(get<QPushButton>("createOnly")->isEnabled());
    std::vector<BundleEntry> entries;
    ASSERT_NO_FATAL_FAILURE(create_only(entries));
    ASSERT_EQ(entries[0].spec->cds.size(), 1U);
    EXPECT_EQ(entries[0].spec->cds[0].file, "install/answers.iso");
    QFile yaml(QString::fromStdString((entries[0].folder / "vm.yaml").string()));
    ASSERT_TRUE(yaml.open(QIODevice::ReadOnly));
    EXPECT_FALSE(yaml.readAll().contains("secret"));
}

}  // namespace
}  // namespace skep::ui
