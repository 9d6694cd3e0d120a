// SPDX-License-Identifier: GPL-3.0-or-later
// Emitter: turns one guest region into host code. An instruction is emitted by the function that the table
// (emitter_table.cpp) has for its Zydis mnemonic; one without, or whose function returns false, is run by the interpreter's
// handler in the middle of translated code.
//
// How to add an instruction
//   1. If the host runs it as it is on the same operands (registers, one memory operand, immediates): add a line
//      {ZYDIS_MNEMONIC_X, emit_same, Inst::kIdX} to the table of its subject. Flags, memory check, registers that live in
//      memory, high byte registers and LOCK are done by emit_same() (emit_same.cpp).
//   2. Otherwise write `bool emit_x(Emitter& e, asmjit::InstId)` in the file of its subject (emit_alu, emit_stack, ...):
//      * Decide first: return false for forms that are not handled, before anything is emitted.
//      * Memory next: `x86asm::Mem at = e.access(i)` checks operand i (e.access_stack() what uses the stack without saying
//        so) and gives [rcx + something]. It clobbers rax, rcx and maybe the host's flags (it has saved them if anybody may
//        want them); who clobbers those himself calls e.clobber_flags() first. When the check fails, the interpreter runs
//        the whole instruction from its start: so no guest register, flag or memory may have changed before the last access
//        of the instruction. `e.slow()` is the label to jump to for the same treatment
//        (a divisor of zero, say).
//      * Then `e.want_flags()` (uses rax): the host's flags are the guest's, if this instruction reads some or leaves some
//        alone that are wanted afterwards. Not needed for instructions without flags.
//      * Then registers: e.read(reg, scratch) gives the host register that holds a guest register's value (loaded into
//        scratch, rax or rcx, when it lives in memory); e.write_back(reg, scratch) after scratch was changed. Homes:
//        host_registers.hpp. SSE and AVX instructions need no line here: emit_vector.cpp takes them all, and emit_x87.cpp the x87 unit's.
//      * Emit. Until the instruction's own result is there use only what leaves flags alone (mov, lea, rorx, movzx), or
//        call e.clobber_flags() at the start.
//      * `e.flags_written()` when the instruction has written flags (emit_same does it by itself).
//   3. An instruction that ends its block (GuestBlock::end == leaves) finishes with e.leave_...() or returns false.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "vmm/jit/host_registers.hpp"
#include "vmm/jit/profile.hpp"
#include "vmm/jit/region.hpp"
#include "vmm/jit/runtime.hpp"
#include "vmm/jit/site.hpp"

