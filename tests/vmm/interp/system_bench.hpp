// SPDX-License-Identifier: GPL-3.0-or-later
// A processor with a GDT, an IDT whose every handler is a HLT of its own, and a TSS: what happens to control is where it
// halted and what lies on its stack.
#pragma once

#include "tests/support/cpu_harness.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::test {

// Selectors of the bench's GDT, with the RPL they are used at.
enum Selector : uint16_t {
    k_kernel_code32 = 0x08, k_kernel_data = 0x10, k_user_code32 = 0x1b, k_user_data = 0x23, k_kernel_code64 = 0x28,
    k_user_code64 = 0x33, k_tss = 0x38, k_spare = 0x48, k_spare2 = 0x50, k_ring1_data = 0x59, k_tss2 = 0x60,
    k_task_gate_selector = 0x68, k_call_gate = 0x70, k_kernel_code16 = 0x80, k_not_present_data = 0x88
};

class SystemBench : public CpuHarness {
  public:
    static constexpr uint64_t k_gdt = 0x20000, k_idt = 0x21000, k_tss_base = 0x22000, k_tss2_base = 0x23000;
    static constexpr uint64_t k_handlers = 0x30000, k_kernel_stack = 0x40000, k_ist_stack = 0x48000;
    static constexpr uint64_t k_user_stack = 0x50000;

    explicit SystemBench(CpuMode mode) : CpuHarness(mode), m_long(mode == CpuMode::long64) {
        make_gdt();
        for (unsigned vector = 0; vector < 256; ++vector) {
            set_gate(vector, 0xe, 0);
            write_value<uint8_t>(handler(vector), 0xf4);
        }
        make_tss();
        state.gdtr = {.base = k_gdt, .limit = 0xff};
        state.idtr = {.base = k_idt, .limit = 0xfff};
        state.tr = {.base = k_tss_base, .limit = 0x67, .attributes = 0x8b, .selector = k_tss};
        state.segment[k_cs].selector = kernel_code();
    }

    static constexpr uint64_t handler(unsigned vector) { return k_handlers + vector * 16; }
    void set_descriptor(uint16_t selector, uint64_t raw) { write_value<uint64_t>(k_gdt + (selector & ~7U), raw); }
    template <typename T>
    void write_words(uint64_t address, const std::vector<T>& words) {
        for (size_t i = 0; i < words.size(); ++i) {
            write_value<T>(address + i * sizeof(T), words[i]);
        }
    }
    uint64_t descriptor(uint16_t selector) const { return read<uint64_t>(k_gdt + (selector & ~7U)); }

    // type: 5, 6, 7, 14, 15. selector 0: the kernel's code.
    void set_gate(unsigned vector, unsigned type, unsigned dpl, unsigned ist = 0, uint16_t selector = 0) {
        if (selector == 0) {
            selector = kernel_code();
        }
        const uint64_t raw = (handler(vector) & 0xffff) | uint64_t{selector} << 16 | uint64_t{ist} << 32 |
                             uint64_t{type} << 40 | uint64_t{dpl} << 45 | uint64_t{1} << 47 |
                             (handler(vector) >> 16) << 48;
        write_value<uint64_t>(k_idt + vector * (m_long ? 16 : 8), raw);
    }
    void enter_user() {
        state.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = m_long ? 0xa0fbU : 0xc0fbU,
                               .selector = static_cast<uint16_t>(m_long ? k_user_code64 : k_user_code32)};
        for (const SegmentRegister which : {k_ss, k_ds, k_es}) {
            state.segment[which] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc0f3, .selector = k_user_data};
        }
        state.gpr[k_rsp] = k_user_stack;
    }
    // Did it stop in this vector's handler?
    [[nodiscard]] bool halted_in(unsigned vector) const {
        return state.activity == Activity::halted && state.rip == handler(vector) + 1;
    }
    // The n-th item of the frame on the stack, as pushed by this mode's gates.
    [[nodiscard]] uint64_t frame(unsigned n) const {
        const uint64_t top = state.gpr[k_rsp];
        return m_long ? read<uint64_t>(top + n * 8) : read<uint32_t>(top + n * 4);
    }
    // Runs, expects the fault with an error code, and gives the code.
    uint64_t error_of(unsigned vector, std::initializer_list<uint8_t> code) {
        run(code);
        EXPECT_TRUE(halted_in(vector)) << std::hex << "rip " << state.rip;
        return frame(0);
    }
    [[nodiscard]] bool is_long() const { return m_long; }
    [[nodiscard]] uint16_t kernel_code() const {
        return static_cast<uint16_t>(m_long ? k_kernel_code64 : k_kernel_code32);
    }

  private:
    void make_gdt() {
        set_descriptor(k_kernel_code32, 0x00cf'9b00'0000'ffff);
        set_descriptor(k_kernel_data, 0x00cf'9300'0000'ffff);
        set_descriptor(k_user_code32, 0x00cf'fb00'0000'ffff);
        set_descriptor(k_user_data, 0x00cf'f300'0000'ffff);
        set_descriptor(k_kernel_code64, 0x00af'9b00'0000'ffff);
        set_descriptor(k_user_code64, 0x00af'fb00'0000'ffff);
        set_descriptor(k_tss, 0x0000'8b00'0000'0067 | (k_tss_base & 0xff'ffff) << 16);
        set_descriptor(k_ring1_data, 0x00cf'b300'0000'ffff);
        set_descriptor(k_tss2, 0x0000'8900'0000'0067 | (k_tss2_base & 0xff'ffff) << 16);
        set_descriptor(k_task_gate_selector, 0x0000'e500'0000'0000 | uint64_t{k_tss2} << 16);
        set_descriptor(k_kernel_code16, 0x0000'9b00'0000'ffff);
        set_descriptor(k_not_present_data, 0x00cf'1300'0000'ffff);
    }
    void make_tss() {
        if (m_long) {
            write_value<uint64_t>(k_tss_base + 4, k_kernel_stack);
            write_value<uint64_t>(k_tss_base + 0x24, k_ist_stack);
        } else {
            write_value<uint32_t>(k_tss_base + 4, k_kernel_stack);
            write_value<uint32_t>(k_tss_base + 8, k_kernel_data);
        }
        write_value<uint16_t>(k_tss_base + 0x66, 0x68);
    }
    bool m_long;
};

}  // namespace skep::test
