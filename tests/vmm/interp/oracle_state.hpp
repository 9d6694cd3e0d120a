// SPDX-License-Identifier: GPL-3.0-or-later
// Random register states for the oracle and their comparison.
#pragma once

#include <string>

#include "tests/support/native_oracle.hpp"
#include "tests/vmm/interp/oracle_generator.hpp"

namespace skep::test {

// 64 bits that make arithmetic interesting: corner integers, floating-point zeros, denormals, infinities, NaNs, or noise.
[[nodiscard]] uint64_t interesting_bits(Random& random);

struct StartState {
    MachineState state;

    void randomise(Random& random, Registers registers);
    // Steers the memory operand into the scratch memory (8 KiB at `scratch`), sometimes over its edge. The offset of a
    // window of that many bytes around it.
    size_t place_operand(Random& random, const Instruction& instruction, uint64_t scratch, size_t window);
};

void copy_state(MachineState& to, const MachineState& from, Registers registers);
// Is this a difference that is known and harmless?
[[nodiscard]] bool excused(const MachineState& native, const MachineState& ours, const Instruction& instruction);
// What differs, empty for nothing.
[[nodiscard]] std::string compare_states(const MachineState& native, const MachineState& ours, Registers registers,
                                         const Instruction& instruction);
[[nodiscard]] std::string describe_start(const MachineState& start, const Instruction& instruction);

}  // namespace skep::test
