// SPDX-License-Identifier: GPL-3.0-or-later
// Which instructions the host has: the guest is offered no other, and using one that is missing is #UD.
#pragma once

namespace skep::interp {

struct HostFeatures {
    bool bmi1 = false, bmi2 = false, adx = false, sse42 = false, rdrand = false, rdseed = false;
};
[[nodiscard]] const HostFeatures& host_features();

}  // namespace skep::interp
