// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/machine/vcpu_runner.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_rflags_if = bit(9);

}  // namespace

VcpuRunner::VcpuRunner(unsigned index, std::unique_ptr<Vcpu> vcpu, IoSpace& ports, IoSpace& mmio,
                       LocalInterruptController& local_apic, RunnerEvents& events, uint32_t cpuid_signature)
    : m_index(index),
      m_cpuid_signature(cpuid_signature),
      m_vcpu(std::move(vcpu)),
      m_ports(ports),
      m_mmio(mmio),
      m_local_apic(local_apic),
      m_events(events),
      m_thread([this] { run(); }) {
    pthread_setname_np(m_thread.native_handle(), fmt::format("vcpu{}", index).c_str());
}

VcpuRunner::~VcpuRunner() {
    {
        const std::lock_guard lock(m_mutex);
        m_quit = true;
        m_vcpu->kick(KickReason::leave);
        m_wake.notify_all();
    }
    m_thread.join();
}

void VcpuRunner::load(const CpuState& state) {
    const std::lock_guard lock(m_mutex);
    m_vcpu->load(state);
    m_state = state.activity == Activity::wait_for_sipi ? State::waiting
              : state.activity == Activity::shutdown    ? State::stopped
                                                        : State::runnable;
    m_asleep_for_good = m_state != State::runnable;
    m_nmi = m_init = false;
    m_startup.reset();
    m_woken = true;
}

void VcpuRunner::save(CpuState& state) {
    const std::lock_guard lock(m_mutex);
    m_vcpu->save(state);
}

void VcpuRunner::request_pause() {
    const std::lock_guard lock(m_mutex);
    m_pause_requested = true;
    m_vcpu->kick(KickReason::leave);
    m_wake.notify_all();
}

void VcpuRunner::wait_paused() {
    std::unique_lock lock(m_mutex);
    m_parked.wait(lock, [this] { return m_paused; });
}

void VcpuRunner::resume() {
    const std::lock_guard lock(m_mutex);
    m_pause_requested = false;
    m_wake.notify_all();
}

void VcpuRunner::interrupt_changed() {
    const std::lock_guard lock(m_mutex);
    m_woken = true;
    m_vcpu->kick(KickReason::interrupt);
    m_wake.notify_all();
}

void VcpuRunner::nmi() {
    const std::lock_guard lock(m_mutex);
    m_nmi = true;
    m_vcpu->kick(KickReason::leave);
    m_wake.notify_all();
}

void VcpuRunner::init() {
    const std::lock_guard lock(m_mutex);
    m_init = true;
    m_startup.reset();
    m_vcpu->kick(KickReason::leave);
    m_wake.notify_all();
}

void VcpuRunner::startup(uint8_t vector) {
    const std::lock_guard lock(m_mutex);
    if (m_state == State::waiting || m_init) {  // otherwise a start-up IPI is ignored (SDM 3A, 8.4.4)
        m_startup = vector;
        m_wake.notify_all();
    }
}

void VcpuRunner::take_signals() {
    if (m_init) {
        m_init = false;
        CpuState state;
        m_vcpu->save(state);
        init_cpu_state(state, m_cpuid_signature);
        // The boot processor starts over at the reset vector; the others wait (SDM 3A, 8.4.2).
        state.activity = m_index == 0 ? Activity::running : Activity::wait_for_sipi;
        m_vcpu->load(state);
        m_state = m_index == 0 ? State::runnable : State::waiting;
        m_asleep_for_good = m_state != State::runnable;
    }
    if (m_startup && m_state == State::waiting) {
        CpuState state;
        m_vcpu->save(state);
        start_at_sipi_vector(state, *m_startup);
        m_vcpu->load(state);
        m_state = State::runnable;
    }
    m_startup.reset();
    if (m_nmi && m_state == State::runnable) {
        m_nmi = false;
        m_vcpu->inject_nmi();
    }
}

void VcpuRunner::wait_in_halt(std::unique_lock<std::mutex>& lock) {
    CpuState state;
    m_vcpu->save(state);
    if ((state.rflags & k_rflags_if) == 0) {
        m_asleep_for_good = true;
        lock.unlock();
        m_events.halted_forever(m_index);
        lock.lock();
    }
    m_wake.wait(lock, [this] { return m_woken || m_quit || m_pause_requested || m_nmi || m_init; });
}

void VcpuRunner::handle_exit(RunExit exit, std::unique_lock<std::mutex>& lock) {
    if (exit == RunExit::kicked) {
        return;
    }
    if (exit == RunExit::halted) {
        wait_in_halt(lock);
        return;
    }
    m_state = State::stopped;
    m_asleep_for_good = true;
    lock.unlock();
    if (exit == RunExit::shutdown) {
        m_events.triple_fault(m_index);
    } else {
        m_events.vcpu_failed(m_index, m_vcpu->last_error());
    }
    lock.lock();
}

void VcpuRunner::run() {
    std::unique_lock lock(m_mutex);
    while (!m_quit) {
        if (m_pause_requested) {
            m_paused = true;
            m_parked.notify_all();
            m_wake.wait(lock, [this] { return !m_pause_requested || m_quit; });
            m_paused = false;
            continue;
        }
        take_signals();
        if (m_state != State::runnable) {
            m_wake.wait(lock, [this] { return m_quit || m_pause_requested || m_init || m_startup.has_value(); });
            continue;
        }
        m_woken = false;
        m_asleep_for_good = false;
        lock.unlock();
        const RunExit exit = m_vcpu->run(*this);
        lock.lock();
        handle_exit(exit, lock);
    }
}

uint32_t VcpuRunner::port_read(uint16_t port, unsigned size) {
    return static_cast<uint32_t>(m_ports.read(port, size));
}

void VcpuRunner::port_write(uint16_t port, unsigned size, uint32_t value) { m_ports.write(port, size, value); }

bool VcpuRunner::is_apic_page(GuestAddress page) { return m_local_apic.window() == align_down(page, k_page_size); }

// The xAPIC takes aligned 32-bit accesses (SDM 3A, 11.4.1); narrower reads get their part of the register.
uint64_t VcpuRunner::mmio_read(GuestAddress address, unsigned size) {
    if (!is_apic_page(address)) {
        return m_mmio.read(address, size);
    }
    const auto offset = static_cast<uint32_t>(address & k_page_mask);
    const uint64_t value = m_local_apic.window_read(offset & ~3U);
    return bits(value, (offset & 3) * 8, size * 8);
}

void VcpuRunner::mmio_write(GuestAddress address, unsigned size, uint64_t value) {
    if (!is_apic_page(address)) {
        m_mmio.write(address, size, value);
        return;
    }
    const auto offset = static_cast<uint32_t>(address & k_page_mask);
    if (size >= 4 && (offset & 3) == 0) {
        m_local_apic.window_write(offset, static_cast<uint32_t>(value));
    }
}

}  // namespace skep
