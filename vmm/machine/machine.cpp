// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/machine/machine.hpp"

#include <algorithm>
#include <ranges>

namespace skep {

Machine::Machine(std::unique_ptr<GuestMemory> memory, std::unique_ptr<Vm> vm, EventHandler on_event)
    : m_memory(std::move(memory)), m_vm(std::move(vm)), m_on_event(std::move(on_event)) {
    m_clock.pause();
    m_clock.set_now(0);
    m_vm->pause_clock();
}

Machine::~Machine() {
    pause();
    m_runners.clear();
    m_devices.clear();
    while (!m_owned.empty()) {  // last added, first gone
        m_owned.pop_back();
    }
    while (!m_kept.empty()) {
        m_kept.pop_back();
    }
}

void Machine::add_device(std::unique_ptr<Device> device) {
    m_devices.push_back(device.get());
    m_owned.push_back(std::move(device));
}

void Machine::add_device(Device& device) { m_devices.push_back(&device); }

Status Machine::add_vcpu(LocalInterruptController& local_apic) {
    const auto index = static_cast<unsigned>(m_runners.size());
    auto vcpu = m_vm->create_vcpu(index);
    if (!vcpu) {
        return tl::unexpected(vcpu.error());
    }
    m_runners.push_back(std::make_unique<VcpuRunner>(index, std::move(*vcpu), m_ports, m_mmio, local_apic,
                                                     static_cast<RunnerEvents&>(*this), m_vm->cpuid_signature()));
    return {};
}

Status Machine::load_reset_state() {
    for (Device* device : m_devices) {
        device->reset();
    }
    CpuState state = reset_cpu_state(m_vm->cpuid_signature());
    CpuState boot_processor = state;
    if (m_boot_load) {
        if (Status loaded = m_boot_load(*m_memory, boot_processor); !loaded) {
            return loaded;
        }
        // The loader wrote over memory of which a software CPU may hold decoded code.
        m_memory->mark_written(0, m_memory->low_ram_bytes());
    }
    state.activity = Activity::wait_for_sipi;
    for (size_t index = 0; index < m_runners.size(); ++index) {
        m_runners[index]->load(index == 0 ? boot_processor : state);
    }
    return {};
}

Status Machine::start() {
    if (Status loaded = load_reset_state(); !loaded) {
        return loaded;
    }
    for (Device* device : m_devices) {
        device->start();
    }
    m_paused = false;
    m_clock.resume();
    m_vm->resume_clock(0);
    resume_vcpus();
    return {};
}

void Machine::stop_vcpus() {
    for (auto& runner : m_runners) {
        runner->request_pause();
    }
    for (auto& runner : m_runners) {
        runner->wait_paused();
    }
}

void Machine::resume_vcpus() {
    for (auto& runner : m_runners) {
        runner->resume();
    }
}

void Machine::pause() {
    stop_vcpus();
    if (m_paused) {
        return;
    }
    m_paused = true;
    m_vm->pause_clock();
    m_clock.pause();
    m_paused_since = std::chrono::steady_clock::now();
    for (Device* device : std::views::reverse(m_devices)) {
        device->pause();
    }
}

void Machine::resume() {
    if (m_paused) {
        m_paused = false;
        for (Device* device : m_devices) {
            device->resume();
        }
        const auto missed = std::chrono::steady_clock::now() - m_paused_since;
        const auto missed_ns = static_cast<Nanoseconds>(std::chrono::nanoseconds(missed).count());
        m_clock.resume(missed_ns);
        m_vm->resume_clock(missed_ns);
    }
    resume_vcpus();
}

Status Machine::reset() {
    stop_vcpus();
    Status loaded = load_reset_state();
    if (loaded && !m_paused) {
        resume_vcpus();
    }
    return loaded;
}

bool Machine::all_asleep() const {
    return std::ranges::all_of(m_runners, [](const auto& runner) { return runner->asleep_for_good(); });
}

uint64_t Machine::instructions() const {
    uint64_t sum = 0;
    for (const auto& runner : m_runners) {
        sum += runner->instructions();
    }
    return sum;
}

void Machine::request(MachineRequest what, int code, const std::string& detail) {
    using Kind = MachineEvent::Kind;
    if (what == MachineRequest::panic) {  // it may yet write a dump, or restart by itself
        m_on_event({Kind::panic, code, detail});
        return;
    }
    // The guest must not run on past its own reset or power-off, nor into a disk that cannot answer.
    for (auto& runner : m_runners) {
        runner->request_pause();
    }
    switch (what) {
        case MachineRequest::reset: m_on_event({Kind::reset, code, detail}); break;
        case MachineRequest::power_off: m_on_event({Kind::power_off, code, detail}); break;
        case MachineRequest::pause_no_space: m_on_event({Kind::no_space, code, detail}); break;
        case MachineRequest::debug_exit: m_on_event({Kind::debug_exit, code, detail}); break;
        case MachineRequest::panic: break;
    }
}

void Machine::interrupt_changed(unsigned cpu) {
    if (cpu < m_runners.size()) {
        m_runners[cpu]->interrupt_changed();
    }
}

void Machine::nmi(unsigned cpu) {
    if (cpu < m_runners.size()) {
        m_runners[cpu]->nmi();
    }
}

void Machine::init(unsigned cpu) {
    if (cpu < m_runners.size()) {
        m_runners[cpu]->init();
    }
}

void Machine::startup(unsigned cpu, uint8_t vector) {
    if (cpu < m_runners.size()) {
        m_runners[cpu]->startup(vector);
    }
}

void Machine::triple_fault(unsigned cpu) {
    m_on_event({MachineEvent::Kind::triple_fault, 0, fmt::format("vCPU {}", cpu)});
}

void Machine::vcpu_failed(unsigned cpu, const std::string& why) {
    m_on_event({MachineEvent::Kind::cpu_failed, 0, fmt::format("vCPU {}: {}", cpu, why)});
}

void Machine::halted_forever(unsigned /*cpu*/) {
    if (all_asleep()) {
        m_on_event({MachineEvent::Kind::halted, 0, {}});
    }
}

}  // namespace skep
