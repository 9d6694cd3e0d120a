// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint16_t k_data = 0x3f8;
constexpr uint16_t k_ier = 0x3f9;
constexpr uint16_t k_iir = 0x3fa;
constexpr uint16_t k_fcr = 0x3fa;
constexpr uint16_t k_lcr = 0x3fb;
constexpr uint16_t k_mcr = 0x3fc;
constexpr uint16_t k_lsr = 0x3fd;
constexpr uint16_t k_msr = 0x3fe;
constexpr uint16_t k_scr = 0x3ff;

class SerialTest : public testing::Test, public BoardFixture {
  protected:
    SerialTest() {
        init_pics();
        out(k_lcr, 0x83);
        out(k_data, 1);
        out(k_ier, 0);
        out(k_lcr, 0x03);
    }
    bool take_irq4() {
        if (!apic().interrupt_pending()) {
            return false;
        }
        EXPECT_EQ(apic().acknowledge_interrupt(), 0x24);
        out(0x20, 0x20);
        return true;
    }
    std::string receive_all() {
        std::string text;
        for (unsigned idle = 0; idle < 100;) {
            if ((in(k_lsr)&1) != 0) {
                text += static_cast<char>(in(k_data));
                idle = 0;
            } else {
                machine.clock.advance(10'000);
                ++idle;
            }
        }
        return text;
    }
};

TEST_F(SerialTest, transmitted_bytes_reach_the_backend_at_once) {
    for (const char character : std::string("boot\r\n")) {
        EXPECT_EQ(in(k_lsr)&0x60, 0x60);
        out(k_data, static_cast<unsigned char>(character));
    }
    EXPECT_EQ(com1.output, "boot\r\n");
}

TEST_F(SerialTest, divisor_scratch_and_ier_read_back) {
    out(k_lcr, 0x83);
    EXPECT_EQ(in(k_data), 1);
    EXPECT_EQ(in(k_ier), 0);
    out(k_lcr, 0x03);
    out(k_scr, 0x5a);
    EXPECT_EQ(in(k_scr), 0x5a);
    out(k_ier, 0xff);
    EXPECT_EQ(in(k_ier), 0x0f);
}

TEST_F(SerialTest, probe_finds_a_16550a_with_working_fifos) {
    out(k_fcr, 0x01);
    EXPECT_EQ(in(k_iir) >> 6, 3);
    out(k_fcr, 0x21);
    EXPECT_EQ(in(k_iir)&0x20, 0);  // no 64-byte FIFO
    out(k_fcr, 0x00);
    EXPECT_EQ(in(k_iir) >> 6, 0);
}

TEST_F(SerialTest, loopback_connects_modem_lines_and_data) {
    EXPECT_EQ(in(k_msr)&0xf0, 0xb0);
    out(k_mcr, 0x1a);
    EXPECT_EQ(in(k_msr)&0xf0, 0x90);
    out(k_data, 0x42);
    EXPECT_EQ(in(k_lsr)&0x01, 0x01);
    EXPECT_EQ(in(k_data), 0x42);
    EXPECT_EQ(com1.output, "");
    out(k_data, 1);
    out(k_data, 2);
    EXPECT_EQ(in(k_lsr)&0x03, 0x03);  // overrun without FIFOs
    EXPECT_EQ(in(k_data), 2);
    out(k_lcr, 0x43);
    EXPECT_EQ(in(k_lsr)&0x11, 0x11);  // a break
    out(k_mcr, 0x00);
    EXPECT_EQ(in(k_msr)&0xf0, 0xb0);
}

TEST_F(SerialTest, thre_interrupt_comes_on_enabling_and_after_each_byte_and_goes_by_reading_iir) {
    EXPECT_EQ(in(k_iir), 0x01);
    out(k_ier, 0x02);
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0x02);
    EXPECT_EQ(in(k_iir), 0x01);
    out(k_ier, 0x00);
    out(k_ier, 0x02);  // and again, as Linux tests for
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0x02);
    out(k_data, 'x');
    EXPECT_TRUE(take_irq4());
    out(k_data, 'y');  // without having read IIR: still an edge
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0x02);
    EXPECT_FALSE(take_irq4());
    EXPECT_EQ(com1.output, "xy");
}

