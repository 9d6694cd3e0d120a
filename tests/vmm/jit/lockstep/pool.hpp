// SPDX-License-Identifier: GPL-3.0-or-later
// Instructions found by trying random bytes (every one that the single-instruction oracle can judge), sorted by what
// registers they need, so that a program takes a fitting one at once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/vmm/interp/oracle_generator.hpp"
#include "tests/vmm/jit/lockstep/assembler.hpp"

namespace skep::lockstep {

struct Pooled {
    Item item;
    uint32_t writes = 0;  // general registers, a mask
    int base = -1;        // of its memory operand, -1 for none
    int index = -1;
    bool leaves_flags_undefined = false;
};

// Instructions after which flags depend on what the host's flags happened to be before: the manuals leave them undefined
// and this host leaves them alone. Programs define them at once. Looked at 2026-11.
[[nodiscard]] bool leaves_flags_undefined(unsigned zydis_mnemonic);

class Pool {
  public:
    // count: instructions to find for each subject.
    Pool(uint64_t seed, unsigned count);
    // A random one whose base (if any) is among `pointers`, whose index is `index`, and which writes only `free`; null after
    // a few attempts without luck.
    [[nodiscard]] const Pooled* choose(test::Random& random, test::Subject subject, bool code64, uint32_t pointers,
                                       unsigned index, uint32_t free) const;

  private:
    std::array<std::array<std::vector<Pooled>, 3>, 2> m_found;  // [code64][subject]
};

}  // namespace skep::lockstep
