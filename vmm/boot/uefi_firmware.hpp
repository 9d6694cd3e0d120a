// SPDX-License-Identifier: GPL-3.0-or-later
// UEFI firmware as distributions ship it: OVMF's program and the flash content that its variables start from (edk2,
// OvmfPkg/README; UEFI Platform Initialization 1.7, volume 3, 3.2 for the volumes' headers).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/firmware.hpp"

namespace skep {

// none: starts whatever it finds. enrolled: only what Microsoft's keys vouch for, as PCs are sold. The keys lie in the
// variables; a guest's kernel could change them, since no processor mode guards the flash.
enum class SecureBoot { none, enrolled };

struct UefiFirmware {
    FirmwareImage code;                // ends at 4 GiB
    std::vector<std::byte> variables;  // as a new machine has them; they lie right below the code

    [[nodiscard]] uint64_t variables_address() const { return code.address() - variables.size(); }
};

// One place where a distribution installs it. Empty `enrolled`: it has no variables with keys.
struct UefiPlace {
    const char* code;
    const char* variables;
    const char* enrolled;
};
[[nodiscard]] std::span<const UefiPlace> uefi_search_path();

// The first of uefi_search_path() that is there. Fails with a sentence that says where was looked or what is wrong with a file.
[[nodiscard]] Result<UefiFirmware> load_uefi(SecureBoot secure_boot);
[[nodiscard]] Result<UefiFirmware> load_uefi_from(const UefiPlace& place, SecureBoot secure_boot);

// The content of a machine's own variables file, made from the template when it is missing. Kind invalid_input when it does
// not fit the template: another firmware's.
[[nodiscard]] Result<std::vector<std::byte>> load_variables(const std::filesystem::path& file,
                                                            std::span<const std::byte> variables_template);

}  // namespace skep
