// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: the descriptors of spec_fields.hpp bound to the members they describe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/spec/spec_fields.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

template <typename Owner>
struct ChoiceAccess {
    size_t (*get)(const Owner&);  // index into the descriptor's choices
    void (*set)(Owner&, size_t);
};

template <typename Owner>
using FieldAccess = std::variant<std::string Owner::*, bool Owner::*, uint32_t Owner::*, uint64_t Owner::*,
                                 std::vector<std::string> Owner::*, ChoiceAccess<Owner>>;

enum class Printing { always, unless_default };

template <typename Owner>
struct Field {
    FieldDescriptor about;
    FieldAccess<Owner> access;
    Printing printing = Printing::unless_default;

    // The key path inside its owner: "cpu.backend", or "file" of "disks[].file".
    [[nodiscard]] std::string_view key() const {
        const size_t item = about.path.find("[].");
        return item == std::string_view::npos ? about.path : about.path.substr(item + 3);
    }
};

[[nodiscard]] std::span<const Field<VmSpec>> machine_fields();
[[nodiscard]] std::span<const Field<DiskSpec>> disk_fields();
[[nodiscard]] std::span<const Field<CdSpec>> cd_fields();
[[nodiscard]] std::span<const Field<NetworkSpec>> network_fields();
[[nodiscard]] std::span<const Field<ModuleSpec>> module_fields();

// One value as text, without quotes. Lists are joined by commas.
template <typename Owner>
[[nodiscard]] std::string value_text(const Field<Owner>& field, const Owner& owner);
// Checks and sets; on failure the owner is unchanged and the sentence starts with the label.
template <typename Owner>
[[nodiscard]] Status assign_text(const Field<Owner>& field, Owner& owner, std::string_view text);
// As assign_text, for a list that is already split.
template <typename Owner>
[[nodiscard]] Status assign_list(const Field<Owner>& field, Owner& owner, std::vector<std::string> items);

}  // namespace skep
