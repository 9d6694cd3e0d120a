// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/vm.hpp"

#include <cpuid.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include "vmm/base/bits.hpp"
#include "vmm/interp/paravirtual.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {

// --- TSC -----------------------------------------------------------------------------------------------------------------
namespace {

// TSC and CLOCK_MONOTONIC_RAW (which no time server bends) at the same moment: the closest of some looks.
struct TscMoment {
    uint64_t tsc = 0;
    int64_t ns = 0;
};
TscMoment tsc_moment() {
    constexpr unsigned k_looks = 16;
    TscMoment best;
    uint64_t shortest = ~uint64_t{0};
    for (unsigned look = 0; look < k_looks; ++look) {
        timespec now{};
        const uint64_t before = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        const uint64_t took = __rdtsc() - before;
        if (took < shortest) {
            shortest = took;
            best = {before + took / 2, int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
        }
    }
    return best;
}

// Two looks 20 ms apart are right to a tenth of a part in a million; to the nearest kHz, as kernels count it.
uint64_t measured_tsc_hz() {
    const TscMoment first = tsc_moment();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const TscMoment last = tsc_moment();
    const double kilohertz = static_cast<double>(last.tsc - first.tsc) * 1e6 / static_cast<double>(last.ns - first.ns);
    return static_cast<uint64_t>(kilohertz + 0.5) * 1000;
}

}  // namespace

uint64_t host_tsc_hz() {
    static const uint64_t hz = [] {
        unsigned a = 0, b = 0, c = 0, d = 0;
        // SDM 2A, CPUID leaf 15H: EBX / EAX is TSC to crystal, ECX the crystal in Hz.
        if (__get_cpuid(0x15, &a, &b, &c, &d) != 0 && a != 0 && b != 0 && c != 0) {
            return uint64_t{c} * b / a;
        }
        return measured_tsc_hz();
    }();
    return hz;
}

GuestTsc::GuestTsc(uint64_t guest_hz, uint64_t host_hz)
    : m_guest_hz(guest_hz != 0 ? guest_hz : host_hz), m_host_hz(host_hz), m_offset(__rdtsc()) {}

uint64_t GuestTsc::scaled(uint64_t host_ticks) const {
    if (m_guest_hz == m_host_hz) {
        return host_ticks;
    }
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(Wide{host_ticks} * m_guest_hz / m_host_hz);
}

uint64_t GuestTsc::now() const {
    const uint64_t paused_at = m_paused_at.load(std::memory_order_acquire);
    return scaled((paused_at != 0 ? paused_at : __rdtsc()) - m_offset.load(std::memory_order_acquire));
}

void GuestTsc::pause() {
    if (m_paused_at.load(std::memory_order_acquire) == 0) {
        m_paused_at.store(__rdtsc(), std::memory_order_release);
    }
}

void GuestTsc::resume(uint64_t missed_ns) {
    __extension__ using Wide = unsigned __int128;
    const uint64_t paused_at = m_paused_at.load(std::memory_order_acquire);
    if (paused_at == 0) {
        return;
    }
    const auto missed = static_cast<uint64_t>(Wide{missed_ns} * m_host_hz / 1'000'000'000);
    m_offset.fetch_add(__rdtsc() - paused_at - missed, std::memory_order_acq_rel);
    m_paused_at.store(0, std::memory_order_release);
}

void GuestTsc::set(uint64_t guest_ticks) {
    __extension__ using Wide = unsigned __int128;
    const uint64_t paused_at = m_paused_at.load(std::memory_order_acquire);
    const auto host_ticks = static_cast<uint64_t>(Wide{guest_ticks} * m_host_hz / m_guest_hz);
    m_offset.store((paused_at != 0 ? paused_at : __rdtsc()) - host_ticks, std::memory_order_release);
}

uint64_t guest_tsc(const Core& core) {
    return core.vm->witnessed(core, HostNumber::tsc, core.vm->tsc_now());
}

// --- VM ------------------------------------------------------------------------------------------------------------------
Result<std::unique_ptr<Vm>> InterpHypervisor::create_vm(GuestMemory& memory, const CpuConfig& config) {
    return std::make_unique<InterpVm>(memory, config);
}

InterpVm::InterpVm(GuestMemory& memory, const CpuConfig& config, TranslatorFactory make_translator)
    : m_memory(memory),
      m_config(config),
      m_make_translator(std::move(make_translator)),
      m_tsc(config.tsc_hz, host_tsc_hz()),
      m_ram(memory.ram().data()),
      m_lines(std::make_unique<std::atomic<uint64_t>[]>(memory.marked_bytes() / k_page_size)),
      m_write_log(*this) {
    m_memory.add_listener(*this);
    m_memory.set_code_write_observer(
        [this](const std::byte* host_page) { code_written(nullptr, host_page, k_page_size); });
}

InterpVm::~InterpVm() {
    m_memory.set_code_write_observer({});
    m_memory.remove_listener(*this);
}

Result<std::unique_ptr<Vcpu>> InterpVm::create_vcpu(unsigned index) {
    if (index >= m_config.cpu_count) {
        return fail(ErrorKind::invalid_input, "Creating processor {}: this machine has only {}.", index,
                    m_config.cpu_count);
    }
    auto vcpu = std::make_unique<InterpVcpu>(*this, index, m_make_translator);
    const std::lock_guard lock(m_mutex);
    m_vcpus.push_back(vcpu.get());
    return vcpu;
}

uint32_t InterpVm::cpuid_signature() const { return x86::k_cpuid_signature; }

void InterpVm::forget(InterpVcpu& vcpu) {
    const std::lock_guard lock(m_mutex);
    std::erase(m_vcpus, &vcpu);
}

void InterpVm::resume_clock(uint64_t missed_ns) {
    m_tsc.resume(missed_ns);
    for (InterpVcpu* vcpu : others(nullptr)) {
        refresh_clock_page(vcpu->core(), ClockNews::stopped);
    }
}

void InterpVm::memory_map_changed() {
    for (InterpVcpu* vcpu : others(nullptr)) {
        vcpu->request(k_request_flush_tlb);
    }
}

// --- code in RAM ---------------------------------------------------------------------------------------------------------
namespace {

constexpr unsigned k_line_bytes = 64;

const std::byte* page_of(const std::byte* host) {
    return reinterpret_cast<const std::byte*>(align_down(reinterpret_cast<uintptr_t>(host), k_page_size));
}

// The bits of the lines that hold [host, host+size), which lies on one page.
uint64_t lines_mask(const std::byte* host, unsigned size) {
    const auto first = static_cast<unsigned>((reinterpret_cast<uintptr_t>(host) & k_page_mask) / k_line_bytes);
    const auto last = static_cast<unsigned>(((reinterpret_cast<uintptr_t>(host) & k_page_mask) + size - 1) / k_line_bytes);
    return all_ones(8) >> (63 - (last - first)) << first;
}

}  // namespace

std::atomic<uint64_t>* InterpVm::lines_of(const std::byte* host) const {
    return &m_lines[static_cast<uint64_t>(host - m_ram) / k_page_size];
}

std::vector<InterpVcpu*> InterpVm::others(const InterpVcpu* but) const {
    const std::lock_guard lock(m_mutex);
    std::vector<InterpVcpu*> found = m_vcpus;
    std::erase(found, but);
    return found;
}

void InterpVm::watch_code(InterpVcpu& by, const std::byte* host, unsigned size, bool first_of_page) {
    {
        const std::lock_guard lock(m_mutex);
        lines_of(host)->fetch_or(lines_mask(host, size));
        m_memory.marks_of(host)->fetch_or(k_page_has_code);
    }
    if (!first_of_page) {
        return;
    }
    // Whoever could write to this page without notice must stop doing so before its bytes are read. A vCPU that takes
    // part in the wait answers the questions of others meanwhile.
    by.protect_page(page_of(host));
    for (InterpVcpu* other : others(&by)) {
        const uint64_t ticket = other->ask_to_protect(page_of(host));
        while (!other->has_answered(ticket)) {
            by.answer();
            std::this_thread::yield();  // the other may be waiting for this very core
        }
    }
}

void InterpVm::code_written(InterpVcpu* by, const std::byte* host, unsigned size) {
    const std::byte* page = page_of(host);
    {
        const std::lock_guard lock(m_mutex);
        if ((lines_of(host)->load() & lines_mask(host, size)) == 0) {
            return;
        }
        lines_of(host)->store(0);
        m_code_clears.fetch_add(1);
        m_memory.marks_of(host)->fetch_and(static_cast<uint8_t>(~k_page_has_code));
        for (InterpVcpu* vcpu : m_vcpus) {
            if (vcpu != by) {
                vcpu->ask_to_drop(page);
            }
        }
    }
    if (by != nullptr) {
        by->drop_page(page);
    }
}

void code_written(Core& core, const std::byte* host, unsigned size) {
    core.vm->code_written(core.vcpu, host, size);
}

}  // namespace skep::interp
