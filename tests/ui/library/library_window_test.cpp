// SPDX-License-Identifier: GPL-3.0-or-later
// The main window with a real worker process (without a machine): from the empty library to a console, crash card,
// delete with Undo, broken settings, closing.
#include "ui/library/library_window.hpp"

#include <gtest/gtest.h>

#include <QAction>
#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QListWidget>
#include <QMessageBox>
#include <QPushButton>
#include <QSettings>
#include <QTabWidget>
#include <QTreeWidget>

#include "tests/ui/library/library_fixture.hpp"
#include "ui/console/screen_view.hpp"
#include "ui/library/host_check_dialog.hpp"
#include "ui/newvm/new_sheet.hpp"
#include "vmm/control/launcher.hpp"

namespace skep::ui {
namespace {

TEST_F(LibraryWindowTest, empty_library_offers_new_and_reaches_a_console_in_three_clicks) {
    const QString downloads = QDir::home().filePath(QStringLiteral("Downloads"));
    QDir().mkpath(downloads);
    QFile file(downloads + QStringLiteral("/three.iso"));
    ASSERT_TRUE(file.open(QIODevice::WriteOnly));
    file.write(tiny_iso("Debian 12.5.0 amd64 n"));
    file.close();
    open();
    EXPECT_TRUE(get<QWidget>("welcomePage")->isVisible());
    QTest::mouseClick(get<QPushButton>("newButton"), Qt::LeftButton);
    auto* sheet = m_window->findChild<NewSheet*>();
    ASSERT_NE(sheet, nullptr);
    auto* list = get<QListWidget>("mediaList", sheet);
    ASSERT_TRUE(wait_for([&] { return list->count() == 1 && (list->item(0)->flags() & Qt::ItemIsEnabled) != 0; }));
    QTest::mouseClick(list->viewport(), Qt::LeftButton, {}, list->visualItemRect(list->item(0)).center());
    QTest::mouseClick(get<QPushButton>("createAndStart", sheet), Qt::LeftButton);
    ASSERT_TRUE(becomes(VmState::running));
    ASSERT_TRUE(wait_for([&] { return page()->console(0)->last_line().startsWith(QStringLiteral("login:")); }));
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("root"));
    EXPECT_TRUE(wait_for([&] { return page()->console(0)->last_line() == QStringLiteral("login: root"); }));
    EXPECT_TRUE(wait_for([&] { return session()->last_line() == QStringLiteral("login: root"); }));
    file.remove();
}

TEST_F(LibraryWindowTest, screen_is_a_tab_of_machines_that_have_one) {
    make_machine("one");
    open();
    auto* tabs = get<QTabWidget>("vmTabs", page());
    EXPECT_EQ(page()->screen(), nullptr);
    EXPECT_EQ(tabs->tabText(0), QStringLiteral("Serial 1"));
    const auto set_display = [this](DisplayKind display) {
        session()->update_spec({}, [display](VmSpec& spec) -> Status {
            spec.display = display;
            return {};
        });
    };
    set_display(DisplayKind::vga);
    ASSERT_TRUE(wait_for([this] { return page()->screen() != nullptr; }));
    EXPECT_EQ(tabs->tabText(0), QStringLiteral("Screen"));
    EXPECT_EQ(tabs->tabText(1), QStringLiteral("Serial 1"));
    EXPECT_EQ(page()->screen()->screen()->description(), QStringLiteral("“one” is off: Start turns it on"));
    set_display(DisplayKind::none);
    EXPECT_TRUE(wait_for([this] { return page()->screen() == nullptr; }));
}

TEST_F(LibraryWindowTest, picture_of_the_screen_is_in_the_list) {
    make_machine("one");
    open();
    const QModelIndex row = m_window->model().index(0);
    EXPECT_TRUE(row.data(VmListModel::thumbnail_role).value<QImage>().isNull());
    QImage picture(16, 12, QImage::Format_RGB32);
    picture.fill(Qt::magenta);
    session()->set_thumbnail(picture);
    const auto* list = get<QListView>("vmList");
    const QImage shown = list->viewport()->grab().toImage();
    int magenta = 0;
    for (int y = 0; y < shown.height(); ++y) {
        for (int x = 0; x < shown.width(); ++x) {
            magenta += shown.pixelColor(x, y) == QColor(Qt::magenta) ? 1 : 0;
        }
    }
    EXPECT_GT(magenta, 500);
}

TEST_F(LibraryWindowTest, crash_shows_a_card_and_restart_works) {
    start_machine();
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("crash"));
    ASSERT_TRUE(becomes(VmState::crashed));
    EXPECT_TRUE(get<QWidget>("crashBar", page())->isVisible());
    EXPECT_EQ(get<QLabel>("crashBarTitle", page())->text(), QStringLiteral("“one” stopped unexpectedly"));
    const QString text = get<QLabel>("crashBarText", page())->text();
    EXPECT_TRUE(text.startsWith(QStringLiteral("Its process ")) && text.contains(QStringLiteral("start it again")))
        << text.toStdString();
    EXPECT_FALSE(text.contains(QStringLiteral("unexpectedly"))) << "said once";
    QTest::mouseClick(get<QPushButton>("crashRestart", page()), Qt::LeftButton);
    EXPECT_TRUE(becomes(VmState::running));
    EXPECT_FALSE(get<QWidget>("crashBar", page())->isVisible());
}

