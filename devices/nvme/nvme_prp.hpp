// SPDX-License-Identifier: GPL-3.0-or-later
// Physical region pages: where a command's data lies (NVM Express 1.4, 4.3).
#pragma once

#include "devices/nvme/nvme_regs.hpp"
#include "devices/storage/guest_buffer.hpp"

namespace skep {

struct PrpResult {
    nvme::StatusCode status = nvme::k_success;
    GuestBuffer buffer;  // of the wanted size on success
};

// bytes: 1 .. nvme::k_most_transfer. Reads the list pages of the guest once, each entry once.
[[nodiscard]] PrpResult read_prps(const GuestMemory& memory, uint64_t prp1, uint64_t prp2, uint64_t bytes);

}  // namespace skep
