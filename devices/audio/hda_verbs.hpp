// SPDX-License-Identifier: GPL-3.0-or-later
// Verbs and parameters of the Intel High Definition Audio specification 1.0a, chapter 7.
#pragma once

#include <cstdint>

namespace skep::hda {

// 7.3.3 Verbs with 16 bits of payload (the upper four of their twelve bits), then those with 8.
inline constexpr uint32_t k_verb_set_format = 0x2;
inline constexpr uint32_t k_verb_set_amplifier = 0x3;
inline constexpr uint32_t k_verb_get_format = 0xa;
inline constexpr uint32_t k_verb_get_amplifier = 0xb;
inline constexpr uint32_t k_verb_set_power = 0x705;
inline constexpr uint32_t k_verb_set_stream = 0x706;
inline constexpr uint32_t k_verb_set_pin_control = 0x707;
inline constexpr uint32_t k_verb_set_configuration = 0x71c;  // to 0x71f, a byte each
inline constexpr uint32_t k_verb_set_subsystem = 0x720;      // to 0x723, a byte each
inline constexpr uint32_t k_verb_reset = 0x7ff;
inline constexpr uint32_t k_verb_get_parameter = 0xf00;
inline constexpr uint32_t k_verb_get_connection_list = 0xf02;
inline constexpr uint32_t k_verb_get_power = 0xf05;
inline constexpr uint32_t k_verb_get_stream = 0xf06;
inline constexpr uint32_t k_verb_get_pin_control = 0xf07;
inline constexpr uint32_t k_verb_get_configuration = 0xf1c;
inline constexpr uint32_t k_verb_get_subsystem = 0xf20;

// 7.3.4 Parameters.
inline constexpr uint32_t k_parameter_vendor_id = 0x00;
inline constexpr uint32_t k_parameter_revision_id = 0x02;
inline constexpr uint32_t k_parameter_subordinate_nodes = 0x04;
inline constexpr uint32_t k_parameter_function_group_type = 0x05;
inline constexpr uint32_t k_parameter_widget_capabilities = 0x09;
inline constexpr uint32_t k_parameter_pcm = 0x0a;
inline constexpr uint32_t k_parameter_stream_formats = 0x0b;
inline constexpr uint32_t k_parameter_pin_capabilities = 0x0c;
inline constexpr uint32_t k_parameter_input_amplifier = 0x0d;
inline constexpr uint32_t k_parameter_connection_list_length = 0x0e;
inline constexpr uint32_t k_parameter_power_states = 0x0f;
inline constexpr uint32_t k_parameter_output_amplifier = 0x12;

// 7.3.4.6 Audio widget capabilities.
inline constexpr uint32_t k_widget_output = 0U << 20;
inline constexpr uint32_t k_widget_input = 1U << 20;
inline constexpr uint32_t k_widget_pin = 4U << 20;
inline constexpr uint32_t k_widget_stereo = 1U << 0;
inline constexpr uint32_t k_widget_input_amplifier = 1U << 1;
inline constexpr uint32_t k_widget_output_amplifier = 1U << 2;
inline constexpr uint32_t k_widget_own_amplifier = 1U << 3;
inline constexpr uint32_t k_widget_own_format = 1U << 4;
inline constexpr uint32_t k_widget_connection_list = 1U << 8;
inline constexpr uint32_t k_widget_power_control = 1U << 10;

inline constexpr uint32_t k_amplifier_mute = 1U << 7;  // as the amplifier verbs say it
inline constexpr uint32_t k_amplifier_gain_mask = 0x7f;
inline constexpr uint32_t k_set_amplifier_output = 1U << 15;
inline constexpr uint32_t k_set_amplifier_input = 1U << 14;
inline constexpr uint32_t k_set_amplifier_left = 1U << 13;
inline constexpr uint32_t k_set_amplifier_right = 1U << 12;
inline constexpr uint32_t k_get_amplifier_output = 1U << 15;
inline constexpr uint32_t k_get_amplifier_left = 1U << 13;
inline constexpr uint32_t k_pin_out_enable = 1U << 6;
inline constexpr uint32_t k_pin_in_enable = 1U << 5;
inline constexpr uint32_t k_pin_capable_out = 1U << 4;
inline constexpr uint32_t k_pin_capable_in = 1U << 5;

}  // namespace skep::hda
