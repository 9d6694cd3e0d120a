// SPDX-License-Identifier: GPL-3.0-or-later
// Unattended installation: which media can be answered beforehand, and how a machine is made ready for it. No medium of the
// user's is changed: Debian's installer starts from its CD's own kernel and RAM disk, copied into the machine's folder with
// preseed.cfg at the RAM disk's end; a cloud image finds its answers on a CD of its own (volume id CIDATA).
#pragma once

#include "vmm/media/medium.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/unattended/answers.hpp"

namespace skep {

enum class UnattendedKind { none, debian, cloud_image };
// cloud_image: any disk image; whether cloud-init is on it cannot be seen from outside.
[[nodiscard]] UnattendedKind unattended_kind(const MediumInfo& medium);

// Why this machine cannot be installed unattended, one sentence; empty when it can.
[[nodiscard]] std::string unattended_problem(const VmSpec& spec, UnattendedKind kind);

// Writes install/ into the bundle and makes the spec (which the caller saves) use it. `spec` has its disks already. Blocks on
// the disk. What was written stays when it fails: the caller removes the new bundle.
[[nodiscard]] Status prepare_unattended(const Bundle& bundle, VmSpec& spec, const MediumInfo& medium, const Answers& answers);

}  // namespace skep
