// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "devices/board/calendar.hpp"
#include "devices/board/rtc.hpp"
#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_second = 1'000'000'000;

class RtcTest : public testing::Test, public BoardFixture {
  protected:
    RtcTest() {
        init_pics();
        machine.clock.set_wall_seconds(1'709'210'096);  // Thu 2024-02-29 12:34:56 UTC
        set_cmos(0x0b, 0x06);                           // binary, 24 hours
    }
    std::vector<unsigned> date() { return {cmos(0x32), cmos(9), cmos(8), cmos(7), cmos(4), cmos(2), cmos(0)}; }
    bool take_irq8() {
        if (!apic().interrupt_pending()) {
            return false;
        }
        EXPECT_EQ(apic().acknowledge_interrupt(), 0x28);
        out(0xa0, 0x20);
        out(0x20, 0x20);
        return true;
    }
};

TEST_F(RtcTest, time_is_the_hosts_utc_in_binary_and_bcd) {
    EXPECT_EQ(date(), (std::vector<unsigned>{20, 24, 2, 29, 12, 34, 56}));
    EXPECT_EQ(cmos(6), 5);  // Thursday
    set_cmos(0x0b, 0x02);
    EXPECT_EQ(date(), (std::vector<unsigned>{0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x56}));
    machine.clock.advance(3600 * k_second);
    set_cmos(0x0b, 0x00);
    EXPECT_EQ(cmos(4), 0x81);  // 1 pm
}

TEST_F(RtcTest, time_moves_over_the_end_of_a_month) {
    machine.clock.advance(86'400 * k_second);
    EXPECT_EQ(date(), (std::vector<unsigned>{20, 24, 3, 1, 12, 34, 56}));
}

TEST_F(RtcTest, time_set_by_the_guest_stays_as_an_offset_to_the_host) {
    set_cmos(0x0b, 0x86);  // SET
    set_cmos(9, 30);
    set_cmos(8, 12);
    set_cmos(7, 31);
    set_cmos(4, 23);
    set_cmos(2, 59);
    set_cmos(0, 58);
    machine.clock.advance(10 * k_second);
    EXPECT_EQ(cmos(0), 58);  // frozen
    set_cmos(0x0b, 0x06);
    EXPECT_EQ(date(), (std::vector<unsigned>{20, 30, 12, 31, 23, 59, 58}));
    machine.clock.advance(2 * k_second);
    EXPECT_EQ(date(), (std::vector<unsigned>{20, 31, 1, 1, 0, 0, 0}));
    machine.clock.set_wall_seconds(1'709'210'096 + 3600);  // the host slept for an hour
    EXPECT_EQ(date(), (std::vector<unsigned>{20, 31, 1, 1, 1, 0, 0}));
}

TEST_F(RtcTest, update_in_progress_is_set_just_before_the_second_changes) {
    EXPECT_EQ(cmos(0x0a), 0x26);
    machine.clock.advance(k_second - 1'000'000);
    EXPECT_EQ(cmos(0x0a), 0xa6);
    EXPECT_EQ(cmos(0), 56);
    machine.clock.advance(1'000'000);
    EXPECT_EQ(cmos(0x0a), 0x26);
    EXPECT_EQ(cmos(0), 57);
}

TEST_F(RtcTest, periodic_interrupt_comes_at_its_rate_after_register_c_is_read) {
    cmos(0x0c);
    set_cmos(0x0a, 0x26);  // 1024 Hz
    set_cmos(0x0b, 0x46);
    unsigned count = 0;
    for (unsigned step = 0; step < 1024; ++step) {
        machine.clock.advance(976'563);
        if (take_irq8()) {
            ++count;
            EXPECT_EQ(cmos(0x0c) & 0xc0, 0xc0);
        }
    }
    EXPECT_GE(count, 1023U);
    machine.clock.advance(976'563);
    EXPECT_TRUE(take_irq8());
    machine.clock.advance(k_second);
    EXPECT_FALSE(take_irq8());  // C was not read: no new edge
}

TEST_F(RtcTest, update_interrupt_comes_every_second) {
    cmos(0x0c);
    set_cmos(0x0b, 0x16);
    EXPECT_FALSE(take_irq8());
    machine.clock.advance(k_second);
    EXPECT_TRUE(take_irq8());
    EXPECT_EQ(cmos(0x0c) & 0x90, 0x90);
    EXPECT_EQ(cmos(0x0c), 0x00);
    machine.clock.advance(k_second);
    EXPECT_TRUE(take_irq8());
}

TEST_F(RtcTest, alarm_goes_off_once_at_its_time_and_survives_reset) {
    set_cmos(5, 12);
    set_cmos(3, 35);
    set_cmos(1, 10);
    for (Device* device : board.devices()) {
        device->reset();
    }
    init_pics();
    EXPECT_EQ(cmos(3), 35);
    cmos(0x0c);
    set_cmos(0x0b, 0x26);
    machine.clock.advance(13 * k_second);
    EXPECT_FALSE(take_irq8());
    machine.clock.advance(k_second);
    EXPECT_TRUE(take_irq8());
    EXPECT_EQ(cmos(0x0c) & 0xa0, 0xa0);
    machine.clock.advance(3600 * k_second);
    EXPECT_FALSE(take_irq8());
    machine.clock.advance(23 * 3600 * k_second);
    EXPECT_TRUE(take_irq8());
}

TEST_F(RtcTest, alarm_with_dont_care_hours_and_minutes_comes_every_minute) {
    set_cmos(5, 0xff);
    set_cmos(3, 0xff);
    set_cmos(1, 0);
    cmos(0x0c);
    set_cmos(0x0b, 0x26);
    machine.clock.advance(4 * k_second);
    EXPECT_TRUE(take_irq8());
    cmos(0x0c);
    machine.clock.advance(60 * k_second);
    EXPECT_TRUE(take_irq8());
}

TEST_F(RtcTest, memory_holds_what_firmware_asks_for) {
    EXPECT_EQ(cmos(0x15) | cmos(0x16) << 8, 640);
    EXPECT_EQ(cmos(0x17) | cmos(0x18) << 8, 0xffff);
    EXPECT_EQ(cmos(0x30) | cmos(0x31) << 8, 0xffff);
    EXPECT_EQ(cmos(0x34) | cmos(0x35) << 8, (512 - 16) * 16);
    EXPECT_EQ(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16, 1024 * 16);
    EXPECT_EQ(cmos(0x5f), 1);
    EXPECT_EQ(cmos(0x0d), 0x80);
    EXPECT_EQ(cmos(0x0f), 0);
    set_cmos(0x0f, 0x0a);
    for (Device* device : board.devices()) {
        device->reset();
    }
    EXPECT_EQ(cmos(0x0f), 0x0a);
    board.rtc().set_memory(0x3d, 0x23);
    EXPECT_EQ(cmos(0x3d), 0x23);
}

TEST_F(RtcTest, index_bit_7_masks_nmi) {
    out(0x70, 0x8d);
    EXPECT_EQ(in(0x71), 0x80);
    EXPECT_TRUE(board.rtc().nmi_masked());
    out(0x70, 0x0d);
    EXPECT_FALSE(board.rtc().nmi_masked());
}

TEST(CalendarTest, every_day_of_eight_centuries_goes_there_and_back) {
    unsigned weekday = calendar_from_seconds(-12'219'292'800).weekday;  // 1582-10-15
    for (int64_t day = -141'427; day < 150'000; ++day) {
        const CalendarTime time = calendar_from_seconds(day * 86'400 + 86'399);
        ASSERT_EQ(seconds_from_calendar(time), day * 86'400 + 86'399);
        ASSERT_EQ(time.weekday, weekday) << day;
        weekday = weekday % 7 + 1;
    }
    EXPECT_EQ(calendar_from_seconds(0).weekday, 5U);
    EXPECT_EQ(calendar_from_seconds(951'782'400).day, 29U);  // 2000-02-29
}

}  // namespace
}  // namespace skep::test
