// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/assembler.hpp"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <cstring>

namespace skep::lockstep {
namespace {

void put(Item& item, unsigned byte) {
    if (item.size < item.bytes.size()) {
        item.bytes[item.size++] = static_cast<uint8_t>(byte);
    }
}

bool fits8(int64_t value) { return value >= -128 && value <= 127; }

}  // namespace

void put_immediate(Item& item, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) {
        put(item, static_cast<unsigned>(value >> (8 * i)) & 0xff);
    }
}

// --- one instruction -----------------------------------------------------------------------------------------------------
void Encoder::put_opcode(Item& item, uint32_t opcode) const {
    for (int shift = 16; shift >= 0; shift -= 8) {
        if (shift == 0 || opcode >> shift != 0) {
            put(item, opcode >> shift & 0xff);
        }
    }
}

void Encoder::put_prefixes(Item& item, const Shape& shape, unsigned reg, unsigned index, unsigned base) const {
    if (shape.lock) {
        put(item, 0xf0);
    }
    if (shape.width == 2 && shape.prefix != 0x66) {
        put(item, 0x66);
    }
    if (shape.prefix != 0) {
        put(item, shape.prefix);
    }
    if (!m_code64) {
        return;
    }
    const unsigned rex = (shape.width == 8 ? 8U : 0U) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
    if (rex != 0 || shape.force_rex) {
        put(item, 0x40 | rex);
    }
}

Item Encoder::with_register(const Shape& shape, unsigned reg, unsigned rm) const {
    Item item;
    put_prefixes(item, shape, reg, 0, rm);
    put_opcode(item, shape.opcode);
    put(item, 0xc0 | (reg & 7) << 3 | (rm & 7));
    return item;
}

void Encoder::put_memory(Item& item, unsigned reg, const Memory& memory, unsigned immediate_bytes) const {
    const unsigned field = (reg & 7) << 3;
    if (memory.address || memory.label) {
        put(item, field | 5);
        item.reference = m_code64 ? Reference::relative32 : Reference::absolute32;
        item.reference_at = item.size;
        item.to_label = memory.label.has_value();
        item.label = memory.label.value_or(0);
        // relative to the end of the instruction, which lies behind its immediate
        item.value = memory.address.value_or(0) + static_cast<uint64_t>(int64_t{memory.displacement});
        put_immediate(item, 0, 4);
        (void)immediate_bytes;
        return;
    }
    const bool no_base = memory.base < 0;
    const bool needs_sib = no_base || memory.index >= 0 || (memory.base & 7) == 4;
    unsigned mode = 2;
    if (no_base) {
        mode = 0;
    } else if (memory.displacement == 0 && (memory.base & 7) != 5) {
        mode = 0;
    } else if (fits8(memory.displacement)) {
        mode = 1;
    }
    const unsigned base = no_base ? 5 : static_cast<unsigned>(memory.base);
    put(item, mode << 6 | field | (needs_sib ? 4 : base & 7));
    if (needs_sib) {
        const unsigned index = memory.index < 0 ? 4 : static_cast<unsigned>(memory.index);
        put(item, memory.scale << 6 | (index & 7) << 3 | (base & 7));
    }
    if (mode == 1) {
        put_immediate(item, static_cast<uint64_t>(memory.displacement), 1);
    } else if (mode == 2 || no_base) {
        put_immediate(item, static_cast<uint64_t>(memory.displacement), 4);
    }
}

Item Encoder::with_memory(const Shape& shape, unsigned reg, const Memory& memory, unsigned immediate_bytes) const {
    Item item;
    if (memory.segment_prefix != 0) {
        put(item, memory.segment_prefix);
    }
    if (memory.address32 && m_code64) {
        put(item, 0x67);
    }
    put_prefixes(item, shape, reg, memory.index < 0 ? 0 : static_cast<unsigned>(memory.index),
                 memory.base < 0 ? 0 : static_cast<unsigned>(memory.base));
    put_opcode(item, shape.opcode);
    put_memory(item, reg, memory, immediate_bytes);
    return item;
}

