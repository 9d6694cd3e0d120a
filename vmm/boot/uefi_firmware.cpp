// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/uefi_firmware.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/files.hpp"
#include "vmm/boot/boot_file.hpp"

namespace skep {
namespace {

// Not the builds that insist on system management mode ("secboot"): it would guard the variables, but this board has none.
constexpr UefiPlace k_places[] = {
    {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},  // Debian, Ubuntu
    {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", ""},                               // Fedora
    {"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd", ""},                           // Arch
    {"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin", ""},                         // openSUSE
};

constexpr size_t k_largest = 16 << 20;  // 0xff000000 up to 4 GiB is the chipset's firmware window
constexpr size_t k_signature_at = 0x28;  // "_FVH" in the volume's header

bool is_volume(std::span<const std::byte> bytes) {
    return bytes.size() > k_signature_at + 4 && std::memcmp(&bytes[k_signature_at], "_FVH", 4) == 0;
}

Result<std::vector<std::byte>> as_vector(const Result<LargeBuffer>& bytes) {
    return bytes.map([](const LargeBuffer& content) { return std::vector<std::byte>(content.begin(), content.end()); });
}

Result<std::vector<std::byte>> read_volume(const char* what, const std::string& path) {
    const Result<LargeBuffer> bytes = read_boot_file(what, path, k_largest);
    if (bytes && (bytes->size() % 4096 != 0 || !is_volume(*bytes))) {
        return fail(ErrorKind::invalid_input, "The {} '{}' is no UEFI firmware volume: install the package 'ovmf' again.", what, path);
    }
    return as_vector(bytes);
}

}  // namespace

std::span<const UefiPlace> uefi_search_path() { return k_places; }

Result<UefiFirmware> load_uefi(SecureBoot secure_boot) {
    const auto there = [](const UefiPlace& place) { return access(place.code, F_OK) == 0; };
    const auto found = std::ranges::find_if(k_places, there);
    if (found == std::end(k_places)) {
        return fail(ErrorKind::not_found,
                    "No UEFI firmware was found at {} or the other usual places: install the package 'ovmf'.", k_places[0].code);
    }
    return load_uefi_from(*found, secure_boot);
}

Result<UefiFirmware> load_uefi_from(const UefiPlace& place, SecureBoot secure_boot) {
    const bool enrolled = secure_boot == SecureBoot::enrolled;
    const std::string variables_path = enrolled ? place.enrolled : place.variables;
    if (variables_path.empty()) {
        return fail(ErrorKind::unsupported, "The UEFI firmware '{}' comes without Secure Boot keys: turn Secure Boot off.", place.code);
    }
    auto code = read_volume("UEFI firmware", place.code);
    if (!code) {
        return tl::unexpected(code.error());
    }
    auto variables = read_volume("UEFI variables", variables_path);
    if (!variables) {
        return tl::unexpected(variables.error());
    }
    if (code->size() + variables->size() > k_largest) {
        return fail(ErrorKind::invalid_input, "The UEFI firmware '{}' and its variables have more than 16 MiB.", place.code);
    }
    return UefiFirmware{{place.code, std::move(*code)}, std::move(*variables)};
}

Result<std::vector<std::byte>> load_variables(const std::filesystem::path& file,
                                              std::span<const std::byte> variables_template) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
        const Status made = replace_file(
            file, {reinterpret_cast<const char*>(variables_template.data()), variables_template.size()});
        if (!made) {
            return tl::unexpected(made.error());
        }
    }
    const auto content = read_boot_file("UEFI variables", file.string(), k_largest);
    if (content && (content->size() != variables_template.size() || !is_volume(*content))) {
        return fail(ErrorKind::invalid_input,
                    "The UEFI variables '{}' do not fit the firmware installed here: delete the file to begin with new ones "
                    "(boot entries made by the guest are then lost).",
                    file.string());
    }
    return as_vector(content);
}

}  // namespace skep
