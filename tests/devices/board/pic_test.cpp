// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

class PicTest : public testing::Test, public BoardFixture {
  protected:
    PicTest() { init_pics(); }
    void raise(unsigned irq) { board.gsi().set_line(irq, true); }
    void lower(unsigned irq) { board.gsi().set_line(irq, false); }
    void pulse(unsigned irq) {
        raise(irq);
        lower(irq);
    }
    uint8_t in_service() {
        out(0x20, 0x0b);
        return in(0x20);
    }
};

TEST_F(PicTest, irq_edge_gives_its_vector_through_lint0_of_the_bootstrap_processor) {
    EXPECT_FALSE(apic().interrupt_pending());
    pulse(4);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_FALSE(apic(1).interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x24);
    EXPECT_FALSE(apic().interrupt_pending());
    EXPECT_EQ(in_service(), 0x10);
    out(0x20, 0x20);
    EXPECT_EQ(in_service(), 0x00);
}

TEST_F(PicTest, slave_irq_goes_through_the_cascade) {
    pulse(12);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2c);
    EXPECT_EQ(in_service(), 0x04);
    pulse(14);  // lower than 12: waits for the slave's EOI
    EXPECT_FALSE(apic().interrupt_pending());
    out(0xa0, 0x20);
    out(0x20, 0x20);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2e);
}

TEST_F(PicTest, slave_eoi_alone_leaves_the_master_blocked_unless_fully_nested) {
    pulse(14);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2e);
    pulse(8);  // higher on the slave, but the master has input 2 in service
    EXPECT_FALSE(apic().interrupt_pending());
    init_pics(0, 0, 0x11);  // special fully nested
    pulse(14);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2e);
    pulse(8);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x28);
}

TEST_F(PicTest, higher_priority_interrupts_lower_in_service_and_not_the_reverse) {
    pulse(4);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x24);
    pulse(5);
    EXPECT_FALSE(apic().interrupt_pending());
    pulse(1);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x21);
    EXPECT_EQ(in_service(), 0x12);
    out(0x20, 0x20);  // non-specific: the highest, 1
    EXPECT_EQ(in_service(), 0x10);
    EXPECT_FALSE(apic().interrupt_pending());
    out(0x20, 0x64);  // specific 4
    EXPECT_TRUE(apic().interrupt_pending());
}

TEST_F(PicTest, masked_irq_waits_latched_until_unmasked) {
    out(0x21, 0x10);
    pulse(4);
    EXPECT_FALSE(apic().interrupt_pending());
    out(0x20, 0x0a);
    EXPECT_EQ(in(0x20), 0x10);
    out(0x21, 0x00);
    EXPECT_TRUE(apic().interrupt_pending());
}

TEST_F(PicTest, level_request_withdrawn_before_inta_gives_spurious_irq7) {
    out(0x4d0, 0x20);
    EXPECT_EQ(in(0x4d0), 0x20);
    raise(5);
    ASSERT_TRUE(apic().interrupt_pending());
    lower(5);
    EXPECT_FALSE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x27);  // the processor was already on its way
    EXPECT_EQ(in_service(), 0);
}

TEST_F(PicTest, level_irq_still_asserted_after_eoi_interrupts_again) {
    out(0x4d1, 0x0e);
    raise(10);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2a);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2a);
    lower(10);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(PicTest, elcr_refuses_the_system_irqs) {
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    EXPECT_EQ(in(0x4d0), 0xf8);
    EXPECT_EQ(in(0x4d1), 0xde);
}

TEST_F(PicTest, auto_eoi_leaves_nothing_in_service) {
    init_pics(0, 0, 0x03);
    pulse(3);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x23);
    EXPECT_EQ(in_service(), 0);
}

TEST_F(PicTest, rotation_makes_the_served_input_the_lowest) {
    pulse(3);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x23);
    out(0x20, 0xa0);  // rotate on non-specific EOI
    pulse(3);
    pulse(4);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x24);
    out(0x20, 0x20);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x23);
    out(0x20, 0x20);
    out(0x20, 0xc7);  // back to the usual order
    pulse(3);
    pulse(4);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x23);
}

TEST_F(PicTest, special_mask_mode_lets_lower_irqs_through) {
    pulse(1);
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x21);
    pulse(6);
    EXPECT_FALSE(apic().interrupt_pending());
    out(0x21, 0x02);
    out(0x20, 0x68);
    EXPECT_TRUE(apic().interrupt_pending());
    out(0x20, 0x48);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(PicTest, poll_takes_the_request_without_inta) {
    pulse(6);
    out(0x20, 0x0c);
    EXPECT_EQ(in(0x20), 0x86);
    EXPECT_EQ(in_service(), 0x40);
    out(0x20, 0x0c);
    EXPECT_EQ(in(0x20), 0x00);
}

TEST_F(PicTest, pirq_route_brings_a_pci_interrupt_to_the_8259) {
    out(0x4d1, 0x0c);
    board.set_pirq_route(1, 11);
    raise(17);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x2b);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    EXPECT_TRUE(apic().interrupt_pending());
    board.set_pirq_route(1, std::nullopt);
    EXPECT_FALSE(apic().interrupt_pending());
}

}  // namespace
}  // namespace skep::test
