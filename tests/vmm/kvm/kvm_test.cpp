// SPDX-License-Identifier: GPL-3.0-or-later
// The KVM back end on guests of a few instructions: state, ports, MMIO, halt, interrupts, kicks. They are tiny
// because some hosts offer a KVM without hardware behind it, on which every instruction is slow.
#include "vmm/kvm/kvm_hypervisor.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

class RecordingIo final : public CpuIo {
  public:
    uint32_t port_read(uint16_t port, unsigned size) override {
        reads.emplace_back(port, size);
        return 0x1234'5678;
    }
    void port_write(uint16_t port, unsigned, uint32_t value) override {
        writes.emplace_back(port, value);
        if (on_write) {
            on_write();
        }
    }
    uint64_t mmio_read(GuestAddress, unsigned) override { return 0x5a; }
    void mmio_write(GuestAddress address, unsigned, uint64_t value) override { mmio_writes.emplace_back(address, value); }
    bool interrupt_pending() override { return pending; }
    uint8_t acknowledge_interrupt() override {
        pending = false;
        return 0x20;
    }
    uint8_t task_priority() override { return priority; }
    void set_task_priority(uint8_t cr8) override { priority = cr8; }
    std::optional<uint64_t> read_apic_msr(uint32_t) override { return apic_base; }
    bool write_apic_msr(uint32_t, uint64_t value) override {
        apic_base = value;
        return true;
    }
    bool is_apic_page(GuestAddress) override { return false; }

    std::vector<std::pair<uint16_t, unsigned>> reads;
    std::vector<std::pair<uint16_t, uint32_t>> writes;
    std::vector<std::pair<GuestAddress, uint64_t>> mmio_writes;
    std::function<void()> on_write;
    bool pending = false;
    uint8_t priority = 0;
    uint64_t apic_base = 0xfee0'0900;
};

// Real mode at 0000:1000.
class KvmTest : public testing::Test {
  protected:
    void SetUp() override {
        auto hypervisor = open_kvm();
        if (!hypervisor) {
            GTEST_SKIP() << "no usable KVM here: " << hypervisor.error().message;
        }
        m_hypervisor = std::move(*hypervisor);
        m_memory = std::move(*GuestMemory::create(1 << 20));
        auto vm = m_hypervisor->create_vm(*m_memory, {});
        ASSERT_TRUE(vm) << vm.error().message;
        m_vm = std::move(*vm);
        auto vcpu = m_vm->create_vcpu(0);
        ASSERT_TRUE(vcpu) << vcpu.error().message;
        m_vcpu = std::move(*vcpu);
    }

    CpuState real_mode(std::initializer_list<uint8_t> code) {
        const std::vector<uint8_t> bytes(code);
        EXPECT_TRUE(m_memory->write(0x1000, bytes.data(), bytes.size()));
        CpuState state = reset_cpu_state(m_vm->cpuid_signature());
        state.segment[k_cs] = {.base = 0, .limit = 0xffff, .attributes = 0x9b, .selector = 0};
        state.rip = 0x1000;
        state.gpr[k_rsp] = 0x8000;
        return state;
    }

    std::unique_ptr<Hypervisor> m_hypervisor;
    std::unique_ptr<GuestMemory> m_memory;
    std::unique_ptr<Vm> m_vm;
    std::unique_ptr<Vcpu> m_vcpu;
    RecordingIo m_io;
};

TEST_F(KvmTest, state_loaded_then_saved_is_the_same) {
    CpuState state = real_mode({0xf4});
    state.gpr[k_rbx] = 0x1122;
    state.gpr[k_r12] = 0x99aa'bbcc'ddee;
    m_vcpu->load(state);
    CpuState saved;
    m_vcpu->save(saved);
    EXPECT_EQ(saved.gpr, state.gpr);
    EXPECT_EQ(saved.rip, state.rip);
    EXPECT_EQ(saved.segment[k_cs].base, state.segment[k_cs].base);
    EXPECT_EQ(saved.segment[k_ds].attributes & 0xff, state.segment[k_ds].attributes & 0xff);
}

TEST_F(KvmTest, halt_leaves_with_registers_of_the_next_instruction) {
    m_vcpu->load(real_mode({0xb8, 0x34, 0x12, 0xf4}));  // mov ax, 0x1234; hlt
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    CpuState saved;
    m_vcpu->save(saved);
    EXPECT_EQ(saved.gpr[k_rax] & 0xffff, 0x1234U);
    EXPECT_EQ(saved.rip, 0x1004U);
    EXPECT_EQ(saved.activity, Activity::halted);
}

