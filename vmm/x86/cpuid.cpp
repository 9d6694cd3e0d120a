// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/cpuid.hpp"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "vmm/base/bits.hpp"
#include "vmm/x86/paging.hpp"
#include "vmm/x86/pvclock.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::x86 {
namespace {

CpuidResult host_leaf(uint32_t leaf, uint32_t subleaf) {
    CpuidResult result;
    if (__get_cpuid_count(leaf, subleaf, &result.eax, &result.ebx, &result.ecx, &result.edx) == 0) {
        return {};
    }
    return result;
}

bool has(uint32_t word, unsigned position) { return ((word >> position) & 1) != 0; }
uint32_t flag(bool present, unsigned position) { return present ? uint32_t{1} << position : 0; }

// AVX needs the host's system to save the registers (XCR0), not only the instructions.
bool host_saves_avx(uint32_t leaf1_ecx) {
    constexpr unsigned k_osxsave = 27;
    if (!has(leaf1_ecx, k_osxsave)) {
        return false;
    }
    uint32_t low = 0;
    uint32_t high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

HostVectorFeatures read_host_features() {
    const CpuidResult one = host_leaf(1, 0);
    const CpuidResult seven = host_leaf(7, 0);
    const CpuidResult extended = host_leaf(0x8000'0001, 0);
    const bool avx = has(one.ecx, 28) && host_saves_avx(one.ecx);
    HostVectorFeatures host;
    host.sse3 = has(one.ecx, 0);
    host.pclmulqdq = has(one.ecx, 1);
    host.ssse3 = has(one.ecx, 9);
    host.sse4_1 = has(one.ecx, 19);
    host.sse4_2 = has(one.ecx, 20);
    host.movbe = has(one.ecx, 22);
    host.popcnt = has(one.ecx, 23);
    host.aes = has(one.ecx, 25);
    host.rdrand = has(one.ecx, 30);
    host.avx = avx;
    host.fma = avx && has(one.ecx, 12);
    host.f16c = avx && has(one.ecx, 29);
    host.bmi1 = avx && has(seven.ebx, 3);
    host.avx2 = avx && has(seven.ebx, 5);
    host.bmi2 = avx && has(seven.ebx, 8);
    host.vaes = avx && has(seven.ecx, 9);
    host.vpclmulqdq = avx && has(seven.ecx, 10);
    host.rdseed = has(seven.ebx, 18);
    host.adx = has(seven.ebx, 19);
    host.sha = has(seven.ebx, 29);
    host.lzcnt = has(extended.ecx, 5);
    return host;
}

constexpr uint32_t k_max_basic = 0x16, k_max_extended = 0x8000'0008;
constexpr uint32_t k_hypervisor = 0x4000'0000, k_own_hypervisor = 0x4000'0100;  // first leaves of their ranges

uint32_t word_of(const char* text) { return load_le<uint32_t>(text); }

CpuidResult vendor() { return {k_max_basic, word_of("Genu"), word_of("ntel"), word_of("ineI")}; }

CpuidResult features(const CpuidQuery& query) {
    const HostVectorFeatures& host = host_vector_features();
    constexpr uint32_t k_line_quadwords = 8;
    CpuidResult result;
    result.eax = k_cpuid_signature;
    result.ebx = k_line_quadwords << 8 | std::min(query.cpu_count, 255U) << 16 | query.apic_id << 24;
    result.ecx = flag(host.sse3, 0) | flag(host.pclmulqdq, 1) | flag(host.ssse3, 9) | flag(host.fma, 12) |
                 flag(true, 13) /* CMPXCHG16B */ | flag(true, 17) /* PCID */ | flag(host.sse4_1, 19) |
                 flag(host.sse4_2, 20) | flag(true, 21) /* x2APIC */ | flag(host.movbe, 22) | flag(host.popcnt, 23) |
                 flag(true, 24) /* TSC-deadline */ | flag(host.aes, 25) | flag(true, 26) /* XSAVE */ |
                 flag((query.cr4 & k_cr4_osxsave) != 0, 27) | flag(host.avx, 28) | flag(host.f16c, 29) |
                 flag(host.rdrand, 30) | flag(true, 31) /* hypervisor */;

    // FPU DE PSE TSC MSR PAE MCE CX8, SEP MTRR PGE MCA CMOV PAT PSE36, CLFSH, MMX FXSR SSE SSE2 SS
    constexpr uint32_t k_always = 0x1fd | 0x3'f800 | 0x8'0000 | 0xf80'0000;
    result.edx = k_always | flag(query.apic_enabled, 9) | flag(query.cpu_count > 1, 28);
    return result;
}

// Leaf 4: L1D 48 KiB 12 ways, L1I 32 KiB 8 ways, L2 1.25 MiB 20 ways, L3 16 MiB 16 ways; 64-byte lines.
CpuidResult cache(const CpuidQuery& query) {
    struct Cache {
        uint32_t type, level, ways, sets;
        bool shared;
    };
    constexpr std::array<Cache, 4> k_caches{{{1, 1, 12, 64, false}, {2, 1, 8, 64, false}, {3, 2, 20, 1024, false},
                                             {3, 3, 16, 16384, true}}};
    if (query.subleaf >= k_caches.size()) {
        return {};
    }
    const Cache& entry = k_caches[query.subleaf];
    const uint32_t last_id = std::bit_ceil(query.cpu_count) - 1;
    const uint32_t cores = std::min<uint32_t>(last_id, 63);
    return {.eax = entry.type | entry.level << 5 | 1U << 8 | (entry.shared ? last_id : 0) << 14 | cores << 26,
            .ebx = 63 | (entry.ways - 1) << 22,
            .ecx = entry.sets - 1,
            .edx = 0};
}

CpuidResult structured_features(uint32_t subleaf) {
    constexpr uint32_t k_last_subleaf = 2;
    if (subleaf == k_last_subleaf) {
        // BHI_CTRL: kernels that do not look for BHI_NO then set a bit of IA32_SPEC_CTRL once, instead of running a loop
        // of branches in every system call.
        return {0, 0, 0, flag(true, 4)};
    }
    if (subleaf != 0) {
        return {};
    }
    const HostVectorFeatures& host = host_vector_features();
    CpuidResult result;
    result.eax = k_last_subleaf;
    result.ebx = flag(true, 0) /* FSGSBASE */ | flag(true, 1) /* TSC_ADJUST */ | flag(host.bmi1, 3) | flag(host.avx2, 5) |
                 flag(true, 7) /* SMEP */ | flag(host.bmi2, 8) | flag(true, 9) /* ERMS */ | flag(true, 10) /* INVPCID */ |
                 flag(host.rdseed, 18) | flag(host.adx, 19) | flag(true, 20) /* SMAP */ |
                 flag(true, 23) /* CLFLUSHOPT */ | flag(true, 24) /* CLWB */ | flag(host.sha, 29);
    result.ecx = flag(true, 2) /* UMIP */ | flag(host.vaes, 9) | flag(host.vpclmulqdq, 10) | flag(true, 22) /* RDPID */;
    result.edx = flag(true, 4) /* FSRM */ | flag(true, 26) /* IBRS, IBPB */ | flag(true, 29) /* ARCH_CAPABILITIES */;
    return result;
}

// Leaf 0xb: one thread a core, all cores in one package.
CpuidResult topology(const CpuidQuery& query) {
    const auto id_bits = static_cast<uint32_t>(std::bit_width(std::max(query.cpu_count, 1U) - 1));
    constexpr uint32_t k_thread_level = 1, k_core_level = 2;
    switch (query.subleaf) {
        case 0: return {0, 1, k_thread_level << 8, query.apic_id};
        case 1: return {id_bits, query.cpu_count, k_core_level << 8 | 1, query.apic_id};
        default: return {0, 0, query.subleaf & 0xff, query.apic_id};
    }
}

CpuidResult extended_state(const CpuidQuery& query) {
    const uint64_t all = supported_xcr0();
    constexpr uint32_t k_xsaveopt = 1, k_avx_bytes = 256, k_avx_offset = 576;
    switch (query.subleaf) {
        case 0: return {static_cast<uint32_t>(all), xsave_area_size(query.xcr0), xsave_area_size(all), 0};
        case 1: return {k_xsaveopt, 0, 0, 0};
        case 2: return (all & 4) != 0 ? CpuidResult{k_avx_bytes, k_avx_offset, 0, 0} : CpuidResult{};
        default: return {};
    }
}

// Leaf 0x15: TSC = crystal * EBX / EAX. Linux also takes the crystal for the clock of the local APIC's timer, so the
// crystal is that clock. It multiplies kHz by EBX in 32 bits: EBX stays below 4294, and the ratio is the nearest one with
// such terms (within a part in a million).
CpuidResult tsc_ratio(const CpuidQuery& query) {
    constexpr uint64_t k_largest_numerator = 4294, k_largest_denominator = 4294;
    CpuidResult best{1, 1, static_cast<uint32_t>(k_apic_timer_hz), 0};
    uint64_t best_error = ~uint64_t{0};
    for (uint64_t denominator = 1; denominator <= k_largest_denominator; ++denominator) {
        const uint64_t numerator = (query.tsc_hz * denominator + k_apic_timer_hz / 2) / k_apic_timer_hz;
        if (numerator == 0 || numerator > k_largest_numerator) {
            continue;
        }
        const uint64_t product = numerator * k_apic_timer_hz / denominator;
        const uint64_t error = product > query.tsc_hz ? product - query.tsc_hz : query.tsc_hz - product;
        if (error < best_error) {
            best_error = error;
            best.eax = static_cast<uint32_t>(denominator);
            best.ebx = static_cast<uint32_t>(numerator);
        }
    }
    return best;
}

CpuidResult frequency(const CpuidQuery& query) {
    const auto megahertz = static_cast<uint32_t>(query.tsc_hz / 1'000'000);
    return {megahertz, megahertz, 100, 0};
}

CpuidResult brand(uint32_t leaf) {
    std::array<char, 48> text{};
    constexpr char k_name[] = "Skep software CPU";
    std::memcpy(text.data(), k_name, sizeof k_name);
    const char* part = text.data() + (leaf - 0x8000'0002) * 16;
    return {word_of(part), word_of(part + 4), word_of(part + 8), word_of(part + 12)};
}

CpuidResult extended_leaf(uint32_t leaf) {
    const HostVectorFeatures& host = host_vector_features();
    switch (leaf) {
        case 0x8000'0000: return {k_max_extended, 0, 0, 0};
        case 0x8000'0001:
            return {0, 0, flag(true, 0) /* LAHF */ | flag(host.lzcnt, 5) | flag(true, 8) /* PREFETCHW */,
                    flag(true, 11) /* SYSCALL */ | flag(true, 20) /* NX */ | flag(true, 26) /* 1 GiB pages */ |
                        flag(true, 27) /* RDTSCP */ | flag(true, 29) /* long mode */};
        case 0x8000'0002:
        case 0x8000'0003:
        case 0x8000'0004: return brand(leaf);
        case 0x8000'0006: return {0, 0, 1280U << 16 | 7U << 12 | 64, 0};  // L2: KiB, 16-way code, line
        case 0x8000'0007: return {0, 0, 0, flag(true, 8)};                // invariant TSC
        case 0x8000'0008: return {k_physical_address_bits | 48U << 8, 0, 0, 0};
        default: return {};
    }
}

// KVM's range, because every guest knows it; and one of our own, where a guest may learn the truth.
CpuidResult hypervisor_leaf(const CpuidQuery& query) {
    constexpr uint32_t k_features = k_hypervisor + 1, k_timing = k_hypervisor + 0x10;
    switch (query.leaf) {
        case k_hypervisor: return {k_timing, word_of("KVMK"), word_of("VMKV"), word_of("M\0\0\0")};
        case k_features: return {k_kvm_features, 0, 0, 0};
        case k_timing:  // in kHz, as VMware began it: TSC, APIC timer
            return {static_cast<uint32_t>(query.tsc_hz / 1000), static_cast<uint32_t>(k_apic_timer_hz / 1000), 0, 0};
        case k_own_hypervisor: return {k_own_hypervisor, word_of("Skep"), word_of("Skep"), word_of("Skep")};
        default: return {};
    }
}

CpuidResult basic_leaf(const CpuidQuery& query) {
    constexpr uint32_t k_always_running_apic_timer = 4;
    switch (query.leaf) {
        case 0: return vendor();
        case 1: return features(query);
        case 2: return {0x00fe'ff01, 0, 0, 0};  // "use leaf 4", no TLB descriptors
        case 4: return cache(query);
        case 6: return {k_always_running_apic_timer, 0, 0, 0};
        case 7: return structured_features(query.subleaf);
        case 0xb: return topology(query);
        case 0xd: return extended_state(query);
        case 0x15: return tsc_ratio(query);
        case 0x16: return frequency(query);
        default: return {};
    }
}

}  // namespace

const HostVectorFeatures& host_vector_features() {
    static const HostVectorFeatures features = read_host_features();
    return features;
}

uint64_t supported_xcr0() { return host_vector_features().avx ? 7 : 3; }

uint32_t xsave_area_size(uint64_t xcr0) {
    constexpr uint32_t k_legacy_and_header = 576, k_avx = 256;
    return k_legacy_and_header + ((xcr0 & 4) != 0 ? k_avx : 0);
}

CpuidResult cpuid(const CpuidQuery& query) {
    constexpr uint64_t k_limit_maximum = bit(22);  // IA32_MISC_ENABLE
    if (query.leaf == 0 && (query.misc_enable & k_limit_maximum) != 0) {
        CpuidResult limited = vendor();
        limited.eax = 2;
        return limited;
    }
    if (query.leaf <= k_max_basic) {
        return basic_leaf(query);
    }
    if (query.leaf >= k_hypervisor && query.leaf < k_own_hypervisor + 0x100) {
        return hypervisor_leaf(query);
    }
    if (query.leaf >= 0x8000'0000 && query.leaf <= k_max_extended) {
        return extended_leaf(query.leaf);
    }
    CpuidQuery highest = query;  // beyond what exists: the highest basic leaf (SDM 2A, CPUID)
    highest.leaf = k_max_basic;
    return basic_leaf(highest);
}

}  // namespace skep::x86
