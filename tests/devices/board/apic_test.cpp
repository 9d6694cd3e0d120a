// SPDX-License-Identifier: GPL-3.0-or-later
// Local APICs, IO-APIC and messages together.
#include <gtest/gtest.h>

#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint32_t k_base_msr = 0x1b;
constexpr uint64_t k_x2apic_base = 0xfee00c00;

class ApicTest : public testing::Test, public BoardFixture {
  protected:
    ApicTest() : BoardFixture(4) {
        for (unsigned cpu = 0; cpu < 4; ++cpu) {
            enable_apic(cpu);
        }
    }
    void icr(unsigned cpu, uint32_t high, uint32_t low) {
        apic(cpu).window_write(0x310, high);
        apic(cpu).window_write(0x300, low);
    }
    void eoi(unsigned cpu = 0) { apic(cpu).window_write(0xb0, 0); }
    void to_x2apic(unsigned cpu) {
        ASSERT_TRUE(apic(cpu).write_msr(k_base_msr, k_x2apic_base | (cpu == 0 ? 0x100 : 0)));
    }
    unsigned pending_count() {
        unsigned count = 0;
        for (unsigned cpu = 0; cpu < 4; ++cpu) {
            count += apic(cpu).interrupt_pending() ? 1 : 0;
        }
        return count;
    }
};

TEST_F(ApicTest, fixed_ipi_reaches_the_addressed_processor_only) {
    icr(0, 2U << 24, 0x4041);
    EXPECT_FALSE(apic(1).interrupt_pending());
    ASSERT_TRUE(apic(2).interrupt_pending());
    EXPECT_EQ(signals.interrupts[2], 1U);
    EXPECT_EQ(apic(2).window_read(0x220), 1U << 1);  // IRR
    EXPECT_EQ(apic(2).acknowledge_interrupt(), 0x41);
    EXPECT_EQ(apic(2).window_read(0x220), 0U);
    EXPECT_EQ(apic(2).window_read(0x120), 1U << 1);  // ISR
    EXPECT_EQ(apic(2).window_read(0xa0), 0x40U);     // PPR
    eoi(2);
    EXPECT_EQ(apic(2).window_read(0x120), 0U);
}

TEST_F(ApicTest, shorthands_reach_self_all_and_all_but_self) {
    icr(1, 0, 0x44000 | 0x50);
    EXPECT_TRUE(apic(1).interrupt_pending());
    EXPECT_EQ(pending_count(), 1U);
    EXPECT_EQ(apic(1).acknowledge_interrupt(), 0x50);
    eoi(1);
    icr(1, 0, 0xc4000 | 0x51);
    EXPECT_FALSE(apic(1).interrupt_pending());
    EXPECT_EQ(pending_count(), 3U);
    icr(1, 0, 0x84000 | 0x52);
    EXPECT_EQ(pending_count(), 4U);
}

TEST_F(ApicTest, task_priority_holds_back_lower_classes) {
    apic().set_task_priority(5);
    EXPECT_EQ(apic().window_read(0x80), 0x50U);
    icr(0, 0, 0x44000 | 0x5f);
    EXPECT_FALSE(apic().interrupt_pending());
    icr(0, 0, 0x44000 | 0x60);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x60);
    eoi();
    EXPECT_FALSE(apic().interrupt_pending());
    const unsigned told = signals.interrupts[0];
    apic().set_task_priority(4);
    EXPECT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(signals.interrupts[0], told + 1);
}

TEST_F(ApicTest, acknowledge_after_a_lost_race_gives_the_spurious_vector) {
    icr(0, 0, 0x44000 | 0x40);
    apic().set_task_priority(15);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0xff);
    EXPECT_EQ(apic().window_read(0x170), 0U);  // nothing in service
}

TEST_F(ApicTest, logical_flat_and_cluster_destinations_select_processors) {
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        apic(cpu).window_write(0xd0, 1U << (24 + cpu));
    }
    icr(0, 0x0aU << 24, 0x4800 | 0x61);
    EXPECT_FALSE(apic(0).interrupt_pending());
    EXPECT_TRUE(apic(1).interrupt_pending());
    EXPECT_TRUE(apic(3).interrupt_pending());
    EXPECT_EQ(pending_count(), 2U);
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        apic(cpu).window_write(0xe0, 0x0fffffff);
        apic(cpu).window_write(0xd0, (cpu / 2 << 4 | 1U << cpu % 2) << 24);
    }
    icr(0, 0x11U << 24, 0x4800 | 0x71);  // cluster 1, member 0
    EXPECT_EQ(apic(2).acknowledge_interrupt(), 0x71);
    EXPECT_EQ(apic(3).window_read(0x230) & 1U << 17, 0U);
}

