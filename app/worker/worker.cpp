// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/worker.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <cstdio>

#include "app/worker/install_files.hpp"
#include "app/worker/sandbox.hpp"
#include "devices/block/disk_recorder.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/host_check.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/jit/hypervisor.hpp"
#include "vmm/kvm/kvm_hypervisor.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {

Worker::Worker(WorkerInputs inputs) : m_inputs(std::move(inputs)), m_end_policy(m_inputs.spec) {}

Worker::~Worker() {
    m_screen.reset();  // its viewers look at the machine
    m_networks.reset();
    // The machine before the rest: its threads use everything else.
    if (m_built.machine) {
        cancel_held_writes();
        m_built.machine.reset();
    }
}

Status Worker::choose_back_end() {
    auto choice = choose_cpu_backend(m_inputs.spec);
    if (!choice) {
        return tl::unexpected(choice.error());
    }
    m_cpu_reason = choice->reason;
    if (choice->backend == CpuBackend::kvm) {
        auto kvm = open_kvm();
        if (!kvm) {
            return tl::unexpected(kvm.error());
        }
        m_hypervisor = std::move(*kvm);
    } else if (choice->backend == CpuBackend::jit) {
        jit::JitOptions options{.perf_map = m_inputs.jit_perf_map};
        if (m_inputs.jit_stats) {
            options.report = [](const std::string& text) { std::fputs(text.c_str(), stderr); };
        }
        m_hypervisor = std::make_unique<jit::JitHypervisor>(std::move(options));
    } else {
        m_hypervisor = std::make_unique<interp::InterpHypervisor>();
    }
    m_cpu_name = m_hypervisor->name();
    log_info("CPU: {} ({})", m_cpu_name, m_cpu_reason);
    if ((m_inputs.jit_stats || m_inputs.jit_perf_map) && choice->backend != CpuBackend::jit) {
        log_warning("This machine's processor is no translator (jit) but {}: there is nothing to tell about it.", m_cpu_name);
    }
    return {};
}

void Worker::make_consoles() {
    for (uint32_t port = 0; port < m_inputs.spec.serial_ports; ++port) {
        if (port == 0 && m_inputs.serial_zero == SerialZero::standard_streams) {
            m_stdio = std::make_unique<StdioConsole>(STDIN_FILENO, STDOUT_FILENO);
            m_hubs.push_back(nullptr);
            m_backends.push_back(std::make_unique<ConsoleBackend<StdioConsole>>(*m_stdio));
        } else {
            m_hubs.push_back(std::make_unique<ConsoleHub>(m_loop));
            m_backends.push_back(std::make_unique<ConsoleBackend<ConsoleHub>>(*m_hubs.back()));
        }
    }
}

Status Worker::start() {
    if (Status chosen = choose_back_end(); !chosen) {
        return chosen;
    }
    if (!m_inputs.folder.empty()) {  // the run that should have done it may have been killed
        remove_unused_install_files(m_inputs.folder, m_inputs.spec);
    }
    make_consoles();
    std::shared_ptr<DiskRecorder> recorder;
    if (!m_inputs.record_disks.empty()) {
        auto created = DiskRecorder::create(m_inputs.record_disks);
        if (!created) {
            return tl::unexpected(created.error());
        }
        recorder = std::move(*created);
    }
    BuildInputs inputs{.spec = m_inputs.spec,
                       .resolve = m_inputs.resolve,
                       .folder = m_inputs.folder,
                       .hypervisor = *m_hypervisor,
                       .serial = {},
                       .debug_console = nullptr,
                       .on_event = [this](MachineEvent event) { m_loop.post([this, event] { on_machine_event(event); }); },
                       .on_no_space =
                           [this](const std::string& disk, const std::string& sentence) {
                               m_loop.post([this, disk, sentence] { on_no_space(disk, sentence); });
                           },
                       .recorder = std::move(recorder)};
    for (size_t port = 0; port < m_backends.size() && port < inputs.serial.size(); ++port) {
        inputs.serial[port] = m_backends[port].get();
    }
    auto built = build_machine(inputs);
    if (!built) {
        return tl::unexpected(built.error());
    }
    m_built = std::move(*built);
    const bool cd_comes_first = m_inputs.spec.boot.empty() && !m_built.cds.empty();
    if (boots_from_drives(m_inputs.spec.firmware) && (cd_comes_first || m_built.forget_installer)) {
        using Installer = InstallWatch::Installer;
        m_install.emplace(m_inputs.spec.firmware, m_built.forget_installer ? Installer::unattended : Installer::attended, m_built.disks);
    }
    m_networks = std::make_unique<NetworkService>(m_built.networks, m_inputs.spec.name);
    if (Status connected = m_networks->connect(m_inputs.spec); !connected) {
        return connected;
    }
    if (Status listening = listen().and_then([this] { return listen_for_vnc(); }); !listening) {
        return listening;
    }
    watch_signals();
    if (Status sandboxed = enter_sandbox(); !sandboxed) {
        return sandboxed;
    }
    if (Status started = m_built.machine->start(); !started) {
        return started;
    }
    set_state(MachineState::running, {});
    return {};
}

