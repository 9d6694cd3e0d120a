// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/interp/oracle_core.hpp"

#include <cstring>

#include "vmm/interp/flags.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::test {

using namespace interp;

namespace {

constexpr uint64_t k_tables = 0x1000, k_scratch_physical = 0x8000, k_code_address = 0x40'0000;
constexpr uint64_t k_present_writable_user = 7;

void stop(Core&, const Op*) {}

}  // namespace

OracleCore::OracleCore(uint64_t scratch) : m_core(std::make_unique<Core>()) {
    m_memory = std::move(*GuestMemory::create(16 * k_page_size));
    map_scratch(scratch);
    Core& core = *m_core;
    core.memory = m_memory.get();
    core.cr0 = 0x8005'0033;
    core.cr3 = k_tables;
    core.cr4 = 0x20 | k_cr4_osfxsr | k_cr4_osxmmexcpt | k_cr4_osxsave;
    core.xcr0 = 7;
    core.msr.efer = 0x500;
    core.cpl = 3;
    core.long_mode_active = core.code64 = core.stack64 = core.protected_mode = true;
    for (Segment& segment : core.segment)
        segment = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc0f3, .selector = 0x2b};
    core.segment[k_cs].attributes = 0xa0fb;
    core.tlb = core.tlb_sets[k_as_user].data();
    m_ops[1].run = stop;
}

OracleCore::~OracleCore() = default;

void OracleCore::map_scratch(uint64_t linear) {
    std::byte* ram = m_memory->ram_at(0, 16 * k_page_size);
    m_scratch = ram + k_scratch_physical;
    const auto put = [&](uint64_t table, unsigned index, uint64_t target) {
        const uint64_t entry = target | k_present_writable_user | 0x60;  // accessed and dirty
        std::memcpy(ram + table + 8 * index, &entry, 8);
    };
    put(k_tables, 0, k_tables + 0x1000);
    put(k_tables + 0x1000, linear >> 30 & 511, k_tables + 0x2000);
    put(k_tables + 0x2000, linear >> 21 & 511, k_tables + 0x3000);
    const uint64_t second = linear + k_page_size;
    uint64_t second_table = k_tables + 0x3000;
    if (second >> 21 != linear >> 21) {
        second_table = k_tables + 0x4000;
        put(k_tables + 0x2000, second >> 21 & 511, second_table);
    }
    put(k_tables + 0x3000, linear >> 12 & 511, k_scratch_physical);
    put(second_table, second >> 12 & 511, k_scratch_physical + k_page_size);
}

void OracleCore::prepare(std::span<const uint8_t> instruction) {
    const DecodeMode mode{.code64 = true, .stack64 = true, .protected_mode = true};
    m_ops[0] = decode_instruction(std::as_bytes(instruction), mode, 0).op;
}

void OracleCore::run(MachineState& state, Registers registers) {
    Core& core = *m_core;
    std::copy(state.gpr.begin(), state.gpr.end(), core.gpr.begin());
    core.gpr[17] = core.rip = k_code_address;
    write_rflags(core, state.rflags, ~uint64_t{0});
    if (registers == Registers::all)
        core.xsave = state.xsave;
    state.vector = MachineState::k_no_fault;
    state.error_code = 0;
    try {
        m_ops[0].run(core, m_ops.data());
    } catch (const Fault& fault) {
        state.vector = fault.vector;
        state.error_code = fault.has_error_code ? fault.error_code : 0;
    }
    std::copy_n(core.gpr.begin(), 16, state.gpr.begin());
    state.rflags = read_rflags(core);
    if (registers == Registers::all)
        state.xsave = core.xsave;
}

}  // namespace skep::test