namespace {
void put_vex(Item& item, const Encoder::Vex& vex, unsigned reg, unsigned index, unsigned base) {
    put(item, 0xc4);
    put(item, (~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | vex.map);
    put(item, (vex.wide ? 0x80U : 0U) | (~vex.vvvv & 15) << 3 | (vex.long256 ? 4U : 0U) | vex.pp);
    put(item, vex.opcode);
}
}  // namespace

Item Encoder::vex_register(const Vex& vex, unsigned reg, unsigned rm) const {
    Item item;
    put_vex(item, vex, reg, 0, rm);
    put(item, 0xc0 | (reg & 7) << 3 | (rm & 7));
    return item;
}

Item Encoder::vex_memory(const Vex& vex, unsigned reg, const Memory& memory) const {
    Item item;
    if (memory.segment_prefix != 0) {
        put(item, memory.segment_prefix);
    }
    put_vex(item, vex, reg, memory.index < 0 ? 0 : static_cast<unsigned>(memory.index),
            memory.base < 0 ? 0 : static_cast<unsigned>(memory.base));
    put_memory(item, reg, memory, 0);
    return item;
}

Item Encoder::plus_register(uint32_t opcode, unsigned width, unsigned reg) const {
    Item item;
    put_prefixes(item, {.width = width}, 0, 0, reg);
    put_opcode(item, opcode + (reg & 7));
    return item;
}

Item Encoder::raw(std::initializer_list<uint8_t> bytes) const {
    Item item;
    for (const uint8_t byte : bytes) {
        put(item, byte);
    }
    return item;
}

Item Encoder::load_immediate(unsigned reg, uint64_t value) const {
    if (value >> 32 == 0 || !m_code64) {
        Item item = plus_register(0xb8, 4, reg);
        put_immediate(item, value, 4);
        return item;
    }
    if (static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value))) == value) {
        Item item = with_register({.opcode = 0xc7, .width = 8}, 0, reg);
        put_immediate(item, value, 4);
        return item;
    }
    Item item = plus_register(0xb8, 8, reg);
    put_immediate(item, value, 8);
    return item;
}

// --- the whole -----------------------------------------------------------------------------------------------------------
void Program::bind(Label label) {
    Item item;
    item.kind = Item::Kind::label;
    item.label = label;
    item.fixed = true;
    items.push_back(item);
}

void Program::branch(uint8_t opcode, Label to, bool fixed) {
    Item item;
    item.kind = Item::Kind::branch;
    item.opcode = opcode;
    item.label = to;
    item.fixed = fixed;
    items.push_back(item);
}

namespace {

constexpr uint64_t k_page = 4096;

bool has_long_form(uint8_t opcode) { return opcode < 0xe0 || opcode > 0xe3; }

unsigned branch_size(const Item& item, bool is_short) {
    if (item.opcode == 0xe8) {
        return 5;
    }
    if (is_short || !has_long_form(item.opcode)) {
        return 2;
    }
    return item.opcode == 0xeb ? 5 : 6;
}

class Assembly {
  public:
    Assembly(const Program& program, uint64_t start) : m_program(program), m_start(start) {
        m_short.assign(program.items.size(), false);
        m_out.label_address.assign(program.labels, start);
    }
    // Long forms first; what is near enough then is so in the final layout too, but for padding, so it is looked at again.
    std::optional<Assembled> run(size_t most) {
        lay_out();
        for (size_t i = 0; i < m_program.items.size(); ++i) {
            const Item& item = m_program.items[i];
            m_short[i] = item.kind == Item::Kind::branch && fits8(distance(i, 2) * 5 / 4);
        }
        if (lay_out() > most) {
            return std::nullopt;
        }
        m_out.bytes.reserve(most);
        for (size_t i = 0; i < m_program.items.size(); ++i) {
            if (!emit(i)) {
                return std::nullopt;
            }
        }
        return std::move(m_out);
    }

