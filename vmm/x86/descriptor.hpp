// SPDX-License-Identifier: GPL-3.0-or-later
// Segment and gate descriptors as they lie in memory, and selectors (SDM 3A ch. 3.4.5, 3.5, 5.8.3, 6.11, 7.2).
#pragma once

#include <cstdint>

#include "vmm/cpu/cpu_state.hpp"

namespace skep::x86 {

// System descriptor types (S = 0). In IA-32e mode only the 32-bit ones exist, as 64-bit.
enum SystemType : unsigned {
    k_tss16_available = 1, k_ldt = 2, k_tss16_busy = 3, k_call_gate16 = 4, k_task_gate = 5, k_interrupt_gate16 = 6,
    k_trap_gate16 = 7, k_tss32_available = 9, k_tss32_busy = 11, k_call_gate32 = 12, k_interrupt_gate32 = 14, k_trap_gate32 = 15
};

// Selector fields.
constexpr unsigned selector_rpl(uint16_t selector) { return selector & 3; }
constexpr bool selector_is_local(uint16_t selector) { return (selector & 4) != 0; }
constexpr bool selector_is_null(uint16_t selector) { return (selector & 0xfffc) == 0; }
// What an error code says of a selector; the EXT bit is added by the delivery of an external event.
constexpr uint32_t selector_error(uint16_t selector) { return selector & 0xfffc; }

// Eight raw bytes of a descriptor.
struct Descriptor {
    uint64_t raw = 0;

    [[nodiscard]] constexpr unsigned type() const { return (raw >> 40) & 0xf; }
    [[nodiscard]] constexpr bool is_code_or_data() const { return ((raw >> 44) & 1) != 0; }
    [[nodiscard]] constexpr unsigned dpl() const { return (raw >> 45) & 3; }
    [[nodiscard]] constexpr bool present() const { return ((raw >> 47) & 1) != 0; }
    [[nodiscard]] constexpr bool long_mode() const { return ((raw >> 53) & 1) != 0; }
    [[nodiscard]] constexpr bool default_big() const { return ((raw >> 54) & 1) != 0; }
    [[nodiscard]] constexpr bool granular() const { return ((raw >> 55) & 1) != 0; }

    [[nodiscard]] constexpr bool is_system(unsigned wanted) const { return !is_code_or_data() && type() == wanted; }
    [[nodiscard]] constexpr bool is_code() const { return is_code_or_data() && (type() & 8) != 0; }
    [[nodiscard]] constexpr bool is_data() const { return is_code_or_data() && (type() & 8) == 0; }
    [[nodiscard]] constexpr bool is_conforming_code() const { return is_code() && (type() & 4) != 0; }
    [[nodiscard]] constexpr bool is_readable_code() const { return is_code() && (type() & 2) != 0; }
    [[nodiscard]] constexpr bool is_writable_data() const { return is_data() && (type() & 2) != 0; }
    [[nodiscard]] constexpr bool accessed() const { return (type() & 1) != 0; }

    [[nodiscard]] constexpr uint32_t base() const {
        return static_cast<uint32_t>(((raw >> 16) & 0xff'ffff) | ((raw >> 32) & 0xff00'0000));
    }
    // In bytes, scaled by G.
    [[nodiscard]] constexpr uint32_t limit() const {
        const auto field = static_cast<uint32_t>((raw & 0xffff) | ((raw >> 32) & 0xf'0000));
        return granular() ? (field << 12) | 0xfff : field;
    }
    // Bits 0-7 and 12-15 of Segment::attributes.
    [[nodiscard]] constexpr uint32_t attributes() const { return static_cast<uint32_t>(raw >> 40) & 0xf0ff; }

    // Gates.
    [[nodiscard]] constexpr uint16_t gate_selector() const { return static_cast<uint16_t>(raw >> 16); }
    [[nodiscard]] constexpr uint32_t gate_offset() const {
        return static_cast<uint32_t>((raw & 0xffff) | ((raw >> 32) & 0xffff'0000));
    }
    [[nodiscard]] constexpr unsigned gate_parameters() const { return (raw >> 32) & 0x1f; }
    [[nodiscard]] constexpr unsigned gate_ist() const { return (raw >> 32) & 7; }
};

inline constexpr uint64_t k_descriptor_accessed = uint64_t{1} << 40;
inline constexpr uint64_t k_descriptor_busy = uint64_t{1} << 41;
inline constexpr uint32_t k_segment_unusable = 0x10000;

// The register contents that loading this descriptor gives. `high`: upper 8 bytes of a 16-byte system descriptor.
[[nodiscard]] Segment segment_of(uint16_t selector, Descriptor descriptor, uint64_t high = 0);
// What loading a null selector gives.
[[nodiscard]] Segment null_segment(uint16_t selector, unsigned dpl);

// Does the LAR (or LSL) instruction accept this system type? long_mode: IA32_EFER.LMA.
[[nodiscard]] bool lar_accepts(unsigned system_type, bool long_mode);
[[nodiscard]] bool lsl_accepts(unsigned system_type, bool long_mode);

[[nodiscard]] constexpr bool is_canonical(uint64_t address) {
    return static_cast<uint64_t>(static_cast<int64_t>(address << 16) >> 16) == address;
}

}  // namespace skep::x86
