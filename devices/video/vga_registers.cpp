// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/vga_registers.hpp"

#include <algorithm>
#include <span>

namespace skep::vga {
namespace {

// Bits that exist, by index; registers beyond do not.
constexpr std::array<uint8_t, 5> k_sequencer_bits{0x03, 0x3d, 0x0f, 0x3f, 0x0e};
constexpr std::array<uint8_t, 9> k_graphics_bits{0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
constexpr std::array<uint8_t, 5> k_attribute_mode_bits{0xef, 0xff, 0x3f, 0x0f, 0x0f};  // from index 0x10
constexpr unsigned k_attribute_count = 0x15;
constexpr unsigned k_crtc_count = 0x19;
constexpr uint8_t k_crtc_protect = 0x80;  // of Vertical Retrace End: registers 0 to 7 are read-only
constexpr uint8_t k_overflow_line_compare = 0x10;

enum Port : uint16_t {
    k_crtc_index_mono = 0x3b4,
    k_crtc_data_mono = 0x3b5,
    k_status_1_mono = 0x3ba,
    k_attribute_index_data = 0x3c0,
    k_attribute_data_read = 0x3c1,
    k_status_0 = 0x3c2,  // written: miscellaneous output
    k_sequencer_index = 0x3c4,
    k_sequencer_data = 0x3c5,
    k_dac_mask = 0x3c6,
    k_dac_read_index = 0x3c7,  // read: state
    k_dac_write_index = 0x3c8,
    k_dac_data = 0x3c9,
    k_feature_read = 0x3ca,
    k_miscellaneous_read = 0x3cc,
    k_graphics_index = 0x3ce,
    k_graphics_data = 0x3cf,
    k_crtc_index_colour = 0x3d4,
    k_crtc_data_colour = 0x3d5,
    k_status_1_colour = 0x3da,
};

constexpr uint16_t k_mono_to_colour = 0x20;
constexpr uint8_t k_status_0_switch_sense = 0x10;  // a colour monitor
constexpr uint8_t k_status_display_disabled = 0x01;
constexpr uint8_t k_status_vertical_retrace = 0x08;

constexpr Nanoseconds k_line_time = 31'778;  // 31.469 kHz, as all standard modes
constexpr Nanoseconds k_line_shown = 25'422;

bool is_mono_port(uint16_t port) { return port >= 0x3b0 && port < 0x3c0; }
bool is_colour_port(uint16_t port) { return port >= 0x3d0; }

}  // namespace

void Registers::reset() {
    const uint64_t next = m_generation + 1;
    *this = Registers{};
    m_generation = next;
}

// Where the beam is. The whole vertical blank counts as retrace: the real pulse of two lines would often be missed by a
// guest whose processor was not running just then.
uint8_t Registers::input_status_1(Nanoseconds now) const {
    const uint32_t shown = vertical_end();
    const uint32_t overflow = crtc[k_cr_overflow];
    uint32_t total = crtc[k_cr_vertical_total] + 2U + ((overflow & 0x01) << 8) + ((overflow & 0x20) << 4);
    if (total <= shown) {
        total = shown + shown / 8 + 1;
    }
    const auto time = static_cast<uint64_t>(now);
    const uint64_t line = time / k_line_time % total;
    uint8_t status = 0;
    if (line >= shown) {
        status = k_status_vertical_retrace | k_status_display_disabled;
    } else if (time % k_line_time >= k_line_shown) {
        status = k_status_display_disabled;
    }
    return status;
}

uint32_t Registers::vertical_end() const {
    const uint32_t overflow = crtc[k_cr_overflow];
    return crtc[k_cr_vertical_end] + ((overflow & 0x02) << 7) + ((overflow & 0x40) << 3) + 1;
}

uint8_t Registers::read(uint16_t port, Nanoseconds now) {
    const bool colour = (miscellaneous & k_misc_colour_ports) != 0;
    if (colour ? is_mono_port(port) : is_colour_port(port)) {
        return 0xff;
    }
    switch (is_mono_port(port) ? port + k_mono_to_colour : port) {
        case k_attribute_index_data: return attribute_wants_data ? 0 : attribute_index;
        case k_attribute_data_read: return attribute[attribute_index & 0x1f];
        case k_status_0: return k_status_0_switch_sense;
        case k_sequencer_index: return sequencer_index;
        case k_sequencer_data: return sequencer[sequencer_index];
        case k_dac_mask: return dac.mask;
        case k_dac_read_index: return dac.state;
        case k_dac_write_index: return dac.write_index;
        case k_dac_data: return read_dac();
        case k_feature_read: return feature_control;
        case k_miscellaneous_read: return miscellaneous;
        case k_graphics_index: return graphics_index;
        case k_graphics_data: return graphics[graphics_index];
        case k_crtc_index_colour: return crtc_index;
        case k_crtc_data_colour: return crtc[crtc_index];
        case k_status_1_colour: attribute_wants_data = false; return input_status_1(now);
        default: return 0xff;
    }
}

void Registers::write(uint16_t port, uint8_t value) {
    const bool colour = (miscellaneous & k_misc_colour_ports) != 0;
    if (colour ? is_mono_port(port) : is_colour_port(port)) {
        return;
    }
    switch (is_mono_port(port) ? port + k_mono_to_colour : port) {
        case k_attribute_index_data: write_attribute(value); break;
        case k_status_0: miscellaneous = value & ~uint8_t{0x10}; break;
        case k_sequencer_index: sequencer_index = value & 7; return;
        case k_sequencer_data:
            if (sequencer_index < k_sequencer_bits.size()) {
                sequencer[sequencer_index] = value & k_sequencer_bits[sequencer_index];
            }
            break;
        case k_dac_mask: dac.mask = value; break;
        case k_dac_read_index:
            dac.read_index = value;
            dac.component = 0;
            dac.state = 3;
            return;
        case k_dac_write_index:
            dac.write_index = value;
            dac.component = 0;
            dac.state = 0;
            return;
        case k_dac_data: write_dac(value); break;
        case k_graphics_index: graphics_index = value & 0x0f; return;
        case k_graphics_data:
            if (graphics_index < k_graphics_bits.size()) {
                graphics[graphics_index] = value & k_graphics_bits[graphics_index];
            }
            break;
        case k_crtc_index_colour: crtc_index = value & 0x1f; return;
        case k_crtc_data_colour: write_crtc(value); break;
        case k_status_1_colour: feature_control = value & 0x08; return;
        default: return;
    }
    ++m_generation;
}

// One port for index and data in turn; a read of Input Status 1 makes it the index's turn.
void Registers::write_attribute(uint8_t value) {
    attribute_wants_data = !attribute_wants_data;
    if (attribute_wants_data) {
        attribute_index = value & 0x3f;
        return;
    }
    const unsigned index = attribute_index & 0x1f;
    if (index < k_ar_mode) {
        attribute[index] = value & 0x3f;
    } else if (index < k_attribute_count) {
        attribute[index] = value & k_attribute_mode_bits[index - k_ar_mode];
    }
}

void Registers::write_crtc(uint8_t value) {
    const bool is_protected = (crtc[k_cr_vertical_retrace_end] & k_crtc_protect) != 0 && crtc_index <= k_cr_overflow;
    if (is_protected && crtc_index == k_cr_overflow) {
        crtc[crtc_index] = static_cast<uint8_t>((crtc[crtc_index] & ~k_overflow_line_compare) | (value & k_overflow_line_compare));
    } else if (!is_protected && crtc_index < k_crtc_count) {
        crtc[crtc_index] = value;
    }
}

uint8_t Registers::read_dac() {
    const uint8_t value = dac.palette[dac.read_index * 3U + dac.component];
    if (++dac.component == 3) {
        dac.component = 0;
        ++dac.read_index;
    }
    return value;
}

void Registers::write_dac(uint8_t value) {
    dac.latch[dac.component] = dac_8_bit ? value : value & 0x3f;
    if (++dac.component == 3) {
        std::copy(dac.latch.begin(), dac.latch.end(), dac.palette.begin() + dac.write_index * 3);
        dac.component = 0;
        ++dac.write_index;
    }
}

uint32_t Registers::colour(uint8_t index) const {
    uint32_t rgb = 0;
    for (unsigned component = 0; component < 3; ++component) {
        const uint32_t value = dac.palette[(index & dac.mask) * 3U + component];
        rgb = rgb << 8 | (dac_8_bit ? value : (value << 2 | (value & 0x3f) >> 4) & 0xff);
    }
    return rgb;
}

uint8_t Registers::palette_index(uint8_t pixel) const {
    const uint8_t select = attribute[k_ar_colour_select];
    auto index = static_cast<uint8_t>((attribute[pixel & 0x0f] & 0x3f) | (select & 0x0c) << 4);
    if ((attribute[k_ar_mode] & k_attribute_mode_p54s) != 0) {
        index = static_cast<uint8_t>((index & 0xcf) | (select & 0x03) << 4);
    }
    return index;
}

void Registers::save(StateWriter& writer) const {
    for (const uint8_t value : {miscellaneous, feature_control, sequencer_index, crtc_index, graphics_index, attribute_index}) {
        writer.put(value);
    }
    writer.put(attribute_wants_data);
    writer.put(dac_8_bit);
    writer.put_bytes(std::as_bytes(std::span(sequencer)));
    writer.put_bytes(std::as_bytes(std::span(crtc)));
    writer.put_bytes(std::as_bytes(std::span(graphics)));
    writer.put_bytes(std::as_bytes(std::span(attribute)));
    for (const uint8_t value : {dac.mask, dac.state, dac.read_index, dac.write_index, dac.component}) {
        writer.put(value);
    }
    writer.put_bytes(std::as_bytes(std::span(dac.latch)));
    writer.put_bytes(std::as_bytes(std::span(dac.palette)));
}

namespace {

template <size_t Size>
void get_array(StateReader& reader, std::array<uint8_t, Size>& to) {
    const std::vector<std::byte> saved = reader.get_bytes(Size);
    for (size_t i = 0; i < Size && i < saved.size(); ++i) {
        to[i] = static_cast<uint8_t>(saved[i]);
    }
}

}  // namespace

void Registers::load(StateReader& reader) {
    miscellaneous = reader.get<uint8_t>();
    feature_control = reader.get<uint8_t>();
    sequencer_index = reader.get<uint8_t>() & 7;
    crtc_index = reader.get<uint8_t>() & 0x1f;
    graphics_index = reader.get<uint8_t>() & 0x0f;
    attribute_index = reader.get<uint8_t>() & 0x3f;
    attribute_wants_data = reader.get<bool>();
    dac_8_bit = reader.get<bool>();
    get_array(reader, sequencer);
    get_array(reader, crtc);
    get_array(reader, graphics);
    get_array(reader, attribute);
    dac.mask = reader.get<uint8_t>();
    dac.state = reader.get<uint8_t>();
    dac.read_index = reader.get<uint8_t>();
    dac.write_index = reader.get<uint8_t>();
    dac.component = static_cast<uint8_t>(reader.get<uint8_t>() % 3);
    get_array(reader, dac.latch);
    get_array(reader, dac.palette);
    ++m_generation;
}

}  // namespace skep::vga
