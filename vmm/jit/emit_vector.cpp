// SPDX-License-Identifier: GPL-3.0-or-later
// MMX, SSE and AVX instructions (SDM 2, chapter 2: encoding): the guest's own bytes, with a general register exchanged and the
// memory operand replaced by the checked [rcx]. Vector registers keep their numbers.
#include <algorithm>
#include <optional>

#include "vmm/interp/native_thunk.hpp"
#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_state.hpp"
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::eax;
using x86asm::rax;
using x86asm::rcx;

bool is_general(ZydisRegister reg) {
    const ZydisRegisterClass kind = ZydisRegisterGetClass(reg);
    return kind == ZYDIS_REGCLASS_GPR32 || kind == ZYDIS_REGCLASS_GPR64;
}

// The operand in a field of the instruction; -1 when that extends the opcode.
int operand_in(const Emitter& e, ZydisOperandEncoding field) {
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (e.is_register(i) && e.operand(i).encoding == field) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

int memory_operand(const Emitter& e) {
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (e.is_memory(i)) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

// The numbers that go into ModRM and its extensions.
struct Fields {
    unsigned reg = 0, rm = 0;
    std::optional<x86asm::Mem> memory;

    [[nodiscard]] unsigned base() const { return memory->baseReg().id(); }
    [[nodiscard]] unsigned index() const { return memory && memory->hasIndex() ? memory->indexReg().id() : 0; }
    // What REX or VEX add to the fields: B and X.
    [[nodiscard]] unsigned high_bit() const { return (memory ? base() : rm) >> 3; }
    [[nodiscard]] unsigned high_bit_of_index() const { return index() >> 3; }
};

unsigned host_number(const Emitter& e, int operand, unsigned raw) {
    if (operand < 0) {
        return raw;
    }
    const ZydisRegister reg = e.reg(static_cast<unsigned>(operand));
    return is_general(reg) ? e.target(reg, rax).id() : static_cast<unsigned>(ZydisRegisterGetId(reg));
}

class Encoding {
  public:
    Encoding(Emitter& e, const Fields& fields) : m_one(e.one().decoded), m_raw(e.bytes()), m_fields(fields) {}

    void emit(Emitter& e) {
        if (m_one.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
            put_vex();
        } else {
            put_legacy();
        }
        put(m_one.opcode);
        if ((m_one.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0) {
            put_modrm();
        }
        for (const auto& immediate : m_one.raw.imm) {
            if (immediate.size != 0) {
                put(static_cast<unsigned>(m_raw[immediate.offset]) & immediate_mask());
            }
        }
        e.a.embed(m_bytes.data(), m_size);
    }

  private:
    void put(unsigned byte) { m_bytes[m_size++] = static_cast<uint8_t>(byte); }

    void put_modrm() {
        if (!m_fields.memory) {
            put(0xc0 | m_fields.reg << 3 | (m_fields.rm & 7));
            return;
        }
        constexpr unsigned k_needs_displacement = 5, k_sib = 4;
        const auto displacement = static_cast<int>(m_fields.memory->offset());
        const unsigned base = m_fields.base() & 7;
        const bool none = displacement == 0 && base != k_needs_displacement;
        const bool small = displacement == static_cast<int8_t>(displacement);
        const unsigned mode = none ? 0U : small ? 0x40U : 0x80U;
        if (m_fields.memory->hasIndex()) {
            put(mode | m_fields.reg << 3 | k_sib);
            put(m_fields.memory->shift() << 6 | (m_fields.index() & 7) << 3 | base);
        } else {
            put(mode | m_fields.reg << 3 | base);
        }
        const unsigned bytes = none ? 0U : small ? 1U : 4U;
        for (unsigned i = 0; i < bytes; ++i) {
            put(static_cast<unsigned>(displacement) >> 8 * i & 0xff);
        }
    }

    void put_legacy() {
        for (unsigned i = 0; i < m_one.raw.prefix_count; ++i) {
            if (m_one.raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY) {
                put(m_one.raw.prefixes[i].value);
            }
        }
        const bool wide = (m_one.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && m_one.raw.rex.W != 0;
        const unsigned rex = (wide ? 8U : 0U) | m_fields.reg >> 3 << 2 | m_fields.high_bit_of_index() << 1 |
                             m_fields.high_bit();
        if (rex != 0) {
            put(0x40 | rex);
        }
        m_fields.reg &= 7;
        put(0x0f);
        if (m_one.opcode_map == ZYDIS_OPCODE_MAP_0F38) {
            put(0x38);
        } else if (m_one.opcode_map == ZYDIS_OPCODE_MAP_0F3A) {
            put(0x3a);
        }
    }

    // A register in an immediate byte (VBLENDVPS, VBLENDVPD, VPBLENDVB): outside 64-bit mode there are eight of them.
    [[nodiscard]] unsigned immediate_mask() const {
        const bool names_register = m_one.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
                                    m_one.opcode_map == ZYDIS_OPCODE_MAP_0F3A && m_one.opcode >= 0x4a && m_one.opcode <= 0x4c;
        return names_register && m_one.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 ? 0x7f : 0xff;
    }

    // Outside 64-bit mode the highest bit of vvvv means nothing, nor does a W that would choose a general register of 64 bits.
    [[nodiscard]] unsigned in_32_bit_code(unsigned last) const {
        switch (m_one.mnemonic) {
            case ZYDIS_MNEMONIC_VMOVD:
            case ZYDIS_MNEMONIC_VPEXTRD:
            case ZYDIS_MNEMONIC_VPINSRD:
            case ZYDIS_MNEMONIC_VCVTSI2SS:
            case ZYDIS_MNEMONIC_VCVTSI2SD:
            case ZYDIS_MNEMONIC_VCVTSS2SI:
            case ZYDIS_MNEMONIC_VCVTSD2SI:
            case ZYDIS_MNEMONIC_VCVTTSS2SI:
            case ZYDIS_MNEMONIC_VCVTTSD2SI: last &= 0x7f; break;
            default: break;
        }
        return last | 0x40;
    }

    // Always of three bytes; W, vvvv, L and pp are the guest's.
    void put_vex() {
        const auto& vex = m_one.raw.vex;
        const auto last = static_cast<unsigned>(m_raw[vex.offset + vex.size - 1U]);
        put(0xc4);
        put((m_fields.reg >> 3 ^ 1) << 7 | (m_fields.high_bit_of_index() ^ 1) << 6 | (m_fields.high_bit() ^ 1) << 5 | vex.m_mmmm);
        const unsigned three = vex.size == 2 ? last & 0x7f : last;
        put(m_one.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 ? three : in_32_bit_code(three));
        m_fields.reg &= 7;
    }

    const ZydisDecodedInstruction& m_one;
    std::span<const std::byte> m_raw;
    Fields m_fields;
    std::array<uint8_t, 24> m_bytes{};
    size_t m_size = 0;
};

// The general register operand, if there is one: its value into the scratch register when it has none of its own.
int general_operand(const Emitter& e) {
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (e.is_register(i) && is_general(e.reg(i))) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

bool compares_strings_by_length(const Emitter& e) {
    switch (e.one().decoded.mnemonic) {
        case ZYDIS_MNEMONIC_PCMPESTRI:
        case ZYDIS_MNEMONIC_PCMPESTRM:
        case ZYDIS_MNEMONIC_VPCMPESTRI:
        case ZYDIS_MNEMONIC_VPCMPESTRM: return true;
        default: return false;
    }
}

bool finds_index(const Emitter& e) {
    switch (e.one().decoded.mnemonic) {
        case ZYDIS_MNEMONIC_PCMPESTRI:
        case ZYDIS_MNEMONIC_PCMPISTRI:
        case ZYDIS_MNEMONIC_VPCMPESTRI:
        case ZYDIS_MNEMONIC_VPCMPISTRI: return true;
        default: return false;
    }
}

// What is checked is what is loaded, whatever other processors write meanwhile.
void emit_ldmxcsr(Emitter& e) {
    constexpr auto k_reserved = static_cast<int32_t>(~interp::k_mxcsr_valid);
    e.clobber_flags();
    const x86asm::Mem from = e.access(0);
    const x86asm::Mem copy = e.slot(&e.runtime().spare, 4);
    e.a.mov(eax, from);
    e.a.mov(copy, eax);
    e.a.not_(eax);
    e.a.test(eax, interp::k_mxcsr_masks);
    e.a.jne(e.slow());
    e.a.mov(eax, copy);
    e.a.test(eax, k_reserved);
    e.a.jne(e.slow());
    e.a.ldmxcsr(copy);
}

// Outside 64-bit mode there are eight registers; the other eight stay as they are.
constexpr unsigned k_few_registers = 8;

void emit_zero_upper(Emitter& e) {
    if (e.code64()) {
        e.a.vzeroupper();
        return;
    }
    for (unsigned i = 0; i < k_few_registers; ++i) {
        e.a.vmovaps(x86asm::xmm(i), x86asm::xmm(i));
    }
}

void emit_zero_all(Emitter& e) {
    if (e.code64()) {
        e.a.vzeroall();
        return;
    }
    for (unsigned i = 0; i < k_few_registers; ++i) {
        e.a.vpxor(x86asm::xmm(i), x86asm::xmm(i), x86asm::xmm(i));
    }
}

bool emit_special(Emitter& e) {
    switch (e.one().decoded.mnemonic) {
        case ZYDIS_MNEMONIC_VZEROUPPER: emit_zero_upper(e); return true;
        case ZYDIS_MNEMONIC_VZEROALL: emit_zero_all(e); return true;
        case ZYDIS_MNEMONIC_EMMS: e.a.emms(); return true;
        case ZYDIS_MNEMONIC_LDMXCSR:
        case ZYDIS_MNEMONIC_VLDMXCSR: emit_ldmxcsr(e); return true;
        case ZYDIS_MNEMONIC_STMXCSR:
        case ZYDIS_MNEMONIC_VSTMXCSR: e.a.stmxcsr(e.access(0)); return true;
        default: return false;
    }
}

void emit_as_it_is(Emitter& e, int memory, const interp::NativeOp& properties) {
    Fields fields;
    if (memory >= 0) {
        e.require_alignment(properties.alignment);
        fields.memory = e.access_at_once(static_cast<unsigned>(memory));
        e.check_alignment(*fields.memory, e.one().operand_use, properties.alignment);
    }
    const auto& modrm = e.one().decoded.raw.modrm;
    fields.reg = host_number(e, operand_in(e, ZYDIS_OPERAND_ENCODING_MODRM_REG), modrm.reg);
    fields.rm = host_number(e, operand_in(e, ZYDIS_OPERAND_ENCODING_MODRM_RM), modrm.rm);
    const int general = general_operand(e);
    if (compares_strings_by_length(e)) {
        e.a.mov(rax, k_guest_rax);
    } else if (general >= 0) {
        e.read(e.reg(static_cast<unsigned>(general)), rax);
    }
    Encoding(e, fields).emit(e);
    if (general >= 0 && (e.operand(static_cast<unsigned>(general)).actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
        e.write_back(e.reg(static_cast<unsigned>(general)), rax);
    }
    if (finds_index(e)) {
        e.a.mov(k_guest_rcx, rcx);
    } else {
        e.keep_rcx();
    }
    e.flags_written();
}

}  // namespace

bool emit_vector(Emitter& e) {
    if (emit_special(e)) {
        return true;
    }
    interp::NativeUnit unit{};
    interp::NativeOp properties;
    const bool described = interp::unit_of(e.one().decoded, unit) &&
                           interp::describe_native_op(e.one().decoded, e.one().operands.data(), unit, properties);
    if (described) {  // else unit_use() would not have said that it needs a unit
        emit_as_it_is(e, memory_operand(e), properties);
    }
    return described;
}

}  // namespace skep::jit
