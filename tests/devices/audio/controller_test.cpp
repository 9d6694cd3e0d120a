// SPDX-License-Identifier: GPL-3.0-or-later
// The controller's registers, rings and interrupts.
#include "tests/support/hda_driver.hpp"

#include "devices/pci/intx.hpp"

namespace skep::test {
namespace {

using namespace hda;

class HdaControllerTest : public testing::Test, public HdaMachine {
  protected:
    HdaControllerTest() { driver.enable_pci(); }
    HdaDriver driver{*this, bus};
};

TEST_F(HdaControllerTest, identity_is_the_ich9_audio_controller) {
    EXPECT_EQ(bus.config_read(HdaDriver::k_address, 0, 4), 0x293e'8086U);
    EXPECT_EQ(bus.config_read(HdaDriver::k_address, 8, 4) >> 8, 0x040300U);
    EXPECT_EQ(driver.reg(k_gcap, 2), 0x4401U);
    EXPECT_EQ(driver.reg(k_vmaj, 1), 1U);
    EXPECT_EQ(driver.reg(k_vmin, 1), 0U);
}

TEST_F(HdaControllerTest, link_reset_brings_the_codec_up) {
    EXPECT_EQ(driver.reg(k_gctl), 0U);
    EXPECT_EQ(driver.reg(k_statests, 2), 0U);
    driver.set_reg(k_intctl, ~0U);
    EXPECT_EQ(driver.reg(k_intctl), 0U) << "in reset nobody listens";
    driver.reset_link();
    EXPECT_EQ(driver.reg(k_gctl), k_gctl_crst);
    EXPECT_EQ(driver.reg(k_statests, 2), 1U);
    driver.set_reg(k_statests, 1, 2);
    EXPECT_EQ(driver.reg(k_statests, 2), 0U);
}

TEST_F(HdaControllerTest, link_reset_forgets_everything_but_wakeen) {
    driver.start();
    driver.set_reg(k_wakeen, 0xffff, 2);
    driver.set_reg(k_dplbase, HdaDriver::k_positions | 1);
    driver.prepare({});
    driver.set_reg(k_gctl, 0);
    EXPECT_EQ(driver.reg(k_wakeen, 2), 1U) << "there is one codec";
    for (const unsigned offset : {k_corblbase, k_corbctl, k_rirblbase, k_dplbase, k_intctl, k_walclk}) {
        EXPECT_EQ(driver.reg(offset, 1), 0U) << offset;
    }
    EXPECT_EQ(driver.sd(HdaDriver::k_first_output, k_sd_cbl), 0U);
}

TEST_F(HdaControllerTest, codec_that_comes_up_interrupts_where_wakeen_says_so) {
    driver.reset_link();
    driver.set_reg(k_intctl, k_int_gie | k_int_cie);
    EXPECT_FALSE(intx());
    driver.set_reg(k_wakeen, 1, 2);
    EXPECT_TRUE(intx());
    EXPECT_EQ(driver.reg(k_intsts), k_int_gie | k_int_cie);
    driver.set_reg(k_statests, 1, 2);
    EXPECT_FALSE(intx());
    EXPECT_EQ(driver.reg(k_intsts), 0U);
}

TEST_F(HdaControllerTest, registers_answer_to_accesses_of_any_width) {
    driver.start();
    driver.set_reg(k_corblbase, 0x1234'5680);
    EXPECT_EQ(driver.reg(k_corblbase + 1, 1), 0x56U);
    EXPECT_EQ(driver.reg(k_corblbase + 1, 2), 0x3456U);
    driver.set_reg(k_corblbase + 2, 0xabcd, 2);
    EXPECT_EQ(driver.reg(k_corblbase), 0xabcd'5680U);
    EXPECT_EQ(driver.reg(k_gcap), 0x0100'4401U) << "GCAP, VMIN and VMAJ at once";
    EXPECT_EQ(driver.reg(0x3c), 0U);
    EXPECT_EQ(driver.reg(k_bar_size - 4), 0U);
}

TEST_F(HdaControllerTest, control_and_status_of_a_stream_are_written_at_once) {
    driver.start();
    driver.set_sd(4, k_sd_ctl, 0x1c10'0004);
    EXPECT_EQ(driver.sd(4, k_sd_ctl), 0x0010'0004U);
    driver.set_sd(4, k_sd_ctl + 2, 0x70, 1);
    EXPECT_EQ(driver.sd(4, k_sd_ctl), 0x0070'0004U);
}

TEST_F(HdaControllerTest, commands_are_answered_by_the_rings) {
    driver.start();
    EXPECT_EQ(driver.parameter(0, k_parameter_vendor_id), 0x1af4'0022U);
    EXPECT_EQ(driver.parameter(0, k_parameter_subordinate_nodes), 0x0001'0001U);
    EXPECT_EQ(driver.reg(k_corbrp, 2), 2U);
}

TEST_F(HdaControllerTest, rings_go_round) {
    driver.start();
    for (unsigned count = 0; count < 3 * k_ring_entries; ++count) {
        ASSERT_EQ(driver.parameter(0, k_parameter_vendor_id), 0x1af4'0022U) << count;
    }
}

TEST_F(HdaControllerTest, several_commands_are_answered_in_order) {
    driver.start();
    for (uint32_t index = 1; index <= 5; ++index) {
        const uint32_t command = HdaDriver::verb(index, k_verb_get_parameter, k_parameter_widget_capabilities);
        ASSERT_TRUE(memory->write_value(HdaDriver::k_corb + index * 4, command));
    }
    driver.set_reg(k_corbwp, 5, 2);
    EXPECT_EQ(driver.reg(k_rirbwp, 2), 5U);
    const std::vector<uint32_t> types{0, 0, 4, 1, 4};
    for (uint32_t index = 1; index <= 5; ++index) {
        EXPECT_EQ(*memory->read_value<uint32_t>(HdaDriver::k_rirb + index * 8) >> 20, types[index - 1]) << index;
    }
}

TEST_F(HdaControllerTest, read_pointer_is_reset_by_a_handshake) {
    driver.start();
    driver.parameter(0, 0);
    driver.set_reg(k_corbctl, 0, 1);
    driver.set_reg(k_corbrp, k_pointer_rst, 2);
    EXPECT_EQ(driver.reg(k_corbrp, 2), k_pointer_rst);
    driver.set_reg(k_corbrp, 0, 2);
    EXPECT_EQ(driver.reg(k_corbrp, 2), 0U);
}

TEST_F(HdaControllerTest, response_interrupts_once_and_is_acknowledged) {
    driver.start();
    driver.enable_msi();
    ASSERT_TRUE(memory->write_value(HdaDriver::k_corb + 4, HdaDriver::verb(0, k_verb_get_parameter, 0)));
    driver.set_reg(k_corbwp, 1, 2);
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].data, 0x41U);
    EXPECT_EQ(driver.reg(k_intsts), k_int_gie | k_int_cie);
    EXPECT_EQ(driver.reg(k_rirbsts, 1), k_rirbsts_rintfl);
    driver.set_reg(k_rirbsts, k_rirbsts_rintfl, 1);
    EXPECT_EQ(driver.reg(k_intsts), 0U);
    EXPECT_EQ(msis.messages.size(), 1U);
}

TEST_F(HdaControllerTest, command_for_an_absent_codec_is_not_answered) {
    driver.start();
    EXPECT_FALSE(driver.command(1U << 28 | HdaDriver::verb(0, k_verb_get_parameter, 0)));
    EXPECT_TRUE(driver.command(HdaDriver::verb(0, k_verb_get_parameter, 0)));
}

TEST_F(HdaControllerTest, immediate_command_is_answered) {
    driver.enable_pci();
    driver.reset_link();
    driver.set_reg(k_icoi, HdaDriver::verb(1, k_verb_get_parameter, k_parameter_function_group_type));
    driver.set_reg(k_icis, k_icis_icb, 2);
    EXPECT_EQ(driver.reg(k_icis, 2), k_icis_irv);
    EXPECT_EQ(driver.reg(k_icii), 1U);
    driver.set_reg(k_icis, k_icis_irv, 2);
    EXPECT_EQ(driver.reg(k_icis, 2), 0U);
    driver.set_reg(k_icoi, 5U << 28);
    driver.set_reg(k_icis, k_icis_icb, 2);
    EXPECT_EQ(driver.reg(k_icis, 2), 0U) << "nobody answers";
}

TEST_F(HdaControllerTest, ring_outside_memory_is_a_memory_error_and_stops) {
    driver.start();
    driver.set_reg(k_corbctl, k_corbctl_run | k_corbctl_cmeie, 1);
    driver.set_reg(k_corbubase, 0x100);
    driver.set_reg(k_corbwp, 9, 2);
    EXPECT_EQ(driver.reg(k_corbsts, 1), k_corbsts_cmei);
    EXPECT_EQ(driver.reg(k_corbctl, 1) & k_corbctl_run, 0U);
    EXPECT_TRUE(intx());
    driver.set_reg(k_corbsts, 1, 1);
    EXPECT_FALSE(intx());
}

TEST_F(HdaControllerTest, ring_inside_the_controllers_own_registers_is_refused) {
    driver.start();
    driver.set_reg(k_corblbase, static_cast<uint32_t>(HdaDriver::k_registers));
    driver.set_reg(k_rirblbase, static_cast<uint32_t>(HdaDriver::k_registers));
    driver.set_reg(k_corbwp, 9, 2);
    EXPECT_EQ(driver.reg(k_corbsts, 1), k_corbsts_cmei);
}

TEST_F(HdaControllerTest, commands_wait_until_the_function_is_a_bus_master) {
    driver.start();
    bus.config_write(HdaDriver::k_address, 0x04, 2, 2);
    ASSERT_TRUE(memory->write_value(HdaDriver::k_corb + 4, HdaDriver::verb(0, k_verb_get_parameter, 0)));
    driver.set_reg(k_corbwp, 1, 2);
    EXPECT_EQ(driver.reg(k_rirbwp, 2), 0U);
    bus.config_write(HdaDriver::k_address, 0x04, 2, 6);
    EXPECT_EQ(driver.reg(k_rirbwp, 2), 1U);
}

TEST_F(HdaControllerTest, wall_clock_counts_24_mhz_from_the_links_reset) {
    clock.advance(5'000'000);
    driver.reset_link();
    EXPECT_EQ(driver.reg(k_walclk), 0U);
    clock.advance(1'000'500);
    EXPECT_EQ(driver.reg(k_walclk), 24'012U);
    EXPECT_EQ(driver.reg(k_alias_start + k_walclk), 24'012U);
    EXPECT_EQ(driver.reg(k_alias_start + k_gcap), 0U) << "nothing else is there twice";
    clock.advance(200'000'000'000);
    EXPECT_EQ(driver.reg(k_walclk), static_cast<uint32_t>(200'001'000'500ULL * 24 / 1000)) << "it wraps at 32 bits";
}

TEST_F(HdaControllerTest, flush_is_done_at_once) {
    driver.reset_link();
    driver.set_reg(k_gctl, k_gctl_crst | k_gctl_fcntrl);
    EXPECT_EQ(driver.reg(k_gsts, 2), k_gsts_fsts);
    EXPECT_EQ(driver.reg(k_gctl), k_gctl_crst);
    driver.set_reg(k_gsts, k_gsts_fsts, 2);
    EXPECT_EQ(driver.reg(k_gsts, 2), 0U);
}

}  // namespace
}  // namespace skep::test
