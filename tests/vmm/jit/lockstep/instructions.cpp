// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/instructions.hpp"

#include <array>

#include "tests/vmm/interp/oracle_state.hpp"

namespace skep::lockstep {
namespace {

constexpr uint32_t k_ax = 1, k_dx = 4;
constexpr uint64_t k_page = 4096;

unsigned pick(Random& random, uint32_t mask) {
    const auto count = static_cast<unsigned>(__builtin_popcount(mask));
    unsigned skip = count != 0 ? random.below(count) : 0;
    for (unsigned i = 0; i < 32; ++i) {
        if ((mask >> i & 1) != 0 && skip-- == 0) {
            return i;
        }
    }
    return 0;
}

}  // namespace

// --- operands ------------------------------------------------------------------------------------------------------------
uint64_t Instructions::data_address() {
    static constexpr std::array<uint8_t, 16> k_good = {
        k_page_a, k_page_a, k_page_a, k_page_a, k_page_b, k_page_b, k_page_b, k_page_fresh, k_page_fresh, k_page_fresh2,
        k_page_plain, k_page_plain, k_page_plain, k_page_last, k_page_alias_a, k_page_mmio};
    static constexpr std::array<uint8_t, 8> k_bad = {k_page_read_only, k_page_read_only, k_page_read_only2, k_page_absent,
                                                     k_page_absent2, k_page_supervisor, k_page_reserved, k_page_mmio};
    const bool bad = m_random.one_in(14);
    const uint64_t window = m_random.one_in(40) ? m_style.other_window : m_style.window;
    uint64_t offset = m_random.below(k_page);
    const unsigned kind = m_random.below(8);
    if (kind == 0) {
        offset = k_page - 1 - m_random.below(24);
    } else if (kind == 1) {
        offset = m_random.below(16);
    } else if (kind < 6) {
        offset &= ~uint64_t{15};
    }
    const unsigned page = bad ? k_bad[m_random.below(k_bad.size())] : k_good[m_random.below(k_good.size())];
    return window + k_data + page * k_page + offset;
}

unsigned Instructions::width() {
    const unsigned choice = m_random.below(20);
    if (choice < 8) {
        return 4;
    }
    return choice < 15 ? m_style.word() : choice < 18 ? 1 : 2;
}

unsigned Instructions::free_register() { return pick(m_random, m_style.free); }
unsigned Instructions::any_register() { return m_random.below(m_style.registers()); }

Memory Instructions::memory() {
    Memory out;
    out.base = static_cast<int>(pick(m_random, m_style.pointers));
    const unsigned reach = m_random.below(8);
    out.displacement = reach < 3 ? 0
                       : reach < 7 ? static_cast<int32_t>(m_random.below(32)) * 8 - 64
                                   : static_cast<int32_t>(m_random.below(8192)) - 4096;
    switch (m_random.below(20)) {
        case 0:
        case 1:
        case 2:
            out.index = static_cast<int>(m_style.index);
            out.scale = m_random.below(4);
            break;
        case 3:
        case 4:
        case 5:
            out.base = 4;
            out.displacement = static_cast<int32_t>(m_random.below(24)) * 8 - 32;
            break;
        case 6: {
            out = {};
            out.address = m_style.code64 ? (data_address() & 0x1f'ffff) | (m_style.window & ~uint64_t{0x1f'ffff})
                                         : data_address();
            break;
        }
        case 7:
            out = {};
            out.segment_prefix = m_random.one_in(2) ? 0x64 : 0x65;
            out.displacement = static_cast<int32_t>(m_random.below(64)) * 8;
            if (m_random.one_in(2)) {
                out.base = static_cast<int>(m_style.index);
            }
            break;
        case 8: out.address32 = m_random.one_in(3); break;
        default: break;
    }
    return out;
}

unsigned Instructions::byte_capable(unsigned full, bool writes) {
    if (m_style.code64 || full < 4) {
        return full;
    }
    const uint32_t low = (writes ? m_style.free : 0xf) & 0xf;
    return low != 0 ? pick(m_random, low) : 16;  // 16: none
}

Instructions::ByteRegister Instructions::byte_register(unsigned full, bool with_memory) {
    if (full < 4 && m_random.one_in(4) && !with_memory) {
        return {full + 4, false};  // AH CH DH BH
    }
    return {full, full >= 4 && full < 8};
}

