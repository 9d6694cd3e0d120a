// SPDX-License-Identifier: GPL-3.0-or-later
// Large memory operands in pieces that the memory path takes. See vector_memory.hpp.
#include "vmm/interp/vector_memory.hpp"

#include <algorithm>

namespace skep::interp {

namespace {
constexpr unsigned k_piece = 64;
}

void load_area(Core& core, uint64_t linear, void* to, unsigned bytes, unsigned segment) {
    auto* out = static_cast<std::byte*>(to);
    for (unsigned at = 0; at < bytes; at += k_piece)
        load_bytes(core, linear + at, out + at, std::min(k_piece, bytes - at), segment);
}

void check_store_area(Core& core, uint64_t linear, unsigned bytes, unsigned segment) {
    for (unsigned at = 0; at < bytes; at += k_piece)
        check_store(core, linear + at, std::min(k_piece, bytes - at), segment);
}

void store_area(Core& core, uint64_t linear, const void* from, unsigned bytes, unsigned segment) {
    check_store_area(core, linear, bytes, segment);
    const auto* in = static_cast<const std::byte*>(from);
    for (unsigned at = 0; at < bytes; at += k_piece)
        store_bytes(core, linear + at, in + at, std::min(k_piece, bytes - at), segment);
}

}  // namespace skep::interp
