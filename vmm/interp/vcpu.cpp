// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/vcpu.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/exceptions.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/memory_access.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/paravirtual.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {
namespace {

constexpr uint64_t k_dr6_single_step = 0x4000;  // DR6.BS
constexpr size_t k_most_straddlers = 4096;

}  // namespace

InterpVcpu::InterpVcpu(InterpVm& vm, unsigned index, const TranslatorFactory& make_translator)
    : m_vm(vm), m_index(index), m_core(make_low<Core>()) {
    m_core->vm = &vm;
    m_core->vcpu = this;
    m_core->memory = &vm.memory();
    load_state(*m_core, reset_cpu_state(vm.cpuid_signature()));
    if (make_translator) {
        m_translator = make_translator(*m_core);
        m_core->translator = m_translator.get();
    }
}

InterpVcpu::~InterpVcpu() { m_vm.forget(*this); }

// --- what others ask for -------------------------------------------------------------------------------------------------
void InterpVcpu::kick(KickReason reason) {
    request(reason == KickReason::leave ? k_request_leave : k_request_interrupt);
}

void InterpVcpu::inject_nmi() { m_core->nmi_pending = true; }

uint64_t InterpVcpu::ask_to_protect(const std::byte* host_page, uint64_t size) {
    uint64_t ticket = 0;
    {
        const std::lock_guard lock(m_letters_mutex);
        m_letters.push_back({Wish::protect, host_page, size});
        ticket = m_asked.fetch_add(1) + 1;
    }
    request(k_request_code);
    return ticket;
}

bool InterpVcpu::has_answered(uint64_t ticket) const { return m_answered.load() >= ticket || !m_running.load(); }

void InterpVcpu::ask_to_drop(const std::byte* host_page) {
    {
        const std::lock_guard lock(m_letters_mutex);
        m_letters.push_back({Wish::drop, host_page, k_page_size});
        m_asked.fetch_add(1);
    }
    request(k_request_code);
}

void InterpVcpu::answer() {
    std::vector<Letter> letters;
    uint64_t asked = 0;
    {
        const std::lock_guard lock(m_letters_mutex);
        letters.swap(m_letters);
        asked = m_asked.load();
    }
    for (const Letter& letter : letters) {
        if (letter.wish == Wish::drop) {
            drop_page(letter.host_page);
        } else {
            protect_page(letter.host_page, letter.size);
        }
    }
    m_answered.store(asked);
}

void InterpVcpu::protect_page(const std::byte* host_page, uint64_t size) { protect_tlb_range(*m_core, host_page, size); }
void InterpVcpu::drop_page(const std::byte* host_page) {
    m_blocks.drop_page(host_page);
    if (m_translator) {
        m_translator->drop_page(host_page);
    }
}

void InterpVcpu::clear_code() {
    m_blocks.clear();
    if (m_translator) {
        m_translator->clear();
    }
    new_code_generation(*m_core);
}

// False when run() shall return.
bool InterpVcpu::serve_requests() {
    const uint32_t wanted = m_core->requests.exchange(0);
    if ((wanted & k_request_fault) != 0) {
        take_fault(*m_core, m_core->fault);
    }
    if ((wanted & k_request_flush_tlb) != 0) {
        flush_tlb(*m_core);
        m_straddlers.clear();
        clear_code();
    }
    if ((wanted & k_request_code) != 0) {
        answer();
    }
    if ((wanted & k_request_interrupt) != 0) {
        m_core->interrupt_maybe = true;
    }
    return (wanted & k_request_leave) == 0;
}

// --- finding code --------------------------------------------------------------------------------------------------------
AccessRule InterpVcpu::fetch_rule() const { return m_core->cpl == 3 ? k_as_user : k_as_supervisor; }

// The linear address of the next instruction, and how many bytes the code segment allows from there.
uint64_t InterpVcpu::fetch_room(uint64_t& linear) {
    Core& core = *m_core;
    if (core.code64) {
        if (!x86::is_canonical(core.rip)) {
            raise(k_gp, 0);
        }
        linear = core.rip;
        return ~uint64_t{0};
    }
    const uint64_t limit = core.segment[k_cs].limit;
    if (core.rip > limit) {
        raise(k_gp, 0);
    }
    linear = static_cast<uint32_t>(core.segment_base[k_cs] + core.rip);
    return limit - core.rip + 1;
}

