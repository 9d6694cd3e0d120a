// SPDX-License-Identifier: GPL-3.0-or-later
// What clients ask of a running machine, by the control socket (MachineControl): answered on the control loop's thread.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/worker/worker.hpp"
#include "devices/storage/ahci_controller.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

// As `skepctl --json disk info` has it.
void add_ledger(nlohmann::json& disk, const DiskLedger& ledger) {
    disk["host_size"] = ledger.host_bytes;
    if (ledger.guest) {
        disk["guest"] = {{"file_systems", ledger.guest->file_systems},
                         {"used", ledger.guest->used_bytes},
                         {"other", ledger.guest->other_bytes}};
        disk["reclaimable"] = *ledger.reclaimable();
    }
}

}  // namespace

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
    m_ledgers.settle();
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
    Status done = reset_machine();
    if (done) {
        m_built.machine->resume();
        set_state(MachineState::running, {});
    }
    return done;
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
        auto opened = m_inputs.resolve(file).and_then([](const std::filesystem::path& path) { return open_cd(path.string()); });
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
    const std::vector<DiskLedger>& ledgers = m_ledgers.now(m_built.disks);
    for (size_t i = 0; i < m_built.disks.size(); ++i) {
        const BuiltDisk& disk = m_built.disks[i];
        info["disks"].push_back({{"id", disk.id},
                                 {"file", disk.path},
                                 {"size", disk.backend->info().size},
                                 {"read_only", disk.backend->info().read_only}});
        if (i < ledgers.size()) {
            add_ledger(info["disks"].back(), ledgers[i]);
        }
    }
    info["cds"] = nlohmann::json::array();
    for (const BuiltCd& cd : m_built.cds) {
        info["cds"].push_back({{"id", cd.id}, {"file", cd.path}});
    }
    info["usb"] = nlohmann::json::array();
    for (const StickInfo& stick : sticks()) {
        info["usb"].push_back({{"id", stick.id}, {"file", stick.file}, {"read_only", stick.access == StickAccess::read_only}});
    }
    info["networks"] = m_networks->info();
    if (!m_screen->socket().empty()) {
        info["vnc_socket"] = m_screen->socket().string();
    }
    if (!m_screen->password().empty()) {
        info["vnc_port"] = m_inputs.spec.vnc_port;
        info["vnc_password"] = m_screen->password();
    }
    return info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);  // guests choose some of the words
}

}  // namespace skep
