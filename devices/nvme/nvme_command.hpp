// SPDX-License-Identifier: GPL-3.0-or-later
// A submission queue entry as copied out of guest memory (NVM Express 1.4, 4.2).
#pragma once

#include <array>
#include <cstdint>

#include "vmm/base/bits.hpp"

namespace skep {

struct NvmeCommand {
    std::array<uint32_t, 16> dwords{};

    [[nodiscard]] uint8_t opcode() const { return static_cast<uint8_t>(dwords[0]); }
    [[nodiscard]] bool plain_prps() const { return bits(dwords[0], 8, 8) == 0; }  // not fused, no SGL
    [[nodiscard]] uint16_t cid() const { return static_cast<uint16_t>(dwords[0] >> 16); }
    [[nodiscard]] uint32_t nsid() const { return dwords[1]; }
    [[nodiscard]] uint64_t prp1() const { return dwords[6] | uint64_t{dwords[7]} << 32; }
    [[nodiscard]] uint64_t prp2() const { return dwords[8] | uint64_t{dwords[9]} << 32; }
    [[nodiscard]] uint32_t cdw(unsigned number) const { return dwords[number]; }
    [[nodiscard]] uint64_t slba() const { return dwords[10] | uint64_t{dwords[11]} << 32; }
};
static_assert(sizeof(NvmeCommand) == 64);

}  // namespace skep
