// SPDX-License-Identifier: GPL-3.0-or-later
// The arithmetic flags. Host and guest are the same architecture: every flag-setting operation runs as the host's own
// instruction and its flags are kept as LAHF (high byte of Core::status) and SETO (low byte) deliver them. So every
// flag, undefined ones included, is what the host would give (SDM 1, 3.4.3).
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

enum RflagsBit : uint64_t {
    k_flag_cf = 1, k_flag_pf = 4, k_flag_af = 0x10, k_flag_zf = 0x40, k_flag_sf = 0x80, k_flag_tf = 0x100,
    k_flag_if = 0x200, k_flag_df = 0x400, k_flag_of = 0x800, k_flag_iopl = 0x3000, k_flag_nt = 0x4000,
    k_flag_rf = 0x1'0000, k_flag_vm = 0x2'0000, k_flag_ac = 0x4'0000, k_flag_vif = 0x8'0000, k_flag_vip = 0x10'0000,
    k_flag_id = 0x20'0000
};
inline constexpr uint64_t k_arithmetic_flags = 0x8d5;  // CF, PF, AF, ZF, SF, OF

// Core::status from RFLAGS and back. Bits of the status: 0 OF, 8 CF, 10 PF, 12 AF, 14 ZF, 15 SF.
inline constexpr uint16_t k_status_of = 1, k_status_cf = 0x100, k_status_pf = 0x400, k_status_af = 0x1000,
                          k_status_zf = 0x4000, k_status_sf = 0x8000;
constexpr uint16_t status_from_rflags(uint64_t rflags) {
    return static_cast<uint16_t>(((rflags & 0xd5) << 8) | ((rflags >> 11) & 1) | 0x200);
}
constexpr uint64_t rflags_from_status(uint16_t status) {
    return ((static_cast<uint64_t>(status) >> 8) & 0xd5) | (static_cast<uint64_t>(status & 1) << 11);
}

// The whole RFLAGS register.
inline uint64_t read_rflags(const Core& core) { return core.rflags_rest | rflags_from_status(core.status); }

// Replaces the bits of RFLAGS that are in `mask`; bit 1 stays set. The caller calls update_mode() when VM or AC change.
inline void write_rflags(Core& core, uint64_t value, uint64_t mask) {
    const uint64_t merged = (read_rflags(core) & ~mask) | (value & mask) | 2;
    core.status = status_from_rflags(merged);
    core.rflags_rest = merged & ~k_arithmetic_flags;
}

// Sets the arithmetic flags in `mask` (RflagsBit) to those of value.
inline void write_arithmetic_flags(Core& core, uint64_t value, uint64_t mask = k_arithmetic_flags) {
    core.status = status_from_rflags((rflags_from_status(core.status) & ~mask) | (value & mask));
}

inline bool carry_flag(const Core& core) { return (core.status & k_status_cf) != 0; }
inline bool zero_flag(const Core& core) { return (core.status & k_status_zf) != 0; }
inline void set_carry_flag(Core& core, bool value) {
    core.status = static_cast<uint16_t>((core.status & ~k_status_cf) | (value ? k_status_cf : 0));
}
inline void set_zero_flag(Core& core, bool value) {
    core.status = static_cast<uint16_t>((core.status & ~k_status_zf) | (value ? k_status_zf : 0));
}

// Does condition `code` (the low four bits of Jcc/SETcc/CMOVcc opcodes; SDM 1, appendix B) hold?
template <unsigned code>
inline bool condition_holds(uint16_t status) {
    bool holds = false;
    if constexpr (code / 2 == 0) {
        holds = (status & k_status_of) != 0;
    } else if constexpr (code / 2 == 1) {
        holds = (status & k_status_cf) != 0;
    } else if constexpr (code / 2 == 2) {
        holds = (status & k_status_zf) != 0;
    } else if constexpr (code / 2 == 3) {
        holds = (status & (k_status_cf | k_status_zf)) != 0;
    } else if constexpr (code / 2 == 4) {
        holds = (status & k_status_sf) != 0;
    } else if constexpr (code / 2 == 5) {
        holds = (status & k_status_pf) != 0;
    } else if constexpr (code / 2 == 6) {
        holds = (((status >> 15) ^ status) & 1) != 0;
    } else {
        holds = ((((status >> 15) ^ status) & 1) | (status & k_status_zf)) != 0;
    }
    return holds != ((code & 1) != 0);
}

}  // namespace skep::interp
