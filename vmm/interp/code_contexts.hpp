// SPDX-License-Identifier: GPL-3.0-or-later
// Code contexts: small numbers for "what RIP means now". As long as Core::code_context is the same number, the same RIP is
// the same code (unless its bytes were written), so whatever was found out about a RIP may be kept under (RIP, number), or
// under page address | number. A number comes back with its address space; it goes for good when a page that was executed
// under it may be translated anew.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/interp/address_spaces.hpp"

namespace skep::interp {

class Core;

// Of Core::code_mode, beside DecodeMode::key():
inline constexpr uint16_t k_user_code = 0x80;
inline constexpr uint16_t k_aligned_code = 0x200;  // CPL 3 whose accesses must be aligned (k_as_user_aligned)

class CodeContexts {
  public:
    static constexpr unsigned k_numbers = 4096;  // 0 is nobody's

    // All that the meaning of RIP depends on.
    struct Name {
        View view = 0;
        uint64_t base = 0;   // of CS, outside 64-bit mode
        uint32_t limit = 0;  // the same
        uint16_t mode = 0;   // Core::code_mode

        bool operator==(const Name&) const = default;
    };
    [[nodiscard]] uint16_t number_of(const Name& name);
    // No number given so far will be given again in this round.
    void forget();
    // How often the numbers began again: what is kept by number must be dropped before the next code runs.
    [[nodiscard]] uint64_t rounds() const { return m_rounds; }

  private:
    struct Known {
        Name name;
        uint16_t number = 0;
    };
    std::array<Known, 256> m_known{};
    unsigned m_next = 1;
    uint64_t m_rounds = 0;
};

// After anything that Core::code_context depends on has changed.
void refresh_code_context(Core& core);
// Code is no longer what it was at any address: decoded blocks went, or the memory map changed.
void new_code_generation(Core& core);

}  // namespace skep::interp
