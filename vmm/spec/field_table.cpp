// SPDX-License-Identifier: GPL-3.0-or-later
// The table of all fields. A new setting is one entry here and one member in vm_spec.hpp.
#include "vmm/spec/field_table.hpp"

#include <algorithm>
#include <array>

namespace skep {
namespace {

constexpr std::array<std::string_view, 4> k_cpu_backends{"auto", "kvm", "interp", "jit"};
constexpr std::array<std::string_view, 4> k_firmwares{"bios", "uefi", "linux", "multiboot"};
constexpr std::array<std::string_view, 3> k_disk_formats{"auto", "raw", "qcow2"};
constexpr std::array<std::string_view, 2> k_disk_caches{"writeback", "writethrough"};
constexpr std::array<std::string_view, 4> k_disk_buses{"ahci", "virtio", "nvme", "usb"};
constexpr std::array<std::string_view, 3> k_displays{"none", "vga", "virtio"};
constexpr std::array<std::string_view, 4> k_sounds{"auto", "none", "silent", "sdl"};
constexpr std::array<std::string_view, 3> k_usbs{"auto", "none", "xhci"};
constexpr std::array<std::string_view, 2> k_network_cards{"virtio", "e1000"};
constexpr std::array<std::string_view, 4> k_network_backends{"user", "socket", "tap", "none"};
constexpr std::array<std::string_view, 2> k_on_reboot{"restart", "exit"};
constexpr std::array<std::string_view, 2> k_at_end{"exit", "restart"};
constexpr std::array<std::string_view, 4> k_on_panic{"keep", "pause", "exit", "restart"};

constexpr uint64_t k_longest_path = 4096;  // PATH_MAX

template <auto Member, typename Owner, typename Enum>
constexpr ChoiceAccess<Owner> choice() {
    return {[](const Owner& owner) { return static_cast<size_t>(owner.*Member); },
            [](Owner& owner, size_t index) { owner.*Member = static_cast<Enum>(index); }};
}

const std::array k_machine_fields{
    Field<VmSpec>{{"format", "Format", "Version of the file format.", FieldType::integer, Apply::never, "1", "", 1,
                   k_spec_format, {}},
                  &VmSpec::format, Printing::always},
    Field<VmSpec>{{"id", "Id", "Identifies the machine for ever; two machines never share it.", FieldType::text,
                   Apply::never, "", "", 0, 36, {}},
                  &VmSpec::id, Printing::always},
    Field<VmSpec>{{"name", "Name", "What the machine is called in the library.", FieldType::text, Apply::next_start, "",
                   "", 1, 64, {}},
                  &VmSpec::name, Printing::always},
    Field<VmSpec>{{"os", "Operating system", "Which system is installed; chooses the icon and the defaults.",
                   FieldType::text, Apply::live, "", "", 0, 64, {}},
                  &VmSpec::os},
    Field<VmSpec>{{"notes", "Notes", "Anything worth remembering about the machine.", FieldType::long_text, Apply::live,
                   "", "", 0, 16384, {}},
                  &VmSpec::notes},
    Field<VmSpec>{{"memory", "Memory", "Memory of the machine. It is taken from the host while the machine runs.",
                   FieldType::size_mib, Apply::next_start, "1G", "MiB", 16, 1024 * 1024, {}},
                  &VmSpec::memory_mib, Printing::always},
    Field<VmSpec>{{"cpus", "Processors", "Number of virtual processors.", FieldType::integer, Apply::next_start, "1",
                   "", 1, 32, {}},
                  &VmSpec::cpus, Printing::always},
    Field<VmSpec>{{"cpu.backend", "Processor back end",
                   "auto uses the hardware where it can and the software processor elsewhere.", FieldType::choice,
                   Apply::next_start, "auto", "", 0, 0, k_cpu_backends},
                  choice<&VmSpec::cpu_backend, VmSpec, CpuBackend>()},
    Field<VmSpec>{{"firmware", "Firmware",
                   "bios and uefi boot from disks and CDs; linux and multiboot start a kernel file directly.",
                   FieldType::choice, Apply::next_start, "bios", "", 0, 0, k_firmwares},
                  choice<&VmSpec::firmware, VmSpec, Firmware>(), Printing::always},
    Field<VmSpec>{{"secure_boot", "Secure Boot", "UEFI starts only systems that are signed (with Microsoft's keys).",
                   FieldType::boolean, Apply::next_start, "false", "", 0, 0, {}},
                  &VmSpec::secure_boot},
    Field<VmSpec>{{"boot", "Boot order", "Disks and CD drives in the order in which they are tried. Left out: CDs that "
                   "hold a medium, then disks.", FieldType::text_list, Apply::next_start, "", "", 0, 32, {}},
                  &VmSpec::boot},
    Field<VmSpec>{{"kernel", "Kernel", "linux: a bzImage file; multiboot: an ELF file.", FieldType::file,
                   Apply::next_start, "", "", 0, k_longest_path, {}},
                  &VmSpec::kernel},
    Field<VmSpec>{{"initrd", "Initial RAM disk", "The initrd handed to the kernel.", FieldType::file,
                   Apply::next_start, "", "", 0, k_longest_path, {}},
                  &VmSpec::initrd},
    Field<VmSpec>{{"append", "Kernel command line", "Words for the kernel, such as console=ttyS0.", FieldType::text,
                   Apply::next_start, "", "", 0, 2047, {}},
                  &VmSpec::append},
    Field<VmSpec>{{"install.kernel", "Installer's kernel", "An unattended installation starts by it until a disk holds a system; emptied "
                   "then, or by hand to give the installation up.", FieldType::file, Apply::next_start, "", "", 0, k_longest_path, {}},
                  &VmSpec::install_kernel},
    Field<VmSpec>{{"install.initrd", "Installer's RAM disk", "With the answers at its end.", FieldType::file, Apply::next_start, "", "",
                   0, k_longest_path, {}},
                  &VmSpec::install_initrd},
    Field<VmSpec>{{"install.append", "Installer's command line", "Words for the installer's kernel.", FieldType::text, Apply::next_start,
                   "", "", 0, 2047, {}},
                  &VmSpec::install_append},
    Field<VmSpec>{{"serial.ports", "Serial ports", "Number of serial ports (COM1 to COM4).", FieldType::integer,
                   Apply::next_start, "1", "", 0, 4, {}},
                  &VmSpec::serial_ports},
    Field<VmSpec>{{"display", "Display",
                   "none leaves only the serial ports; vga works in every system; virtio follows the window's size.",
                   FieldType::choice, Apply::next_start, "none", "", 0, 0, k_displays},
                  choice<&VmSpec::display, VmSpec, DisplayKind>()},
    Field<VmSpec>{{"vnc_port", "VNC port",
                   "VNC viewers on this computer reach the screen at 127.0.0.1 and this port, with a password that each start makes "
                   "anew (skepctl info shows it). 0 is off: Skep's own window and skepctl need no port.",
                   FieldType::integer, Apply::next_start, "0", "", 0, 65535, {}},
                  &VmSpec::vnc_port},
    Field<VmSpec>{{"sound", "Sound", "sdl plays and records on this host; silent is a sound card that nobody hears; auto is sdl "
                   "where there is a screen, else none.", FieldType::choice, Apply::next_start, "auto", "", 0, 0, k_sounds},
                  choice<&VmSpec::sound, VmSpec, SoundKind>()},
    Field<VmSpec>{{"usb.controller", "USB", "xhci is a USB 3 controller with a tablet, so that the pointer is exact in systems that "
                   "know nothing of virtio; auto is xhci where there is a screen or a USB disk, else none.",
                   FieldType::choice, Apply::next_start, "auto", "", 0, 0, k_usbs},
                  choice<&VmSpec::usb, VmSpec, UsbKind>()},
    Field<VmSpec>{{"usb.keyboard", "USB keyboard", "Every machine has a PS/2 keyboard; this is for systems that only look for "
                   "a USB one.", FieldType::boolean, Apply::next_start, "false", "", 0, 0, {}},
                  &VmSpec::usb_keyboard},
    Field<VmSpec>{{"rng", "Entropy device", "Gives the guest random numbers of the host.", FieldType::boolean,
                   Apply::next_start, "true", "", 0, 0, {}},
                  &VmSpec::rng},
    Field<VmSpec>{{"debug.exit", "Debug exit device", "A guest's write to port 0xf4 ends the machine (for tests).",
                   FieldType::boolean, Apply::next_start, "false", "", 0, 0, {}},
                  &VmSpec::debug_exit},
    Field<VmSpec>{{"debug.console", "Debug console", "Bytes written to ports 0xe9 and 0x402 go to the log.",
                   FieldType::boolean, Apply::next_start, "false", "", 0, 0, {}},
                  &VmSpec::debug_console},
    Field<VmSpec>{{"on_reboot", "When the guest reboots", "restart starts it again, exit ends the machine.",
                   FieldType::choice, Apply::next_start, "restart", "", 0, 0, k_on_reboot},
                  choice<&VmSpec::on_reboot, VmSpec, OnReboot>()},
    Field<VmSpec>{{"on_power_off", "When the guest turns itself off",
                   "exit ends the machine, restart starts it again, unless the user asked the guest to turn off.",
                   FieldType::choice, Apply::next_start, "exit", "", 0, 0, k_at_end},
                  choice<&VmSpec::on_power_off, VmSpec, AtEnd>()},
    Field<VmSpec>{{"on_halt", "When the guest halts",
                   "exit ends the machine, restart starts it again, once no processor can wake up any more.",
                   FieldType::choice, Apply::next_start, "exit", "", 0, 0, k_at_end},
                  choice<&VmSpec::on_halt, VmSpec, AtEnd>()},
    Field<VmSpec>{{"on_crash", "When the processor gives up",
                   "exit ends the machine after a triple fault, restart starts it again, but not for ever.", FieldType::choice,
                   Apply::next_start, "exit", "", 0, 0, k_at_end},
                  choice<&VmSpec::on_crash, VmSpec, AtEnd>()},
    Field<VmSpec>{{"on_panic", "When the guest's kernel panics",
                   "keep only says so and lets the guest do what it is set to; pause stops it as it is; exit ends the machine, restart "
                   "starts it again, but not for ever.",
                   FieldType::choice, Apply::next_start, "keep", "", 0, 0, k_on_panic},
                  choice<&VmSpec::on_panic, VmSpec, OnPanic>()},
};

const std::array k_disk_fields{
    Field<DiskSpec>{{"disks[].id", "Disk name", "Names the disk in the boot order.", FieldType::text, Apply::never, "",
                     "", 1, 32, {}},
                    &DiskSpec::id, Printing::always},
    Field<DiskSpec>{{"disks[].file", "Disk image", "A raw or qcow2 image, inside the machine's folder or anywhere.",
                     FieldType::file, Apply::next_start, "", "", 1, k_longest_path, {}},
                    &DiskSpec::file, Printing::always},
    Field<DiskSpec>{{"disks[].bus", "Disk bus", "virtio is the fastest; nvme is fast and every newer system knows it; ahci (SATA) works in every "
                     "system; usb is a USB stick.",
                     FieldType::choice, Apply::next_start, "virtio", "", 0, 0, k_disk_buses},
                    choice<&DiskSpec::bus, DiskSpec, DiskBus>(), Printing::always},
    Field<DiskSpec>{{"disks[].read_only", "Read only", "The guest cannot change the disk.", FieldType::boolean,
                     Apply::next_start, "false", "", 0, 0, {}},
                    &DiskSpec::read_only},
    Field<DiskSpec>{{"disks[].serial", "Serial number", "What the guest sees as the disk's serial number.",
                     FieldType::text, Apply::next_start, "", "", 0, 20, {}},
                    &DiskSpec::serial},
    Field<DiskSpec>{{"disks[].format", "Image format", "auto goes by the file's name: qcow2 where it ends in .qcow2, else raw.",
                     FieldType::choice, Apply::next_start, "auto", "", 0, 0, k_disk_formats},
                    choice<&DiskSpec::format, DiskSpec, DiskFormat>()},
    Field<DiskSpec>{{"disks[].backing", "Base images", "Files outside of the machine's folder that a qcow2 image may be based on.",
                     FieldType::text_list, Apply::next_start, "", "", 0, 64, {}},
                    &DiskSpec::backing},
    Field<DiskSpec>{{"disks[].cache", "Write cache", "writeback is fast, and safe for every system that flushes its disks, as all of "
                     "today do; writethrough is for those that do not: each write waits for the host's disk.",
                     FieldType::choice, Apply::next_start, "writeback", "", 0, 0, k_disk_caches},
                    choice<&DiskSpec::cache, DiskSpec, DiskCache>()},
    Field<DiskSpec>{{"disks[].discard", "Give back trimmed space", "What the guest trims is given back to the host. Off keeps the "
                     "image as large as it has become, and in one piece.",
                     FieldType::boolean, Apply::next_start, "true", "", 0, 0, {}},
                    &DiskSpec::discard},
};

const std::array k_cd_fields{
    Field<CdSpec>{{"cds[].id", "CD drive name", "Names the drive in the boot order.", FieldType::text, Apply::never, "",
                   "", 1, 32, {}},
                  &CdSpec::id, Printing::always},
    Field<CdSpec>{{"cds[].file", "CD image", "An ISO file; empty for an empty drive.", FieldType::file, Apply::live, "",
                   "", 0, k_longest_path, {}},
                  &CdSpec::file, Printing::always},
};

const std::array k_network_fields{
    Field<NetworkSpec>{{"networks[].id", "Network card name", "Names the card in the boot order and in commands.",
                        FieldType::text, Apply::never, "", "", 1, 32, {}},
                       &NetworkSpec::id, Printing::always},
    Field<NetworkSpec>{{"networks[].card", "Network card", "What the guest sees: virtio is fast and every Linux has its driver; e1000 (Intel 82540EM) is for other "
                        "systems.",
                        FieldType::choice, Apply::next_start, "virtio", "", 0, 0, k_network_cards},
                       choice<&NetworkSpec::card, NetworkSpec, NetworkCard>(), Printing::always},
    Field<NetworkSpec>{{"networks[].backend", "Connected to",
                        "user shares the host's network and needs no rights; socket is a private network of your machines; tap is a tap "
                        "or bridge of the host; none is a cable that ends nowhere.",
                        FieldType::choice, Apply::live, "user", "", 0, 0, k_network_backends},
                       choice<&NetworkSpec::backend, NetworkSpec, NetworkBackend>(), Printing::always},
    Field<NetworkSpec>{{"networks[].network", "Network",
                        "socket: the private network's name, such as lab: machines of yours that name the same one see each other. tap: the "
                        "tap or bridge of the host, such as br0.",
                        FieldType::text, Apply::live, "", "", 0, 32, {}},
                       &NetworkSpec::network},
    Field<NetworkSpec>{{"networks[].mac", "MAC address", "Left out: made from the machine's id, and always the same.",
                        FieldType::text, Apply::next_start, "", "", 0, 17, {}},
                       &NetworkSpec::mac},
    Field<NetworkSpec>{{"networks[].forwards", "Port forwards",
                        "user: ports of this host that lead into the guest, such as 2222:22 or 0.0.0.0:5353:53/udp.",
                        FieldType::text_list, Apply::live, "", "", 0, 64, {}},
                       &NetworkSpec::forwards},
    Field<NetworkSpec>{{"networks[].restrict", "Cut off", "user: the guest reaches nothing outside; forwards still work.",
                        FieldType::boolean, Apply::live, "false", "", 0, 0, {}},
                       &NetworkSpec::restricted},
    Field<NetworkSpec>{{"networks[].link", "Cable plugged in", "Can be pulled while the machine runs.", FieldType::boolean,
                        Apply::live, "true", "", 0, 0, {}},
                       &NetworkSpec::link},
};

const std::array k_module_fields{
    Field<ModuleSpec>{{"modules[].file", "Module", "A file loaded beside the multiboot kernel.", FieldType::file,
                       Apply::next_start, "", "", 1, k_longest_path, {}},
                      &ModuleSpec::file, Printing::always},
    Field<ModuleSpec>{{"modules[].arguments", "Module arguments", "The module's command line.", FieldType::text,
                       Apply::next_start, "", "", 0, 2047, {}},
                      &ModuleSpec::arguments},
};

}  // namespace

std::span<const Field<VmSpec>> machine_fields() { return k_machine_fields; }
std::span<const Field<DiskSpec>> disk_fields() { return k_disk_fields; }
std::span<const Field<CdSpec>> cd_fields() { return k_cd_fields; }
std::span<const Field<NetworkSpec>> network_fields() { return k_network_fields; }
std::span<const Field<ModuleSpec>> module_fields() { return k_module_fields; }

std::string_view to_text(CpuBackend value) { return k_cpu_backends.at(static_cast<size_t>(value)); }
std::string_view to_text(Firmware value) { return k_firmwares.at(static_cast<size_t>(value)); }
std::string_view to_text(DiskBus value) { return k_disk_buses.at(static_cast<size_t>(value)); }
std::optional<DiskBus> disk_bus_from_text(std::string_view word) {
    const auto found = std::ranges::find(k_disk_buses, word);
    return found == k_disk_buses.end() ? std::nullopt : std::optional(static_cast<DiskBus>(found - k_disk_buses.begin()));
}
std::string_view to_text(DisplayKind value) { return k_displays.at(static_cast<size_t>(value)); }
std::string_view to_text(SoundKind value) { return k_sounds.at(static_cast<size_t>(value)); }
std::string_view to_text(UsbKind value) { return k_usbs.at(static_cast<size_t>(value)); }
std::string_view to_text(NetworkCard value) { return k_network_cards.at(static_cast<size_t>(value)); }
std::string_view to_text(NetworkBackend value) { return k_network_backends.at(static_cast<size_t>(value)); }
std::optional<NetworkBackend> network_backend_from_text(std::string_view word) {
    const auto found = std::ranges::find(k_network_backends, word);
    return found == k_network_backends.end() ? std::nullopt
                                             : std::optional(static_cast<NetworkBackend>(found - k_network_backends.begin()));
}
std::string_view to_text(OnReboot value) { return k_on_reboot.at(static_cast<size_t>(value)); }

}  // namespace skep
