// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/validate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <array>
#include <fstream>
#include <set>
#include <system_error>

#include "vmm/spec/bundle_path.hpp"
#include "vmm/spec/field_table.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {
namespace {

constexpr uint64_t k_mib = 1024 * 1024;
constexpr int k_most_usb_disks = 8;  // USB 3 ports of the controller
constexpr size_t k_most_networks = 4;  // slots on the PCI bus

class Checker {
  public:
    Checker(const VmSpec& spec, const HostFacts& host) : m_spec(spec), m_host(host) {}

    std::vector<SpecProblem> run() {
        check_identity();
        check_resources();
        check_drives();
        check_networks();
        check_boot();
        return std::move(m_problems);
    }

  private:
    template <typename... Args>
    void error(std::string path, fmt::format_string<Args...> format, Args&&... args) {
        m_problems.push_back({std::move(path), fmt::format(format, std::forward<Args>(args)...), Severity::error});
    }
    template <typename... Args>
    void warning(std::string path, fmt::format_string<Args...> format, Args&&... args) {
        m_problems.push_back({std::move(path), fmt::format(format, std::forward<Args>(args)...), Severity::warning});
    }

    void check_identity() {
        if (const std::string problem = name_problem(m_spec.name); !problem.empty()) {
            error("name", "{}", problem);
        }
        if (!m_spec.id.empty() && !is_uuid(m_spec.id)) {
            error("id", "Id must be a UUID in lower case, such as 0b54aa8e-3d5c-4c4e-9d3c-6b8f1c2a7e10.");
        }
    }

    // Ranges come from the table: a spec may have been filled by code.
    void check_range(const std::string& path, uint64_t value, uint64_t unit) {
        const FieldDescriptor& about = *find_field(path);
        if (value < about.minimum || value > about.maximum) {
            const auto show = [&](uint64_t number) {
                return unit == 1 ? fmt::format("{}", number) : describe_size(number * unit);
            };
            error(path, "{} must be between {} and {}, not {}.", about.label, show(about.minimum), show(about.maximum),
                  show(value));
        }
    }

    void check_resources() {
        check_range("memory", m_spec.memory_mib, k_mib);
        check_range("cpus", m_spec.cpus, 1);
        check_range("serial.ports", m_spec.serial_ports, 1);
        check_range("vnc_port", m_spec.vnc_port, 1);
        if (m_spec.vnc_port != 0 && m_spec.display == DisplayKind::none) {
            warning("vnc_port", "The machine has no screen that VNC viewers could look at; give it a display, or no VNC port.");
        }
        const std::string size = describe_size(m_spec.memory_mib * k_mib);
        if (m_host.memory_mib != 0 && m_spec.memory_mib > m_host.memory_mib) {
            error("memory", "The machine wants {} of memory, but this host has {}. Give it less.", size,
                  describe_size(m_host.memory_mib * k_mib));
        } else if (m_host.available_memory_mib != 0 && m_spec.memory_mib > m_host.available_memory_mib) {
            warning("memory", "The machine wants {} of memory, but only {} is free now; it may be slow.", size,
                    describe_size(m_host.available_memory_mib * k_mib));
        }
        if (m_host.cpus != 0 && m_spec.cpus > m_host.cpus) {
            warning("cpus", "The machine has {} processors, but this host only {}; it will be slower than with fewer.",
                    m_spec.cpus, m_host.cpus);
        }
    }

    static bool is_good_id(const std::string& id) {
        return !id.empty() && id.size() <= 32 && std::all_of(id.begin(), id.end(), [](char character) {
            return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
                   (character >= '0' && character <= '9') || character == '-' || character == '_';
        });
    }

    void check_id(const std::string& path, const std::string& id) {
        if (!is_good_id(id)) {
            error(path, "'{}' is not a name: use letters, digits, '-' and '_'.", id);
        } else if (!m_ids.insert(id).second) {
            error(path, "Two drives or cards are named '{}'; give each its own name.", id);
        }
    }

    void check_drives() {
        std::set<std::string> files;
        for (size_t index = 0; index < m_spec.disks.size(); ++index) {
            const DiskSpec& disk = m_spec.disks[index];
            check_id(fmt::format("disks[{}].id", index), disk.id);
            const std::string path = fmt::format("disks[{}].file", index);
            check_file_name(path, disk.file);
            if (!files.insert(disk.file).second && !disk.read_only) {
                error(path, "The disk image '{}' is used twice; two disks cannot write to one file.", disk.file);
            }
        }
        const auto sticks = std::count_if(m_spec.disks.begin(), m_spec.disks.end(),
                                          [](const DiskSpec& disk) { return disk.bus == DiskBus::usb; });
        if (m_spec.effective_usb() == UsbKind::none && (sticks != 0 || m_spec.usb_keyboard)) {
            error("usb.controller", "The machine has a USB {}, but no USB controller; choose auto or xhci.",
                  sticks != 0 ? "disk" : "keyboard");
        }
        if (sticks > k_most_usb_disks) {
            error("disks", "The machine has {} USB disks; there is room for {}.", sticks, k_most_usb_disks);
        }
        for (size_t index = 0; index < m_spec.cds.size(); ++index) {
            check_id(fmt::format("cds[{}].id", index), m_spec.cds[index].id);
            check_file_name(fmt::format("cds[{}].file", index), m_spec.cds[index].file);
        }
        for (size_t index = 0; index < m_spec.modules.size(); ++index) {
            check_file_name(fmt::format("modules[{}].file", index), m_spec.modules[index].file);
        }
        check_file_name("kernel", m_spec.kernel);
        check_file_name("initrd", m_spec.initrd);
        check_file_name("install.kernel", m_spec.install_kernel);
        check_file_name("install.initrd", m_spec.install_initrd);
    }

