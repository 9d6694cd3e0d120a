// SPDX-License-Identifier: GPL-3.0-or-later
// Whether the machine whose settings are shown has a worker.
#pragma once

namespace skep::ui {

enum class MachineActivity { off, running };

}  // namespace skep::ui
