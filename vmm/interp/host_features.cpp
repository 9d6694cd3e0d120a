// SPDX-License-Identifier: GPL-3.0-or-later
// CPUID leaves 1 and 7 of the host (SDM 2A, CPUID).
#include "vmm/interp/host_features.hpp"

#include <cpuid.h>

namespace skep::interp {

const HostFeatures& host_features() {
    static const HostFeatures features = [] {
        HostFeatures found;
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
            found.sse42 = (c & (1U << 20)) != 0;
            found.rdrand = (c & (1U << 30)) != 0;
        }
        if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
            found.bmi1 = (b & (1U << 3)) != 0;
            found.bmi2 = (b & (1U << 8)) != 0;
            found.rdseed = (b & (1U << 18)) != 0;
            found.adx = (b & (1U << 19)) != 0;
        }
        return found;
    }();
    return features;
}

}  // namespace skep::interp
