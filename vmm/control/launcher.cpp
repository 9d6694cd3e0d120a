// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/launcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "vmm/control/runtime_dir.hpp"

extern char** environ;

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr size_t k_max_log_read = 256 * 1024;
// How long a starting worker is given to greet before its connection is given up and made again.
constexpr std::chrono::milliseconds k_first_patience(250);
constexpr std::chrono::milliseconds k_last_patience(8000);

bool is_program(const fs::path& file) {
    std::error_code ignored;
    return fs::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
}

// The end of a possibly large file.
std::string read_end(const fs::path& file) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info{};
    if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return "";
    }
    const auto size = static_cast<size_t>(std::max<off_t>(0, info.st_size));
    std::string text(std::min(size, k_max_log_read), '\0');
    const ssize_t got = pread(fd.get(), text.data(), text.size(), static_cast<off_t>(size - text.size()));
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
}

// The last sentence of the worker: the last line of its log, without the logger's time and level.
std::string last_sentence(const Bundle& bundle) {
    std::string line = log_tail(bundle, 1);
    while (line.ends_with('\n')) {
        line.pop_back();
    }
    constexpr std::string_view k_stamp = "YYYY-MM-DD HH:MM:SS.mmm L ";
    const bool stamped = line.size() > k_stamp.size() && line[4] == '-' && line[10] == ' ' && line[13] == ':';
    if (stamped) {
        return line.substr(k_stamp.size());
    }
    constexpr std::string_view k_program = "skep-vmm: ";
    return line.starts_with(k_program) ? line.substr(k_program.size()) : line;
}

std::string describe_exit(const Bundle& bundle, int exit_code, const std::string& message) {
    if (!message.empty()) {
        return message;
    }
    switch (exit_code) {
        case 0: return "The guest has rebooted, which ends this machine.";
        case 1: return "The machine is powered off.";
        case 2: return "The guest has halted its processors.";
        case 3: return "The guest has crashed (triple fault).";
        default: break;
    }
    const std::string sentence = last_sentence(bundle);
    return sentence.empty() ? fmt::format("The machine has ended with code {}.", exit_code) : sentence;
}

// How the process ended, as far as anybody can know: only its parent learns the signal.
std::string describe_crash(std::optional<int> signal_number) {
    if (!signal_number) {
        return "its process ended without a word";
    }
    const std::string signal_text = fmt::format("signal {}, {}", *signal_number, strsignal(*signal_number));
    if (*signal_number == SIGKILL) {
        return fmt::format("its process was killed ({}), by hand or because this computer ran out of memory", signal_text);
    }
    return fmt::format("its process crashed ({}), which is an error in Skep", signal_text);
}

WorkerState crashed(const Bundle& bundle, std::optional<int> signal_number) {
    WorkerState state;
    state.life = WorkerLife::crashed;
    state.signal = signal_number;
    state.explanation = fmt::format("{}; what the guest had flushed to its disks is safe, so start it again or look at its log.",
                                    describe_crash(signal_number));
    state.message = fmt::format("'{}' stopped unexpectedly: {}", bundle.folder_name(), state.explanation);
    state.explanation[0] = 'I';
    return state;
}

WorkerState ended(const Bundle& bundle, int exit_code, const std::string& message) {
    WorkerState state;
    state.life = WorkerLife::ended;
    state.exit_code = exit_code;
    state.message = describe_exit(bundle, exit_code, message);
    state.explanation = state.message;
    return state;
}

