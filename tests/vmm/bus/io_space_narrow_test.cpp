// SPDX-License-Identifier: GPL-3.0-or-later
// Narrow accesses to handlers that only take whole registers.
#include <gtest/gtest.h>

#include "vmm/bus/io_space.hpp"

namespace skep {
namespace {

// Dword registers, each byte holding its own offset.
class Dwords final : public IoHandler {
  public:
    uint64_t io_read(uint64_t offset, unsigned /*size*/) override { return 0x03020100 + offset * 0x01010101; }
    void io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t /*value*/) override {}
};

TEST(IoSpaceNarrow, Reads_AtEveryOffsetAndSize_AgreeWithTheBytes) {
    IoSpace space("mmio");
    IoGate gate;
    Dwords dwords;
    const IoClaim claim = space.claim({0x1000, 0x40, 4, 4}, dwords, gate);
    for (unsigned offset = 0; offset < 0x30; ++offset) {
        for (const unsigned size : {1U, 2U}) {
            uint64_t expected = 0;
            for (unsigned i = 0; i < size; ++i) {
                expected |= uint64_t{offset + i} << (8 * i);
            }
            EXPECT_EQ(space.read(0x1000 + offset, size), expected) << offset << " " << size;
        }
    }
}

}  // namespace
}  // namespace skep
