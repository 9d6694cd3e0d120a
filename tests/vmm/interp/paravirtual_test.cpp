// SPDX-License-Identifier: GPL-3.0-or-later
// kvmclock and hypercalls on the software processor; the TSC over pauses, adjustments and loads.
#include "vmm/interp/paravirtual.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>

#include "tests/support/cpu_harness.hpp"
#include "vmm/x86/msr.hpp"
#include "vmm/x86/pvclock.hpp"

namespace skep::interp {
namespace {

using namespace x86;
using test::CpuHarness;

constexpr uint64_t k_page = CpuHarness::k_data + 0x40;
constexpr uint64_t k_second = 1'000'000'000;

class Paravirtual : public testing::Test {
  protected:
    void SetUp() override { cpu.vm->resume_clock(0); }

    // False: it raised #GP.
    bool write_msr(uint32_t index, uint64_t value) {
        cpu.state.rip = CpuHarness::k_code;
        cpu.state.gpr[k_rcx] = index;
        cpu.state.gpr[k_rax] = static_cast<uint32_t>(value);
        cpu.state.gpr[k_rdx] = value >> 32;
        return cpu.run({0x0f, 0x30}) == RunExit::halted;
    }
    uint64_t read_msr(uint32_t index) {
        cpu.state.rip = CpuHarness::k_code;
        cpu.state.gpr[k_rcx] = index;
        EXPECT_EQ(cpu.run({0x0f, 0x32}), RunExit::halted);
        return cpu.gpr(k_rdx) << 32 | cpu.gpr(k_rax);
    }
    int64_t hypercall(uint64_t number, uint64_t rbx, uint64_t rcx, std::vector<uint8_t> code = {0x0f, 0x01, 0xc1}) {
        cpu.state.rip = CpuHarness::k_code;
        cpu.state.gpr[k_rax] = number;
        cpu.state.gpr[k_rbx] = rbx;
        cpu.state.gpr[k_rcx] = rcx;
        EXPECT_EQ(cpu.run(std::move(code)), RunExit::halted);
        return static_cast<int64_t>(cpu.gpr(k_rax));
    }
    PvClockTime page(uint64_t address = k_page) { return cpu.read<PvClockTime>(address); }
    // What a guest makes of the page for a TSC value.
    static uint64_t time_at(const PvClockTime& page, uint64_t tsc) {
        return page.system_time + nanoseconds_of({page.multiplier, page.shift}, tsc - page.tsc_timestamp);
    }

    CpuHarness cpu;
};

TEST_F(Paravirtual, system_time_page_turns_the_tsc_into_nanoseconds) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time, k_page | 1));
    EXPECT_EQ(page().version, 2U);
    EXPECT_EQ(page().flags, k_pvclock_stable);
    const uint64_t hertz = cpu.vm->tsc_hz();
    EXPECT_NEAR(static_cast<double>(time_at(page(), 10 * hertz)), 10.0 * k_second, 100.0);
    EXPECT_EQ(read_msr(k_msr_kvm_system_time), k_page | 1);
    EXPECT_EQ(read_msr(k_msr_kvm_system_time_old), k_page | 1);
}

TEST_F(Paravirtual, disabled_or_unbacked_page_is_remembered_only) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time_old, k_page));
    EXPECT_EQ(page().version, 0U);
    for (const uint64_t address : {uint64_t{0xfee0'0000}, CpuHarness::k_ram - 4, ~uint64_t{0xff}}) {
        ASSERT_TRUE(write_msr(k_msr_kvm_system_time, address | 1));
        EXPECT_EQ(read_msr(k_msr_kvm_system_time), address | 1);
        ASSERT_TRUE(write_msr(k_msr_kvm_wall_clock, address));
    }
}

TEST_F(Paravirtual, wall_clock_and_system_time_add_up_to_the_hosts_time) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time, k_page | 1));
    ASSERT_TRUE(write_msr(k_msr_kvm_wall_clock, k_page + 64));
    const auto wall = cpu.read<PvClockWall>(k_page + 64);
    EXPECT_EQ(wall.version, 2U);
    EXPECT_LT(wall.nanoseconds, k_second);
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const double guest = wall.seconds + (static_cast<double>(wall.nanoseconds) +
                                         static_cast<double>(time_at(page(), cpu.vm->tsc_now()))) / k_second;
    EXPECT_NEAR(guest, static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / k_second, 0.25);
}