TEST_F(SerialTest, received_byte_below_the_trigger_times_out) {
    out(k_fcr, 0xc1);  // trigger at 14
    out(k_ier, 0x01);
    com1.type("a");
    EXPECT_EQ(in(k_iir), 0xc1);
    machine.clock.advance(400'000);  // four characters at 115200
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0xcc);
    EXPECT_EQ(in(k_data), 'a');
    EXPECT_EQ(in(k_iir), 0xc1);
}

TEST_F(SerialTest, received_data_at_the_trigger_interrupts_at_once) {
    out(k_fcr, 0x81);  // trigger at 8
    out(k_ier, 0x01);
    com1.type("1234567");
    EXPECT_FALSE(take_irq4());
    com1.type("8");
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0xc4);
    EXPECT_EQ(in(k_data), '1');
    EXPECT_EQ(in(k_iir), 0xc1);
}

TEST_F(SerialTest, pasted_text_waits_in_the_backend_and_none_is_lost) {
    std::string text;
    for (unsigned index = 0; index < 3000; ++index) {
        text += static_cast<char>('a' + index % 26);
    }
    out(k_fcr, 0x01);
    com1.type(text);
    EXPECT_EQ(com1.waiting(), text.size() - 16);
    EXPECT_EQ(receive_all(), text);
    EXPECT_EQ(in(k_lsr)&0x02, 0);
    out(k_fcr, 0x00);
    com1.type("one by one");
    EXPECT_EQ(com1.waiting(), 9U);
    EXPECT_EQ(receive_all(), "one by one");
}

TEST_F(SerialTest, input_typed_while_paused_arrives_after_resume) {
    for (Device* device : board.devices()) {
        device->pause();
    }
    com1.type("z");
    EXPECT_EQ(com1.waiting(), 1U);
    for (Device* device : board.devices()) {
        device->resume();
    }
    EXPECT_EQ(receive_all(), "z");
}

TEST(SerialStart, input_from_before_the_start_is_not_lost_in_the_reset) {
    BoardFixture fixture(1, BoardStart::by_test);
    fixture.com1.type("early");
    for (Device* device : fixture.board.devices()) {
        device->reset();  // as the machine does when it starts
    }
    fixture.start();
    EXPECT_EQ(fixture.in(k_lsr) & 1, 1);
    EXPECT_EQ(fixture.in(k_data), 'e');
}

TEST_F(SerialTest, received_bytes_survive_save_and_load) {
    out(k_fcr, 0x01);
    com1.type("kept");
    std::vector<std::byte> state;
    for (Device* device : board.devices()) {
        if (device->name() == "serial0") {
            StateWriter writer;
            device->save(writer);
            state = writer.bytes();
            device->reset();
            EXPECT_EQ(in(k_lsr)&1, 0);
            StateReader reader(state);
            device->load(reader);
            EXPECT_TRUE(reader.ok());
        }
    }
    EXPECT_EQ(receive_all(), "kept");
}

TEST_F(SerialTest, com3_shares_irq4_with_com1) {
    out(k_ier, 0x02);
    EXPECT_TRUE(take_irq4());
    out(0x3e9, 0x02);
    EXPECT_FALSE(take_irq4());  // the line is already up
    EXPECT_EQ(in(k_iir), 0x02);
    EXPECT_EQ(in(0x3ea), 0x02);
    out(0x3e8, 'q');  // swallowed: nothing is plugged in
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(0x3ee) & 0xf0, 0x00);  // no carrier
}

TEST_F(SerialTest, modem_status_interrupt_is_cleared_by_reading_msr) {
    out(k_ier, 0x08);
    in(k_msr);
    out(k_mcr, 0x10);
    EXPECT_TRUE(take_irq4());
    EXPECT_EQ(in(k_iir), 0x00);
    EXPECT_EQ(in(k_msr), 0x0b);
    EXPECT_EQ(in(k_iir), 0x01);
}

}  // namespace
}  // namespace skep::test
