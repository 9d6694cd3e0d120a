// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "devices/board/time_scale.hpp"
#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

class PitTest : public testing::Test, public BoardFixture {
  protected:
    PitTest() { init_pics(); }
    void program(unsigned channel, unsigned mode, unsigned count) {
        out(0x43, channel << 6 | 0x30 | mode << 1);
        out(static_cast<uint16_t>(0x40 + channel), count & 0xff);
        out(static_cast<uint16_t>(0x40 + channel), count >> 8 & 0xff);
    }
    unsigned latched(unsigned channel) {
        out(0x43, channel << 6);
        const auto port = static_cast<uint16_t>(0x40 + channel);
        const unsigned low = in(port);
        return low | in(port) << 8U;
    }
    void tick(uint64_t ticks) {
        m_ticks += ticks;
        machine.clock.advance(time_of(m_ticks, 1'193'182) - machine.clock.now());
    }
    unsigned serve_irq0() {
        unsigned served = 0;
        while (apic().interrupt_pending()) {
            EXPECT_EQ(apic().acknowledge_interrupt(), 0x20);
            out(0x20, 0x20);
            ++served;
        }
        return served;
    }
    bool out2() { return (in(0x61) & 0x20) != 0; }
    uint64_t m_ticks = 0;
};

TEST_F(PitTest, rate_generator_interrupts_once_a_period) {
    program(0, 2, 11932);  // 100 Hz
    unsigned served = 0;
    for (unsigned step = 0; step < 100; ++step) {
        machine.clock.advance(10'000'000);
        served += serve_irq0();
    }
    EXPECT_GE(served, 99U);
    EXPECT_LE(served, 100U);
}

TEST_F(PitTest, count_of_zero_is_65536) {
    program(0, 2, 0);
    tick(65535);
    EXPECT_EQ(serve_irq0(), 0U);
    tick(1);
    EXPECT_EQ(serve_irq0(), 1U);
}

TEST_F(PitTest, terminal_count_interrupts_once) {
    program(0, 0, 1000);
    tick(999);
    EXPECT_EQ(serve_irq0(), 0U);
    tick(1);
    EXPECT_EQ(serve_irq0(), 1U);
    tick(200'000);
    EXPECT_EQ(serve_irq0(), 0U);
}

TEST_F(PitTest, counter_counts_down_and_latch_holds_it) {
    program(0, 2, 1000);
    tick(100);
    EXPECT_EQ(latched(0), 900U);
    out(0x43, 0x00);
    tick(50);
    const unsigned low = in(0x40);
    EXPECT_EQ(low | in(0x40) << 8U, 900U);
    const unsigned live = in(0x40);
    EXPECT_EQ(live | in(0x40) << 8U, 850U);
    tick(900);
    EXPECT_EQ(latched(0), 950U);
}

TEST_F(PitTest, new_count_of_a_running_rate_generator_waits_for_the_end_of_the_period) {
    program(0, 2, 1000);
    tick(100);
    out(0x40, 2000 & 0xff);
    out(0x40, 2000 >> 8);
    EXPECT_EQ(latched(0), 900U);
    tick(900);
    EXPECT_EQ(serve_irq0(), 1U);
    tick(500);
    EXPECT_EQ(latched(0), 1500U);
    tick(1499);
    EXPECT_EQ(serve_irq0(), 0U);
    tick(1);
    EXPECT_EQ(serve_irq0(), 1U);
}

TEST_F(PitTest, channel_2_one_shot_shows_in_port_61_and_obeys_its_gate) {
    out(0x61, 0x00);
    program(2, 0, 1000);
    EXPECT_FALSE(out2());
    tick(5000);
    EXPECT_FALSE(out2());  // the gate is low
    out(0x61, 0x01);
    tick(400);
    out(0x61, 0x00);
    tick(1000);
    EXPECT_EQ(latched(2), 600U);
    out(0x61, 0x01);
    tick(599);
    EXPECT_FALSE(out2());
    tick(1);
    EXPECT_TRUE(out2());
    EXPECT_EQ(in(0x61) & 0x0f, 0x01);
}

TEST_F(PitTest, square_wave_is_high_for_the_first_half) {
    out(0x61, 0x01);
    program(2, 3, 1000);
    EXPECT_TRUE(out2());
    tick(499);
    EXPECT_TRUE(out2());
    EXPECT_EQ(latched(2), 2U);
    tick(1);
    EXPECT_FALSE(out2());
    EXPECT_EQ(latched(2), 1000U);
    tick(500);
    EXPECT_TRUE(out2());
}

TEST_F(PitTest, retriggerable_one_shot_starts_on_the_gate) {
    out(0x61, 0x00);
    program(2, 1, 100);
    tick(1000);
    EXPECT_TRUE(out2());
    out(0x61, 0x01);
    EXPECT_FALSE(out2());
    tick(60);
    out(0x61, 0x00);
    out(0x61, 0x01);
    tick(60);
    EXPECT_FALSE(out2());
    tick(40);
    EXPECT_TRUE(out2());
}

TEST_F(PitTest, strobes_are_low_for_one_clock) {
    out(0x61, 0x01);
    program(2, 4, 100);
    EXPECT_TRUE(out2());
    tick(100);
    EXPECT_FALSE(out2());
    tick(1);
    EXPECT_TRUE(out2());
    out(0x61, 0x00);
    program(2, 5, 100);
    tick(500);
    EXPECT_TRUE(out2());
    out(0x61, 0x01);
    tick(100);
    EXPECT_FALSE(out2());
}

TEST_F(PitTest, read_back_gives_status_then_count) {
    program(0, 2, 1000);
    tick(10);
    out(0x43, 0xc2);  // both, channel 0
    EXPECT_EQ(in(0x40), 0xb4);
    const unsigned low = in(0x40);
    EXPECT_EQ(low | in(0x40) << 8U, 990U);
    out(0x43, 0x36);  // a control word without a count
    out(0x43, 0xe2);
    EXPECT_EQ(in(0x40) & 0x7f, 0x76);  // null count, low/high, mode 3
}

TEST_F(PitTest, bcd_counts_in_decimal) {
    out(0x43, 0x35);
    out(0x40, 0x00);
    out(0x40, 0x10);  // 1000
    tick(1);
    EXPECT_EQ(latched(0), 0x999U);
}

TEST_F(PitTest, refresh_bit_toggles) {
    const unsigned first = in(0x61) & 0x10U;
    machine.clock.advance(15'085);
    EXPECT_NE(in(0x61) & 0x10U, first);
}

TEST_F(PitTest, shortest_period_does_not_storm) {
    program(0, 2, 1);
    machine.clock.advance(10'000'000);  // would be 12 million interrupts
    EXPECT_EQ(serve_irq0(), 1U);
}

}  // namespace
}  // namespace skep::test
