// SPDX-License-Identifier: GPL-3.0-or-later
// The segments of a random program.
#pragma once

#include <vector>

#include "tests/vmm/jit/lockstep/instructions.hpp"

namespace skep::lockstep {

class Segments {
  public:
    Segments(Random& random, const Style& style, const Pool& pool, Program& program)
        : m_random(random), m_style(style), m_program(program), m_code(random, style, pool) {}

    // The whole program: `count` segments, the end, the functions. Returns how many blocks that are.
    unsigned write(unsigned count);

  private:
    using Maker = void (Segments::*)();
    void write_start();
    void write_landing(Label next);
    void write_end(Label start);
    void write_functions();
    void write_segment();

    void lines(unsigned least, unsigned most);
    void straight();
    void branches();
    void loop();
    void table_loop();
    void calls();
    void indirect_jump();
    void jump_table();
    void self_modifying();
    void interrupts();
    void interrupt_shadow();
    void software_interrupts();
    void return_from_interrupt();
    void faulting_flags();
    void strings();
    void fields();
    void pushes();
    void page_end();
    void system();
    void remap();
    void stray();

    // --- pieces -----------------------------------------------------------------------------------------------------
    void loop_back(Label top, unsigned form);
    void patch(Label target, unsigned offset);
    Label patchable();
    void call_function();
    void frame_accesses(unsigned count);
    void load_address(unsigned reg, Label label);
    [[nodiscard]] Memory control(size_t offset) const;
    [[nodiscard]] bool is_free(uint32_t registers) const { return (registers & ~m_style.free) == 0; }
    Item& last() { return m_program.items.back(); }
    void fixed(const Item& item);

    Random& m_random;
    const Style& m_style;
    Program& m_program;
    Instructions m_code;
    struct Function {
        Label label;
        bool patchable;
    };
    std::vector<Function> m_functions;
    struct Place {
        Label label;
        unsigned offset;  // of four bytes that may be anything
    };
    std::vector<Place> m_places;
    unsigned m_blocks = 0;
    bool m_in_function = false;
};

}  // namespace skep::lockstep