namespace skep::jit {

inline constexpr unsigned k_most_refilled = 64;  // bytes of an access that a refill thunk knows
inline constexpr unsigned k_refill_kinds = 4, k_no_thunk = k_refill_kinds;
constexpr unsigned refill_index(bool writes, Refill how) { return (writes ? 1U : 0U) | static_cast<unsigned>(how) << 1; }

// Shared pieces of code at the start of the code cache: executable addresses (thunks.cpp).
struct Thunks {
    uint64_t enter = 0;      // uint32_t enter(uint64_t code): ExitKind
    // Call with ecx = site: the interpreter runs it. Which units are live afterwards: UnitUse::index(); the others sleep.
    std::array<uint64_t, k_unit_sets> interpret{};
    uint64_t wake_vectors = 0;  // call: clobbers rax and flags
    uint64_t wake_x87 = 0;      // the same
    // By refill_index() and size: call after a miss of the inline check, with rax = the entry and rcx = the linear address
    // less its tag. Carry clear: rcx is the host address. Carry set: no such access (refill_thunks.cpp).
    std::array<std::array<uint64_t, k_most_refilled + 1>, k_refill_kinds> refill{};
    uint64_t look_up = 0;    // jump with rcx = RIP: to the code there
    uint64_t look_up_site = 0;       // the same with eax = JumpSite, which learns it
    uint64_t find_return = 0;        // jump with rcx = RIP: to the return point for it, or to the code there
    uint64_t return_to_nothing = 0;  // what the ends of the return stacks hold
    uint64_t stale_return = 0;       // jump at a return point whose code was dropped
    uint64_t leave = 0;      // jump with rcx = RIP: to the run loop
};

// The number of a general register in any width (AH counts as rax); -1 for others.
[[nodiscard]] int guest_number(ZydisRegister reg);
[[nodiscard]] bool is_high_byte(ZydisRegister reg);
// Which general registers an instruction changes, in whatever width: bit n is guest register n.
[[nodiscard]] uint16_t written_registers(const GuestInstruction& one);
// An immediate operand, sign-extended from its size.
[[nodiscard]] int64_t immediate_of(const ZydisDecodedOperand& from);

// What the emitted code refers to.
struct Places {
    interp::Core* core = nullptr;
    Runtime* runtime = nullptr;
    ProfileCounters* counters = nullptr;  // null: nobody counts
    Thunks thunks;
};

class Emitter {
  public:
    // A direct JMP or CALL (rel32) to another offset of the same page, at code offset `at`.
    struct Link {
        uint32_t at = 0;
        uint16_t target = 0;
    };
    struct Output {
        std::vector<Link> links;
        std::vector<uint32_t> returns;  // code offsets of return points
        std::vector<RegionBlock> blocks;
        uint32_t stale_exit = 0;  // code offset
        unsigned fallbacks = 0;
    };

    Emitter(const Places& places, std::deque<Site>& sites);

    enum class Outcome : uint8_t {
        done,
        again,   // an instruction turned out to be the interpreter's: it is marked so in `guest`, find_live_flags() anew
        failed,  // something cannot be encoded
    };
    // Emits into `code`, which is empty and knows its base address.
    Outcome emit(asmjit::CodeHolder& code, GuestRegion& guest, std::span<const std::byte> page, Region& region,
                 Output& output);

    // A further entry for a block of a region, whose code is at `block`; `region` is what is made of it.
    Outcome emit_second_entry(asmjit::CodeHolder& code, uint64_t block, bool wants_host_flags, Region& region,
                              Output& output);

    // --- for the functions of the table ----------------------------------------------------------------------------------
    x86asm::Assembler a;

    [[nodiscard]] const GuestInstruction& one() const { return *m_one; }
    // The next instruction may be another region's, before which requests are looked for.
    [[nodiscard]] bool ends_block() const { return m_in_block + 1U >= m_guest->blocks[m_block].count; }
    [[nodiscard]] const ZydisDecodedOperand& operand(unsigned i) const { return m_one->operands[i]; }
    [[nodiscard]] unsigned operand_count() const { return m_one->decoded.operand_count_visible; }
    [[nodiscard]] unsigned size_of(unsigned i) const { return operand(i).size / 8U; }
    [[nodiscard]] bool is_register(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_REGISTER; }
    [[nodiscard]] bool is_memory(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_MEMORY; }
    [[nodiscard]] bool is_immediate(unsigned i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }
    [[nodiscard]] ZydisRegister reg(unsigned i) const { return operand(i).reg.value; }
    [[nodiscard]] std::span<const std::byte> bytes() const {
        return m_page.subspan(m_one->offset, m_one->decoded.length);
    }
    [[nodiscard]] int64_t immediate(unsigned i) const { return immediate_of(operand(i)); }

    // Of the code that is translated: 8 or 4, of an address and of what a PUSH pushes.
    [[nodiscard]] bool code64() const { return m_code64; }
    [[nodiscard]] unsigned word() const { return m_code64 ? 8 : 4; }
    // A register in that size; written so it is an address.
    [[nodiscard]] x86asm::Gp as_word(const x86asm::Gp& reg) const { return gp_of_size(reg.id(), word()); }
    [[nodiscard]] bool has_word_operands() const { return m_one->decoded.operand_width == word() * 8; }

