// SPDX-License-Identifier: GPL-3.0-or-later
// The options that describe a new machine, shared by `create` and `run`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

class MachineOptions {
  public:
    void declare(CLI::App& app);

    // The spec without disks that are yet to be made, checked against this host (files too). Paths are made absolute.
    // display_for_iso: what a machine gets that starts from a CD, when --display does not say.
    [[nodiscard]] Result<VmSpec> make_spec(const std::string& name, DisplayKind display_for_iso) const;
    // Whether --display was `word`; then it is `meaning` from now on.
    [[nodiscard]] bool take_display(const std::string& word, const std::string& meaning);
    // Sizes given with --disk, in bytes: the caller makes these images.
    [[nodiscard]] Result<std::vector<uint64_t>> new_disk_sizes() const;
    [[nodiscard]] DiskBus disk_bus() const;

  private:
    [[nodiscard]] static bool is_size(const std::string& text);
    [[nodiscard]] Status add_drives(VmSpec& spec) const;
    [[nodiscard]] static Status add_network(VmSpec& spec, const std::string& text);
    [[nodiscard]] Status add_networks(VmSpec& spec) const;
    [[nodiscard]] std::string firmware_for_media() const;
    [[nodiscard]] Status set_fields(VmSpec& spec) const;

    std::vector<std::string> m_isos;
    std::vector<std::string> m_disks;
    std::string m_memory;
    std::string m_cpus;
    std::string m_backend;
    std::string m_sound;
    std::string m_vnc_port;
    std::string m_firmware;
    std::string m_kernel;
    std::string m_initrd;
    std::string m_append;
    std::string m_display;
    std::string m_bus;
    std::vector<std::string> m_networks;
    std::vector<std::string> m_modules;
    std::vector<std::string> m_settings;
    bool m_debug_exit = false;
};

// The first error of validate() and validate_files(), with this host's facts.
[[nodiscard]] Status check_spec(const VmSpec& spec, const std::filesystem::path& bundle_folder);
// "key=value" applied to a spec.
[[nodiscard]] Status apply_setting(VmSpec& spec, const std::string& setting);

}  // namespace skep
