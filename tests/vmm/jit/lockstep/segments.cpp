// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/segments.hpp"

#include <array>
#include <cstddef>

#include "tests/vmm/interp/oracle_state.hpp"
#include "tests/vmm/jit/lockstep/machine.hpp"

namespace skep::lockstep {
namespace {

constexpr uint8_t k_jmp = 0xeb, k_call = 0xe8, k_jnz = 0x75;

}  // namespace

void Segments::fixed(const Item& item) {
    m_program.add(item);
    last().fixed = true;
}

// By the window's low base, which every program may use.
Memory Segments::control(size_t offset) const {
    Memory out;
    out.displacement = static_cast<int32_t>((m_style.user ? k_user_window : k_supervisor_window) + k_control + offset);
    return out;
}

// --- frame of the program ------------------------------------------------------------------------------------------------
void Segments::write_start() {
    const Encoder& code = m_code.encoder();
    // The upper half of `recovery`, which landings leave alone.
    Item high = code.with_memory({.opcode = 0xc7, .width = 4}, 0, control(offsetof(Control, recovery) + 4));
    put_immediate(high, m_style.window >> 32, 4);
    fixed(high);
    const unsigned row = m_code.free_register();
    m_program.add(code.with_memory({.opcode = 0x8b, .width = 4}, row, control(offsetof(Control, round))));
    Item mask = code.with_register({.opcode = 0x83, .width = 4}, 4, row);
    put_immediate(mask, 7, 1);
    m_program.add(mask);
    Item shift = code.with_register({.opcode = 0xc1, .width = 4}, 4, row);
    put_immediate(shift, 7, 1);
    m_program.add(shift);
    for (unsigned reg = 0; reg < m_style.registers(); ++reg) {
        if (reg != row && (m_style.free >> reg & 1) != 0) {
            Memory from = control(k_round_values + 8 * reg);
            from.base = static_cast<int>(row);
            m_program.add(code.with_memory({.opcode = 0x8b, .width = m_style.word()}, reg, from));
        }
    }
    m_program.add(code.load_immediate(m_style.index, m_random.below(64)));
    m_program.add(code.load_immediate(m_style.counter, 3));
}

void Segments::write_landing(Label next) {
    const Encoder& code = m_code.encoder();
    Item recovery = code.with_memory({.opcode = 0xc7, .width = 4}, 0, control(offsetof(Control, recovery)));
    recovery.reference = Reference::absolute32;
    recovery.reference_at = recovery.size;
    recovery.to_label = true;
    recovery.label = next;
    put_immediate(recovery, 0, 4);
    fixed(recovery);
    const uint64_t room = m_random.one_in(4) ? 0x1000 - 8 * m_random.below(16) : 128 + 8 * m_random.below(32);
    m_program.add(code.load_immediate(4, m_style.window + k_stack_top - room - (m_random.one_in(16) ? m_random.below(8) : 0)));
    for (unsigned reg = 0; reg < m_style.registers(); ++reg) {
        if ((m_style.pointers >> reg & 1) != 0 && (m_blocks == 0 || m_random.one_in(2))) {
            m_program.add(code.load_immediate(reg, m_code.data_address()));
        }
    }
    if (m_random.one_in(4)) {  // flags: arithmetic ones, ID, seldom AC, DF, TF
        uint64_t flags = 0x202 | (m_random.next() & 0x2008d5);
        flags |= m_random.one_in(10) ? 0x4'0000 : 0;
        flags |= m_random.one_in(20) ? 0x400 : 0;
        flags |= m_style.single_steps && m_random.one_in(6) ? 0x100 : 0;
        Item push = code.raw({0x68});
        put_immediate(push, flags, 4);
        m_program.add(push);
        m_program.add(code.raw({0x9d}));
    }
    ++m_blocks;
}

void Segments::write_end(Label start) {
    const Encoder& code = m_code.encoder();
    Item count = code.with_memory({.opcode = 0x83, .width = 4}, 0, control(offsetof(Control, round)), 1);
    put_immediate(count, 1, 1);
    fixed(count);
    Item left = code.with_memory({.opcode = 0x83, .width = 4}, 5, control(offsetof(Control, rounds)), 1);
    put_immediate(left, 1, 1);
    fixed(left);
    m_program.branch(k_jnz, start, true);
    fixed(code.raw({0xcd, k_vector_end}));
    fixed(code.raw({0xf4}));
}

unsigned Segments::write(unsigned count) {
    const Label start = m_program.new_label();
    m_program.bind(start);
    write_start();
    Label landing = m_program.new_label();
    for (unsigned i = 0; i < count; ++i) {
        m_program.bind(landing);
        const Label next = m_program.new_label();
        write_landing(next);
        write_segment();
        landing = next;
    }
    m_program.bind(landing);
    write_end(start);
    write_functions();
    return m_blocks;
}

void Segments::write_functions() {
    constexpr unsigned k_most_functions = 8;
    m_in_function = true;
    for (size_t i = 0; i < m_functions.size(); ++i) {  // a function may ask for more of them
        m_program.bind(m_functions[i].label);
        m_code.set_balanced(true);
        const bool framed = is_free(1U << k_rbp) && m_random.one_in(2);
        if (framed) {  // PUSH RBP; MOV RBP, RSP; SUB RSP, n
            fixed(m_code.encoder().raw({0x55}));
            fixed(m_code.encoder().with_register({.opcode = 0x89, .width = m_style.word()}, k_rsp, k_rbp));
            Item room = m_code.encoder().with_register({.opcode = 0x83, .width = m_style.word()}, 5, k_rsp);
            put_immediate(room, 8 * m_random.below(12), 1);
            m_program.add(room);
            frame_accesses(2 + m_random.below(8));
            fixed(m_code.encoder().raw({0xc9, 0xc3}));  // LEAVE, RET
            m_code.set_balanced(false);
            ++m_blocks;
            continue;
        }
        lines(1, 10);
        if (m_functions[i].patchable) {
            patchable();
        }
        if (i + 1 < k_most_functions && m_random.one_in(3)) {
            call_function();
        }
        lines(0, 6);
        m_code.set_balanced(false);
        fixed(m_code.encoder().raw({0xc3}));
        ++m_blocks;
    }
    m_in_function = false;
}

// --- straight lines and branches -----------------------------------------------------------------------------------------
void Segments::lines(unsigned least, unsigned most) {
    const unsigned count = least + m_random.below(most - least + 1);
    for (unsigned i = 0; i < count; ++i) {
        m_code.add(m_program);
    }
}

void Segments::straight() { lines(5, 40); }

void Segments::branches() {
    const unsigned count = 1 + m_random.below(4);
    for (unsigned i = 0; i < count; ++i) {
        const Label otherwise = m_program.new_label(), end = m_program.new_label();
        lines(1, 8);
        if (m_random.one_in(2)) {
            m_code.add_flag_producer(m_program);
        }
        if (m_random.one_in(12)) {
            // JRCXZ, LOOP, LOOPE, LOOPNE reach over a short piece only, and those that count need RCX
            const bool counts = is_free(2) && m_random.one_in(2);
            m_program.branch(static_cast<uint8_t>(counts ? 0xe0 + m_random.below(3) : 0xe3), otherwise);
            lines(0, 3);
        } else {
            m_program.branch(static_cast<uint8_t>(0x70 + m_random.below(16)), otherwise);
            lines(1, 10);
        }
        const bool has_else = m_random.one_in(2);
        if (has_else) {
            m_program.branch(k_jmp, end);
        }
        m_program.bind(otherwise);
        if (has_else) {
            lines(1, 8);
        }
        m_program.bind(end);
        m_blocks += has_else ? 3 : 2;
    }
    lines(0, 5);
}

void Segments::loop_back(Label top, unsigned form) {
    const Encoder& code = m_code.encoder();
    const unsigned reg = m_style.counter;
    Item down;
    if (form == 0) {
        down = code.with_register({.opcode = 0xff, .width = m_style.word()}, 1, reg);  // DEC
    } else {
        down = code.with_register({.opcode = 0x83, .width = m_style.word()}, 5, reg);  // SUB
        put_immediate(down, 1, 1);
    }
    fixed(down);
    m_program.branch(form == 2 ? 0x7f : k_jnz, top, true);  // JG or JNZ
}

void Segments::loop() {
    const unsigned turns = m_random.one_in(6) ? 40 + m_random.below(100) : 2 + m_random.below(12);
    const Label top = m_program.new_label();
    fixed(m_code.encoder().load_immediate(m_style.counter, turns));
    m_program.bind(top);
    if (m_random.one_in(3)) {
        const Label over = m_program.new_label();
        lines(1, 6);
        m_program.branch(static_cast<uint8_t>(0x70 + m_random.below(16)), over);
        lines(1, 6);
        m_program.bind(over);
        m_blocks += 2;
    }
    if (m_random.one_in(5) && turns < 20) {
        call_function();
    }
    m_code.set_balanced(turns > 8);
    lines(2, 14);
    m_code.set_balanced(false);
    loop_back(top, m_random.below(3));
    ++m_blocks;
}

// --- calls and indirect jumps --------------------------------------------------------------------------------------------
void Segments::load_address(unsigned reg, Label label) {
    const Encoder& code = m_code.encoder();
    if (m_style.code64 && m_random.one_in(2)) {
        Memory place;
        place.label = label;
        m_program.add(code.with_memory({.opcode = 0x8d, .width = 8}, reg, place));
        return;
    }
    Item item = code.plus_register(0xb8, m_style.word(), reg);
    item.reference = m_style.code64 ? Reference::absolute64 : Reference::absolute32;
    item.reference_at = item.size;
    item.to_label = true;
    item.label = label;
    put_immediate(item, 0, m_style.word());
    m_program.add(item);
}

void Segments::call_function() {
    constexpr size_t k_most_functions = 8;
    // From inside a function only to one not written yet, so that calls end.
    if (m_functions.size() < k_most_functions && (m_functions.empty() || m_in_function || m_random.one_in(2))) {
        m_functions.push_back({m_program.new_label(), m_random.one_in(2)});
    } else if (m_in_function) {
        return;
    }
    const Label target = m_in_function ? m_functions.back().label
                                       : m_functions[m_random.below(static_cast<unsigned>(m_functions.size()))].label;
    if (m_random.one_in(3)) {
        const unsigned reg = m_code.free_register();
        load_address(reg, target);
        m_program.add(m_code.encoder().with_register({.opcode = 0xff, .width = 4}, 2, reg));
    } else {
        m_program.branch(k_call, target);
    }
    ++m_blocks;
}

void Segments::calls() {
    const unsigned count = 1 + m_random.below(4);
    for (unsigned i = 0; i < count; ++i) {
        lines(0, 8);
        call_function();
    }
    lines(0, 8);
}

void Segments::indirect_jump() {
    const Label target = m_program.new_label();
    const unsigned reg = m_code.free_register();
    load_address(reg, target);
    if (m_random.one_in(3)) {
        m_program.add(m_code.encoder().plus_register(0x50, 4, reg));
        m_program.add(m_code.encoder().raw({0xc3}));  // RET to where no call was
    } else {
        m_program.add(m_code.encoder().with_register({.opcode = 0xff, .width = 4}, 4, reg));
    }
    lines(1, 5);
    m_program.bind(target);
    lines(1, 10);
    m_blocks += 2;
}

void Segments::jump_table() {
    const Encoder& code = m_code.encoder();
    const unsigned reg = m_code.free_register();
    const Label table = m_program.new_label(), end = m_program.new_label();
    std::array<Label, 4> targets;
    for (Label& target : targets) {
        target = m_program.new_label();
    }
    m_program.add(code.with_register({.opcode = 0x89, .width = 4}, m_code.any_register(), reg));
    Item mask = code.with_register({.opcode = 0x83, .width = 4}, 4, reg);
    put_immediate(mask, 3, 1);
    fixed(mask);
    const unsigned base = m_code.free_register();
    if (base == reg) {
        lines(1, 4);
        return;
    }
    load_address(base, table);
    Memory entry;
    entry.base = static_cast<int>(base);
    entry.index = static_cast<int>(reg);
    entry.scale = m_style.code64 ? 3 : 2;
    m_program.add(code.with_memory({.opcode = 0xff, .width = 4}, 4, entry));
    m_program.branch(k_jmp, end, true);  // when the jump was taken out
    m_program.bind(table);
    for (const Label target : targets) {
        Item item;
        item.reference = m_style.code64 ? Reference::absolute64 : Reference::absolute32;
        item.to_label = true;
        item.label = target;
        put_immediate(item, 0, m_style.word());
        fixed(item);
    }
    for (const Label target : targets) {
        m_program.bind(target);
        lines(0, 5);
        m_program.branch(k_jmp, end);
        ++m_blocks;
    }
    m_program.bind(end);
}

// --- choice --------------------------------------------------------------------------------------------------------------
void Segments::write_segment() {
    struct Weighted {
        unsigned weight;
        Maker make;
    };
    using S = Segments;
    static constexpr std::array<Weighted, 18> k_makers = {{
        {20, &S::straight}, {22, &S::branches}, {20, &S::loop}, {12, &S::calls}, {6, &S::indirect_jump}, {5, &S::jump_table},
        {10, &S::self_modifying}, {6, &S::interrupts}, {4, &S::interrupt_shadow}, {5, &S::software_interrupts},
        {2, &S::return_from_interrupt}, {10, &S::faulting_flags}, {8, &S::strings}, {6, &S::page_end}, {7, &S::system},
        {4, &S::remap}, {12, &S::fields}, {6, &S::pushes},
    }};
    static constexpr unsigned k_total = [] {
        unsigned sum = 2;  // stray
        for (const Weighted& one : k_makers) {
            sum += one.weight;
        }
        return sum;
    }();
    ++m_blocks;
    if (m_style.table_loops && m_random.one_in(5)) {
        table_loop();
        return;
    }
    unsigned choice = m_random.below(k_total);
    for (const Weighted& one : k_makers) {
        if (choice < one.weight) {
            (this->*one.make)();
            return;
        }
        choice -= one.weight;
    }
    stray();
}

}  // namespace skep::lockstep
