// SPDX-License-Identifier: GPL-3.0-or-later
// Worker: one running machine, from its spec to its exit code. Owns the control loop; every method on its thread
// unless said otherwise.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/worker/console_backend.hpp"
#include "app/worker/disk_ledgers.hpp"
#include "app/worker/end_policy.hpp"
#include "app/worker/install_watch.hpp"
#include "app/worker/machine_builder.hpp"
#include "app/worker/network_service.hpp"
#include "app/worker/screen_service.hpp"
#include "vmm/base/event_loop.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/control/console_hub.hpp"
#include "vmm/control/machine_control.hpp"
#include "vmm/control/run_record.hpp"
#include "vmm/control/server.hpp"
#include "vmm/control/stdio_console.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

constexpr int code_of(ExitCode code) { return static_cast<int>(code); }

enum class SerialZero { control_socket, standard_streams };

struct WorkerInputs {
    VmSpec spec;
    std::function<Result<std::filesystem::path>(const std::string& file)> resolve;
    std::filesystem::path folder;  // the bundle's; empty: none, nothing of the machine is kept
    std::filesystem::path socket;  // empty: no control socket
    SerialZero serial_zero = SerialZero::control_socket;
    std::string version;
    bool jit_stats = false, jit_perf_map = false;  // as the options of the command line
    std::string record_disks{};                    // the same
};

struct WorkerOutcome {
    int exit_code = 0;
    std::string message;  // one sentence
};

class Worker final : public MachineControl {
  public:
    explicit Worker(WorkerInputs inputs);
    ~Worker() override;

    // Builds everything, enters the sandbox, starts the guest. An error leaves nothing running.
    Status start();
    // Until the machine has ended.
    WorkerOutcome run();

    // MachineControl
    MachineStatus status() override;
    Status pause() override;
    Status resume() override;
    Status power_button() override;
    Status power_off() override;
    Status reset() override;
    Status eject(const std::string& drive) override;
    Status insert(const std::string& drive, const std::string& file) override;
    Status resize_disk(const std::string& disk, uint64_t size) override;
    Result<std::string> attach_stick(const std::string& file, StickAccess access, const std::string& id) override;
    Result<std::string> detach_stick(const std::string& id) override;
    std::vector<StickInfo> sticks() override;
    Status retry() override;
    ScreenControl* screen() override { return m_screen.get(); }
    NetworkControl* network() override { return m_networks.get(); }
    std::string info_json() override;

  private:
    Status choose_back_end();
    void make_consoles();
    [[nodiscard]] Status listen();
    [[nodiscard]] Status listen_for_vnc();
    void watch_signals();
    void on_signal();
    void on_machine_event(const MachineEvent& event);
    void on_no_space(const std::string& disk, const std::string& sentence);
    void on_guest_end(GuestEnd end, ExitCode code, const std::string& sentence);
    void restart_guest();
    Status reset_machine();
    void eject_installer();
    void forget_medium(const std::string& drive);
    // In the bundle's vm.yaml; what fails is logged. False: it is as it was.
    bool change_settings(const std::function<void(VmSpec&)>& change);
    void forget_installer();
    void set_state(MachineState state, std::string reason);
    void finish(int exit_code, std::string message);
    [[nodiscard]] std::vector<std::shared_ptr<BlockBackend>> writable_backends() const;
    void cancel_held_writes();
    void flush_disks();
    // file: empty ejects. why: a sentence for the user where it is not the user who did it.
    Status change_medium(const std::string& drive, const std::string& file, const std::string& why = {});
    [[nodiscard]] Result<BuiltCd*> find_drive(const std::string& drive);

    WorkerInputs m_inputs;
    EventLoop m_loop;
    Fd m_signals;
    bool m_button_pressed = false;
    std::vector<std::unique_ptr<ConsoleHub>> m_hubs;
    std::unique_ptr<StdioConsole> m_stdio;
    std::vector<std::unique_ptr<CharBackend>> m_backends;
    std::unique_ptr<Hypervisor> m_hypervisor;
    BuiltMachine m_built;
    DiskLedgers m_ledgers;
    std::optional<InstallWatch> m_install;  // only where an installed disk would start after the CD
    std::unique_ptr<NetworkService> m_networks;
    std::unique_ptr<ScreenService> m_screen;
    std::unique_ptr<ControlServer> m_server;
    MachineState m_state = MachineState::starting;
    std::string m_reason;
    std::string m_cpu_name;
    std::string m_cpu_reason;
    std::optional<WorkerOutcome> m_outcome;
    EndPolicy m_end_policy;
};

}  // namespace skep
