// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/guest_image.hpp"

#include <asmjit/x86.h>

#include <array>
#include <cstring>
#include <vector>

#include "tests/vmm/jit/lockstep/layout.hpp"

namespace skep::lockstep {
namespace {

constexpr uint64_t k_page = 4096;
constexpr uint64_t k_p = 1, k_w = 2, k_u = 4, k_a = 0x20, k_d = 0x40, k_nx = uint64_t{1} << 63, k_reserved = uint64_t{1} << 51;

void put(std::span<std::byte> ram, uint64_t at, uint64_t value) { std::memcpy(ram.data() + at, &value, 8); }

// --- page tables ---------------------------------------------------------------------------------------------------------
uint64_t data_entry(unsigned page, bool user_window, bool second_space) {
    const uint64_t own = k_data + page * k_page;
    const uint64_t user = user_window ? k_u : 0;
    const uint64_t plain = k_p | k_w | k_a | k_d | k_nx | user;
    switch (page) {
        case k_page_a: return (second_space ? k_data + k_page : own) | plain;
        case k_page_b: return (second_space ? k_data : own) | plain;
        case k_page_read_only: return own | (second_space ? plain : plain & ~k_w);
        case k_page_absent: return second_space ? own | plain : 0;
        case k_page_fresh:
        case k_page_fresh2: return own | (plain & ~(k_a | k_d));
        case k_page_mmio: return k_mmio | plain;
        case k_page_supervisor: return own | (plain & ~k_u);
        case k_page_alias_a: return k_data | plain;
        case k_page_alias_code: return k_code | plain;
        case k_page_alias_code2: return (k_code + k_page) | plain;
        case k_page_reserved: return own | plain | k_reserved;
        case k_page_read_only2: return own | (plain & ~k_w);
        case k_page_absent2: return 0;
        default: return own | plain;
    }
}

// The entry of the window's page `index`, 0 for none.
uint64_t window_entry(unsigned index, bool user_window, bool second_space, unsigned absent_code_page) {
    const uint64_t physical = index * k_page;
    const uint64_t user = user_window ? k_u : 0;
    const uint64_t plain = physical | k_p | k_w | k_a | k_d | user;
    if (physical >= k_data && physical < k_ram) {
        const auto page = static_cast<unsigned>((physical - k_data) / k_page);
        return page < k_data_pages ? data_entry(page, user_window, second_space) : 0;
    }
    if (physical >= k_code && physical < k_code + k_code_pages * k_page) {
        return absent_code_page != 0 && physical == k_code + absent_code_page * k_page ? 0 : plain;
    }
    if (physical == k_control || (physical >= k_stack && physical < k_stack_top)) {
        return plain;
    }
    const bool system = physical < k_control || physical == k_kernel_stack_top - k_page ||
                        (physical >= k_log && physical < k_log_end);
    return system && !user_window ? plain : 0;
}

void write_space(std::span<std::byte> ram, uint64_t tables, bool second_space, unsigned absent_code_page) {
    const uint64_t pdpt = tables + k_page, directory = tables + 2 * k_page;
    constexpr uint64_t k_link = k_p | k_w | k_u | k_a;
    std::memset(ram.data() + tables, 0, k_table_pages * k_page);
    for (const unsigned slot : {0U, 256U, 511U}) {
        put(ram, tables + 8 * slot, pdpt | k_link);
    }
    for (const unsigned slot : {0U, 510U}) {  // the second for the top 2 GiB
        put(ram, pdpt + 8 * slot, directory | k_link);
    }
    for (const bool user_window : {true, false}) {
        const uint64_t table = tables + (user_window ? 3 : 4) * k_page;
        put(ram, directory + 8 * ((user_window ? k_user_window : k_supervisor_window) >> 21), table | k_link);
        for (unsigned i = 0; i < k_ram / k_page; ++i) {
            put(ram, table + 8 * i, window_entry(i, user_window, second_space, absent_code_page));
        }
    }
}

// --- handlers ------------------------------------------------------------------------------------------------------------
constexpr uint64_t k_linear = k_supervisor_window;
constexpr uint64_t k_no_handler = 0;

bool pushes_error_code(unsigned vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

struct Handlers {
    std::array<uint64_t, 256> address{};
    uint64_t syscall = 0;
    std::vector<uint8_t> code;
};


// Behind the 15 registers on the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
constexpr int k_saved = 15 * 8, k_frame_rip = k_saved + 16;

void write_common(asmjit::x86::Assembler& a, const asmjit::Label& common) {
    using namespace asmjit;
    using namespace asmjit::x86;
    const std::array<Gp, 15> saved = {rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15};
    const Label finish = a.newLabel(), resume = a.newLabel(), no_clts = a.newLabel(), leave_by_sysret = a.newLabel();
    const auto c64 = [](size_t offset) { return qword_ptr_abs(k_linear + k_control + offset); };
    const auto c32 = [](size_t offset) { return dword_ptr_abs(k_linear + k_control + offset); };
    a.bind(common);
    for (const Gp& reg : saved) {
        a.push(reg);
    }
    // The record: what is on the stack, CR2, CR3, the round.
    a.cld();
    a.mov(rsi, rsp);
    a.mov(rdi, c64(offsetof(Control, log_next)));
    a.mov(ecx, 22);
    a.rep().movsq();
    a.mov(rax, cr2);
    a.stosq();
    a.mov(rax, cr3);
    a.stosq();
    a.mov(rax, c64(offsetof(Control, round)));
    a.stosq();
    a.mov(c64(offsetof(Control, log_next)), rdi);
    a.mov(eax, dword_ptr(rsp, k_saved));
    a.sub(c32(offsetof(Control, budget)), 1);
    a.js(finish);
    a.cmp(eax, static_cast<int>(k_vector_end));
    a.je(finish);
    a.cmp(eax, static_cast<int>(k_vector_irq));
    a.jae(resume);
    a.cmp(eax, 7);
    a.jne(no_clts);
    a.clts();
    a.bind(no_clts);
    a.and_(dword_ptr(rsp, k_frame_rip + 16), static_cast<int>(~0x10100U));  // TF, RF
    // INT3 and INTO are traps: they go on behind themselves, as #DB does.
    a.cmp(eax, 1);
    a.je(resume);
    a.cmp(eax, 3);
    a.je(resume);
    a.cmp(eax, 4);
    a.je(resume);
    a.mov(rcx, c64(offsetof(Control, recovery)));
    a.mov(qword_ptr(rsp, k_frame_rip), rcx);
    a.mov(rcx, c64(offsetof(Control, code_selector)));
    a.mov(qword_ptr(rsp, k_frame_rip + 8), rcx);
    a.mov(rcx, c64(offsetof(Control, stack_selector)));
    a.mov(qword_ptr(rsp, k_frame_rip + 32), rcx);
    a.bind(resume);
    a.cmp(eax, static_cast<int>(k_vector_syscall));
    a.je(leave_by_sysret);
    for (size_t i = saved.size(); i-- > 0;) {
        a.pop(saved[i]);
    }
    a.lea(rsp, ptr(rsp, 16));
    a.iretq();
    a.bind(leave_by_sysret);
    for (size_t i = saved.size(); i-- > 0;) {
        a.pop(saved[i]);
    }
    a.mov(rsp, qword_ptr(rsp, 16 + 24));
    a.sysret();
    a.bind(finish);
    a.hlt();
    a.jmp(finish);
}

void write_syscall_entry(asmjit::x86::Assembler& a, const asmjit::Label& entry, const asmjit::Label& common) {
    using namespace asmjit::x86;
    const auto saved_stack = qword_ptr_abs(k_linear + k_control + offsetof(Control, saved_stack));
    a.bind(entry);
    a.mov(saved_stack, rsp);
    a.mov(rsp, static_cast<int>(k_linear + k_kernel_stack_top));
    a.push(static_cast<int>(k_user_data));
    a.push(saved_stack);
    a.push(r11);
    a.push(static_cast<int>(k_user_code64));
    a.push(rcx);
    a.push(0);
    a.push(static_cast<int>(k_vector_syscall));
    a.jmp(common);
}

Handlers make_handlers() {
    using namespace asmjit;
    CodeHolder code;
    code.init(Environment(Arch::kX64), k_linear + k_handlers);
    x86::Assembler a(&code);
    const Label common = a.newLabel(), entry = a.newLabel();
    Handlers out;
    for (unsigned vector = 0; vector < out.address.size(); ++vector) {
        const bool used = vector < 32 || (vector >= k_vector_irq && vector < k_vector_irq_end) || vector == k_vector_end ||
                          vector == k_vector_call;
        if (!used) {
            out.address[vector] = k_no_handler;
            continue;
        }
        out.address[vector] = k_linear + k_handlers + a.offset();
        if (!pushes_error_code(vector)) {
            a.push(0);
        }
        a.push(static_cast<int>(vector));
        a.jmp(common);
    }
    write_common(a, common);
    out.syscall = k_linear + k_handlers + a.offset();
    write_syscall_entry(a, entry, common);
    code.flatten();
    code.resolveUnresolvedLinks();
    code.relocateToBase(k_linear + k_handlers);
    out.code.resize(code.codeSize());
    code.copyFlattenedData(out.code.data(), out.code.size());
    return out;
}

const Handlers& handlers() {
    static const Handlers made = make_handlers();
    return made;
}

void write_gate(std::span<std::byte> ram, unsigned vector, uint64_t address, bool own_stack) {
    const uint64_t at = k_idt + 16 * vector;
    const bool for_users = vector == 3 || vector == 4 || vector == k_vector_end || vector == k_vector_call;
    const uint64_t ist = own_stack || vector == 8 ? 1 : 0;
    const uint64_t present = address != k_no_handler ? 0x8e00 : 0;
    put(ram, at, (address & 0xffff) | uint64_t{k_kernel_code64} << 16 | ist << 32 |
                     (present | (for_users ? 0x6000 : 0)) << 32 | (address >> 16 & 0xffff) << 48);
    put(ram, at + 8, address >> 32);
}

}  // namespace

void write_page_tables(std::span<std::byte> ram, unsigned absent_code_page) {
    write_space(ram, k_tables_a, false, absent_code_page);
    write_space(ram, k_tables_b, true, absent_code_page);
}

void write_descriptor_tables(std::span<std::byte> ram, bool own_stack) {
    constexpr std::array<uint64_t, 7> k_descriptors = {
        0,
        0x00af'9b00'0000'ffff,  // kernel 64
        0x00cf'9300'0000'ffff,  // kernel data
        0x00cf'9b00'0000'ffff,  // kernel 32
        0x00cf'fb00'0000'ffff,  // user 32
        0x00cf'f300'0000'ffff,  // user data
        0x00af'fb00'0000'ffff,  // user 64
    };
    std::memset(ram.data() + k_gdt, 0, 0x1000);
    std::memset(ram.data() + k_idt, 0, 0x1000);
    for (unsigned i = 0; i < k_descriptors.size(); ++i) {
        put(ram, k_gdt + 8 * i, k_descriptors[i]);
    }
    const uint64_t tss = k_linear + k_tss;
    put(ram, k_gdt + k_tss_selector, (tss & 0xff'ffff) << 16 | 0x67 | uint64_t{0x8b} << 40 | (tss >> 24 & 0xff) << 56);
    put(ram, k_gdt + k_tss_selector + 8, tss >> 32);
    put(ram, k_tss + 4, k_linear + k_kernel_stack_top);  // RSP0
    put(ram, k_tss + 36, k_linear + k_ist_top);          // IST1
    for (unsigned vector = 0; vector < 256; ++vector) {
        write_gate(ram, vector, handlers().address[vector], own_stack);
    }
}

void write_handlers(std::span<std::byte> ram) {
    std::memcpy(ram.data() + k_handlers, handlers().code.data(), handlers().code.size());
}

unsigned long long syscall_entry() { return handlers().syscall; }

}  // namespace skep::lockstep