    // Registers (emit_registers.cpp). `scratch`: any size of rax or rcx.
    x86asm::Gp read(ZydisRegister guest, const x86asm::Gp& scratch);
    // The register to compute a new value of `guest` in, without its old value, and the way home from it.
    [[nodiscard]] x86asm::Gp target(ZydisRegister guest, const x86asm::Gp& scratch) const;
    void write_back(ZydisRegister guest, const x86asm::Gp& scratch);
    [[nodiscard]] x86asm::Mem gpr_slot(unsigned guest, unsigned bytes = 8) const;

    // Memory (emit_memory.cpp).
    [[nodiscard]] bool can_address(unsigned i) const;  // false: return false from the emitter
    x86asm::Mem access(unsigned i);                    // reads or writes as the operand's actions say
    // The same for the operand of a single host instruction, before which no guest register changes: it may be at
    // [register + rcx + something], which is there earlier.
    x86asm::Mem access_at_once(unsigned i);
    enum class AccessKind : uint8_t { read, write };
    // The word() bytes at base + displacement, for what uses the stack without saying so.
    x86asm::Mem access_stack(const x86asm::Gp& base, int displacement, AccessKind kind);
    // For a block of bytes: rcx, a linear address, becomes its distance from the start of the page that the TLB has there
    // (less than 4096, when it is that page), rax what to add to linear addresses of that page.
    void look_for_page(AccessKind kind);
    void move_stack(int bytes) { a.lea(as_word(k_guest_rsp), x86asm::ptr(k_guest_rsp, bytes)); }
    // The latest access is at [rcx + offset], and its address a multiple of `alignment`; anything else is the
    // interpreter's.
    void check_alignment(const x86asm::Mem& at, const SharedUse& use, unsigned alignment);
    // rcx is what the latest access made it: the next instruction may find it so.
    void keep_rcx() { m_keeps_rcx = true; }
    // It is not, from here on: to be called when rcx changes before an access of the same instruction.
    void change_rcx() { m_rcx_span = -1; }
    // The effective address of operand i without segment and so many bytes below into `to` (rcx or any register that is
    // no part of it), as_word(): no flags.
    void effective_address(unsigned i, const x86asm::Gp& to, int below = 0);
    asmjit::Label slow();
    // The instruction's operand must be aligned so, which comes before what the MMU says. Before access().
    void require_alignment(unsigned bytes) { m_alignment = bytes; }

    // Units (emit_units.cpp): what the instruction needs is live afterwards. Clobbers the flags when it is not known to be.
    void wake_units();
    bool emit_on_unit();

    // Flags (emit_flags.cpp).
    void clobber_flags();
    void want_flags();
    void flags_written();
    // They are in Core::status, for an instruction that reads them there.
    void store_flags() {
        ensure_flags_in_memory();
        m_flags.host = false;
    }
    // The instruction has put the guest's flags into Core::status itself.
    void flags_in_memory() { m_flags = {.host = false, .memory = true}; }
    // The host's flags are the guest's, whatever the instruction wants.
    void load_flags();

    // Ways out of the region, for instructions that end it (emit_branch.cpp).
    // To the code at RIP = rcx, if it is known here; otherwise the whole instruction is the interpreter's. The flags must
    // have been clobbered.
    void leave_to_rcx();
    // The first half of that: rax then leads to the code's address (jump_target_code()), rcx is the page's address.
    void look_up_rcx();
    [[nodiscard]] x86asm::Mem jump_target_code() const;
    [[nodiscard]] x86asm::Mem slot(const void* place, unsigned bytes = 8) const;
    [[nodiscard]] Runtime& runtime() const { return *m_places.runtime; }
    [[nodiscard]] interp::Core& core() const { return *m_places.core; }
    [[nodiscard]] const Thunks& thunks() const { return m_places.thunks; }
    // Whether the address `offset` bytes from the start of the page, where it lies now, is.
    [[nodiscard]] bool is_canonical(int64_t offset) const;
    // The linear address `offset` bytes from the start of the page.
    void load_page_address(const x86asm::Gp& to, int64_t offset);
    // CALL (emit_call.cpp): the frame for a return to rax = the RIP behind the instruction. Clobbers the host's flags.
    void push_return_frame();
    // Behind the host's CALL.
    void bind_return_point();
    // RET to RIP = rcx; RSP grows by so much.
    void return_to_rcx(int stack_change);
    // The host's CALL for a direct target, `offset` bytes from the start of the page, and its return point.
    void call_direct(int64_t offset);