  private:
    [[nodiscard]] int64_t distance(size_t i, unsigned size) const {
        return static_cast<int64_t>(m_out.label_address[m_program.items[i].label] - (m_address[i] + size));
    }
    static uint64_t padding(const Item& item, uint64_t at) { return (k_page - item.size - at) % k_page; }

    uint64_t lay_out() {
        m_address.resize(m_program.items.size());
        uint64_t at = m_start;
        for (size_t i = 0; i < m_program.items.size(); ++i) {
            const Item& item = m_program.items[i];
            m_address[i] = at;
            if (item.removed) {
                continue;
            }
            switch (item.kind) {
                case Item::Kind::code: at += item.size; break;
                case Item::Kind::label: m_out.label_address[item.label] = at; break;
                case Item::Kind::branch: at += branch_size(item, m_short[i]); break;
                case Item::Kind::pad_to_page_end: at += padding(item, at); break;
            }
        }
        return at - m_start;
    }

    void put(uint64_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) {
            m_out.bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
        }
    }

    bool emit(size_t i) {
        const Item& item = m_program.items[i];
        if (item.removed) {
            return true;
        }
        switch (item.kind) {
            case Item::Kind::label: return true;
            case Item::Kind::branch: return emit_branch(i);
            case Item::Kind::pad_to_page_end: emit_padding(padding(item, m_address[i])); return true;
            case Item::Kind::code: break;
        }
        const size_t begin = m_out.bytes.size();
        m_out.bytes.insert(m_out.bytes.end(), item.bytes.begin(), item.bytes.begin() + item.size);
        if (item.reference != Reference::none) {
            uint64_t value = item.value + (item.to_label ? m_out.label_address[item.label] : 0);
            if (item.reference == Reference::relative32) {
                value -= m_address[i] + item.size;
            }
            std::memcpy(m_out.bytes.data() + begin + item.reference_at, &value,
                        item.reference == Reference::absolute64 ? 8 : 4);
        }
        return true;
    }

    bool emit_branch(size_t i) {
        const Item& item = m_program.items[i];
        const unsigned size = branch_size(item, m_short[i]);
        const int64_t offset = distance(i, size);
        if (size == 2) {
            put(item.opcode, 1);
            put(static_cast<uint64_t>(offset), 1);
            return fits8(offset);
        }
        if (item.opcode == 0xe8 || item.opcode == 0xeb) {
            put(item.opcode == 0xeb ? 0xe9 : 0xe8, 1);
        } else {
            put(0x0f, 1);
            put(item.opcode + 0x10U, 1);
        }
        put(static_cast<uint64_t>(offset), 4);
        return true;
    }

    // A long padding is jumped over.
    void emit_padding(uint64_t count) {
        if (count >= 16) {
            put(0xe9, 1);
            put(count - 5, 4);
            count -= 5;
            m_out.bytes.insert(m_out.bytes.end(), count, 0xcc);
            return;
        }
        m_out.bytes.insert(m_out.bytes.end(), count, 0x90);
    }

    const Program& m_program;
    uint64_t m_start;
    std::vector<bool> m_short;
    std::vector<uint64_t> m_address;
    Assembled m_out;
};

}  // namespace

std::optional<Assembled> assemble(const Program& program, uint64_t start, size_t most) {
    return Assembly(program, start).run(most);
}

std::string disassemble(const std::vector<uint8_t>& bytes, uint64_t start, bool code64) {
    std::string out;
    size_t at = 0;
    while (at < bytes.size()) {
        ZydisDisassembledInstruction one;
        const auto mode = code64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32;
        const bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(mode, start + at, bytes.data() + at, bytes.size() - at, &one));
        const size_t length = known ? one.info.length : 1;
        std::string hex;
        for (size_t i = 0; i < length; ++i) {
            hex += fmt::format("{:02x}", bytes[at + i]);
        }
        out += fmt::format("  {:x}  {:<22} {}\n", start + at, hex, known ? one.text : "(bad)");
        at += length;
    }
    return out;
}

}  // namespace skep::lockstep