TEST_F(LibraryWindowTest, refused_start_is_said_once_in_the_page) {
    make_machine("one", "refuse to start");
    open();
    get<QAction>("actionStart", page())->trigger();
    ASSERT_TRUE(becomes(VmState::refused));
    EXPECT_EQ(get<QLabel>("failedBarTitle", page())->text(), QStringLiteral("“one” was not started"));
    EXPECT_EQ(get<QLabel>("failedBarText", page())->text(), QStringLiteral("This test refuses to start."));
    EXPECT_EQ(m_window->findChild<QMessageBox*>(QStringLiteral("errorDialog")), nullptr);
    EXPECT_TRUE(get<QPushButton>("failedSettings", page())->isVisible()) << "where it is cured";
}

TEST_F(LibraryWindowTest, triple_fault_shows_the_workers_sentence) {
    start_machine();
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("triple"));
    ASSERT_TRUE(becomes(VmState::failed));
    EXPECT_TRUE(get<QLabel>("failedBarText", page())->text().contains(QStringLiteral("triple fault")))
        << get<QLabel>("failedBarText", page())->text().toStdString();
}

TEST_F(LibraryWindowTest, firmware_that_finds_nothing_shows_why_and_what_to_insert) {
    start_machine();
    EXPECT_FALSE(get<QWidget>("bootBar", page())->isVisible());
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("noboot"));
    ASSERT_TRUE(wait_for([&] { return get<QWidget>("bootBar", page())->isVisible(); }));
    EXPECT_EQ(get<QLabel>("bootBarTitle", page())->text(), QStringLiteral("“one” has nothing to start from"));
    EXPECT_EQ(get<QLabel>("bootBarText", page())->text(),
              QStringLiteral("Its CD drive is empty and it has no disk: insert the CD image of an installer."));
    EXPECT_TRUE(get<QPushButton>("bootInsert", page())->isVisible());
    session()->insert(QStringLiteral("cd0"), QStringLiteral("/some/good.iso"));
    session()->reset_machine();
    EXPECT_TRUE(wait_for([&] { return !get<QWidget>("bootBar", page())->isVisible(); })) << "it has started again";
    ASSERT_TRUE(wait_for([&] { return session()->spec()->cds[0].file == "/some/good.iso"; }));
    EXPECT_FALSE(get<QWidget>("nextStartBar", page())->isVisible()) << "a CD counts at once";
}

TEST_F(LibraryWindowTest, memory_changed_while_running_is_shown_as_what_it_is) {
    start_machine();
    get<QTabWidget>("vmTabs", page())->setCurrentIndex(1);
    const auto set_memory = [&](uint64_t mib) {
        session()->update_spec(QStringLiteral("x"), [mib](VmSpec& spec) -> Status {
            spec.memory_mib = mib;
            return {};
        });
    };
    set_memory(256);
    ASSERT_TRUE(wait_for([&] { return get<QWidget>("nextStartBar", page())->isVisible(); }));
    EXPECT_EQ(get<QLabel>("overviewMemory", page())->text(), QStringLiteral("1 GiB")) << "the guest has that much still";
    set_memory(1024);
    EXPECT_TRUE(wait_for([&] { return !get<QWidget>("nextStartBar", page())->isVisible(); })) << "changed back";
}

TEST_F(LibraryWindowTest, overview_tells_the_guests_address_and_what_goes_over_its_network) {
    start_machine();
    auto* const tabs = get<QTabWidget>("vmTabs");
    tabs->setCurrentWidget(get<QWidget>("overviewTab"));
    EXPECT_TRUE(wait_for([&] { return get<QLabel>("overviewNetwork")->text().contains(QStringLiteral("10.0.2.15")); }));
    auto* const glass = get<QTreeWidget>("networkGlass");
    EXPECT_TRUE(wait_for([&] { return glass->isVisible(); }));
    EXPECT_FALSE(glass->findItems(QStringLiteral("www.example.org"), Qt::MatchExactly | Qt::MatchRecursive).isEmpty());
    EXPECT_FALSE(glass->findItems(QStringLiteral("1.2.3.4:80"), Qt::MatchExactly | Qt::MatchRecursive, 1).isEmpty());
}

