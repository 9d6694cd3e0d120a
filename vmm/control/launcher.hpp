// SPDX-License-Identifier: GPL-3.0-or-later
// Starting workers, finding running ones, and learning how they ended.
//
// The worker's command line: `skep-vmm --bundle DIR [--socket PATH]`, or `skep-vmm --spec FILE|- --stdio` for a
// throw-away machine in the foreground. Exit codes: run_record.hpp; code 4 comes with one sentence on standard error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/client.hpp"
#include "vmm/control/run_record.hpp"
#include "vmm/control/start_wait.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {

// skep-vmm beside this executable, in ../libexec/skep, or in PATH; $SKEP_VMM names another.
[[nodiscard]] Result<std::filesystem::path> find_worker_program();

// How a machine is, from outside.
enum class WorkerLife {
    never_ran,
    running,  // the run lock is held
    ended,    // exit_code and message tell how
    crashed,  // stopped unexpectedly
};
struct WorkerState {
    WorkerLife life = WorkerLife::never_ran;
    pid_t pid = 0;
    std::optional<int> exit_code;
    std::optional<int> signal;      // when this process was the worker's parent
    std::string message;            // one sentence for the user
    std::string explanation;        // the same where the machine and its state are named already
};
// Never blocks, needs no connection.
[[nodiscard]] WorkerState worker_state(const Bundle& bundle);

// A worker this process has spawned. Destroying it lets the worker go on.
class WorkerProcess {
  public:
    // Spawns in a session of its own, standard output and error to <bundle>/log/worker.log (the previous one becomes
    // worker.log.1). Kind in_use when the machine runs already. Does not wait.
    [[nodiscard]] static Result<WorkerProcess> spawn(const Bundle& bundle);

    [[nodiscard]] pid_t pid() const { return m_pid; }
    // A pidfd, readable when the process has ended; invalid on kernels without it.
    [[nodiscard]] int exit_fd() const { return m_pidfd.get(); }
    // Collects the ended process: nothing while it lives. Sets signal when it was killed.
    [[nodiscard]] std::optional<WorkerState> reap();
    // A connection once the worker answers; nothing yet when it does not, `patience` after it was asked at the latest; the
    // worker's last sentence when it died.
    [[nodiscard]] Result<std::optional<ControlClient>> try_connect(const std::string& program, std::chrono::milliseconds patience);
    // As the last try_connect() found it.
    [[nodiscard]] StartStage stage() const { return m_stage; }
    // What its processors have done since it began.
    [[nodiscard]] std::chrono::nanoseconds processor_time() const;

  private:
    explicit WorkerProcess(Bundle bundle) : m_bundle(std::move(bundle)) {}
    Bundle m_bundle;
    std::string m_vm_id;
    pid_t m_pid = -1;
    Fd m_pidfd;
    StartStage m_stage = StartStage::spawned;
    std::optional<WorkerState> m_ended;
};

// Blocking: spawns and waits for the greeting or the worker's death, or until it gets no further (kind cancelled; the worker
// is left as it is). `program` is the caller's name for the log; `say` hears, on this thread, what a long wait is for.
struct Launched {
    WorkerProcess process;
    ControlClient client;
};
[[nodiscard]] Result<Launched> launch(const Bundle& bundle, const std::string& program,
                                      const StartLimits& limits = {}, const std::function<void(const std::string&)>& say = {});
// Connects to a running machine's worker. Kind not_found with "'X' is not running." when it is not.
[[nodiscard]] Result<ControlClient> attach(const Bundle& bundle, const std::string& program,
                                           std::chrono::milliseconds timeout = ControlClient::k_timeout);

// The last lines of the worker's log.
[[nodiscard]] std::string log_tail(const Bundle& bundle, size_t lines);

}  // namespace skep
