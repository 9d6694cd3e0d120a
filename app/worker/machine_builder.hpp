// SPDX-License-Identifier: GPL-3.0-or-later
// From a VmSpec to a Machine: the one place that knows both the machine and its devices.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/worker/usb_sticks.hpp"
#include "devices/block/block_backend.hpp"
#include "devices/board/board.hpp"
#include "display/input/input_hub.hpp"
#include "display/surface/screen.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

class AhciController;
class DiskRecorder;
class NetCable;
class NetThread;
class PciBus;

struct BuiltDisk {
    std::string id;
    std::string path;
    std::shared_ptr<BlockBackend> backend;
};
struct BuiltCd {
    std::string id;
    std::string path;  // empty: no medium
    unsigned port = 0;
};

struct BuiltNetwork {
    std::string id;
    MacAddress mac{};
    std::shared_ptr<NetCable> cable;
};

// Everything of a running machine that the worker talks to. Members are destroyed bottom up.
struct BuiltMachine {
    std::vector<BuiltDisk> disks;
    std::vector<BuiltCd> cds;
    std::vector<BuiltNetwork> networks;
    std::unique_ptr<InputHub> input;  // every machine has a keyboard
    std::unique_ptr<Screen> screen;   // null without a display
    std::span<const std::byte> vga_bios;  // the display's; the machine's memory
    std::unique_ptr<Machine> machine;
    Q35Board* board = nullptr;       // owned by the machine
    AhciController* ahci = nullptr;  // owned by the machine; null without disks or CDs on AHCI
    std::unique_ptr<UsbSticks> usb;  // null without a USB controller
    std::function<void()> forget_installer;  // set while one starts instead of the drives; before a reset, no processor running
};

struct BuildInputs {
    const VmSpec& spec;
    // The host path of a file that the spec names.
    std::function<Result<std::filesystem::path>(const std::string& file)> resolve;
    // Where the machine's own files lie; empty: it has none, and its UEFI variables are forgotten.
    std::filesystem::path folder;
    Hypervisor& hypervisor;
    std::array<CharBackend*, 4> serial{};
    CharBackend* debug_console = nullptr;
    Machine::EventHandler on_event;
    // A disk's writes are held because the host's disk is full. Any thread.
    std::function<void(const std::string& disk, const std::string& sentence)> on_no_space;
    std::shared_ptr<DiskRecorder> recorder{};  // of what happens to the disks, sticks aside; or null
};

[[nodiscard]] Result<BuiltMachine> build_machine(const BuildInputs& inputs);

// Opens an ISO for a CD drive.
[[nodiscard]] Result<std::shared_ptr<BlockBackend>> open_cd(const std::string& path);

}  // namespace skep
