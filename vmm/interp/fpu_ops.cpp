// SPDX-License-Identifier: GPL-3.0-or-later
// x87: arithmetic, loads and stores run natively on the guest's own FPU image; control instructions work on the image
// (Intel SDM 1, chapter 8).
#include <array>
#include <cstring>

#include "vmm/interp/native_thunk.hpp"
#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

// Where the guest's last x87 instruction was. Processors keep the pointers for unmasked exceptions only (AMD always,
// Intel with FDP_EXCPTN_ONLY); the host's own values never reach the guest.
struct Pointers {
    uint64_t fip = 0, fdp = 0;
    uint16_t fop = 0;
};

void put_pointers(Core& core, const Pointers& pointers) {
    set_vector_field(core, k_fop_at, pointers.fop);
    set_vector_field(core, k_fip_at, pointers.fip);
    set_vector_field(core, k_fdp_at, pointers.fdp);
}

// Runs the native function with no exception pending, so that the host cannot take #MF. Exceptions that the guest left
// pending although unmasked (only with CR0.NE clear) are put aside meanwhile.
uint32_t run_image(Core& core, void* memory, const Op& op, const Pointers& at_fault) {
    const auto& native = *static_cast<const NativeOp*>(op.data);
    const auto before = vector_field<uint16_t>(core, k_fsw_at);
    const Pointers kept{vector_field<uint64_t>(core, k_fip_at), vector_field<uint64_t>(core, k_fdp_at),
                        vector_field<uint16_t>(core, k_fop_at)};
    const bool pending = (before & k_fsw_es) != 0;
    if (pending)
        set_vector_field<uint16_t>(core, k_fsw_at, static_cast<uint16_t>(before & ~(k_fsw_es | k_fsw_busy | 0x3f)));
    const uint32_t status = native.run(&core, memory, &op);
    auto after = vector_field<uint16_t>(core, k_fsw_at);
    const bool raised = (after & k_fsw_es) != 0;
    if (pending) {
        after = static_cast<uint16_t>(after | (before & (k_fsw_es | k_fsw_busy | 0x3f)));
        set_vector_field(core, k_fsw_at, after);
    }
    put_pointers(core, raised ? at_fault : kept);
    return status;
}

Pointers pointers_of(const Core& core, const Op& op) {
    Pointers pointers;
    pointers.fip = core.rip;
    pointers.fop = op.extra;
    if ((op.flags & k_op_memory) != 0)
        pointers.fdp = effective_address(core, op);
    return pointers;
}

void run_x87_registers(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    const uint32_t status = run_image(core, nullptr, op, pointers_of(core, op));
    if (static_cast<const NativeOp*>(op.data)->sets_flags)
        core.status = static_cast<uint16_t>(status);
}

void run_x87_load(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    std::array<std::byte, 16> buffer;
    void* memory = load_operand(core, op, static_cast<const NativeOp*>(op.data)->memory_bytes, 1, buffer.data());
    run_image(core, memory, op, pointers_of(core, op));
}

// An unmasked invalid operation, overflow or underflow leaves memory and the stack as they were (SDM 1, 8.5).
void run_x87_store(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    const unsigned bytes = static_cast<const NativeOp*>(op.data)->memory_bytes;
    const uint64_t linear = operand_linear(core, op, bytes, Access::write);
    check_store(core, linear, bytes, op.segment);
    std::array<std::byte, 16> buffer{};
    const auto before = vector_field<uint16_t>(core, k_fsw_at);
    run_image(core, buffer.data(), op, pointers_of(core, op));
    const auto after = vector_field<uint16_t>(core, k_fsw_at), fcw = vector_field<uint16_t>(core, k_fcw_at);
    constexpr unsigned k_ie_oe_ue = 0x19;
    const bool withheld = (after & k_fsw_es) != 0 && (before & k_fsw_es) == 0 && (after & ~fcw & k_ie_oe_ue) != 0;
    if (!withheld)
        store_bytes(core, linear, buffer.data(), bytes, op.segment);
}

// --- control -----------------------------------------------------------------------------------------------------

void run_fninit(Core& core, const Op&) {
    require_x87(core);
    const X87Registers registers = physical_registers(core);  // they keep their contents
    set_vector_field<uint16_t>(core, k_fcw_at, 0x37f);
    set_vector_field<uint16_t>(core, k_fsw_at, 0);
    set_vector_field<uint16_t>(core, k_ftw_at, 0);
    put_pointers(core, {});
    set_physical_registers(core, registers);
}

void run_fnclex(Core& core, const Op&) {
    require_x87(core);
    set_vector_field<uint16_t>(core, k_fsw_at, vector_field<uint16_t>(core, k_fsw_at) & 0x7f00);
}

void run_fwait(Core& core, const Op&) {
    if ((core.cr0 & (k_cr0_mp | k_cr0_ts)) == (k_cr0_mp | k_cr0_ts))
        raise(k_nm);
    check_pending_x87(core);
}

void run_fnstsw_ax(Core& core, const Op&) {
    require_x87(core);
    write_reg<uint16_t>(core, 8 * k_rax, vector_field<uint16_t>(core, k_fsw_at));
}

template <unsigned field>
void run_store_word(Core& core, const Op& op) {
    require_x87(core);
    store<uint16_t>(core, operand_linear(core, op, 2, Access::write), vector_field<uint16_t>(core, field), op.segment);
}

void run_fldcw(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    const auto value = load<uint16_t>(core, operand_linear(core, op, 2, Access::read), op.segment);
    set_vector_field(core, k_fcw_at, static_cast<uint16_t>((value & k_fcw_valid) | 0x40));
    refresh_error_summary(core);
}

// FNENI, FNDISI, FNSETPM of older coprocessors: nothing.
void run_fnop(Core& core, const Op&) { require_x87(core); }

bool build_control(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                   PlainHandler& handler) {
    const bool memory = instruction.operand_count > 0 && operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
    op.extra2 = 0;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_FNINIT: handler = run_fninit; return true;
        case ZYDIS_MNEMONIC_FNCLEX: handler = run_fnclex; return true;
        case ZYDIS_MNEMONIC_FWAIT: handler = run_fwait; return true;
        case ZYDIS_MNEMONIC_FNSTSW: handler = memory ? run_store_word<k_fsw_at> : run_fnstsw_ax; return true;
        case ZYDIS_MNEMONIC_FNSTCW: handler = run_store_word<k_fcw_at>; return true;
        case ZYDIS_MNEMONIC_FLDCW: handler = run_fldcw; return true;
        case ZYDIS_MNEMONIC_FENI8087_NOP:
        case ZYDIS_MNEMONIC_FDISI8087_NOP:
        case ZYDIS_MNEMONIC_FSETPM287_NOP: handler = run_fnop; return true;
        default: return false;
    }
}

}  // namespace

bool build_fpu_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                  PlainHandler& handler) {
    const bool escape = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
                        instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction.opcode & 0xf8) == 0xd8;
    if (!escape && instruction.mnemonic != ZYDIS_MNEMONIC_FWAIT)
        return false;
    if (build_control(instruction, operands, op, handler))
        return true;
    const NativeOp* native = build_native_x87(instruction, operands);
    if (native == nullptr)
        return false;
    const auto modrm = instruction.raw.modrm.mod << 6 | instruction.raw.modrm.reg << 3 | instruction.raw.modrm.rm;
    op.extra = static_cast<uint16_t>((instruction.opcode & 7) << 8 | modrm);  // FOP
    op.data = native;
    handler = native->stores ? run_x87_store : native->loads ? run_x87_load : run_x87_registers;
    return true;
}

}  // namespace skep::interp
