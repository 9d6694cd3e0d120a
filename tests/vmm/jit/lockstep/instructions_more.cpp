// SPDX-License-Identifier: GPL-3.0-or-later
// Flags, stack, strings, vectors, x87; and the choice among all.
#include <array>

#include "tests/vmm/interp/oracle_state.hpp"
#include "tests/vmm/jit/lockstep/instructions.hpp"

namespace skep::lockstep {
namespace {

constexpr uint32_t k_ax = 1, k_cx = 2, k_dx = 4, k_bx = 8, k_si = 0x40, k_di = 0x80;

// Opcodes of the 0F map that SSE2 code is mostly made of: {prefix, opcode}. Loads and stores of 16 bytes apart.
struct VectorOpcode {
    uint8_t prefix, opcode;
};
constexpr std::array<VectorOpcode, 44> k_sse = {{
    {0, 0x10}, {0, 0x11}, {0, 0x28}, {0, 0x29}, {0x66, 0x6f}, {0x66, 0x7f}, {0xf3, 0x6f}, {0xf3, 0x7f},
    {0xf2, 0x10}, {0xf2, 0x11}, {0xf3, 0x10}, {0xf3, 0x11}, {0x66, 0xd6}, {0xf3, 0x7e}, {0x66, 0xef}, {0x66, 0xfe},
    {0x66, 0xd4}, {0x66, 0xdb}, {0x66, 0xeb}, {0x66, 0x74}, {0x66, 0x76}, {0x66, 0x62}, {0x66, 0x6c}, {0x66, 0xf4},
    {0xf2, 0x58}, {0xf2, 0x59}, {0xf2, 0x5c}, {0xf2, 0x5e}, {0x66, 0x58}, {0x66, 0x59}, {0, 0x58}, {0, 0x59},
    {0xf3, 0x58}, {0xf2, 0x51}, {0, 0x57}, {0x66, 0x57}, {0x66, 0x54}, {0x66, 0x2e}, {0, 0x2f}, {0xf2, 0x5a},
    {0xf3, 0x5a}, {0xf3, 0xe6}, {0, 0x14}, {0x66, 0x60},
}};
// VEX: {pp, opcode}, all with a first source in vvvv, of 128 or 256 bits.
constexpr std::array<VectorOpcode, 14> k_avx = {{
    {1, 0x58}, {1, 0x59}, {0, 0x58}, {0, 0x59}, {1, 0xef}, {1, 0xfe}, {1, 0xd4}, {1, 0xdb}, {1, 0x5c}, {0, 0x57},
    {1, 0x74}, {1, 0xf4}, {1, 0x62}, {1, 0x5e},
}};

}  // namespace

// --- flags ---------------------------------------------------------------------------------------------------------------
void Instructions::add_flag_producer(Program& program) {
    static constexpr std::array<uint32_t, 4> k_opcodes = {0x39, 0x85, 0x01, 0x29};
    const unsigned choice = m_random.below(7);
    const unsigned size = m_random.one_in(2) ? 4 : m_style.word();
    if (choice < 4) {
        program.add(m_encoder.with_register({.opcode = k_opcodes[choice], .width = size}, any_register(),
                                            choice < 2 ? any_register() : free_register()));
    } else if (choice == 4) {
        program.add(m_encoder.with_register({.opcode = 0xff, .width = size}, m_random.below(2), free_register()));
    } else if (choice == 5) {
        Item item = m_encoder.with_register({.opcode = 0xc1, .width = size}, 4 + m_random.below(2), free_register());
        put_immediate(item, m_random.below(34), 1);
        program.add(item);
    } else {
        program.add(m_encoder.raw({static_cast<uint8_t>(m_random.one_in(2) ? 0xf9 : 0xf8)}));
    }
}

void Instructions::add_flag_consumer(Program& program) {
    const unsigned size = m_random.one_in(2) ? 4 : m_style.word();
    switch (m_random.below(4)) {
        case 0: add_condition(program); return;
        case 1: program.add(m_encoder.with_register({.opcode = 0x11, .width = size}, any_register(), free_register())); return;
        case 2: program.add(m_encoder.with_register({.opcode = 0xd1, .width = size}, 2 + m_random.below(2), free_register())); return;
        default:
            program.add(m_encoder.with_register({.opcode = 0x0f40 + m_random.below(16), .width = size}, free_register(), any_register()));
    }
}

void Instructions::add_access(Program& program) {
    const unsigned size = m_random.one_in(2) ? 4 : m_style.word();
    program.add(m_encoder.with_memory({.opcode = m_random.one_in(2) ? 0x8bU : 0x89U, .width = size}, free_register(), memory()));
}

void Instructions::add_flags(Program& program) {
    switch (m_random.below(8)) {
        case 0: program.add(m_encoder.raw({0xf8})); return;  // CLC
        case 1: program.add(m_encoder.raw({0xf9})); return;  // STC
        case 2: program.add(m_encoder.raw({0xf5})); return;  // CMC
        case 3:
            if (is_free(k_ax)) {
                program.add(m_encoder.raw({0x9f}));  // LAHF
            }
            return;
        case 4: program.add(m_encoder.raw({0x9e})); return;  // SAHF
        case 5:
            if (!m_balanced) {
                program.add(m_encoder.raw({0x9c}));  // PUSHF
            }
            return;
        case 6:
            program.add(m_encoder.raw({0x9c}));
            add_alu_immediate(program);
            program.add(m_encoder.raw({0x9d}));  // POPF
            return;
        default:
            add_flag_producer(program);
            add_access(program);
            add_flag_consumer(program);
    }
}

// --- stack ---------------------------------------------------------------------------------------------------------------
void Instructions::add_stack(Program& program) {
    if (m_balanced || m_random.one_in(3)) {
        const unsigned count = 1 + m_random.below(4);
        for (unsigned i = 0; i < count; ++i) {
            program.add(m_encoder.plus_register(0x50, 4, any_register()));
        }
        add_alu(program);
        for (unsigned i = 0; i < count; ++i) {
            program.add(m_encoder.plus_register(0x58, 4, free_register()));
        }
        return;
    }
    switch (m_random.below(7)) {
        case 0:
        case 1: program.add(m_encoder.plus_register(0x50, 4, any_register())); return;
        case 2:
        case 3: program.add(m_encoder.plus_register(0x58, 4, free_register())); return;
        case 4: {
            Item item = m_encoder.raw({0x68});
            put_immediate(item, m_random.next(), 4);
            program.add(item);
            return;
        }
        case 5: {
            const bool push = m_random.one_in(2);
            program.add(m_encoder.with_memory({.opcode = push ? 0xffU : 0x8fU, .width = 4}, push ? 6 : 0, memory()));
            return;
        }
        default: {
            Item item = m_encoder.with_register({.opcode = 0x83, .width = m_style.word()}, m_random.one_in(2) ? 5 : 0, 4);
            put_immediate(item, m_random.below(8) * 8, 1);
            program.add(item);
        }
    }
}

void Instructions::add_pointer_step(Program& program) {
    unsigned reg = m_style.index;
    if (m_random.one_in(4)) {  // the small number anew
        program.add(m_encoder.load_immediate(reg, m_random.below(64)));
        return;
    }
    for (unsigned i = 0; i < 8; ++i) {
        reg = m_random.below(m_style.registers());
        if ((m_style.pointers >> reg & 1) != 0) {
            Item item = m_encoder.with_register({.opcode = 0x83, .width = m_style.word()}, m_random.one_in(2) ? 5 : 0, reg);
            put_immediate(item, m_random.below(5) * 4, 1);
            program.add(item);
            return;
        }
    }
}

// --- strings -------------------------------------------------------------------------------------------------------------
void Instructions::add_string(Program& program) {
    if (!may_write(k_si | k_di | k_cx | k_ax)) {
        return;
    }
    static constexpr std::array<uint8_t, 5> k_opcodes = {0xa4, 0xaa, 0xac, 0xa6, 0xae};  // MOVS STOS LODS CMPS SCAS
    const bool backward = m_random.one_in(6);
    const unsigned kind = m_random.below(5);
    if (m_random.one_in(2)) {
        program.add(m_encoder.load_immediate(6, data_address()));
    }
    if (m_random.one_in(2)) {
        program.add(m_encoder.load_immediate(7, data_address()));
    }
    if (backward) {
        program.add(m_encoder.raw({0xfd}));
    }
    Item item;
    if (!m_random.one_in(4)) {
        const uint64_t count = m_random.one_in(16) ? 0 : m_random.one_in(12) ? m_random.below(5000) : m_random.below(100);
        program.add(m_encoder.load_immediate(1, count));
        put_immediate(item, m_random.one_in(3) ? 0xf2 : 0xf3, 1);
    }
    const unsigned size = m_random.below(m_style.code64 ? 4 : 3);
    if (size == 1) {
        put_immediate(item, 0x66, 1);
    } else if (size == 3) {
        put_immediate(item, 0x48, 1);
    }
    put_immediate(item, k_opcodes[kind] + (size != 0 ? 1 : 0), 1);
    program.add(item);
    if (backward) {
        program.add(m_encoder.raw({0xfc}));
    }
}

// --- BMI, and what does nothing ------------------------------------------------------------------------------------------
void Instructions::add_bmi(Program& program) {
    // {map, pp, opcode}: ANDN BEXTR SHLX SARX SHRX BZHI PDEP PEXT MULX; RORX has an immediate
    struct Form {
        uint8_t map, pp, opcode;
    };
    static constexpr std::array<Form, 10> k_forms = {{{2, 0, 0xf2}, {2, 0, 0xf7}, {2, 1, 0xf7}, {2, 2, 0xf7}, {2, 3, 0xf7},
                                                      {2, 0, 0xf5}, {2, 3, 0xf5}, {2, 2, 0xf5}, {2, 3, 0xf6}, {3, 3, 0xf0}}};
    const Form& form = k_forms[m_random.below(k_forms.size())];
    const bool rotates = form.map == 3;
    const bool two_results = form.opcode == 0xf6;
    const Encoder::Vex vex{.map = form.map, .pp = form.pp, .opcode = form.opcode,
                           .wide = m_style.code64 && m_random.one_in(2),
                           .vvvv = rotates ? 0 : two_results ? free_register() : any_register()};
    Item item = m_random.one_in(3) && !rotates ? m_encoder.vex_memory(vex, free_register(), memory())
                                               : m_encoder.vex_register(vex, free_register(), any_register());
    if (rotates) {
        put_immediate(item, m_random.below(64), 1);
    }
    program.add(item);
}

void Instructions::add_nop(Program& program) {
    switch (m_random.below(7)) {
        case 0: program.add(m_encoder.raw({0x90})); return;
        case 1: program.add(m_encoder.raw({0xf3, 0x90})); return;
        case 2: program.add(m_encoder.raw({0x0f, 0x1f, 0x44, 0, 0})); return;
        case 3: program.add(m_encoder.raw({0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0})); return;
        case 4: program.add(m_encoder.raw({0x0f, 0xae, static_cast<uint8_t>(0xe8 + 8 * m_random.below(3))})); return;
        case 5: program.add(m_encoder.with_memory({.opcode = 0x0f18, .width = 4}, m_random.below(4), memory())); return;
        default:
            if (is_free(k_ax | k_bx | k_cx | k_dx)) {
                program.add(m_encoder.raw({0x31, 0xc9}));
                program.add(m_encoder.load_immediate(0, m_random.one_in(2) ? 0 : 7));
                program.add(m_encoder.raw({0x0f, 0xa2}));  // CPUID
            }
    }
}

// --- vectors -------------------------------------------------------------------------------------------------------------
void Instructions::add_vector(Program& program) {
    const unsigned vectors = m_style.code64 ? 16 : 8;
    if (m_random.one_in(6)) {  // between general and vector registers
        const bool wide = m_style.code64 && m_random.one_in(2);
        switch (m_random.below(5)) {
            case 0: program.add(m_encoder.with_register({.opcode = 0x0f6e, .width = wide ? 8U : 4U, .prefix = 0x66}, m_random.below(vectors), any_register())); return;
            case 1: program.add(m_encoder.with_register({.opcode = 0x0f7e, .width = wide ? 8U : 4U, .prefix = 0x66}, m_random.below(vectors), free_register())); return;
            case 2: program.add(m_encoder.with_register({.opcode = 0x0f2a, .width = wide ? 8U : 4U, .prefix = 0xf2}, m_random.below(vectors), any_register())); return;
            case 3: program.add(m_encoder.with_register({.opcode = 0x0f2c, .width = wide ? 8U : 4U, .prefix = 0xf2}, free_register(), m_random.below(vectors))); return;
            default: program.add(m_encoder.with_register({.opcode = 0x0fd7, .width = 4, .prefix = 0x66}, free_register(), m_random.below(vectors))); return;
        }
    }
    const VectorOpcode& form = k_sse[m_random.below(k_sse.size())];
    const Encoder::Shape shape{.opcode = 0x0f00U | form.opcode, .width = 4, .prefix = form.prefix};
    program.add(m_random.one_in(3) ? m_encoder.with_memory(shape, m_random.below(vectors), memory())
                                   : m_encoder.with_register(shape, m_random.below(vectors), m_random.below(vectors)));
}

void Instructions::add_avx(Program& program) {
    const unsigned vectors = m_style.code64 ? 16 : 8;
    const bool long256 = m_random.one_in(2);
    switch (m_random.below(8)) {
        case 0: program.add(m_encoder.raw({0xc5, 0xf8, 0x77})); return;  // VZEROUPPER
        case 1:
        case 2: {  // VMOVUPS, VMOVDQU to and from memory
            static constexpr std::array<VectorOpcode, 4> k_moves = {{{0, 0x10}, {0, 0x11}, {2, 0x6f}, {2, 0x7f}}};
            const VectorOpcode& form = k_moves[m_random.below(4)];
            program.add(m_encoder.vex_memory({.map = 1, .pp = form.prefix, .opcode = form.opcode, .long256 = long256},
                                             m_random.below(vectors), memory()));
            return;
        }
        case 3: {  // VFMADD132PS ... VFNMSUB231PD
            const auto opcode = static_cast<uint8_t>(0x98 + 0x10 * m_random.below(3) + 2 * m_random.below(4));
            program.add(m_encoder.vex_register({.map = 2, .pp = 1, .opcode = opcode, .wide = m_random.one_in(2),
                                                .long256 = long256, .vvvv = m_random.below(vectors)},
                                               m_random.below(vectors), m_random.below(vectors)));
            return;
        }
        default: {
            const VectorOpcode& form = k_avx[m_random.below(k_avx.size())];
            const Encoder::Vex vex{.map = 1, .pp = form.prefix, .opcode = form.opcode, .long256 = long256,
                                   .vvvv = m_random.below(vectors)};
            program.add(m_random.one_in(3) ? m_encoder.vex_memory(vex, m_random.below(vectors), memory())
                                           : m_encoder.vex_register(vex, m_random.below(vectors), m_random.below(vectors)));
        }
    }
}

void Instructions::add_x87(Program& program) {
    switch (m_random.below(10)) {
        case 0: program.add(m_encoder.raw({0xdb, 0xe3})); return;  // FNINIT
        case 1: program.add(m_encoder.raw({0xd9, static_cast<uint8_t>(0xe8 + m_random.below(7))})); return;  // constants
        case 2:
        case 3: program.add(m_encoder.with_memory({.opcode = m_random.one_in(2) ? 0xddU : 0xd9U, .width = 4}, 0, memory())); return;
        case 4: program.add(m_encoder.with_memory({.opcode = m_random.one_in(2) ? 0xddU : 0xd9U, .width = 4}, 2 + m_random.below(2), memory())); return;
        case 5: program.add(m_encoder.with_memory({.opcode = m_random.one_in(2) ? 0xdcU : 0xd8U, .width = 4}, m_random.below(8), memory())); return;
        case 6: program.add(m_encoder.with_memory({.opcode = m_random.one_in(2) ? 0xdfU : 0xdbU, .width = 4}, m_random.below(2) * 5, memory())); return;
        case 7: program.add(m_encoder.raw({0xd9, static_cast<uint8_t>(0xc0 + m_random.below(16))})); return;  // FLD, FXCH
        default:
            program.add(m_encoder.raw({static_cast<uint8_t>(m_random.one_in(2) ? 0xde : 0xd8),
                                       static_cast<uint8_t>(0xc0 + m_random.below(64))}));
    }
}

void Instructions::add_pooled(Program& program) {
    const unsigned choice = m_random.below(8);
    const auto subject = choice < 4   ? test::Subject::integer
                         : choice < 7 ? test::Subject::vector
                                      : test::Subject::x87;
    const Pooled* one =
        m_pool.choose(m_random, subject, m_style.code64, m_style.pointers, m_style.index, m_style.free);
    if (one != nullptr && !(one->leaves_flags_undefined && m_style.no_undefined_flags)) {
        program.add(one->item);
        if (one->leaves_flags_undefined) {
            define_flags(program);
        }
    }
}

// --- all together --------------------------------------------------------------------------------------------------------
void Instructions::add(Program& program) {
    const unsigned subject = m_random.below(256);
    unsigned bound = m_style.vector_share;
    if (subject < bound) {
        m_random.one_in(3) ? add_avx(program) : add_vector(program);
        return;
    }
    if (subject < (bound += m_style.x87_share)) {
        add_x87(program);
        return;
    }
    if (subject < (bound += m_style.pool_share)) {
        add_pooled(program);
        return;
    }
    if (subject < bound + m_style.string_share) {
        add_string(program);
        return;
    }
    struct Weighted {
        unsigned weight;
        Maker make;
    };
    using I = Instructions;
    static constexpr std::array<Weighted, 20> k_makers = {{
        {40, &I::add_move}, {26, &I::add_alu}, {18, &I::add_alu_immediate}, {12, &I::add_lea}, {10, &I::add_extend},
        {10, &I::add_move_immediate}, {12, &I::add_shift}, {8, &I::add_unary}, {6, &I::add_multiply}, {2, &I::add_divide},
        {9, &I::add_condition}, {6, &I::add_bits}, {4, &I::add_exchange}, {4, &I::add_locked}, {3, &I::add_double_shift},
        {4, &I::add_convert}, {9, &I::add_flags}, {14, &I::add_stack}, {4, &I::add_bmi}, {2, &I::add_nop},
    }};
    static constexpr unsigned k_total = [] {
        unsigned sum = 6;  // add_pointer_step
        for (const Weighted& one : k_makers) {
            sum += one.weight;
        }
        return sum;
    }();
    unsigned choice = m_random.below(k_total);
    for (const Weighted& one : k_makers) {
        if (choice < one.weight) {
            (this->*one.make)(program);
            return;
        }
        choice -= one.weight;
    }
    add_pointer_step(program);
}

}  // namespace skep::lockstep
