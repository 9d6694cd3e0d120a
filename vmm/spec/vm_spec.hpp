// SPDX-License-Identifier: GPL-3.0-or-later
// VmSpec: what a virtual machine is, as plain data. vm.yaml is its written form (spec_yaml.hpp), the
// descriptors in spec_fields.hpp tell the window and the command line how to show and change it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace skep {

// The version of vm.yaml this program writes. A newer one is refused, an older one is migrated.
inline constexpr uint32_t k_spec_format = 1;

enum class CpuBackend { automatic, kvm, interp, jit };   // "auto", "kvm", "interp", "jit"
enum class Firmware { bios, uefi, linux_kernel, multiboot };  // "bios", "uefi", "linux", "multiboot"
enum class DiskBus { ahci, virtio, nvme, usb };
enum class DiskFormat { automatic, raw, qcow2 };          // "auto", "raw", "qcow2"
enum class DiskCache { writeback, writethrough };
enum class DisplayKind { none, vga, virtio };
enum class SoundKind { automatic, none, silent, sdl };     // "auto", "none", "silent", "sdl"
enum class UsbKind { automatic, none, xhci };               // "auto", "none", "xhci"
enum class NetworkCard { virtio, e1000 };
enum class NetworkBackend { user, socket, tap, none };
enum class OnReboot { restart, exit };
enum class AtEnd { exit, restart };
enum class OnPanic { keep, pause, exit, restart };

// Keys of a mapping that this version does not know, each with its value as YAML text: kept when the
// file is written again, so that an older program does not eat a newer one's settings.
using UnknownKeys = std::vector<std::pair<std::string, std::string>>;

// Files are relative paths inside the bundle ("disks/disk0.img") or absolute paths picked by the user.
struct DiskSpec {
    std::string id;                    // unique among disks and CDs: "disk0"; names it in the boot order
    std::string file;
    DiskBus bus = DiskBus::virtio;
    bool read_only = false;
    std::string serial;                // what the guest sees, up to 20 printable characters; empty: made from the id
    UnknownKeys unknown;
    DiskFormat format = DiskFormat::automatic;
    std::vector<std::string> backing = {};  // images outside of the bundle that a qcow2 image may be based on
    DiskCache cache = DiskCache::writeback; // writethrough: a write is done when it is on the host's disk
    bool discard = true;                    // what the guest trims is given back to the host
    // What `format` comes to: never automatic. By the file's name, since its content is the guest's to write.
    [[nodiscard]] DiskFormat effective_format() const;
    bool operator==(const DiskSpec&) const = default;
};

struct CdSpec {
    std::string id;                    // "cd0"
    std::string file;                  // empty: no medium in the drive
    UnknownKeys unknown;
    bool operator==(const CdSpec&) const = default;
};

// A network card and what its cable is plugged into.
struct NetworkSpec {
    std::string id;                    // "net0"; unique among networks, disks and CDs
    NetworkCard card = NetworkCard::virtio;
    NetworkBackend backend = NetworkBackend::user;
    std::string network;               // socket: the private network's name; tap: a tap or bridge of the host
    std::string mac;                   // "52:54:00:12:34:56"; empty: made from the machine's id and the card's
    std::vector<std::string> forwards; // user: ports of the host that lead into the guest (network_forward.hpp)
    bool restricted = false;           // user: the guest reaches neither the host nor what lies beyond it
    bool link = true;                  // false: the cable is unplugged
    UnknownKeys unknown;
    bool operator==(const NetworkSpec&) const = default;
};

// A multiboot module: a file and its command line.
struct ModuleSpec {
    std::string file;
    std::string arguments;
    UnknownKeys unknown;
    bool operator==(const ModuleSpec&) const = default;
};

