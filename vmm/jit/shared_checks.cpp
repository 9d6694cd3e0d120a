// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/shared_checks.hpp"

#include <algorithm>
#include <bit>
#include <optional>

#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

constexpr unsigned k_small_table = 2048;  // bytes
constexpr unsigned k_zero = 16, k_page_base = 17;  // "registers" that no instruction changes
constexpr unsigned k_values = 18;
constexpr int64_t k_lost = INT64_MIN;
constexpr unsigned k_rbp = 5, k_rsp = 4;

// What a register holds: an unknown, and a known distance from it.
struct Value {
    uint32_t unknown = 0;
    uint16_t most = 0;  // that the unknown may be; 0: anything
    int64_t distance = 0;
    bool operator==(const Value&) const = default;
};

// The sum of unknowns that two accesses must have in common.
struct Base {
    uint32_t base = 0, index = 0;
    uint8_t scale = 0, segment = 0;
    uint16_t most_index = 0;  // 0: it may be anything
    bool operator==(const Base&) const = default;
};

struct Access {
    GuestInstruction* one = nullptr;
    SharedUse GuestInstruction::* use = nullptr;
    int64_t from = 0;
    unsigned bytes = 0;
    bool writes = false;
    };

struct Group {
    Base base;
    int64_t lowest = 0, end = 0;
    std::vector<Access> accesses;
};

bool fits(int64_t value) { return value > INT32_MIN + 8192 && value < INT32_MAX - 8192; }

class Finder {
  public:
    explicit Finder(GuestRegion& region) : m_region(region) {}

    void block(GuestBlock& block) {
        m_groups.clear();
        m_latest.clear();
        forget_all();
        m_start = m_values;
        for (unsigned i = 0; i < block.count; ++i) {
            instruction(m_region.instructions[block.first + i]);
        }
        assign(block);
    }

  private:
    [[nodiscard]] unsigned word() const { return m_region.code64 ? 8 : 4; }
    Value fresh() { return {.unknown = ++m_unknowns, .distance = 0}; }

    void forget_all() {
        for (Value& value : m_values) {
            value = fresh();
        }
        m_latest.clear();
    }

    void instruction(GuestInstruction& one) {
        one.operand_use = one.stack_use = {};
        if (is_conditional_jump(one.decoded)) {
            return;
        }
        if (one.interpreted || is_system(one.decoded.mnemonic) || !(one.units.any() || emit_entry_of(one.decoded.mnemonic).function != nullptr)) {
            forget_all();
            return;
        }
        for (unsigned i = 0; i < one.decoded.operand_count_visible; ++i) {
            operand(one, one.operands[i]);
        }
        stack_access(one);
        follow_registers(one);
    }

