// SPDX-License-Identifier: GPL-3.0-or-later
// Descriptors, CPUID and MSRs of the software processor.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "vmm/x86/cpuid.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/msr.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::x86 {
namespace {

TEST(Descriptor, flat_code_reads_back) {
    const Descriptor code{0x00cf'9b00'0000'ffff};
    EXPECT_TRUE(code.is_code() && code.is_readable_code() && code.present() && code.accessed());
    EXPECT_FALSE(code.is_conforming_code());
    EXPECT_EQ(code.limit(), 0xffff'ffffU);
    EXPECT_EQ(segment_of(8, code).attributes, 0xc09bU);
}

TEST(Descriptor, base_and_byte_limit_are_gathered_from_their_pieces) {
    const Descriptor data{0x1205'9234'5678'9abc};
    EXPECT_EQ(data.base(), 0x1234'5678U);
    EXPECT_EQ(data.limit(), 0x5'9abcU);
    EXPECT_TRUE(data.is_writable_data());
    EXPECT_EQ(segment_of(0x10, data, 0xffff'8000).base, 0xffff'8000'1234'5678U);
}

TEST(Descriptor, gate_offset_and_selector) {
    const Descriptor gate{0x1234'ee05'0008'5678};
    EXPECT_EQ(gate.gate_offset(), 0x1234'5678U);
    EXPECT_EQ(gate.gate_selector(), 8);
    EXPECT_EQ(gate.gate_ist(), 5U);
    EXPECT_EQ(gate.dpl(), 3U);
    EXPECT_TRUE(gate.is_system(k_interrupt_gate32));
}

TEST(Descriptor, lar_takes_gates_and_lsl_does_not) {
    EXPECT_TRUE(lar_accepts(k_call_gate32, false) && lar_accepts(k_call_gate32, true));
    EXPECT_FALSE(lsl_accepts(k_call_gate32, false));
    EXPECT_TRUE(lar_accepts(k_task_gate, false));
    EXPECT_FALSE(lar_accepts(k_task_gate, true));
    EXPECT_FALSE(lar_accepts(k_interrupt_gate32, false));
}

TEST(Canonical, boundary_addresses) {
    EXPECT_TRUE(is_canonical(0x0000'7fff'ffff'ffff));
    EXPECT_FALSE(is_canonical(0x0000'8000'0000'0000));
    EXPECT_FALSE(is_canonical(0xffff'7fff'ffff'ffff));
    EXPECT_TRUE(is_canonical(0xffff'8000'0000'0000));
}

CpuidResult leaf(uint32_t number, uint32_t subleaf = 0, unsigned cpus = 4, uint64_t tsc_hz = 2'445'406'000) {
    CpuidQuery query;
    query.leaf = number;
    query.subleaf = subleaf;
    query.cpu_count = cpus;
    query.tsc_hz = tsc_hz;
    return cpuid(query);
}

TEST(Cpuid, vendor_and_brand) {
    const CpuidResult zero = leaf(0);
    std::string vendor(12, 0);
    std::memcpy(vendor.data(), &zero.ebx, 4);
    std::memcpy(vendor.data() + 4, &zero.edx, 4);
    std::memcpy(vendor.data() + 8, &zero.ecx, 4);
    EXPECT_EQ(vendor, "GenuineIntel");
    std::string brand(48, 0);
    for (uint32_t i = 0; i < 3; ++i) {
        const CpuidResult part = leaf(0x8000'0002 + i);
        std::memcpy(brand.data() + i * 16, &part, 16);
    }
    EXPECT_STREQ(brand.c_str(), "Skep software CPU");
}

TEST(Cpuid, hypervisor_bit_comes_with_two_signatures) {
    EXPECT_TRUE(leaf(1).ecx & 1U << 31);
    const CpuidResult known = leaf(0x4000'0000);
    EXPECT_EQ(std::memcmp(&known.ebx, "KVMKVMKVM\0\0\0", 12), 0);
    EXPECT_EQ(known.eax, 0x4000'0010U);
    const CpuidResult own = leaf(0x4000'0100);
    EXPECT_EQ(std::memcmp(&own.ebx, "SkepSkepSkep", 12), 0);
    EXPECT_EQ(leaf(0x4000'01ff).eax, 0U);
}

TEST(Cpuid, kvm_offers_its_clock_and_nothing_that_needs_more) {
    // CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, CLOCKSOURCE_STABLE_BIT; no async page faults, steal time, PV EOI, spinlocks.
    EXPECT_EQ(leaf(0x4000'0001).eax, 1U | 2U | 8U | 1U << 24);
    EXPECT_EQ(leaf(0x4000'0001).edx, 0U);
}

TEST(Cpuid, frequencies_are_told_in_three_ways) {
    EXPECT_EQ(leaf(0x4000'0010).eax, 2'445'406U);
    EXPECT_EQ(leaf(0x4000'0010).ebx, 1'000'000U);
    EXPECT_EQ(leaf(0x16).eax, 2445U);
    EXPECT_NE(leaf(0x15).ebx, 0U);
    EXPECT_TRUE(leaf(0x8000'0007).edx & 1U << 8) << "invariant TSC";
    EXPECT_TRUE(leaf(1).ecx & 1U << 24) << "TSC-deadline";
    EXPECT_TRUE(leaf(1).ecx & 1U << 21) << "x2APIC";
    EXPECT_TRUE(leaf(6).eax & 4U) << "ARAT";
}

TEST(Cpuid, required_features_are_there) {
    // FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
    for (const unsigned bit : {0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26}) {
        EXPECT_TRUE(leaf(1).edx & 1U << bit) << bit;
    }
    EXPECT_FALSE(leaf(1).edx & 1U << 1) << "no VME";
    for (const unsigned bit : {2, 3, 5, 6, 18}) {  // DTES64, MONITOR, VMX, SMX, DCA
        EXPECT_FALSE(leaf(1).ecx & 1U << bit) << bit;
    }
    EXPECT_TRUE(leaf(0x8000'0001).edx & 1U << 29);
}

TEST(Cpuid, avx_family_is_consistent_with_xcr0) {
    const bool avx = (leaf(1).ecx & 1U << 28) != 0;
    EXPECT_EQ(avx, (supported_xcr0() & 4) != 0);
    if (!avx) {
        EXPECT_FALSE(leaf(7).ebx & 1U << 5);
        EXPECT_FALSE(leaf(1).ecx & 1U << 12);
    }
    EXPECT_EQ(leaf(0xd).ecx, xsave_area_size(supported_xcr0()));
    EXPECT_EQ(leaf(0xd).ebx, 576U) << "x87 only, XCR0 = 1";
}

TEST(Cpuid, apic_bit_and_osxsave_follow_their_registers) {
    CpuidQuery query;
    query.leaf = 1;
    query.apic_enabled = false;
    EXPECT_FALSE(cpuid(query).edx & 1U << 9);
    EXPECT_FALSE(cpuid(query).ecx & 1U << 27);
    query.cr4 = k_cr4_osxsave;
    EXPECT_TRUE(cpuid(query).ecx & 1U << 27);
}

TEST(Cpuid, tsc_ratio_is_within_a_part_in_a_million_and_fits_linux_arithmetic) {
    for (const uint64_t hertz : {1'000'000'000ULL, 2'445'406'000ULL, 2'499'998'123ULL, 3'693'000'017ULL, 800'000'003ULL}) {
        const CpuidResult ratio = leaf(0x15, 0, 1, hertz);
        const uint64_t kilohertz = uint64_t{ratio.ecx / 1000} * ratio.ebx;
        ASSERT_LT(kilohertz, uint64_t{1} << 32);
        const double told = static_cast<double>(ratio.ecx) * ratio.ebx / ratio.eax;
        EXPECT_NEAR(told / static_cast<double>(hertz), 1.0, 1e-6) << hertz;
    }
}

TEST(Cpuid, topology_counts_processors) {
    EXPECT_EQ(leaf(0xb, 0).eax, 0U);
    EXPECT_EQ(leaf(0xb, 1, 4).eax, 2U);
    EXPECT_EQ(leaf(0xb, 1, 5).eax, 3U);
    EXPECT_EQ(leaf(0xb, 1, 5).ebx, 5U);
    EXPECT_EQ(leaf(0xb, 2).ebx, 0U);
}

TEST(Cpuid, caches_end_and_multiply_to_their_size) {
    const CpuidResult l1 = leaf(4, 0);
    const uint32_t bytes = ((l1.ebx >> 22) + 1) * ((l1.ebx & 0xfff) + 1) * (l1.ecx + 1);
    EXPECT_EQ(bytes, 48U << 10);
    EXPECT_EQ(leaf(4, 4).eax & 31, 0U);
}

TEST(Cpuid, leaf_beyond_the_last_answers_as_the_last) { EXPECT_EQ(leaf(0x1234).eax, leaf(0x16).eax); }

TEST(Msr, pat_takes_memory_types_only) {
    MsrState state;
    EXPECT_TRUE(write_msr(state, k_msr_pat, 0x0407'0500'0106'0406));
    EXPECT_EQ(read_msr(state, k_msr_pat, 0), 0x0407'0500'0106'0406U);
    EXPECT_FALSE(write_msr(state, k_msr_pat, 2));
    EXPECT_FALSE(write_msr(state, k_msr_pat, 8));
}

TEST(Msr, mtrrs_store_valid_values_and_refuse_others) {
    MsrState state;
    EXPECT_TRUE(write_msr(state, k_msr_mtrr_fix16k_a0000, 0x0606'0606'0606'0606));
    EXPECT_FALSE(write_msr(state, k_msr_mtrr_fix64k, 0x07));
    EXPECT_TRUE(write_msr(state, k_msr_mtrr_physbase0 + 2, 0xc000'0006));
    EXPECT_FALSE(write_msr(state, k_msr_mtrr_physbase0 + 2, 0xc000'0106));
    EXPECT_TRUE(write_msr(state, k_msr_mtrr_physbase0 + 3, 0xff'c000'0800));
    EXPECT_FALSE(write_msr(state, k_msr_mtrr_physbase0 + 3, uint64_t{1} << 40));
    EXPECT_EQ(read_msr(state, k_msr_mtrr_physbase0 + 3, 0), 0xff'c000'0800U);
    EXPECT_FALSE(read_msr(state, k_msr_mtrr_physbase0 + 16, 0));
    EXPECT_FALSE(write_msr(state, k_msr_mtrr_def_type, 0x1000));
}

TEST(Msr, addresses_must_be_canonical) {
    MsrState state;
    for (const uint32_t index : {k_msr_lstar, k_msr_cstar, k_msr_kernel_gs_base, k_msr_sysenter_eip}) {
        EXPECT_FALSE(write_msr(state, index, 0x0000'8000'0000'0000)) << index;
        EXPECT_TRUE(write_msr(state, index, 0xffff'8000'0000'0000)) << index;
    }
}

TEST(Msr, debugctl_reads_back_and_refuses_reserved_bits) {
    MsrState state;
    EXPECT_EQ(read_msr(state, k_msr_debugctl, 0), 0U);
    EXPECT_TRUE(write_msr(state, k_msr_debugctl, 3));
    EXPECT_EQ(read_msr(state, k_msr_debugctl, 0), 3U);
    for (unsigned bit = 2; bit < 64; ++bit) {
        EXPECT_FALSE(write_msr(state, k_msr_debugctl, uint64_t{1} << bit)) << bit;
    }
    EXPECT_EQ(state.debugctl, 3U);
}

TEST(Msr, processor_claims_every_immunity_a_kernel_asks_for) {
    const uint64_t told = read_msr({}, k_msr_arch_capabilities, 0).value();
    for (const unsigned bit : {0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62}) {
        EXPECT_TRUE(told & uint64_t{1} << bit) << bit;
    }
    EXPECT_FALSE(told & 1U << 2) << "RSBA";
    EXPECT_FALSE(told & 1U << 19) << "RRSBA";
    EXPECT_TRUE(leaf(7).edx & 1U << 29);
}

TEST(Msr, read_only_and_unknown_registers_refuse) {
    MsrState state;
    EXPECT_FALSE(write_msr(state, k_msr_feature_control, 5));
    EXPECT_FALSE(write_msr(state, k_msr_mtrrcap, 0));
    EXPECT_FALSE(write_msr(state, k_msr_arch_capabilities, 0));
    EXPECT_FALSE(read_msr(state, 0xc001'0015, 0));
    EXPECT_FALSE(read_msr(state, k_msr_pred_cmd, 0));
    EXPECT_TRUE(write_msr(state, k_msr_pred_cmd, 1));
}

}  // namespace
}  // namespace skep::x86