struct VmSpec {
    uint32_t format = k_spec_format;
    std::string id;                          // a UUID, lower case; make_uuid() gives a new one
    std::string name;
    std::string os;                          // id of the guessed operating system, as vmm/media names it; may be empty
    std::string notes;
    uint64_t memory_mib = 1024;
    uint32_t cpus = 1;
    CpuBackend cpu_backend = CpuBackend::automatic;
    Firmware firmware = Firmware::bios;
    bool secure_boot = false;                // uefi: starts only what is signed
    std::vector<std::string> boot;           // ids of disks and CDs, first tried first; empty: CDs with a medium, then disks
    std::string kernel;                      // linux: a bzImage; multiboot: an ELF image
    std::string initrd;
    std::string append;                      // kernel command line
    std::vector<ModuleSpec> modules;
    // bios, uefi: started instead of a drive's loader until a disk holds a system (vmm/unattended); empty: nothing such.
    std::string install_kernel;              // a bzImage
    std::string install_initrd;
    std::string install_append;
    std::vector<DiskSpec> disks;
    std::vector<CdSpec> cds;
    std::vector<NetworkSpec> networks;
    uint32_t serial_ports = 1;               // 16550s at 0x3f8, 0x2f8, 0x3e8, 0x2e8
    DisplayKind display = DisplayKind::none; // files without the key are of machines that have only serial ports
    uint32_t vnc_port = 0;                   // TCP port of 127.0.0.1 for VNC viewers, who need a password; 0: none
    SoundKind sound = SoundKind::automatic;  // auto: sdl where there is a screen, else none
    UsbKind usb = UsbKind::automatic;        // auto: xhci where there is a screen or something that needs it
    bool usb_keyboard = false;
    bool rng = true;                         // virtio entropy device
    bool debug_exit = false;                 // isa-debug-exit at port 0xf4
    bool debug_console = false;              // bytes written to port 0xe9 (and firmware's 0x402) go to the log
    OnReboot on_reboot = OnReboot::restart;
    AtEnd on_power_off = AtEnd::exit;        // what the guest does by itself, not when the user asked it to
    AtEnd on_halt = AtEnd::exit;             // every processor sleeps with interrupts off
    AtEnd on_crash = AtEnd::exit;            // triple fault
    OnPanic on_panic = OnPanic::keep;        // the guest's system said so (pvpanic)
    UnknownKeys unknown;                     // top level
    UnknownKeys unknown_cpu;                 // inside the mappings cpu, serial, usb and debug
    UnknownKeys unknown_serial;
    UnknownKeys unknown_usb;
    UnknownKeys unknown_debug;
    UnknownKeys unknown_install;

    [[nodiscard]] const DiskSpec* find_disk(const std::string& disk_id) const;
    [[nodiscard]] const CdSpec* find_cd(const std::string& cd_id) const;
    [[nodiscard]] CdSpec* find_cd(const std::string& cd_id);
    [[nodiscard]] const NetworkSpec* find_network(const std::string& network_id) const;
    [[nodiscard]] NetworkSpec* find_network(const std::string& network_id);
    // The ids to try in order: `boot` when set, else CDs with a medium and then disks.
    [[nodiscard]] std::vector<std::string> effective_boot_order() const;
    // What `sound` comes to: never automatic.
    [[nodiscard]] SoundKind effective_sound() const;
    // What `usb` comes to: never automatic.
    [[nodiscard]] UsbKind effective_usb() const;
    // The first unused id of the form prefix + number ("disk1").
    [[nodiscard]] std::string free_id(const std::string& prefix) const;
    bool operator==(const VmSpec&) const = default;
};

// Whether it starts what is on a disk or CD, not a kernel file.
[[nodiscard]] constexpr bool boots_from_drives(Firmware firmware) {
    return firmware == Firmware::bios || firmware == Firmware::uefi;
}

// A random (version 4) UUID in lower case. Thread safe.
[[nodiscard]] std::string make_uuid();
[[nodiscard]] bool is_uuid(const std::string& text);

}  // namespace skep
