// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/xhci_ring.hpp"

namespace skep::xhci {
namespace {

constexpr unsigned k_most_links = 16;  // in a row; drivers have one at the end of a segment

}  // namespace

Fetch fetch_trb(const GuestMemory& memory, RingPosition& at, FetchedTrb& to) {
    RingPosition next = at;
    for (unsigned links = 0; links <= k_most_links; ++links) {
        const auto trb = memory.read_value<Trb>(next.address);
        if (!trb) {
            return Fetch::error;
        }
        if (trb->cycle() != next.cycle) {
            return Fetch::empty;
        }
        if (trb->type() != k_trb_link) {
            to = {*trb, next.address};
            at = {next.address + k_trb_size, next.cycle};
            return Fetch::trb;
        }
        const bool toggle = (trb->control & k_trb_toggle_cycle) != 0;
        next = {trb->parameter & ~uint64_t{0xf}, next.cycle != toggle};
    }
    return Fetch::error;
}

}  // namespace skep::xhci
