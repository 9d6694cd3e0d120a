// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/engines.hpp"

#include "vmm/interp/vm.hpp"
#include "vmm/jit/hypervisor.hpp"

namespace skep::lockstep {
namespace {

enum class Fault : uint8_t { none, flag, general_register, memory, vector };

// Calls stop() of its owner at every access, then passes it on.
class StoppingIo final : public CpuIo {
  public:
    uint32_t port_read(uint16_t port, unsigned size) override { return stop(), inner->port_read(port, size); }
    void port_write(uint16_t port, unsigned size, uint32_t value) override { stop(), inner->port_write(port, size, value); }
    uint64_t mmio_read(GuestAddress address, unsigned size) override { return stop(), inner->mmio_read(address, size); }
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override {
        stop(), inner->mmio_write(address, size, value);
    }
    bool interrupt_pending() override { return inner->interrupt_pending(); }
    uint8_t acknowledge_interrupt() override { return inner->acknowledge_interrupt(); }
    uint8_t task_priority() override { return inner->task_priority(); }
    void set_task_priority(uint8_t cr8) override { inner->set_task_priority(cr8); }
    std::optional<uint64_t> read_apic_msr(uint32_t index) override { return inner->read_apic_msr(index); }
    bool write_apic_msr(uint32_t index, uint64_t value) override { return inner->write_apic_msr(index, value); }
    bool is_apic_page(GuestAddress page) override { return inner->is_apic_page(page); }

    CpuIo* inner = nullptr;
    Vcpu* vcpu = nullptr;
    bool stopped = false;

  private:
    void stop() {
        stopped = true;
        vcpu->kick(KickReason::leave);
    }
};

class ChoppyVcpu final : public Vcpu {
  public:
    ChoppyVcpu(std::unique_ptr<Vcpu> inner, GuestMemory& memory, Fault fault)
        : m_inner(std::move(inner)), m_memory(memory), m_fault(fault) {}

    RunExit run(CpuIo& io) override {
        m_io.inner = &io;
        m_io.vcpu = m_inner.get();
        for (;;) {
            m_io.stopped = false;
            const RunExit exit = m_inner->run(m_io);
            if (exit != RunExit::kicked || !m_io.stopped) {
                return exit;
            }
            CpuState state;
            m_inner->save(state);
            spoil(state);
            m_inner->load(state);
        }
    }
    void kick(KickReason reason) override { m_inner->kick(reason); }
    void inject_nmi() override { m_inner->inject_nmi(); }
    void save(CpuState& state) override { m_inner->save(state); }
    void load(const CpuState& state) override { m_inner->load(state); }
    [[nodiscard]] std::string last_error() const override { return m_inner->last_error(); }
    [[nodiscard]] uint64_t instructions() const override { return m_inner->instructions(); }

  private:
    void spoil(CpuState& state) {
        switch (m_fault) {
            case Fault::none: return;
            case Fault::flag: state.rflags ^= 0x10; return;  // AF
            case Fault::general_register: state.gpr[k_rbx] ^= uint64_t{1} << 40; return;
            case Fault::memory: m_memory.ram()[0x4'0123] ^= std::byte{1}; return;
            case Fault::vector: state.xsave[160 + 16 * 5 + 3] ^= std::byte{1}; return;
        }
    }
    std::unique_ptr<Vcpu> m_inner;
    GuestMemory& m_memory;
    Fault m_fault;
    StoppingIo m_io;
};

class ChoppyVm final : public Vm {
  public:
    ChoppyVm(std::unique_ptr<Vm> inner, GuestMemory& memory, Fault fault)
        : m_inner(std::move(inner)), m_memory(memory), m_fault(fault) {}
    Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index) override {
        auto made = m_inner->create_vcpu(index);
        if (!made) {
            return made;
        }
        return std::make_unique<ChoppyVcpu>(std::move(*made), m_memory, m_fault);
    }
    [[nodiscard]] uint32_t cpuid_signature() const override { return m_inner->cpuid_signature(); }
    [[nodiscard]] uint64_t tsc_hz() const override { return m_inner->tsc_hz(); }
    [[nodiscard]] uint64_t tsc_now() const override { return m_inner->tsc_now(); }
    void pause_clock() override { m_inner->pause_clock(); }
    void resume_clock(uint64_t missed_ns) override { m_inner->resume_clock(missed_ns); }
    [[nodiscard]] WriteLog& write_log() override { return m_inner->write_log(); }

  private:
    std::unique_ptr<Vm> m_inner;
    GuestMemory& m_memory;
    Fault m_fault;
};

class ChoppyHypervisor final : public Hypervisor {
  public:
    ChoppyHypervisor(std::unique_ptr<Hypervisor> inner, Fault fault) : m_inner(std::move(inner)), m_fault(fault) {}
    [[nodiscard]] std::string name() const override { return m_inner->name(); }
    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override {
        auto made = m_inner->create_vm(memory, config);
        if (!made) {
            return made;
        }
        return std::make_unique<ChoppyVm>(std::move(*made), memory, m_fault);
    }

  private:
    std::unique_ptr<Hypervisor> m_inner;
    Fault m_fault;
};

std::unique_ptr<Hypervisor> choppy(Fault fault) {
    return std::make_unique<ChoppyHypervisor>(std::make_unique<interp::InterpHypervisor>(), fault);
}

}  // namespace

std::unique_ptr<Hypervisor> make_engine(const std::string& name, jit::FlagsOfProducts products) {
    const auto translator = [products](jit::Tuning tuning, size_t cache_bytes = 0) {
        tuning.flags_of_products = products;
        return std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = tuning, .cache_bytes = cache_bytes});
    };
    if (name == "interp") return std::make_unique<interp::InterpHypervisor>();
    if (name == "jit") return translator({.threshold = 1, .reach = jit::Reach::everything});
    if (name == "jit-warm") return translator({.threshold = 3});
    if (name == "jit-small") return translator({.threshold = 2}, 256 << 10);
    if (name == "choppy") return choppy(Fault::none);
    if (name == "wrong-flag") return choppy(Fault::flag);
    if (name == "wrong-register") return choppy(Fault::general_register);
    if (name == "wrong-memory") return choppy(Fault::memory);
    if (name == "wrong-vector") return choppy(Fault::vector);
    return nullptr;
}

}  // namespace skep::lockstep
