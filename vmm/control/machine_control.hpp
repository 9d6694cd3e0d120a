// SPDX-License-Identifier: GPL-3.0-or-later
// MachineControl: what the control server may ask of the machine. The worker implements it; tests fake it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

class NetworkControl;
class ScreenControl;

enum class MachineState {
    starting,  // firmware or kernel not running yet
    running,
    paused,    // by request
    no_space,  // held: the host's disk is full (retry continues)
    stopped,   // the guest has gone; the worker is about to exit
};

struct MachineStatus {
    MachineState state = MachineState::starting;
    std::string reason;          // one sentence for the user; may be empty
    uint64_t uptime_ms = 0;      // guest time since start, pauses left out
    std::string cpu_backend;     // "kvm", "jit" or "interp"
    std::string cpu_reason;      // why that one
};

enum class StickAccess { read_write, read_only };

struct StickInfo {  // a USB stick that is plugged in
    std::string id;
    std::string file;
    StickAccess access = StickAccess::read_write;
};

// Called on the control loop's thread. Calls may block for as long as stopping the processors takes (milliseconds).
class MachineControl {
  public:
    virtual ~MachineControl() = default;
    virtual MachineStatus status() = 0;
    virtual Status pause() = 0;
    virtual Status resume() = 0;
    virtual Status power_button() = 0;
    virtual Status power_off() = 0;   // at once; the worker exits with code 1 after the reply has gone out
    virtual Status reset() = 0;
    virtual Status eject(const std::string& drive) = 0;                            // empty: the first CD drive
    virtual Status insert(const std::string& drive, const std::string& file) = 0;  // absolute path
    virtual Status resize_disk(const std::string& disk, uint64_t size) = 0;        // larger; bytes
    // USB sticks, while the machine runs. file: absolute path; id: empty for the first free one (the only one). Both
    // return the id.
    virtual Result<std::string> attach_stick(const std::string& file, StickAccess access, const std::string& id) = 0;
    virtual Result<std::string> detach_stick(const std::string& id) = 0;
    virtual std::vector<StickInfo> sticks() = 0;
    virtual Status retry() = 0;                                                    // after no_space
    virtual ScreenControl* screen() { return nullptr; }                            // null: neither screen nor keys
    virtual NetworkControl* network() { return nullptr; }                          // null: no network cards
    virtual std::string info_json() = 0;  // an object: devices, disks, counters; free-form, for people and --json
};

[[nodiscard]] const char* to_text(MachineState state);

}  // namespace skep