void Instructions::add_two(Program& program, uint32_t opcode, unsigned width, bool writes_reg, bool writes_rm,
                           bool allow_memory, uint8_t prefix, bool lock) {
    unsigned reg = writes_reg ? free_register() : any_register();
    unsigned rm = writes_rm ? free_register() : any_register();
    const bool to_memory = lock || (allow_memory && m_random.one_in(2));
    Encoder::Shape shape{.opcode = opcode, .width = width, .prefix = prefix, .lock = lock};
    if (width == 1) {
        reg = byte_capable(reg, writes_reg);
        rm = byte_capable(rm, writes_rm);
        if (reg == 16 || rm == 16) {
            return;
        }
        const Memory operand = memory();
        const bool plain = operand.base < 8 && operand.index < 8 && rm < 8;
        const ByteRegister first = byte_register(reg, !plain);
        // A second register that needs REX rules a high byte out.
        shape.force_rex = first.rex;
        unsigned second = rm;
        if (rm >= 4 && rm < 8) {
            if (first.number != reg) {
                second = byte_capable(m_style.free, false) & 3;
                if (writes_rm && (m_style.free >> second & 1) == 0) {
                    return;
                }
            } else {
                shape.force_rex = true;
            }
        }
        program.add(to_memory ? m_encoder.with_memory(shape, first.number, operand)
                              : m_encoder.with_register(shape, first.number, second));
        return;
    }
    program.add(to_memory ? m_encoder.with_memory(shape, reg, memory()) : m_encoder.with_register(shape, reg, rm));
}

void Instructions::add_one(Program& program, uint32_t opcode, unsigned extension, unsigned width, bool writes,
                           unsigned immediate_bytes, uint64_t immediate) {
    Encoder::Shape shape{.opcode = opcode, .width = width};
    Item item;
    if (m_random.one_in(3)) {
        item = m_encoder.with_memory(shape, extension, memory(), immediate_bytes);
    } else {
        unsigned rm = writes ? free_register() : any_register();
        if (width == 1) {
            rm = byte_capable(rm, writes);
            if (rm == 16) {
                return;
            }
            const ByteRegister chosen = byte_register(rm, false);
            rm = chosen.number;
            shape.force_rex = chosen.rex;
        }
        item = m_encoder.with_register(shape, extension, rm);
    }
    put_immediate(item, immediate, immediate_bytes);
    program.add(item);
}

// --- integer -------------------------------------------------------------------------------------------------------------
void Instructions::add_alu(Program& program) {
    const unsigned operation = m_random.below(8);
    const unsigned size = width();
    const bool is_compare = operation == 7;
    const bool reg_is_destination = m_random.one_in(2);
    const uint32_t opcode = operation * 8 + (size != 1 ? 1 : 0) + (reg_is_destination ? 2 : 0);
    add_two(program, opcode, size, reg_is_destination && !is_compare, !reg_is_destination && !is_compare, true);
}

void Instructions::add_alu_immediate(Program& program) {
    const unsigned operation = m_random.below(8);
    const unsigned size = width();
    const bool is_short = size != 1 && m_random.one_in(2);
    const uint64_t value = m_random.one_in(2) ? m_random.below(256) : test::interesting_bits(m_random);
    const unsigned bytes = size == 1 || is_short ? 1 : size == 2 ? 2 : 4;
    add_one(program, size == 1 ? 0x80 : is_short ? 0x83 : 0x81, operation, size, operation != 7, bytes, value);
}

void Instructions::add_move(Program& program) {
    const unsigned size = width();
    const bool load = m_random.one_in(2);
    add_two(program, (load ? 0x8a : 0x88) + (size != 1 ? 1 : 0), size, load, !load, !m_random.one_in(5));
}

void Instructions::add_move_immediate(Program& program) {
    if (m_random.one_in(2)) {
        program.add(m_encoder.load_immediate(free_register(), test::interesting_bits(m_random)));
        return;
    }
    const unsigned size = width();
    add_one(program, size == 1 ? 0xc6 : 0xc7, 0, size, true, size == 8 ? 4 : size, test::interesting_bits(m_random));
}

void Instructions::add_extend(Program& program) {
    const unsigned to = m_random.one_in(3) ? m_style.word() : m_random.one_in(4) ? 2 : 4;
    if (m_style.code64 && m_random.one_in(4)) {
        add_two(program, 0x63, 8, true, false, true);  // MOVSXD
        return;
    }
    static constexpr std::array<uint32_t, 4> k_opcodes = {0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf};
    const uint32_t opcode = k_opcodes[m_random.below(4)];
    const Encoder::Shape shape{.opcode = opcode, .width = to};
    if (m_random.one_in(2)) {
        program.add(m_encoder.with_memory(shape, free_register(), memory()));
    } else {
        program.add(m_encoder.with_register(shape, free_register(), m_style.code64 ? any_register() : m_random.below(8)));
    }
}

