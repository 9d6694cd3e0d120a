// SPDX-License-Identifier: GPL-3.0-or-later
// Vector and x87 state: what the random comparison with the host leaves out.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/native_oracle.hpp"
#include "tests/vmm/interp/oracle_core.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::test {
namespace {

using namespace interp;

constexpr uint64_t k_nothing = MachineState::k_no_fault;

class Vector : public testing::Test {
  protected:
    Vector() : m_core(reinterpret_cast<uint64_t>(m_native.scratch())) {
        put<uint16_t>(k_fcw_at, 0x37f);
        put<uint32_t>(k_mxcsr_at, 0x1f80);
        m_state.gpr[k_rbx] = reinterpret_cast<uint64_t>(m_native.scratch());
        m_state.gpr[k_rax] = 7;
        std::memset(m_core.scratch(), 0, NativeOracle::k_scratch_bytes);
        std::memset(m_native.scratch(), 0, NativeOracle::k_scratch_bytes);
    }
    template <typename T>
    void put(unsigned at, T value) {
        std::memcpy(m_state.xsave.data() + at, &value, sizeof value);
    }
    template <typename T>
    T get(unsigned at) const {
        T value;
        std::memcpy(&value, m_state.xsave.data() + at, sizeof value);
        return value;
    }
    template <typename T>
    T memory(unsigned at) {
        T value;
        std::memcpy(&value, m_core.scratch() + at, sizeof value);
        return value;
    }
    template <typename T>
    void put_memory(unsigned at, T value) {
        std::memcpy(m_core.scratch() + at, &value, sizeof value);
    }
    uint64_t run(std::initializer_list<uint8_t> code) {
        m_core.prepare({code.begin(), code.size()});
        m_core.run(m_state, Registers::all);
        return m_state.vector;
    }
    void run_native(std::initializer_list<uint8_t> code, MachineState& state) {
        state.xsave[512] = std::byte{7};
        m_native.prepare({code.begin(), code.size()}, Registers::all);
        m_native.state().gpr = state.gpr;
        m_native.state().xsave = state.xsave;
        m_native.run();
        state = m_native.state();
    }
    void fill_registers() {
        for (unsigned i = 0; i < 256; ++i) {
            m_state.xsave[k_xmm_at + i] = static_cast<std::byte>(i + 1);
            m_state.xsave[k_ymm_high_at + i] = static_cast<std::byte>(255 - i);
        }
        for (unsigned i = 0; i < 8; ++i) {
            put<uint64_t>(k_st_at + 16 * i, 0x8000'0000'0000'0000 + i);
            put<uint16_t>(k_st_at + 16 * i + 8, static_cast<uint16_t>(0x3fff + i));
        }
        put<uint16_t>(k_fsw_at, 0x2900);
        put<uint8_t>(k_ftw_at, 0xbf);
    }

    NativeOracle m_native;
    OracleCore m_core;
    MachineState m_state;
};

TEST_F(Vector, fxsave64_image_equals_host) {
    fill_registers();
    MachineState native = m_state;
    ASSERT_EQ(run({0x48, 0x0f, 0xae, 0x03}), k_nothing);
    run_native({0x48, 0x0f, 0xae, 0x03}, native);
    EXPECT_EQ(std::memcmp(m_core.scratch(), m_native.scratch(), 24), 0);
    EXPECT_EQ(std::memcmp(m_core.scratch() + k_st_at, m_native.scratch() + k_st_at, 384), 0);
    EXPECT_EQ(memory<uint32_t>(k_mxcsr_at), 0x1f80u);
    EXPECT_EQ(memory<uint32_t>(k_mxcsr_mask_at), 0xffffu);
}

TEST_F(Vector, fnsave_image_and_registers_equal_host) {
    fill_registers();
    MachineState native = m_state;
    ASSERT_EQ(run({0xdd, 0x33}), k_nothing);
    run_native({0xdd, 0x33}, native);
    for (const unsigned at : {0u, 4u, 8u})  // control, status and tag words; the pointers differ
        EXPECT_EQ(memory<uint32_t>(at), *reinterpret_cast<uint32_t*>(m_native.scratch() + at)) << at;
    EXPECT_EQ(std::memcmp(m_core.scratch() + 28, m_native.scratch() + 28, 80), 0);
    EXPECT_EQ(std::memcmp(m_state.xsave.data(), native.xsave.data(), 5), 0);
    EXPECT_EQ(std::memcmp(m_state.xsave.data() + k_st_at, native.xsave.data() + k_st_at, 128), 0);
}

TEST_F(Vector, frstor_after_fnsave_brings_everything_back) {
    fill_registers();
    const MachineState before = m_state;
    ASSERT_EQ(run({0xdd, 0x33}), k_nothing);
    ASSERT_EQ(run({0xdd, 0x23}), k_nothing);
    EXPECT_EQ(std::memcmp(m_state.xsave.data(), before.xsave.data(), 5), 0);
    EXPECT_EQ(std::memcmp(m_state.xsave.data() + k_st_at, before.xsave.data() + k_st_at, 128), 0);
}

TEST_F(Vector, fldenv_with_new_top_equals_host) {
    fill_registers();
    ASSERT_EQ(run({0xd9, 0x33}), k_nothing);  // fnstenv
    put_memory<uint16_t>(4, 0x1000);          // TOP 2
    put_memory<uint16_t>(8, 0x5555);
    std::memcpy(m_native.scratch(), m_core.scratch(), 28);
    MachineState native = m_state;
    ASSERT_EQ(run({0xd9, 0x23}), k_nothing);
    run_native({0xd9, 0x23}, native);
    EXPECT_EQ(std::memcmp(m_state.xsave.data(), native.xsave.data(), 5), 0);
    EXPECT_EQ(std::memcmp(m_state.xsave.data() + k_st_at, native.xsave.data() + k_st_at, 128), 0);
}

TEST_F(Vector, xsave_then_xrstor_keeps_all_components) {
    fill_registers();
    const MachineState before = m_state;
    ASSERT_EQ(run({0x48, 0x0f, 0xae, 0x23}), k_nothing);
    EXPECT_EQ(memory<uint64_t>(512), 7u);
    m_state.xsave = {};
    ASSERT_EQ(run({0x48, 0x0f, 0xae, 0x2b}), k_nothing);
    EXPECT_EQ(std::memcmp(m_state.xsave.data() + k_st_at, before.xsave.data() + k_st_at, 384), 0);
    EXPECT_EQ(std::memcmp(m_state.xsave.data() + k_ymm_high_at, before.xsave.data() + k_ymm_high_at, 256), 0);
    EXPECT_EQ(get<uint32_t>(k_mxcsr_at), 0x1f80u);
}

TEST_F(Vector, xsaveopt_of_initial_avx_leaves_its_area_alone) {
    fill_registers();
    std::memset(m_state.xsave.data() + k_ymm_high_at, 0, 256);
    put_memory<uint64_t>(k_ymm_high_at, 0x1122);
    ASSERT_EQ(run({0x48, 0x0f, 0xae, 0x33}), k_nothing);
    EXPECT_EQ(memory<uint64_t>(512), 3u);
    EXPECT_EQ(memory<uint64_t>(k_ymm_high_at), 0x1122u);
}

TEST_F(Vector, xrstor_of_absent_components_initialises_them) {
    fill_registers();
    put_memory<uint32_t>(k_mxcsr_at, 0x1f80);
    ASSERT_EQ(run({0x48, 0x0f, 0xae, 0x2b}), k_nothing);
    EXPECT_EQ(get<uint16_t>(k_fcw_at), 0x37f);
    EXPECT_EQ(get<uint64_t>(k_xmm_at), 0u);
    EXPECT_EQ(get<uint64_t>(k_ymm_high_at), 0u);
}

TEST_F(Vector, xrstor_of_unknown_component_is_gp) {
    put_memory<uint64_t>(512, 8);
    EXPECT_EQ(run({0x48, 0x0f, 0xae, 0x2b}), k_gp);
}

TEST_F(Vector, ldmxcsr_of_reserved_bit_is_gp) {
    put_memory<uint32_t>(0, 0x1'1f80);
    EXPECT_EQ(run({0x0f, 0xae, 0x13}), k_gp);
    EXPECT_EQ(get<uint32_t>(k_mxcsr_at), 0x1f80u);
}

TEST_F(Vector, task_switched_makes_every_unit_unavailable) {
    m_core.core().cr0 |= k_cr0_ts;
    EXPECT_EQ(run({0xd9, 0xe8}), k_nm);              // fld1
    EXPECT_EQ(run({0x0f, 0xfc, 0xc1}), k_nm);        // paddb mm0, mm1
    EXPECT_EQ(run({0x66, 0x0f, 0xfc, 0xc1}), k_nm);  // paddb xmm0, xmm1
    EXPECT_EQ(run({0xc5, 0xf1, 0xfc, 0xc1}), k_nm);  // vpaddb
}

TEST_F(Vector, sse_without_osfxsr_is_ud) {
    m_core.core().cr4 &= ~k_cr4_osfxsr;
    EXPECT_EQ(run({0x66, 0x0f, 0xfc, 0xc1}), k_ud);
}

TEST_F(Vector, avx_without_xcr0_is_ud) {
    m_core.core().xcr0 = 3;
    EXPECT_EQ(run({0xc5, 0xf1, 0xfc, 0xc1}), k_ud);
}

TEST_F(Vector, simd_exception_without_osxmmexcpt_is_ud) {
    m_core.core().cr4 &= ~k_cr4_osxmmexcpt;
    put<uint32_t>(k_mxcsr_at, 0x1d80);  // ZM clear
    put<uint64_t>(k_xmm_at, 0x3ff0'0000'0000'0000);
    EXPECT_EQ(run({0xf2, 0x0f, 0x5e, 0xc1}), k_ud);  // divsd xmm0, xmm1 (0)
    EXPECT_EQ(get<uint32_t>(k_mxcsr_at), 0x1d84u);
}

TEST_F(Vector, pending_x87_exception_with_ne_clear_stays_pending) {
    m_core.core().cr0 &= ~k_cr0_ne;
    put<uint16_t>(k_fcw_at, 0x37b);
    put<uint16_t>(k_fsw_at, 0x8084);
    EXPECT_EQ(run({0xd9, 0xe8}), k_nothing);  // fld1
    EXPECT_EQ(get<uint16_t>(k_fsw_at), 0xb884);
    EXPECT_EQ(get<uint16_t>(k_st_at + 8), 0x3fff);
}

}  // namespace
}  // namespace skep::test
