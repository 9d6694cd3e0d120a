// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_codec.hpp"

#include <algorithm>
#include <cmath>

#include "devices/audio/hda_verbs.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace hda;

namespace {

constexpr unsigned k_root = 0;
constexpr unsigned k_function = 1;
constexpr unsigned k_dac = 2;
constexpr unsigned k_line_out = 3;
constexpr unsigned k_adc = 4;
constexpr unsigned k_microphone = 5;
constexpr unsigned k_first_widget = k_dac;
constexpr unsigned k_widget_count = 4;

constexpr uint32_t k_vendor_id = 0x1af4'0022;
constexpr uint32_t k_revision_id = 0x0010'0101;  // of the specification: 1.0
constexpr uint32_t k_audio_function_group = 1;
constexpr uint32_t k_pcm_formats = 1;
// 7.3.4.7: 8 to 192 kHz; 16, 20, 24 and 32 bits.
constexpr uint32_t k_pcm_rates_and_sizes = 0x07ff | 0xfU << 17;
constexpr uint32_t k_all_power_states = 0xf;
constexpr uint16_t k_format_48k_16_stereo = 0x0011;

// 7.3.4.10: mute, size of a step in quarters of a decibel less one, number of steps, and which of them is 0 dB.
constexpr uint32_t amplifier(uint32_t quarters, uint32_t steps, uint32_t zero) {
    return 1U << 31 | (quarters - 1) << 16 | steps << 8 | zero;
}
constexpr uint32_t amplifier_zero(uint32_t capabilities) { return capabilities & 0x7f; }
constexpr uint32_t amplifier_steps(uint32_t capabilities) { return capabilities >> 8 & 0x7f; }
constexpr double amplifier_step_db(uint32_t capabilities) { return ((capabilities >> 16 & 0x7f) + 1) * 0.25; }

constexpr uint32_t k_dac_amplifier = amplifier(3, 0x57, 0x57);  // -65.25 dB to 0 dB
constexpr uint32_t k_adc_amplifier = amplifier(4, 0x28, 0x10);  // -16 dB to 24 dB

// 7.3.3.31: a jack of 3.5 mm at the back that does not tell whether something is plugged in.
constexpr uint32_t jack(uint32_t device, uint32_t colour, uint32_t association) {
    constexpr uint32_t rear = 0x01U << 24;
    constexpr uint32_t stereo_jack = 1U << 16;
    constexpr uint32_t no_detection = 1U << 8;
    return rear | device << 20 | stereo_jack | colour << 12 | no_detection | association << 4;
}
constexpr uint32_t k_device_line_out = 0x0;
constexpr uint32_t k_device_microphone = 0xa;
constexpr uint32_t k_green = 4;
constexpr uint32_t k_pink = 9;

struct Description {
    uint32_t capabilities = 0;
    uint32_t pin_capabilities = 0;
    uint32_t pin_writable = 0;
    uint32_t input_amplifier = 0;
    uint32_t output_amplifier = 0;
    uint8_t connection = 0;  // the node in its connection list, 0: none
    uint32_t configuration = 0;

