// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/kvm/kvm_vcpu.hpp"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"
#include "vmm/base/log.hpp"
#include "vmm/kvm/kvm_fd.hpp"
#include "vmm/kvm/kvm_state.hpp"

namespace skep::kvm {
namespace {

// Interrupts KVM_RUN; its handler does nothing.
int kick_signal() { return SIGRTMIN; }

void install_kick_handler() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    sigaction(kick_signal(), &action, nullptr);  // no SA_RESTART: the ioctl must return
}

constexpr uint32_t k_msr_apic_base = 0x1b;

}  // namespace

KvmVcpu::KvmVcpu(Fd vcpu, size_t run_size) : m_fd(std::move(vcpu)), m_run_size(run_size) {}

KvmVcpu::~KvmVcpu() {
    if (m_run != nullptr) {
        munmap(m_run, m_run_size);
    }
}

Status KvmVcpu::initialise(const std::vector<kvm_cpuid_entry2>& cpuid) {
    install_kick_handler();
    void* area = mmap(nullptr, m_run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m_fd.get(), 0);
    if (area == MAP_FAILED) {
        return fail_errno(errno, "Mapping a KVM processor");
    }
    m_run = static_cast<kvm_run*>(area);
    CpuidList list;
    list.count = static_cast<uint32_t>(std::min(cpuid.size(), list.entries.size()));
    std::copy_n(cpuid.begin(), list.count, list.entries.begin());
    if (auto set = SKEP_KVM_CALL(m_fd.get(), k_set_cpuid2, &list); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

uint64_t KvmVcpu::tsc_hz() const {
    auto khz = SKEP_KVM_CALL(m_fd.get(), KVM_GET_TSC_KHZ, 0UL);
    return khz && *khz > 0 ? static_cast<uint64_t>(*khz) * 1000 : 1'000'000'000;
}

// Read by the kernel when KVM_RUN begins; written by kick() on any thread.
void KvmVcpu::set_immediate_exit(uint8_t value) { std::atomic_ref(m_run->immediate_exit).store(value); }

void KvmVcpu::kick(KickReason reason) {
    const std::lock_guard lock(m_thread_mutex);
    if (reason == KickReason::leave) {
        m_leave = true;
    }
    if (m_run != nullptr) {
        set_immediate_exit(1);
    }
    if (m_running && !pthread_equal(m_thread, pthread_self())) {
        pthread_kill(m_thread, kick_signal());
    }
}

void KvmVcpu::inject_nmi() {
    if (auto sent = SKEP_KVM_CALL(m_fd.get(), KVM_NMI, 0UL); !sent) {
        log_warning("{}", sent.error().message);
    }
    m_halted = false;
}

// Between two instructions only: with an access still open the guest is not at such a place (api.rst, 5, KVM_EXIT_IO).
void KvmVcpu::inject_interrupt(CpuIo& io) {
    if (m_run->ready_for_interrupt_injection == 0 || m_run->if_flag == 0 || !io.interrupt_pending()) {
        return;
    }
    kvm_interrupt interrupt{};
    interrupt.irq = io.acknowledge_interrupt();
    if (auto sent = SKEP_KVM_CALL(m_fd.get(), KVM_INTERRUPT, &interrupt); !sent) {
        log_warning("{}", sent.error().message);
    }
    m_halted = false;
}

// One KVM_RUN. It first finishes the access that is open; then, unless an immediate exit is asked for, the guest runs.
KvmVcpu::Step KvmVcpu::enter(CpuIo& io) {
    m_run->cr8 = io.task_priority();  // before every entry: the kernel takes it over, and the guest may have written TPR
    m_run->request_interrupt_window = io.interrupt_pending() ? 1 : 0;
    const int status = ioctl(m_fd.get(), KVM_RUN, 0UL);
    const int error = errno;
    m_access_open = false;
    synchronise_apic(io);
    if (status >= 0) {
        return handle_exit(io);
    }
    if (error == EINTR || error == EAGAIN) {
        return Step::go_on;
    }
    m_error = fmt::format("The kernel's KVM refused to run the guest: {}", std::strerror(error));
    return Step::failed;
}

RunExit KvmVcpu::run_until_exit(CpuIo& io) {
    bool leaving = false;
    while (true) {
        set_immediate_exit(0);
        leaving = m_leave.exchange(false) || leaving;  // in this order: a kick in between is seen here or by KVM_RUN
        if (m_access_open) {
            const bool interrupt = m_run->if_flag != 0 && io.interrupt_pending();
            if (leaving || interrupt) {
                set_immediate_exit(1);  // no further than to the end of the instruction
            }
        } else if (leaving) {
            return RunExit::kicked;
        } else {
            inject_interrupt(io);
            if (m_halted) {
                return RunExit::halted;
            }
        }
        const Step step = enter(io);
        if (step == Step::shutdown) {
            return RunExit::shutdown;
        }
        if (step == Step::failed) {
            return RunExit::failed;
        }
        m_halted = step == Step::halted;
    }
}

RunExit KvmVcpu::run(CpuIo& io) {
    {
        const std::lock_guard lock(m_thread_mutex);
        m_thread = pthread_self();
        m_running = true;
    }
    adopt_apic_base(io);
    const RunExit result = run_until_exit(io);
    const std::lock_guard lock(m_thread_mutex);
    m_running = false;
    return result;
}

// After load() the machine's APIC knows where it is, the kernel not yet.
void KvmVcpu::adopt_apic_base(CpuIo& io) {
    if (m_apic_base_known) {
        return;
    }
    m_apic_base_known = true;
    if (const auto base = io.read_apic_msr(k_msr_apic_base); base) {
        m_apic_base = *base;
        if (Status set = set_apic_base(m_fd.get(), *base); !set) {
            log_warning("{}", set.error().message);
        }
    }
}

void KvmVcpu::synchronise_apic(CpuIo& io) {
    const auto cr8 = static_cast<uint8_t>(m_run->cr8);
    if (cr8 != io.task_priority()) {
        io.set_task_priority(cr8);
    }
    if (m_run->apic_base != m_apic_base) {
        m_apic_base = m_run->apic_base;
        io.write_apic_msr(k_msr_apic_base, m_apic_base);
    }
}

KvmVcpu::Step KvmVcpu::handle_exit(CpuIo& io) {
    switch (m_run->exit_reason) {
        case KVM_EXIT_IO: handle_port(io); return Step::go_on;
        case KVM_EXIT_MMIO: handle_mmio(io); return Step::go_on;
        case KVM_EXIT_HLT: return Step::halted;
        case KVM_EXIT_INTR:
        case KVM_EXIT_IRQ_WINDOW_OPEN:
        case KVM_EXIT_SET_TPR: return Step::go_on;
        case KVM_EXIT_SHUTDOWN: return Step::shutdown;
        case KVM_EXIT_INTERNAL_ERROR:
            m_error = fmt::format("KVM could not emulate an instruction (internal error {}); choose the software CPU for this machine.",
                                  m_run->internal.suberror);
            return Step::failed;
        case KVM_EXIT_FAIL_ENTRY:
            m_error = fmt::format("KVM could not enter the guest (hardware reason {:#x}).",
                                  static_cast<uint64_t>(m_run->fail_entry.hardware_entry_failure_reason));
            return Step::failed;
        default:
            m_error = fmt::format("KVM stopped for a reason unknown here ({}).", m_run->exit_reason);
            return Step::failed;
    }
}

void KvmVcpu::handle_port(CpuIo& io) {
    const auto& access = m_run->io;
    auto* data = reinterpret_cast<std::byte*>(m_run) + access.data_offset;
    for (uint32_t count = 0; count < access.count; ++count, data += access.size) {
        if (access.direction == KVM_EXIT_IO_OUT) {
            uint32_t value = 0;
            std::memcpy(&value, data, access.size);
            io.port_write(access.port, access.size, value);
        } else {
            const uint32_t value = io.port_read(access.port, access.size);
            std::memcpy(data, &value, access.size);
        }
    }
    m_access_open = true;
}

void KvmVcpu::handle_mmio(CpuIo& io) {
    auto& access = m_run->mmio;
    if (access.is_write != 0) {
        uint64_t value = 0;
        std::memcpy(&value, access.data, access.len);
        io.mmio_write(access.phys_addr, access.len, value);
    } else {
        const uint64_t value = io.mmio_read(access.phys_addr, access.len);
        std::memcpy(access.data, &value, access.len);
    }
    m_access_open = true;
}

void KvmVcpu::save(CpuState& state) {
    if (Status saved = save_state(m_fd.get(), state); !saved) {
        log_error("{}", saved.error().message);
    }
    state.activity = m_halted ? Activity::halted : Activity::running;
}

void KvmVcpu::load(const CpuState& state) {
    if (Status loaded = load_state(m_fd.get(), state); !loaded) {
        log_error("{}", loaded.error().message);
    }
    m_halted = state.activity == Activity::halted;
    m_access_open = false;
    m_apic_base_known = false;
}

}  // namespace skep::kvm