Status Worker::listen() {
    m_screen = std::make_unique<ScreenService>(m_loop, m_built.screen.get(), *m_built.input, m_inputs.spec.name);
    if (m_inputs.socket.empty()) {
        return {};
    }
    std::vector<ConsoleHub*> consoles;
    for (const auto& hub : m_hubs) {
        consoles.push_back(hub.get());
    }
    m_server = std::make_unique<ControlServer>(m_loop, *this, consoles,
                                               ServerIdentity{m_inputs.spec.id, m_inputs.spec.name, m_inputs.version});
    if (Status listening = m_server->listen(m_inputs.socket); !listening) {
        return listening;
    }
    return m_screen->listen(m_inputs.socket);
}

Status Worker::listen_for_vnc() {
    const auto port = static_cast<uint16_t>(m_inputs.spec.vnc_port);
    const Status listening = port != 0 ? m_screen->listen_tcp(port) : Status();
    if (!m_screen->password().empty() && m_inputs.folder.empty()) {  // nobody can ask a throw-away machine
        std::fprintf(stderr, "VNC viewers: 127.0.0.1:%u, password %s\n", unsigned{port}, m_screen->password().c_str());
    }
    return listening;
}

WorkerOutcome Worker::run() {
    m_loop.run();
    return m_outcome.value_or(WorkerOutcome{code_of(ExitCode::error), "The control loop ended unexpectedly."});
}

// SIGTERM presses the power button; a second one, or SIGINT, turns the machine off.
void Worker::watch_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    m_signals = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));  // main() has blocked them in every thread
    m_loop.add(m_signals.get(), EPOLLIN, [this](uint32_t) { on_signal(); });
}