InterpVcpu::Entry InterpVcpu::find_code(uint32_t extra_key) {
    Core& core = *m_core;
    uint64_t linear = 0;
    const uint64_t room = fetch_room(linear);
    const Resolved found = try_resolve(core, linear, Access::execute, fetch_rule());
    if (found.faulted()) [[unlikely]] {
        leave_with_fault(core, page_fault(core, linear, found.error_code));
        return {nullptr, 0};
    }
    const std::byte* host = found.host;
    const uint32_t key = core.code_mode | extra_key;
    if (host == nullptr) {
        return fetch_slowly(key, linear, room);
    }
    Block* block = m_blocks.find(host, key);
    if (block == nullptr) {
        block = decode_at(host, k_page_size - (linear & k_page_mask), key);
    }
    if (block == nullptr || block->length > room) {
        return fetch_slowly(key, linear, room);
    }
    if (extra_key == 0) {
        jump_entry(core, core.rip) = {.rip = core.rip,
                                      .context = core.code_context,
                                      .ops = block->ops(),
                                      .op_count = block->op_count};
    }
    return {block->ops(), block->op_count};
}

// A new block for the bytes at host, or null when it must be fetched the slow way.
Block* InterpVcpu::decode_at(const std::byte* host, uint64_t available, uint32_t key) {
    if (m_blocks.is_full()) {
        clear_code();
    }
    constexpr size_t k_copy_bytes = size_t{k_most_ops} * 15;
    constexpr unsigned k_attempts = 8;
    const DecodeMode mode = decode_mode(*m_core);
    const bool is_ram = m_core->memory->marks_of(host) != nullptr;
    const uint32_t threshold = m_translator && (key & k_single_op) == 0 ? m_translator->threshold(mode) : 0;
    std::array<std::byte, k_copy_bytes> copy;
    const size_t size = std::min<size_t>(available, copy.size());
    for (unsigned attempt = 0; attempt < k_attempts; ++attempt) {
        const uint64_t clears = m_vm.code_clears();
        std::memcpy(copy.data(), host, size);
        Block* block = m_blocks.decode(std::span(copy).first(size), mode, key, threshold);
        if (block == nullptr) {
            return nullptr;
        }
        if (is_ram) {
            const auto* page = reinterpret_cast<const std::byte*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{k_page_mask});
            m_vm.watch_code(*this, host, block->length, !m_blocks.holds_page(page));
        }
        // From here on every write to these bytes is noticed; was one missed before?
        if (!is_ram || (m_vm.code_clears() == clears && std::memcmp(copy.data(), host, block->length) == 0)) {
            m_blocks.insert(block, host);
            return block;
        }
    }
    return nullptr;
}

