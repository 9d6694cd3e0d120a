// SPDX-License-Identifier: GPL-3.0-or-later
// Native code of the interpreter: little host functions that run one guest instruction (x87, MMX, SSE, AVX) as it is.
// Written through one mapping and executed through another; no page is ever writable and executable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace skep::interp {

class Core;
struct Op;

// Runs one instruction on `core`. `memory` is the host copy (or host address) of its memory operand; Op::extra
// and extra2 name its register operands. Returns AH = SF ZF AF PF CF as LAHF, AL = OF, when it sets flags.
using NativeFunction = uint32_t (*)(Core* core, void* memory, const Op* op);

enum class NativeUnit : uint8_t { x87, mmx, sse, avx };

// One kind of native instruction: its code and what the caller must do around it. Lives for ever, at one address.
struct NativeOp {
    NativeFunction run = nullptr;
    NativeUnit unit = NativeUnit::sse;
    uint8_t memory_bytes = 0;   // size of the memory operand, 0: none
    uint8_t alignment = 1;      // of the memory operand, else #GP(0)
    bool loads = false;         // the memory operand is read
    bool stores = false;        // the memory operand is written
    bool sets_flags = false;
    bool uses_mxcsr = false;    // may set MXCSR flags and raise #XM
    bool uses_mmx = false;      // leaves the x87 unit in MMX state
    bool waits = false;         // x87: an unmasked pending exception is #MF
    bool arithmetic = false;    // its results may underflow
    uint8_t result_slot = 0xff; // vector register slot written, 0xff: none
    uint8_t element_bytes = 0;  // of the floating-point results
    bool scalar = false;        // only the lowest element is a result

    bool operator==(const NativeOp&) const = default;
};

// Builds machine code byte by byte. Bounded; a function longer than the buffer is a bug of the generator and is refused.
class NativeEmitter {
  public:
    void bytes(std::initializer_list<unsigned> values);
    void word(uint32_t value);  // 4 bytes, little-endian
    void append(std::span<const uint8_t> code);
    [[nodiscard]] bool overflowed() const { return m_overflowed; }
    [[nodiscard]] size_t size() const { return m_size; }
    [[nodiscard]] std::span<const uint8_t> code() const { return {m_code.data(), m_size}; }
    void patch32(size_t at, uint32_t value);

  private:
    std::array<uint8_t, 256> m_code{};
    size_t m_size = 0;
    bool m_overflowed = false;
};

// The one NativeOp with this code and these properties: made at the first call, found again afterwards. nullptr when the
// host has no executable memory left. Register operands are not part of the code, so the number of different functions
// is bounded by the instruction set, not by the guest. Any thread.
[[nodiscard]] const NativeOp* intern_native_op(NativeOp properties, std::span<const uint8_t> code);

}  // namespace skep::interp
