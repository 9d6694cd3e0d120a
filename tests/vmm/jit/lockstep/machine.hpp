// SPDX-License-Identifier: GPL-3.0-or-later
// A guest of one processor on some engine, with page tables, descriptor tables and handlers of its own, into which one
// case after the other is loaded and run.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/vmm/jit/lockstep/assembler.hpp"
#include "tests/vmm/jit/lockstep/layout.hpp"
#include "vmm/cpu/vcpu.hpp"

namespace skep::lockstep {

// One program with all that its run depends on.
struct Case {
    uint64_t seed = 0;
    Program program;
    CpuState start;        // RIP is set when it is assembled
    uint64_t base = 0;     // one of k_bases
    bool user = false;     // which window the program runs in
    bool own_stack = true; // events switch to a stack of their own (IST)
    uint64_t code_offset = 0;  // of the program in its code pages
    uint32_t rounds = 1;
    int32_t budget = 64;
    unsigned absent_code_page = 0;  // 0: none
    std::array<std::byte, 2048> round_values{};  // behind Control: registers to begin rounds with
    unsigned blocks = 0;  // how many it has, for the count

    [[nodiscard]] uint64_t window() const { return base + (user ? k_user_window : k_supervisor_window); }
    [[nodiscard]] uint64_t code_start() const { return window() + k_code + code_offset; }
};
inline constexpr uint64_t k_round_values = 0x100;  // offset in the control page

struct IoEvent {
    enum class Kind : uint8_t { port_read, port_write, mmio_read, mmio_write, interrupt };
    Kind kind;
    uint8_t size;
    uint64_t address, value;
    bool operator==(const IoEvent&) const = default;
};

struct TakenInterrupt {
    uint64_t accesses;  // to devices before it
    uint64_t memory;    // what guest memory was, if that is remembered
    uint8_t vector;
};

// Devices that answer the same way every time, and remember.
class LockstepIo : public CpuIo {
  public:
    uint32_t port_read(uint16_t port, unsigned size) override;
    void port_write(uint16_t port, unsigned size, uint32_t value) override;
    uint64_t mmio_read(GuestAddress address, unsigned size) override;
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override;
    bool interrupt_pending() override { return !m_pending.empty() || m_outside.load() != 0; }
    uint8_t acknowledge_interrupt() override;
    uint8_t task_priority() override { return m_cr8; }
    void set_task_priority(uint8_t cr8) override { m_cr8 = cr8; }
    std::optional<uint64_t> read_apic_msr(uint32_t) override { return std::nullopt; }
    bool write_apic_msr(uint32_t, uint64_t) override { return false; }
    bool is_apic_page(GuestAddress) override { return false; }

    virtual void reset();
    // Any thread: an interrupt from outside, unless one is waiting already.
    void raise(uint8_t vector);
    [[nodiscard]] const std::vector<IoEvent>& events() const { return m_events; }
    // All of them, however long a case runs.
    [[nodiscard]] const std::vector<TakenInterrupt>& interrupts() const { return m_interrupts; }
    [[nodiscard]] uint64_t accesses() const { return m_accesses; }
    // With each interrupt, what guest memory was when it came.
    void remember_memory() { m_remembers_memory = true; }
    Vcpu* vcpu = nullptr;
    std::span<const std::byte> ram;

  protected:
    [[nodiscard]] uint64_t memory_hash() const;
    void note(IoEvent::Kind kind, uint64_t address, unsigned size, uint64_t value);
    void note_interrupt(uint8_t vector);
    // A write to k_port_irq.
    virtual void raised_by_port(uint8_t vector);

  private:
    std::vector<IoEvent> m_events;  // the first of them
    std::vector<TakenInterrupt> m_interrupts;
    std::vector<uint8_t> m_pending;
    std::atomic<uint8_t> m_outside{0};
    uint64_t m_reads = 0, m_accesses = 0;
    bool m_remembers_memory = false;
    uint8_t m_cr8 = 0;
};

enum class Ending : uint8_t { halted, shutdown, failed, endless };

class Machine {
  public:
    explicit Machine(Hypervisor& hypervisor, std::unique_ptr<LockstepIo> io = std::make_unique<LockstepIo>());
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void load(const Case& one, const Assembled& code);
    Ending run();
    // After how much processor time a run is called endless.
    void set_patience(std::chrono::microseconds patience);
    // As run(), for one that took too long: with much more patience, from the beginning.
    Ending run_patiently(const Case& one, const Assembled& code);
    [[nodiscard]] std::span<const std::byte> ram() const { return m_memory->ram(); }
    [[nodiscard]] const CpuState& state() const { return m_state; }
    // Debug registers as in `start`, for the comparison.
    void forget_breakpoints(const CpuState& start) {
        m_state.dr = start.dr;
        m_state.dr7 = start.dr7;
    }
    [[nodiscard]] LockstepIo& io() const { return *m_io; }
    [[nodiscard]] Vcpu& vcpu() { return *m_vcpu; }
    [[nodiscard]] std::string last_error() const { return m_vcpu->last_error(); }

  private:
    class Watchdog;
    Ending run(std::chrono::microseconds patience);
    void write_tables(const Case& one);
    void restore(uint64_t to, std::span<const std::byte> bytes);
    void write_control(const Case& one);
    std::unique_ptr<GuestMemory> m_memory;
    std::unique_ptr<Vm> m_vm;
    std::unique_ptr<Vcpu> m_vcpu;
    std::unique_ptr<Watchdog> m_watchdog;
    std::unique_ptr<LockstepIo> m_io;
    std::chrono::microseconds m_patience = std::chrono::milliseconds(250);
    CpuState m_state;
};

// The whole CpuState of a guest in 64-bit mode (or its compatibility submode) at the start of a program.
[[nodiscard]] CpuState initial_state(bool code64, bool user);

}  // namespace skep::lockstep