// One instruction that lies across two pages, in MMIO, or so near the end of its segment that every byte counts. It is
// compared with memory each time, so nobody has to tell when it changes.
InterpVcpu::Entry InterpVcpu::fetch_slowly(uint32_t key, uint64_t linear, uint64_t limit_room) {
    Core& core = *m_core;
    std::array<std::byte, 15> bytes{};
    unsigned have = 0;
    const auto fetch_page = [&](unsigned most) {
        const uint64_t start = core.code64 ? linear + have : static_cast<uint32_t>(linear + have);
        GuestAddress physical = 0;
        const std::byte* host = resolve(core, start, Access::execute, fetch_rule(), &physical);
        const auto count = static_cast<unsigned>(std::min<uint64_t>(most - have, k_page_size - (start & k_page_mask)));
        for (unsigned i = 0; i < count; ++i) {
            bytes[have + i] = host != nullptr ? host[i] : static_cast<std::byte>(core.io->mmio_read(physical + i, 1));
        }
        have += count;
    };
    const auto most = static_cast<unsigned>(std::min<uint64_t>(bytes.size(), limit_room));
    fetch_page(most);
    const uint64_t place = linear ^ uint64_t{key} << 52;
    const auto known = m_straddlers.find(place);
    if (known != m_straddlers.end() && known->second.key == key) {
        const Straddler& old = known->second;
        if (std::memcmp(old.bytes.data(), bytes.data(), std::min(have, old.length)) == 0) {
            if (old.length > have) {
                fetch_page(old.length);
            }
            if (have >= old.length && std::memcmp(old.bytes.data(), bytes.data(), old.length) == 0) {
                return {old.ops.data(), 1};
            }
        }
    }
    const DecodeMode mode = decode_mode(core);
    Decoded decoded = decode_instruction(std::span(bytes).first(have), mode, 0);
    if (!decoded.complete && have < most) {
        fetch_page(most);
        decoded = decode_instruction(std::span(bytes).first(have), mode, 0);
    }
    if (!decoded.complete) {
        raise(k_gp, 0);  // the segment ends inside the instruction
    }
    if (m_straddlers.size() >= k_most_straddlers) {
        m_straddlers.clear();
    }
    Straddler& fresh = m_straddlers[place];
    fresh = {.key = key, .length = decoded.op.length, .bytes = bytes, .ops = {decoded.op, Op{}}};
    fresh.ops[1].run = run_fall_through;
    fresh.ops[1].offset = decoded.op.length;
    return {fresh.ops.data(), 1};
}

// --- running -------------------------------------------------------------------------------------------------------------
void InterpVcpu::enter(const Op* ops, unsigned op_count) {
    m_core->gpr[17] = m_core->rip;
    m_core->retired += op_count;
    ops->run(*m_core, ops);
}

void InterpVcpu::run_next_block() {
    Core& core = *m_core;
    const JumpEntry& known = jump_entry(core, core.rip);
    if (jump_entry_valid(core, known, core.rip) && known.ops->run != run_stale) {
        enter(known.ops, known.op_count);
        return;
    }
    const Entry entry = find_code(0);
    if (entry.ops != nullptr) {
        enter(entry.ops, entry.op_count);
    }
}

// A single instruction, after which something is looked at: single-step, an interrupt shadow, RF, breakpoints.
void InterpVcpu::run_one() {
    Core& core = *m_core;
    const bool trap = (core.rflags_rest & k_flag_tf) != 0;
    const bool resumed = (core.rflags_rest & k_flag_rf) != 0;
    const bool only_branches = (core.msr.debugctl & x86::k_debugctl_btf) != 0;
    if (has_breakpoints(core)) {
        uint64_t linear = 0;
        fetch_room(linear);
        check_code_breakpoints(core, linear);
    }
    const Entry entry = find_code(k_single_op);
    if (entry.ops == nullptr) {
        return;
    }
    core.shadow_sti = core.shadow_movss = false;  // they cover this instruction, which may begin new ones
    core.step_lost = false;
    core.requests.fetch_or(k_request_step);
    const uint64_t behind = core.rip + entry.ops->length;
    enter(entry.ops, entry.op_count);
    if ((core.requests.fetch_and(~uint32_t{k_request_step}) & k_request_fault) != 0) {
        return;
    }
    const bool steps = trap && !core.step_lost && (!only_branches || core.rip != behind);
    core.pending_debug |= steps ? k_dr6_single_step : 0;
    if (resumed) {
        core.rflags_rest &= ~uint64_t{k_flag_rf};
    }
}

// Has poll_events() anything to deliver?
bool InterpVcpu::due() const {
    const Core& core = *m_core;
    return core.pending_debug != 0 || core.nmi_pending ||
           (core.interrupt_maybe && (core.rflags_rest & k_flag_if) != 0);
}

bool InterpVcpu::goes_on() {
    Core& core = *m_core;
    while (core.requests.load(std::memory_order_relaxed) == 0 && core.activity == Activity::running) {
        if (due() && poll_events(core)) {
            continue;
        }
        return !needs_single_steps(core);
    }
    return false;
}

