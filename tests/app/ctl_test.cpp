// SPDX-License-Identifier: GPL-3.0-or-later
// skepctl as its users meet it: the built program in a home of its own, with a worker that has no machine.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <thread>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"
#include "vmm/control/json_text.hpp"
#include "vmm/control/messages.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {
namespace {

struct Outcome {
    int code = -1;
    std::string out;
    std::string error;
};

class CtlTest : public testing::Test {
  protected:
    ~CtlTest() override {
        for (const BundleEntry& entry : list_bundles()) {
            if (const auto bundle = Bundle::open(entry.folder); bundle && bundle->running()) {
                ctl({"poweroff", entry.folder.string()});
            }
        }
    }

    // Runs skepctl with what is given as standard input.
    Outcome ctl(const std::vector<std::string>& arguments, const std::string& input = "") {
        const std::filesystem::path in = m_folder / "in";
        const std::filesystem::path out = m_folder / "out";
        const std::filesystem::path error = m_folder / "error";
        EXPECT_TRUE(replace_file(in, input));
        const pid_t child = fork();
        if (child == 0) {
            dup2(open(in.c_str(), O_RDONLY), STDIN_FILENO);
            dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
            dup2(open(error.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
            exec_ctl(arguments);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_small_file(out, 1 << 20).value_or(""),
                read_small_file(error, 1 << 20).value_or("")};
    }
    [[noreturn]] static void exec_ctl(const std::vector<std::string>& arguments) {
        std::vector<char*> pointers{const_cast<char*>(SKEPCTL)};
        for (const std::string& argument : arguments) {
            pointers.push_back(const_cast<char*>(argument.c_str()));
        }
        pointers.push_back(nullptr);
        execv(SKEPCTL, pointers.data());
        _exit(127);
    }
    Json json_of(std::vector<std::string> arguments) {
        arguments.emplace_back("--json");
        return parse_json(ctl(arguments).out).value_or(Json("not JSON"));
    }

    TempFolder m_folder;
    ScopedEnvironment m_data{"XDG_DATA_HOME", m_folder.path().string()};
    TempFolder m_runtime_folder;
    ScopedEnvironment m_runtime{"XDG_RUNTIME_DIR", m_runtime_folder.path().string()};
    ScopedEnvironment m_worker{"SKEP_VMM", FAKE_WORKER};
};

TEST_F(CtlTest, machine_lives_through_all_commands) {
    EXPECT_EQ(ctl({"list"}).out, "There are no machines yet; make one with `skepctl create`.\n");
    ASSERT_EQ(ctl({"create", "a b", "--memory", "64M", "--cpus", "2", "--disk", "1G"}).code, 0);
    EXPECT_EQ(json_of({"list"})[0]["state"], "stopped");
    EXPECT_EQ(json_of({"info", "a b"})["disks[0].file"], "disks/disk0.img");
    const Outcome started = ctl({"start", "a b"});
    EXPECT_EQ(started.out, "'a b' is started (interp: no KVM).\n") << started.error;
    EXPECT_EQ(json_of({"list"})[0]["state"], "running");
    EXPECT_EQ(ctl({"pause", "a b"}).out, "'a b' is paused.\n");
    EXPECT_EQ(json_of({"info", "a b"})["state"], "paused");
    EXPECT_EQ(json_of({"info", "a b"})["worker"]["disks"][0]["written"], 42);
    EXPECT_EQ(ctl({"resume", "a b"}).code, 0);
    EXPECT_EQ(ctl({"reset", "a b"}).code, 0);
    EXPECT_EQ(ctl({"start", "a b"}).error, "skepctl: The machine 'a b' is running already.\n");
    EXPECT_EQ(ctl({"delete", "a b"}).error, "skepctl: 'a b' is running; stop it before deleting it.\n");
    EXPECT_EQ(ctl({"stop", "a b", "--wait", "5"}).out, "The power button of 'a b' was pressed.\n");
    EXPECT_EQ(json_of({"info", "a b"})["last_exit"]["message"], "The guest has powered off.");
    EXPECT_EQ(ctl({"pause", "a b"}).error, "skepctl: 'a b' is not running.\n");
    EXPECT_EQ(json_of({"delete", "a b"})["files"][0]["path"], "disks/disk0.img");
    EXPECT_TRUE(std::filesystem::exists(m_folder / "Trash/files/a b.skep/vm.yaml"));
}

TEST_F(CtlTest, create_answers_a_cloud_image_and_keeps_the_password_to_itself) {
    const std::string image = (m_folder / "cloud.img").string();
    ASSERT_TRUE(replace_file(image, std::string(1 << 20, '\0')));
    const Outcome made = ctl({"create", "cloud", "--disk", image, "--user", "ada", "--password-file", "-", "--full-name", "Ada L."},
                             "very secret\n");
    ASSERT_EQ(made.code, 0) << made.error;
    const auto bundle = find_bundle("cloud");
    ASSERT_TRUE(bundle);
    const auto spec = bundle->load();
    ASSERT_TRUE(spec);
    ASSERT_EQ(spec->cds.size(), 1U);
    const std::string answers = read_small_file(bundle->folder() / spec->cds[0].file, 8 << 20).value_or("");
    EXPECT_NE(answers.find("name: \"ada\""), std::string::npos);
    EXPECT_NE(answers.find("hostname: \"cloud\""), std::string::npos);
    for (const std::string& text : {answers, read_small_file(bundle->spec_file(), 1 << 20).value_or(""), made.out, made.error}) {
        EXPECT_EQ(text.find("very secret"), std::string::npos);
    }
}

TEST_F(CtlTest, create_says_why_it_cannot_answer_and_makes_nothing) {
    const std::string image = (m_folder / "cloud.img").string();
    ASSERT_TRUE(replace_file(image, std::string(1 << 20, '\0')));
    EXPECT_EQ(ctl({"create", "x", "--disk", image, "--user", "root", "--password-file", "-"}, "secret\n").error,
              "skepctl: The system itself has a user or group 'root': choose another name.\n");
    EXPECT_EQ(ctl({"create", "x", "--disk", image, "--user", "ada", "--password-file", "-"}).error, "skepctl: Give a password.\n");
    EXPECT_EQ(ctl({"create", "x", "--disk", image, "--user", "ada"}).error,
              "skepctl: Give the user's password with --password-file (- is standard input).\n");
    EXPECT_EQ(ctl({"create", "x", "--user", "ada", "--password-file", "-"}, "secret\n").error,
              "skepctl: Only Debian's installer CDs and cloud images take answers beforehand.\n");
    EXPECT_EQ(ctl({"create", "x", "--full-name", "Ada"}).error,
              "skepctl: --password-file, --full-name and --host-name belong to --user.\n");
    EXPECT_TRUE(list_bundles().empty());
}

TEST_F(CtlTest, errors_are_one_sentence_and_the_same_in_json) {
    const Outcome unknown = ctl({"start", "x"});
    EXPECT_EQ(unknown.code, 1);
    EXPECT_EQ(unknown.error, "skepctl: There is no machine named 'x'; there are none yet.\n");
    EXPECT_EQ(json_of({"start", "x"})["error"]["kind"], "not_found");
    EXPECT_EQ(ctl({"create", "x", "--memory", "1000G"}).error.rfind("skepctl: The machine wants 1000 GiB of memory", 0), 0u);
    EXPECT_EQ(ctl({"create", "x", "--iso", "/none.iso"}).error,
              "skepctl: The ISO file '/none.iso' cannot be opened: it does not exist. Choose another file.\n");
    EXPECT_EQ(ctl({"create", "x/y"}).code, 1);
    ASSERT_TRUE(replace_file(m_folder / "text.iso", "this is no ISO\n"));
    EXPECT_EQ(ctl({"create", "x", "--iso", (m_folder / "text.iso").string()}).code, 1);
    EXPECT_EQ(ctl({"frobnicate"}).code, 2);
    EXPECT_TRUE(list_bundles().empty());
}

TEST_F(CtlTest, wrong_command_lines_are_one_sentence_and_their_code_means_nothing_else) {
    const Outcome unknown = ctl({"list", "--frobnicate"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_EQ(unknown.out, "");
    EXPECT_EQ(std::count(unknown.error.begin(), unknown.error.end(), '\n'), 1) << unknown.error;
    EXPECT_EQ(json_of({"list", "--frobnicate"})["error"]["kind"], "usage");
    EXPECT_EQ(ctl({"run", "--frobnicate"}).code, 4) << "2 would be a halted guest";
    EXPECT_EQ(ctl({"run", "--timeout", "-3"}).code, 4);
    EXPECT_EQ(ctl({}).code, 2);
    EXPECT_EQ(json_of({"run", "--kernel", "/none"})["error"]["kind"], "invalid_input");
}

std::vector<std::string> keys_of(const Json& object) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object.items()) {
        keys.push_back(key);
    }
    std::ranges::sort(keys);
    return keys;
}

// docs/command-line.md names them; scripts rely on them.
TEST_F(CtlTest, json_answers_have_the_documented_keys) {
    using Keys = std::vector<std::string>;
    EXPECT_EQ(keys_of(json_of({"create", "a", "--disk", "1M"})), (Keys{"folder", "id", "name"}));
    EXPECT_EQ(keys_of(json_of({"list"})[0]), (Keys{"cpus", "folder", "id", "memory_mib", "name", "state"}));
    EXPECT_EQ(keys_of(json_of({"set", "a", "notes=x"})), (Keys{"name", "next_start"}));
    EXPECT_EQ(keys_of(json_of({"start", "a"})), (Keys{"cpu_backend", "cpu_reason", "name", "pid"}));
    const Json info = json_of({"info", "a"});
    EXPECT_EQ(keys_of(info["status"]), (Keys{"cpu_backend", "cpu_reason", "reason", "uptime_ms"}));
    EXPECT_TRUE(info.contains("pid") && info.contains("worker") && info.contains("memory") && info.contains("disks[0].file"));
    for (const char* action : {"pause", "resume", "reset", "poweroff"}) {
        EXPECT_EQ(keys_of(json_of({action, "a"})), (Keys{"done", "name"})) << action;
    }
    EXPECT_EQ(keys_of(json_of({"info", "a"})["last_exit"]), (Keys{"code", "message"}));
    EXPECT_EQ(keys_of(json_of({"log", "a"})), (Keys{"file", "text"}));
    const Json doctor = json_of({"doctor"});
    EXPECT_EQ(keys_of(doctor), (Keys{"findings", "ready"}));
    EXPECT_EQ(keys_of(doctor["findings"][0]), (Keys{"cause", "command", "cure", "id", "level", "title"}));
    EXPECT_EQ(keys_of(json_of({"protocol"})), (Keys{"markdown", "version"}));
    EXPECT_EQ(keys_of(json_of({"delete", "a", "--list"})), (Keys{"files", "folder"}));
    const Json gone = json_of({"delete", "a"});
    EXPECT_EQ(keys_of(gone), (Keys{"files", "folder", "trashed"}));
    EXPECT_EQ(keys_of(gone["files"][0]), (Keys{"allocated", "path", "size"}));
}

TEST_F(CtlTest, broken_vm_yaml_is_listed_with_its_place) {
    ctl({"create", "a"});
    ASSERT_TRUE(replace_file(m_folder / "skep/machines/a.skep/vm.yaml", "name: a\ncpus: lots\n"));
    const Json list = json_of({"list"});
    EXPECT_EQ(list[0]["state"], "broken");
    EXPECT_EQ(ctl({"start", "a"}).error,
              "skepctl: '" + (m_folder / "skep/machines/a.skep/vm.yaml").string() + "' line 2, column 7: Processors must be a whole number between 1 and 32, not 'lots'.\n");
}

TEST_F(CtlTest, set_changes_validates_and_renames) {
    ctl({"create", "a"});
    EXPECT_EQ(ctl({"set", "a", "memory=2G", "cpus=3", "name=b"}).out, "Saved.\n");
    EXPECT_EQ(json_of({"info", "b"})["memory"], "2G");
    EXPECT_TRUE(std::filesystem::exists(m_folder / "skep/machines/b.skep"));
    const Outcome bad = ctl({"set", "b", "cpus=4", "memory=1M"});
    EXPECT_EQ(bad.error, "skepctl: Memory must be between 16 MiB and 1 TiB, in whole MiB, not 1 MiB.\n");
    EXPECT_EQ(json_of({"info", "b"})["cpus"], "3");
    EXPECT_EQ(ctl({"set", "b", "cpus"}).error, "skepctl: 'cpus' is not of the form key=value.\n");
    ctl({"start", "b"});
    EXPECT_EQ(ctl({"set", "b", "memory=1G"}).out, "Saved; the change takes effect at the next start.\n");
    EXPECT_EQ(ctl({"set", "b", "notes=x"}).out, "Saved.\n");
}

TEST_F(CtlTest, console_replays_history_and_carries_input) {
    ctl({"create", "a"});
    ctl({"start", "a"});
    EXPECT_EQ(ctl({"console", "a", "--history"}).out, "login: ");
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    ASSERT_EQ(pipe2(in.data(), O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        exec_ctl({"console", "a"});
    }
    close(out[1]);
    ASSERT_EQ(write(in[1], "root", 4), 4);
    close(in[1]);  // the end of input does not end the console
    std::string got;
    std::array<char, 64> chunk;
    while (got.size() < 11) {
        const ssize_t count = read(out[0], chunk.data(), chunk.size());
        ASSERT_GT(count, 0);
        got.append(chunk.data(), static_cast<size_t>(count));
    }
    EXPECT_EQ(got, "login: ROOT");
    ctl({"poweroff", "a"});
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    close(in[0]);
    close(out[0]);
}

TEST_F(CtlTest, console_on_a_terminal_is_raw_and_gives_it_back) {
    ctl({"create", "a"});
    ctl({"start", "a"});
    int terminal = -1;
    termios before{};
    int error_pipe = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
        dup2(error_pipe, STDERR_FILENO);
        exec_ctl({"console", "a"});
    }
    tcgetattr(terminal, &before);
    const auto read_until = [&](const std::string& text) {
        std::string got;
        std::array<char, 256> chunk;
        while (got.find(text) == std::string::npos) {
            pollfd waiting{terminal, POLLIN, 0};
            const ssize_t count = poll(&waiting, 1, 5000) > 0 ? read(terminal, chunk.data(), chunk.size()) : 0;
            if (count <= 0) {
                return false;
            }
            got.append(chunk.data(), static_cast<size_t>(count));
        }
        return true;
    };
    ASSERT_TRUE(read_until("login: "));
    termios raw{};
    tcgetattr(terminal, &raw);
    EXPECT_EQ(raw.c_lflag & (ICANON | ECHO | ISIG), 0u);
    ASSERT_EQ(write(terminal, "\x03x", 2), 2);  // Ctrl-C is the guest's
    EXPECT_TRUE(read_until("X"));
    ASSERT_EQ(write(terminal, "\x1d", 1), 1);
    int status = 0;
    termios after{};
    waitpid(child, &status, 0);
    tcgetattr(terminal, &after);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(after.c_lflag, before.c_lflag);
    close(terminal);
    close(error_pipe);
}

TEST_F(CtlTest, media_are_changed_in_the_settings_and_live) {
    ASSERT_TRUE(replace_file(m_folder / "x.iso", std::string(2048, 'x')));
    ctl({"create", "a", "--set", "rng=false"});
    EXPECT_EQ(ctl({"eject", "a"}).error, "skepctl: The machine 'a' has no CD drive.\n");
    const auto bundle = find_bundle("a").value();
    ASSERT_TRUE(bundle.update([](VmSpec& spec) -> Status {
        spec.cds.push_back({"cd0", "", {}});
        return {};
    }));
    EXPECT_EQ(ctl({"insert", "a", (m_folder / "x.iso").string()}).code, 0);
    EXPECT_EQ(bundle.load()->cds[0].file, (m_folder / "x.iso").string());
    ctl({"start", "a"});
    EXPECT_EQ(ctl({"eject", "a"}).out, "The drive 'cd0' of 'a' is empty.\n");
    EXPECT_EQ(bundle.load()->cds[0].file, "");
    EXPECT_EQ(ctl({"insert", "a", "/none"}).code, 1);
}

TEST_F(CtlTest, medium_in_the_settings_of_a_running_machine_is_changed_by_its_worker_or_not_at_all) {
    const std::string file = (m_folder / "x.iso").string();
    ASSERT_TRUE(replace_file(file, std::string(2048, 'x')));
    ctl({"create", "a", "--set", "rng=false"});
    const auto bundle = find_bundle("a").value();
    ASSERT_TRUE(bundle.update([&](VmSpec& spec) -> Status {
        spec.cds = {{"cd0", file, {}}, {"cd9", file, {}}};
        return {};
    }));
    ctl({"start", "a"});
    EXPECT_EQ(ctl({"set", "a", "cds.cd0.file="}).out, "Saved.\n");
    EXPECT_EQ(bundle.load()->find_cd("cd0")->file, "");
    EXPECT_EQ(ctl({"set", "a", "cds.cd9.file="}).error, "skepctl: The machine has no CD drive 'cd9'.\n");  // this worker says so
    EXPECT_EQ(bundle.load()->find_cd("cd9")->file, file);
}

TEST_F(CtlTest, run_gives_the_workers_exit_code_and_output) {
    const Outcome off = ctl({"run", "--memory", "64", "--disk", "10M", "--exit-on-reboot"});
    EXPECT_EQ(off.code, 1) << off.error;
    EXPECT_EQ(off.out, "64 MiB, 1 cpus, 1 disks, on reboot exit\n");
    const Outcome exit_33 = ctl({"run", "--set", "notes=exit 33"}, "hello\n");
    EXPECT_EQ(exit_33.code, 33);
    EXPECT_NE(exit_33.out.find("HELLO\n"), std::string::npos);
    EXPECT_EQ(ctl({"run", "--kernel", "/none"}).code, 4);
}

TEST_F(CtlTest, run_outlives_the_end_of_input_and_ends_at_the_timeout) {
    const Outcome outcome = ctl({"run", "--set", "notes=hang", "--timeout", "0.2"});
    EXPECT_EQ(outcome.code, 124);
    EXPECT_NE(outcome.out.find("1024 MiB"), std::string::npos);
}

TEST_F(CtlTest, new_machine_has_a_network_card_unless_told_otherwise) {
    ctl({"create", "a"});
    EXPECT_EQ(json_of({"info", "a"})["networks[0].backend"], "user");
    ctl({"create", "b", "--network", "none"});
    EXPECT_FALSE(json_of({"info", "b"}).contains("networks[0].id"));
    ctl({"create", "c", "--network", "user,forward=2222:22", "--network", "none,mac=52:54:00:00:00:07"});
    const Json two = json_of({"info", "c"});
    EXPECT_EQ(two["networks[0].forwards"], "2222:22");
    EXPECT_EQ(two["networks[1].backend"], "none");
    ctl({"create", "d", "--network", "socket,network=lab", "--network", "tap,network=br0"});
    const Json named = json_of({"info", "d"});
    EXPECT_EQ(named["networks[0].network"], "lab");
    EXPECT_EQ(named["networks[1].backend"], "tap");
    for (const std::string wrong : {"socket", "tap", "socket,network=a/b", "tap,network=a-name-that-is-too-long"}) {
        const Outcome refused = ctl({"create", "e", "--network", wrong});
        EXPECT_EQ(refused.code, 1) << wrong;
        EXPECT_EQ(std::ranges::count(refused.error, '\n'), 1) << refused.error;
    }
}

TEST_F(CtlTest, doctor_reports_every_check) {
    const Json report = json_of({"doctor"});
    ASSERT_TRUE(report.contains("findings"));
    EXPECT_EQ(report["findings"].size(), 6u);
    EXPECT_EQ(report["findings"][4]["level"], "ok");
}

TEST_F(CtlTest, screenshot_is_a_png_of_the_guests_pixels) {
    ASSERT_EQ(ctl({"create", "Seen"}).code, 0);
    ASSERT_EQ(ctl({"start", "Seen"}).code, 0);
    const std::string file = m_folder / "shot.png";
    const Json answer = json_of({"screenshot", "Seen", file});
    EXPECT_EQ(answer["width"], 3);
    EXPECT_EQ(answer["height"], 2);
    const std::string png = read_small_file(file, 1 << 20).value();
    ASSERT_GT(png.size(), 57U);
    EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
    EXPECT_EQ(png.substr(16, 10), std::string("\0\0\0\3\0\0\0\2\10\2", 10));
    std::string rows(2 * (1 + 3 * 3), 0);
    uLongf size = rows.size();
    const auto* const packed = reinterpret_cast<const Bytef*>(png.data() + 41);  // after IHDR, length and "IDAT"
    ASSERT_EQ(uncompress(reinterpret_cast<Bytef*>(rows.data()), &size, packed, png.size() - 41 - 16), Z_OK);
    EXPECT_EQ(rows, std::string("\0\xff\0\0\0\xff\0\0\0\xff\0\xff\xff\xff\0\0\0\x12\x34\x56", 20));
    const Outcome nowhere = ctl({"screenshot", "Seen", "/nowhere/at/all.png"});
    EXPECT_EQ(nowhere.code, 1);
    EXPECT_EQ(std::ranges::count(nowhere.error, '\n'), 1);
}

TEST_F(CtlTest, keys_text_clicks_and_sizes_reach_the_worker) {
    ASSERT_EQ(ctl({"create", "Typed"}).code, 0);
    ASSERT_EQ(ctl({"start", "Typed"}).code, 0);
    EXPECT_EQ(ctl({"sendkeys", "Typed", "ctrl-alt-delete", "ret"}).code, 0);
    EXPECT_EQ(ctl({"type", "Typed", "root", "--enter"}).code, 0);
    EXPECT_EQ(ctl({"click", "Typed", "10", "20", "--button", "right"}).code, 0);
    EXPECT_EQ(ctl({"resize", "Typed", "1280x800"}).code, 0);
    const std::string text = ctl({"screendump", "Typed", "--text"}).out;
    EXPECT_TRUE(text.ends_with("keys ctrl-alt-delete ret 60\ntype root\n\nclick 10 20 right\n")) << text;
    EXPECT_EQ(json_of({"screendump", "Typed"})["cursor_column"], 7);
}

TEST_F(CtlTest, wrong_input_is_answered_by_one_sentence) {
    ASSERT_EQ(ctl({"create", "Typed"}).code, 0);
    EXPECT_EQ(ctl({"sendkeys", "Typed", "ret"}).code, 1);  // it does not run
    ASSERT_EQ(ctl({"start", "Typed"}).code, 0);
    const std::pair<std::vector<std::string>, int> wrong[] = {
        {{"resize", "Typed", "1280"}, 1},           {{"resize", "Typed", "1280x-5"}, 1},
        {{"click", "Typed", "-1", "5"}, 2},         {{"click", "Typed", "1", "5", "--button", "fourth"}, 2},
        {{"sendkeys", "Typed"}, 2},                 {{"sendkeys", "Typed", "a", "--hold", "0"}, 2},
        {{"wait-screen", "Typed"}, 1},              {{"wait-screen", "Typed", "--text", "("}, 1},
        {{"wait-screen", "Typed", "--serial", "x", "--port", "7"}, 1}};
    for (const auto& [arguments, code] : wrong) {
        const Outcome outcome = ctl(arguments);
        EXPECT_EQ(outcome.code, code) << outcome.error;
        EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
    }
}

TEST_F(CtlTest, waiting_ends_when_a_line_matches_or_time_is_up) {
    ASSERT_EQ(ctl({"create", "Slow"}).code, 0);
    ASSERT_EQ(ctl({"start", "Slow"}).code, 0);
    EXPECT_EQ(ctl({"wait-screen", "Slow", "--text", "^grub> l"}).out, "grub> ls\n");
    EXPECT_EQ(ctl({"wait-screen", "Slow", "--serial", "login: $"}).out, "login: \n");
    const Outcome late = ctl({"wait-screen", "Slow", "--serial", "never", "--timeout", "0.2"});
    EXPECT_EQ(late.code, 1);
    EXPECT_EQ(late.error, "skepctl: 'never' did not come within 0.2 s.\n");
    EXPECT_EQ(json_of({"wait-screen", "Slow", "--text", "never", "--timeout", "0"})["error"]["kind"], "cancelled");
}

TEST_F(CtlTest, protocol_document_is_printed) { EXPECT_EQ(ctl({"protocol"}).out, protocol_document()); }

TEST_F(CtlTest, log_shows_why_a_start_failed) {
    ctl({"create", "a", "--set", "notes=refuse"});
    EXPECT_EQ(ctl({"start", "a"}).error, "skepctl: The kernel '/x' is not a Linux kernel.\n");
    EXPECT_EQ(ctl({"log", "a"}).out, "The kernel '/x' is not a Linux kernel.\n");
}

}  // namespace
}  // namespace skep
