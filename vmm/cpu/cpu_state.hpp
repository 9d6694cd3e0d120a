// SPDX-License-Identifier: GPL-3.0-or-later
// The architectural state of one x86-64 processor as plain data: what every back end can save and load.
// Names after Intel SDM volumes 1 and 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace skep {

enum Gpr : unsigned { k_rax, k_rcx, k_rdx, k_rbx, k_rsp, k_rbp, k_rsi, k_rdi, k_r8, k_r9, k_r10, k_r11, k_r12, k_r13, k_r14, k_r15 };
enum SegmentRegister : unsigned { k_es, k_cs, k_ss, k_ds, k_fs, k_gs };

// A segment register with its hidden part. `attributes` in the layout of VMX access rights (SDM 3C, 24.4.1):
// 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable (null). `limit` is in bytes, already scaled by G.
struct Segment {
    uint64_t base = 0;
    uint32_t limit = 0xffff;
    uint32_t attributes = 0;
    uint16_t selector = 0;

    [[nodiscard]] unsigned type() const { return attributes & 0xf; }
    [[nodiscard]] bool is_code_or_data() const { return (attributes & 0x10) != 0; }
    [[nodiscard]] unsigned dpl() const { return (attributes >> 5) & 3; }
    [[nodiscard]] bool present() const { return (attributes & 0x80) != 0; }
    [[nodiscard]] bool long_mode() const { return (attributes & 0x2000) != 0; }
    [[nodiscard]] bool default_big() const { return (attributes & 0x4000) != 0; }
    [[nodiscard]] bool granular() const { return (attributes & 0x8000) != 0; }
    [[nodiscard]] bool unusable() const { return (attributes & 0x10000) != 0; }
};

struct TableRegister {
    uint64_t base = 0;
    uint16_t limit = 0xffff;
};

enum class Activity : uint8_t { running, halted, wait_for_sipi, shutdown };

// Model-specific registers that are plain storage or have a field of their own in every back end.
struct MsrState {
    uint64_t efer = 0, star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0;
    uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
    uint64_t pat = 0x0007'0406'0007'0406, tsc_aux = 0, misc_enable = 1, mtrr_def_type = 0;
    std::array<uint64_t, 11> mtrr_fixed{};
    std::array<uint64_t, 16> mtrr_variable{};  // base, mask pairs
    uint64_t spec_ctrl = 0, tsc_adjust = 0, debugctl = 0;
    uint64_t kvm_wall_clock = 0, kvm_system_time = 0;  // where the guest wants its paravirtual clock written
};

struct CpuState {
    std::array<uint64_t, 16> gpr{};
    uint64_t rip = 0xfff0;
    uint64_t rflags = 2;
    std::array<Segment, 6> segment{};
    Segment ldtr, tr;
    TableRegister gdtr, idtr;
    uint64_t cr0 = 0x6000'0010, cr2 = 0, cr3 = 0, cr4 = 0, xcr0 = 1;
    std::array<uint64_t, 4> dr{};
    uint64_t dr6 = 0xffff'0ff0, dr7 = 0x400;
    MsrState msr;
    uint64_t tsc = 0;  // the guest's TSC at the moment of saving
    // x87, SSE, AVX in the standard (non-compacted) XSAVE layout (SDM 1, 13.4): legacy 512, header 64, AVX 256 at 576, then PKRU...
    alignas(64) std::array<std::byte, 1024> xsave{};
    Activity activity = Activity::running;
    bool interrupt_shadow_sti = false;
    bool interrupt_shadow_movss = false;
    bool nmi_blocked = false;
    bool nmi_pending = false;  // arrived, not yet delivered
    // Bits of DR6 for a debug trap that the last instruction earned and that comes before the next one (SDM 3B, 17.2.3);
    // not yet in dr6.
    uint64_t pending_debug = 0;
    // A vector taken out of the interrupt controller but not yet delivered: it comes before the next instruction.
    std::optional<uint8_t> queued_interrupt;
};

// State after power-up or RESET (SDM 3A, table 9-1): CS base 0xffff0000, RIP 0xfff0, family/model in EDX.
// INIT differs in keeping x87/SSE, MSRs, CR0.CD/NW and TSC (same table).
[[nodiscard]] CpuState reset_cpu_state(uint32_t cpuid_signature);
void init_cpu_state(CpuState& state, uint32_t cpuid_signature);
// What a start-up IPI does to a processor in wait-for-SIPI: CS = vector << 8, base = vector << 12, RIP 0, running.
void start_at_sipi_vector(CpuState& state, uint8_t vector);

}  // namespace skep