// Until somebody wants something or the processor stops; throws the guest's faults.
void InterpVcpu::run_blocks() {
    Core& core = *m_core;
    while (core.requests.load(std::memory_order_relaxed) == 0 && core.activity == Activity::running) {
        if (due() && poll_events(core)) {
            continue;
        }
        if (needs_single_steps(core)) [[unlikely]] {
            run_one();
        } else {
            run_next_block();
        }
    }
}

RunExit InterpVcpu::run(CpuIo& io) {
    Core& core = *m_core;
    core.io = &io;
    m_running.store(true);
    RunExit exit = RunExit::kicked;
    while (serve_requests()) {
        if (core.activity == Activity::halted) {
            poll_events(core);
        }
        if (core.activity == Activity::shutdown) {
            exit = RunExit::shutdown;
            break;
        }
        if (core.activity == Activity::halted) {
            if (core.requests.load() != 0) {
                continue;
            }
            exit = RunExit::halted;
            break;
        }
        try {
            run_blocks();
        } catch (const Fault& fault) {
            take_fault(core, fault);
        }
        m_instructions.store(core.retired, std::memory_order_relaxed);
    }
    m_running.store(false);
    return exit;
}

// --- state ---------------------------------------------------------------------------------------------------------------
void InterpVcpu::save(CpuState& state) {
    store_state(*m_core, state);
    state.tsc = m_vm.tsc_now();
}

void InterpVcpu::load(const CpuState& state) {
    load_state(*m_core, state);
    if (m_index == 0) {
        m_vm.set_tsc(state.tsc);
    }
    refresh_clock_page(*m_core, ClockNews::stopped);
}

void load_state(Core& core, const CpuState& state) {
    std::copy(state.gpr.begin(), state.gpr.end(), core.gpr.begin());
    core.rip = state.rip;
    core.status = status_from_rflags(state.rflags);
    core.rflags_rest = (state.rflags & ~k_arithmetic_flags) | 2;
    core.segment = state.segment;
    core.ldtr = state.ldtr;
    core.tr = state.tr;
    core.gdtr = state.gdtr;
    core.idtr = state.idtr;
    core.cr0 = state.cr0;
    core.cr2 = state.cr2;
    core.cr3 = state.cr3;
    core.cr4 = state.cr4;
    core.xcr0 = state.xcr0;
    core.dr = state.dr;
    core.dr6 = state.dr6;
    core.dr7 = state.dr7;
    core.msr = state.msr;
    core.xsave = state.xsave;
    complete_vector_state(core);
    core.activity = state.activity;
    core.shadow_sti = state.interrupt_shadow_sti;
    core.shadow_movss = state.interrupt_shadow_movss;
    core.nmi_blocked = state.nmi_blocked;
    core.nmi_pending = state.nmi_pending;
    core.queued_interrupt = state.queued_interrupt;
    core.pending_debug = state.pending_debug;
    core.interrupt_maybe = true;
    state_loaded(core);
}

void store_state(const Core& core, CpuState& state) {
    std::copy_n(core.gpr.begin(), state.gpr.size(), state.gpr.begin());
    state.rip = core.rip;
    state.rflags = read_rflags(core);
    state.segment = core.segment;
    state.ldtr = core.ldtr;
    state.tr = core.tr;
    state.gdtr = core.gdtr;
    state.idtr = core.idtr;
    state.cr0 = core.cr0;
    state.cr2 = core.cr2;
    state.cr3 = core.cr3;
    state.cr4 = core.cr4;
    state.xcr0 = core.xcr0;
    state.dr = core.dr;
    state.dr6 = core.dr6;
    state.dr7 = core.dr7;
    state.msr = core.msr;
    state.xsave = sealed_vector_state(core);
    state.activity = core.activity;
    state.interrupt_shadow_sti = core.shadow_sti;
    state.interrupt_shadow_movss = core.shadow_movss;
    state.nmi_blocked = core.nmi_blocked;
    state.nmi_pending = core.nmi_pending;
    state.pending_debug = core.pending_debug;
    state.queued_interrupt = core.queued_interrupt;
}

}  // namespace skep::interp
