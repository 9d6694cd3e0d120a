// SPDX-License-Identifier: GPL-3.0-or-later
// Segment registers and descriptor tables (SDM 3A ch. 3 and 5).
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/interp/core.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::interp {

// MOV/POP/Lxs to ES, SS, DS, FS, GS: every mode, every check. Throws; the register is then unchanged.
void load_segment(Core& core, SegmentRegister which, uint16_t selector);
// Real-mode and V86 rule: base = selector << 4.
void load_segment_real(Core& core, SegmentRegister which, uint16_t selector);

// The descriptor a selector names, through supervisor accesses. Nothing if it lies outside its table; throws #PF.
struct DescriptorPlace {
    x86::Descriptor descriptor;
    uint64_t linear = 0;  // of its first byte
};
[[nodiscard]] std::optional<DescriptorPlace> read_descriptor(Core& core, uint16_t selector);
// The upper half of a 16-byte system descriptor (64-bit mode), which must lie inside the table too.
[[nodiscard]] std::optional<uint64_t> read_descriptor_high(Core& core, uint16_t selector, const DescriptorPlace& place);
// Sets the accessed bit in memory if it is clear.
void mark_accessed(Core& core, DescriptorPlace& place);

void load_ldt(Core& core, uint16_t selector);
void load_task_register(Core& core, uint16_t selector);

// LAR/LSL: the value, or nothing when ZF is to be cleared. VERR/VERW: ZF.
[[nodiscard]] std::optional<uint32_t> access_rights(Core& core, uint16_t selector);
[[nodiscard]] std::optional<uint32_t> segment_limit(Core& core, uint16_t selector);
enum class VerifyFor : uint8_t { read, write };
[[nodiscard]] bool verify_segment(Core& core, uint16_t selector, VerifyFor purpose);

// Throws #GP(0) unless IN/OUT/INS/OUTS may touch these ports now (CPL against IOPL, the TSS's bitmap). size: 1, 2, 4.
void check_io_permission(Core& core, uint16_t port, unsigned size);

}  // namespace skep::interp
