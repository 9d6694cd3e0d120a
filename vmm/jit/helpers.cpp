// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/helpers.hpp"

#include <Zydis/Zydis.h>

#include <utility>

#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/exceptions.hpp"
#include "vmm/interp/memory_access.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/jit/translator.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::jit {
namespace {

using interp::Core;

void decode_site(Site& site, const Core& core) {
    const interp::Decoded decoded =
        interp::decode_instruction(std::span(site.bytes).first(site.length), interp::decode_mode(core), 0);
    site.ops[0] = decoded.op;
    site.ops[1].run = interp::run_stale;  // back to here
    site.ops[1].offset = site.length;
    site.flow = decoded.flow;
    site.decoded = true;
}

// False when it faulted, and the exception was delivered.
bool run_site(Core& core, const Site& site) {
    try {
        site.ops[0].run(core, site.ops.data());
        return true;
    } catch (const interp::Fault& fault) {
        interp::take_fault(core, fault);
        return false;
    }
}

// STI when an interrupt may be waiting: is one? If not, its shadow hides nothing.
bool let_interrupts_in(Core& core) {
    if (core.cpl != 0 || core.nmi_pending || core.queued_interrupt || interp::needs_single_steps(core) ||
        core.requests.load(std::memory_order_relaxed) != 0) {
        return false;
    }
    if (core.interrupt_maybe && core.io->interrupt_pending()) {
        return false;
    }
    core.interrupt_maybe = false;
    core.rflags_rest |= x86::k_flag_if;
    return true;
}

// The instruction has ended its block, or faulted: Core::rip is where to go on.
ExitKind go_elsewhere(JitTranslator& translator) {
    if (!translator.core().vcpu->goes_on()) {
        return ExitKind::run_loop;
    }
    translator.go_elsewhere();
    return ExitKind::elsewhere;
}

ExitKind run_branch(JitTranslator& translator, const Site& site) {
    Core& core = translator.core();
    core.requests.fetch_or(interp::k_request_step);  // that the handler does not go on with the next block itself
    if (run_site(core, site)) {
        core.requests.fetch_and(~uint32_t{interp::k_request_step});
    }
    return go_elsewhere(translator);
}

}  // namespace

ExitKind interpret_site(JitTranslator* translator, uint32_t index) noexcept {
    Site& site = translator->site(index);
    Core& core = translator->core();
    const uint64_t rip = translator->runtime().page_base + site.offset;
    core.gpr[17] = rip;
    core.rip = rip;
    if (std::exchange(translator->runtime().page_fault, false)) {
        interp::take_fault(core, core.fault);
        return go_elsewhere(*translator);
    }
    if (!site.decoded) {
        decode_site(site, core);
    }
    if (site.straddles && !translator->find_next_page(site, rip)) {
        return ExitKind::run_loop;
    }
    if (site.mnemonic == ZYDIS_MNEMONIC_STI && site.comes_back && !site.region->stale && let_interrupts_in(core)) {
        core.rip = rip + site.length;
        return ExitKind::none;
    }
    if (site.mnemonic == ZYDIS_MNEMONIC_PAUSE && translator->runtime().pauses_left == 0) {
        translator->wait_in_spin_loop();
    }
    if (site.flow == interp::Flow::branch) {
        return run_branch(*translator, site);
    }
    const uint64_t context = core.code_context;
    if (!run_site(core, site) || site.flow == interp::Flow::ends_block) {
        return go_elsewhere(*translator);
    }
    const bool goes_on = core.rip == rip + site.length && !site.region->stale &&
                         core.code_context == context && core.requests.load(std::memory_order_relaxed) == 0;
    return goes_on ? ExitKind::none : ExitKind::run_loop;
}

std::byte* refill_tlb(JitTranslator* translator, uint64_t linear, uint32_t writes, Refill how) noexcept {
    Core& core = translator->core();
    const interp::Access access = writes != 0 ? interp::Access::write : interp::Access::read;
    if (!x86::is_canonical(linear)) {
        return nullptr;
    }
    if (how == Refill::knows) {
        return interp::is_known(core, linear, access) ? interp::find_host(core, linear, access) : nullptr;
    }
    const interp::Resolved found = interp::try_resolve(core, linear, access, interp::data_rule(core));
    if (found.faulted()) {
        core.fault = interp::page_fault(core, linear, found.error_code);
        translator->runtime().page_fault = true;
        return nullptr;
    }
    return writes != 0 ? interp::host_for_write(core, linear, 1) : interp::host_for_read(core, linear, 1);
}

}  // namespace skep::jit
