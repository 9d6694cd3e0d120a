// SPDX-License-Identifier: GPL-3.0-or-later
// An interpreted processor with flat memory for tests: bytes in, run until HLT, registers out.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <vector>

#include "vmm/interp/core.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/interp/vm.hpp"

namespace skep::test {

// Ports and MMIO that remember; no interrupts unless told.
class RecordingCpuIo : public CpuIo {
  public:
    uint32_t port_read(uint16_t port, unsigned) override { return ports[port]; }
    void port_write(uint16_t port, unsigned size, uint32_t value) override {
        writes.push_back({port, size, value});
        if (on_port_write) {
            on_port_write(port, value);
        }
    }
    uint64_t mmio_read(GuestAddress address, unsigned size) override {
        mmio_accesses.push_back({address, size, 0});
        return mmio[address];
    }
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override {
        mmio_accesses.push_back({address, size, value});
        mmio[address] = value;
    }
    bool interrupt_pending() override { return !vectors.empty(); }
    uint8_t acknowledge_interrupt() override {
        const uint8_t vector = vectors.front();
        vectors.erase(vectors.begin());
        return vector;
    }
    uint8_t task_priority() override { return cr8; }
    void set_task_priority(uint8_t value) override { cr8 = value; }
    std::optional<uint64_t> read_apic_msr(uint32_t index) override {
        const auto found = apic_msrs.find(index);
        return found != apic_msrs.end() ? std::optional(found->second) : std::nullopt;
    }
    bool write_apic_msr(uint32_t index, uint64_t value) override {
        const auto found = apic_msrs.find(index);
        if (found == apic_msrs.end()) {
            return false;
        }
        found->second = value;
        return true;
    }
    bool is_apic_page(GuestAddress) override { return false; }

    struct Access {
        uint64_t address;
        unsigned size;
        uint64_t value;
    };
    std::map<uint16_t, uint32_t> ports;
    std::map<uint64_t, uint64_t> mmio;
    std::map<uint32_t, uint64_t> apic_msrs;  // those that are there can be read and written
    std::vector<Access> writes, mmio_accesses;
    std::vector<uint8_t> vectors;
    std::function<void(uint16_t, uint32_t)> on_port_write;
    uint8_t cr8 = 0;
};

enum class CpuMode { real16, protected32, long64 };

// RAM of 8 MiB. Long mode maps the first GiB one to one, user accessible, by 2 MiB pages whose tables lie at 0x700000;
// protected mode runs without paging. Segments are flat, CPL 0. There is no IDT: a fault ends in shutdown, and
// `last_fault_rip` is where it was raised.
class CpuHarness {
  public:
    static constexpr uint64_t k_code = 0x1000;
    static constexpr uint64_t k_stack = 0x8000;
    static constexpr uint64_t k_data = 0x10000;
    static constexpr uint64_t k_tables = 0x700000;
    static constexpr uint64_t k_ram = 8 << 20;

    explicit CpuHarness(CpuMode mode = CpuMode::long64, unsigned cpu_count = 1)
        : CpuHarness(std::make_unique<interp::InterpHypervisor>(), mode, cpu_count) {}
    // On another engine.
    explicit CpuHarness(std::unique_ptr<Hypervisor> engine, CpuMode mode = CpuMode::long64, unsigned cpu_count = 1)
        : m_mode(mode) {
        memory = std::move(*GuestMemory::create(k_ram));
        CpuConfig config;
        config.cpu_count = cpu_count;
        vm = std::move(*engine->create_vm(*memory, config));
        for (unsigned i = 0; i < cpu_count; ++i) {
            vcpus.push_back(std::move(*vm->create_vcpu(i)));
        }
        make_tables();
        state = initial_state();
    }

