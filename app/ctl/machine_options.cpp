// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/machine_options.hpp"

#include <algorithm>
#include <array>

#include "vmm/media/medium.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/spec_fields.hpp"
#include "vmm/spec/validate.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

std::string absolute(const std::string& file) {
    std::error_code ignored;
    return file.empty() ? "" : fs::absolute(file, ignored).lexically_normal().string();
}

// A CD that cannot start the machine is said now, not by a firmware that finds nothing.
Status check_bootable(const VmSpec& spec) {
    if (!boots_from_drives(spec.firmware)) {
        return {};
    }
    for (const CdSpec& cd : spec.cds) {
        const Result<MediumInfo> medium = inspect_medium(cd.file);
        if (!medium) {
            return tl::unexpected<Error>(medium.error());
        }
        const BootBy firmware = spec.firmware == Firmware::uefi ? BootBy::uefi : BootBy::bios;
        const std::string problem = medium->problem.empty() ? firmware_problem(*medium, firmware) : medium->problem;
        if (!problem.empty()) {
            return fail(ErrorKind::invalid_input, "{}", problem);
        }
    }
    return {};
}

}  // namespace

void MachineOptions::declare(CLI::App& app) {
    app.add_option("--iso", m_isos, "ISO file in a CD drive (may be repeated)")->type_name("FILE")->allow_extra_args(false);
    app.add_option("--disk", m_disks, "New disk of a size, such as 20G, or an existing image (may be repeated)")
        ->type_name("SIZE|FILE")
        ->allow_extra_args(false);
    app.add_option("--disk-bus", m_bus, "virtio (default), nvme, ahci or usb, for all disks given")->type_name("BUS");
    app.add_option("--network", m_networks,
                   "Network card: user (also when left out), socket,network=NAME for a private network of your machines, or "
                   "tap,network=INTERFACE for a tap or bridge of this host, and after commas card=e1000, mac=ADDRESS, "
                   "forward=2222:22, restrict (may be repeated); none: no card")
        ->type_name("KIND")
        ->allow_extra_args(false);
    app.add_option("--memory", m_memory, "Memory, such as 2G (a bare number is MiB)")->type_name("SIZE");
    app.add_option("--cpus", m_cpus, "Number of processors")->type_name("N");
    app.add_option("--cpu", m_backend, "auto, kvm, jit or interp")->type_name("BACKEND");
    app.add_option("--sound", m_sound, "auto, none, silent or sdl")->type_name("KIND");
    app.add_option("--firmware", m_firmware, "bios, uefi, linux or multiboot (left out: what starts the --iso or --kernel)")->type_name("NAME");
    app.add_option("--kernel", m_kernel, "Kernel to start directly")->type_name("FILE");
    app.add_option("--initrd", m_initrd, "Initial RAM disk for the kernel")->type_name("FILE");
    app.add_option("--append", m_append, "Kernel command line")->type_name("TEXT");
    app.add_option("--display", m_display, "none, vga or virtio (create: vga when there is an --iso, else none); run: sdl is vga in a window")->type_name("NAME");
    app.add_option("--vnc", m_vnc_port, "VNC viewers reach the screen at this port of 127.0.0.1, with a password that is shown")
        ->type_name("PORT");
    app.add_option("--module", m_modules, "Multiboot module: FILE or 'FILE arguments' (may be repeated)")
        ->type_name("TEXT")
        ->allow_extra_args(false);
    app.add_flag("--debug-exit", m_debug_exit, "isa-debug-exit device at port 0xf4");
    app.add_option("--set", m_settings, "Any other setting (see `set --help`; may be repeated)")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
}

bool MachineOptions::is_size(const std::string& text) {
    std::error_code ignored;
    return parse_size(text).has_value() && !fs::exists(text, ignored);
}

DiskBus MachineOptions::disk_bus() const { return disk_bus_from_text(m_bus).value_or(DiskBus::virtio); }

Result<std::vector<uint64_t>> MachineOptions::new_disk_sizes() const {
    std::vector<uint64_t> sizes;
    for (const std::string& disk : m_disks) {
        if (is_size(disk)) {
            sizes.push_back(parse_size(disk).value());
        }
    }
    return sizes;
}

Status MachineOptions::add_drives(VmSpec& spec) const {
    if (!m_bus.empty() && !disk_bus_from_text(m_bus)) {
        return fail(ErrorKind::invalid_input, "Disk bus must be ahci, virtio, nvme or usb, not '{}'.", m_bus);
    }
    for (const std::string& iso : m_isos) {
        spec.cds.push_back({spec.free_id("cd"), absolute(iso), {}});
    }
    for (const std::string& disk : m_disks) {
        if (!is_size(disk)) {
            spec.disks.push_back({spec.free_id("disk"), absolute(disk), disk_bus(), false, "", {}});
        }
    }
    for (const std::string& text : m_modules) {
        const size_t blank = std::min(text.find(' '), text.size());
        spec.modules.push_back({absolute(text.substr(0, blank)), text.substr(std::min(blank + 1, text.size())), {}});
    }
    return {};
}

