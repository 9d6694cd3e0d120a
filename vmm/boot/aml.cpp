// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/aml.hpp"

#include <algorithm>
#include <iterator>

namespace skep::acpi {
namespace {

// Opcodes (ACPI 6.4, table 20.2 "AML Byte Stream Byte Values").
constexpr uint8_t k_zero_op = 0x00, k_one_op = 0x01, k_name_op = 0x08;
constexpr uint8_t k_byte_prefix = 0x0a, k_word_prefix = 0x0b, k_dword_prefix = 0x0c, k_string_prefix = 0x0d;
constexpr uint8_t k_qword_prefix = 0x0e, k_scope_op = 0x10, k_buffer_op = 0x11, k_package_op = 0x12;
constexpr uint8_t k_method_op = 0x14, k_dual_name_prefix = 0x2e, k_multi_name_prefix = 0x2f, k_ext_prefix = 0x5b;
constexpr uint8_t k_root_char = 0x5c, k_local0_op = 0x60, k_arg0_op = 0x68, k_store_op = 0x70, k_and_op = 0x7b;
constexpr uint8_t k_or_op = 0x7d, k_create_dword_field_op = 0x8a, k_lnot_op = 0x92, k_lequal_op = 0x93;
constexpr uint8_t k_subtract_op = 0x74, k_shift_left_op = 0x79, k_find_set_right_bit_op = 0x82;
constexpr uint8_t k_create_word_field_op = 0x8b;
constexpr uint8_t k_if_op = 0xa0, k_else_op = 0xa1, k_return_op = 0xa4;
constexpr uint8_t k_ext_region_op = 0x80, k_ext_field_op = 0x81, k_ext_device_op = 0x82;

class Writer {
  public:
    Writer& byte(uint8_t value) {
        m_bytes.push_back(std::byte{value});
        return *this;
    }
    Writer& little_endian(uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) {
            byte(static_cast<uint8_t>(value >> (8 * i)));
        }
        return *this;
    }
    Writer& add(const std::vector<std::byte>& bytes) {
        m_bytes.insert(m_bytes.end(), bytes.begin(), bytes.end());
        return *this;
    }
    Writer& add(const Term& term) { return add(term.bytes); }
    Writer& add(const Terms& terms) {
        for (const Term& term : terms) {
            add(term);
        }
        return *this;
    }
    Writer& add(std::string_view text) {
        for (const char c : text) {
            byte(static_cast<uint8_t>(c));
        }
        return *this;
    }
    [[nodiscard]] Term done() { return {std::move(m_bytes)}; }

  private:
    std::vector<std::byte> m_bytes;
};

// PkgLength (20.2.4): counts itself; bits 7-6 of the first byte say how many bytes follow.
Term with_length(const Term& body) {
    constexpr size_t k_one_byte_limit = 63;
    Writer out;
    if (body.bytes.size() + 1 <= k_one_byte_limit) {
        return out.byte(static_cast<uint8_t>(body.bytes.size() + 1)).add(body).done();
    }
    unsigned more = 1;
    while (more < 3 && (body.bytes.size() + 1 + more) >> (4 + 8 * more) != 0) {
        ++more;
    }
    const size_t total = body.bytes.size() + 1 + more;
    out.byte(static_cast<uint8_t>((more << 6) | (total & 0xf))).little_endian(total >> 4, more);
    return out.add(body).done();
}

Term extended(uint8_t opcode, const Term& rest) {
    return Writer().byte(k_ext_prefix).byte(opcode).add(rest).done();
}

Term two_operands(uint8_t opcode, const Term& left, const Term& right) {
    return Writer().byte(opcode).add(left).add(right).done();
}

Term with_target(uint8_t opcode, const Term& left, const Term& right, const Term& target) {
    return Writer().byte(opcode).add(left).add(right).add(target).done();
}

void add_segment(Writer& out, std::string_view segment) {
    for (size_t i = 0; i < 4; ++i) {
        out.byte(static_cast<uint8_t>(i < segment.size() ? segment[i] : '_'));
    }
}

unsigned hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return static_cast<unsigned>(c - '0');
    }
    return static_cast<unsigned>((c | 0x20) - 'a') + 10;
}

}  // namespace

Term path(std::string_view name) {
    Writer out;
    if (!name.empty() && name.front() == '\\') {
        out.byte(k_root_char);
        name.remove_prefix(1);
    }
    std::vector<std::string_view> segments;
    while (!name.empty()) {
        const size_t dot = std::min(name.find('.'), name.size());
        segments.push_back(name.substr(0, dot));
        name.remove_prefix(std::min(dot + 1, name.size()));
    }
    if (segments.empty()) {
        return out.byte(k_zero_op).done();  // NullName
    }
    if (segments.size() == 2) {
        out.byte(k_dual_name_prefix);
    } else if (segments.size() > 2) {
        out.byte(k_multi_name_prefix).byte(static_cast<uint8_t>(segments.size()));
    }
    for (const std::string_view segment : segments) {
        add_segment(out, segment);
    }
    return out.done();
}

