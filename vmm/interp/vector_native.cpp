// SPDX-License-Identifier: GPL-3.0-or-later
// Handlers that run a native SSE, AVX or MMX function: availability, the memory operand, MXCSR and #XM around it.
#include "vmm/interp/vector_native.hpp"

#include <cstring>

#include "vmm/interp/flags.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

constexpr uint32_t k_pre_computation = 7;  // IE, DE, ZE: found before any element is computed

// What an instruction may change, to take it back when it turns out to fault.
struct Snapshot {
    std::array<std::byte, 1024> xsave;
    std::array<uint64_t, 18> gpr;
};

bool is_denormal(const std::byte* at, unsigned bytes) {
    if (bytes == 4) {
        uint32_t value;
        std::memcpy(&value, at, 4);
        return (value & 0x7f80'0000) == 0 && (value & 0x7f'ffff) != 0;
    }
    uint64_t value;
    std::memcpy(&value, at, 8);
    return (value & 0x7ff0'0000'0000'0000) == 0 && (value & 0xf'ffff'ffff'ffff) != 0;
}

// With underflow unmasked a denormal result is an underflow even when exact (SDM 1, 4.9.1.5), which the masked
// response does not tell.
bool has_denormal_result(const Core& core, const NativeOp& native, const Op& op) {
    if (!native.arithmetic || native.element_bytes == 0)
        return false;
    const auto* low = core.xsave.data() + k_xmm_at + vector_place(op, native.result_slot);
    const unsigned bytes = native.scalar ? native.element_bytes : 16;
    for (unsigned at = 0; at < bytes; at += native.element_bytes) {
        if (is_denormal(low + at, native.element_bytes))
            return true;
        if (!native.scalar && native.unit == NativeUnit::avx &&
            is_denormal(low + (k_ymm_high_at - k_xmm_at) + at, native.element_bytes))
            return true;
    }
    return false;
}

// Some exception is unmasked: run with all masked, then see what would have been raised (SDM 1, 11.5.2).
uint32_t run_with_unmasked_exceptions(Core& core, void* memory, const Op& op) {
    const auto& native = *static_cast<const NativeOp*>(op.data);
    const uint32_t guest = mxcsr(core);
    const Snapshot before{core.xsave, core.gpr};
    uint32_t run = (guest | k_mxcsr_masks) & ~k_mxcsr_flags;
    if ((guest & k_mxcsr_um) == 0)
        run &= ~k_mxcsr_ftz;  // flush-to-zero is for the masked response only
    set_vector_field(core, k_mxcsr_at, run);
    const uint32_t status = native.run(&core, memory, &op);
    uint32_t raised = mxcsr(core) & k_mxcsr_flags;
    if ((guest & k_mxcsr_um) == 0 && has_denormal_result(core, native, op))
        raised |= k_mxcsr_ue;
    const uint32_t unmasked = raised & ~(guest >> 7);
    if (unmasked == 0) {
        set_vector_field(core, k_mxcsr_at, guest | raised);
        return status;
    }
    if ((unmasked & k_pre_computation) != 0)
        raised &= k_pre_computation;
    core.xsave = before.xsave;
    core.gpr = before.gpr;
    set_vector_field(core, k_mxcsr_at, guest | raised);
    raise((core.cr4 & k_cr4_osxmmexcpt) != 0 ? k_xm : k_ud);
}

inline void run(Core& core, void* memory, const Op& op, const NativeOp& native) {
    uint32_t status;
    if (native.uses_mxcsr && (mxcsr(core) & k_mxcsr_masks) != k_mxcsr_masks) [[unlikely]]
        status = run_with_unmasked_exceptions(core, memory, op);
    else
        status = native.run(&core, memory, &op);
    if (native.sets_flags)
        core.status = static_cast<uint16_t>(status);
}

inline void require(Core& core, const NativeOp& native) {
    if (native.unit == NativeUnit::avx)
        require_avx(core);
    else if (native.unit == NativeUnit::sse)
        require_sse(core);
    if (native.uses_mmx) {
        require_mmx(core);
        enter_mmx(core);
    }
}

void run_registers(Core& core, const Op& op) {
    const auto& native = *static_cast<const NativeOp*>(op.data);
    require(core, native);
    run(core, nullptr, op, native);
}

// The plainest: no flags, no MXCSR, registers only.
template <NativeUnit unit>
void run_plain(Core& core, const Op& op) {
    if constexpr (unit == NativeUnit::avx)
        require_avx(core);
    else
        require_sse(core);
    static_cast<const NativeOp*>(op.data)->run(&core, nullptr, &op);
}

inline void run_with_operand(Core& core, void* memory, const Op& op, const NativeOp& native) {
    if (native.uses_mmx)
        enter_mmx(core);
    run(core, memory, op, native);
}

// Apart, so that the fast path needs no stack.
[[gnu::noinline]] void run_with_copied_operand(Core& core, uint64_t linear, const Op& op, const NativeOp& native) {
    alignas(32) std::array<std::byte, 32> buffer;
    load_bytes(core, linear, buffer.data(), native.memory_bytes, op.segment);
    run_with_operand(core, buffer.data(), op, native);
}

void run_load(Core& core, const Op& op) {
    const auto& native = *static_cast<const NativeOp*>(op.data);
    if (native.unit == NativeUnit::avx)
        require_avx(core);
    else if (native.unit == NativeUnit::sse)
        require_sse(core);
    if (native.uses_mmx)
        require_mmx(core);
    const uint64_t linear = vector_operand(core, op, native.memory_bytes, native.alignment, Access::read);
    if (std::byte* host = host_for_read(core, linear, native.memory_bytes)) [[likely]]
        run_with_operand(core, host, op, native);
    else
        run_with_copied_operand(core, linear, op, native);
}

void run_store(Core& core, const Op& op) {
    const auto& native = *static_cast<const NativeOp*>(op.data);
    if (native.unit == NativeUnit::avx)
        require_avx(core);
    else if (native.unit == NativeUnit::sse)
        require_sse(core);
    if (native.uses_mmx)
        require_mmx(core);
    if (native.uses_mmx || native.uses_mxcsr) {  // a store that faults must leave no trace
        const uint64_t linear = vector_operand(core, op, native.memory_bytes, native.alignment, Access::write);
        check_store(core, linear, native.memory_bytes, op.segment);
    }
    if (native.uses_mmx)
        enter_mmx(core);
    alignas(32) std::array<std::byte, 32> buffer;
    run(core, buffer.data(), op, native);
    store_operand(core, op, native.memory_bytes, native.alignment, buffer.data());
}

}  // namespace

PlainHandler native_handler(const NativeOp& native) {
    if (native.stores)
        return run_store;
    if (native.loads)
        return run_load;
    if (native.uses_mxcsr || native.sets_flags || native.uses_mmx)
        return run_registers;
    return native.unit == NativeUnit::avx ? run_plain<NativeUnit::avx> : run_plain<NativeUnit::sse>;
}

}  // namespace skep::interp
