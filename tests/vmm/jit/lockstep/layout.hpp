// SPDX-License-Identifier: GPL-3.0-or-later
// Where everything of a lock-step guest lies. Physical memory is seen through two windows of linear addresses, one for
// user and one for supervisor pages, each at three bases (low, start of the high half, top 2 GiB) that share their tables.
#pragma once

#include <array>
#include <cstdint>

namespace skep::lockstep {

// --- physical -----------------------------------------------------------------------------------------------------------
inline constexpr uint64_t k_tables_a = 0x1000;  // PML4, PDPT, PD, page tables of both windows: 5 pages
inline constexpr uint64_t k_tables_b = 0x6000;  // the other address space
inline constexpr uint64_t k_table_pages = 5;
inline constexpr uint64_t k_gdt = 0xc000, k_tss = 0xc800, k_idt = 0xd000;
inline constexpr uint64_t k_handlers = 0xe000;
inline constexpr uint64_t k_ist_top = 0x10000;
inline constexpr uint64_t k_control = 0x10000;  // Control
inline constexpr uint64_t k_kernel_stack_top = 0x12000;
inline constexpr uint64_t k_stack = 0x12000, k_stack_top = 0x14000;  // of the program, a hole above and below
inline constexpr uint64_t k_log = 0x20000, k_log_end = 0x30000;
inline constexpr uint64_t k_code = 0x30000;
inline constexpr unsigned k_code_pages = 8;
inline constexpr uint64_t k_data = 0x40000;
inline constexpr unsigned k_data_pages = 16;
inline constexpr uint64_t k_ram = 0x50000;
inline constexpr uint64_t k_mmio = 0xfe00'0000;

// --- linear -------------------------------------------------------------------------------------------------------------
inline constexpr uint64_t k_user_window = 0x40'0000, k_supervisor_window = 0x60'0000;
inline constexpr std::array<uint64_t, 3> k_bases = {0, 0xffff'8000'0000'0000, 0xffff'ffff'8000'0000};

// --- what a data page is, by its number -----------------------------------------------------------------------------------
enum DataPage : unsigned {
    k_page_a = 0,          // writable; address space B has the two exchanged
    k_page_b = 1,
    k_page_read_only = 2,  // writable in B
    k_page_absent = 3,
    k_page_fresh = 4,      // accessed and dirty not set yet
    k_page_mmio = 5,
    k_page_supervisor = 6,
    k_page_alias_a = 7,    // page 0 again
    k_page_alias_code = 8, // code pages 0 and 1, writable
    k_page_alias_code2 = 9,
    k_page_reserved = 10,  // a reserved bit in its entry
    k_page_fresh2 = 11,
    k_page_read_only2 = 12,
    k_page_plain = 13,
    k_page_absent2 = 14,
    k_page_last = 15,
};

// --- the page that programs and handlers share ---------------------------------------------------------------------------
struct Control {
    uint64_t log_next;    // supervisor address of the next record
    int32_t budget;       // events left before the program is stopped
    uint32_t rounds;      // times to go through the program
    uint64_t recovery;    // where an exception goes on
    uint64_t code_selector, stack_selector;
    uint64_t saved_stack;  // of SYSCALL
    uint64_t cr3_a, cr3_b;
    uint64_t round;        // times gone through so far
};

// What the handler writes for each event.
struct Record {
    std::array<uint64_t, 15> gpr;  // r15 ... r8 rdi rsi rbp rbx rdx rcx rax: as pushed, without RSP
    uint64_t vector, error_code, rip, cs, rflags, rsp, ss, cr2, cr3, round;
};
static_assert(sizeof(Record) == 25 * 8);

// --- selectors and vectors ------------------------------------------------------------------------------------------------
inline constexpr uint16_t k_kernel_code64 = 0x08, k_kernel_data = 0x10, k_kernel_code32 = 0x18, k_user_code32 = 0x23,
                          k_user_data = 0x2b, k_user_code64 = 0x33, k_tss_selector = 0x38;
inline constexpr uint8_t k_vector_irq = 0x40, k_vector_irq_end = 0x60, k_vector_end = 0x80, k_vector_call = 0x81,
                         k_vector_syscall = 0x82;
inline constexpr uint16_t k_port_irq = 0x70;   // a byte written here raises that interrupt
inline constexpr uint16_t k_port_data = 0x78;  // remembers

}  // namespace skep::lockstep