Term integer(uint64_t value) {
    if (value <= 1) {
        return Writer().byte(value == 0 ? k_zero_op : k_one_op).done();
    }
    if (value <= 0xff) {
        return Writer().byte(k_byte_prefix).little_endian(value, 1).done();
    }
    if (value <= 0xffff) {
        return Writer().byte(k_word_prefix).little_endian(value, 2).done();
    }
    if (value <= 0xffff'ffff) {
        return Writer().byte(k_dword_prefix).little_endian(value, 4).done();
    }
    return Writer().byte(k_qword_prefix).little_endian(value, 8).done();
}

Term string(std::string_view ascii) {
    return Writer().byte(k_string_prefix).add(ascii).byte(0).done();
}

Term buffer(const std::vector<std::byte>& content) {
    return Writer()
        .byte(k_buffer_op)
        .add(with_length(Writer().add(integer(content.size())).add(content).done()))
        .done();
}

Term package(const Terms& elements) {
    const Term body = Writer().byte(static_cast<uint8_t>(elements.size())).add(elements).done();
    return Writer().byte(k_package_op).add(with_length(body)).done();
}

Term eisa_id(std::string_view id) {
    const auto letter = [&](size_t i) { return static_cast<unsigned>(id[i] - '@') & 0x1f; };
    const unsigned vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
    const unsigned product =
        (hex_digit(id[3]) << 12) | (hex_digit(id[4]) << 8) | (hex_digit(id[5]) << 4) | hex_digit(id[6]);
    // Both halves lie big-endian in the little-endian integer.
    const auto swapped = [](unsigned half) { return ((half & 0xff) << 8) | (half >> 8); };
    return integer(swapped(vendor) | (uint64_t{swapped(product)} << 16));
}

Term uuid(std::string_view text) {
    std::vector<std::byte> printed;
    for (size_t i = 0; i + 1 < text.size(); ++i) {
        if (text[i] != '-') {
            printed.push_back(static_cast<std::byte>((hex_digit(text[i]) << 4) | hex_digit(text[i + 1])));
            ++i;
        }
    }
    printed.resize(16);
    std::reverse(printed.begin(), printed.begin() + 4);  // the first three groups are little-endian
    std::reverse(printed.begin() + 4, printed.begin() + 6);
    std::reverse(printed.begin() + 6, printed.begin() + 8);
    return buffer(printed);
}

Term scope(std::string_view where, const Terms& body) {
    return Writer().byte(k_scope_op).add(with_length(Writer().add(path(where)).add(body).done())).done();
}

Term device(std::string_view name, const Terms& body) {
    return extended(k_ext_device_op, with_length(Writer().add(path(name)).add(body).done()));
}

Term name(std::string_view name, const Term& value) {
    return Writer().byte(k_name_op).add(path(name)).add(value).done();
}

Term method(std::string_view name, unsigned arguments, Serialize serialize, const Terms& body) {
    constexpr uint8_t k_serialized_flag = 8;
    const auto flags = static_cast<uint8_t>(arguments | (serialize == Serialize::yes ? k_serialized_flag : 0));
    return Writer().byte(k_method_op).add(with_length(Writer().add(path(name)).byte(flags).add(body).done())).done();
}

Term operation_region(std::string_view name, RegionSpace space, const Term& offset, const Term& length) {
    return extended(k_ext_region_op,
                    Writer().add(path(name)).byte(static_cast<uint8_t>(space)).add(offset).add(length).done());
}

Term field(std::string_view region, FieldAccess access, const std::vector<FieldUnit>& units) {
    Writer list;
    list.add(path(region)).byte(static_cast<uint8_t>(access));
    for (const FieldUnit& unit : units) {
        if (unit.name.empty()) {
            list.byte(0);  // ReservedField
        } else {
            add_segment(list, unit.name);
        }
        // The bit count is a PkgLength that does not count itself.
        if (unit.bits < 64) {
            list.byte(static_cast<uint8_t>(unit.bits));
        } else {
            list.byte(static_cast<uint8_t>(0x40 | (unit.bits & 0xf))).byte(static_cast<uint8_t>(unit.bits >> 4));
        }
    }
    return extended(k_ext_field_op, with_length(list.done()));
}

Term create_word_field(const Term& source, const Term& byte_offset, std::string_view name) {
    return Writer().byte(k_create_word_field_op).add(source).add(byte_offset).add(path(name)).done();
}

Term create_dword_field(const Term& source, const Term& byte_offset, std::string_view name) {
    return Writer().byte(k_create_dword_field_op).add(source).add(byte_offset).add(path(name)).done();
}

Term local(unsigned index) {
    return Writer().byte(static_cast<uint8_t>(k_local0_op + index)).done();
}
Term argument(unsigned index) {
    return Writer().byte(static_cast<uint8_t>(k_arg0_op + index)).done();
}
Term store(const Term& value, const Term& target) {
    return two_operands(k_store_op, value, target);
}

