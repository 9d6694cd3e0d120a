// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/mode.hpp"

#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/decode.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/x86/cpuid.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/paging.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

void update_mode(Core& core) {
    core.protected_mode = (core.cr0 & k_cr0_pe) != 0;
    core.v86 = core.protected_mode && (core.rflags_rest & x86::k_flag_vm) != 0;
    core.long_mode_active = (core.msr.efer & k_efer_lma) != 0;
    const Segment& cs = core.segment[k_cs];
    const Segment& ss = core.segment[k_ss];
    // SS.DPL is the CPL wherever there is one (SDM 3C, 24.4.1 says the same of VMX).
    core.cpl = core.v86 ? 3 : core.protected_mode ? static_cast<uint8_t>(ss.dpl()) : 0;
    core.code64 = core.long_mode_active && cs.long_mode();
    core.code32 = !core.code64 && cs.default_big();
    core.stack64 = core.code64;
    core.stack32 = !core.code64 && ss.default_big();
    for (unsigned i = 0; i < core.segment.size(); ++i) {
        const bool flat = core.code64 && i != k_fs && i != k_gs;
        core.segment_base[i] = flat ? 0 : core.segment[i].base;
    }
    core.tlb = core.tlb_sets[data_rule(core)].data();
    refresh_decode_mode(core);
}

void update_privilege(Core& core) {
    core.cpl = static_cast<uint8_t>(core.segment[k_ss].dpl());
    core.tlb = core.tlb_sets[data_rule(core)].data();
    refresh_code_mode(core, core.code_mode & k_mode_key);
}

namespace {

constexpr uint64_t k_cr0_writable = k_cr0_pe | k_cr0_mp | k_cr0_em | k_cr0_ts | k_cr0_ne | k_cr0_wp | k_cr0_am | k_cr0_nw |
                                    k_cr0_cd | k_cr0_pg;
constexpr uint64_t k_cr4_writable = k_cr4_tsd | k_cr4_de | k_cr4_pse | k_cr4_pae | k_cr4_mce | k_cr4_pge | k_cr4_pce |
                                    k_cr4_osfxsr | k_cr4_osxmmexcpt | k_cr4_umip | k_cr4_fsgsbase | k_cr4_pcide |
                                    k_cr4_osxsave | k_cr4_smep | k_cr4_smap;
constexpr uint64_t k_cr4_rules_translation = k_cr4_pse | k_cr4_pae | k_cr4_pge | k_cr4_pcide | k_cr4_smep;

bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer) {
    return (cr0 & k_cr0_pg) != 0 && (cr4 & k_cr4_pae) != 0 && (efer & k_efer_lme) == 0;
}