TEST_F(Paravirtual, moved_tsc_leaves_the_time_where_it_was) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time, k_page | 1));
    const uint32_t version = page().version;
    const uint64_t ahead = 5 * cpu.vm->tsc_hz();
    ASSERT_TRUE(write_msr(k_msr_tsc_adjust, ahead));
    EXPECT_GT(page().version, version);
    const uint64_t vm_tsc = cpu.vm->tsc_now();
    EXPECT_EQ(time_at(page(), vm_tsc + ahead), nanoseconds_of(tsc_scale(cpu.vm->tsc_hz()), vm_tsc));
    ASSERT_TRUE(write_msr(k_msr_tsc, 0));
    EXPECT_LT(read_msr(k_msr_tsc), 5 * cpu.vm->tsc_hz());
    EXPECT_NEAR(static_cast<double>(time_at(page(), read_msr(k_msr_tsc))),
                static_cast<double>(nanoseconds_of(tsc_scale(cpu.vm->tsc_hz()), cpu.vm->tsc_now())), 1e8);
}

TEST_F(Paravirtual, pause_is_counted_as_told_and_the_guest_hears_of_it) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time, k_page | 1));
    cpu.vm->pause_clock();
    const uint64_t before = cpu.vm->tsc_now();
    EXPECT_EQ(cpu.vm->tsc_now(), before);
    cpu.vm->resume_clock(100 * k_second);
    EXPECT_NEAR(static_cast<double>(cpu.vm->tsc_now() - before) / static_cast<double>(cpu.vm->tsc_hz()), 100.0, 0.5);
    EXPECT_EQ(page().flags, k_pvclock_stable | k_pvclock_stopped);
    EXPECT_EQ(page().version & 1, 0U);
    cpu.vm->pause_clock();
    const uint64_t second = cpu.vm->tsc_now();
    cpu.vm->resume_clock(0);
    EXPECT_NEAR(static_cast<double>(cpu.vm->tsc_now() - second) / static_cast<double>(cpu.vm->tsc_hz()), 0.0, 0.5);
}

TEST_F(Paravirtual, every_processor_of_a_paused_machine_hears_of_it) {
    CpuHarness two(test::CpuMode::long64, 2);
    for (unsigned i = 0; i < 2; ++i) {
        CpuState state = two.initial_state();
        state.msr.kvm_system_time = (k_page + i * 64) | 1;
        two.vcpu(i).load(state);
        EXPECT_TRUE(two.read<PvClockTime>(k_page + i * 64).flags & k_pvclock_stopped) << "a load is a pause too";
        ASSERT_TRUE(two.memory->write_value<uint8_t>(k_page + i * 64 + 29, k_pvclock_stable));  // the guest has seen it
    }
    two.vm->pause_clock();
    two.vm->resume_clock(0);
    const auto first = two.read<PvClockTime>(k_page), second = two.read<PvClockTime>(k_page + 64);
    EXPECT_TRUE(first.flags & k_pvclock_stopped);
    EXPECT_TRUE(second.flags & k_pvclock_stopped);
    EXPECT_EQ(first.multiplier, second.multiplier);
    EXPECT_EQ(time_at(first, 1'000'000), time_at(second, 1'000'000));
}

TEST_F(Paravirtual, loaded_state_carries_tsc_and_clock_on) {
    ASSERT_TRUE(write_msr(k_msr_kvm_system_time, k_page | 1));
    ASSERT_TRUE(write_msr(k_msr_tsc_adjust, 12345));
    CpuState saved;
    cpu.vcpu().save(saved);
    CpuHarness other;
    other.vcpu().load(saved);
    EXPECT_GE(other.vm->tsc_now(), saved.tsc);
    EXPECT_LT(other.vm->tsc_now() - saved.tsc, other.vm->tsc_hz());
    EXPECT_EQ(other.read<PvClockTime>(k_page).tsc_timestamp, 12345U);
    CpuState again;
    other.vcpu().save(again);
    EXPECT_EQ(again.msr.kvm_system_time, k_page | 1);
    EXPECT_EQ(again.msr.tsc_adjust, 12345U);
}

TEST_F(Paravirtual, reset_and_init_forget_the_page) {
    CpuState state = cpu.initial_state();
    state.msr.kvm_system_time = k_page | 1;
    state.msr.debugctl = 1;
    init_cpu_state(state, 0);
    EXPECT_EQ(state.msr.kvm_system_time, 0U);
    EXPECT_EQ(state.msr.debugctl, 0U);
}

