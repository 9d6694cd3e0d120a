// SPDX-License-Identifier: GPL-3.0-or-later
// A recorded run once more, on the interpreter, instruction by instruction: every event must be the recorded one, every
// interrupt must find a boundary with the recorded registers, and memory must be equal at every mark.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/vmm/jit/whole_guest/record.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/interp/vm.hpp"

namespace skep::whole_guest {

class Replayer final : private CpuIo, private interp::Witness {
  public:
    // Memory and registers as they were at the start of the recorded run.
    Replayer(const Record& record, std::unique_ptr<GuestMemory> memory, const CpuState& start);

    // The first difference, or empty.
    [[nodiscard]] std::string run();
    [[nodiscard]] uint64_t instructions() const { return m_vcpu->instructions(); }
    [[nodiscard]] size_t events() const { return m_next; }

  private:
    uint32_t port_read(uint16_t port, unsigned size) override {
        return static_cast<uint32_t>(answer(true, Kind::port_read, size, port));
    }
    void port_write(uint16_t port, unsigned size, uint32_t value) override { expect(true, Kind::port_write, size, port, value); }
    uint64_t mmio_read(GuestAddress address, unsigned size) override { return answer(false, Kind::mmio_read, size, address); }
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override {
        expect(false, Kind::mmio_write, size, address, value);
    }
    bool interrupt_pending() override;
    uint8_t acknowledge_interrupt() override;
    uint8_t task_priority() override { return static_cast<uint8_t>(answer(true, Kind::cr8_read, 0, 0)); }
    void set_task_priority(uint8_t cr8) override { expect(true, Kind::cr8_write, 0, 0, cr8); }
    std::optional<uint64_t> read_apic_msr(uint32_t index) override;
    bool write_apic_msr(uint32_t index, uint64_t value) override;
    bool is_apic_page(GuestAddress) override { return false; }  // it lies outside RAM, and is MMIO like the rest
    uint64_t host_number(const interp::Core& core, interp::HostNumber kind, uint64_t value) override;

    [[nodiscard]] interp::Core& core() const;
    [[nodiscard]] bool wants_interrupt() const;
    // The next event, if it is this one; null, and the end, if not.
    const Event* next(bool stored_registers, Kind kind, uint64_t where);
    uint64_t answer(bool stored_registers, Kind kind, unsigned size, uint64_t where);
    void expect(bool stored_registers, Kind kind, unsigned size, uint64_t where, uint64_t value);
    void done_with_event();
    void compare_memory(const Mark& mark);
    void differ(const std::string& what);

    const Record& m_record;
    std::unique_ptr<GuestMemory> m_memory;
    interp::InterpHypervisor m_engine;
    std::unique_ptr<Vm> m_vm;
    std::unique_ptr<Vcpu> m_vcpu;
    size_t m_next = 0, m_next_mark = 0;
    std::string m_difference;
    bool m_ended = false;
};

}  // namespace skep::whole_guest