    [[nodiscard]] bool is_converter() const { return (capabilities & k_widget_own_format) != 0; }
    [[nodiscard]] bool is_pin() const { return pin_capabilities != 0; }
    [[nodiscard]] uint32_t amplifier() const { return input_amplifier | output_amplifier; }
};

constexpr uint32_t k_converter = k_widget_stereo | k_widget_own_amplifier | k_widget_own_format | k_widget_power_control;
constexpr uint32_t k_pin = k_widget_pin | k_widget_stereo | k_widget_power_control;

constexpr std::array<Description, 6> k_nodes{{
    {},
    {},
    {.capabilities = k_widget_output | k_converter | k_widget_output_amplifier, .output_amplifier = k_dac_amplifier},
    {.capabilities = k_pin | k_widget_connection_list,
     .pin_capabilities = k_pin_capable_out,
     .pin_writable = k_pin_out_enable,
     .connection = k_dac,
     .configuration = jack(k_device_line_out, k_green, 1)},
    {.capabilities = k_widget_input | k_converter | k_widget_input_amplifier | k_widget_connection_list,
     .input_amplifier = k_adc_amplifier,
     .connection = k_microphone},
    {.capabilities = k_pin,
     .pin_capabilities = k_pin_capable_in,
     .pin_writable = k_pin_in_enable,
     .configuration = jack(k_device_microphone, k_pink, 2)},
}};

uint32_t function_parameter(uint32_t parameter) {
    switch (parameter) {
        case k_parameter_subordinate_nodes: return k_first_widget << 16 | k_widget_count;
        case k_parameter_function_group_type: return k_audio_function_group;
        case k_parameter_pcm: return k_pcm_rates_and_sizes;
        case k_parameter_stream_formats: return k_pcm_formats;
        case k_parameter_power_states: return k_all_power_states;
        default: return 0;
    }
}

uint32_t widget_parameter(const Description& node, uint32_t parameter) {
    switch (parameter) {
        case k_parameter_widget_capabilities: return node.capabilities;
        case k_parameter_pcm: return node.is_converter() ? k_pcm_rates_and_sizes : 0;
        case k_parameter_stream_formats: return node.is_converter() ? k_pcm_formats : 0;
        case k_parameter_pin_capabilities: return node.pin_capabilities;
        case k_parameter_input_amplifier: return node.input_amplifier;
        case k_parameter_output_amplifier: return node.output_amplifier;
        case k_parameter_connection_list_length: return node.connection != 0 ? 1 : 0;
        case k_parameter_power_states: return k_all_power_states;
        default: return 0;
    }
}

uint32_t get_parameter(unsigned node, uint32_t parameter) {
    if (node == k_function) {
        return function_parameter(parameter);
    }
    if (node != k_root) {
        return widget_parameter(k_nodes[node], parameter);
    }
    switch (parameter) {
        case k_parameter_vendor_id: return k_vendor_id;
        case k_parameter_revision_id: return k_revision_id;
        case k_parameter_subordinate_nodes: return k_function << 16 | 1;
        default: return 0;
    }
}

// The factor of an amplifier's setting.
float gain(uint32_t capabilities, uint8_t setting) {
    if ((setting & k_amplifier_mute) != 0) {
        return 0;
    }
    const int steps = static_cast<int>(setting & k_amplifier_gain_mask) - static_cast<int>(amplifier_zero(capabilities));
    return static_cast<float>(std::pow(10.0, steps * amplifier_step_db(capabilities) / 20));
}

}  // namespace

void HdaCodec::reset() {
    m_subsystem = k_vendor_id;
    for (unsigned index = 0; index < k_node_count; ++index) {
        m_nodes[index].configuration = k_nodes[index].configuration;
    }
    reset_function();
}

// 7.3.3.33: everything but the configuration defaults.
void HdaCodec::reset_function() {
    for (unsigned index = 0; index < k_node_count; ++index) {
        const auto zero = static_cast<uint8_t>(amplifier_zero(k_nodes[index].amplifier()));
        m_nodes[index] = {.format = k_nodes[index].is_converter() ? k_format_48k_16_stereo : uint16_t{0},
                          .stream_channel = 0,
                          .amplifier = {zero, zero},
                          .pin_control = 0,
                          .power = 0,
                          .configuration = m_nodes[index].configuration};
    }
}

uint32_t HdaCodec::execute(uint32_t verb) {
    const auto node = static_cast<unsigned>(bits(verb, 20, 8));
    if (node >= k_node_count) {
        return 0;
    }
    auto id = static_cast<uint32_t>(bits(verb, 8, 12));
    auto payload = static_cast<uint32_t>(bits(verb, 0, 8));
    if (bits(id, 8, 4) != 0x7 && bits(id, 8, 4) != 0xf) {
        id = static_cast<uint32_t>(bits(verb, 16, 4));
        payload = static_cast<uint32_t>(bits(verb, 0, 16));
    }
    const bool asks = id >= k_verb_get_parameter || id == k_verb_get_format || id == k_verb_get_amplifier;
    if (asks) {
        return get(node, id, payload);
    }
    set(node, id, payload);
    return 0;
}

uint32_t HdaCodec::connection_list(unsigned node, uint32_t first) const {
    return first == 0 ? k_nodes[node].connection : 0;
}

uint32_t HdaCodec::get(unsigned node, uint32_t verb, uint32_t payload) const {
    const Node& state = m_nodes[node];
    switch (verb) {
        case k_verb_get_parameter: return get_parameter(node, payload);
        case k_verb_get_connection_list: return connection_list(node, payload);
        case k_verb_get_format: return state.format;
        case k_verb_get_amplifier: {
            const bool output = (payload & k_get_amplifier_output) != 0;
            const uint32_t capabilities = output ? k_nodes[node].output_amplifier : k_nodes[node].input_amplifier;
            return capabilities == 0 ? 0 : state.amplifier[(payload & k_get_amplifier_left) != 0 ? 0 : 1];
        }
        case k_verb_get_power: {
            // PS-Act in the upper half: a widget is no more awake than its function group.
            const uint32_t actual = std::max(state.power, m_nodes[k_function].power);
            return node == k_root ? 0 : state.power | actual << 4;
        }
        case k_verb_get_stream: return state.stream_channel;
        case k_verb_get_pin_control: return state.pin_control;
        case k_verb_get_configuration: return state.configuration;
        case k_verb_get_subsystem: return node == k_function ? m_subsystem : 0;
        default: return 0;
    }
}

