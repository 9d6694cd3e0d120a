// SPDX-License-Identifier: GPL-3.0-or-later
// DecodeMemo: instructions that were decoded before. A program is made of few different ones, so what is decoded next has
// most often been decoded already, elsewhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/interp/decode.hpp"

namespace skep::interp {

// How an instruction looks from its first bytes, by the opcode maps of SDM 2D; a guess for rare ones, which only costs
// that it is not found here.
struct InstructionShape {
    uint8_t length = 0;  // bytes; 0: not worth remembering
    uint8_t target = 0;  // of these, the last ones, which are a direct branch's distance
};
// Of 64-bit code. `bytes`: readable zeros behind what there is.
[[nodiscard]] InstructionShape guess_shape(const std::array<uint8_t, 16>& bytes);

// One thread's.
class DecodeMemo {
  public:
    // The instruction at the start of `bytes`, as it decodes `offset` bytes into a block in this mode (DecodeMode::key()).
    [[nodiscard]] std::optional<Decoded> find(std::span<const std::byte> bytes, unsigned mode, uint16_t offset) const;
    // Remembers it. `is_relative_branch`: a near one, direct.
    void insert(std::span<const std::byte> bytes, unsigned mode, const Decoded& decoded, bool is_relative_branch);

  private:
    static constexpr size_t k_entries = 8192;

    struct Key {
        uint64_t low = 0, high = 0;  // the instruction's bytes but for a branch's target, zeros behind them
        uint8_t length = 0;          // of the instruction; 0: nothing here
        uint8_t target = 0;
        uint8_t mode = 0;

        bool operator==(const Key&) const = default;
    };
    struct Entry {
        Key key;
        Decoded decoded;  // at offset 0
    };
    // Without a length when it is not for here.
    [[nodiscard]] static Key key_of(std::span<const std::byte> bytes, unsigned mode);
    [[nodiscard]] static size_t index_of(const Key& key);

    std::array<Entry, k_entries> m_entries{};
};

}  // namespace skep::interp
