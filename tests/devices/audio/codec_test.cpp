// SPDX-License-Identifier: GPL-3.0-or-later
// The codec as a driver's parser sees it.
#include <gtest/gtest.h>

#include "devices/audio/hda_codec.hpp"
#include "devices/audio/hda_verbs.hpp"
#include "tests/support/hda_driver.hpp"

namespace skep::test {
namespace {

using namespace hda;

constexpr uint32_t k_dac = HdaDriver::k_dac;
constexpr uint32_t k_line_out = HdaDriver::k_line_out;
constexpr uint32_t k_adc = HdaDriver::k_adc;
constexpr uint32_t k_microphone = HdaDriver::k_microphone;

class HdaCodecTest : public testing::Test {
  protected:
    uint32_t ask(uint32_t node, uint32_t id, uint32_t payload = 0) { return codec.execute(HdaDriver::verb(node, id, payload)); }
    uint32_t parameter(uint32_t node, uint32_t which) { return ask(node, k_verb_get_parameter, which); }
    uint32_t type(uint32_t node) { return parameter(node, k_parameter_widget_capabilities) & 0xfU << 20; }
    void open_output() {
        ask(k_dac, k_verb_set_stream, 0x30);
        ask(k_line_out, k_verb_set_pin_control, k_pin_out_enable);
    }
    HdaCodec codec;
};

TEST_F(HdaCodecTest, tree_has_one_audio_function_with_four_widgets) {
    EXPECT_EQ(parameter(0, k_parameter_revision_id) >> 16, 0x10U) << "of the specification 1.0";
    EXPECT_EQ(parameter(0, k_parameter_subordinate_nodes), 1U << 16 | 1);
    EXPECT_EQ(parameter(1, k_parameter_function_group_type), 1U);
    EXPECT_EQ(parameter(1, k_parameter_subordinate_nodes), 2U << 16 | 4);
    EXPECT_EQ(type(k_dac), k_widget_output);
    EXPECT_EQ(type(k_line_out), k_widget_pin);
    EXPECT_EQ(type(k_adc), k_widget_input);
    EXPECT_EQ(type(k_microphone), k_widget_pin);
}

TEST_F(HdaCodecTest, connections_lead_from_jack_to_converter) {
    EXPECT_EQ(parameter(k_line_out, k_parameter_connection_list_length), 1U);
    EXPECT_EQ(ask(k_line_out, k_verb_get_connection_list, 0), k_dac);
    EXPECT_EQ(parameter(k_adc, k_parameter_connection_list_length), 1U);
    EXPECT_EQ(ask(k_adc, k_verb_get_connection_list, 0), k_microphone);
    EXPECT_EQ(ask(k_adc, k_verb_get_connection_list, 4), 0U);
    for (const uint32_t node : {k_dac, k_microphone}) {
        EXPECT_EQ(parameter(node, k_parameter_connection_list_length), 0U);
        EXPECT_EQ(parameter(node, k_parameter_widget_capabilities) & k_widget_connection_list, 0U);
    }
}

TEST_F(HdaCodecTest, jacks_say_what_they_are) {
    EXPECT_EQ(ask(k_line_out, k_verb_get_configuration), 0x0101'4110U);
    EXPECT_EQ(ask(k_microphone, k_verb_get_configuration), 0x01a1'9120U);
    EXPECT_EQ(parameter(k_line_out, k_parameter_pin_capabilities), k_pin_capable_out);
    EXPECT_EQ(parameter(k_microphone, k_parameter_pin_capabilities), k_pin_capable_in);
    for (uint32_t byte = 0; byte < 4; ++byte) {
        ask(k_line_out, k_verb_set_configuration + byte, 0x50 + byte);
    }
    EXPECT_EQ(ask(k_line_out, k_verb_get_configuration), 0x5352'5150U);
    ask(1, k_verb_reset);
    EXPECT_EQ(ask(k_line_out, k_verb_get_configuration), 0x5352'5150U) << "a function reset leaves it";
    codec.reset();
    EXPECT_EQ(ask(k_line_out, k_verb_get_configuration), 0x0101'4110U);
}

TEST_F(HdaCodecTest, converters_offer_the_usual_rates_and_sizes) {
    for (const uint32_t node : {uint32_t{1}, k_dac, k_adc}) {
        const uint32_t pcm = parameter(node, k_parameter_pcm);
        for (const unsigned rate : {0U, 5U, 6U, 8U, 10U}) {
            EXPECT_TRUE((pcm >> rate & 1) != 0) << node << ": rate " << rate;
        }
        EXPECT_EQ(pcm >> 16, 0x1eU) << "16, 20, 24 and 32 bits";
        EXPECT_EQ(parameter(node, k_parameter_stream_formats), 1U);
    }
}

TEST_F(HdaCodecTest, amplifier_keeps_left_and_right_apart) {
    const uint32_t capabilities = parameter(k_dac, k_parameter_output_amplifier);
    EXPECT_EQ(capabilities, 0x8002'5757U);
    EXPECT_EQ(ask(k_dac, k_verb_get_amplifier, k_get_amplifier_output), 0x57U) << "0 dB after reset";
    ask(k_dac, k_verb_set_amplifier, k_set_amplifier_output | k_set_amplifier_left | 0x80 | 0x10);
    ask(k_dac, k_verb_set_amplifier, k_set_amplifier_output | k_set_amplifier_right | 0x7f);
    EXPECT_EQ(ask(k_dac, k_verb_get_amplifier, k_get_amplifier_output | k_get_amplifier_left), 0x90U);
    EXPECT_EQ(ask(k_dac, k_verb_get_amplifier, k_get_amplifier_output), 0x57U) << "no more than there is";
    EXPECT_EQ(ask(k_dac, k_verb_get_amplifier, 0), 0U) << "it has none on its input";
    ask(k_dac, k_verb_set_amplifier, k_set_amplifier_input | k_set_amplifier_left | k_set_amplifier_right);
    EXPECT_EQ(ask(k_dac, k_verb_get_amplifier, k_get_amplifier_output | k_get_amplifier_left), 0x90U);
}

TEST_F(HdaCodecTest, formats_and_streams_are_kept_by_converters_only) {
    for (const uint32_t node : {k_dac, k_adc}) {
        EXPECT_EQ(ask(node, k_verb_get_format), 0x11U);
        ask(node, k_verb_set_format, 0x4031);
        EXPECT_EQ(ask(node, k_verb_get_format), 0x4031U);
        ask(node, k_verb_set_stream, 0x52);
        EXPECT_EQ(ask(node, k_verb_get_stream), 0x52U);
    }
    ask(k_line_out, k_verb_set_stream, 0x52);
    EXPECT_EQ(ask(k_line_out, k_verb_get_stream), 0U);
}

TEST_F(HdaCodecTest, widget_is_no_more_awake_than_its_function) {
    EXPECT_EQ(parameter(1, k_parameter_power_states), 0xfU);
    ask(1, k_verb_set_power, 3);
    EXPECT_EQ(ask(1, k_verb_get_power), 0x33U);
    EXPECT_EQ(ask(k_dac, k_verb_get_power), 0x30U);
    ask(1, k_verb_set_power, 0);
    ask(k_dac, k_verb_set_power, 3);
    EXPECT_EQ(ask(k_dac, k_verb_get_power), 0x33U);
    EXPECT_EQ(ask(1, k_verb_get_power), 0U);
}

TEST_F(HdaCodecTest, tap_tells_stream_and_loudness) {
    EXPECT_EQ(codec.playing().tag, 0);
    open_output();
    EXPECT_EQ(codec.playing().tag, 3);
    EXPECT_FLOAT_EQ(codec.playing().left, 1);
    ask(k_dac, k_verb_set_amplifier, k_set_amplifier_output | k_set_amplifier_left | (0x57 - 8));
    EXPECT_NEAR(codec.playing().left, 0.5012, 0.0001) << "-6 dB";
    EXPECT_FLOAT_EQ(codec.playing().right, 1);
    ask(k_dac, k_verb_set_amplifier, k_set_amplifier_output | k_set_amplifier_right | k_amplifier_mute | 0x57);
    EXPECT_EQ(codec.playing().right, 0);
}

TEST_F(HdaCodecTest, pin_and_power_silence_the_tap) {
    open_output();
    ask(k_line_out, k_verb_set_pin_control, 0);
    EXPECT_EQ(codec.playing().left, 0);
    open_output();
    for (const uint32_t node : {uint32_t{1}, k_dac, k_line_out}) {
        ask(node, k_verb_set_power, 3);
        EXPECT_EQ(codec.playing().left, 0) << node;
        ask(node, k_verb_set_power, 0);
        EXPECT_FLOAT_EQ(codec.playing().left, 1) << node;
    }
    ask(k_line_out, k_verb_set_pin_control, 0xff);
    EXPECT_EQ(ask(k_line_out, k_verb_get_pin_control), k_pin_out_enable) << "it can nothing else";
}

TEST_F(HdaCodecTest, microphone_can_be_made_louder) {
    ask(k_adc, k_verb_set_stream, 0x20);
    ask(k_microphone, k_verb_set_pin_control, k_pin_in_enable);
    EXPECT_FLOAT_EQ(codec.recording().left, 1);
    ask(k_adc, k_verb_set_amplifier, k_set_amplifier_input | k_set_amplifier_left | k_set_amplifier_right | 0x24);
    EXPECT_NEAR(codec.recording().right, 10, 0.001) << "20 dB";
    EXPECT_EQ(ask(k_adc, k_verb_get_amplifier, 0), 0x24U);
}

TEST_F(HdaCodecTest, unknown_nodes_and_verbs_are_answered_by_zero) {
    for (uint32_t node = 0; node < 256; ++node) {
        for (const uint32_t verb : {0x0U, 0x1U, 0xcU, 0xdU, 0x700U, 0x7feU, 0xf01U, 0xf09U, 0xfffU}) {
            EXPECT_EQ(ask(node, verb, 0x5a), 0U) << node << ' ' << verb;
        }
    }
    EXPECT_EQ(parameter(6, k_parameter_widget_capabilities), 0U);
    EXPECT_EQ(parameter(k_dac, 0xff), 0U);
}

TEST_F(HdaCodecTest, function_reset_returns_to_the_start) {
    open_output();
    ask(k_dac, k_verb_set_format, 0x4031);
    ask(1, k_verb_reset);
    EXPECT_EQ(codec.playing().tag, 0);
    EXPECT_EQ(ask(k_dac, k_verb_get_format), 0x11U);
    EXPECT_EQ(ask(k_line_out, k_verb_get_pin_control), 0U);
}

TEST_F(HdaCodecTest, subsystem_is_the_firmwares_to_set) {
    EXPECT_EQ(ask(1, k_verb_get_subsystem), 0x1af4'0022U);
    ask(1, k_verb_set_subsystem + 2, 0x28);
    EXPECT_EQ(ask(1, k_verb_get_subsystem), 0x1a28'0022U);
}

}  // namespace
}  // namespace skep::test
