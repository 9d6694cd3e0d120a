// SPDX-License-Identifier: GPL-3.0-or-later
// What of an ELF executable goes into memory: its PT_LOAD program headers (System V ABI, "Program Header").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <tl/expected.hpp>
#include <vector>

namespace skep {

struct LoadSegment {
    uint64_t address = 0;             // physical
    std::span<const std::byte> data;  // into the file
    uint64_t size = 0;                // in memory, at least data.size(); the rest is zeros
};

struct ElfImage {
    bool is_64_bit = false;
    uint16_t machine = 0;  // e_machine
    uint64_t entry = 0;
    std::vector<LoadSegment> segments;  // at least one; in the file's order, empty ones left out
};

inline constexpr uint16_t k_elf_machine_386 = 3, k_elf_machine_x86_64 = 62;

// Does the file begin as a little-endian ELF file does?
[[nodiscard]] bool is_elf(std::span<const std::byte> file);
// Every size and offset is checked against the file; addresses are not checked against RAM, but the entry and every
// segment lie below 4 GiB. What follows the parts that the headers name is ignored. Fails with what is wrong.
[[nodiscard]] tl::expected<ElfImage, const char*> parse_elf(std::span<const std::byte> file);

}  // namespace skep
