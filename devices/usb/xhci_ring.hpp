// SPDX-License-Identifier: GPL-3.0-or-later
// Reading a ring of TRBs that the guest writes: commands and transfers (xHCI 1.1, 4.9.2, 4.9.3, 4.11.5.1).
#pragma once

#include "devices/usb/xhci_regs.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::xhci {

// Where the consumer is, and which cycle bit says that a TRB there is its own.
struct RingPosition {
    GuestAddress address = 0;
    bool cycle = true;

    bool operator==(const RingPosition&) const = default;
    // As in a context or a Set TR Dequeue Pointer command: bit 0 is the cycle state.
    [[nodiscard]] uint64_t packed() const { return address | (cycle ? 1U : 0U); }
    static RingPosition unpack(uint64_t packed) { return {packed & ~uint64_t{0xf}, (packed & 1) != 0}; }
};

enum class Fetch {
    trb,
    empty,  // the producer has not written it yet
    error,  // not in memory, or links that lead nowhere
};

struct FetchedTrb {
    Trb trb;
    GuestAddress address = 0;
};

// Takes the next TRB that is no link and moves on. When there is none, `at` is left as it was.
[[nodiscard]] Fetch fetch_trb(const GuestMemory& memory, RingPosition& at, FetchedTrb& to);

}  // namespace skep::xhci
