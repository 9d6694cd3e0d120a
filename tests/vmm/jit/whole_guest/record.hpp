// SPDX-License-Identifier: GPL-3.0-or-later
// What is written down of a guest's run on one processor: everything it learnt from outside and told the outside, in
// order, and what its registers and its memory were at the time. Enough to run it again, and to see the first difference.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/interp/core.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::whole_guest {

enum class Kind : uint8_t { port_read, port_write, mmio_read, mmio_write, msr_read, msr_write, cr8_read, cr8_write, tsc, random, interrupt };

using GeneralRegisters = std::array<uint64_t, 16>;

struct Event {
    Kind kind;
    uint8_t size;        // of the access, bytes; 0 for others
    uint32_t where;      // port, MSR, low half of the address; of an interrupt: its number in Record::interrupts
    uint64_t value;      // read or written; the vector
    GeneralRegisters registers;  // zeros for MMIO, where translated code has not stored them
};

// All that an interrupt must find as it was.
struct Registers {
    GeneralRegisters gpr;
    uint64_t rip, rflags, cs, cr0, cr2, cr3, cr4;
    bool operator==(const Registers&) const = default;
};
struct Interrupt {
    Registers registers;
    uint64_t surroundings;  // tells turns of a loop apart whose registers are the same
    uint64_t vectors;       // hash of the vector and x87 state
};

// Memory at one moment: a hash for each page of RAM.
struct Mark {
    size_t event;  // just after this one
    std::vector<uint64_t> pages;
};

struct Record {
    std::vector<Event> events;
    std::vector<Interrupt> interrupts;
    std::vector<Mark> marks;
    std::string console;  // what the guest wrote to COM1
};

[[nodiscard]] uint64_t hash_of(const void* data, size_t bytes);
[[nodiscard]] GeneralRegisters general_registers(const interp::Core& core);
[[nodiscard]] Registers registers_of(const interp::Core& core);
// A hash of what lies above RSP, and of the pages that the other registers point to.
[[nodiscard]] uint64_t surroundings_of(const interp::Core& core);
[[nodiscard]] uint64_t vectors_of(const interp::Core& core);
[[nodiscard]] std::vector<uint64_t> pages_of(const GuestMemory& memory);

[[nodiscard]] std::string describe(const Event& event);
// The registers in which two differ, one line: expected/seen.
[[nodiscard]] std::string difference(const GeneralRegisters& expected, const GeneralRegisters& seen);
[[nodiscard]] std::string difference(const Registers& expected, const Registers& seen);

}  // namespace skep::whole_guest
