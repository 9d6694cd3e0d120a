// SPDX-License-Identifier: GPL-3.0-or-later
// What of changed CD drives a running machine takes at once: their media.
#pragma once

#include <string>
#include <vector>

#include "vmm/control/client.hpp"
#include "vmm/control/messages.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

struct MediumChange {
    std::string drive;
    std::string file;  // as written in the settings; empty: none

    [[nodiscard]] MessageType type() const { return file.empty() ? MessageType::eject : MessageType::insert; }
    [[nodiscard]] MessageValues values() const;
};

// Of drives that both have.
[[nodiscard]] std::vector<MediumChange> medium_changes(const VmSpec& before, const VmSpec& after);

// Asks the worker for them, blocking. When it refuses one, those before are taken back.
[[nodiscard]] Status apply_medium_changes(ControlClient& client, const VmSpec& before, const VmSpec& after);

}  // namespace skep