  private:
    struct FlagState {
        bool host = false, memory = false;
        // They can be made again from what this instruction left: see emit_recipes.cpp.
        const GuestInstruction* recipe = nullptr;
    };
    struct SlowPath {
        asmjit::Label label, back;
        uint32_t site;
        const GuestInstruction* recipe;  // that the flags are made of first, or null
        bool reload_flags, returns;
        UnitUse live;  // what has to be live where it returns
    };
    struct Miss {
        asmjit::Label label, found, otherwise;
        unsigned thunk, bytes, alignment;  // thunk: k_no_thunk: nobody knows more
        std::optional<x86asm::Mem> wants_addend;  // `found` has rcx = the host address less this linear one
    };
    // A unit that was found asleep.
    struct WakePath {
        asmjit::Label label, back, slow;
        const uint32_t* asleep;
        uint64_t wake;  // thunk
    };
    // Where a direct jump or call goes when its target is not known. `back`, when valid: it is a call, which returns there.
    struct FarPath {
        asmjit::Label label, back;
        int64_t offset;
        const JumpSite* site;  // may be null
    };
    // A conditional way forward, on which flags have to be loaded or saved first.
    struct EdgePath {
        asmjit::Label label;
        int block;
        FlagState flags;
    };
    // The return stack is full.
    struct FullPath {
        asmjit::Label label, back;
    };
    // The topmost frame is another call's. `slow`: for an RIP that is none.
    struct ReturnPath {
        asmjit::Label label, slow;
        int stack_change;
    };
    // A shared check of the current block.
    struct Span {
        bool checked = false;
        unsigned alignment = 1;  // its address modulo this is `residue`
        unsigned residue = 0;
    };
    // Where the code of a block with shared checks goes on when one fails: its second version, which checks every access
    // by itself.
    struct CarefulEntry {
        uint16_t instruction;  // of the block
        asmjit::Label label;
        FlagState flags;  // of who comes here
    };
    // What is looked for in the TLB.
    struct Look {
        unsigned bytes;
        AccessKind kind;
        unsigned alignment = 1;
        // An access no larger than its alignment lies within a page, so one look at its place there says all.
        [[nodiscard]] bool says_alignment() const { return alignment > 1 && bytes <= alignment; }
    };
    // A span in a loop that is not on the page of the round before; and, when even the TLB's place does not have it, what
    // was found for it. `miss` is valid in later rounds only.
    struct PagePath {
        asmjit::Label elsewhere, learn, found;
        const GuestInstruction* one;
        unsigned operand, below;
        const FoundPage* page;
        Look look;
        asmjit::Label miss;
    };
    struct WayOut {
        asmjit::Label label;
        int64_t offset;
        FlagState flags;
        ExitKind kind;
        SiteBranch branch;
    };

