// SPDX-License-Identifier: GPL-3.0-or-later
// Random straight-line instructions, weighted to what compilers and kernels emit.
#pragma once

#include <cstdint>

#include "tests/vmm/interp/oracle_generator.hpp"
#include "tests/vmm/jit/lockstep/assembler.hpp"
#include "tests/vmm/jit/lockstep/layout.hpp"
#include "tests/vmm/jit/lockstep/pool.hpp"

namespace skep::lockstep {

using test::Random;

// What a program keeps its registers for, and what it is made of.
struct Style {
    bool code64 = true;
    bool user = false;
    uint64_t window = 0;      // of the program
    uint64_t other_window = 0;
    uint32_t pointers = 0;    // masks of registers
    uint32_t free = 0;        // may be written by anything
    unsigned counter = 0;     // of loops
    unsigned index = 0;       // holds a small number
    bool single_steps = false;     // TF is set now and then
    bool table_loops = false;
    bool no_undefined_flags = false;  // nothing that leaves flags undefined: events may show them before they are defined
    unsigned vector_share = 0, x87_share = 0, pool_share = 0, string_share = 0;  // of 256

    [[nodiscard]] uint32_t counter_bit() const { return 1U << counter; }
    [[nodiscard]] unsigned registers() const { return code64 ? 16 : 8; }
    [[nodiscard]] unsigned word() const { return code64 ? 8 : 4; }
};

class Instructions {
  public:
    Instructions(Random& random, const Style& style, const Pool& pool)
        : m_random(random), m_style(style), m_pool(pool), m_encoder(style.code64) {}

    // Adds one random instruction (seldom a few that belong together).
    void add(Program& program);
    // While set, PUSH and POP come in pairs only: a return address is above.
    void set_balanced(bool balanced) { m_balanced = balanced; }

    // A linear address where data may be, with a liking for page boundaries.
    [[nodiscard]] uint64_t data_address();
    [[nodiscard]] Memory memory();
    [[nodiscard]] unsigned width();
    [[nodiscard]] unsigned free_register();
    [[nodiscard]] unsigned any_register();
    [[nodiscard]] const Encoder& encoder() const { return m_encoder; }
    void add_string(Program& program);
    // One that only sets flags from registers, and one that only reads flags.
    void add_flag_producer(Program& program);
    void add_flag_consumer(Program& program);
    void add_access(Program& program);
    // After an instruction that leaves them undefined (pool.hpp).
    void define_flags(Program& program);

  private:
    using Maker = void (Instructions::*)(Program&);
    [[nodiscard]] bool may_write(uint32_t registers) const { return (registers & m_style.counter_bit()) == 0; }
    [[nodiscard]] bool is_free(uint32_t registers) const { return (registers & ~m_style.free) == 0; }
    struct ByteRegister {
        unsigned number;
        bool rex;
    };
    // The encoding of a byte register of `full`, which may be a high byte.
    [[nodiscard]] ByteRegister byte_register(unsigned full, bool with_memory);
    [[nodiscard]] unsigned byte_capable(unsigned full, bool writes);
    // reg, r/m: one of them memory half of the time. `writes_reg`: reg is the destination.
    void add_two(Program& program, uint32_t opcode, unsigned width, bool writes_reg, bool writes_rm, bool allow_memory,
                 uint8_t prefix = 0, bool lock = false);
    void add_one(Program& program, uint32_t opcode, unsigned extension, unsigned width, bool writes, unsigned immediate_bytes,
                 uint64_t immediate);

    void add_alu(Program& program);
    void add_alu_immediate(Program& program);
    void add_move(Program& program);
    void add_move_immediate(Program& program);
    void add_extend(Program& program);
    void add_lea(Program& program);
    void add_shift(Program& program);
    void add_unary(Program& program);
    void add_multiply(Program& program);
    void add_divide(Program& program);
    void add_condition(Program& program);
    void add_bits(Program& program);
    void add_exchange(Program& program);
    void add_locked(Program& program);
    void add_double_shift(Program& program);
    void add_convert(Program& program);
    void add_flags(Program& program);
    void add_stack(Program& program);
    void add_bmi(Program& program);
    void add_nop(Program& program);
    void add_pointer_step(Program& program);
    void add_vector(Program& program);
    void add_avx(Program& program);
    void add_x87(Program& program);
    void add_pooled(Program& program);

    Random& m_random;
    const Style& m_style;
    const Pool& m_pool;
    Encoder m_encoder;
    bool m_balanced = false;
};

}  // namespace skep::lockstep