void Instructions::add_lea(Program& program) {
    Memory operand = memory();
    operand.segment_prefix = 0;
    if (m_random.one_in(2)) {
        operand.base = static_cast<int>(any_register());
        operand.address.reset();
        const unsigned index = any_register();
        operand.index = index == 4 ? -1 : static_cast<int>(index);
    }
    program.add(m_encoder.with_memory({.opcode = 0x8d, .width = m_random.one_in(8) ? 2 : m_random.one_in(3) ? 4 : m_style.word()},
                                      free_register(), operand));
}

void Instructions::add_shift(Program& program) {
    const unsigned size = width();
    const unsigned operation = m_random.below(8) == 6 ? 4 : m_random.below(8);
    const unsigned form = m_random.below(4);
    const uint32_t opcode = (form < 2 ? 0xc0U : form == 2 ? 0xd0U : 0xd2U) + (size != 1 ? 1 : 0);
    add_one(program, opcode, operation, size, true, form < 2 ? 1 : 0, m_random.one_in(6) ? m_random.below(256) : m_random.below(64));
}

void Instructions::add_unary(Program& program) {
    const unsigned size = width();
    if (m_random.one_in(2)) {
        add_one(program, size == 1 ? 0xfe : 0xff, m_random.below(2), size, true, 0, 0);
    } else {
        add_one(program, size == 1 ? 0xf6 : 0xf7, 2 + m_random.below(2), size, true, 0, 0);
    }
}

void Instructions::define_flags(Program& program) {
    Item item = m_encoder.with_register({.opcode = m_random.one_in(2) ? 0x85U : 0x39U, .width = 4}, any_register(), any_register());
    item.fixed = true;
    program.add(item);
}

void Instructions::add_multiply(Program& program) {
    if (m_style.no_undefined_flags) {
        return;
    }
    const unsigned size = m_random.one_in(5) ? 2 : m_random.one_in(2) ? 4 : m_style.word();
    switch (m_random.below(4)) {
        case 0:
            add_two(program, 0x0faf, size, true, false, true);
            break;
        case 1:
        case 2: {
            const bool is_short = m_random.one_in(2);
            Item item = m_random.one_in(3)
                            ? m_encoder.with_memory({.opcode = is_short ? 0x6bU : 0x69U, .width = size}, free_register(),
                                                    memory(), is_short ? 1 : size == 2 ? 2 : 4)
                            : m_encoder.with_register({.opcode = is_short ? 0x6bU : 0x69U, .width = size},
                                                      free_register(), any_register());
            put_immediate(item, test::interesting_bits(m_random), is_short ? 1 : size == 2 ? 2 : 4);
            program.add(item);
            break;
        }
        default:
            if (is_free(k_ax | k_dx)) {
                const unsigned own = width();
                add_one(program, own == 1 ? 0xf6 : 0xf7, 4 + m_random.below(2), own, false, 0, 0);
            }
    }
    define_flags(program);
}

void Instructions::add_divide(Program& program) {
    if (!is_free(k_ax | k_dx) || m_style.no_undefined_flags) {
        return;
    }
    const unsigned size = width();
    const bool is_signed = m_random.one_in(2);
    // Mostly a dividend that fits.
    if (!m_random.one_in(6)) {
        if (is_signed) {
            program.add(size == 8 ? m_encoder.raw({0x48, 0x99}) : m_encoder.raw({0x99}));
        } else {
            program.add(m_encoder.with_register({.opcode = 0x31}, 2, 2));
        }
    }
    add_one(program, size == 1 ? 0xf6 : 0xf7, is_signed ? 7 : 6, size, false, 0, 0);
    define_flags(program);
}

void Instructions::add_condition(Program& program) {
    const unsigned condition = m_random.below(16);
    if (m_random.one_in(2)) {
        add_one(program, 0x0f90 + condition, 0, 1, true, 0, 0);
    } else {
        add_two(program, 0x0f40 + condition, m_random.one_in(6) ? 2 : m_random.one_in(2) ? 4 : m_style.word(), true, false, true);
    }
}

