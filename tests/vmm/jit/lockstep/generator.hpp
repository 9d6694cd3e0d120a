// SPDX-License-Identifier: GPL-3.0-or-later
// Random programs: segments (straight lines, loops, branches, calls, code that changes itself, interrupts, changes of
// address space ...), each begun by a landing where exceptions of the segment before go on.
#pragma once

#include "tests/vmm/jit/lockstep/instructions.hpp"
#include "tests/vmm/jit/lockstep/machine.hpp"

namespace skep::lockstep {

// Where events may happen: where the program makes them, or between any two instructions.
enum class Events : uint8_t { known, anywhere };

class Generator {
  public:
    Generator(uint64_t seed, const Pool& pool);
    // The case of this seed: a pure function of it and the pool.
    [[nodiscard]] Case make(Events events = Events::known);

  private:
    Random m_random;
    const Pool& m_pool;
    uint64_t m_seed;
};

}  // namespace skep::lockstep
