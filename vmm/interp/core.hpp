// SPDX-License-Identifier: GPL-3.0-or-later
// Core: the working state of one interpreted processor. Plain members: handlers are free functions over it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/cpu/cpu_state.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/interp/address_spaces.hpp"
#include "vmm/interp/code_contexts.hpp"
#include "vmm/interp/op.hpp"
#include "vmm/interp/second_tlb.hpp"

namespace skep::interp {

// Thrown by anything that meets a guest fault; the run loop delivers it. `rip` of the Core is that of the instruction.
struct Fault {
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
};
enum Vector : uint8_t {
    k_de = 0, k_db = 1, k_nmi = 2, k_bp = 3, k_of = 4, k_br = 5, k_ud = 6, k_nm = 7, k_df = 8, k_ts = 10, k_np = 11,
    k_ss_fault = 12, k_gp = 13, k_pf = 14, k_mf = 16, k_ac = 17, k_mc = 18, k_xm = 19
};
[[noreturn]] inline void raise(uint8_t vector) { throw Fault{vector, false, 0}; }
[[noreturn]] inline void raise(uint8_t vector, uint32_t error_code) { throw Fault{vector, true, error_code}; }

enum class Access : uint8_t { read, write, execute };

// Which rules a data access obeys. The TLB has one set for each.
enum AccessRule : uint8_t {
    k_as_user = 0,           // CPL 3
    k_as_supervisor = 1,     // CPL 0..2, SMAP enforced; also implicit accesses (GDT, IDT, TSS) from any CPL
    k_as_supervisor_ac = 2,  // CPL 0..2 with EFLAGS.AC set: SMAP lifted
    k_as_user_aligned = 3,   // CPL 3 with CR0.AM and EFLAGS.AC: #AC. Its set stays empty, so all goes the slow way.
};
inline constexpr unsigned k_access_rules = 4;

// The entry of linear page p is [p % k_tlb_entries]; what had to go there for another page is k_tlb_entries behind, for
// those who look twice (translated code, when it misses). A tag is the linear page address, or empty_tag() of the entry.
// host address = host_page + (linear address - tag). The write tag is only set for pages that need no notice of writes
// (dirty bit set, no decoded code on it, RAM).
// Translated code takes the tag from the linear address and compares what is left with the page size, so an empty tag
// must be no nearer than a page to any address that looks here: see empty_tag().
struct TlbEntry {
    uint64_t read_tag = 0;
    uint64_t write_tag = 0;
    std::byte* host_page = nullptr;
    uint64_t addend = 0;  // host_page less the linear address of the page, for translated code
};
inline constexpr unsigned k_tlb_entries = 1024;
inline constexpr unsigned k_tlb_places = 2 * k_tlb_entries;
// The tag of "nothing here" in entry `index`: a page that belongs into an entry far away.
constexpr uint64_t empty_tag(unsigned index) { return (uint64_t{index} ^ (k_tlb_entries / 2)) << 12; }
using TlbSet = std::array<TlbEntry, k_tlb_places>;
constexpr TlbSet empty_tlb_set() {
    TlbSet set{};
    for (unsigned i = 0; i < k_tlb_places; ++i) {
        set[i].read_tag = set[i].write_tag = empty_tag(i);
    }
    return set;
}
inline std::byte* host_of(const TlbEntry& entry, uint64_t linear) { return entry.host_page + (linear & 0xfff); }
// What a set's entries are, so that nobody has to look into all of them: for a flush, which ones hold something; for the
// protection of a page, which ones may let it be written.
struct TlbUse {
    using Bits = std::array<uint64_t, k_tlb_places / 64>;
    Bits used{};
    Bits global{};
    Bits large{};  // parts of a page larger than 4 KiB
    // page_hash() of the host page of every entry with a write tag; what others have there means nothing.
    std::array<uint16_t, k_tlb_places> written{};
};
inline uint16_t page_hash(const std::byte* host_page) {
    const auto page = reinterpret_cast<uintptr_t>(host_page) >> 12;
    return static_cast<uint16_t>(page ^ page >> 16);
}
inline constexpr uint64_t k_no_page = ~uint64_t{0};  // of a code TLB entry

// Translations of instruction fetches: resolve(Access::execute) looks here first.
struct CodeTlbEntry {
    uint64_t tag = k_no_page;   // linear page address, bit 0 set for CPL 3
    View view = 0;              // it holds as long as this is the processor's view, or the one of global pages
    std::byte* host = nullptr;  // of the page
    GuestAddress physical = 0;  // of the page
};
inline constexpr unsigned k_code_tlb_entries = 256;

// Requests from other threads, looked at between blocks.
enum Request : uint32_t {
    k_request_interrupt = 1,   // CpuIo::interrupt_pending() may have changed
    k_request_leave = 2,
    k_request_flush_tlb = 4,   // the memory map changed: drop every TLB entry and every decoded block's host pointer
    k_request_code = 8,        // pages with decoded code were written by others: see the vCPU's invalidation list
    k_request_step = 16,       // own thread only: leave after every instruction (TF, shadows, armed debug registers)
    k_request_fault = 32,      // own thread only: the instruction at Core::rip met Core::fault; see leave_with_fault()
};

// Core::gpr[17]: the linear-independent RIP of the current block's first op, so that RIP-relative operands are
// ordinary base + displacement ones.
inline constexpr RegisterOffset k_block_rip_register = 17 * 8;

// Where execution goes on at a RIP, as long as its code context is the processor's. Direct-mapped.
struct JumpEntry {
    uint64_t rip = ~uint64_t{0};
    uint64_t context = 0;  // Core::code_context
    const Op* ops = nullptr;
    uint64_t op_count = 0;
};
inline constexpr unsigned k_jump_entries = 16384;

class Core {
  public:
    Core() { tlb_sets.fill(empty_tlb_set()); }

