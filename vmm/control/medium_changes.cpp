// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/medium_changes.hpp"

namespace skep {

MessageValues MediumChange::values() const {
    if (type() == MessageType::eject) {
        return {{"drive", drive}};
    }
    return {{"drive", drive}, {"file", file}};
}

std::vector<MediumChange> medium_changes(const VmSpec& before, const VmSpec& after) {
    std::vector<MediumChange> changes;
    for (const CdSpec& now : after.cds) {
        const CdSpec* const was = before.find_cd(now.id);
        if (was != nullptr && was->file != now.file) {
            changes.push_back({now.id, now.file});
        }
    }
    return changes;
}

Status apply_medium_changes(ControlClient& client, const VmSpec& before, const VmSpec& after) {
    const std::vector<MediumChange> changes = medium_changes(before, after);
    for (size_t index = 0; index < changes.size(); ++index) {
        if (const Status done = client.command(changes[index].type(), changes[index].values()); !done) {
            while (index-- != 0) {
                const MediumChange back{changes[index].drive, before.find_cd(changes[index].drive)->file};
                [[maybe_unused]] const Status undone = client.command(back.type(), back.values());
            }
            return done;
        }
    }
    return {};
}

}  // namespace skep
