// SPDX-License-Identifier: GPL-3.0-or-later
// run: a throw-away machine in the foreground, its first serial port on standard input and output.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "app/ctl/command.hpp"
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_options.hpp"
#include "app/ctl/run_window.hpp"
#include "app/ctl/terminal.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"
#include "vmm/control/launcher.hpp"
#include "vmm/spec/spec_yaml.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr int k_timed_out = 124;  // as timeout(1)

// New disks of a throw-away machine live in a folder that goes with it.
class ScratchFolder {
  public:
    ScratchFolder() = default;
    ~ScratchFolder() {
        std::error_code ignored;
        if (!m_path.empty()) {
            fs::remove_all(m_path, ignored);
        }
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    [[nodiscard]] Result<fs::path> path() {
        std::error_code ignored;
        if (m_path.empty()) {
            std::string path = (fs::temp_directory_path(ignored) / "skep-run-XXXXXX").string();
            if (mkdtemp(path.data()) == nullptr) {
                return fail_errno(errno, fmt::format("Cannot create the folder '{}'", path));
            }
            m_path = path;
        }
        return m_path;
    }
    [[nodiscard]] Result<fs::path> make_image(const std::string& name, uint64_t bytes) {
        const Result<fs::path> folder = path();
        if (!folder) {
            return folder;
        }
        const fs::path file = *folder / name;
        const Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!fd || ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
            return fail_errno(errno, fmt::format("Cannot create the disk image '{}'", file.string()));
        }
        return file;
    }

  private:
    fs::path m_path;
};

// The worker as a child that ends with us. On a terminal its input goes through us (for the escape key), else it has
// our standard input itself.
class ForegroundWorker {
  public:
    ForegroundWorker(const EndSignals& signals, bool is_terminal) : m_signals(signals), m_is_terminal(is_terminal) {}

    // `more`: further options of the worker's.
    [[nodiscard]] Status start(const std::string& program, const std::string& spec_text,
                               const std::vector<std::string>& more) {
        const Fd spec(memfd_create("vm.yaml", 0));  // inherited by the worker as /proc/self/fd/N
        std::array<int, 2> input{-1, -1};
        if (!spec || !write_all(spec.get(), spec_text) || (m_is_terminal && pipe2(input.data(), O_CLOEXEC) != 0)) {
            return fail_errno(errno, "Cannot hand the machine to its worker");
        }
        const Fd input_end(input[0]);
        m_input.reset(input[1]);
        const std::string spec_path = fmt::format("/proc/self/fd/{}", spec.get());
        std::vector<const char*> arguments{program.c_str(), "--spec", spec_path.c_str(), "--stdio"};
        for (const std::string& option : more) {
            arguments.push_back(option.c_str());
        }
        arguments.push_back(nullptr);
        const pid_t parent = getpid();
        m_pid = fork();
        if (m_pid == 0) {
            run_child(arguments, input_end.get(), parent);
        }
        if (m_pid < 0) {
            return fail_errno(errno, fmt::format("Cannot start '{}'", program));
        }
        m_pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, m_pid, 0)));
        return {};
    }

    [[nodiscard]] int pidfd() const { return m_pidfd.get(); }

    // Exit code of the worker, 124 after the timeout (0: none), 128 + n when a signal ended us or it. When `window` (a
    // descriptor, or -1) becomes readable, its user has closed it: the machine is turned off.
    [[nodiscard]] int wait(double timeout_seconds, int window) {
        using Clock = std::chrono::steady_clock;
        const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_seconds);
        while (true) {
            int status = 0;
            if (waitpid(m_pid, &status, WNOHANG) == m_pid) {
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
            if (timeout_seconds > 0 && left <= 0) {
                return kill_and(k_timed_out);
            }
            std::array<pollfd, 4> waiting{pollfd{m_pidfd.get(), POLLIN, 0}, pollfd{m_signals.fd(), POLLIN, 0},
                                          pollfd{m_input ? STDIN_FILENO : -1, POLLIN, 0}, pollfd{window, POLLIN, 0}};
            poll(waiting.data(), waiting.size(), wait_milliseconds(timeout_seconds, left));
            if (const int number = m_signals.take(); number != 0) {
                return kill_and(128 + number);
            }
            if (waiting[2].revents != 0 && !pass_input()) {
                return kill_and(128 + SIGINT);
            }
            if (waiting[3].revents != 0) {
                return kill_and(static_cast<int>(ExitCode::power_off));
            }
        }
    }

  private:
    [[nodiscard]] int wait_milliseconds(double timeout, double left) const {
        const double longest = m_pidfd ? 60.0 : 0.05;  // without a pidfd the end is only seen by asking
        return static_cast<int>((timeout > 0 ? std::min(left, longest) : longest) * 1000) + 1;
    }

    [[noreturn]] void run_child(const std::vector<const char*>& arguments, int input, pid_t parent) const {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(static_cast<int>(ExitCode::error));
        }
        m_signals.restore();
        signal(SIGPIPE, SIG_DFL);
        if (input >= 0) {
            setpgid(0, 0);  // keys of the terminal are ours to pass on
            dup2(input, STDIN_FILENO);
        }
        execv(arguments[0], const_cast<char* const*>(arguments.data()));
        _exit(static_cast<int>(ExitCode::error));
    }

    // False when the user has pressed the escape key.
    [[nodiscard]] bool pass_input() {
        std::array<char, 4096> buffer;
        const Typed typed = read_typed(STDIN_FILENO, buffer.data(), buffer.size(), m_is_terminal);
        if (!typed.bytes.empty() && !write_all(m_input.get(), typed.bytes)) {
            m_input.reset();
        }
        if (typed.ended) {
            m_input.reset();
        }
        return !typed.left;
    }

    [[nodiscard]] int kill_and(int code) const {
        kill(m_pid, SIGKILL);
        waitpid(m_pid, nullptr, 0);
        return code;
    }

    const EndSignals& m_signals;
    bool m_is_terminal;
    pid_t m_pid = -1;
    Fd m_pidfd;
    Fd m_input;
};

class RunCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "run"; }
    [[nodiscard]] const char* help() const override {
        return "Run a throw-away machine here; exit code 0 reboot, 1 power-off, 2 halt, 3 triple fault, 4 error, 124 timeout";
    }
    void declare(CLI::App& app) override {
        m_options.declare(app);
        app.add_flag("--exit-on-reboot", m_exit_on_reboot, "End when the guest reboots (exit code 0)");
        app.add_option("--timeout", m_timeout, "End after so many seconds (exit code 124)")
            ->type_name("SECONDS")
            ->check([](const std::string& text) {
                const double seconds = std::strtod(text.c_str(), nullptr);
                return seconds > 0 ? std::string() : fmt::format("'{}' is no number of seconds above 0", text);
            });
        app.add_option("--socket", m_socket, "Other commands reach the machine by this socket, made here")->type_name("FILE");
        app.add_flag("--jit-stats", m_jit_stats, "With --cpu jit: at the end tell on standard error what the translator did");
        app.add_flag("--jit-perf-map", m_jit_perf_map, "With --cpu jit: write /tmp/perf-PID.map, for perf of the worker");
    }
    [[nodiscard]] int error_code() const override { return static_cast<int>(ExitCode::error); }
    [[nodiscard]] int usage_error_code() const override { return error_code(); }  // 2 says that the guest halted

    [[nodiscard]] Result<int> run(const Output& output) override {
        m_window = m_options.take_display("sdl", "vga");
        Result<VmSpec> spec = m_options.make_spec("run", DisplayKind::none);  // its console is the terminal
        const auto program = find_worker_program();
        if (!spec || !program) {
            return tl::unexpected<Error>(spec ? program.error() : spec.error());
        }
        ScratchFolder scratch;
        Status prepared = add_new_disks(*spec, scratch);
        if (prepared && m_window && m_socket.empty()) {
            prepared = scratch.path().map([this](const fs::path& folder) { m_socket = (folder / "ctl.sock").string(); });
        }
        if (!prepared) {
            return tl::unexpected<Error>(prepared.error());
        }
        if (m_exit_on_reboot) {
            spec->on_reboot = OnReboot::exit;
        }
        const bool is_terminal = isatty(STDIN_FILENO) != 0;
        if (is_terminal) {
            output.note("Ctrl-] turns the machine off.");
        }
        const EndSignals signals;
        ForegroundWorker worker(signals, is_terminal);
        if (const Status started = worker.start(program->string(), print_spec(*spec), worker_options()); !started) {
            return tl::unexpected<Error>(started.error());
        }
        RunWindow window;
        if (m_window) {
            if (const Status opened = window.open(m_socket, worker.pidfd()); !opened) {
                return tl::unexpected<Error>(opened.error());
            }
        }
        const RawTerminal terminal(STDIN_FILENO);
        return worker.wait(m_timeout, window.ended());
    }

  private:
    [[nodiscard]] Status add_new_disks(VmSpec& spec, ScratchFolder& scratch) const {
        const auto sizes = m_options.new_disk_sizes();
        if (!sizes) {
            return tl::unexpected<Error>(sizes.error());
        }
        for (const uint64_t size : *sizes) {
            const std::string id = spec.free_id("disk");
            const auto image = scratch.make_image(id + ".img", size);
            if (!image) {
                return tl::unexpected<Error>(image.error());
            }
            spec.disks.push_back({id, image->string(), m_options.disk_bus(), false, "", {}});
        }
        return {};
    }

    [[nodiscard]] std::vector<std::string> worker_options() const {
        std::vector<std::string> options;
        if (!m_socket.empty()) {
            options.insert(options.end(), {"--socket", m_socket});
        }
        if (m_jit_stats) {
            options.emplace_back("--jit-stats");
        }
        if (m_jit_perf_map) {
            options.emplace_back("--jit-perf-map");
        }
        return options;
    }

    MachineOptions m_options;
    std::string m_socket;
    bool m_window = false;  // of SDL, on the screen
    bool m_exit_on_reboot = false, m_jit_stats = false, m_jit_perf_map = false;
    double m_timeout = 0;
};

}  // namespace

std::unique_ptr<Command> make_run_command() { return std::make_unique<RunCommand>(); }

}  // namespace skep
