// SPDX-License-Identifier: GPL-3.0-or-later
// Segments with something unusual in them: code that changes, events, system instructions.
#include <array>
#include <bit>
#include <cstddef>

#include "tests/vmm/interp/oracle_state.hpp"
#include "tests/vmm/jit/lockstep/segments.hpp"
#include "vmm/cpu/cpu_state.hpp"

namespace skep::lockstep {
namespace {

constexpr uint32_t k_ax = 1, k_cx = 2, k_dx = 4, k_r11 = 0x800;
constexpr uint64_t k_page = 4096;

}  // namespace

// --- code that changes ---------------------------------------------------------------------------------------------------
// An instruction with four bytes that may become anything.
Label Segments::patchable() {
    const Encoder& code = m_code.encoder();
    const Label label = m_program.new_label();
    m_program.bind(label);
    const unsigned reg = m_code.free_register();
    Item item;
    if (m_random.one_in(2)) {
        item = code.plus_register(0xb8, 4, reg);
    } else {
        item = code.with_register({.opcode = 0x81, .width = m_random.one_in(2) ? 4 : m_style.word()}, m_random.below(8), reg);
        // CMP or not, it writes a free register
    }
    m_places.push_back({label, item.size});
    put_immediate(item, m_random.next(), 4);
    fixed(item);
    return label;
}

// Writes into the four bytes at label + offset.
void Segments::patch(Label target, unsigned offset) {
    const Encoder& code = m_code.encoder();
    Memory place;
    place.label = target;
    place.displacement = static_cast<int32_t>(offset);
    if (m_random.one_in(4)) {  // through the other mapping, which shows the first two pages of code
        place.displacement += static_cast<int32_t>(k_data + k_page_alias_code * k_page - k_code);
    }
    Item item;
    switch (m_random.below(7)) {
        case 0:
            item = code.with_memory({.opcode = 0xc7, .width = 4}, 0, place, 4);
            put_immediate(item, m_random.next(), 4);
            break;
        case 1:
            place.displacement += static_cast<int32_t>(m_random.below(4));
            item = code.with_memory({.opcode = 0xc6, .width = 1}, 0, place, 1);
            put_immediate(item, m_random.next(), 1);
            break;
        case 2: item = code.with_memory({.opcode = 0x01, .width = 4}, m_code.any_register(), place); break;
        case 3: item = code.with_memory({.opcode = 0x0fc1, .width = 4, .lock = true}, m_code.free_register(), place); break;
        case 4: item = code.with_memory({.opcode = 0x0f7e, .width = 4, .prefix = 0x66}, m_random.below(8), place); break;
        case 5:
            place.displacement += static_cast<int32_t>(m_random.below(3));
            item = code.with_memory({.opcode = 0x89, .width = 2}, m_code.any_register(), place);
            break;
        default: item = code.with_memory({.opcode = 0x89, .width = 4}, m_code.any_register(), place);
    }
    m_program.add(item);
}

void Segments::self_modifying() {
    const Encoder& code = m_code.encoder();
    switch (m_random.below(4)) {
        case 0: {  // ahead, the next instruction included
            const Label target = m_program.new_label();
            const unsigned reg = m_code.free_register();
            Item item = code.plus_register(0xb8, 4, reg);
            const unsigned offset = item.size;
            put_immediate(item, m_random.next(), 4);
            lines(0, 4);
            patch(target, offset);
            lines(0, m_random.one_in(2) ? 0 : 4);
            m_program.bind(target);
            fixed(item);
            lines(1, 5);
            return;
        }
        case 1: {  // in a loop, before and behind
            const Label top = m_program.new_label();
            fixed(code.load_immediate(m_style.counter, 2 + m_random.below(20)));
            m_program.bind(top);
            m_code.set_balanced(true);
            lines(0, 3);
            const Label target = patchable();
            const unsigned offset = m_places.back().offset;
            lines(0, 4);
            patch(target, offset);
            lines(0, 3);
            m_code.set_balanced(false);
            loop_back(top, m_random.below(3));
            ++m_blocks;
            return;
        }
        case 2:  // what ran before, or a function
            lines(0, 3);
            if (!m_places.empty()) {
                const Place& place = m_places[m_random.below(static_cast<unsigned>(m_places.size()))];
                patch(place.label, place.offset);
            }
            call_function();
            lines(0, 3);
            patchable();
            return;
        default: {  // another operation in place of this one: bytes of the same form
            const Label target = m_program.new_label();
            Memory place;
            place.label = target;
            Item write = code.with_memory({.opcode = 0xc6, .width = 1}, 0, place, 1);
            put_immediate(write, m_random.below(8) * 8 + 1, 1);
            Item instruction = code.with_register({.opcode = m_random.below(8) * 8 + 1, .width = 4}, m_random.below(8) & 3, 0);
            if (!is_free(k_ax)) {
                lines(2, 6);
                return;
            }
            m_program.add(write);
            lines(0, 2);
            m_program.bind(target);
            fixed(instruction);
            lines(1, 4);
        }
    }
}

// --- events --------------------------------------------------------------------------------------------------------------
void Segments::interrupts() {
    const Encoder& code = m_code.encoder();
    if (!is_free(k_ax)) {
        lines(2, 8);
        return;
    }
    const unsigned count = 1 + m_random.below(3);
    for (unsigned i = 0; i < count; ++i) {
        lines(0, 5);
        m_program.add(code.load_immediate(0, m_random.below(32)));
        if (m_random.one_in(2)) {
            m_code.add_flag_producer(m_program);
        }
        m_program.add(code.raw({0xe6, k_port_irq}));
    }
    lines(1, 6);
}

// Raised while not wanted, taken at the right place later.
void Segments::interrupt_shadow() {
    const Encoder& code = m_code.encoder();
    if (!is_free(k_ax)) {
        lines(2, 8);
        return;
    }
    m_program.add(code.raw({0xfa}));
    m_program.add(code.load_immediate(0, m_random.below(32)));
    m_program.add(code.raw({0xe6, k_port_irq}));
    lines(0, 6);
    switch (m_random.below(4)) {
        case 0: m_program.add(code.raw({0xfb})); break;
        case 1:
            m_program.add(code.raw({0xfb}));
            m_program.add(code.raw({0xf4}));
            break;
        case 2: {
            Item push = code.raw({0x68});
            put_immediate(push, 0x202 | (m_random.next() & 0x8d5), 4);
            m_program.add(push);
            m_program.add(code.raw({0x9d}));
            break;
        }
        default:
            m_program.add(code.load_immediate(0, m_style.user ? k_user_data : k_kernel_data));
            m_program.add(code.raw({0xfb}));
            m_program.add(code.raw({0x8e, 0xd0}));  // MOV SS, AX
    }
    lines(1, 6);
    m_program.add(code.raw({0xfb}));
}

void Segments::software_interrupts() {
    const Encoder& code = m_code.encoder();
    lines(0, 5);
    switch (m_random.below(8)) {
        case 0: m_program.add(code.raw({0xcc})); break;
        case 1: m_program.add(code.raw({0x0f, 0x0b})); break;  // UD2
        case 2: {
            const auto vector = static_cast<uint8_t>(m_random.below(64));
            // A handler that expects an error code would lose its way without one.
            const bool expects_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
            m_program.add(code.raw({0xcd, expects_error && !m_style.user ? k_vector_call : vector}));
            break;
        }
        case 3:
            if (m_style.code64 && m_style.user && is_free(k_cx | k_r11)) {
                m_program.add(code.raw({0x0f, 0x05}));
            }
            break;
        case 4: m_program.add(code.raw({0xe5, static_cast<uint8_t>(k_port_data)})); break;  // IN
        case 5: m_program.add(code.raw({m_style.code64 ? uint8_t{0xf1} : uint8_t{0xce}})); break;  // INT1, INTO
        default: m_program.add(code.raw({0xcd, k_vector_call}));
    }
    lines(1, 6);
}

// IRET to the same privilege.
void Segments::return_from_interrupt() {
    const Encoder& code = m_code.encoder();
    if (!m_style.code64) {
        lines(2, 8);
        return;
    }
    const unsigned reg = m_code.free_register();
    const Label target = m_program.new_label();
    const auto push = [&](uint64_t value) {
        Item item = code.raw({0x68});
        put_immediate(item, value, 4);
        m_program.add(item);
    };
    m_program.add(code.with_register({.opcode = 0x8b, .width = 8}, reg, 4));
    push(m_style.user ? k_user_data : k_kernel_data);
    m_program.add(code.plus_register(0x50, 4, reg));
    m_program.add(code.raw({0x9c}));
    push(m_style.user ? k_user_code64 : k_kernel_code64);
    load_address(reg, target);
    m_program.add(code.plus_register(0x50, 4, reg));
    m_program.add(code.raw({0x48, 0xcf}));
    lines(0, 3);
    m_program.bind(target);
    lines(1, 6);
}

// Producer, an access that may fault, consumer: the flags pushed must be the producer's.
void Segments::faulting_flags() {
    const Encoder& code = m_code.encoder();
    const unsigned count = 1 + m_random.below(5);
    for (unsigned i = 0; i < count; ++i) {
        m_code.add_flag_producer(m_program);
        for (unsigned n = m_random.below(3); n > 0; --n) {
            m_code.add_access(m_program);
        }
        if (m_random.one_in(5)) {
            const unsigned reg = m_code.free_register();
            static constexpr std::array<uint8_t, 6> k_pages = {k_page_absent, k_page_read_only, k_page_mmio, k_page_reserved,
                                                               k_page_fresh, k_page_supervisor};
            m_program.add(code.load_immediate(reg, m_style.window + k_data + k_pages[m_random.below(k_pages.size())] * k_page +
                                                       m_random.below(k_page)));
            Memory place;
            place.base = static_cast<int>(reg);
            m_program.add(code.with_memory({.opcode = m_random.one_in(2) ? 0x8bU : 0x11U, .width = 4}, m_code.free_register(), place));
        }
        m_code.add_flag_consumer(m_program);
    }
}

void Segments::strings() {
    const unsigned count = 1 + m_random.below(4);
    for (unsigned i = 0; i < count; ++i) {
        m_code.add_string(m_program);
        lines(0, 3);
    }
}

// Loads, stores and arithmetic off RBP, as a function's locals.
void Segments::frame_accesses(unsigned count) {
    const Encoder& code = m_code.encoder();
    for (unsigned i = 0; i < count; ++i) {
        Memory local;
        local.base = k_rbp;
        local.displacement = static_cast<int32_t>(m_random.below(24)) * 4 - 88;
        static constexpr std::array<uint8_t, 5> k_opcodes = {0x8b, 0x8b, 0x03, 0x3b, 0x89};
        const uint8_t opcode = k_opcodes[m_random.below(5)];
        // what lies above RBP is the caller's
        if (opcode != 0x89 || local.displacement <= -8) {
            const unsigned reg = m_code.free_register();
            const uint32_t width = m_random.one_in(2) ? 4 : m_style.word();
            if (reg != k_rbp) {
                m_program.add(code.with_memory({.opcode = opcode, .width = width}, reg, local));
            }
        }
    }
}

// Many accesses off one register, as to the fields of a structure that may lie across two pages, while it moves a little.
void Segments::fields() {
    const Encoder& code = m_code.encoder();
    const unsigned base = m_code.free_register();
    m_program.add(code.load_immediate(base, m_code.data_address()));
    const unsigned count = 4 + m_random.below(16);
    const bool in_loop = m_random.one_in(2);
    const Label top = m_program.new_label();
    if (in_loop) {
        fixed(code.load_immediate(m_style.counter, 2 + m_random.below(16)));
        m_program.bind(top);
    }
    for (unsigned i = 0; i < count; ++i) {
        if (m_random.one_in(8)) {
            Item step = code.with_register({.opcode = 0x83, .width = m_style.word()}, m_random.one_in(2) ? 0 : 5, base);
            put_immediate(step, 8 * m_random.below(8), 1);
            m_program.add(step);
            continue;
        }
        Memory field;
        field.base = static_cast<int>(base);
        field.displacement = static_cast<int32_t>(m_random.below(m_random.one_in(6) ? 600 : 40)) * 4 - 16;
        static constexpr std::array<uint8_t, 8> k_opcodes = {0x8b, 0x8b, 0x89, 0x89, 0x03, 0x01, 0x3b, 0x39};
        const unsigned reg = m_code.free_register();
        const uint32_t width = m_random.one_in(2) ? 4 : m_style.word();
        if (reg != base) {
            m_program.add(code.with_memory({.opcode = k_opcodes[m_random.below(8)], .width = width}, reg, field));
        }
        if (m_random.one_in(10)) {
            m_code.add_flag_consumer(m_program);
        }
    }
    if (in_loop) {
        loop_back(top, m_random.below(3));
        ++m_blocks;
    }
    lines(0, 4);
}

// A loop that looks into a table by a small number, as checksums and tables of characters do. The table is on one page,
// on two, or its end is where nothing is; the loop may write to it, and to the bytes that the numbers come from.
void Segments::table_loop() {
    const Encoder& code = m_code.encoder();
    const auto base = static_cast<unsigned>(std::countr_zero(m_style.pointers));
    m_program.add(code.load_immediate(base, m_code.data_address()));
    fixed(code.load_immediate(m_style.counter, 2 + m_random.below(m_random.one_in(4) ? 150 : 20)));
    const Label top = m_program.new_label();
    m_program.bind(top);
    for (unsigned looks = 1 + m_random.below(3); looks > 0; --looks) {
        const unsigned index = m_code.free_register(), step = m_code.free_register();
        Item grow = code.with_register({.opcode = 0x81, .width = 4}, 0, step);  // ADD
        put_immediate(grow, m_random.next(), 4);
        m_program.add(grow);
        if (m_random.one_in(2)) {  // MOVZX from a byte, of a register or of memory
            const Encoder::Shape shape{.opcode = 0x0fb6, .width = 4, .force_rex = m_style.code64 && step >= 4};
            m_program.add(m_random.one_in(2) ? code.with_memory(shape, index, m_code.memory())
                                             : code.with_register(shape, index, m_style.code64 ? step : step & 3));
        } else {
            m_program.add(code.with_register({.opcode = 0x8b, .width = 4}, index, step));
            Item mask = code.with_register({.opcode = 0x81, .width = 4}, 4, index);  // AND
            put_immediate(mask, (1U << (1 + m_random.below(11))) - 1, 4);
            m_program.add(mask);
        }
        Memory entry;
        entry.base = static_cast<int>(base);
        entry.index = static_cast<int>(index);
        entry.scale = m_random.below(4);
        entry.displacement = m_random.one_in(2) ? 0 : static_cast<int32_t>(m_random.below(300)) - 100;
        for (unsigned accesses = 1 + m_random.below(2); accesses > 0; --accesses) {
            static constexpr std::array<uint8_t, 7> k_opcodes = {0x8b, 0x03, 0x33, 0x13, 0x3b, 0x89, 0x01};
            const uint32_t width = m_random.one_in(3) ? m_style.word() : m_random.one_in(5) ? 2 : 4;
            m_program.add(code.with_memory({.opcode = k_opcodes[m_random.below(7)], .width = width}, m_code.free_register(), entry));
        }
        if (m_random.one_in(3)) {
            m_code.add(m_program);
        }
    }
    loop_back(top, m_random.below(3));
    ++m_blocks;
    lines(0, 4);
}

// Rows of PUSH and POP with accesses to the stack between, at the edges of its pages too.
void Segments::pushes() {
    const Encoder& code = m_code.encoder();
    static constexpr std::array<uint64_t, 4> k_places = {0x1000, 0x1008, 0x1f80, 0x10};
    if (m_random.one_in(2)) {
        const uint64_t place = k_places[m_random.below(4)] + 8 * m_random.below(6) + (m_random.one_in(6) ? m_random.below(8) : 0);
        m_program.add(code.load_immediate(k_rsp, m_style.window + k_stack + place));
    }
    const unsigned count = 4 + m_random.below(20);
    for (unsigned i = 0; i < count; ++i) {
        const unsigned kind = m_random.below(8);
        if (kind < 3) {
            m_program.add(code.plus_register(0x50, 4, m_code.any_register()));
        } else if (kind < 6) {
            m_program.add(code.plus_register(0x58, 4, m_code.free_register()));
        } else {
            Memory place;
            place.base = k_rsp;
            place.displacement = static_cast<int32_t>(m_random.below(16)) * 8 - 24;
            m_program.add(code.with_memory({.opcode = kind == 6 ? 0x8bU : 0x89U, .width = m_style.word()}, m_code.free_register(), place));
        }
    }
}

// An instruction across two pages of code.
void Segments::page_end() {
    lines(0, 3);
    Item padding;
    padding.kind = Item::Kind::pad_to_page_end;
    padding.size = static_cast<uint8_t>(1 + m_random.below(12));
    m_program.add(padding);
    lines(3, 10);
}

// --- system --------------------------------------------------------------------------------------------------------------
void Segments::system() {
    const Encoder& code = m_code.encoder();
    const unsigned reg = m_code.free_register();
    lines(0, 4);
    switch (m_random.below(12)) {
        case 0:
        case 1:
        case 2:
            m_program.add(code.with_memory({.opcode = 0x8b, .width = m_style.word()}, reg,
                                           control(m_random.one_in(2) ? offsetof(Control, cr3_a) : offsetof(Control, cr3_b))));
            m_program.add(code.with_register({.opcode = 0x0f22, .width = 4}, 3, reg));
            break;
        case 3: m_program.add(code.with_memory({.opcode = 0x0f01, .width = 4}, 7, m_code.memory())); break;  // INVLPG
        case 4: {
            static constexpr std::array<uint8_t, 3> k_numbers = {0, 2, 4};
            m_program.add(code.with_register({.opcode = 0x0f20, .width = 4}, k_numbers[m_random.below(3)], reg));
            break;
        }
        case 5:
        case 6: {  // CR0.TS: the next vector instruction is #NM
            m_program.add(code.with_register({.opcode = 0x0f20, .width = 4}, 0, reg));
            Item item = code.with_register({.opcode = 0x83, .width = 4}, 1, reg);
            put_immediate(item, 8, 1);
            m_program.add(item);
            m_program.add(code.with_register({.opcode = 0x0f22, .width = 4}, 0, reg));
            lines(0, 6);
            m_program.add(code.raw({0x0f, 0x06}));
            break;
        }
        case 7: m_program.add(code.raw({0x0f, 0x01, static_cast<uint8_t>(m_random.one_in(2) ? 0xca : 0xcb)})); break;  // CLAC STAC
        case 8:
            if (m_style.code64) {  // WRFSBASE, WRGSBASE
                m_program.add(code.load_immediate(reg, m_code.data_address()));
                m_program.add(code.with_register({.opcode = 0x0fae, .width = m_random.one_in(3) ? 4U : 8U, .prefix = 0xf3},
                                                 2 + m_random.below(2), reg));
            }
            break;
        case 9:
            if (m_style.code64) {
                m_program.add(code.raw({0x0f, 0x01, 0xf8}));  // SWAPGS
            }
            break;
        case 10:
            if (is_free(k_ax)) {
                m_program.add(code.load_immediate(0, m_style.user ? k_user_data : k_kernel_data));
                static constexpr std::array<uint8_t, 4> k_segments = {0xc0, 0xd8, 0xe0, 0xe8};  // ES DS FS GS
                m_program.add(code.raw({0x8e, k_segments[m_random.below(4)]}));
            }
            break;
        default:
            if (is_free(k_ax | k_dx | k_cx)) {
                m_program.add(code.load_immediate(1, 0xc000'0100 + m_random.below(2)));
                m_program.add(code.load_immediate(0, m_style.window + k_data + m_random.below(0x2000)));
                m_program.add(code.load_immediate(2, m_style.window >> 32));
                m_program.add(code.raw({0x0f, 0x30}));  // WRMSR
            }
    }
    lines(1, 10);
}

// Changes the rights of a page, drops its translation, and goes on using it.
void Segments::remap() {
    const Encoder& code = m_code.encoder();
    lines(0, 4);
    const uint64_t tables = m_random.one_in(3) ? k_tables_b : k_tables_a;
    const uint64_t table = tables + (m_style.user ? 3 : 4) * k_page;
    const unsigned page = m_random.one_in(3) ? k_page_a : m_random.below(k_data_pages);
    Memory entry;
    entry.displacement = static_cast<int32_t>(k_supervisor_window + table + 8 * (k_data / k_page + page));
    static constexpr std::array<uint8_t, 4> k_bits = {1, 2, 0x20, 0x40};  // P, R/W, A, D
    Item change = code.with_memory({.opcode = 0x83, .width = 4}, 6, entry, 1);
    put_immediate(change, k_bits[m_random.below(4)], 1);
    m_program.add(change);
    const unsigned reg = m_code.free_register();
    m_program.add(code.load_immediate(reg, m_style.window + k_data + page * k_page));
    Memory place;
    place.base = static_cast<int>(reg);
    m_program.add(code.with_memory({.opcode = 0x0f01, .width = 4}, 7, place));  // INVLPG
    place.displacement = static_cast<int32_t>(m_random.below(4000));
    m_program.add(code.with_memory({.opcode = m_random.one_in(2) ? 0x8bU : 0x89U, .width = 4}, m_code.free_register(), place));
    lines(1, 8);
}

// A jump to where no code is.
void Segments::stray() {
    const Encoder& code = m_code.encoder();
    const unsigned reg = m_code.free_register();
    m_program.add(code.load_immediate(reg, m_random.one_in(4) ? test::interesting_bits(m_random) : m_code.data_address()));
    m_program.add(code.with_register({.opcode = 0xff, .width = 4}, m_random.one_in(2) ? 4 : 2, reg));
    lines(1, 4);
}

}  // namespace skep::lockstep