    void operand(GuestInstruction& one, const ZydisDecodedOperand& operand) {
        const bool touched = (operand.actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_MASK_WRITE)) != 0;
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || operand.mem.type != ZYDIS_MEMOP_TYPE_MEM || !touched ||
            one.decoded.address_width != word() * 8 || (!m_region.code64 && operand.mem.segment == ZYDIS_REGISTER_CS)) {
            return;
        }
        const auto& memory = operand.mem;
        int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
        if (!fits(displacement)) {
            return;
        }
        if (memory.base == ZYDIS_REGISTER_RIP) {
            displacement += one.end();
        }
        const Value base = m_values[number_of(memory.base)];
        const Value index = m_values[number_of(memory.index)];
        const bool has_segment = memory.segment == ZYDIS_REGISTER_FS || memory.segment == ZYDIS_REGISTER_GS;
        const Base common{.base = base.unknown,
                          .index = index.unknown,
                          .scale = memory.index == ZYDIS_REGISTER_NONE ? uint8_t{0} : memory.scale,
                          .segment = has_segment ? static_cast<uint8_t>(memory.segment - ZYDIS_REGISTER_ES) : uint8_t{0},
                          .most_index = index.distance == 0 ? index.most : uint16_t{0}};
        add(common, {.one = &one,
                     .use = &GuestInstruction::operand_use,
                     .from = displacement + base.distance + index.distance * common.scale,
                     .bytes = operand.size / 8U,
                     .writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0});
    }

    static unsigned number_of(ZydisRegister reg) {
        if (reg == ZYDIS_REGISTER_NONE) {
            return k_zero;
        }
        return reg == ZYDIS_REGISTER_RIP ? k_page_base : static_cast<unsigned>(guest_number(reg));
    }

    void stack_access(GuestInstruction& one) {
        unsigned reg = k_rsp;
        int64_t distance = 0;
        bool writes = false;
        switch (one.decoded.mnemonic) {
            case ZYDIS_MNEMONIC_PUSH:
            case ZYDIS_MNEMONIC_CALL: distance = -int64_t{word()}; writes = true; break;
            case ZYDIS_MNEMONIC_POP:
            case ZYDIS_MNEMONIC_RET: break;
            case ZYDIS_MNEMONIC_LEAVE: reg = k_rbp; break;
            default: return;
        }
        if (one.decoded.operand_width == word() * 8) {
            const Value value = m_values[reg];
            add({.base = value.unknown, .index = m_values[k_zero].unknown, .scale = 0, .segment = 0},
                {.one = &one,
                 .use = &GuestInstruction::stack_use,
                 .from = value.distance + distance,
                 .bytes = word(),
                 .writes = writes});
        }
    }

    void add(const Base& base, const Access& access) {
        const auto same = [&](size_t group) { return m_groups[group].base == base; };
        const int64_t end = access.from + access.bytes;
        const auto found = std::ranges::find_if(m_latest, same);
        if (found != m_latest.end()) {
            Group& group = m_groups[*found];
            const int64_t lowest = std::min(group.lowest, access.from);
            const int64_t highest = std::max(group.end, end);
            if (highest - lowest <= int64_t{k_most_span}) {
                group.lowest = lowest;
                group.end = highest;
                group.accesses.push_back(access);
                return;
            }
            m_latest.erase(found);
        }
        m_latest.push_back(m_groups.size());
        m_groups.push_back({.base = base, .lowest = access.from, .end = end, .accesses = {access}});
    }

    void move(unsigned reg, int64_t distance) { m_values[reg].distance += distance; }
    void forget(uint16_t registers) {
        for (; registers != 0; registers &= static_cast<uint16_t>(registers - 1)) {
            m_values[static_cast<unsigned>(std::countr_zero(registers))] = fresh();
        }
    }

    // The value that a full-width register gets, where it is known by others.
    std::optional<Value> known_result(const GuestInstruction& one) {
        const ZydisDecodedOperand& source = one.operands[1];
        const bool immediate = one.decoded.operand_count_visible == 2 && source.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
        Value value = m_values[static_cast<unsigned>(guest_number(one.operands[0].reg.value))];
        const auto moved = [&](int64_t by) {
            value.distance += by;
            return fits(value.distance) ? std::optional(value) : std::nullopt;
        };
        switch (one.decoded.mnemonic) {
            case ZYDIS_MNEMONIC_ADD: return immediate ? moved(source.imm.value.s) : std::nullopt;
            case ZYDIS_MNEMONIC_SUB: return immediate ? moved(-source.imm.value.s) : std::nullopt;
            case ZYDIS_MNEMONIC_INC: return moved(1);
            case ZYDIS_MNEMONIC_DEC: return moved(-1);
            case ZYDIS_MNEMONIC_MOV:
                if (source.type == ZYDIS_OPERAND_TYPE_REGISTER && guest_number(source.reg.value) >= 0) {
                    return m_values[static_cast<unsigned>(guest_number(source.reg.value))];
                }
                return std::nullopt;
            case ZYDIS_MNEMONIC_LEA:
                if (one.decoded.address_width == word() * 8 && source.mem.index == ZYDIS_REGISTER_NONE &&
                    guest_number(source.mem.base) >= 0) {
                    value = m_values[static_cast<unsigned>(guest_number(source.mem.base))];
                    return moved(source.mem.disp.has_displacement ? source.mem.disp.value : 0);
                }
                return std::nullopt;
            default: return std::nullopt;
        }
    }

    // What a register's new value is at most, when that is little; else 0.
    static uint16_t most_of_result(const GuestInstruction& one) {
        const bool full = one.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && one.operands[0].size >= 32;
        const ZydisDecodedOperand& source = one.operands[1];
        if (full && one.decoded.mnemonic == ZYDIS_MNEMONIC_MOVZX && source.size == 8) {
            return UINT8_MAX;
        }
        const bool masks = full && one.decoded.mnemonic == ZYDIS_MNEMONIC_AND && source.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
        return masks && source.imm.value.u < k_small_table ? static_cast<uint16_t>(source.imm.value.u) : uint16_t{0};
    }

    void follow_registers(const GuestInstruction& one) {
        switch (one.decoded.mnemonic) {
            case ZYDIS_MNEMONIC_PUSH: move(k_rsp, -int64_t{word()}); return;
            case ZYDIS_MNEMONIC_POP:
                move(k_rsp, word());
                if (const int number = guest_number(one.operands[0].reg.value); number >= 0) {
                    m_values[static_cast<unsigned>(number)] = fresh();
                }
                return;
            case ZYDIS_MNEMONIC_LEAVE:
                m_values[k_rsp] = m_values[k_rbp];
                move(k_rsp, word());
                m_values[k_rbp] = fresh();
                return;
            default: break;
        }
        const ZydisRegisterClass whole = m_region.code64 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32;
        const bool full = one.decoded.operand_count_visible > 0 && one.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                          ZydisRegisterGetClass(one.operands[0].reg.value) == whole;
        if (const auto known = full ? known_result(one) : std::nullopt) {
            m_values[static_cast<unsigned>(guest_number(one.operands[0].reg.value))] = *known;
        } else {
            forget(written_registers(one));
            if (const uint16_t most = most_of_result(one); most != 0) {
                m_values[static_cast<unsigned>(guest_number(one.operands[0].reg.value))].most = most;
            }
        }
    }

    // How far a register's value of the block's start is from itself at the end; k_lost: it is another value then.
    int64_t change_of(size_t reg) const {
        const Value& end = m_values[reg];
        return end.unknown == m_start[reg].unknown ? end.distance : k_lost;
    }
    // The register that held it at the start; k_values: it came later.
    size_t holder_of(uint32_t unknown) const {
        return static_cast<size_t>(std::ranges::find(m_start, unknown, &Value::unknown) - m_start.begin());
    }

    // In a loop.
    Follow follow(const Group& group) const {
        const size_t base = holder_of(group.base.base), index = holder_of(group.base.index);
        if (base == k_values || change_of(base) == k_lost) {
            return Follow::no;
        }
        if (index != k_values) {
            const bool stays = change_of(index) != k_lost && change_of(base) + change_of(index) * group.base.scale == 0;
            return stays ? Follow::still : Follow::no;
        }
        const bool is_small = group.base.most_index != 0 && group.base.most_index * group.base.scale < k_small_table;
        const bool is_table = is_small && change_of(base) == 0 && group.base.segment == 0 && m_region.code64;
        return is_table ? Follow::page : Follow::no;
    }

    // Spans of one access are worth it where they are followed through a loop.
    void assign(GuestBlock& block) {
        block.checks.clear();
        for (const Group& group : m_groups) {
            const Follow how = block.is_loop() ? follow(group) : Follow::no;
            const bool useful = group.accesses.size() >= 2 || how != Follow::no;
            if (!useful || block.checks.size() == k_most_checks) {
                continue;
            }
            SharedCheck check{.size = static_cast<uint16_t>(group.end - group.lowest),
                              .writes = false,
                              .uses = static_cast<uint8_t>(std::min<size_t>(group.accesses.size(), UINT8_MAX)),
                              .follow = how};
            for (const Access& access : group.accesses) {
                access.one->*access.use = {.check = static_cast<int8_t>(block.checks.size()),
                                           .offset = static_cast<uint16_t>(access.from - group.lowest)};
                check.writes = check.writes || access.writes;
            }
            block.checks.push_back(check);
        }
    }

    GuestRegion& m_region;
    uint32_t m_unknowns = 0;
    std::array<Value, k_values> m_values;
    std::array<Value, k_values> m_start;  // of the block
    std::vector<Group> m_groups;
    std::vector<size_t> m_latest;  // of m_groups: the ones that may still grow
};

}  // namespace

