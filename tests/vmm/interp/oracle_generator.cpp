// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/interp/oracle_generator.hpp"

#include <fmt/format.h>

#include <cstring>

namespace skep::test {

namespace {

const ZydisDecoder& decoder() {
    static const ZydisDecoder instance = [] {
        ZydisDecoder d;
        ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        return d;
    }();
    return instance;
}

class Bytes {
  public:
    explicit Bytes(Instruction& out) : m_out(out) {}
    void put(unsigned byte) {
        if (m_out.length < m_out.bytes.size())
            m_out.bytes[m_out.length++] = static_cast<uint8_t>(byte);
    }
    void put_random(Random& random, unsigned count) {
        for (unsigned i = 0; i < count; ++i)
            put(random.below(256));
    }

  private:
    Instruction& m_out;
};

void put_modrm_and_tail(Bytes& bytes, Random& random) {
    unsigned modrm = random.below(256);
    if (random.one_in(2))
        modrm |= 0xc0;
    bytes.put(modrm);
    bytes.put_random(random, 10);  // SIB, displacement, immediate: the decoder takes what it needs
}

void make_integer(Bytes& bytes, Random& random) {
    if (random.one_in(8))
        bytes.put(0xf0);
    if (random.one_in(4))
        bytes.put(0x66);
    if (random.one_in(8))
        bytes.put(random.one_in(2) ? 0xf2 : 0xf3);
    if (random.one_in(12))
        bytes.put(0x67);
    switch (random.below(8)) {
        case 0:  // VEX-encoded BMI
            bytes.put(0xc4);
            bytes.put((random.below(8) << 5) | (2 + random.one_in(3)));
            bytes.put(random.below(256) & ~4u);
            bytes.put(0xf0 + random.below(8));
            put_modrm_and_tail(bytes, random);
            return;
        case 1:
        case 2:
        case 3:
            if (!random.one_in(3))
                bytes.put(0x40 + random.below(16));
            bytes.put(0x0f);
            if (random.one_in(6)) {
                bytes.put(0x38);
                bytes.put(0xf0 + random.below(8));
            } else {
                bytes.put(0x40 + random.below(0x90));
            }
            put_modrm_and_tail(bytes, random);
            return;
        default:
            if (!random.one_in(3))
                bytes.put(0x40 + random.below(16));
            bytes.put(random.below(256));
            put_modrm_and_tail(bytes, random);
    }
}

void make_vector(Bytes& bytes, Random& random) {
    static constexpr std::array<unsigned, 4> k_prefix = {0, 0x66, 0xf2, 0xf3};
    if (random.one_in(2)) {
        bytes.put(0xc4);
        bytes.put((random.below(8) << 5) | (1 + random.below(3)));
        // vvvv = 1111 is what most two-operand forms need
        bytes.put(random.one_in(2) ? random.below(256) : (random.below(256) | 0x78));
        bytes.put(random.below(256));
        put_modrm_and_tail(bytes, random);
        return;
    }
    if (const unsigned prefix = k_prefix[random.below(4)]; prefix != 0)
        bytes.put(prefix);
    if (random.one_in(2))
        bytes.put(0x40 + random.below(16));
    bytes.put(0x0f);
    const unsigned map = random.below(5);
    if (map >= 3)
        bytes.put(map == 3 ? 0x38 : 0x3a);
    bytes.put(random.below(256));
    put_modrm_and_tail(bytes, random);
}

void make_x87(Bytes& bytes, Random& random) {
    bytes.put(0xd8 + random.below(8));
    put_modrm_and_tail(bytes, random);
}

bool acceptable_integer(const ZydisDecodedInstruction& i) {
    switch (i.meta.isa_ext) {
        case ZYDIS_ISA_EXT_BASE: case ZYDIS_ISA_EXT_BMI1: case ZYDIS_ISA_EXT_BMI2: case ZYDIS_ISA_EXT_LZCNT:
        case ZYDIS_ISA_EXT_MOVBE: case ZYDIS_ISA_EXT_ADOX_ADCX: case ZYDIS_ISA_EXT_LONGMODE: case ZYDIS_ISA_EXT_SSE4:
            break;
        default: return false;
    }
    switch (i.mnemonic) {
        case ZYDIS_MNEMONIC_CRC32: case ZYDIS_MNEMONIC_POPCNT: case ZYDIS_MNEMONIC_LEA: case ZYDIS_MNEMONIC_MOVSXD:
        case ZYDIS_MNEMONIC_CWD: case ZYDIS_MNEMONIC_CMPXCHG16B: case ZYDIS_MNEMONIC_XLAT: return true;
        case ZYDIS_MNEMONIC_CLI: case ZYDIS_MNEMONIC_STI: case ZYDIS_MNEMONIC_XBEGIN: case ZYDIS_MNEMONIC_XABORT:
        case ZYDIS_MNEMONIC_SALC: case ZYDIS_MNEMONIC_LDS: case ZYDIS_MNEMONIC_LES: case ZYDIS_MNEMONIC_LSS:
        case ZYDIS_MNEMONIC_LFS: case ZYDIS_MNEMONIC_LGS: return false;
        default: break;
    }
    if (i.meta.isa_ext == ZYDIS_ISA_EXT_SSE4)
        return false;
    switch (i.meta.category) {
        case ZYDIS_CATEGORY_ADOX_ADCX: case ZYDIS_CATEGORY_BINARY: case ZYDIS_CATEGORY_BITBYTE:
        case ZYDIS_CATEGORY_BMI1: case ZYDIS_CATEGORY_BMI2: case ZYDIS_CATEGORY_CMOV: case ZYDIS_CATEGORY_CONVERT:
        case ZYDIS_CATEGORY_DATAXFER: case ZYDIS_CATEGORY_FLAGOP: case ZYDIS_CATEGORY_LOGICAL:
        case ZYDIS_CATEGORY_LZCNT: case ZYDIS_CATEGORY_ROTATE: case ZYDIS_CATEGORY_SEMAPHORE:
        case ZYDIS_CATEGORY_SETCC: case ZYDIS_CATEGORY_SHIFT: return true;
        default: return false;
    }
}

bool acceptable_vector(const ZydisDecodedInstruction& i) {
    switch (i.meta.isa_ext) {
        case ZYDIS_ISA_EXT_MMX: case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3:
        case ZYDIS_ISA_EXT_SSSE3: case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_AES: case ZYDIS_ISA_EXT_PCLMULQDQ:
        case ZYDIS_ISA_EXT_SHA: case ZYDIS_ISA_EXT_AVX: case ZYDIS_ISA_EXT_AVX2: case ZYDIS_ISA_EXT_AVX2GATHER:
        case ZYDIS_ISA_EXT_AVXAES: case ZYDIS_ISA_EXT_F16C: case ZYDIS_ISA_EXT_FMA: case ZYDIS_ISA_EXT_VAES:
        case ZYDIS_ISA_EXT_VPCLMULQDQ: break;
        default: return false;
    }
    switch (i.mnemonic) {
        // State saving has tests of its own.
        case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXSAVE64: case ZYDIS_MNEMONIC_FXRSTOR:
        case ZYDIS_MNEMONIC_FXRSTOR64:
        case ZYDIS_MNEMONIC_LDMXCSR: case ZYDIS_MNEMONIC_VLDMXCSR: case ZYDIS_MNEMONIC_CRC32:
        case ZYDIS_MNEMONIC_POPCNT: case ZYDIS_MNEMONIC_CLFLUSH: case ZYDIS_MNEMONIC_PAUSE: return false;
        default: return true;
    }
}

bool acceptable_x87(const ZydisDecodedInstruction& i) {
    switch (i.mnemonic) {
        // Images with instruction pointers in them; compared by other tests.
        case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FLDENV:
        case ZYDIS_MNEMONIC_FRSTOR: return false;
        default: return (i.opcode & 0xf8) == 0xd8 && i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
    }
}

bool acceptable_operands(Instruction& i) {
    for (unsigned n = 0; n < i.decoded.operand_count; ++n) {
        const ZydisDecodedOperand& operand = i.operands[n];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
            const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
            if (kind == ZYDIS_REGCLASS_SEGMENT || kind == ZYDIS_REGCLASS_CONTROL || kind == ZYDIS_REGCLASS_DEBUG ||
                kind == ZYDIS_REGCLASS_IP)
                return false;
        }
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (operand.mem.base == ZYDIS_REGISTER_RIP || operand.mem.base == ZYDIS_REGISTER_EIP)
            return false;
        if (operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN)
            continue;
        if (i.memory >= 0)
            return false;
        i.memory = static_cast<int>(n);
        const bool thread_segment = operand.mem.segment == ZYDIS_REGISTER_FS || operand.mem.segment == ZYDIS_REGISTER_GS;
        const bool has_base = ZydisRegisterGetClass(operand.mem.base) == ZYDIS_REGCLASS_GPR64 ||
                              ZydisRegisterGetClass(operand.mem.base) == ZYDIS_REGCLASS_GPR32;
        const auto full = [](ZydisRegister r) { return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r); };
        // Zydis 4.0 takes [disp32] with REX.B, 67h and a SIB byte for [r13d].
        const bool no_base = i.decoded.raw.modrm.mod == 0 && i.decoded.raw.modrm.rm == 4 && i.decoded.raw.sib.base == 5;
        const bool bit_index_in_address =
            i.is_bit_string() && i.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            (full(i.operands[1].reg.value) == full(operand.mem.base) ||
             full(i.operands[1].reg.value) == full(operand.mem.index));
        if (thread_segment || bit_index_in_address || !has_base || no_base || full(operand.mem.base) == full(operand.mem.index))
            return false;
    }
    return true;
}

}  // namespace

