// SPDX-License-Identifier: GPL-3.0-or-later
// The vector unit and the x87 unit: while translated code runs, their registers are either live, in the host's own, or
// asleep in Core::xsave. Live implies that the guest may use them now (CR0, CR4, XCR0) and has all exceptions masked:
// whatever changes that is run by the interpreter, before which everything is put to sleep (unit_thunks.hpp).
#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>

namespace skep::jit {

// How far the vector registers are used, or known to be live. `avx`: VEX encoded instructions as well.
enum class VectorUse : uint8_t { none, sse, avx };

// What an instruction needs to be live, or what is certainly live.
struct UnitUse {
    VectorUse vectors = VectorUse::none;
    bool x87 = false;

    // Both units as a number: bit 0 for the vectors, bit 1 for the x87 unit.
    [[nodiscard]] unsigned index() const { return (vectors != VectorUse::none ? 1U : 0U) | (x87 ? 2U : 0U); }
    [[nodiscard]] bool any() const { return vectors != VectorUse::none || x87; }
    [[nodiscard]] bool covers(const UnitUse& other) const {
        return vectors >= other.vectors && (x87 || !other.x87);
    }
    bool operator==(const UnitUse&) const = default;
};

inline constexpr unsigned k_unit_sets = 4;  // UnitUse::index()

struct GuestInstruction;
struct GuestRegion;

// Of an instruction that the translator runs on one of the units itself; nothing for all others.
[[nodiscard]] UnitUse unit_use(const GuestInstruction& one);

// One of the x87 unit's own (SDM 2, table B-39 on), not MMX.
[[nodiscard]] bool is_x87(const ZydisDecodedInstruction& instruction);

// Forward data flow over the region: fills live_before and live_after. An instruction that has to look whether its unit
// is live may be the interpreter's, so it becomes one that may fault.
void find_live_units(GuestRegion& region);

}  // namespace skep::jit
