// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/helpers.hpp"

#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/exceptions.hpp"
#include "vmm/jit/translator.hpp"

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
        core.requests.fetch_and(~uint32_t{interp::k_request_step});
        core.shadow_sti = core.shadow_movss = false;
        core.pending_debug = 0;
        interp::deliver_exception(core, fault);
        return false;
    }
}

}  // namespace

ExitKind interpret_site(JitTranslator* translator, uint32_t index) noexcept {
    Site& site = translator->site(index);
    Core& core = translator->core();
    if (!site.decoded) {
        decode_site(site, core);
    }
    const uint64_t rip = translator->runtime().page_base + site.offset;
    const uint64_t context = core.code_context;
    core.gpr[17] = rip;
    core.rip = rip;
    if (site.straddles && !translator->find_next_page(site, rip)) {
        return ExitKind::run_loop;
    }
    if (site.flow == interp::Flow::branch) {
        core.requests.fetch_or(interp::k_request_step);  // that the handler does not go on with the next block itself
        if (!run_site(core, site)) {
            return ExitKind::run_loop;
        }
        core.requests.fetch_and(~uint32_t{interp::k_request_step});
        return ExitKind::unknown_target;
    }
    if (!run_site(core, site)) {
        return ExitKind::run_loop;
    }
    const bool goes_on = site.flow == interp::Flow::next && core.rip == rip + site.length && !site.region->stale &&
                         core.code_context == context && core.requests.load(std::memory_order_relaxed) == 0;
    return goes_on ? ExitKind::none : ExitKind::run_loop;
}

}  // namespace skep::jit