    void write(uint64_t address, std::span<const uint8_t> bytes) {
        ASSERT_TRUE(memory->write(address, bytes.data(), bytes.size()));
    }
    void write(uint64_t address, std::initializer_list<uint8_t> bytes) {
        write(address, std::span(bytes.begin(), bytes.size()));
    }
    template <typename T>
    void write_value(uint64_t address, T value) {
        ASSERT_TRUE(memory->write_value(address, value));
    }
    template <typename T>
    [[nodiscard]] T read(uint64_t address) const {
        return memory->read_value<T>(address).value_or(T{});
    }

    // Long mode: the first 2 MiB also end at the end of the low half, and the first GiB is also the start of the high half.
    static constexpr uint64_t k_last_low = 0x7fff'ffe0'0000, k_first_high = 0xffff'8000'0000'0000;
    void map_canonical_edge() {
        constexpr unsigned k_last = 511;
        write_value<uint64_t>(k_tables + 255 * 8, (k_tables + 0x1000) | 7);
        write_value<uint64_t>(k_tables + 256 * 8, (k_tables + 0x1000) | 7);
        write_value<uint64_t>(k_tables + 0x1000 + k_last * 8, (k_tables + 0x2000) | 7);
        write_value<uint64_t>(k_tables + 0x2000 + k_last * 8, 0x87);
    }

    // Puts the code at k_code (in real mode CS base 0), appends HLT, runs from `state` until it stops and fetches it.
    RunExit run(std::initializer_list<uint8_t> code) { return run(std::vector<uint8_t>(code)); }
    RunExit run(std::vector<uint8_t> code) {
        code.push_back(0xf4);
        state.activity = Activity::running;
        write(state.rip, code);
        vcpu().load(state);
        return resume();
    }
    RunExit resume() {
        const RunExit exit = vcpu().run(io);
        vcpu().save(state);
        return exit;
    }

    [[nodiscard]] Vcpu& vcpu(unsigned index = 0) { return *vcpus[index]; }
    [[nodiscard]] interp::Core& core(unsigned index = 0) {
        return static_cast<interp::InterpVcpu&>(*vcpus[index]).core();
    }
    [[nodiscard]] uint64_t gpr(Gpr index) const { return state.gpr[index]; }
    [[nodiscard]] uint64_t arithmetic_flags() const { return state.rflags & interp::k_arithmetic_flags; }

    [[nodiscard]] CpuState initial_state() const {
        CpuState fresh = reset_cpu_state(0);
        fresh.rip = k_code;
        fresh.gpr = {};
        fresh.gpr[k_rsp] = k_stack;
        fresh.segment[k_cs] = {.base = 0, .limit = 0xffff, .attributes = 0x9b, .selector = 0};
        if (m_mode == CpuMode::real16) {
            return fresh;
        }
        for (Segment& segment : fresh.segment) {
            segment = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc093, .selector = 0x10};
        }
        fresh.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc09b, .selector = 8};
        fresh.cr0 |= 0x33;  // PE, MP, NE
        if (m_mode == CpuMode::long64) {
            fresh.segment[k_cs].attributes = 0xa09b;
            fresh.cr3 = k_tables;
            fresh.cr4 = 0x620;  // PAE, OSFXSR, OSXMMEXCPT
            fresh.msr.efer = 0xd01;
            fresh.cr0 |= 0x8001'0000;  // PG, WP
        }
        fresh.idtr.limit = 0;
        return fresh;
    }

    std::unique_ptr<GuestMemory> memory;
    std::unique_ptr<Vm> vm;
    std::vector<std::unique_ptr<Vcpu>> vcpus;
    RecordingCpuIo io;
    CpuState state;

  private:
    void make_tables() {
        write_value<uint64_t>(k_tables, (k_tables + 0x1000) | 7);
        write_value<uint64_t>(k_tables + 0x1000, (k_tables + 0x2000) | 7);
        for (uint64_t i = 0; i < 512; ++i) {
            write_value<uint64_t>(k_tables + 0x2000 + i * 8, (i << 21) | 0x87);
        }
    }

    CpuMode m_mode;
};

}  // namespace skep::test