Term bit_and(const Term& left, const Term& right, const Term& target) {
    return with_target(k_and_op, left, right, target);
}
Term bit_or(const Term& left, const Term& right, const Term& target) {
    return with_target(k_or_op, left, right, target);
}
Term subtract(const Term& left, const Term& right, const Term& target) {
    return with_target(k_subtract_op, left, right, target);
}
Term shift_left(const Term& value, const Term& count, const Term& target) {
    return with_target(k_shift_left_op, value, count, target);
}
Term find_set_right_bit(const Term& value, const Term& target) {
    return two_operands(k_find_set_right_bit_op, value, target);
}
Term equal(const Term& left, const Term& right) {
    return two_operands(k_lequal_op, left, right);
}
Term logical_not(const Term& value) {
    return Writer().byte(k_lnot_op).add(value).done();
}

Term when(const Term& condition, const Terms& body) {
    return Writer().byte(k_if_op).add(with_length(Writer().add(condition).add(body).done())).done();
}
Term otherwise(const Terms& body) {
    return Writer().byte(k_else_op).add(with_length(Writer().add(body).done())).done();
}
Term give_back(const Term& value) {
    return Writer().byte(k_return_op).add(value).done();
}

// --- resource descriptors (6.4.2 small, 6.4.3 large) --------------------------------------------------------------

namespace {

constexpr uint8_t k_small_irq = 0x22, k_small_irq_flags = 0x23, k_small_io = 0x47, k_small_end = 0x79;
constexpr uint8_t k_large_memory32_fixed = 0x86, k_large_dword = 0x87, k_large_word = 0x88;
constexpr uint8_t k_large_interrupt = 0x89, k_large_qword = 0x8a;
constexpr uint8_t k_type_memory = 0, k_type_io = 1, k_type_bus = 2;
constexpr uint8_t k_producer_both_fixed = 0x0c;  // bits 2, 3: minimum and maximum address fixed; bit 0 clear: producer
constexpr uint8_t k_io_entire_range = 3;
constexpr uint8_t k_memory_read_write = 1;
constexpr uint8_t k_memory_read_write_cacheable = 3;

}  // namespace

template <typename T>
Resources& Resources::put(T value) {
    for (unsigned i = 0; i < sizeof(T); ++i) {
        m_bytes.push_back(static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i)));
    }
    return *this;
}

Resources& Resources::io(uint16_t start, uint8_t count) {
    return put(k_small_io).put(uint8_t{1}).put(start).put(start).put(uint8_t{1}).put(count);
}
Resources& Resources::irq(uint8_t line) {
    return put(k_small_irq).put(static_cast<uint16_t>(1u << line));
}
Resources& Resources::shared_irqs(uint16_t line_mask) {
    constexpr uint8_t k_level_low_shared = 0x18;
    return put(k_small_irq_flags).put(line_mask).put(k_level_low_shared);
}
Resources& Resources::interrupt(uint32_t gsi) {
    constexpr uint8_t k_consumer_level_low_shared = 0x0d;
    return put(k_large_interrupt).put(uint16_t{6}).put(k_consumer_level_low_shared).put(uint8_t{1}).put(gsi);
}
Resources& Resources::memory32(uint32_t start, uint32_t size) {
    return put(k_large_memory32_fixed).put(uint16_t{9}).put(k_memory_read_write).put(start).put(size);
}
Resources& Resources::bus_window(uint16_t first, uint16_t last) {
    put(k_large_word).put(uint16_t{13}).put(k_type_bus).put(k_producer_both_fixed).put(uint8_t{0});
    return put(uint16_t{0}).put(first).put(last).put(uint16_t{0}).put(static_cast<uint16_t>(last - first + 1));
}
Resources& Resources::io_window(uint16_t first, uint16_t last) {
    put(k_large_word).put(uint16_t{13}).put(k_type_io).put(k_producer_both_fixed).put(k_io_entire_range);
    return put(uint16_t{0}).put(first).put(last).put(uint16_t{0}).put(static_cast<uint16_t>(last - first + 1));
}
Resources& Resources::memory_window32(uint32_t first, uint32_t last) {
    put(k_large_dword).put(uint16_t{23}).put(k_type_memory).put(k_producer_both_fixed).put(k_memory_read_write);
    return put(uint32_t{0}).put(first).put(last).put(uint32_t{0}).put(static_cast<uint32_t>(last - first + 1));
}
Resources& Resources::memory_window64(uint64_t first, uint64_t last) {
    put(k_large_qword)
        .put(uint16_t{43})
        .put(k_type_memory)
        .put(k_producer_both_fixed)
        .put(k_memory_read_write_cacheable);
    return put(uint64_t{0}).put(first).put(last).put(uint64_t{0}).put(last - first + 1);
}
Term Resources::term() const {
    std::vector<std::byte> content = m_bytes;
    content.push_back(std::byte{k_small_end});
    content.push_back(std::byte{0});  // no checksum
    return buffer(content);
}

}  // namespace skep::acpi
