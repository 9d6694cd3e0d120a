// SPDX-License-Identifier: GPL-3.0-or-later
// Is this host ready to run machines? The same findings for the window's host check and `skepctl doctor`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

enum class CheckLevel { ok, warning, error };

struct HostFinding {
    std::string id;       // "kvm", "memory", "disk", "firmware", "worker", "network"
    std::string title;    // "Hardware virtualisation"
    CheckLevel level = CheckLevel::ok;
    std::string cause;    // what was found
    std::string cure;     // what to do; empty when ok
    std::string command;  // to copy into a terminal; may be empty
};

// What the checks look at; tests fill it by hand.
struct HostProbe {
    bool kvm_device = false;              // /dev/kvm exists
    int kvm_open_error = 0;               // errno of opening it, 0 when it opened
    bool kvm_api = false;                 // it answers as KVM does, version 12
    bool virtualisation_flag = false;     // vmx or svm in /proc/cpuinfo
    std::string user;
    uint64_t memory_bytes = 0;
    uint64_t available_memory_bytes = 0;
    std::filesystem::path machines_folder;
    uint64_t free_disk_bytes = 0;
    std::filesystem::path firmware;       // empty when not found
    bool worker_found = false;
    std::string network_problem = "it was not looked for";  // why skep-net cannot run; empty when it can
};
[[nodiscard]] HostProbe probe_host();
[[nodiscard]] std::vector<HostFinding> check_host(const HostProbe& probe);

// SeaBIOS for BIOS machines: $SKEP_FIRMWARE_DIR, /usr/share/seabios, /usr/share/qemu. Nothing when not installed.
[[nodiscard]] std::optional<std::filesystem::path> find_bios();

struct CpuChoice {
    CpuBackend backend = CpuBackend::interp;  // never automatic
    std::string reason;                       // one sentence
};
// Decides what `auto` means here; an explicit kvm that cannot work is an error (kind unsupported or permission).
[[nodiscard]] Result<CpuChoice> choose_cpu_backend(const VmSpec& spec, const HostProbe& probe);
[[nodiscard]] Result<CpuChoice> choose_cpu_backend(const VmSpec& spec);

}  // namespace skep