TEST_F(ApicTest, lowest_priority_goes_to_one_processor_with_the_least_to_do) {
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        apic(cpu).window_write(0xd0, 1U << (24 + cpu));
        apic(cpu).set_task_priority(static_cast<uint8_t>(cpu == 2 ? 1 : 3));
    }
    board.msi().deliver({0xfee0f00c, 0x4100 | 0x55});
    EXPECT_EQ(pending_count(), 1U);
    EXPECT_TRUE(apic(2).interrupt_pending());
}

TEST_F(ApicTest, nmi_init_and_startup_are_passed_to_the_processor) {
    icr(0, 1U << 24, 0x4400);
    EXPECT_EQ(signals.nmis[1], 1U);
    icr(0, 1U << 24, 0xc500);
    icr(0, 1U << 24, 0x8500);  // level de-assert does nothing
    EXPECT_EQ(signals.inits[1], 1U);
    EXPECT_EQ(apic(1).window_read(0xf0), 0xffU);  // and its APIC is as after reset
    icr(0, 1U << 24, 0x4610);
    ASSERT_EQ(signals.startups.size(), 1U);
    EXPECT_EQ(signals.startups[0], std::make_pair(1U, uint8_t{0x10}));
    icr(0, 0, 0xc4500);
    EXPECT_EQ(signals.inits[0], 0U);
    EXPECT_EQ(signals.inits[3], 1U);
}

TEST_F(ApicTest, illegal_vectors_are_reported_in_esr) {
    apic().window_write(0x370, 0xfe);
    icr(0, 0, 0x44000 | 0x05);
    EXPECT_EQ(apic().window_read(0x280), 0U);
    apic().window_write(0x280, 0);
    EXPECT_EQ(apic().window_read(0x280), 0x20U);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0xfe);
    eoi();
    board.msi().deliver({0xfee00000, 0x4003});
    EXPECT_EQ(apic().window_read(0x3f0), 0U);  // no such register here
    apic().window_write(0x280, 0);
    EXPECT_EQ(apic().window_read(0x280), 0xc0U);
}

TEST_F(ApicTest, software_disabled_apic_takes_no_fixed_interrupts_and_masks_its_lvts) {
    apic().window_write(0x320, 0x40);
    apic().window_write(0xf0, 0x0ff);
    EXPECT_EQ(apic().window_read(0x320), 0x10040U);
    board.msi().deliver({0xfee00000, 0x4040});
    EXPECT_FALSE(apic().interrupt_pending());
    apic().window_write(0x320, 0x40);
    EXPECT_EQ(apic().window_read(0x320), 0x10040U);
}

TEST_F(ApicTest, globally_disabled_apic_passes_the_8259_through) {
    init_pics();
    board.gsi().set_line(4, true);
    EXPECT_FALSE(apic().interrupt_pending());  // LINT0 is masked
    ASSERT_TRUE(apic().write_msr(k_base_msr, 0xfee00100));
    EXPECT_FALSE(apic().window().has_value());
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x24);
}

TEST_F(ApicTest, base_msr_allows_only_the_legal_transitions) {
    EXPECT_EQ(apic().read_msr(k_base_msr), 0xfee00900U);
    EXPECT_EQ(apic(1).read_msr(k_base_msr), 0xfee00800U);
    EXPECT_EQ(apic().window(), 0xfee00000U);
    EXPECT_FALSE(apic().write_msr(k_base_msr, 0xfee00500));  // EXTD without EN
    EXPECT_FALSE(apic().write_msr(k_base_msr, 0xfee00901));  // reserved bit
    EXPECT_TRUE(apic().write_msr(k_base_msr, 0xfee00d00));
    EXPECT_FALSE(apic().window().has_value());
    EXPECT_FALSE(apic().write_msr(k_base_msr, 0xfee00900));  // back to xAPIC
    EXPECT_TRUE(apic().write_msr(k_base_msr, 0xfee00100));
    EXPECT_FALSE(apic().write_msr(k_base_msr, 0xfee00d00));  // disabled to x2APIC
    EXPECT_TRUE(apic().write_msr(k_base_msr, 0xfed00900));
    EXPECT_EQ(apic().window(), 0xfed00000U);
}

