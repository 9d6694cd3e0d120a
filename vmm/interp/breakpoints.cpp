// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/breakpoints.hpp"

#include "vmm/base/bits.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {
namespace {

bool is_enabled(const Core& core, unsigned number) { return ((core.dr7 >> (number * 2)) & 3) != 0; }

BreakpointKind kind_of(const Core& core, unsigned number) {
    return static_cast<BreakpointKind>((core.dr7 >> (16 + number * 4)) & 3);
}

// DR7.LENn: 10b is eight bytes.
uint64_t length_of(const Core& core, unsigned number) {
    constexpr uint64_t k_lengths[] = {1, 2, 8, 4};
    return k_lengths[(core.dr7 >> (18 + number * 4)) & 3];
}

// Is any byte of [start, start + size) watched by this register? Its own low bits do not count.
bool touches(const Core& core, unsigned number, uint64_t start, uint64_t size) {
    const uint64_t length = length_of(core, number);
    const uint64_t first = core.dr[number] & ~(length - 1);
    return first - start < size || start - first < length;
}

// DR6 bits of the enabled breakpoints for which `matches` holds.
template <typename Matches>
uint64_t matching(const Core& core, Matches matches) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < core.dr.size(); ++i) {
        bits |= is_enabled(core, i) && matches(i) ? bit(i) : 0;
    }
    return bits;
}

bool watches_data(const Core& core, unsigned number, Access access) {
    const BreakpointKind kind = kind_of(core, number);
    return kind == BreakpointKind::access || (kind == BreakpointKind::write && access == Access::write);
}

}  // namespace

bool code_breakpoint_armed(const Core& core) {
    return matching(core, [&](unsigned i) { return kind_of(core, i) == BreakpointKind::execute; }) != 0;
}

bool page_is_watched(const Core& core, uint64_t page) {
    return has_breakpoints(core) && matching(core, [&](unsigned i) {
               return watches_data(core, i, Access::write) && touches(core, i, page, k_page_size);
           }) != 0;
}

void check_code_breakpoints(Core& core, uint64_t linear) {
    if ((core.rflags_rest & x86::k_flag_rf) != 0 || core.shadow_movss) {
        return;
    }
    const uint64_t hit = matching(core, [&](unsigned i) {
        return kind_of(core, i) == BreakpointKind::execute && core.dr[i] == linear;
    });
    if (hit != 0) {
        core.dr6 = (core.dr6 & ~uint64_t{0xf}) | hit;
        core.dr7 &= ~x86::k_dr7_gd;
        raise(k_db);
    }
}

void note_watched_access(Core& core, uint64_t linear, uint64_t size, Access access) {
    core.pending_debug |= matching(
        core, [&](unsigned i) { return watches_data(core, i, access) && touches(core, i, linear, size); });
}

// Only with CR4.DE; without it the encoding means nothing.
void note_watched_port(Core& core, uint16_t port, unsigned size) {
    if ((core.cr4 & x86::k_cr4_de) != 0) {
        core.pending_debug |= matching(core, [&](unsigned i) {
            return kind_of(core, i) == BreakpointKind::port && touches(core, i, port, size);
        });
    }
}

}  // namespace skep::interp