namespace {

// Both versions of a loop must share their checks in the same way, or the later rounds find nothing to follow.
bool is_like_first_round(const GuestRegion& region, const GuestBlock& block) {
    const GuestBlock& first = region.blocks[static_cast<size_t>(block.first_round)];
    if (first.checks != block.checks) {
        return false;
    }
    for (unsigned i = 0; i < block.count; ++i) {
        const GuestInstruction& left = region.instructions[first.first + i];
        const GuestInstruction& right = region.instructions[block.first + i];
        if (left.operand_use != right.operand_use || left.stack_use != right.stack_use) {
            return false;
        }
    }
    return true;
}

bool may_refuse(const GuestInstruction& one) {
    switch (one.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_DIV:
        case ZYDIS_MNEMONIC_IDIV:
        case ZYDIS_MNEMONIC_LDMXCSR:
        case ZYDIS_MNEMONIC_VLDMXCSR:
        case ZYDIS_MNEMONIC_FLDCW: return true;
        default: return one.straddles || one.interpreted || !one.live_before.covers(one.units);
    }
}

// Every access is where it was in the round before.
bool is_sure(const GuestInstruction& one, const GuestBlock& block) {
    if (may_refuse(one)) {
        return false;
    }
    for (unsigned i = 0; i < one.decoded.operand_count; ++i) {
        const ZydisDecodedOperand& operand = one.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) {
            continue;
        }
        const SharedUse& use = i < one.decoded.operand_count_visible ? one.operand_use : one.stack_use;
        if (!use.any()) {
            return false;
        }
        if (block.checks[static_cast<size_t>(use.check)].follow != Follow::still) {
            return false;
        }
    }
    return true;
}

void finish_later_rounds(GuestRegion& region, GuestBlock& block) {
    if (!is_like_first_round(region, block)) {
        for (SharedCheck& check : block.checks) {
            check.follow = Follow::no;
        }
    }
    for (unsigned i = 0; i < block.count; ++i) {
        GuestInstruction& one = region.instructions[block.first + i];
        one.is_sure = is_sure(one, block);
    }
}

}  // namespace

void find_shared_checks(GuestRegion& region) {
    Finder finder(region);
    for (GuestBlock& block : region.blocks) {
        finder.block(block);
    }
    for (GuestBlock& block : region.blocks) {
        if (block.first_round != k_outside) {
            finish_later_rounds(region, block);
        }
    }
}

}  // namespace skep::jit