TEST_F(ApicTest, x2apic_msrs_check_reserved_bits_and_missing_registers) {
    EXPECT_FALSE(apic().read_msr(0x802).has_value());  // not in x2APIC mode
    to_x2apic(3);
    EXPECT_EQ(apic(3).read_msr(0x802), 3U);
    EXPECT_EQ(apic(3).read_msr(0x80d), 8U);
    EXPECT_EQ(apic(3).read_msr(0x803), 0x50014U);
    EXPECT_FALSE(apic(3).read_msr(0x80e).has_value());  // no DFR
    EXPECT_FALSE(apic(3).read_msr(0x80b).has_value());  // EOI is write-only
    EXPECT_FALSE(apic(3).read_msr(0x831).has_value());
    EXPECT_FALSE(apic(3).write_msr(0x80d, 1));
    EXPECT_FALSE(apic(3).write_msr(0x80b, 1));
    EXPECT_TRUE(apic(3).write_msr(0x80b, 0));
    EXPECT_FALSE(apic(3).write_msr(0x828, 1));
    EXPECT_FALSE(apic(3).write_msr(0x808, 0x100));
    EXPECT_TRUE(apic(3).write_msr(0x808, 0x20));
    EXPECT_FALSE(apic(3).write_msr(0x832, 1U << 20));
    EXPECT_FALSE(apic(3).write_msr(0x830, 1U << 20));
    EXPECT_FALSE(apic(3).write_msr(0x83f, 0x100));
}

TEST_F(ApicTest, x2apic_ipis_use_32_bit_and_cluster_destinations) {
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        to_x2apic(cpu);
    }
    EXPECT_TRUE(apic(0).write_msr(0x830, uint64_t{3} << 32 | 0x44));
    EXPECT_EQ(apic(3).acknowledge_interrupt(), 0x44);
    EXPECT_TRUE(apic(0).write_msr(0x830, uint64_t{0x00000006} << 32 | 0x800 | 0x45));
    EXPECT_TRUE(apic(1).interrupt_pending());
    EXPECT_TRUE(apic(2).interrupt_pending());
    EXPECT_EQ(pending_count(), 2U);
    EXPECT_TRUE(apic(0).write_msr(0x83f, 0x46));
    EXPECT_EQ(apic(0).acknowledge_interrupt(), 0x46);
    EXPECT_TRUE(apic(0).write_msr(0x830, uint64_t{0xffffffff} << 32 | 0x91));
    EXPECT_EQ(pending_count(), 4U);
}