TEST_F(LibraryWindowTest, search_without_a_match_says_so) {
    make_machine("one");
    open();
    auto* search = get<QLineEdit>("searchField");
    search->setText(QStringLiteral("two"));
    EXPECT_TRUE(get<QLabel>("noMatch")->isVisible());
    search->clear();
    EXPECT_FALSE(get<QLabel>("noMatch")->isVisible());
}

TEST_F(LibraryWindowTest, full_disk_shows_retry_and_goes_on) {
    start_machine();
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("full"));
    ASSERT_TRUE(becomes(VmState::no_space));
    EXPECT_TRUE(get<QWidget>("noSpaceBar", page())->isVisible());
    QTest::mouseClick(get<QPushButton>("noSpaceRetry", page()), Qt::LeftButton);
    EXPECT_TRUE(becomes(VmState::running));
}

TEST_F(LibraryWindowTest, force_off_asks_first) {
    start_machine();
    get<QAction>("actionForceOff", page())->trigger();
    auto* question = get<QMessageBox>("confirmForceOff");
    ASSERT_NE(question, nullptr);
    EXPECT_EQ(session()->state(), VmState::running);
    QTest::mouseClick(get<QPushButton>("confirmForceOffYes", question), Qt::LeftButton);
    EXPECT_TRUE(becomes(VmState::off));
}

TEST_F(LibraryWindowTest, window_restarted_shows_the_console_history) {
    start_machine();
    QTest::keyClicks(page()->console(0)->terminal(), QStringLiteral("hello"));
    ASSERT_TRUE(wait_for([&] { return page()->console(0)->last_line() == QStringLiteral("login: hello"); }));
    m_window.reset();
    QElapsedTimer timer;
    timer.start();
    open();
    ASSERT_TRUE(wait_for([&] { return page()->console(0)->last_line() == QStringLiteral("login: hello"); }));
    EXPECT_LT(timer.elapsed(), 1000);
}

TEST_F(LibraryWindowTest, delete_lists_files_with_sizes_and_undo_brings_it_back) {
    const Bundle bundle = make_machine("one");
    VmSpec spec = *bundle.load();
    ASSERT_TRUE(bundle.create_disk(spec, {.bytes = 1 << 20, .bus = DiskBus::virtio}));
    ASSERT_TRUE(bundle.save(spec));
    open();
    emit page()->delete_requested();
    DeleteDialog* dialog = nullptr;
    ASSERT_TRUE(wait_for([&] { return (dialog = m_window->findChild<DeleteDialog*>()) != nullptr; }));
    auto* files = get<QTreeWidget>("deleteFiles", dialog);
    EXPECT_EQ(files->findItems(QStringLiteral("disks/disk0.img"), Qt::MatchExactly).size(), 1);
    EXPECT_EQ(files->findItems(QStringLiteral("disks/disk0.img"), Qt::MatchExactly)[0]->text(2),
              QStringLiteral("1 MiB"));
    QTest::mouseClick(get<QPushButton>("confirmDelete", dialog), Qt::LeftButton);
    ASSERT_TRUE(wait_for([&] { return m_window->model().rowCount() == 0; }));
    ASSERT_TRUE(wait_for([&] { return get<QWidget>("undoBar")->isVisible(); }));
    QTest::mouseClick(get<QPushButton>("undoDelete"), Qt::LeftButton);
    EXPECT_TRUE(wait_for([&] { return m_window->model().rowCount() == 1; }));
    EXPECT_TRUE(std::filesystem::exists(m_root / "one.skep/disks/disk0.img"));
}

TEST_F(LibraryWindowTest, delete_without_a_trash_asks_before_it_deletes_for_good) {
    make_machine("one");
    open();
    QFile trash(QString::fromStdString((m_root.parent_path().parent_path() / "Trash").string()));
    ASSERT_TRUE(trash.open(QIODevice::WriteOnly)) << "a file where the folder should be";
    trash.close();
    emit page()->delete_requested();
    ASSERT_TRUE(wait_for([&] { return m_window->findChild<DeleteDialog*>() != nullptr; }));
    QTest::mouseClick(get<QPushButton>("confirmDelete", m_window->findChild<DeleteDialog*>()), Qt::LeftButton);
    QMessageBox* question = nullptr;
    ASSERT_TRUE(wait_for([&] {
        return (question = m_window->findChild<QMessageBox*>(QStringLiteral("confirmPermanently"))) != nullptr;
    }));
    EXPECT_TRUE(question->informativeText().contains(QStringLiteral("permanently"))) << question->informativeText().toStdString();
    EXPECT_TRUE(std::filesystem::exists(m_root / "one.skep/vm.yaml"));
    QTest::mouseClick(get<QPushButton>("confirmPermanentlyYes", question), Qt::LeftButton);
    ASSERT_TRUE(wait_for([&] { return m_window->model().rowCount() == 0; }));
    EXPECT_FALSE(std::filesystem::exists(m_root / "one.skep"));
    ASSERT_TRUE(wait_for([&] { return get<QWidget>("undoBar")->isVisible(); }));
    EXPECT_FALSE(get<QPushButton>("undoDelete")->isVisible()) << "there is nothing to undo";
    trash.remove();
}

