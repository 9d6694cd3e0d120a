// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/paravirtual.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>

#include "vmm/interp/operands.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/x86/pvclock.hpp"

namespace skep::interp {

using namespace x86;

namespace {

constexpr int64_t k_ns_a_second = 1'000'000'000;

int64_t host_wall_ns() {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
}

// The same moment by the host's wall clock and by the VM's TSC: the closest of three looks, as this thread may lose its
// core between the two.
struct Moment {
    int64_t wall_ns = 0;
    uint64_t tsc = 0;
};
Moment this_moment(const Core& core) {
    constexpr unsigned k_looks = 3;
    Moment best;
    uint64_t shortest = ~uint64_t{0};
    for (unsigned look = 0; look < k_looks; ++look) {
        const uint64_t before = guest_tsc(core);
        const int64_t wall_ns = host_wall_ns();
        const uint64_t took = guest_tsc(core) - before;
        if (took < shortest) {
            shortest = took;
            best = {wall_ns, before + took / 2};
        }
    }
    return best;
}

// Odd version, content, even version: a reader on another processor sees all of it or looks again. `content` begins with
// its version.
template <typename Page>
void publish(GuestMemory& memory, GuestAddress address, Page page) {
    const uint32_t seen = memory.read_value<uint32_t>(address).value_or(0);
    page.version = (seen + 1) | 1;
    if (!memory.write_value(address, page.version)) {
        return;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!memory.write_value(address, page)) {
        return;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ++page.version;
    static_cast<void>(memory.write_value(address, page.version));
}

void tell_wall_clock(const Core& core, GuestAddress address) {
    const Moment now = this_moment(core);
    const int64_t at_zero = now.wall_ns - static_cast<int64_t>(nanoseconds_of(tsc_scale(core.vm->tsc_hz()), now.tsc));
    PvClockWall wall;
    wall.seconds = static_cast<uint32_t>(at_zero / k_ns_a_second);
    wall.nanoseconds = static_cast<uint32_t>(at_zero % k_ns_a_second);
    publish(*core.memory, address, wall);
}

}  // namespace

bool is_clock_msr(uint32_t index) {
    return index == k_msr_kvm_wall_clock || index == k_msr_kvm_wall_clock_old || index == k_msr_kvm_system_time ||
           index == k_msr_kvm_system_time_old;
}

uint64_t read_clock_msr(const Core& core, uint32_t index) {
    const bool is_wall = index == k_msr_kvm_wall_clock || index == k_msr_kvm_wall_clock_old;
    return is_wall ? core.msr.kvm_wall_clock : core.msr.kvm_system_time;
}

void write_clock_msr(Core& core, uint32_t index, uint64_t value) {
    if (index == k_msr_kvm_wall_clock || index == k_msr_kvm_wall_clock_old) {
        core.msr.kvm_wall_clock = value;
        tell_wall_clock(core, value);
        return;
    }
    core.msr.kvm_system_time = value;
    refresh_clock_page(core, ClockNews::moved);
}

void refresh_clock_page(Core& core, ClockNews news) {
    if ((core.msr.kvm_system_time & k_system_time_enabled) == 0) {
        return;
    }
    const TscScale scale = tsc_scale(core.vm->tsc_hz());
    PvClockTime page;
    page.tsc_timestamp = core.msr.tsc_adjust;  // what this processor's TSC showed when the VM's was 0
    page.multiplier = scale.multiplier;
    page.shift = scale.shift;
    page.flags = k_pvclock_stable | (news == ClockNews::stopped ? k_pvclock_stopped : 0);
    publish(*core.memory, core.msr.kvm_system_time & ~k_system_time_enabled, page);
}

namespace system {
namespace {

constexpr int64_t k_eperm = -1, k_efault = -14, k_eopnotsupp = -95, k_enosys = -1000;

int64_t clock_pairing(const Core& core, GuestAddress address, uint64_t clock_type) {
    constexpr uint64_t k_wall_clock = 0;
    if (clock_type != k_wall_clock) {
        return k_eopnotsupp;
    }
    const Moment now = this_moment(core);
    ClockPairing pairing;
    pairing.seconds = now.wall_ns / k_ns_a_second;
    pairing.nanoseconds = now.wall_ns % k_ns_a_second;
    pairing.tsc = now.tsc + core.msr.tsc_adjust;
    return core.memory->write_value(address, pairing) ? 0 : k_efault;
}

}  // namespace

void hypercall(Core& core, const Op&) {
    constexpr uint64_t k_clock_pairing = 9;
    const auto argument = [&](Gpr index) {
        return core.code64 ? core.gpr[index] : static_cast<uint32_t>(core.gpr[index]);
    };
    int64_t result = k_enosys;
    if (core.cpl != 0) {
        result = k_eperm;
    } else if (argument(k_rax) == k_clock_pairing) {
        result = clock_pairing(core, argument(k_rbx), argument(k_rcx));
    }
    write_reg_sized(core, k_rax * 8, core.code64 ? 8 : 4, static_cast<uint64_t>(result));
}

}  // namespace system
}  // namespace skep::interp