TEST_F(Paravirtual, deadline_is_one_of_the_processors_own_tsc) {
    cpu.io.apic_msrs[k_msr_tsc_deadline] = 0;
    const uint64_t ahead = uint64_t{1} << 50;
    ASSERT_TRUE(write_msr(k_msr_tsc_adjust, ahead));
    ASSERT_TRUE(write_msr(k_msr_tsc_deadline, ahead + (uint64_t{1} << 40)));
    EXPECT_EQ(cpu.io.apic_msrs[k_msr_tsc_deadline], uint64_t{1} << 40);
    EXPECT_EQ(read_msr(k_msr_tsc_deadline), ahead + (uint64_t{1} << 40));
    ASSERT_TRUE(write_msr(k_msr_tsc_adjust, 0));
    EXPECT_EQ(cpu.io.apic_msrs[k_msr_tsc_deadline], ahead + (uint64_t{1} << 40));
    ASSERT_TRUE(write_msr(k_msr_tsc_adjust, ahead));
    ASSERT_TRUE(write_msr(k_msr_tsc_deadline, 7));  // long past: due at once
    EXPECT_EQ(cpu.io.apic_msrs[k_msr_tsc_deadline], 1U);
    ASSERT_TRUE(write_msr(k_msr_tsc_deadline, 0));
    EXPECT_EQ(cpu.io.apic_msrs[k_msr_tsc_deadline], 0U);
    EXPECT_EQ(read_msr(k_msr_tsc_deadline), 0U);
}

TEST_F(Paravirtual, clock_pairing_tells_the_hosts_time) {
    ASSERT_EQ(hypercall(9, k_page, 0), 0);
    const auto pairing = cpu.read<ClockPairing>(k_page);
    EXPECT_NEAR(static_cast<double>(pairing.seconds), static_cast<double>(std::time(nullptr)), 2.0);
    EXPECT_LT(pairing.nanoseconds, 1'000'000'000);
    EXPECT_LE(pairing.tsc, cpu.vm->tsc_now());
    EXPECT_EQ(hypercall(9, k_page, 1), -95);
    EXPECT_EQ(hypercall(9, ~uint64_t{0}, 0), -14);
}

TEST_F(Paravirtual, other_hypercalls_are_not_implemented_by_either_instruction) {
    EXPECT_EQ(hypercall(1234, 0, 0), -1000);
    EXPECT_EQ(hypercall(5, 0, 0, {0x0f, 0x01, 0xd9}), -1000);
}

TEST(ParavirtualProtected, hypercall_in_32_bit_code_takes_and_gives_32_bits) {
    CpuHarness cpu(test::CpuMode::protected32);
    cpu.state.gpr[k_rax] = 0xffff'ffff'0000'0009;
    cpu.state.gpr[k_rbx] = 0xffff'ffff'0000'0000 | k_page;
    cpu.state.gpr[k_rcx] = 0xffff'ffff'0000'0000;
    ASSERT_EQ(cpu.run({0x0f, 0x01, 0xc1}), RunExit::halted);
    EXPECT_EQ(cpu.gpr(k_rax), 0U);
    EXPECT_NE(cpu.read<ClockPairing>(k_page).seconds, 0);
}

TEST(GuestTsc, hosts_rate_is_plausible_and_in_whole_kilohertz_or_from_a_crystal) {
    EXPECT_GT(host_tsc_hz(), 500'000'000U);
    EXPECT_LT(host_tsc_hz(), 10'000'000'000U);
    const uint64_t begin = __builtin_ia32_rdtsc();
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(5)) {
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double ticks = static_cast<double>(__builtin_ia32_rdtsc() - begin);
    EXPECT_NEAR(ticks / seconds / static_cast<double>(host_tsc_hz()), 1.0, 0.02);
}

TEST(GuestTsc, rates_scale_and_pauses_add_up) {
    GuestTsc tsc(1'000'000'000, host_tsc_hz());
    tsc.pause();
    tsc.set(5'000'000'000);
    EXPECT_NEAR(static_cast<double>(tsc.now()), 5e9, 10.0);
    tsc.resume(10 * k_second);
    EXPECT_NEAR(static_cast<double>(tsc.now()), 15e9, 2e8);
    tsc.resume(10 * k_second);  // was not paused
    EXPECT_NEAR(static_cast<double>(tsc.now()), 15e9, 2e8);
}

}  // namespace
}  // namespace skep::interp