void Instructions::add_bits(Program& program) {
    const unsigned size = m_random.one_in(6) ? 2 : m_random.one_in(2) ? 4 : m_style.word();
    switch (m_random.below(5)) {
        case 0: {  // BSF BSR TZCNT LZCNT
            static constexpr std::array<uint8_t, 2> k_prefix = {0, 0xf3};
            add_two(program, m_random.one_in(2) ? 0x0fbc : 0x0fbd, size, true, false, true, k_prefix[m_random.below(2)]);
            return;
        }
        case 1: add_two(program, 0x0fb8, size, true, false, true, 0xf3); return;  // POPCNT
        case 2:
            if (!m_random.one_in(3)) {
                add_one(program, 0x0fba, 4 + m_random.below(4), size, true, 1, m_random.below(256));
                return;
            }
            [[fallthrough]];
        case 3: {  // BT BTS BTR BTC by a register; of memory by the small one
            static constexpr std::array<uint32_t, 4> k_opcodes = {0x0fa3, 0x0fab, 0x0fb3, 0x0fbb};
            const uint32_t opcode = k_opcodes[m_random.below(4)];
            if (m_random.one_in(3)) {
                program.add(m_encoder.with_memory({.opcode = opcode, .width = size}, m_style.index, memory()));
            } else {
                program.add(m_encoder.with_register({.opcode = opcode, .width = size}, any_register(), free_register()));
            }
            return;
        }
        default: program.add(m_encoder.plus_register(0x0fc8, size == 2 ? 4 : size, free_register())); return;  // BSWAP
    }
}

void Instructions::add_exchange(Program& program) {
    const unsigned size = width();
    switch (m_random.below(4)) {
        case 0: add_two(program, size == 1 ? 0x86 : 0x87, size, true, true, true); return;
        case 1: add_two(program, size == 1 ? 0x0fc0 : 0x0fc1, size, true, true, true); return;
        case 2:
            if (is_free(k_ax)) {
                add_two(program, size == 1 ? 0x0fb0 : 0x0fb1, size, false, true, true);
            }
            return;
        default:
            if (is_free(k_ax)) {
                program.add(m_encoder.plus_register(0x90, size == 1 ? 4 : size, free_register()));
            }
    }
}

void Instructions::add_locked(Program& program) {
    const unsigned size = width();
    const uint32_t wide = size != 1 ? 1 : 0;
    switch (m_random.below(6)) {
        case 0: add_two(program, m_random.below(7) * 8 + wide, size, false, false, true, 0, true); return;
        case 1: add_two(program, 0x0fc0 + wide, size, true, false, true, 0, true); return;
        case 2:
            if (is_free(k_ax)) {
                add_two(program, 0x0fb0 + wide, size, false, false, true, 0, true);
            }
            return;
        case 3: {
            const unsigned operation = m_random.below(7);
            Item item = m_encoder.with_memory({.opcode = size == 1 ? 0x80U : 0x83U, .width = size, .lock = true}, operation,
                                              memory(), 1);
            put_immediate(item, m_random.below(256), 1);
            program.add(item);
            return;
        }
        case 4:
            program.add(m_encoder.with_memory({.opcode = 0xfe + wide, .width = size, .lock = true}, m_random.below(2), memory()));
            return;
        default:
            if (is_free(k_ax | k_dx)) {  // CMPXCHG8B, CMPXCHG16B
                program.add(m_encoder.with_memory({.opcode = 0x0fc7, .width = m_random.one_in(2) ? m_style.word() : 4, .lock = m_random.one_in(2)},
                                                  1, memory()));
            }
    }
}

void Instructions::add_double_shift(Program& program) {
    const unsigned size = m_random.one_in(2) ? 4 : m_style.word();
    const bool left = m_random.one_in(2);
    const bool by_cl = m_random.one_in(3);
    const uint32_t opcode = (left ? 0x0fa4U : 0x0facU) + (by_cl ? 1 : 0);
    Item item = m_random.one_in(3)
                    ? m_encoder.with_memory({.opcode = opcode, .width = size}, any_register(), memory(), by_cl ? 0 : 1)
                    : m_encoder.with_register({.opcode = opcode, .width = size}, any_register(), free_register());
    if (!by_cl) {
        put_immediate(item, m_random.below(72), 1);
    }
    program.add(item);
}

void Instructions::add_convert(Program& program) {
    const bool widens = m_random.one_in(2);  // CBW CWDE CDQE, or CWD CDQ CQO
    if (!is_free(widens ? k_ax : k_dx)) {
        return;
    }
    const uint8_t opcode = widens ? 0x98 : 0x99;
    switch (m_random.below(m_style.code64 ? 3 : 2)) {
        case 0: program.add(m_encoder.raw({opcode})); return;
        case 1: program.add(m_encoder.raw({0x66, opcode})); return;
        default: program.add(m_encoder.raw({0x48, opcode})); return;
    }
}

}  // namespace skep::lockstep
