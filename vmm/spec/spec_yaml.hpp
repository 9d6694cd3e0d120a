// SPDX-License-Identifier: GPL-3.0-or-later
// vm.yaml <-> VmSpec. The text is untrusted (a bundle may come from anywhere): at most 64 KiB, no anchors, aliases
// or tags, limited depth and number of nodes; every complaint names line and column.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

inline constexpr size_t k_max_spec_bytes = 64 * 1024;

// `file_name` appears in messages: "vm.yaml line 7, column 12: memory must be between 16 MiB and 1 TiB."
// Checks syntax, types, ranges and that ids are unique; older formats are migrated. Kind invalid_input, or
// unsupported for a newer format.
[[nodiscard]] Result<VmSpec> parse_spec(std::string_view text, std::string_view file_name = "vm.yaml");

// The whole file, always in the same order, with a comment header; fields at their default are left out except the
// main ones. Parsing it gives the same spec.
[[nodiscard]] std::string print_spec(const VmSpec& spec);

// Where a field stands in the text (1-based), for showing a validate() message at its line; {0, 0} when it is absent.
struct TextPosition {
    int line = 0;
    int column = 0;
};
[[nodiscard]] TextPosition locate_field(std::string_view text, std::string_view path);

}  // namespace skep