    void emit_entry();
    void list_blocks();
    void emit_block(unsigned index);
    void emit_careful_blocks();
    void emit_careful_block(unsigned index);
    [[nodiscard]] bool is_alone_in_later_round(const SharedUse& use) const;
    [[nodiscard]] bool will_check() const;
    asmjit::Label careful();
    // Where to jump when the inline check misses (emit_refill.cpp): rcx is the linear address less the entry's tag. It
    // comes to `found` with rcx = the host address, or to `otherwise`; rax and flags are clobbered. With slow() as
    // `otherwise` it is an access of this very instruction, whose page fault may be delivered.
    Miss& missed(const Look& look, const asmjit::Label& found, const asmjit::Label& otherwise);
    void find_entry();
    [[nodiscard]] x86asm::Mem entry_field(size_t field) const;
    [[nodiscard]] x86asm::Mem tag_field(AccessKind kind) const;
    void check_address(const Look& look, const asmjit::Label& otherwise);
    void check_page(const Look& look, const asmjit::Label& miss);
    [[nodiscard]] std::optional<x86asm::Mem> plain_address(unsigned i) const;
    void add_segment(unsigned segment, unsigned bytes, AccessKind kind);
    template <typename Address>
    x86asm::Mem access_at(const SharedUse& use, unsigned bytes, AccessKind kind, Address to_rcx);
    x86asm::Mem use_span(const SharedUse& use, unsigned bytes);
    void check_span(const SharedUse& use);
    [[nodiscard]] bool shares(const SharedUse& use) const { return !m_careful && use.any(); }
    // Loops (emit_loop.cpp).
    [[nodiscard]] int round_to_enter(int block) const;
    void begin_later_rounds(const GuestBlock& block);
    void emit_next_round(x86asm::CondCode condition, int block, int64_t offset);
    [[nodiscard]] bool is_where_it_was(const SharedUse& use) const;
    [[nodiscard]] bool is_on_loop_page(const SharedUse& use) const;
    void check_loop_page(unsigned i, const SharedUse& use);
    void learn_page(const FoundPage& page, AccessKind kind);
    x86asm::Mem loop_page_operand(unsigned i);
    void emit_page_paths();
    void conform_flags(int block);
    void make_flags_of(const GuestInstruction& recipe);
    [[nodiscard]] bool flags_outlive(const GuestInstruction& one) const;
    void keep_flags_past_recipe();
    void end_recipe();
    // False: nothing after this instruction is reached.
    bool emit_instruction(GuestInstruction& one);
    bool emit_itself(const GuestInstruction& one);
    bool emit_fallback(GuestInstruction& one);
    void finish_instruction(bool returns);
    void emit_block_end(unsigned index);
    void emit_conditional(const GuestBlock& block, unsigned index, const GuestInstruction& one);
    void go_to(int block, int64_t offset, unsigned from);
    void jump_back(int block, int64_t offset);
    void emit_conditional_back(x86asm::CondCode condition, int block, int64_t offset);
    void leave_when_requested(const asmjit::Label& out);
    void emit_edge_paths();
    void emit_slow_paths();
    void emit_wake_paths();
    void emit_misses();
    void wake(const uint32_t& asleep, uint64_t thunk);
    void emit_ways_out();
    void emit_way_out(int64_t offset, ExitKind kind, SiteBranch branch);
    JumpSite* new_jump_site(SiteBranch branch);
    [[nodiscard]] SiteBranch branch_to(int64_t offset) const;
    void check_jump_site(const JumpSite& site, const asmjit::Label& otherwise);
    void emit_return_paths();
    void emit_call_paths();
    asmjit::Label way_out(int64_t offset, ExitKind kind);
    void start(asmjit::CodeHolder& code, GuestRegion& guest);
    [[nodiscard]] const interp::TlbSet* known_tlb_set() const;

    void check_next_page();
    uint32_t make_site();
    void count_site(uint32_t site, CountByMnemonic ProfileCounters::*counts);
    void save_flags();
    void ensure_flags_in_memory();
    void choose_entry_flags();
    [[nodiscard]] FlagState entry_flags(int block) const;
    [[nodiscard]] bool inherits_flags(int block) const;
    // Does a way to the block have to load or save flags?
    [[nodiscard]] bool must_prepare_flags_for(int block) const;
    void prepare_flags_for(int block);
    void conform_flags_outside(int64_t offset);

