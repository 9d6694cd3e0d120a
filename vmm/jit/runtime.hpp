// SPDX-License-Identifier: GPL-3.0-or-later
// What translated code reads and writes beside the Core: fixed slots below 2 GiB, one Runtime a vCPU.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/interp/core.hpp"
#include "vmm/jit/shared_checks.hpp"
#include "vmm/jit/spin_patience.hpp"

namespace skep::jit {

// Why translated code was left (Core::rip is set); of interpret_site(): whether.
enum class ExitKind : uint32_t {
    none = 0,
    run_loop = 1,        // somebody wants something, or an event may be due
    unknown_target = 2,  // the code at RIP is not known here (yet)
    elsewhere = 3,       // of interpret_site() only: translated code goes on at RIP
};

// How far refill_tlb() goes for an access.
enum class Refill : uint32_t {
    walks = 0,  // as far as the processor would. A page fault is the running instruction's
    knows = 1,  // the guest's memory stays as it is: what would take a page walk is not found
};

// Translated code by linear page and context. Which entry an address has follows from its low bits, mixed with those of
// its page (functions tend to begin at multiples of 16), so that the entry and the page tell the offset. It does not follow
// from the context: a new process would find none of its entries in the host's cache. An entry of context 0 is empty.
struct JumpTarget {
    uint64_t page_key = 0;  // linear page address | Core::code_context
    uint64_t code = 0;
};
inline constexpr unsigned k_jump_targets = 1 << 16;
constexpr unsigned jump_target_index(uint64_t rip) { return static_cast<uint16_t>(rip ^ rip >> 12); }

// A direct jump or call to another page, as it was last found out: the code of its target, as long as the page that it is
// on, in this context, is the one of then.
struct JumpSite {
    uint64_t page_key = 0;     // of the jump: linear page address | Core::code_context; 0: nothing yet
    uint64_t target_base = 0;  // linear address of the target's page
    uint64_t code = 0;
};
inline constexpr unsigned k_jump_sites = 1 << 17;
// The instruction of a site: its offset in the page, and whether it is a CALL.
using SiteBranch = uint16_t;
inline constexpr SiteBranch k_site_calls = 0x8000, k_no_branch = 0x7fff;  // the latter: the code just goes on there

// A page as the TLB has it.
struct FoundPage {
    uint64_t tag = 0;     // linear address
    uint64_t addend = 0;  // from linear addresses to the host's
};

struct Runtime {
    uint64_t page_base = 0;  // linear address of the page that the running region lies on
    uint64_t spare = 0;      // for one instruction
    uint64_t spare2 = 0;
    uint64_t top_bit = uint64_t{1} << 63;
    std::array<uint64_t, k_most_checks> checked{};  // host addresses of the running block's spans (shared_checks.hpp)
    std::array<FoundPage, k_most_checks> pages{};  // of the running loop's spans (loops.hpp)
    uint32_t vectors_asleep = 1;  // 0: the host's vector registers and MXCSR are the guest's (units.hpp)
    uint32_t avx_asleep = 1;      // 0: that, and VEX encoded instructions are allowed
    uint32_t x87_asleep = 1;      // 0: the host's x87 registers are the guest's
    uint32_t host_mxcsr = 0x1f80;
    uint64_t unit_rax = 0, unit_rdx = 0;  // saved while the units are put to sleep or woken
    // The x87 pointers: the host's are its own, the guest's change only by what the interpreter runs.
    uint64_t fip = 0, fdp = 0, fop = 0;
    uint64_t interpret = 0;  // helper: interpret_site()
    uint64_t refill = 0;     // helper: refill_tlb()
    uint32_t pauses_left = SpinPatience::k_pauses;
    bool page_fault = false;  // refill_tlb() met a #PF, which is in Core::fault; interpret_site() of that instruction comes next
    void* translator = nullptr;
    // The stack of translated code (return_stacks.hpp), and the thread's own while that runs.
    uint64_t return_top = 0, return_limit = 0, return_base = 0;
    uint64_t host_stack = 0;
    std::array<JumpTarget, k_jump_targets> jump_targets{};
    uint32_t jump_sites_used = 0;
    std::array<JumpSite, k_jump_sites> jump_sites{};
    std::array<SiteBranch, k_jump_sites> site_branches{};
    uint64_t unknown_site = 0;  // address of the JumpSite that came to ExitKind::unknown_target, or 0
};

}  // namespace skep::jit
