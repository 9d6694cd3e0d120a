// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions and the library's model against a worker process without a machine.
#include "ui/model/vm_session.hpp"

#include <signal.h>

#include <QFile>
#include <QSignalSpy>

#include "tests/ui/support/test_library.hpp"
#include "ui/model/jobs.hpp"
#include "ui/model/vm_list_model.hpp"
#include "vmm/control/launcher.hpp"

namespace skep::ui {
namespace {

class SessionTest : public LibraryTest {
  protected:
    ~SessionTest() override {
        for (const BundleEntry& entry : list_bundles(m_root)) {
            if (auto bundle = Bundle::open(entry.folder)) {
                const WorkerState worker = worker_state(*bundle);
                if (worker.life == WorkerLife::running && worker.pid > 1) {
                    kill(worker.pid, SIGKILL);
                }
            }
        }
    }
    [[nodiscard]] static bool is(VmSession* session, VmState state) {
        return wait_for([&] { return session->state() == state; });
    }
    // The session of the only machine, which runs then; null when it does not.
    [[nodiscard]] static VmSession* started(VmListModel& model) {
        if (!wait_for([&] { return model.rowCount() == 1; })) {
            return nullptr;
        }
        VmSession* session = model.session(0);
        session->start();
        return is(session, VmState::running) ? session : nullptr;
    }
};

TEST_F(SessionTest, start_reaches_running_and_the_console_answers) {
    make_machine("one");
    VmListModel model(m_root);
    ASSERT_TRUE(wait_for([&] { return model.rowCount() == 1; }));
    VmSession* session = model.session(0);
    Fd console;
    session->set_console_receiver([&](unsigned, ConsoleLink link) { console = std::move(link.socket); });
    QObject::connect(session, &VmSession::link_up, session, [session] { session->open_console(0); });
    session->start();
    EXPECT_EQ(session->state(), VmState::starting);
    ASSERT_TRUE(is(session, VmState::running));
    ASSERT_TRUE(wait_for([&] { return console.valid(); }));
    char text[64] = {};
    ASSERT_TRUE(wait_for([&] { return read(console.get(), text, sizeof text - 1) > 0; }));
    EXPECT_NE(std::string(text).find("fake guest one up"), std::string::npos);
    EXPECT_TRUE(wait_for([&] { return session->status().cpu_backend == "interp"; }));
    session->power_off();
    EXPECT_TRUE(is(session, VmState::off));
}

TEST_F(SessionTest, pause_resume_and_full_disk_follow_the_worker) {
    make_machine("one");
    VmListModel model(m_root);
    ASSERT_TRUE(wait_for([&] { return model.rowCount() == 1; }));
    VmSession* session = model.session(0);
    Fd console;
    session->set_console_receiver([&](unsigned, ConsoleLink link) { console = std::move(link.socket); });
    session->start();
    ASSERT_TRUE(is(session, VmState::running));
    session->pause();
    EXPECT_TRUE(is(session, VmState::paused));
    session->resume();
    EXPECT_TRUE(is(session, VmState::running));
    session->open_console(0);
    ASSERT_TRUE(wait_for([&] { return console.valid(); }));
    ASSERT_EQ(write(console.get(), "full", 4), 4);
    EXPECT_TRUE(is(session, VmState::no_space));
    EXPECT_EQ(session->reason(), QStringLiteral("Free some space, then press Retry."));
    session->retry();
    EXPECT_TRUE(is(session, VmState::running));
    session->shut_down();
    EXPECT_TRUE(is(session, VmState::off));
}

TEST_F(SessionTest, killed_worker_is_noticed_within_two_seconds) {
    const Bundle bundle = make_machine("one");
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    QElapsedTimer timer;
    timer.start();
    kill(worker_state(bundle).pid, SIGKILL);
    EXPECT_TRUE(is(session, VmState::crashed));
    EXPECT_LT(timer.elapsed(), 2000);
    session->start();
    EXPECT_TRUE(is(session, VmState::running)) << "Restart";
}

TEST_F(SessionTest, another_window_attaches_within_a_second_and_guests_go_on) {
    const Bundle bundle = make_machine("one");
    {
        VmListModel first(m_root);
        ASSERT_TRUE(wait_for([&] { return first.rowCount() == 1; }));
        first.session(0)->start();
        ASSERT_TRUE(is(first.session(0), VmState::running));
    }
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::running);
    QElapsedTimer timer;
    timer.start();
    VmListModel second(m_root);
    ASSERT_TRUE(wait_for([&] { return second.rowCount() == 1 && second.session(0)->attached(); }));
    EXPECT_LT(timer.elapsed(), 1000);
    kill(worker_state(bundle).pid, SIGKILL);
    EXPECT_TRUE(is(second.session(0), VmState::crashed)) << "also for a worker that this process did not start";
}

TEST_F(SessionTest, signal_that_killed_a_worker_is_not_forgotten_by_later_looks) {
    const Bundle bundle = make_machine("one");
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    kill(worker_state(bundle).pid, SIGKILL);
    const QString killed = QStringLiteral("Its process was killed (signal 9");
    ASSERT_TRUE(wait_for([&] { return session->reason().startsWith(killed); })) << session->reason().toStdString();
    session->poll();
    session->poll();
    EXPECT_TRUE(session->reason().startsWith(killed)) << session->reason().toStdString();
}

TEST_F(SessionTest, worker_that_refuses_is_told_with_its_sentence) {
    make_machine("one", "refuse to start");
    VmListModel model(m_root);
    ASSERT_TRUE(wait_for([&] { return model.rowCount() == 1; }));
    QSignalSpy failed(model.session(0), &VmSession::failed);
    model.session(0)->start();
    ASSERT_TRUE(is(model.session(0), VmState::refused));
    EXPECT_EQ(model.session(0)->reason(), QStringLiteral("This test refuses to start."));
    EXPECT_EQ(failed.count(), 0) << "the page shows it: no dialog says it again";
}

TEST_F(SessionTest, action_refused_by_the_worker_is_told) {
    make_machine("one");
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    QSignalSpy failed(session, &VmSession::failed);
    session->insert(QStringLiteral("cd0"), QStringLiteral("/missing.iso"));
    ASSERT_TRUE(wait_for([&] { return failed.count() == 1; }));
    EXPECT_EQ(failed[0][1].toString(), QStringLiteral("'/missing.iso' does not exist."));
}

TEST_F(SessionTest, running_machine_takes_network_changes_at_once_and_a_taken_port_leaves_the_settings) {
    make_machine("one");
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    QSignalSpy failed(session, &VmSession::failed);
    const VmSpec before = *session->spec();
    VmSpec after = before;
    after.networks[0].link = false;
    after.networks[0].forwards = {"2222:22", "1111:11"};
    const auto save = [&after](VmSpec& spec) -> Status {
        spec = after;
        return {};
    };
    session->update_spec(QStringLiteral("not saved"), save, [&] { session->change_networks(before, after); });
    ASSERT_TRUE(wait_for([&] { return failed.count() == 1; }));
    EXPECT_EQ(failed[0][1].toString(), QStringLiteral("Port 1111 is taken in this test."));
    EXPECT_TRUE(wait_for([&] { return session->spec()->networks[0].forwards == std::vector<std::string>{"2222:22"}; }));
    session->ask_networks();
    ASSERT_TRUE(wait_for([&] { return session->networks().size() == 1; }));
    EXPECT_FALSE(session->networks()[0].link);
    EXPECT_EQ(session->networks()[0].ip, QStringLiteral("10.0.2.15"));
    EXPECT_EQ(session->networks()[0].connections.at(0).received, 2U);
}

TEST_F(SessionTest, running_machine_is_connected_elsewhere_at_once_and_what_is_refused_leaves_the_settings) {
    make_machine("one");
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    QSignalSpy failed(session, &VmSession::failed);
    const auto connect_to = [&](const std::string& network) {
        const VmSpec before = *session->spec();
        VmSpec after = before;
        after.networks[0].backend = NetworkBackend::socket;
        after.networks[0].network = network;
        const auto save = [after](VmSpec& spec) -> Status {
            spec = after;
            return {};
        };
        session->update_spec(QStringLiteral("not saved"), save, [session, before, after] { session->change_networks(before, after); });
    };
    connect_to("lab");
    EXPECT_TRUE(wait_for([&] {
        session->ask_networks();
        return !session->networks().empty() && session->networks()[0].connected_to == QStringLiteral("private network 'lab'");
    }));
    connect_to("refused");
    ASSERT_TRUE(wait_for([&] { return failed.count() == 1; }));
    EXPECT_EQ(failed[0][1].toString(), QStringLiteral("That network is refused in this test."));
    EXPECT_TRUE(wait_for([&] { return session->spec()->networks[0].network == "lab"; }));
}

TEST_F(SessionTest, running_machine_takes_changed_media_at_once) {
    const Bundle bundle = make_machine("one");
    ASSERT_TRUE(bundle.update([](VmSpec& spec) -> Status {
        spec.cds = {{"cd0", "", {}}};
        return {};
    }));
    VmListModel model(m_root);
    VmSession* session = started(model);
    ASSERT_NE(session, nullptr);
    QSignalSpy failed(session, &VmSession::failed);
    const VmSpec before = *session->spec();
    VmSpec after = before;
    after.find_cd("cd0")->file = "/other.iso";
    session->change_media(before, after);
    ASSERT_TRUE(wait_for([&] { return session->cd_file("cd0") == QStringLiteral("/other.iso"); }));
    session->change_media(after, before);
    ASSERT_TRUE(wait_for([&] { return session->cd_file("cd0").isEmpty(); }));
    after.find_cd("cd0")->file = "/missing.iso";
    session->change_media(before, after);
    ASSERT_TRUE(wait_for([&] { return failed.count() == 1; }));
    EXPECT_EQ(failed[0][1].toString(), QStringLiteral("'/missing.iso' does not exist."));
}

TEST_F(SessionTest, library_shows_broken_yaml_and_heals_by_the_previous_version) {
    const Bundle bundle = make_machine("one");
    ASSERT_TRUE(bundle.update([](VmSpec& spec) -> Status {
        spec.notes = "second";
        return {};
    }));
    QFile file(QString::fromStdString(bundle.spec_file().string()));
    ASSERT_TRUE(file.open(QIODevice::WriteOnly));
    file.write("name: [broken\n");
    file.close();
    VmListModel model(m_root);
    ASSERT_TRUE(wait_for([&] { return model.rowCount() == 1; }));
    VmSession* session = model.session(0);
    EXPECT_EQ(session->state(), VmState::broken);
    EXPECT_TRUE(session->reason().contains(QStringLiteral("line"))) << session->reason().toStdString();
    session->restore_previous();
    EXPECT_TRUE(is(session, VmState::off));
    EXPECT_EQ(session->name(), QStringLiteral("one"));
}

TEST_F(SessionTest, library_follows_folders_that_come_and_go) {
    VmListModel model(m_root);
    ASSERT_TRUE(wait_for([&] { return model.scanned_once(); }));
    EXPECT_EQ(model.rowCount(), 0);
    Bundle bundle = make_machine("late");
    EXPECT_TRUE(wait_for([&] { return model.rowCount() == 1; }));
    ASSERT_TRUE(bundle.remove(DeleteMode::permanently));
    EXPECT_TRUE(wait_for([&] { return model.rowCount() == 0; }));
}

TEST_F(SessionTest, sample_job_reports_steps_and_leaves_only_a_complete_file) {
    const QString good =
        write_file(QStringLiteral("good.sh"), "#!/bin/sh\necho 'STEP Collecting'\necho iso > \"$1\"\n");
    QFile::setPermissions(good, QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
    const QString output = m_folder.filePath(QStringLiteral("out.iso"));
    auto* job = new SampleJob(good, output);
    QSignalSpy steps(job, &Job::progressed);
    QSignalSpy succeeded(job, &Job::succeeded);
    job->run();
    ASSERT_TRUE(wait_for([&] { return succeeded.count() == 1; }));
    EXPECT_EQ(steps.last()[0].toString(), QStringLiteral("Collecting"));
    EXPECT_TRUE(QFile::exists(output));
    QFile::remove(output);
    const QString bad =
        write_file(QStringLiteral("bad.sh"), "#!/bin/sh\necho half > \"$1\"\necho 'No kernel here.' >&2\nexit 1\n");
    QFile::setPermissions(bad, QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
    job = new SampleJob(bad, output);
    QSignalSpy failed(job, &Job::failed);
    job->run();
    ASSERT_TRUE(wait_for([&] { return failed.count() == 1; }));
    EXPECT_EQ(failed[0][0].toString(), QStringLiteral("No kernel here."));
    EXPECT_FALSE(QFile::exists(output));
    EXPECT_FALSE(QFile::exists(output + QStringLiteral(".part")));
}

}  // namespace
}  // namespace skep::ui
