// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/descriptor.hpp"

namespace skep::x86 {

Segment segment_of(uint16_t selector, Descriptor descriptor, uint64_t high) {
    return {.base = descriptor.base() | (high << 32),
            .limit = descriptor.limit(),
            .attributes = descriptor.attributes(),
            .selector = selector};
}

Segment null_segment(uint16_t selector, unsigned dpl) {
    return {.base = 0, .limit = 0, .attributes = k_segment_unusable | (dpl << 5), .selector = selector};
}

// SDM 2A, LAR: table "Segment and Gate Types".
bool lar_accepts(unsigned system_type, bool long_mode) {
    constexpr unsigned k_legacy = 1U << k_tss16_available | 1U << k_ldt | 1U << k_tss16_busy | 1U << k_call_gate16 |
                                  1U << k_task_gate | 1U << k_tss32_available | 1U << k_tss32_busy | 1U << k_call_gate32;
    constexpr unsigned k_long = 1U << k_ldt | 1U << k_tss32_available | 1U << k_tss32_busy | 1U << k_call_gate32;
    return (((long_mode ? k_long : k_legacy) >> system_type) & 1) != 0;
}

// SDM 2A, LSL: the same without gates.
bool lsl_accepts(unsigned system_type, bool long_mode) {
    constexpr unsigned k_legacy = 1U << k_tss16_available | 1U << k_ldt | 1U << k_tss16_busy | 1U << k_tss32_available |
                                  1U << k_tss32_busy;
    constexpr unsigned k_long = 1U << k_ldt | 1U << k_tss32_available | 1U << k_tss32_busy;
    return (((long_mode ? k_long : k_legacy) >> system_type) & 1) != 0;
}

}  // namespace skep::x86
