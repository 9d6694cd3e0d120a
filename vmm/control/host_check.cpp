// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/host_check.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#include "vmm/base/fd.hpp"
#include "vmm/control/launcher.hpp"
#include "vmm/control/network_plug.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/spec/spec_fields.hpp"
#include "vmm/spec/validate.hpp"

extern char** environ;

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t k_mib = 1024 * 1024;
constexpr uint64_t k_low_memory = 1024 * k_mib;        // a text installer with room for the host
constexpr uint64_t k_low_disk = 10 * 1024 * k_mib;     // one small installed system
constexpr uint64_t k_no_disk = 512 * k_mib;

// Documentation/virt/kvm/api.rst, KVM_GET_API_VERSION: _IO(0xAE, 0x00), always 12. Only vmm/kvm includes linux/kvm.h.
constexpr unsigned long k_kvm_get_api_version = 0xae00;
constexpr int k_kvm_api_version = 12;

bool has_virtualisation_flag() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    std::string line;
    while (std::getline(cpuinfo, line)) {
        if (!line.starts_with("flags")) {
            continue;
        }
        std::istringstream words(line);
        std::string word;
        while (words >> word) {
            if (word == "vmx" || word == "svm") {
                return true;
            }
        }
        return false;  // all processors have the same flags
    }
    return false;
}

// Free bytes where a folder is or would be made.
uint64_t free_bytes(fs::path folder) {
    std::error_code ignored;
    while (!fs::exists(folder, ignored) && folder.has_relative_path()) {
        folder = folder.parent_path();
    }
    struct statvfs info{};
    return statvfs(folder.c_str(), &info) == 0 ? static_cast<uint64_t>(info.f_bavail) * info.f_frsize : 0;
}

HostFinding check_kvm(const HostProbe& probe) {
    HostFinding finding{"kvm", "Hardware virtualisation", CheckLevel::warning, "", "", ""};
    const std::string software = " Machines run on the software processor meanwhile, which is much slower.";
    if (!probe.kvm_device && probe.virtualisation_flag) {
        finding.cause = "The processor can virtualise, but /dev/kvm is missing: the kernel module is not loaded." + software;
        finding.cure = "Load the module; if that fails, turn virtualisation on in the computer's firmware setup.";
        finding.command = "sudo modprobe -a kvm_intel kvm_amd";
    } else if (!probe.kvm_device) {
        finding.cause = "This processor offers no hardware virtualisation (no vmx or svm flag) and there is no /dev/kvm." + software;
        finding.cure = "Turn virtualisation on in the computer's firmware setup, or nested virtualisation when this is itself a "
                       "virtual machine.";
    } else if (probe.kvm_open_error == EACCES || probe.kvm_open_error == EPERM) {
        finding.cause = fmt::format("The user '{}' may not open /dev/kvm.{}", probe.user, software);
        finding.cure = "Join the group kvm, then log in again.";
        finding.command = fmt::format("sudo adduser {} kvm", probe.user);
    } else if (probe.kvm_open_error == EBUSY) {
        finding.cause = "Another hypervisor (such as VirtualBox) is using the hardware virtualisation." + software;
        finding.cure = "Close the other program's machines.";
    } else if (probe.kvm_open_error != 0 || !probe.kvm_api) {
        finding.cause = fmt::format("/dev/kvm cannot be used: {}.{}",
                                    probe.kvm_open_error != 0 ? std::generic_category().message(probe.kvm_open_error)
                                                              : "it does not answer as KVM does",
                                    software);
        finding.cure = "Look for messages about kvm in the kernel's log.";
        finding.command = "sudo dmesg | grep -i kvm";
    } else if (!probe.virtualisation_flag) {
        finding.cause = "/dev/kvm opens, but the processor offers no hardware virtualisation (no vmx or svm flag), so it would run "
                        "guests badly; the software processor is used.";
        finding.cure = "Use a host with hardware virtualisation, or turn nested virtualisation on for this one.";
    } else {
        finding.level = CheckLevel::ok;
        finding.cause = "/dev/kvm works.";
    }
    return finding;
}

HostFinding check_memory(const HostProbe& probe) {
    HostFinding finding{"memory", "Memory", CheckLevel::ok, "", "", ""};
    finding.cause = fmt::format("{} free of {}.", describe_size(probe.available_memory_bytes), describe_size(probe.memory_bytes));
    if (probe.available_memory_bytes < k_low_memory) {
        finding.level = CheckLevel::warning;
        finding.cure = "Close other programs, or give machines little memory.";
        finding.command = "ps -e -o rss,comm --sort=-rss | head";
    }
    return finding;
}

HostFinding check_disk(const HostProbe& probe) {
    HostFinding finding{"disk", "Disk space", CheckLevel::ok, "", "", ""};
    finding.cause = fmt::format("{} free for machines in '{}'.", describe_size(probe.free_disk_bytes), probe.machines_folder.string());
    if (probe.free_disk_bytes < k_low_disk) {
        finding.level = probe.free_disk_bytes < k_no_disk ? CheckLevel::error : CheckLevel::warning;
        finding.cure = "Free some space: a machine is held when its disk cannot grow.";
        finding.command = fmt::format("df -h '{}'", probe.machines_folder.string());
    }
    return finding;
}

