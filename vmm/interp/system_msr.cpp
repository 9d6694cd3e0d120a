// SPDX-License-Identifier: GPL-3.0-or-later
// CPUID, RDMSR, WRMSR, RDTSC, RDTSCP, RDPID, RDPMC, XGETBV, XSETBV (SDM 2).
#include "vmm/x86/msr.hpp"

#include "vmm/interp/flags.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/paravirtual.hpp"
#include "vmm/interp/system_handlers.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/x86/cpuid.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp::system {

using namespace x86;

namespace {

void write_pair(Core& core, uint64_t value) {
    write_reg(core, k_rax * 8, static_cast<uint32_t>(value));
    write_reg(core, k_rdx * 8, static_cast<uint32_t>(value >> 32));
}

uint64_t read_pair(const Core& core) { return (core.gpr[k_rdx] << 32) | (core.gpr[k_rax] & 0xffff'ffff); }

uint64_t tsc(const Core& core) { return guest_tsc(core) + core.msr.tsc_adjust; }

bool is_apic_msr(uint32_t index) {
    return index == k_msr_apic_base || index == k_msr_tsc_deadline ||
           (index >= k_msr_x2apic_first && index <= k_msr_x2apic_last);
}

}  // namespace

void processor_id(Core& core, const Op&) {
    constexpr uint64_t k_apic_global_enable = 0x800;
    CpuidQuery query;
    query.leaf = static_cast<uint32_t>(core.gpr[k_rax]);
    query.subleaf = static_cast<uint32_t>(core.gpr[k_rcx]);
    query.apic_id = core.vcpu->index();
    query.cpu_count = core.vm->config().cpu_count;
    query.cr4 = core.cr4;
    query.xcr0 = core.xcr0;
    query.misc_enable = core.msr.misc_enable;
    query.tsc_hz = core.vm->tsc_hz();
    query.apic_enabled =
        (core.io->read_apic_msr(k_msr_apic_base).value_or(k_apic_global_enable) & k_apic_global_enable) != 0;
    const CpuidResult result = cpuid(query);
    write_reg(core, k_rax * 8, result.eax);
    write_reg(core, k_rbx * 8, result.ebx);
    write_reg(core, k_rcx * 8, result.ecx);
    write_reg(core, k_rdx * 8, result.edx);
}

namespace {

// The deadline is one of this processor's TSC (SDM 3A, 10.5.4.1); the timer's counts the VM's, without IA32_TSC_ADJUST.
std::optional<uint64_t> tsc_deadline(Core& core) {
    const std::optional<uint64_t> deadline = core.io->read_apic_msr(k_msr_tsc_deadline);
    return deadline && *deadline != 0 ? *deadline + core.msr.tsc_adjust : deadline;
}

bool set_tsc_deadline(Core& core, uint64_t value) {
    const auto left = static_cast<int64_t>(value - tsc(core));
    constexpr uint64_t k_long_ago = 1;
    const uint64_t of_the_vm = left <= 0 ? k_long_ago : value - core.msr.tsc_adjust;
    return core.io->write_apic_msr(k_msr_tsc_deadline, value == 0 ? 0 : of_the_vm);
}

std::optional<uint64_t> msr_value(Core& core, uint32_t index) {
    if (index == k_msr_tsc_deadline) {
        return tsc_deadline(core);
    }
    if (is_apic_msr(index)) {
        return core.io->read_apic_msr(index);
    }
    if (is_clock_msr(index)) {
        return read_clock_msr(core, index);
    }
    switch (index) {
        case k_msr_tsc: return tsc(core);
        case k_msr_efer: return core.msr.efer;
        case k_msr_fs_base: return core.segment[k_fs].base;
        case k_msr_gs_base: return core.segment[k_gs].base;
        default: return x86::read_msr(core.msr, index, core.vm->tsc_hz());
    }
}

bool set_base(Core& core, SegmentRegister which, uint64_t value) {
    if (!is_canonical(value)) {
        return false;
    }
    core.segment[which].base = value;
    update_mode(core);
    return true;
}

// Both move the time the guest reads; no vCPU's clock but this one's (SDM 3B, 17.17.3).
bool set_tsc_adjust(Core& core, uint64_t value) {
    const uint64_t deadline = tsc_deadline(core).value_or(0);
    core.msr.tsc_adjust = value;
    refresh_clock_page(core, ClockNews::moved);
    return deadline == 0 || set_tsc_deadline(core, deadline);
}

bool set_msr(Core& core, uint32_t index, uint64_t value) {
    if (is_clock_msr(index)) {
        write_clock_msr(core, index, value);
        return true;
    }
    if (is_apic_msr(index)) {
        core.interrupt_maybe = true;
        const bool taken =
            index == k_msr_tsc_deadline ? set_tsc_deadline(core, value) : core.io->write_apic_msr(index, value);
        if (taken && index == k_msr_apic_base) {
            core.requests.fetch_or(k_request_flush_tlb);  // its window may have moved
        }
        return taken;
    }
    switch (index) {
        case k_msr_tsc: return set_tsc_adjust(core, core.msr.tsc_adjust + value - tsc(core));
        case k_msr_tsc_adjust: return set_tsc_adjust(core, value);
        case k_msr_efer: write_efer(core, value); return true;
        case k_msr_fs_base: return set_base(core, k_fs, value);
        case k_msr_gs_base: return set_base(core, k_gs, value);
        default: return x86::write_msr(core.msr, index, value);
    }
}

}  // namespace

void read_msr(Core& core, const Op&) {
    require_ring0(core);
    const std::optional<uint64_t> value = msr_value(core, static_cast<uint32_t>(core.gpr[k_rcx]));
    if (!value) {
        raise(k_gp, 0);
    }
    write_pair(core, *value);
}

void write_msr(Core& core, const Op&) {
    require_ring0(core);
    if (!set_msr(core, static_cast<uint32_t>(core.gpr[k_rcx]), read_pair(core))) {
        raise(k_gp, 0);
    }
}

namespace {

void check_tsd(const Core& core) {
    if ((core.cr4 & k_cr4_tsd) != 0) {
        require_ring0(core);
    }
}

}  // namespace

void read_tsc(Core& core, const Op&) {
    check_tsd(core);
    write_pair(core, tsc(core));
}

void read_tsc_and_aux(Core& core, const Op&) {
    check_tsd(core);
    write_pair(core, tsc(core));
    write_reg(core, k_rcx * 8, static_cast<uint32_t>(core.msr.tsc_aux));
}

void read_aux(Core& core, const Op& op) { write_reg_sized(core, op.rm, core.code64 ? 8 : 4, core.msr.tsc_aux); }

// No counter exists (CPUID leaf 0xa is zero), so every index is beyond the last.
void read_performance_counter(Core&, const Op&) { raise(k_gp, 0); }

namespace {

void require_osxsave(const Core& core) {
    if ((core.cr4 & k_cr4_osxsave) == 0) {
        raise(k_ud);
    }
}

}  // namespace

void get_xcr(Core& core, const Op&) {
    require_osxsave(core);
    if (static_cast<uint32_t>(core.gpr[k_rcx]) != 0) {
        raise(k_gp, 0);
    }
    write_pair(core, core.xcr0);
}

void set_xcr(Core& core, const Op&) {
    require_osxsave(core);
    require_ring0(core);
    if (static_cast<uint32_t>(core.gpr[k_rcx]) != 0) {
        raise(k_gp, 0);
    }
    write_xcr0(core, read_pair(core));
}

}  // namespace skep::interp::system
