// SPDX-License-Identifier: GPL-3.0-or-later
// The stacks that translated code runs on. A guest's CALL is a CALL of the host here, and its RET a RET, so that the host
// foresees where it goes; the stack remembers which RIP each return point stands for, and a RET that finds another one
// looks that up. Nothing else lies there: C++ runs on the thread's own stack.
//
// A return point is good only in the code context in which it was pushed, so every context has a stack (some share one,
// then the last to use it has it).
#pragma once

#include <asmjit/x86.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/interp/low_memory.hpp"
#include "vmm/jit/runtime.hpp"

namespace skep::jit {

// As CALL leaves it, after the RIP was pushed.
struct ReturnFrame {
    uint64_t code = 0;  // of the host
    uint64_t rip = 0;
};
inline constexpr unsigned k_return_search = 8;  // how far down a RET looks when the top is another RIP's

// From translated code to the C++ function whose address is in this slot of Runtime: on the thread's own stack.
void emit_host_call(asmjit::x86::Assembler& a, const Runtime& runtime, const uint64_t& function);

// On the vCPU's thread.
class ReturnStacks {
  public:
    explicit ReturnStacks(Runtime& runtime) : m_runtime(runtime), m_stacks(interp::make_low<Stacks>()) {}

    [[nodiscard]] bool is_low() const { return interp::is_low(m_stacks.get(), sizeof(Stacks)); }
    // `empty`: thunk where a RET goes when the stack has no frame.
    void set_empty(uint64_t empty) { m_empty = empty; }
    // The stack for code in this context becomes Runtime's.
    void choose(uint64_t context) {
        if (context != m_context) [[unlikely]] {
            change(context);
        }
    }
    // Nothing on them is good any more. Translated code may be running, until it is left.
    void forget();

  private:
    static constexpr unsigned k_stacks = 16;
    static constexpr unsigned k_frames = 512;
    struct Stack {
        std::array<std::byte, 8192> spare;  // for signals
        std::array<ReturnFrame, k_frames> frames;
        std::array<ReturnFrame, k_return_search + 1> ends;  // for ever
    };
    using Stacks = std::array<Stack, k_stacks>;

    void change(uint64_t context);

    Runtime& m_runtime;
    interp::LowPointer<Stacks> m_stacks;
    uint64_t m_empty = 0;
    uint64_t m_context = 0;  // 0: none chosen
    std::array<uint64_t, k_stacks> m_owners{};
    std::array<uint64_t, k_stacks> m_tops{};
};

}  // namespace skep::jit
