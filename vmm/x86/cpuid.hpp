// SPDX-License-Identifier: GPL-3.0-or-later
// What a guest on the software CPU is told of its processor (SDM 2A, CPUID). One model for interpreter and translator:
// what they implement, less the vector instructions that the host does not have (those run natively).
#pragma once

#include <cstdint>

namespace skep::x86 {

struct CpuidResult {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// Family 6, model 0x6a, stepping 6: leaf 1 EAX and EDX after reset.
inline constexpr uint32_t k_cpuid_signature = 0x000606a6;

// What the local APIC's timer counts, before its divider.
inline constexpr uint64_t k_apic_timer_hz = 1'000'000'000;

// Which optional instructions the host has and its system lets programs use: what the guest is told by CPUID, and what the
// software processors run; anything else is #UD.
struct HostVectorFeatures {
    bool sse3 = false, ssse3 = false, sse4_1 = false, sse4_2 = false, aes = false, pclmulqdq = false, sha = false;
    bool avx = false, avx2 = false, fma = false, f16c = false, vaes = false, vpclmulqdq = false;
    bool bmi1 = false, bmi2 = false, adx = false, movbe = false, popcnt = false, lzcnt = false;
    bool rdrand = false, rdseed = false;
};
// Read once; the same for the life of the process. Any thread.
[[nodiscard]] const HostVectorFeatures& host_vector_features();

// XCR0 bits a guest may set: x87, SSE, and AVX where the host has it.
[[nodiscard]] uint64_t supported_xcr0();
// Bytes of the standard-format XSAVE area for these XCR0 bits.
[[nodiscard]] uint32_t xsave_area_size(uint64_t xcr0);

// What of the asking processor's state shows in the answer.
struct CpuidQuery {
    uint32_t leaf = 0, subleaf = 0;
    unsigned apic_id = 0;      // initial local APIC id
    unsigned cpu_count = 1;
    uint64_t cr4 = 0, xcr0 = 1, misc_enable = 1;
    uint64_t tsc_hz = 0;
    bool apic_enabled = true;  // IA32_APIC_BASE bit 11
};
[[nodiscard]] CpuidResult cpuid(const CpuidQuery& query);

}  // namespace skep::x86
