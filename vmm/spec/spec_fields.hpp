// SPDX-License-Identifier: GPL-3.0-or-later
// Descriptors of every field of a VmSpec: one table from which vm.yaml is read and written, dialogs get their
// labels, help and limits, and `skepctl set` its keys.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

enum class FieldType { text, long_text, boolean, integer, size_mib, choice, file, text_list };
enum class Apply { live, next_start, never };  // when a change of a running machine takes effect; never: read only

// All text is static. Paths of list items have "[]": "disks[].file" describes "disks.disk0.file".
struct FieldDescriptor {
    std::string_view path;
    std::string_view label;
    std::string_view help;
    FieldType type = FieldType::text;
    Apply apply = Apply::next_start;
    std::string_view default_text;
    std::string_view unit;                       // "MiB" or empty
    uint64_t minimum = 0;                        // integer and size_mib: inclusive; text: minimum and maximum length
    uint64_t maximum = 0;
    std::span<const std::string_view> choices;   // choice: the words of vm.yaml, in order of the enum
};

// Every field, in the order of vm.yaml.
[[nodiscard]] std::vector<const FieldDescriptor*> spec_fields();
// By a descriptor's path or a concrete one ("disks.disk0.file" or "disks[0].file"); null when there is none.
[[nodiscard]] const FieldDescriptor* find_field(std::string_view path);

// Value of a field as text: what vm.yaml would hold; lists joined by commas.
[[nodiscard]] Result<std::string> get_field(const VmSpec& spec, std::string_view path);
// Sets a field from text, checking type, range and choice. "disks.disk0.read_only" names items by id or "[index]".
// On failure the spec is unchanged. Does not run validate().
[[nodiscard]] Status set_field(VmSpec& spec, std::string_view path, std::string_view text);

// "512M", "20G", "1.5G", "4096" (in units of `bare_unit` bytes), "64KiB", case ignored; powers of 1024. Result in bytes.
[[nodiscard]] Result<uint64_t> parse_size(std::string_view text, uint64_t bare_unit = 1);
// The shortest exact text: "20G", "512M", "1000" (bytes).
[[nodiscard]] std::string print_size(uint64_t bytes);
// For people: "1.4 GiB", "20 GiB", "512 MiB".
[[nodiscard]] std::string describe_size(uint64_t bytes);

// The words of vm.yaml for the enums.
[[nodiscard]] std::string_view to_text(CpuBackend value);
[[nodiscard]] std::string_view to_text(Firmware value);
[[nodiscard]] std::string_view to_text(DiskBus value);
// Nothing for a word that names none.
[[nodiscard]] std::optional<DiskBus> disk_bus_from_text(std::string_view word);
[[nodiscard]] std::string_view to_text(DisplayKind value);
[[nodiscard]] std::string_view to_text(SoundKind value);
[[nodiscard]] std::string_view to_text(UsbKind value);
[[nodiscard]] std::string_view to_text(NetworkCard value);
[[nodiscard]] std::string_view to_text(NetworkBackend value);
[[nodiscard]] std::optional<NetworkBackend> network_backend_from_text(std::string_view word);
[[nodiscard]] std::string_view to_text(OnReboot value);

}  // namespace skep