std::array<uint64_t, 4> read_pdptes(Core& core, uint64_t cr3) {
    std::array<uint64_t, 4> entries{};
    for (unsigned i = 0; i < entries.size(); ++i) {
        entries[i] = core.memory->read_value<uint64_t>((cr3 & 0xffff'ffe0) + i * 8).value_or(0);
    }
    return entries;
}

std::array<uint64_t, 4> checked_pdptes(Core& core, uint64_t cr3) {
    const std::array<uint64_t, 4> entries = read_pdptes(core, cr3);
    for (const uint64_t entry : entries) {
        if (!pdpte_is_valid(entry)) {
            raise(k_gp, 0);
        }
    }
    return entries;
}

// What setting CR0.PG with IA32_EFER.LME demands (SDM 3A, 9.8.5).
void check_long_mode_entry(const Core& core) {
    const bool tss16 = (core.tr.type() & ~2U) == k_tss16_available;
    if ((core.cr4 & k_cr4_pae) == 0 || core.segment[k_cs].long_mode() || tss16) {
        raise(k_gp, 0);
    }
}

}  // namespace

void state_loaded(Core& core) {
    core.pdpte = uses_pdptes(core.cr0, core.cr4, core.msr.efer) ? read_pdptes(core, core.cr3) : std::array<uint64_t, 4>{};
    core.interrupt_maybe = true;
    flush_tlb(core);
    update_mode(core);
}

void write_cr0(Core& core, uint64_t value) {
    const bool paging = (value & k_cr0_pg) != 0;
    if ((value >> 32) != 0 || (paging && (value & k_cr0_pe) == 0) || ((value & k_cr0_nw) != 0 && (value & k_cr0_cd) == 0)) {
        raise(k_gp, 0);
    }
    value = (value & k_cr0_writable) | k_cr0_et;
    const uint64_t changed = value ^ core.cr0;
    if ((changed & k_cr0_pg) != 0) {
        if (paging && (core.msr.efer & k_efer_lme) != 0) {
            check_long_mode_entry(core);
        }
        if (!paging && (core.code64 || (core.cr4 & k_cr4_pcide) != 0)) {
            raise(k_gp, 0);
        }
    }
    if (uses_pdptes(value, core.cr4, core.msr.efer) && (changed & (k_cr0_pg | k_cr0_cd | k_cr0_nw)) != 0) {
        core.pdpte = checked_pdptes(core, core.cr3);
    }
    core.cr0 = value;
    if ((changed & k_cr0_pg) != 0) {
        const bool long_mode = paging && (core.msr.efer & k_efer_lme) != 0;
        core.msr.efer = (core.msr.efer & ~k_efer_lma) | (long_mode ? k_efer_lma : 0);
    }
    if ((changed & k_cr0_pg) != 0) {
        flush_tlb(core);
    } else if ((changed & (k_cr0_wp | k_cr0_pe)) != 0) {
        flush_inline_tlb(core);
    }
    update_mode(core);
}

void write_cr3(Core& core, uint64_t value) {
    OldTranslations old = OldTranslations::drop;
    if ((core.cr4 & k_cr4_pcide) != 0 && (value & k_cr3_no_flush) != 0) {
        value &= ~k_cr3_no_flush;
        old = OldTranslations::keep;
    }
    if ((value >> k_physical_address_bits) != 0) {
        raise(k_gp, 0);
    }
    if (uses_pdptes(core.cr0, core.cr4, core.msr.efer)) {
        core.pdpte = checked_pdptes(core, value);
    }
    core.cr3 = value;
    enter_address_space(core, old);
}

void write_cr4(Core& core, uint64_t value) {
    const uint64_t changed = value ^ core.cr4;
    const bool long_mode = (core.msr.efer & k_efer_lma) != 0;
    if ((value & ~k_cr4_writable) != 0 || (long_mode && (value & k_cr4_pae) == 0)) {
        raise(k_gp, 0);
    }
    if ((changed & value & k_cr4_pcide) != 0 && (!long_mode || (core.cr3 & 0xfff) != 0)) {
        raise(k_gp, 0);
    }
    constexpr uint64_t k_reloads = k_cr4_pae | k_cr4_pge | k_cr4_pse | k_cr4_smep;
    if (uses_pdptes(core.cr0, value, core.msr.efer) && (changed & k_reloads) != 0) {
        core.pdpte = checked_pdptes(core, core.cr3);
    }
    core.cr4 = value;
    if ((changed & k_cr4_rules_translation) != 0) {
        flush_tlb(core);
    } else if ((changed & k_cr4_smap) != 0) {
        flush_inline_tlb(core);
    }
    update_mode(core);
}

void write_efer(Core& core, uint64_t value) {
    constexpr uint64_t k_writable = k_efer_sce | k_efer_lme | k_efer_nxe;
    const uint64_t changed = value ^ core.msr.efer;
    if ((value & ~(k_writable | k_efer_lma)) != 0 || ((changed & k_efer_lme) != 0 && (core.cr0 & k_cr0_pg) != 0)) {
        raise(k_gp, 0);
    }
    core.msr.efer = (core.msr.efer & ~k_writable) | (value & k_writable);
    if ((changed & k_efer_nxe) != 0) {
        flush_tlb(core);
    }
    update_mode(core);
}

void write_xcr0(Core& core, uint64_t value) {
    constexpr uint64_t k_x87 = 1, k_sse = 2, k_avx = 4;
    const bool broken = (value & k_x87) == 0 || ((value & k_avx) != 0 && (value & k_sse) == 0);
    if (broken || (value & ~supported_xcr0()) != 0) {
        raise(k_gp, 0);
    }
    core.xcr0 = value;
    update_mode(core);
}

void load_rflags(Core& core, uint64_t value, uint64_t mask) {
    const uint64_t before = core.rflags_rest;
    if (!code_breakpoint_armed(core)) {
        value &= ~x86::k_flag_rf;
        mask |= x86::k_flag_rf;
    }
    write_rflags(core, value, mask & k_flags_all);
    const uint64_t changed = before ^ core.rflags_rest;
    if ((changed & (x86::k_flag_vm | x86::k_flag_ac)) != 0) {
        update_mode(core);
    }
}

}  // namespace skep::interp