HostFinding check_firmware(const HostProbe& probe) {
    if (probe.firmware.empty()) {
        return {"firmware", "Firmware", CheckLevel::error, "SeaBIOS (bios-256k.bin) is not installed; without it no disk or CD boots.",
                "Install the package seabios.", "sudo apt install seabios"};
    }
    return {"firmware", "Firmware", CheckLevel::ok, fmt::format("SeaBIOS: '{}'.", probe.firmware.string()), "", ""};
}

HostFinding check_worker(const HostProbe& probe) {
    if (!probe.worker_found) {
        return {"worker", "Worker program", CheckLevel::error, "The program skep-vmm, which runs the machines, was not found.",
                "Install Skep again.", ""};
    }
    return {"worker", "Worker program", CheckLevel::ok, "skep-vmm was found.", "", ""};
}

HostFinding check_network(const HostProbe& probe) {
    HostFinding finding{"network", "Network program", CheckLevel::ok, "skep-net works.", "", ""};
    if (!probe.network_problem.empty()) {
        finding.level = CheckLevel::warning;
        finding.cause = fmt::format("The program skep-net, by which guests reach this host's network, does not work: {}.",
                                    probe.network_problem);
        finding.cure = "Install the package libslirp0; if that does not help, install Skep again. Meanwhile only machines without a "
                       "card on this host's network start.";
        finding.command = "sudo apt install libslirp0";
    }
    return finding;
}

// What skep-net says when it is only to look whether it could work.
std::string probe_network() {
    const fs::path program = find_network_program();
    std::array<int, 2> ends{-1, -1};
    if (::access(program.c_str(), X_OK) != 0) {
        return fmt::format("'{}' is missing", program.string());
    }
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return std::generic_category().message(errno);
    }
    const Fd ours(ends[0]);
    Fd theirs(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
    std::string name = program.string();
    std::string option = "--check";
    std::array<char*, 3> arguments{name.data(), option.data(), nullptr};
    pid_t pid = -1;
    const int error = posix_spawn(&pid, name.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return std::generic_category().message(error);
    }
    theirs.reset();
    std::array<char, 512> text{};
    const ssize_t got = std::max<ssize_t>(::read(ours.get(), text.data(), text.size()), 0);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status == 0) {
        return {};
    }
    const std::string said(text.data(), static_cast<size_t>(got));
    return said.empty() ? "it has ended" : said.substr(0, said.find_last_not_of("\n.") + 1);
}

}  // namespace

HostProbe probe_host() {
    HostProbe probe;
    probe.kvm_device = ::access("/dev/kvm", F_OK) == 0;
    if (probe.kvm_device) {
        const Fd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
        probe.kvm_open_error = kvm ? 0 : errno;
        probe.kvm_api = kvm && ioctl(kvm.get(), k_kvm_get_api_version, 0) == k_kvm_api_version;
    }
    probe.virtualisation_flag = has_virtualisation_flag();
    const passwd* const user = getpwuid(geteuid());
    probe.user = user == nullptr ? "$USER" : user->pw_name;
    const HostFacts facts = read_host_facts();
    probe.memory_bytes = facts.memory_mib * k_mib;
    probe.available_memory_bytes = facts.available_memory_mib * k_mib;
    probe.machines_folder = machines_folder();
    probe.free_disk_bytes = free_bytes(probe.machines_folder);
    probe.firmware = find_bios().value_or("");
    probe.worker_found = find_worker_program().has_value();
    probe.network_problem = probe_network();
    return probe;
}

std::vector<HostFinding> check_host(const HostProbe& probe) {
    return {check_kvm(probe), check_memory(probe), check_disk(probe), check_firmware(probe), check_worker(probe),
            check_network(probe)};
}

std::optional<fs::path> find_bios() {
    std::vector<fs::path> folders{"/usr/share/seabios", "/usr/share/qemu"};
    if (const char* named = std::getenv("SKEP_FIRMWARE_DIR")) {
        folders.insert(folders.begin(), named);
    }
    for (const fs::path& folder : folders) {
        if (::access((folder / "bios-256k.bin").c_str(), R_OK) == 0) {
            return folder / "bios-256k.bin";
        }
    }
    return std::nullopt;
}

Result<CpuChoice> choose_cpu_backend(const VmSpec& spec, const HostProbe& probe) {
    const HostFinding kvm = check_kvm(probe);
    const bool opens = probe.kvm_device && probe.kvm_open_error == 0 && probe.kvm_api;
    switch (spec.cpu_backend) {
        case CpuBackend::interp:
            return CpuChoice{CpuBackend::interp, "The machine's settings ask for the interpreting software processor."};
        case CpuBackend::jit:
            return CpuChoice{CpuBackend::jit, "The machine's settings ask for the software processor."};
        case CpuBackend::kvm:
            if (!opens) {
                const bool denied = probe.kvm_open_error == EACCES || probe.kvm_open_error == EPERM;
                return fail(denied ? ErrorKind::permission : ErrorKind::unsupported,
                            "The machine's settings ask for KVM, which cannot be used here: {} {}", kvm.cause, kvm.cure);
            }
            return CpuChoice{CpuBackend::kvm, "The machine's settings ask for KVM."};
        case CpuBackend::automatic: break;
    }
    if (kvm.level == CheckLevel::ok) {
        return CpuChoice{CpuBackend::kvm, "KVM works here."};
    }
    return CpuChoice{CpuBackend::jit, kvm.cause};
}

Result<CpuChoice> choose_cpu_backend(const VmSpec& spec) { return choose_cpu_backend(spec, probe_host()); }

}  // namespace skep
