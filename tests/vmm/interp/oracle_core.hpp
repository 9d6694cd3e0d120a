// SPDX-License-Identifier: GPL-3.0-or-later
// A bare Core in 64-bit user mode with two pages of memory at the oracle's scratch address, to run single decoded
// instructions without a run loop.
#pragma once

#include <memory>
#include <span>

#include "tests/support/native_oracle.hpp"
#include "vmm/interp/core.hpp"
#include "vmm/interp/decode.hpp"

namespace skep::test {

class OracleCore {
  public:
    // scratch: linear address of the memory, two pages, page-aligned, below 4 GiB.
    explicit OracleCore(uint64_t scratch);
    ~OracleCore();
    [[nodiscard]] interp::Core& core() { return *m_core; }
    [[nodiscard]] std::byte* scratch() { return m_scratch; }

    void prepare(std::span<const uint8_t> instruction);
    // Runs the prepared instruction on `state`.
    void run(MachineState& state, Registers registers);

  private:
    void map_scratch(uint64_t linear);
    std::unique_ptr<GuestMemory> m_memory;
    std::unique_ptr<interp::Core> m_core;
    std::byte* m_scratch = nullptr;
    std::array<interp::Op, 2> m_ops{};
};

}  // namespace skep::test
