// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_hpet = 0xfed00000;
constexpr uint64_t k_timer0 = 0x100;
constexpr uint64_t k_timer1 = 0x120;
constexpr uint64_t k_timer2 = 0x140;

class HpetTest : public testing::Test, public BoardFixture {
  protected:
    HpetTest() { enable_apic(); }
    uint64_t get(uint64_t reg, unsigned size = 8) { return machine.mmio.read(k_hpet + reg, size); }
    void put(uint64_t reg, uint64_t value, unsigned size = 8) { machine.mmio.write(k_hpet + reg, size, value); }
    unsigned served(uint8_t vector) {
        unsigned count = 0;
        while (apic().interrupt_pending()) {
            EXPECT_EQ(apic().acknowledge_interrupt(), vector);
            apic().window_write(0xb0, 0);
            ++count;
        }
        return count;
    }
};

TEST_F(HpetTest, capabilities_name_period_timers_and_routes) {
    EXPECT_EQ(get(0), 0x0098'9680'8086'a201U);  // 10,000,000 fs
    EXPECT_EQ(get(4, 4), 10'000'000U);
    EXPECT_EQ(get(k_timer0), 0x00f0'0000'0000'0030U);
    EXPECT_EQ(get(k_timer2 + 4, 4), 0x00f00000U);
    EXPECT_EQ(get(0x160), 0U);  // no fourth timer
}

TEST_F(HpetTest, counter_runs_only_while_enabled_and_can_be_set_when_stopped) {
    machine.clock.advance(1000);
    EXPECT_EQ(get(0xf0), 0U);
    put(0xf0, 0x1'0000'0000);
    put(0x10, 1);
    machine.clock.advance(1000);
    EXPECT_EQ(get(0xf0), 0x1'0000'0064U);
    EXPECT_EQ(get(0xf0, 4), 0x64U);
    EXPECT_EQ(get(0xf4, 4), 1U);
    put(0xf0, 0);  // ignored while it runs
    put(0x10, 0);
    machine.clock.advance(1000);
    EXPECT_EQ(get(0xf0), 0x1'0000'0064U);
}

TEST_F(HpetTest, legacy_replacement_takes_irq0_from_the_pit) {
    set_ioapic_entry(2, 0x30);
    out(0x43, 0x34);
    out(0x40, 0xa9);
    out(0x40, 0x04);  // the PIT at 1 kHz
    machine.clock.advance(10'000'000);
    EXPECT_EQ(served(0x30), 1U);
    put(k_timer0, 0x4);
    put(k_timer0 + 8, 500'000);
    put(0x10, 3);
    machine.clock.advance(4'999'990);
    EXPECT_EQ(served(0x30), 0U);
    machine.clock.advance(10);
    EXPECT_EQ(served(0x30), 1U);
    machine.clock.advance(10'000'000);
    EXPECT_EQ(served(0x30), 0U);  // one shot
    put(0x10, 1);
    machine.clock.advance(1'000'000);
    EXPECT_EQ(served(0x30), 1U);  // the PIT again
}

TEST_F(HpetTest, periodic_timer_starts_at_its_first_value_and_repeats) {
    set_ioapic_entry(8, 0x38);
    put(0x10, 3);
    put(k_timer1, 0x4c);
    put(k_timer1 + 8, get(0xf0) + 300'000);  // with VAL_SET: the first expiry ...
    EXPECT_EQ(get(k_timer1) & 0x40, 0U);
    put(k_timer1 + 8, 100'000);  // ... and then the period
    machine.clock.advance(2'999'990);
    EXPECT_EQ(served(0x38), 0U);
    machine.clock.advance(10);
    EXPECT_EQ(served(0x38), 1U);
    for (unsigned round = 0; round < 5; ++round) {
        machine.clock.advance(1'000'000);
        EXPECT_EQ(served(0x38), 1U) << round;
    }
}

TEST_F(HpetTest, level_timer_holds_its_line_until_the_status_is_cleared) {
    set_ioapic_entry(20, 0x8040);
    put(0x10, 1);
    put(k_timer2, 20U << 9 | 0x6);
    EXPECT_EQ(get(k_timer2, 4), (20U << 9 | 0x36U));
    put(k_timer2 + 8, get(0xf0) + 1000);
    machine.clock.advance(10'000);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(get(0x20), 4U);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x40);
    apic().window_write(0xb0, 0);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x40);
    put(0x20, 4);
    apic().window_write(0xb0, 0);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(HpetTest, comparator_written_late_fires_at_once) {
    set_ioapic_entry(20, 0x40);
    put(0x10, 1);
    machine.clock.advance(1'000'000);
    put(k_timer2, 20U << 9 | 0x4);
    put(k_timer2 + 8, get(0xf0) - 10);
    machine.clock.advance(0);
    EXPECT_EQ(served(0x40), 1U);
}

TEST_F(HpetTest, narrow_timer_compares_32_bits) {
    set_ioapic_entry(20, 0x40);
    put(0xf0, 0xffff'ff00);
    put(k_timer2, 20U << 9 | 0x104);
    put(0x10, 1);
    put(k_timer2 + 8, 0x100, 4);
    machine.clock.advance(0x1ff * 10);
    EXPECT_EQ(served(0x40), 0U);
    machine.clock.advance(10);
    EXPECT_EQ(served(0x40), 1U);
}

TEST_F(HpetTest, route_to_a_pin_that_is_not_offered_reads_back_as_none) {
    put(k_timer2, 5U << 9 | 0x4);
    EXPECT_EQ(get(k_timer2, 4) >> 9 & 0x1f, 0U);
}

TEST_F(HpetTest, shortest_period_does_not_storm) {
    set_ioapic_entry(8, 0x38);
    put(0x10, 3);
    put(k_timer1, 0x4c);
    put(k_timer1 + 8, get(0xf0) + 1);
    put(k_timer1 + 8, 1);
    machine.clock.advance(10'000'000);
    EXPECT_EQ(served(0x38), 1U);
}

}  // namespace
}  // namespace skep::test