    void check_networks() {
        if (m_spec.networks.size() > k_most_networks) {
            error("networks", "A machine has room for {} network cards, not for {}.", k_most_networks, m_spec.networks.size());
        }
        std::vector<NetworkForward> forwards;
        std::set<MacAddress> macs;
        for (size_t index = 0; index < m_spec.networks.size(); ++index) {
            const NetworkSpec& network = m_spec.networks[index];
            const std::string path = fmt::format("networks[{}].", index);
            check_id(path + "id", network.id);
            if (const auto mac = network.mac.empty() ? Result<MacAddress>(MacAddress{}) : parse_mac(network.mac); !mac) {
                error(path + "mac", "{}", mac.error().message);
            } else if (!macs.insert(effective_mac(m_spec, network)).second) {
                error(path + "mac", "Two network cards have the MAC address {}; give each its own.", network.mac);
            }
            if (const std::string problem = network_name_problem(network); !problem.empty()) {
                error(path + "network", "{}", problem);
            }
            check_forwards(path + "forwards", network, forwards);
        }
    }

    void check_forwards(const std::string& path, const NetworkSpec& network, std::vector<NetworkForward>& all) {
        for (const std::string& text : network.forwards) {
            const auto forward = parse_forward(text);
            if (!forward) {
                error(path, "{}", forward.error().message);
                return;
            }
            if (std::ranges::any_of(all, [&](const NetworkForward& other) { return other.same_place(*forward); })) {
                error(path, "Port {} of this host is forwarded twice; choose another for one of them.", forward->host_port);
            }
            all.push_back(*forward);
        }
        if (!network.forwards.empty() && network.backend != NetworkBackend::user) {
            warning(path, "Port forwards belong to the back end 'user'; the card '{}' has '{}'.", network.id,
                    to_text(network.backend));
        }
    }

    void check_file_name(const std::string& path, const std::string& file) {
        if (leaves_folder(file)) {
            error(path, "'{}' leads out of the machine's folder; write an absolute path for files elsewhere.", file);
        }
    }

    void check_boot() {
        std::set<std::string> seen;
        for (const std::string& id : m_spec.boot) {
            if (m_spec.find_network(id) != nullptr) {
                error("boot", "The boot order names the network card '{}', but machines start from disks and CDs only: to start from a "
                      "network put iPXE's ISO file into a CD drive.", id);
            } else if (m_ids.count(id) == 0) {
                error("boot", "The boot order names '{}', but the machine has no such disk or CD drive.", id);
            } else if (!seen.insert(id).second) {
                error("boot", "The boot order names '{}' twice.", id);
            }
        }
        if (m_spec.secure_boot && m_spec.firmware != Firmware::uefi) {
            warning("secure_boot", "Secure Boot belongs to the firmware 'uefi'; this machine has '{}'.", to_text(m_spec.firmware));
        }
        if (boots_from_drives(m_spec.firmware)) {
            if (m_spec.effective_boot_order().empty()) {
                warning("boot", "The machine has nothing to boot from; add a disk or put an ISO file into its CD drive.");
            }
            return;
        }
        if (m_spec.kernel.empty()) {
            error("kernel", "The firmware '{}' starts a kernel file; choose one, or use the firmware 'bios'.",
                  to_text(m_spec.firmware));
        }
        if (m_spec.firmware == Firmware::linux_kernel && !m_spec.modules.empty()) {
            error("modules", "Modules belong to multiboot kernels; a Linux kernel takes an initial RAM disk.");
        }
    }

    const VmSpec& m_spec;
    const HostFacts& m_host;
    std::set<std::string> m_ids;
    std::vector<SpecProblem> m_problems;
};

enum class Access { read, write };

// Why a file cannot be used, or an empty string.
std::string file_problem(const std::filesystem::path& file, Access access, const std::string& what) {
    struct stat info{};
    if (stat(file.c_str(), &info) != 0) {
        return fmt::format("The {} '{}' cannot be opened: {}. Choose another file.", what, file.string(),
                           errno == ENOENT ? "it does not exist" : std::generic_category().message(errno));
    }
    if (S_ISDIR(info.st_mode)) {
        return fmt::format("The {} '{}' is a folder. Choose a file.", what, file.string());
    }
    if (::access(file.c_str(), access == Access::write ? R_OK | W_OK : R_OK) != 0) {
        return fmt::format("The {} '{}' cannot be {}: {}. Change its permissions or choose another file.", what,
                           file.string(), access == Access::write ? "written" : "read",
                           std::generic_category().message(errno));
    }
    return "";
}

}  // namespace

