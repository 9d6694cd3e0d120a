// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/region.hpp"

#include <algorithm>

#include "vmm/jit/emitter.hpp"
#include "vmm/jit/loops.hpp"

namespace skep::jit {
namespace {

constexpr unsigned k_page = 4096;

bool is_direct(const GuestInstruction& one) { return one.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }

BlockEnd end_of(const GuestInstruction& one) {
    const bool cuts_rip = one.decoded.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && one.decoded.operand_width == 16;
    if (cuts_rip) {
        return BlockEnd::leaves;
    }
    switch (one.decoded.meta.category) {
        case ZYDIS_CATEGORY_COND_BR: return is_conditional_jump(one.decoded) ? BlockEnd::conditional : BlockEnd::leaves;
        case ZYDIS_CATEGORY_UNCOND_BR:
            return one.decoded.mnemonic == ZYDIS_MNEMONIC_JMP && is_direct(one) ? BlockEnd::jump : BlockEnd::leaves;
        case ZYDIS_CATEGORY_CALL:
            return one.decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ? BlockEnd::leaves : BlockEnd::calls;
        case ZYDIS_CATEGORY_RET:
        case ZYDIS_CATEGORY_SYSCALL:
        case ZYDIS_CATEGORY_SYSRET:
        case ZYDIS_CATEGORY_INTERRUPT: return BlockEnd::leaves;
        default: return BlockEnd::falls_through;
    }
}

bool may_fault(const GuestInstruction& one) {
    if (one.decoded.mnemonic == ZYDIS_MNEMONIC_DIV || one.decoded.mnemonic == ZYDIS_MNEMONIC_IDIV ||
        is_system(one.decoded.mnemonic)) {
        return true;
    }
    for (unsigned i = 0; i < one.decoded.operand_count; ++i) {
        if (one.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && one.operands[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN) {
            return true;
        }
    }
    return false;
}

class Former {
  public:
    Former(std::span<const std::byte> page, unsigned entry, const CodeSoFar& known, GuestRegion& region)
        : m_decoder(interp::decoder_for(region.code64 ? k_long_mode : k_flat_mode)),
          m_page(page),
          m_entry(entry),
          m_known(known),
          m_region(region),
          m_found(region.found) {
        m_found.clear();
        m_at.fill(k_nothing);
        m_leader.fill(false);
    }

    void run() {
        m_leader[m_entry] = true;
        m_waiting.push_back(static_cast<uint16_t>(m_entry));
        while (!m_waiting.empty()) {
            const uint16_t offset = m_waiting.back();
            m_waiting.pop_back();
            follow(offset);
        }
        if (m_found.empty()) {
            return;
        }
        make_blocks();
        connect();
    }

  private:
    static constexpr int16_t k_nothing = -1;

    void want(int64_t offset) {
        if (offset >= 0 && offset < k_page && !m_leader[static_cast<size_t>(offset)] &&
            m_known.has_run(static_cast<unsigned>(offset)) && !m_known.find_translated(static_cast<unsigned>(offset))) {
            m_leader[static_cast<size_t>(offset)] = true;
            m_waiting.push_back(static_cast<uint16_t>(offset));
        }
    }

    // Decodes from a leader until something ends the run.
    void follow(uint16_t offset) {
        unsigned at = offset;
        m_lowest = std::min(m_lowest, at);
        const auto end_of_bytes = static_cast<unsigned>(m_page.size());
        while (at < k_page && m_found.size() < k_most_instructions) {
            if (m_at[at] != k_nothing) {
                m_leader[at] = true;
                return;
            }
            if (at != offset && m_known.find_translated(at)) {
                return;
            }
            GuestInstruction& one = m_found.emplace_back();
            const ZyanStatus status = ZydisDecoderDecodeFull(&m_decoder, m_page.data() + at,
                                                             std::min<size_t>(interp::k_longest_instruction, end_of_bytes - at),
                                                             &one.decoded, one.operands.data());
            if (!ZYAN_SUCCESS(status)) {
                m_found.pop_back();
                m_region.wants_next_page = m_region.wants_next_page || status == ZYDIS_STATUS_NO_MORE_DATA;
                return;
            }
            one.offset = static_cast<uint16_t>(at);
            one.flags = flag_use(one.decoded, one.operands.data(), m_region.flags_of_products);
            one.straddles = one.end() > k_page;
            one.units = unit_use(one);
            one.interpreted = !one.units.any() && emit_entry_of(one.decoded.mnemonic).function == nullptr &&
                              !is_conditional_jump(one.decoded);
            one.may_fault = one.straddles || one.interpreted || may_fault(one);
            m_at[at] = static_cast<int16_t>(m_found.size() - 1);
            m_highest = std::max(m_highest, at);
            at = one.end();
            const BlockEnd end = end_of(one);
            if (end == BlockEnd::jump || end == BlockEnd::conditional) {
                want(target_of(one));
            }
            if (end == BlockEnd::conditional || end == BlockEnd::calls) {
                want(at);
            }
            if (end != BlockEnd::falls_through) {
                return;
            }
        }
    }

    void make_blocks() {
        add_block(m_entry);
        for (unsigned at = m_lowest; at <= m_highest; ++at) {
            if (m_leader[at] && at != m_entry && m_at[at] != k_nothing) {
                add_block(at);
            }
        }
    }

    void add_block(unsigned leader) {
        GuestBlock block;
        block.first = static_cast<uint16_t>(m_region.instructions.size());
        unsigned at = leader;
        do {
            const GuestInstruction& one = m_found[static_cast<size_t>(m_at[at])];
            m_region.instructions.push_back(one);
            m_region.lowest = std::min(m_region.lowest, one.offset);
            m_region.highest = std::max(m_region.highest, std::min<uint16_t>(one.end(), k_page));
            ++block.count;
            block.end = end_of(one);
            at = one.end();
        } while (block.end == BlockEnd::falls_through && at < k_page && m_at[at] != k_nothing && !m_leader[at]);
        m_block_at[leader] = static_cast<int16_t>(m_region.blocks.size());
        m_region.blocks.push_back(block);
    }

    int block_at(int64_t offset) {
        if (offset < 0 || offset >= k_page || !m_leader[static_cast<size_t>(offset)] ||
            m_at[static_cast<size_t>(offset)] == k_nothing) {
            return k_outside;
        }
        return m_block_at[static_cast<size_t>(offset)];
    }

    // The block there. One that is outside says which flags it wants.
    int way_to(int64_t offset, GuestBlock& from) {
        const int block = block_at(offset);
        if (block == k_outside) {
            const bool on_page = offset >= 0 && offset < k_page;
            const auto there = on_page ? m_known.find_translated(static_cast<unsigned>(offset)) : std::nullopt;
            from.flags_outside |= there ? there->live_flags : k_all_flags;
            if (there) {
                m_region.elsewhere.push_back(*there);
            }
        }
        return block;
    }

    void connect() {
        for (GuestBlock& block : m_region.blocks) {
            const GuestInstruction& last = m_region.instructions[block.first + block.count - 1U];
            if (block.end == BlockEnd::jump || block.end == BlockEnd::conditional) {
                block.taken = way_to(target_of(last), block);
            }
            if (block.end != BlockEnd::jump && block.end != BlockEnd::leaves) {
                block.next = way_to(last.end(), block);
            }
            for (const int to : {block.taken, block.next}) {
                if (to != k_outside) {
                    ++m_region.blocks[static_cast<size_t>(to)].incoming;
                }
            }
        }
    }

    const ZydisDecoder& m_decoder;
    std::span<const std::byte> m_page;
    unsigned m_entry;
    const CodeSoFar& m_known;
    GuestRegion& m_region;
    std::vector<GuestInstruction>& m_found;
    unsigned m_lowest = k_page, m_highest = 0;  // where something was found, at most
    std::vector<uint16_t> m_waiting;
    std::array<int16_t, k_page> m_at;        // m_found by offset
    std::array<bool, k_page> m_leader;
    std::array<int16_t, k_page> m_block_at;  // valid for leaders that were decoded
};

}  // namespace

bool is_conditional_jump(const ZydisDecodedInstruction& instruction) {
    return instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           ((instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction.opcode & 0xf0) == 0x70) ||
            (instruction.opcode_map == ZYDIS_OPCODE_MAP_0F && (instruction.opcode & 0xf0) == 0x80));
}

int64_t target_of(const GuestInstruction& instruction) {
    return int64_t{instruction.end()} + instruction.operands[0].imm.value.s;
}

const Elsewhere* GuestRegion::find_elsewhere(int64_t offset) const {
    const auto found = std::ranges::find(elsewhere, offset, &Elsewhere::offset);
    return found == elsewhere.end() ? nullptr : &*found;
}

void form_region(std::span<const std::byte> page, unsigned entry, const CodeSoFar& known, GuestRegion& region) {
    region.instructions.clear();
    region.blocks.clear();
    region.elsewhere.clear();
    region.lowest = static_cast<uint16_t>(entry);
    region.highest = static_cast<uint16_t>(entry);
    region.wants_next_page = false;
    Former(page, entry, known, region).run();
    split_loops(region);
}

}  // namespace skep::jit
