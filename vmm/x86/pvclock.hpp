// SPDX-License-Identifier: GPL-3.0-or-later
// KVM's paravirtual clock as guests know it (the kernel's Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst): two
// MSRs name places in the guest's memory where the hypervisor writes what turns the TSC into time.
#pragma once

#include <cstdint>

namespace skep::x86 {

// Each under two numbers. A write of the system time's: the physical address of a PvClockTime, bit 0 enables it; of the
// wall clock's: that of a PvClockWall, filled in at once.
enum PvClockMsr : uint32_t {
    k_msr_kvm_wall_clock_old = 0x11,
    k_msr_kvm_system_time_old = 0x12,
    k_msr_kvm_wall_clock = 0x4b56'4d00,
    k_msr_kvm_system_time = 0x4b56'4d01,
};
inline constexpr uint64_t k_system_time_enabled = 1;

// CPUID leaf 0x40000001, EAX: both pairs of MSRs, port 0x80 needs no delay, one clock for all processors.
inline constexpr uint32_t k_kvm_features = 1U << 0 | 1U << 1 | 1U << 3 | 1U << 24;

// The version is odd while the rest is being written.
struct PvClockTime {
    uint32_t version = 0;
    uint32_t padding = 0;
    uint64_t tsc_timestamp = 0;
    uint64_t system_time = 0;  // ns, at tsc_timestamp
    uint32_t multiplier = 0;
    int8_t shift = 0;
    uint8_t flags = 0;
    uint16_t padding_2 = 0;
};
static_assert(sizeof(PvClockTime) == 32);
// PvClockTime::flags
inline constexpr uint8_t k_pvclock_stable = 1;   // all processors agree on this clock
inline constexpr uint8_t k_pvclock_stopped = 2;  // they stood still for a while: no reason to report a lock-up

struct PvClockWall {
    uint32_t version = 0;
    uint32_t seconds = 0;  // since 1970 UTC, when the system time was 0
    uint32_t nanoseconds = 0;
};
static_assert(sizeof(PvClockWall) == 12);

// ns = ((ticks << shift, or >> -shift) * multiplier) >> 32.
struct TscScale {
    uint32_t multiplier = 0;
    int8_t shift = 0;
};
// The one with the most significant bits; tsc_hz: 1 .. 2^40.
[[nodiscard]] TscScale tsc_scale(uint64_t tsc_hz);
[[nodiscard]] uint64_t nanoseconds_of(const TscScale& scale, uint64_t ticks);

// What KVM_HC_CLOCK_PAIRING tells: the host's wall clock and the guest's TSC of the same moment.
struct ClockPairing {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    uint64_t tsc = 0;
    uint32_t flags = 0;
    uint32_t padding[9] = {};
};
static_assert(sizeof(ClockPairing) == 64);

}  // namespace skep::x86