TEST_F(KvmTest, port_access_reaches_the_machine_both_ways) {
    m_vcpu->load(real_mode({0xe5, 0x60, 0xe6, 0x80, 0xf4}));  // in ax, 0x60; out 0x80, al; hlt
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    ASSERT_EQ(m_io.reads.size(), 1U);
    EXPECT_EQ(m_io.reads[0], (std::pair<uint16_t, unsigned>(0x60, 2)));
    ASSERT_EQ(m_io.writes.size(), 1U);
    EXPECT_EQ(m_io.writes[0], (std::pair<uint16_t, uint32_t>(0x80, 0x78)));
}

TEST_F(KvmTest, write_to_a_read_only_range_goes_to_mmio) {
    const std::vector<std::byte> rom(4096, std::byte{0x77});
    m_memory->map({0xf000, 4096, m_memory->add_rom(rom), false});
    m_vcpu->load(real_mode({0xa0, 0x00, 0xf0, 0xa2, 0x01, 0xf0, 0xf4}));  // mov al,[f000]; mov [f001],al; hlt
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    ASSERT_EQ(m_io.mmio_writes.size(), 1U);
    EXPECT_EQ(m_io.mmio_writes[0], (std::pair<GuestAddress, uint64_t>(0xf001, 0x77)));
}

TEST_F(KvmTest, pending_interrupt_is_delivered_through_the_vector_table) {
    CpuState state = real_mode({0xfb, 0x90, 0xf4});  // sti; nop; hlt
    const uint32_t vector = 0x2000;
    ASSERT_TRUE(m_memory->write_value<uint32_t>(0x20 * 4, vector));
    const std::vector<uint8_t> handler{0xe6, 0x81, 0xfa, 0xf4};  // out 0x81, al; cli; hlt
    ASSERT_TRUE(m_memory->write(0x2000, handler.data(), handler.size()));
    m_vcpu->load(state);
    m_io.pending = true;
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    ASSERT_EQ(m_io.writes.size(), 1U);
    EXPECT_EQ(m_io.writes[0].first, 0x81);
    EXPECT_FALSE(m_io.pending);
}

TEST_F(KvmTest, interrupt_raised_by_the_guests_own_access_comes_before_its_next_instruction) {
    CpuState state = real_mode({0xe6, 0x80, 0x41, 0x41, 0xe6, 0x82, 0xf4});  // out 0x80,al; inc cx; inc cx; out 0x82,al; hlt
    state.rflags |= 0x200;
    const std::vector<uint8_t> handler{0x89, 0xc8, 0xe7, 0x81, 0xfa, 0xf4};  // mov ax,cx; out 0x81,ax; cli; hlt
    ASSERT_TRUE(m_memory->write_value<uint32_t>(0x20 * 4, 0x2000));
    ASSERT_TRUE(m_memory->write(0x2000, handler.data(), handler.size()));
    m_vcpu->load(state);
    m_io.on_write = [&] {
        if (m_io.writes.size() == 1) {
            m_io.pending = true;
            m_vcpu->kick(KickReason::interrupt);
        }
    };
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    ASSERT_EQ(m_io.writes.size(), 2U);
    EXPECT_EQ(m_io.writes[1], (std::pair<uint16_t, uint32_t>(0x81, 0)));
}

TEST_F(KvmTest, interrupt_while_masked_waits_for_sti) {
    CpuState state = real_mode({0xe6, 0x80, 0xe6, 0x82, 0xfb, 0x90, 0xf4});  // out 0x80,al; out 0x82,al; sti; nop; hlt
    const std::vector<uint8_t> handler{0xe6, 0x81, 0xfa, 0xf4};
    ASSERT_TRUE(m_memory->write_value<uint32_t>(0x20 * 4, 0x2000));
    ASSERT_TRUE(m_memory->write(0x2000, handler.data(), handler.size()));
    m_vcpu->load(state);
    m_io.on_write = [&] { m_io.pending = m_io.writes.size() == 1 || m_io.pending; };
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    ASSERT_EQ(m_io.writes.size(), 3U);
    EXPECT_EQ(m_io.writes[1].first, 0x82);
    EXPECT_EQ(m_io.writes[2].first, 0x81);
}

TEST_F(KvmTest, task_priority_set_by_the_machine_inside_an_access_stays) {
    m_vcpu->load(real_mode({0xe6, 0x80, 0xe6, 0x80, 0xf4}));  // out 0x80,al; out 0x80,al; hlt
    m_io.on_write = [&] { m_io.priority = 6; };
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    EXPECT_EQ(m_io.priority, 6);
}