    // --- hot ---
    std::array<uint64_t, 18> gpr{};  // 16 registers, [16] always zero, [17] the block's RIP
    // The instruction to run (between blocks), the running one (in a PlainHandler, and when a Fault is thrown).
    uint64_t rip = 0;
    uint64_t next_rip = 0;           // what follows the running PlainHandler; one that ends a block may change it
    uint64_t rflags_rest = 2;        // every RFLAGS bit but the six arithmetic ones
    uint16_t status = 0x200;         // the six arithmetic flags as LAHF and SETO leave them: see flags.hpp
    std::array<uint64_t, 6> segment_base{};  // copies of segment[i].base, as the current mode applies them (0 for ES,CS,SS,DS in 64-bit mode)
    TlbEntry* tlb = nullptr;         // the set for ordinary data accesses now
    std::atomic<uint32_t> requests{0};
    uint64_t retired = 0;            // instructions
    // Highest offset of a segment that a read / write may touch without a closer look; -1 sends every access to the
    // exact check (null, expand-down, execute-only...). Not used in 64-bit mode. Kept by refresh_decode_mode().
    std::array<int64_t, 6> read_limit{}, write_limit{};
    // What RIP means now, as a number from 1 to 4095: code_contexts.hpp.
    uint64_t code_context = 0;
    uint16_t code_mode = 0;          // DecodeMode::key(), and by the privilege k_user_code and k_aligned_code
    Fault fault{};                   // of the last try_... function (memory_access.hpp) that said no
    bool interrupt_maybe = true;     // CpuIo::interrupt_pending() is worth a call; cleared by poll_events() when it says no

    // --- architectural state (SDM 3A ch. 2) ---
    std::array<Segment, 6> segment{};
    Segment ldtr, tr;
    TableRegister gdtr, idtr;
    uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, xcr0 = 1;
    std::array<uint64_t, 4> dr{};
    uint64_t dr6 = 0, dr7 = 0;
    MsrState msr;
    alignas(64) std::array<std::byte, 1024> xsave{};  // the live vector state, standard XSAVE layout
    Activity activity = Activity::running;
    // Set by STI / MOV SS / POP SS; the run loop clears both after the next instruction.
    bool shadow_sti = false, shadow_movss = false;
    bool nmi_blocked = false, nmi_pending = false;
    std::optional<uint8_t> queued_interrupt;  // out of the controller, not yet delivered (from another back end)
    // DR6 bits of debug traps that the last instruction earned (BS by the run loop, B0-B3 by the memory path);
    // poll_events() delivers them.
    uint64_t pending_debug = 0;
    bool step_lost = false;  // INT n, INT3, INTO, INT1 clear TF and take no single-step trap (SDM 3B, 17.3.1.4)

    // --- derived from the above, kept by update_mode() (system room) ---
    uint8_t cpl = 0;
    bool long_mode_active = false;  // EFER.LMA
    bool code64 = false;            // CS.L with LMA
    bool code32 = false;            // CS.D (not code64)
    bool stack64 = false, stack32 = false;  // width of the stack pointer
    bool protected_mode = false, v86 = false;

    // --- surroundings ---
    CpuIo* io = nullptr;
    GuestMemory* memory = nullptr;
    class InterpVm* vm = nullptr;
    class InterpVcpu* vcpu = nullptr;
    class Translator* translator = nullptr;  // null: interpreted only

    std::array<JumpEntry, k_jump_entries> jump_cache{};
    std::array<TlbSet, k_access_rules> tlb_sets;  // empty: see the constructor
    std::array<TlbUse, k_access_rules> tlb_use{};
    std::array<CodeTlbEntry, k_code_tlb_entries> code_tlb{};
    AddressSpaces spaces;
    SecondTlb second_tlb;
    CodeContexts contexts;
    std::array<MemoryRange, 2> known_ranges{};  // of the memory map, lately used by page walks; dropped by flush_tlb()
    std::array<uint64_t, 4> pdpte{};            // PAE paging: loaded with CR3 (SDM 3A, 4.4.1)
};

}  // namespace skep::interp