std::string Instruction::text() const {
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    std::array<char, 256> buffer{};
    ZydisFormatterFormatInstruction(&formatter, &decoded, operands.data(), decoded.operand_count_visible, buffer.data(),
                                    buffer.size(), ZYDIS_RUNTIME_ADDRESS_NONE, nullptr);
    std::string hex;
    for (unsigned n = 0; n < length; ++n)
        hex += fmt::format("{:02x} ", bytes[n]);
    return hex + " " + buffer.data();
}

bool Instruction::is_bit_string() const {
    const ZydisMnemonic mnemonic = decoded.mnemonic;
    return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS || mnemonic == ZYDIS_MNEMONIC_BTR ||
           mnemonic == ZYDIS_MNEMONIC_BTC;
}

Instruction random_instruction(Random& random, Subject subject) {
    for (;;) {
        Instruction i;
        Bytes bytes(i);
        if (subject == Subject::integer)
            make_integer(bytes, random);
        else if (subject == Subject::vector)
            make_vector(bytes, random);
        else
            make_x87(bytes, random);
        if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder(), i.bytes.data(), i.length, &i.decoded, i.operands.data())))
            continue;
        const bool wanted = subject == Subject::integer  ? acceptable_integer(i.decoded)
                            : subject == Subject::vector ? acceptable_vector(i.decoded)
                                                         : acceptable_x87(i.decoded);
        if (!wanted || !acceptable_operands(i))
            continue;
        i.length = i.decoded.length;
        return i;
    }
}

}  // namespace skep::test