    Places m_places;
    std::deque<Site>& m_sites;
    bool m_code64 = true;
    asmjit::CodeHolder* m_code = nullptr;
    GuestRegion* m_guest = nullptr;
    std::span<const std::byte> m_page;
    Region* m_region = nullptr;
    Output* m_output = nullptr;
    const GuestInstruction* m_one = nullptr;
    FlagState m_flags;
    asmjit::Label m_slow;  // of the current instruction; invalid: not used so far
    unsigned m_alignment = 1;  // that it requires
    const GuestInstruction* m_slow_recipe = nullptr;
    bool m_leaves = false;  // the current instruction goes to another region
    std::vector<asmjit::Label> m_labels;      // of the blocks
    std::vector<std::optional<FlagState>> m_entry_flags;  // of blocks that do not begin with them in memory
    std::vector<bool> m_bound;
    // Shared checks.
    bool m_careful = false;     // the second versions are being emitted
    unsigned m_block = 0;       // the current one
    unsigned m_in_block = 0;    // the current instruction of it
    std::array<Span, k_most_checks> m_spans;
    int m_rcx_span = -1;        // rcx is the address of this one, at the start of the instruction
    int m_latest_span = -1;     // what the latest access left in rcx
    bool m_keeps_rcx = false;
    bool m_asks_careful = false;
    std::vector<std::vector<CarefulEntry>> m_careful_entries;  // by block
    JumpSite* m_next_page = nullptr;  // of the current instruction, if that straddles
    bool m_again = false;
    bool m_fell_back = false;  // the latest instruction is the interpreter's
    std::vector<SlowPath> m_slow_paths;
    std::vector<WakePath> m_wake_paths;
    std::vector<Miss> m_misses;
    std::vector<WayOut> m_ways_out;
    std::vector<PagePath> m_page_paths;
    std::vector<EdgePath> m_edge_paths;
    std::vector<FarPath> m_far_paths;
    std::vector<FullPath> m_full_paths;
    std::vector<ReturnPath> m_return_paths;
};

using EmitFunction = bool (*)(Emitter& e, asmjit::InstId id);
struct EmitEntry {
    EmitFunction function = nullptr;
    asmjit::InstId id = 0;
};
// The table's entry for a mnemonic; function is null when there is none.
[[nodiscard]] const EmitEntry& emit_entry_of(ZydisMnemonic mnemonic);

// One line of a subject's table.
struct EmitLine {
    ZydisMnemonic mnemonic;
    EmitFunction function;
    asmjit::InstId id;
};
// The subjects; emitter_table.cpp puts them together.
[[nodiscard]] std::span<const EmitLine> integer_lines();
[[nodiscard]] std::span<const EmitLine> multiply_lines();
[[nodiscard]] std::span<const EmitLine> stack_lines();
[[nodiscard]] std::span<const EmitLine> branch_lines();
[[nodiscard]] std::span<const EmitLine> system_lines();
[[nodiscard]] std::span<const EmitLine> string_lines();

bool emit_same(Emitter& e, asmjit::InstId id);
bool emit_read_selector(Emitter& e);
// An instruction on vector or MMX registers (emit_vector.cpp), of the x87 unit (emit_x87.cpp). Its units are live.
bool emit_vector(Emitter& e);
bool emit_x87(Emitter& e);

// Looks into Runtime::jump_targets for RIP = rcx: rcx becomes its page's linear address, and rax leads to the entry
// (jump_target_field()). To `unknown` when there is none. Clobbers flags.
void emit_jump_target_look(x86asm::Assembler& a, const Places& places, const asmjit::Label& unknown);
[[nodiscard]] x86asm::Mem jump_target_field(const Runtime& runtime, size_t offset);

// Backward data flow over the region: fills live_in and live_out.
void find_live_flags(GuestRegion& region);

// Whether the flags that an instruction writes can be made again later from its operands (emit_recipes.cpp).
[[nodiscard]] bool is_recipe(const GuestInstruction& one);
// Whether `one` changes a register that the recipe needs.
[[nodiscard]] bool spoils_recipe(const GuestInstruction& one, const GuestInstruction& recipe);


}  // namespace skep::jit
