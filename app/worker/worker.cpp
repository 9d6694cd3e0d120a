// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/worker.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/worker/sandbox.hpp"
#include "devices/storage/ahci_controller.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/host_check.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/jit/hypervisor.hpp"
#include "vmm/kvm/kvm_hypervisor.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {
namespace {

constexpr int code_of(ExitCode code) { return static_cast<int>(code); }

}  // namespace

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
    make_consoles();
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
                           }};
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
        m_install.emplace(m_inputs.spec.firmware, m_built.disks);
    }
    m_networks = std::make_unique<NetworkService>(m_built.networks);
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
    const auto saved = Bundle::open(m_inputs.folder).and_then([](const Bundle& bundle) {
        return bundle.update([](VmSpec& spec) -> Status {
            spec.install_kernel.clear();
            spec.install_initrd.clear();
            spec.install_append.clear();
            return {};
        });
    });
    if (!saved) {
        log_warning("{}", saved.error().message);
        return;
    }
    for (const std::string& file : {m_inputs.spec.install_kernel, m_inputs.spec.install_initrd}) {
        std::error_code error;
        if (file.starts_with("install/")) {  // the user's own files stay
            std::filesystem::remove(m_inputs.folder / file, error);
        }
    }
}

// In the machine's settings too, unless they name another medium by now.
void Worker::forget_medium(const std::string& drive) {
    if (m_inputs.folder.empty()) {
        return;
    }
    const CdSpec* started_with = m_inputs.spec.find_cd(drive);
    const auto saved = Bundle::open(m_inputs.folder).and_then([&](const Bundle& bundle) {
        return bundle.update([&](VmSpec& spec) -> Status {
            CdSpec* cd = spec.find_cd(drive);
            if (cd != nullptr && started_with != nullptr && cd->file == started_with->file) {
                cd->file.clear();
            }
            return {};
        });
    });
    if (!saved) {
        log_warning("{}", saved.error().message);
    }
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
    if (Status done = m_built.machine->reset(); !done) {
        finish(code_of(ExitCode::error), done.error().message);
        return;
    }
    log_info("the guest was reset");
    if (m_server) {
        m_server->guest_reset();
    }
    set_state(m_built.machine->paused() ? MachineState::paused : MachineState::running, {});
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

MachineStatus Worker::status() {
    return {.state = m_state,
            .reason = m_reason,
            .uptime_ms = m_built.machine ? m_built.machine->uptime() / 1'000'000 : 0,
            .cpu_backend = m_cpu_name,
            .cpu_reason = m_cpu_reason};
}

Status Worker::pause() {
    if (m_state == MachineState::no_space) {
        return fail(ErrorKind::in_use, "The machine is already held because the host's disk is full; free space, then retry.");
    }
    if (m_state == MachineState::running) {
        m_built.machine->pause();
        set_state(MachineState::paused, "Paused by request.");
    }
    return {};
}

Status Worker::resume() {
    if (m_state == MachineState::no_space) {
        return retry();
    }
    if (m_state == MachineState::paused) {
        m_built.machine->resume();
        set_state(MachineState::running, {});
    }
    return {};
}

Status Worker::retry() {
    if (m_state != MachineState::no_space) {
        return fail(ErrorKind::invalid_input, "Nothing waits for space on the host's disk.");
    }
    m_built.machine->resume();
    set_state(MachineState::running, {});
    for (const auto& backend : writable_backends()) {
        backend->retry();
    }
    return {};
}

Status Worker::resize_disk(const std::string& id, uint64_t size) {
    const auto found = std::ranges::find(m_built.disks, id, &BuiltDisk::id);
    const auto spec = std::ranges::find(m_inputs.spec.disks, id, &DiskSpec::id);
    if (found == m_built.disks.end() || spec == m_inputs.spec.disks.end()) {
        return fail(ErrorKind::not_found, "The machine has no disk '{}'.", id);
    }
    if (spec->bus != DiskBus::virtio) {
        return fail(ErrorKind::unsupported, "Only virtio disks can grow while the machine runs: shut it down, then resize '{}'.", id);
    }
    if (m_state == MachineState::no_space) {
        return fail(ErrorKind::in_use, "The machine is held because the host's disk is full; free space, then retry.");
    }
    const bool runs = m_state == MachineState::running;
    if (runs) {
        m_built.machine->pause();
    }
    const Status grown = found->backend->grow(size);
    if (runs) {
        m_built.machine->resume();
    }
    if (grown) {
        log_info("disk '{}' has {} bytes now", id, size);
        found->backend->tell_grown();
    }
    return grown;
}

Status Worker::power_button() {
    if (m_state == MachineState::paused) {
        [[maybe_unused]] const Status resumed = resume();  // a sleeping guest cannot hear it
    }
    m_end_policy.turning_off_was_asked();
    m_built.board->press_power_button();
    return {};
}

Status Worker::power_off() {
    finish(code_of(ExitCode::power_off), "The machine was turned off.");
    return {};
}

Status Worker::reset() {
    cancel_held_writes();
    if (Status done = m_built.machine->reset(); !done) {
        finish(code_of(ExitCode::error), done.error().message);
        return done;
    }
    m_built.machine->resume();
    if (m_server) {
        m_server->guest_reset();
    }
    set_state(MachineState::running, {});
    return {};
}

Result<BuiltCd*> Worker::find_drive(const std::string& drive) {
    for (BuiltCd& cd : m_built.cds) {
        if (drive.empty() || cd.id == drive) {
            return &cd;
        }
    }
    return drive.empty() ? fail(ErrorKind::not_found, "This machine has no CD drive; add one in its settings.")
                         : fail(ErrorKind::not_found, "This machine has no CD drive '{}'.", drive);
}

Status Worker::change_medium(const std::string& drive, const std::string& file, const std::string& why) {
    auto cd = find_drive(drive);
    if (!cd) {
        return tl::unexpected(cd.error());
    }
    std::shared_ptr<BlockBackend> medium;
    if (!file.empty()) {
        auto opened = open_cd(file);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        medium = std::move(*opened);
    }
    m_built.ahci->change_cd((*cd)->port, std::move(medium));
    (*cd)->path = file;
    if (m_server) {
        m_server->cd_changed((*cd)->id, file, why);
    }
    return {};
}

Status Worker::eject(const std::string& drive) { return change_medium(drive, {}); }
Status Worker::insert(const std::string& drive, const std::string& file) { return change_medium(drive, file); }

Result<std::string> Worker::attach_stick(const std::string& file, StickAccess access, const std::string& id) {
    if (!m_built.usb) {
        return fail(ErrorKind::unsupported, "This machine has no USB controller; set its usb.controller to xhci.");
    }
    return m_built.usb->plug({.id = id, .path = file, .serial = {}, .read_only = access == StickAccess::read_only})
        .map([this](const UsbStick& stick) {
            if (m_server) {
                m_server->usb_changed(stick.id, stick.path);
            }
            return stick.id;
        });
}

Result<std::string> Worker::detach_stick(const std::string& id) {
    if (!m_built.usb) {
        return fail(ErrorKind::not_found, "This machine has no USB controller, so nothing is plugged in.");
    }
    return m_built.usb->unplug(id).map([this](const UsbStick& stick) {
        if (m_server) {
            m_server->usb_changed(stick.id, {});
        }
        return stick.id;
    });
}

std::vector<StickInfo> Worker::sticks() {
    std::vector<StickInfo> sticks;
    if (m_built.usb) {
        for (const UsbStick& stick : m_built.usb->list()) {
            sticks.push_back({stick.id, stick.path, stick.read_only ? StickAccess::read_only : StickAccess::read_write});
        }
    }
    return sticks;
}

std::string Worker::info_json() {
    nlohmann::json info;
    info["name"] = m_inputs.spec.name;
    info["id"] = m_inputs.spec.id;
    info["memory_mib"] = m_inputs.spec.memory_mib;
    info["cpus"] = m_built.machine->cpu_count();
    info["cpu_backend"] = m_cpu_name;
    info["cpu_reason"] = m_cpu_reason;
    if (const uint64_t instructions = m_built.machine->instructions(); instructions != 0) {  // not every back end counts
        info["instructions"] = instructions;
    }
    info["uptime_ms"] = m_built.machine->uptime() / 1'000'000;
    info["disks"] = nlohmann::json::array();
    for (const BuiltDisk& disk : m_built.disks) {
        info["disks"].push_back({{"id", disk.id},
                                 {"file", disk.path},
                                 {"size", disk.backend->info().size},
                                 {"read_only", disk.backend->info().read_only}});
    }
    info["cds"] = nlohmann::json::array();
    for (const BuiltCd& cd : m_built.cds) {
        info["cds"].push_back({{"id", cd.id}, {"file", cd.path}});
    }
    info["usb"] = nlohmann::json::array();
    for (const StickInfo& stick : sticks()) {
        info["usb"].push_back({{"id", stick.id}, {"file", stick.file}, {"read_only", stick.access == StickAccess::read_only}});
    }
    info["networks"] = nlohmann::json::parse(m_networks->info_json());
    if (!m_screen->socket().empty()) {
        info["vnc_socket"] = m_screen->socket().string();
    }
    if (!m_screen->password().empty()) {
        info["vnc_port"] = m_inputs.spec.vnc_port;
        info["vnc_password"] = m_screen->password();
    }
    return info.dump();
}

}  // namespace skep