void HdaCodec::set_amplifier(unsigned node, uint32_t payload) {
    const Description& about = k_nodes[node];
    const bool meant = (about.output_amplifier != 0 && (payload & k_set_amplifier_output) != 0) ||
                       (about.input_amplifier != 0 && (payload & k_set_amplifier_input) != 0 && bits(payload, 8, 4) == 0);
    if (!meant) {
        return;
    }
    const uint32_t steps = std::min(payload & k_amplifier_gain_mask, amplifier_steps(about.amplifier()));
    const auto setting = static_cast<uint8_t>((payload & k_amplifier_mute) | steps);
    if ((payload & k_set_amplifier_left) != 0) {
        m_nodes[node].amplifier[0] = setting;
    }
    if ((payload & k_set_amplifier_right) != 0) {
        m_nodes[node].amplifier[1] = setting;
    }
}

void HdaCodec::set(unsigned node, uint32_t verb, uint32_t payload) {
    Node& state = m_nodes[node];
    const Description& about = k_nodes[node];
    if (verb == k_verb_set_format && about.is_converter()) {
        state.format = static_cast<uint16_t>(payload);
    } else if (verb == k_verb_set_amplifier) {
        set_amplifier(node, payload);
    } else if (verb == k_verb_set_stream && about.is_converter()) {
        state.stream_channel = static_cast<uint8_t>(payload);
    } else if (verb == k_verb_set_pin_control) {
        state.pin_control = static_cast<uint8_t>(payload & about.pin_writable);
    } else if (verb == k_verb_set_power && node != k_root) {
        state.power = static_cast<uint8_t>(payload & 3);
    } else if (verb >= k_verb_set_configuration && verb < k_verb_set_configuration + 4 && about.is_pin()) {
        state.configuration = static_cast<uint32_t>(merge_bytes(state.configuration, verb - k_verb_set_configuration, 1, payload));
    } else if (verb >= k_verb_set_subsystem && verb < k_verb_set_subsystem + 4 && node == k_function) {
        m_subsystem = static_cast<uint32_t>(merge_bytes(m_subsystem, verb - k_verb_set_subsystem, 1, payload));
    } else if (verb == k_verb_reset && node == k_function) {
        reset_function();
    }
}

HdaTap HdaCodec::tap(unsigned converter, unsigned pin, uint32_t pin_enable) const {
    const Node& state = m_nodes[converter];
    HdaTap tap{.tag = static_cast<uint8_t>(state.stream_channel >> 4), .channel = static_cast<uint8_t>(state.stream_channel & 15)};
    const bool awake = m_nodes[k_function].power == 0 && state.power == 0 && m_nodes[pin].power == 0;
    if (awake && (m_nodes[pin].pin_control & pin_enable) != 0) {
        tap.left = gain(k_nodes[converter].amplifier(), state.amplifier[0]);
        tap.right = gain(k_nodes[converter].amplifier(), state.amplifier[1]);
    }
    return tap;
}

HdaTap HdaCodec::playing() const { return tap(k_dac, k_line_out, k_pin_out_enable); }
HdaTap HdaCodec::recording() const { return tap(k_adc, k_microphone, k_pin_in_enable); }

void HdaCodec::save(StateWriter& writer) const {
    for (const Node& node : m_nodes) {
        writer.put(node.format);
        writer.put(node.stream_channel);
        writer.put(node.amplifier[0]);
        writer.put(node.amplifier[1]);
        writer.put(node.pin_control);
        writer.put(node.power);
        writer.put(node.configuration);
    }
    writer.put(m_subsystem);
}

void HdaCodec::load(StateReader& reader) {
    for (unsigned index = 0; index < k_node_count; ++index) {
        const Description& about = k_nodes[index];
        Node& node = m_nodes[index];
        reader.get(node.format);
        reader.get(node.stream_channel);
        for (uint8_t& setting : node.amplifier) {
            const auto saved = reader.get<uint8_t>();
            const auto steps = static_cast<uint8_t>(amplifier_steps(about.amplifier()));
            setting = static_cast<uint8_t>((saved & k_amplifier_mute) | std::min<uint8_t>(saved & k_amplifier_gain_mask, steps));
        }
        node.pin_control = static_cast<uint8_t>(reader.get<uint8_t>() & about.pin_writable);
        node.power = reader.get<uint8_t>() & 3;
        reader.get(node.configuration);
    }
    reader.get(m_subsystem);
}

}  // namespace skep
