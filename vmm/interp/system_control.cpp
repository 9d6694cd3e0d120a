// SPDX-License-Identifier: GPL-3.0-or-later
// MOV to and from control and debug registers, LGDT and kin, LMSW, CLTS, INVLPG, INVPCID, WBINVD (SDM 2).
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/system_handlers.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp::system {

using namespace x86;

namespace {

unsigned register_width(const Core& core) { return core.code64 ? 8 : 4; }

void write_task_priority(Core& core, uint64_t value) {
    if ((value & ~uint64_t{0xf}) != 0) {
        raise(k_gp, 0);
    }
    core.io->set_task_priority(static_cast<uint8_t>(value));
    core.interrupt_maybe = true;
}

}  // namespace

void read_control_register(Core& core, const Op& op) {
    require_ring0(core);
    uint64_t value = 0;
    switch (op.extra) {
        case 0: value = core.cr0; break;
        case 2: value = core.cr2; break;
        case 3: value = core.cr3; break;
        case 4: value = core.cr4; break;
        case 8: value = core.io->task_priority(); break;
        default: raise(k_ud);
    }
    write_reg_sized(core, op.rm, register_width(core), value);
}

void write_control_register(Core& core, const Op& op) {
    require_ring0(core);
    const uint64_t value = read_reg_sized(core, op.rm, register_width(core));
    switch (op.extra) {
        case 0: write_cr0(core, value); break;
        case 2: core.cr2 = value; break;
        case 3: write_cr3(core, value); break;
        case 4: write_cr4(core, value); break;
        case 8: write_task_priority(core, value); break;
        default: raise(k_ud);
    }
}

namespace {

// DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE says that they do not exist; DR7.GD guards them all.
unsigned debug_register(Core& core, const Op& op) {
    unsigned number = op.extra;
    if (number == 4 || number == 5) {
        if ((core.cr4 & k_cr4_de) != 0) {
            raise(k_ud);
        }
        number += 2;
    }
    if (number > 7) {
        raise(k_ud);
    }
    require_ring0(core);
    if ((core.dr7 & k_dr7_gd) != 0) {
        core.dr6 |= k_dr6_bd;
        core.dr7 &= ~k_dr7_gd;
        raise(k_db);
    }
    return number;
}

}  // namespace

void read_debug_register(Core& core, const Op& op) {
    const unsigned number = debug_register(core, op);
    const uint64_t value = number == 6 ? core.dr6 : number == 7 ? core.dr7 : core.dr[number];
    write_reg_sized(core, op.rm, register_width(core), value);
}

namespace {

// Pages with a data breakpoint have no place in the inline TLB.
void flush_tlb_for_breakpoints(Core& core) {
    if (has_breakpoints(core)) {
        flush_inline_tlb(core);
    }
}

}  // namespace

void write_debug_register(Core& core, const Op& op) {
    constexpr uint64_t k_dr6_writable = 0xe00f, k_dr7_writable = 0xffff'23ff;
    const unsigned number = debug_register(core, op);
    const uint64_t value = read_reg_sized(core, op.rm, register_width(core));
    if (number < 4) {
        core.dr[number] = value;
        flush_tlb_for_breakpoints(core);
        return;
    }
    if ((value >> 32) != 0) {
        raise(k_gp, 0);
    }
    if (number == 6) {
        core.dr6 = (value & k_dr6_writable) | k_dr6_fixed;
    } else {
        core.dr7 = (value & k_dr7_writable) | k_dr7_fixed;
        flush_tlb_for_breakpoints(core);
    }
}

namespace {

TableRegister read_table(Core& core, const Op& op) {
    require_ring0(core);
    const unsigned base_size = core.code64 ? 8 : 4;
    const uint64_t linear = operand_linear(core, op, 2 + base_size, Access::read);
    TableRegister table;
    table.limit = load<uint16_t>(core, linear, op.segment);
    if (core.code64) {
        table.base = load<uint64_t>(core, linear + 2, op.segment);
        if (!is_canonical(table.base)) {
            raise(k_gp, 0);
        }
        return table;
    }
    table.base = load<uint32_t>(core, linear + 2, op.segment);
    if (op.operand_size == 2) {
        table.base &= 0xff'ffff;
    }
    return table;
}

// CR4.UMIP: what tells user code about the system's tables is the system's alone.
void check_umip(const Core& core) {
    if ((core.cr4 & k_cr4_umip) != 0) {
        require_ring0(core);
    }
}

void write_table(Core& core, const Op& op, const TableRegister& table) {
    check_umip(core);
    const unsigned base_size = core.code64 ? 8 : 4;
    const uint64_t linear = operand_linear(core, op, 2 + base_size, Access::write);
    check_store(core, linear, 2 + base_size, op.segment);
    store<uint16_t>(core, linear, table.limit, op.segment);
    if (core.code64) {
        store<uint64_t>(core, linear + 2, table.base, op.segment);
    } else {
        store<uint32_t>(core, linear + 2, static_cast<uint32_t>(table.base), op.segment);
    }
}

}  // namespace

void load_gdt(Core& core, const Op& op) { core.gdtr = read_table(core, op); }
void load_idt(Core& core, const Op& op) { core.idtr = read_table(core, op); }
void store_gdt(Core& core, const Op& op) { write_table(core, op, core.gdtr); }
void store_idt(Core& core, const Op& op) { write_table(core, op, core.idtr); }

void store_machine_status(Core& core, const Op& op) {
    check_umip(core);
    if ((op.flags & k_op_memory) != 0) {
        write_rm<uint16_t>(core, op, static_cast<uint16_t>(core.cr0));
    } else {
        write_reg_sized(core, op.rm, op.operand_size, core.cr0);
    }
}

// LMSW cannot clear PE.
void load_machine_status(Core& core, const Op& op) {
    require_ring0(core);
    const uint64_t value = read_rm<uint16_t>(core, op);
    constexpr uint64_t k_changes = k_cr0_mp | k_cr0_em | k_cr0_ts;
    write_cr0(core, (core.cr0 & ~k_changes) | (value & (k_changes | k_cr0_pe)));
}

void clear_task_switched(Core& core, const Op&) {
    require_ring0(core);
    core.cr0 &= ~k_cr0_ts;
}

void invalidate_page(Core& core, const Op& op) {
    require_ring0(core);
    const uint64_t linear = core.segment_base[op.segment] + effective_address(core, op);
    if (!core.code64) {
        flush_tlb_page(core, linear & 0xffff'ffff);
    } else if (is_canonical(linear)) {
        flush_tlb_page(core, linear);
    }
}

void invalidate_pcid(Core& core, const Op& op) {
    require_ring0(core);
    const uint64_t type = read_reg_sized(core, op.reg, core.code64 ? 8 : 4);
    const uint64_t linear = operand_linear(core, op, 16, Access::read);
    const uint64_t pcid = load<uint64_t>(core, linear, op.segment);
    const uint64_t address = load<uint64_t>(core, linear + 8, op.segment);
    const bool names_pcid = type <= 1;
    const bool bad_pcid = (pcid >> 12) != 0 || (names_pcid && pcid != 0 && (core.cr4 & k_cr4_pcide) == 0);
    if (type > 3 || bad_pcid || (type == 0 && !is_canonical(address))) {
        raise(k_gp, 0);
    }
    switch (type) {
        case 0: flush_tlb_page(core, address, static_cast<uint16_t>(pcid)); break;
        case 1: flush_tlb_pcid(core, static_cast<uint16_t>(pcid)); break;
        case 2: flush_tlb(core); break;
        default: flush_tlb_non_global(core); break;
    }
}

void write_back_caches(Core& core, const Op&) { require_ring0(core); }

}  // namespace skep::interp::system
