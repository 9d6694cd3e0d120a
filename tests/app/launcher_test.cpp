// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/launcher.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

using std::chrono::milliseconds;

class LauncherTest : public testing::Test {
  protected:
    static Bundle make(const std::string& notes) {
        VmSpec spec;
        spec.name = "a";
        spec.notes = notes;
        return Bundle::create(machines_folder(), spec).value();
    }
    static WorkerState wait_for_end(WorkerProcess& process) {
        pollfd waiting{process.exit_fd(), POLLIN, 0};
        EXPECT_EQ(poll(&waiting, 1, 5000), 1);
        return process.reap().value_or(WorkerState{});
    }

    TempFolder m_folder;
    ScopedEnvironment m_data{"XDG_DATA_HOME", m_folder.path().string()};
    TempFolder m_runtime_folder;
    ScopedEnvironment m_runtime{"XDG_RUNTIME_DIR", m_runtime_folder.path().string()};
    ScopedEnvironment m_worker{"SKEP_VMM", FAKE_WORKER};
};

TEST_F(LauncherTest, worker_is_started_attached_and_ended) {
    const Bundle bundle = make("");
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::never_ran);
    EXPECT_EQ(attach(bundle, "test").error().message, "'a' is not running.");
    auto launched = launch(bundle, "test");
    ASSERT_TRUE(launched) << launched.error().message;
    EXPECT_EQ(launched->client.greeting().pid, launched->process.pid());
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::running);
    EXPECT_EQ(worker_state(bundle).pid, launched->process.pid());
    EXPECT_EQ(getsid(launched->process.pid()), launched->process.pid());
    EXPECT_EQ(launch(bundle, "test").error().message, "The machine 'a' is running already.");
    auto second = attach(bundle, "test");
    ASSERT_TRUE(second);
    ASSERT_TRUE(second->command(MessageType::power_off));
    const WorkerState state = wait_for_end(launched->process);
    EXPECT_EQ(state.life, WorkerLife::ended);
    EXPECT_EQ(state.exit_code, 1);
    EXPECT_EQ(state.message, "The guest has powered off.");
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::ended);
    EXPECT_EQ(worker_state(bundle).exit_code, 1);
}

TEST_F(LauncherTest, refusal_of_the_worker_is_told_in_its_own_words) {
    const auto launched = launch(make("refuse"), "test");
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().message, "The kernel '/x' is not a Linux kernel.");
}

TEST_F(LauncherTest, early_crash_is_told) {
    const auto launched = launch(make("crash"), "test");
    ASSERT_FALSE(launched);
    EXPECT_TRUE(launched.error().message.starts_with("'a' stopped unexpectedly: its process was killed (signal 9"))
        << launched.error().message;
}

TEST_F(LauncherTest, killed_worker_is_seen_as_crashed_by_everybody) {
    const Bundle bundle = make("");
    auto launched = launch(bundle, "test");
    ASSERT_TRUE(launched);
    kill(launched->process.pid(), SIGKILL);
    const WorkerState state = wait_for_end(launched->process);
    EXPECT_EQ(state.life, WorkerLife::crashed);
    EXPECT_EQ(state.signal, SIGKILL);
    EXPECT_TRUE(state.explanation.starts_with("Its process was killed (signal 9")) << state.explanation;
    EXPECT_EQ(state.explanation.find("'a'"), std::string::npos) << state.explanation;
    EXPECT_EQ(worker_state(bundle).life, WorkerLife::crashed);
    EXPECT_TRUE(worker_state(bundle).explanation.starts_with("Its process ended without a word; "));
    auto again = launch(bundle, "test");  // the socket left behind is replaced
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again->client.command(MessageType::power_off));
    wait_for_end(again->process);
    EXPECT_TRUE(std::filesystem::exists(bundle.log_folder() / "worker.log.1"));
}

TEST_F(LauncherTest, worker_that_is_late_is_waited_for_and_it_is_said) {
    std::string said;
    const auto launched = launch(make("late"), "test", {.quiet = milliseconds(0)}, [&](const std::string& text) { said += text + "\n"; });
    ASSERT_TRUE(launched) << launched.error().message;
    EXPECT_NE(said.find(fmt::format("The worker of 'a' (process {}) is still putting the machine together.\n", launched->process.pid())),
              std::string::npos)
        << said;
    kill(launched->process.pid(), SIGKILL);
}

TEST_F(LauncherTest, worker_that_listens_and_does_nothing_is_given_up_with_a_way_out) {
    const Bundle bundle = make("mute");
    const auto launched = launch(bundle, "test", {.still = milliseconds(400)});
    ASSERT_FALSE(launched);
    const pid_t worker = worker_state(bundle).pid;
    EXPECT_EQ(launched.error().kind, ErrorKind::cancelled);
    EXPECT_NE(launched.error().message.find("does not answer yet and has done nothing for"), std::string::npos)
        << launched.error().message;
    EXPECT_NE(launched.error().message.find(fmt::format("kill -9 {}", worker)), std::string::npos) << launched.error().message;
    kill(worker, SIGKILL);
}

TEST_F(LauncherTest, log_tail_gives_the_last_lines) {
    const Bundle bundle = make("");
    EXPECT_EQ(log_tail(bundle, 5), "");
    ASSERT_TRUE(replace_file(bundle.worker_log(), "one\ntwo\nthree\n"));
    EXPECT_EQ(log_tail(bundle, 1), "three\n");
    EXPECT_EQ(log_tail(bundle, 2), "two\nthree\n");
    EXPECT_EQ(log_tail(bundle, 9), "one\ntwo\nthree\n");
    ASSERT_TRUE(replace_file(bundle.worker_log(), "no newline"));
    EXPECT_EQ(log_tail(bundle, 1), "no newline");
}

}  // namespace
}  // namespace skep
