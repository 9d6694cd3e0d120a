// SPDX-License-Identifier: GPL-3.0-or-later
// A guest program as a row of items (instructions with references, labels, padding), from which single items can be
// taken out again to make a failing case small.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skep::lockstep {

using Label = uint32_t;

// A memory operand.
struct Memory {
    int base = -1, index = -1;  // register numbers
    unsigned scale = 0;         // shift
    int32_t displacement = 0;
    std::optional<uint64_t> address;  // instead of base and index: relative to RIP in 64-bit code, absolute in 32-bit
    std::optional<Label> label;       // the same for a place in the program, plus displacement
    uint8_t segment_prefix = 0;
    bool address32 = false;           // 67h
};

enum class Reference : uint8_t { none, relative32, absolute32, absolute64 };

struct Item {
    enum class Kind : uint8_t { code, label, branch, pad_to_page_end };
    Kind kind = Kind::code;
    uint8_t size = 0;  // of bytes; pad_to_page_end: how many bytes of the page are to be left
    std::array<uint8_t, 15> bytes{};
    Label label = 0;           // label: which; branch: to where; otherwise of the reference
    Reference reference = Reference::none;
    uint8_t reference_at = 0;  // offset of the referring bytes
    bool to_label = false;     // the reference is to `label` + value, otherwise to value
    uint64_t value = 0;
    uint8_t opcode = 0;        // branch: 0xeb jmp, 0x70 + condition, 0xe0-0xe3 loops, 0xe8 call
    bool fixed = false;        // the program needs it to end: never taken out
    bool removed = false;
};

// Builds one instruction.
class Encoder {
  public:
    explicit Encoder(bool code64) : m_code64(code64) {}

    // `opcode` as 0xXX, 0x0fXX, 0x0f38XX, 0x0f3aXX. `prefix`: 0, 0x66, 0xf2, 0xf3 (mandatory, next to the opcode).
    // width 1, 2, 4, 8: adds 66h or REX.W. force_rex: for SPL..DIL.
    struct Shape {
        uint32_t opcode = 0;
        unsigned width = 4;
        uint8_t prefix = 0;
        bool lock = false;
        bool force_rex = false;
    };
    [[nodiscard]] Item with_register(const Shape& shape, unsigned reg, unsigned rm) const;
    [[nodiscard]] Item with_memory(const Shape& shape, unsigned reg, const Memory& memory, unsigned immediate_bytes = 0) const;
    // VEX: map 1 (0F), 2 (0F38), 3 (0F3A); pp 0..3 for none, 66, F3, F2.
    struct Vex {
        uint8_t map = 1, pp = 0, opcode = 0;
        bool wide = false, long256 = false;
        unsigned vvvv = 0;
    };
    [[nodiscard]] Item vex_register(const Vex& vex, unsigned reg, unsigned rm) const;
    [[nodiscard]] Item vex_memory(const Vex& vex, unsigned reg, const Memory& memory) const;
    // Opcode with the register in its low bits.
    [[nodiscard]] Item plus_register(uint32_t opcode, unsigned width, unsigned reg) const;
    [[nodiscard]] Item raw(std::initializer_list<uint8_t> bytes) const;
    // MOV r, imm: the shortest usual form for the value.
    [[nodiscard]] Item load_immediate(unsigned reg, uint64_t value) const;
    [[nodiscard]] bool code64() const { return m_code64; }

  private:
    void put_opcode(Item& item, uint32_t opcode) const;
    void put_prefixes(Item& item, const Shape& shape, unsigned reg, unsigned index, unsigned base) const;
    void put_memory(Item& item, unsigned reg, const Memory& memory, unsigned immediate_bytes) const;
    bool m_code64;
};
void put_immediate(Item& item, uint64_t value, unsigned bytes);

struct Program {
    bool code64 = true;
    std::vector<Item> items;
    Label labels = 0;

    Label new_label() { return labels++; }
    void add(const Item& item) { items.push_back(item); }
    void bind(Label label);
    // opcode as Item::opcode
    void branch(uint8_t opcode, Label to, bool fixed = false);
};

struct Assembled {
    std::vector<uint8_t> bytes;
    std::vector<uint64_t> label_address;
};
// start: linear address of the first byte. Nothing when it needs more than `most` bytes.
[[nodiscard]] std::optional<Assembled> assemble(const Program& program, uint64_t start, size_t most);
// One line an instruction: address, bytes, text (Zydis).
[[nodiscard]] std::string disassemble(const std::vector<uint8_t>& bytes, uint64_t start, bool code64);

}  // namespace skep::lockstep