// A disk's format is said in the spec and not found in the file, which is the guest's to write; yet a file that is
// plainly of the other format was hardly meant so.
static void check_formats(const VmSpec& spec, const std::filesystem::path& bundle_folder, std::vector<SpecProblem>& problems) {
    for (const DiskSpec& disk : spec.disks) {
        const auto host_path = resolve_in_folder(bundle_folder, disk.file);
        std::error_code error;
        if (!host_path || !std::filesystem::is_regular_file(*host_path, error)) {
            continue;
        }
        std::array<char, 4> magic{};
        std::ifstream(*host_path, std::ios::binary).read(magic.data(), magic.size());
        const bool looks_qcow2 = std::string_view(magic.data(), magic.size()) == "QFI\xfb";
        const bool is_qcow2 = disk.effective_format() == DiskFormat::qcow2;
        if (is_qcow2 && !looks_qcow2) {
            problems.push_back({fmt::format("disks.{}.format", disk.id),
                                fmt::format("'{}' is not a qcow2 image; set its format to raw if that is what it is.", disk.file),
                                Severity::error});
        } else if (looks_qcow2 && !is_qcow2) {
            problems.push_back({fmt::format("disks.{}.format", disk.id),
                                fmt::format("'{}' looks like a qcow2 image but is used as raw; set its format to qcow2 if "
                                            "that is what it is.", disk.file),
                                Severity::warning});
        }
    }
}

HostFacts read_host_facts() {
    HostFacts facts;
    std::ifstream memory("/proc/meminfo");
    std::string name;
    uint64_t kib = 0;
    std::string unit;
    while (memory >> name >> kib && std::getline(memory, unit)) {
        if (name == "MemTotal:") {
            facts.memory_mib = kib / 1024;
        } else if (name == "MemAvailable:") {
            facts.available_memory_mib = kib / 1024;
        }
    }
    facts.cpus = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    return facts;
}

std::vector<SpecProblem> validate(const VmSpec& spec, const HostFacts& host) { return Checker(spec, host).run(); }

std::vector<SpecProblem> validate_files(const VmSpec& spec, const std::filesystem::path& bundle_folder) {
    std::vector<SpecProblem> problems;
    const auto check = [&](std::string path, const std::string& file, Access access, const std::string& what) {
        if (file.empty()) {
            return;
        }
        const auto host_path = resolve_in_folder(bundle_folder, file);
        const std::string problem = host_path ? file_problem(*host_path, access, what) : host_path.error().message;
        if (!problem.empty()) {
            problems.push_back({std::move(path), problem, Severity::error});
        }
    };
    for (const DiskSpec& disk : spec.disks) {
        check(fmt::format("disks.{}.file", disk.id), disk.file, disk.read_only ? Access::read : Access::write, "disk image");
    }
    check_formats(spec, bundle_folder, problems);
    for (const CdSpec& cd : spec.cds) {
        check(fmt::format("cds.{}.file", cd.id), cd.file, Access::read, "ISO file");
    }
    for (size_t index = 0; index < spec.modules.size(); ++index) {
        check(fmt::format("modules[{}].file", index), spec.modules[index].file, Access::read, "module");
    }
    if (!boots_from_drives(spec.firmware)) {
        check("kernel", spec.kernel, Access::read, "kernel");
        check("initrd", spec.initrd, Access::read, "initial RAM disk");
    } else {
        check("install.kernel", spec.install_kernel, Access::read, "installer's kernel");
        check("install.initrd", spec.install_initrd, Access::read, "installer's RAM disk");
    }
    return problems;
}

bool has_errors(const std::vector<SpecProblem>& problems) { return !first_error(problems).empty(); }

std::string first_error(const std::vector<SpecProblem>& problems) {
    for (const SpecProblem& problem : problems) {
        if (problem.severity == Severity::error) {
            return problem.message;
        }
    }
    return "";
}

std::string name_problem(const std::string& name) {
    if (name.empty()) {
        return "The machine needs a name.";
    }
    if (name.size() > 64) {
        return "The name is longer than 64 bytes.";
    }
    if (name.front() == '.' || name.front() == ' ' || name.back() == ' ') {
        return "The name must not begin with a dot, nor begin or end with a blank.";
    }
    const bool strange = std::any_of(name.begin(), name.end(), [](char character) {
        const auto byte = static_cast<unsigned char>(character);
        return character == '/' || byte < 0x20 || byte == 0x7f;
    });
    return strange ? "The name must not hold '/' or control characters." : "";
}

}  // namespace skep