class FileActions {
  public:
    FileActions() { posix_spawn_file_actions_init(&m_actions); }
    ~FileActions() { posix_spawn_file_actions_destroy(&m_actions); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    posix_spawn_file_actions_t* get() { return &m_actions; }

  private:
    posix_spawn_file_actions_t m_actions{};
};

class SpawnAttributes {
  public:
    // A session of its own and the signals as a fresh program expects them: neither Ctrl-C in our terminal nor our end
    // reaches the worker.
    SpawnAttributes() {
        posix_spawnattr_init(&m_attributes);
        sigset_t none;
        sigset_t all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&m_attributes, &none);
        posix_spawnattr_setsigdefault(&m_attributes, &all);
        posix_spawnattr_setflags(&m_attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~SpawnAttributes() { posix_spawnattr_destroy(&m_attributes); }
    SpawnAttributes(const SpawnAttributes&) = delete;
    SpawnAttributes& operator=(const SpawnAttributes&) = delete;
    posix_spawnattr_t* get() { return &m_attributes; }

  private:
    posix_spawnattr_t m_attributes{};
};

Result<Fd> open_log(const Bundle& bundle) {
    std::error_code ignored;
    fs::create_directory(bundle.log_folder(), ignored);
    fs::rename(bundle.worker_log(), bundle.log_folder() / "worker.log.1", ignored);
    Fd fd(::open(bundle.worker_log().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    if (!fd) {
        return fail_errno(errno, fmt::format("Cannot create the log '{}'", bundle.worker_log().string()));
    }
    return fd;
}

}  // namespace

Result<fs::path> find_worker_program() {
    std::error_code ignored;
    const fs::path own = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    std::vector<fs::path> candidates;
    if (const char* named = std::getenv("SKEP_VMM")) {
        candidates.emplace_back(named);
    }
    candidates.push_back(own / "skep-vmm");
    candidates.push_back(own.parent_path() / "libexec/skep/skep-vmm");
    std::string_view path = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
    while (!path.empty()) {
        const size_t end = std::min(path.find(':'), path.size());
        if (end > 0 && path[0] == '/') {
            candidates.push_back(fs::path(path.substr(0, end)) / "skep-vmm");
        }
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    for (const fs::path& candidate : candidates) {
        if (is_program(candidate)) {
            return candidate;
        }
    }
    return fail(ErrorKind::not_found, "The program skep-vmm was not found beside '{}' or in PATH; install Skep again.", own.string());
}

WorkerState worker_state(const Bundle& bundle) {
    const auto record = read_run_record(bundle.folder());
    if (bundle.running()) {
        WorkerState state;
        state.life = WorkerLife::running;
        state.pid = record ? record->pid : 0;
        return state;
    }
    if (!record) {
        return WorkerState{};
    }
    if (record->running) {
        // It may have ended between our two looks.
        const auto again = read_run_record(bundle.folder());
        return again && !again->running ? ended(bundle, *again->exit_code, again->message) : crashed(bundle, std::nullopt);
    }
    return ended(bundle, *record->exit_code, record->message);
}

Result<WorkerProcess> WorkerProcess::spawn(const Bundle& bundle) {
    const auto program = find_worker_program();
    const auto spec = bundle.load();
    if (!program || !spec) {
        return tl::unexpected<Error>(program ? spec.error() : program.error());
    }
    if (bundle.running()) {
        return fail(ErrorKind::in_use, "The machine '{}' is running already.", spec->name);
    }
    const auto log = open_log(bundle);
    if (!log) {
        return tl::unexpected<Error>(log.error());
    }
    FileActions actions;
    posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(actions.get(), log->get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(actions.get(), log->get(), STDERR_FILENO);
    SpawnAttributes attributes;
    std::string name = program->string();
    std::string option = "--bundle";
    std::string folder = bundle.folder().string();
    std::array<char*, 4> arguments{name.data(), option.data(), folder.data(), nullptr};
    WorkerProcess process(bundle);
    process.m_vm_id = spec->id;
    const int error = posix_spawn(&process.m_pid, name.c_str(), actions.get(), attributes.get(), arguments.data(), environ);
    if (error != 0) {
        return fail_errno(error, fmt::format("Cannot start '{}'", name));
    }
    process.m_pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, process.m_pid, 0)));
    return process;
}

std::optional<WorkerState> WorkerProcess::reap() {
    if (m_ended) {
        return m_ended;
    }
    int status = 0;
    const pid_t reaped = waitpid(m_pid, &status, WNOHANG);
    if (reaped == 0) {
        return std::nullopt;
    }
    if (reaped < 0) {
        m_ended = worker_state(m_bundle);  // somebody else in this program has collected it
    } else if (WIFSIGNALED(status)) {
        m_ended = crashed(m_bundle, WTERMSIG(status));
    } else {
        const auto record = read_run_record(m_bundle.folder());
        const bool ours = record && !record->running && record->pid == m_pid;
        m_ended = ended(m_bundle, WEXITSTATUS(status), ours ? record->message : "");
    }
    m_ended->pid = m_pid;
    return m_ended;
}

Result<std::optional<ControlClient>> WorkerProcess::try_connect(const std::string& program, std::chrono::milliseconds patience) {
    const auto path = socket_path(m_vm_id);
    if (!path) {
        return tl::unexpected<Error>(path.error());
    }
    Result<ControlClient> client = ControlClient::connect(*path, program, patience);
    if (client && client->greeting().pid == m_pid) {
        return std::optional<ControlClient>(std::move(*client));
    }
    if (const auto state = reap()) {
        return fail(ErrorKind::io, "{}", state->message);
    }
    const auto not_yet = [](ErrorKind kind) {
        return kind == ErrorKind::not_found || kind == ErrorKind::io || kind == ErrorKind::cancelled;
    };
    if (!client && !not_yet(client.error().kind)) {
        return tl::unexpected<Error>(client.error());
    }
    const bool listens = !client && client.error().kind == ErrorKind::cancelled;
    m_stage = listens ? StartStage::answering : m_bundle.running() ? StartStage::preparing : StartStage::spawned;
    return std::optional<ControlClient>();
}

std::chrono::nanoseconds WorkerProcess::processor_time() const {
    clockid_t clock = 0;
    timespec used{};
    if (clock_getcpuclockid(m_pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return {};
    }
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

Result<Launched> launch(const Bundle& bundle, const std::string& program, const StartLimits& limits,
                        const std::function<void(const std::string&)>& say) {
    Result<WorkerProcess> process = WorkerProcess::spawn(bundle);
    if (!process) {
        return tl::unexpected<Error>(process.error());
    }
    StartWait wait(limits, StartWait::Clock::now());
    std::chrono::milliseconds patience = k_first_patience;
    while (true) {
        Result<std::optional<ControlClient>> client = process->try_connect(program, patience);
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        if (*client) {
            return Launched{std::move(*process), std::move(**client)};
        }
        const auto now = StartWait::Clock::now();
        wait.look(now, process->stage(), process->processor_time());
        const std::string who = fmt::format("The worker of '{}' (process {})", bundle.folder_name(), process->pid());
        if (const auto why = wait.over(now)) {
            return fail(ErrorKind::cancelled, "{} {}; see its log '{}', or end it with 'kill -9 {}'.", who, *why,
                        bundle.worker_log().string(), process->pid());
        }
        if (const auto news = wait.news(now); news && say) {
            say(fmt::format("{} {}.", who, *news));
        }
        if (process->stage() == StartStage::answering) {  // a busy computer needs longer; asking anew does not help it
            patience = std::min(patience * 2, k_last_patience);
        }
        pollfd waiting{process->exit_fd(), POLLIN, 0};
        poll(&waiting, 1, 10);
    }
}

Result<ControlClient> attach(const Bundle& bundle, const std::string& program, std::chrono::milliseconds timeout) {
    const auto spec = bundle.load();
    if (!spec) {
        return tl::unexpected<Error>(spec.error());
    }
    if (!bundle.running()) {
        return fail(ErrorKind::not_found, "'{}' is not running.", spec->name);
    }
    const auto path = socket_path(spec->id);
    if (!path) {
        return tl::unexpected<Error>(path.error());
    }
    // The lock comes before the socket in a worker's life: a starting one is given the time.
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
        Result<ControlClient> client = ControlClient::connect(*path, program, timeout);
        const bool not_yet = !client && (client.error().kind == ErrorKind::not_found || client.error().kind == ErrorKind::cancelled);
        const bool starting = not_yet && bundle.running();
        if (!starting || std::chrono::steady_clock::now() > deadline) {
            return client;
        }
        poll(nullptr, 0, 20);
    }
}

std::string log_tail(const Bundle& bundle, size_t lines) {
    const std::string text = read_end(bundle.worker_log());
    size_t start = text.ends_with('\n') ? text.size() - 1 : text.size();
    for (size_t count = 0; count < lines && start != std::string::npos && start != 0; ++count) {
        start = text.rfind('\n', start - 1);
    }
    return start == std::string::npos || start == 0 ? text : text.substr(start + 1);
}

}  // namespace skep