TEST_F(KvmTest, apic_base_of_the_machine_wins_after_load) {
    m_io.apic_base = 0xfee0'0100;  // disabled
    m_vcpu->load(real_mode({0xf4}));
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    EXPECT_EQ(m_io.apic_base, 0xfee0'0100U);
    m_io.apic_base = 0xfee0'0900;
    m_vcpu->load(real_mode({0xf4}));
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
    EXPECT_EQ(m_io.apic_base, 0xfee0'0900U);
}

TEST_F(KvmTest, queued_interrupt_and_nmi_survive_save_and_load) {
    CpuState state = real_mode({0x90, 0xf4});
    state.rflags |= 0x200;
    state.queued_interrupt = 0x33;
    state.nmi_pending = true;
    m_vcpu->load(state);
    CpuState saved;
    m_vcpu->save(saved);
    EXPECT_EQ(saved.queued_interrupt, 0x33);
    EXPECT_TRUE(saved.nmi_pending);
    m_vcpu->load(real_mode({0x90, 0xf4}));
    m_vcpu->save(saved);
    EXPECT_FALSE(saved.queued_interrupt);
    EXPECT_FALSE(saved.nmi_pending);
}

TEST_F(KvmTest, kick_before_run_leaves_at_once) {
    m_vcpu->load(real_mode({0xeb, 0xfe}));  // jmp $
    m_vcpu->kick(KickReason::leave);
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::kicked);
    CpuState saved;
    m_vcpu->save(saved);
    EXPECT_EQ(saved.rip, 0x1000U);
}

TEST_F(KvmTest, guest_is_told_its_clocks_and_no_more_of_kvm) {
    const auto cpuid = [&](uint64_t leaf) {
        CpuState state = real_mode({0x0f, 0xa2, 0xf4});  // cpuid; hlt
        state.gpr[k_rax] = leaf;
        m_vcpu->load(state);
        EXPECT_EQ(m_vcpu->run(m_io), RunExit::halted);
        m_vcpu->save(state);
        return state.gpr;
    };
    EXPECT_EQ(cpuid(0x4000'0000)[k_rax], 0x4000'0010U);
    EXPECT_EQ(cpuid(0x4000'0001)[k_rax] & ~uint64_t{0x100'000b}, 0U);
    EXPECT_EQ(cpuid(0x4000'0010)[k_rax], m_vm->tsc_hz() / 1000);
    EXPECT_EQ(cpuid(0x4000'0010)[k_rbx], 1'000'000U);
    m_vm->pause_clock();
    m_vm->resume_clock(0);  // this guest has no kvmclock: nothing happens
    EXPECT_EQ(cpuid(0x4000'0000)[k_rax], 0x4000'0010U);
}

TEST_F(KvmTest, kick_from_another_thread_stops_an_endless_loop) {
    m_vcpu->load(real_mode({0xe6, 0x80, 0xeb, 0xfe}));  // out 0x80, al; jmp $
    std::thread kicker;
    m_io.on_write = [&] { kicker = std::thread([&] { m_vcpu->kick(KickReason::leave); }); };
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::kicked);
    kicker.join();
}

TEST_F(KvmTest, kick_inside_a_port_access_completes_the_instruction) {
    m_vcpu->load(real_mode({0xe5, 0x60, 0xe6, 0x80, 0xeb, 0xfe}));  // in ax,0x60; out 0x80,al; jmp $
    m_io.on_write = [&] { m_vcpu->kick(KickReason::leave); };
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::kicked);
    CpuState saved;
    m_vcpu->save(saved);
    EXPECT_EQ(saved.rip, 0x1004U);
    EXPECT_EQ(saved.gpr[k_rax] & 0xffff, 0x5678U);
}

TEST_F(KvmTest, triple_fault_is_a_shutdown) {
    CpuState state = real_mode({0x0f, 0x0b});  // ud2 in flat protected mode with an empty IDT
    state.cr0 |= 1;
    state.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc09b, .selector = 8};
    for (const SegmentRegister data : {k_ds, k_es, k_fs, k_gs, k_ss}) {
        state.segment[data] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc093, .selector = 16};
    }
    state.idtr = {0, 0};
    m_vcpu->load(state);
    EXPECT_EQ(m_vcpu->run(m_io), RunExit::shutdown) << m_vcpu->last_error();
}

}  // namespace
}  // namespace skep