// What starts the files named, when nothing was said about it.
std::string MachineOptions::firmware_for_media() const {
    if (!m_kernel.empty()) {
        return "linux";
    }
    if (m_isos.empty()) {
        return {};
    }
    const auto medium = inspect_medium(absolute(m_isos.front()));
    return medium && best_firmware(*medium) == BootBy::uefi ? "uefi" : "";
}

// "user,mac=52:54:00:12:34:56,forward=2222:22": the back end, then fields of the card.
Status MachineOptions::add_network(VmSpec& spec, const std::string& text) {
    NetworkSpec& network = skep::add_network(spec);
    std::string_view rest = text;
    bool is_first = true;
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view word = rest.substr(0, comma);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        const size_t equals = std::min(word.find('='), word.size());
        const std::string_view key = word.substr(0, equals);
        const std::string_view value = word.substr(std::min(equals + 1, word.size()));
        const auto set = [&](std::string_view field, std::string_view to) {
            return set_field(spec, fmt::format("networks.{}.{}", network.id, field), to);
        };
        Status status;
        if (is_first) {
            status = set("backend", word);
        } else if (key == "forward") {
            network.forwards.emplace_back(value);
        } else if (key == "restrict") {
            network.restricted = true;
        } else if (key == "card" || key == "mac" || key == "network") {
            status = set(key, value);
        } else {
            status = fail(ErrorKind::invalid_input, "'{}' is no option of a network card; see --help.", word);
        }
        if (!status) {
            return status;
        }
        is_first = false;
    }
    return {};
}

// Whoever says nothing gets a card, but for a multiboot kernel, which is a world of its own.
Status MachineOptions::add_networks(VmSpec& spec) const {
    if (m_networks.empty() && m_firmware != to_text(Firmware::multiboot)) {
        skep::add_network(spec);
    }
    if (m_networks == std::vector<std::string>{"none"}) {
        return {};
    }
    for (const std::string& text : m_networks) {
        if (Status added = add_network(spec, text); !added) {
            return added;
        }
    }
    return {};
}

Status MachineOptions::set_fields(VmSpec& spec) const {
    const std::string firmware = !m_firmware.empty() ? m_firmware : firmware_for_media();
    const std::array<std::pair<const char*, std::string>, 10> fields{{{"memory", m_memory},
                                                                     {"cpus", m_cpus},
                                                                     {"cpu.backend", m_backend},
                                                                     {"sound", m_sound},
                                                                     {"firmware", firmware},
                                                                     {"kernel", absolute(m_kernel)},
                                                                     {"initrd", absolute(m_initrd)},
                                                                     {"append", m_append},
                                                                     {"display", m_display},
                                                                     {"vnc_port", m_vnc_port}}};
    for (const auto& [path, text] : fields) {
        if (text.empty()) {
            continue;
        }
        if (Status status = set_field(spec, path, text); !status) {
            return status;
        }
    }
    for (const std::string& setting : m_settings) {
        if (Status status = apply_setting(spec, setting); !status) {
            return status;
        }
    }
    spec.debug_exit = spec.debug_exit || m_debug_exit;
    return {};
}

bool MachineOptions::take_display(const std::string& word, const std::string& meaning) {
    const bool said = m_display == word;
    m_display = said ? meaning : m_display;
    return said;
}

Result<VmSpec> MachineOptions::make_spec(const std::string& name, DisplayKind display_for_iso) const {
    VmSpec spec;
    spec.display = m_isos.empty() ? DisplayKind::none : display_for_iso;
    spec.id = make_uuid();
    spec.name = name;
    return add_drives(spec)
        .and_then([&] { return add_networks(spec); })
        .and_then([&] { return set_fields(spec); })
        .and_then([&] { return check_spec(spec, fs::path("/")); })
        .and_then([&] { return check_bootable(spec); })
        .map([&] { return std::move(spec); });
}

Status check_spec(const VmSpec& spec, const fs::path& bundle_folder) {
    std::vector<SpecProblem> problems = validate(spec, read_host_facts());
    if (!has_errors(problems)) {
        problems = validate_files(spec, bundle_folder);
    }
    if (has_errors(problems)) {
        return fail(ErrorKind::invalid_input, "{}", first_error(problems));
    }
    return {};
}

Status apply_setting(VmSpec& spec, const std::string& setting) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
        return fail(ErrorKind::invalid_input, "'{}' is not of the form key=value.", setting);
    }
    return set_field(spec, setting.substr(0, equals), setting.substr(equals + 1));
}

}  // namespace skep