TEST_F(ApicTest, timer_one_shot_counts_a_gigahertz_over_the_divider_and_fires_once) {
    apic().window_write(0x320, 0x40);
    apic().window_write(0x3e0, 0x3);  // by 16
    apic().window_write(0x380, 1000);
    machine.clock.advance(8000);
    EXPECT_EQ(apic().window_read(0x390), 500U);
    EXPECT_FALSE(apic().interrupt_pending());
    machine.clock.advance(8000);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().window_read(0x390), 0U);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x40);
    eoi();
    machine.clock.advance(100'000);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(ApicTest, timer_periodic_fires_every_period_until_the_count_is_zeroed) {
    apic().window_write(0x320, 0x20040);
    apic().window_write(0x3e0, 0xb);  // by 1
    apic().window_write(0x380, 1'000'000);
    for (int round = 0; round < 3; ++round) {
        machine.clock.advance(1'000'000);
        ASSERT_TRUE(apic().interrupt_pending()) << round;
        EXPECT_EQ(apic().acknowledge_interrupt(), 0x40);
        eoi();
    }
    apic().window_write(0x380, 0);
    machine.clock.advance(10'000'000);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(ApicTest, timer_masked_counts_silently) {
    apic().window_write(0x320, 0x10040);
    apic().window_write(0x3e0, 0xb);
    apic().window_write(0x380, 1'000'000);
    machine.clock.advance(500'000);
    EXPECT_EQ(apic().window_read(0x390), 500'000U);
    machine.clock.advance(600'000);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(ApicTest, tsc_deadline_fires_at_its_tsc_and_reads_zero_afterwards) {
    EXPECT_TRUE(apic().write_msr(0x6e0, 5'000));  // not in that mode: ignored
    EXPECT_EQ(apic().read_msr(0x6e0), 0U);
    apic().window_write(0x320, 0x40040);
    machine.clock.advance(1'000'000);
    EXPECT_TRUE(apic().write_msr(0x6e0, 1'500'000));
    EXPECT_EQ(apic().read_msr(0x6e0), 1'500'000U);
    machine.clock.advance(499'999);
    EXPECT_FALSE(apic().interrupt_pending());
    machine.clock.advance(1);
    EXPECT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().read_msr(0x6e0), 0U);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x40);
    eoi();
    EXPECT_TRUE(apic().write_msr(0x6e0, 10));  // long past: at once
    machine.clock.advance(0);
    EXPECT_TRUE(apic().interrupt_pending());
}

TEST_F(ApicTest, ioapic_edge_is_delivered_once_and_lost_while_masked) {
    set_ioapic_entry(4, 0x31 | uint64_t{1} << 56);
    board.gsi().set_line(4, true);
    EXPECT_EQ(apic(1).acknowledge_interrupt(), 0x31);
    eoi(1);
    EXPECT_FALSE(apic(1).interrupt_pending());
    board.gsi().set_line(4, false);
    set_ioapic_entry(4, 0x10031 | uint64_t{1} << 56);
    board.gsi().set_line(4, true);
    set_ioapic_entry(4, 0x31 | uint64_t{1} << 56);
    EXPECT_FALSE(apic(1).interrupt_pending());
}

TEST_F(ApicTest, ioapic_level_holds_remote_irr_until_the_eoi_broadcast) {
    set_ioapic_entry(16, 0x8032);
    board.gsi().set_line(16, true);
    EXPECT_EQ(ioapic_entry(16), 0xc032U);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x32);
    EXPECT_FALSE(apic().interrupt_pending());
    eoi();
    ASSERT_TRUE(apic().interrupt_pending());  // still asserted
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x32);
    board.gsi().set_line(16, false);
    eoi();
    EXPECT_EQ(ioapic_entry(16), 0x8032U);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(ApicTest, ioapic_level_is_seen_on_unmasking_and_eoi_register_completes) {
    board.gsi().set_line(17, true);
    set_ioapic_entry(17, 0x8033);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x33);
    machine.mmio.write(0xfec00040, 4, 0x33);
    EXPECT_EQ(apic().window_read(0x210), 1U << 19);  // requested again, the line is still up
}

TEST_F(ApicTest, irq0_arrives_at_ioapic_pin_2_and_8259_at_pin_0) {
    set_ioapic_entry(2, 0x30);
    board.gsi().set_line(0, true);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x30);
    eoi();
    set_ioapic_entry(2, 0x10030);
    init_pics();
    set_ioapic_entry(0, 0x700);
    board.gsi().set_line(5, true);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x25);
}

TEST_F(ApicTest, ioapic_registers_read_back_as_the_part_does) {
    machine.mmio.write(0xfec00000, 4, 1);
    EXPECT_EQ(machine.mmio.read(0xfec00010, 4), 0x170020U);
    machine.mmio.write(0xfec00000, 4, 0);
    machine.mmio.write(0xfec00010, 4, 0xffffffff);
    EXPECT_EQ(machine.mmio.read(0xfec00010, 4), 0x0f000000U);
    EXPECT_EQ(ioapic_entry(23), 0x10000U);
    set_ioapic_entry(23, ~uint64_t{0});
    EXPECT_EQ(ioapic_entry(23), 0xff0000000001afffU);
    machine.mmio.write(0xfec00000, 4, 0x40);
    EXPECT_EQ(machine.mmio.read(0xfec00010, 4), 0U);
}

TEST_F(ApicTest, msi_physical_broadcast_and_foreign_addresses) {
    board.msi().deliver({0xfee01000, 0x4034});
    EXPECT_EQ(apic(1).acknowledge_interrupt(), 0x34);
    board.msi().deliver({0xfeeff000, 0x0035});
    EXPECT_EQ(apic(3).acknowledge_interrupt(), 0x35);
    board.msi().deliver({0xfef00000, 0x0036});
    board.msi().deliver({0x1'fee00000, 0x0036});
    EXPECT_EQ(apic(0).acknowledge_interrupt(), 0x35);
    EXPECT_FALSE(apic(0).interrupt_pending());
}

}  // namespace
}  // namespace skep::test