TEST_F(LibraryWindowTest, delete_keeping_disks_moves_them_out_and_undo_moves_them_in) {
    const Bundle bundle = make_machine("one");
    VmSpec spec = *bundle.load();
    ASSERT_TRUE(bundle.create_disk(spec, {.bytes = 1 << 20, .bus = DiskBus::virtio}));
    const auto deleted = delete_bundle(bundle, DiskFate::kept);
    ASSERT_TRUE(deleted) << deleted.error().message;
    ASSERT_EQ(deleted->kept.size(), 1U);
    EXPECT_TRUE(std::filesystem::exists(deleted->kept[0].second));
    ASSERT_TRUE(undo_delete(*deleted));
    EXPECT_TRUE(std::filesystem::exists(m_root / "one.skep/disks/disk0.img"));
}

TEST_F(LibraryWindowTest, broken_settings_are_listed_with_their_sentence_and_restored) {
    const Bundle bundle = make_machine("one");
    ASSERT_TRUE(bundle.update([](VmSpec& spec) -> Status {
        spec.notes = "x";
        return {};
    }));
    QFile file(QString::fromStdString(bundle.spec_file().string()));
    ASSERT_TRUE(file.open(QIODevice::WriteOnly));
    file.write("name: [\n");
    file.close();
    open();
    ASSERT_TRUE(becomes(VmState::broken));
    EXPECT_TRUE(get<QWidget>("brokenBar", page())->isVisible());
    EXPECT_TRUE(get<QLabel>("brokenBarText", page())->text().contains(QStringLiteral("line")));
    QTest::mouseClick(get<QPushButton>("brokenRestore", page()), Qt::LeftButton);
    EXPECT_TRUE(becomes(VmState::off));
}

TEST_F(LibraryWindowTest, closing_with_a_running_machine_asks_and_keeps_it_running) {
    start_machine();
    const Bundle bundle = *session()->bundle();
    m_window->close();
    EXPECT_TRUE(m_window->isVisible());
    auto* question = get<QMessageBox>("quitDialog");
    ASSERT_NE(question, nullptr);
    get<QCheckBox>("quitRemember", question)->setChecked(true);
    QTest::mouseClick(get<QPushButton>("quitKeep", question), Qt::LeftButton);
    EXPECT_TRUE(wait_for([&] { return !m_window->isVisible(); }));
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::running);
    EXPECT_EQ(QSettings().value(QStringLiteral("quitAction")).toString(), QStringLiteral("keep"));
}

TEST_F(LibraryWindowTest, host_check_shows_cause_cure_and_copies_the_command) {
    HostCheckDialog dialog;
    dialog.show();
    dialog.show_findings({{"kvm", "Hardware virtualisation", CheckLevel::error, "You may not open /dev/kvm.",
                           "Join the group kvm.", "sudo adduser me kvm"}});
    QTest::mouseClick(dialog.findChild<QPushButton*>(QStringLiteral("copy_kvm")), Qt::LeftButton);
    EXPECT_TRUE(
        wait_for([] { return QApplication::clipboard()->text() == QStringLiteral("sudo adduser me kvm"); }, 100));
    EXPECT_EQ(blocking_finding({{"kvm", "t", CheckLevel::error, "cause", "", ""}}), QStringLiteral("cause"));
    EXPECT_TRUE(blocking_finding({{"kvm", "t", CheckLevel::warning, "cause", "", ""}}).isEmpty());
}

TEST_F(LibraryWindowTest, every_control_has_a_name_for_assistive_tools) {
    make_machine("one");
    open();
    for (const auto* button : m_window->findChildren<QAbstractButton*>()) {
        const bool internal = button->objectName().startsWith(QStringLiteral("qt_")) ||
                              qobject_cast<QLineEdit*>(button->parentWidget()) != nullptr;
        EXPECT_TRUE(internal || !button->accessibleName().isEmpty() || !button->text().isEmpty())
            << button->objectName().toStdString();
    }
}

}  // namespace
}  // namespace skep::ui