void Worker::on_signal() {
    signalfd_siginfo info{};
    while (::read(m_signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (info.ssi_signo == SIGTERM && !m_button_pressed) {
            m_button_pressed = true;
            [[maybe_unused]] const Status pressed = power_button();
        } else if (info.ssi_signo != SIGHUP) {
            [[maybe_unused]] const Status off = power_off();
        }
    }
}

void Worker::on_machine_event(const MachineEvent& event) {
    if (m_outcome) {
        return;
    }
    switch (event.kind) {
        case MachineEvent::Kind::reset:
            eject_installer();
            on_guest_end(GuestEnd::reboot, ExitCode::reboot, "The guest rebooted.");
            break;
        case MachineEvent::Kind::power_off:
            eject_installer();
            on_guest_end(GuestEnd::power_off, ExitCode::power_off, "The guest turned the machine off.");
            break;
        case MachineEvent::Kind::halted:
            if (m_built.machine->all_asleep()) {  // it may have been woken since
                on_guest_end(GuestEnd::halt, ExitCode::halt, "The guest halted: all its processors sleep with interrupts off.");
            }
            break;
        case MachineEvent::Kind::triple_fault:
            on_guest_end(GuestEnd::crash, ExitCode::triple_fault,
                         fmt::format("The guest crashed: a triple fault on {}.", event.detail));
            break;
        case MachineEvent::Kind::panic:
            on_guest_end(GuestEnd::panic, ExitCode::triple_fault, "The guest's kernel panicked.");
            break;
        case MachineEvent::Kind::cpu_failed:
            log_error("the processor could not go on: {}", event.detail);
            finish(code_of(ExitCode::error), fmt::format("The processor could not go on: {}", event.detail));
            break;
        case MachineEvent::Kind::no_space: on_no_space({}, event.detail); break;
        case MachineEvent::Kind::debug_exit: finish(event.code, "The guest wrote to the debug exit port."); break;
    }
}

// The guest ends its run: was that an installation? Then the machine starts from its disk from now on. A boot order that
// the user has chosen stays as it is.
void Worker::eject_installer() {
    if (!m_install || !m_install->take_installed()) {
        return;
    }
    forget_installer();
    for (const BuiltCd& cd : std::vector<BuiltCd>(m_built.cds)) {
        if (cd.path.empty()) {
            continue;
        }
        const std::string sentence = fmt::format("A system was installed: '{}' was ejected, and the machine starts from its disk.",
                                                 std::filesystem::path(cd.path).filename().string());
        if (change_medium(cd.id, {}, sentence)) {
            log_info("{}", sentence);
            forget_medium(cd.id);
        }
    }
}

// The kernel that started until now, and its files: there is a password's hash in them.
void Worker::forget_installer() {
    if (!m_built.forget_installer) {
        return;
    }
    m_built.forget_installer();
    m_built.forget_installer = nullptr;
    log_info("A system was installed without questions: from now on the machine starts from its disk.");
    if (m_inputs.folder.empty()) {
        return;
    }
    VmSpec now;
    const bool saved = change_settings([&now](VmSpec& spec) {
        spec.install_kernel.clear();
        spec.install_initrd.clear();
        spec.install_append.clear();
        now = spec;
    });
    if (saved) {
        remove_unused_install_files(m_inputs.folder, now);
    }
}

// In the machine's settings too, unless they name another medium by now.
void Worker::forget_medium(const std::string& drive) {
    if (m_inputs.folder.empty()) {
        return;
    }
    const CdSpec* started_with = m_inputs.spec.find_cd(drive);
    change_settings([&](VmSpec& spec) {
        CdSpec* cd = spec.find_cd(drive);
        if (cd != nullptr && started_with != nullptr && cd->file == started_with->file) {
            cd->file.clear();
        }
    });
}

bool Worker::change_settings(const std::function<void(VmSpec&)>& change) {
    const auto saved = Bundle::open(m_inputs.folder).and_then([&](const Bundle& bundle) {
        return bundle.update([&](VmSpec& spec) -> Status {
            change(spec);
            return {};
        });
    });
    if (!saved) {
        log_warning("{}", saved.error().message);
    }
    return saved.has_value();
}

void Worker::on_guest_end(GuestEnd end, ExitCode code, const std::string& sentence) {
    if (end == GuestEnd::crash || end == GuestEnd::panic) {
        log_warning("{}", sentence);
    }
    switch (m_end_policy.decide(end, m_built.machine->uptime())) {
        case EndAction::keep: set_state(m_state, sentence); break;
        case EndAction::pause:
            m_built.machine->pause();
            set_state(MachineState::paused, sentence);
            break;
        case EndAction::exit: finish(code_of(code), sentence); break;
        case EndAction::restart:
            if (end != GuestEnd::reboot) {
                log_info("{} The machine starts again, as its settings say.", sentence);
            }
            restart_guest();
            break;
    }
}

void Worker::restart_guest() {
    if (reset_machine()) {
        log_info("the guest was reset");
        set_state(m_built.machine->paused() ? MachineState::paused : MachineState::running, {});
    }
}

// A machine that cannot be reset ends.
Status Worker::reset_machine() {
    Status done = m_built.machine->reset();
    if (!done) {
        finish(code_of(ExitCode::error), done.error().message);
    } else if (m_server) {
        m_server->guest_reset();
    }
    return done;
}

void Worker::on_no_space(const std::string& disk, const std::string& sentence) {
    if (m_outcome || m_state == MachineState::no_space) {
        return;
    }
    m_built.machine->hold();
    set_state(MachineState::no_space, sentence);
    if (m_server) {
        m_server->no_space(disk, sentence);
    }
}

void Worker::set_state(MachineState state, std::string reason) {
    if (state == m_state && reason == m_reason) {
        return;
    }
    m_state = state;
    m_reason = std::move(reason);
    log_info("state: {}{}{}", to_text(state), m_reason.empty() ? "" : ": ", m_reason);
    if (m_server) {
        m_server->state_changed(m_state, m_reason);
    }
}

// Of disks and USB sticks.
std::vector<std::shared_ptr<BlockBackend>> Worker::writable_backends() const {
    std::vector<std::shared_ptr<BlockBackend>> backends;
    for (const BuiltDisk& disk : m_built.disks) {
        backends.push_back(disk.backend);
    }
    if (m_built.usb) {
        for (const UsbStick& stick : m_built.usb->list()) {
            backends.push_back(stick.backend);
        }
    }
    std::erase_if(backends, [](const auto& backend) { return backend->info().read_only; });
    return backends;
}

void Worker::cancel_held_writes() {
    for (const auto& backend : writable_backends()) {
        backend->cancel_held();
    }
}

void Worker::flush_disks() {
    for (const auto& backend : writable_backends()) {
        backend->cancel_held();
        backend->submit({.op = BlockOp::flush, .buffers = {}, .done = [](BlockStatus) {}});
        backend->drain();
    }
}

void Worker::finish(int exit_code, std::string message) {
    if (m_outcome) {
        return;
    }
    log_info("end: {} (exit code {})", message, exit_code);
    m_outcome = WorkerOutcome{exit_code, message};
    cancel_held_writes();
    m_built.machine->pause();
    flush_disks();
    set_state(MachineState::stopped, std::move(message));
    for (auto& hub : m_hubs) {
        if (hub) {
            hub->close();
        }
    }
    // After the reply to whoever asked for it has been queued.
    m_loop.post([this] {
        if (m_server) {
            m_server->shut_down(m_outcome->exit_code, m_outcome->message);
        }
        m_loop.quit();
    });
}

}  // namespace skep
