// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's write to one register, of which it may have written some bytes only.
#pragma once

#include <cstdint>

namespace skep::hda {

struct RegisterWrite {
    uint32_t value = 0;  // zero where mask is
    uint32_t mask = 0;   // the bits that were written

    // What a register holds after it, of whose bits the guest may write `writable`.
    [[nodiscard]] uint32_t over(uint32_t old_value, uint32_t writable) const {
        return (old_value & ~(mask & writable)) | (value & writable);
    }
};

}  // namespace skep::hda
