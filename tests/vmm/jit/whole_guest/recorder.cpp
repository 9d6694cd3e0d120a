// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/whole_guest/recorder.hpp"

#include "vmm/interp/vcpu.hpp"

namespace skep::whole_guest {
namespace {

constexpr uint16_t k_com1 = 0x3f8;

}  // namespace

// Passes everything on, and writes it down.
class Recorder::Io final : public CpuIo {
  public:
    Io(Recorder& owner, CpuIo& inner, interp::InterpVcpu& vcpu) : m_owner(owner), m_inner(inner), m_vcpu(vcpu) {}

    uint32_t port_read(uint16_t port, unsigned size) override {
        const uint32_t value = m_inner.port_read(port, size);
        m_owner.add(&m_vcpu.core(), Kind::port_read, size, port, value);
        return value;
    }
    void port_write(uint16_t port, unsigned size, uint32_t value) override {
        m_owner.add(&m_vcpu.core(), Kind::port_write, size, port, value);
        m_inner.port_write(port, size, value);
        if (port == k_com1 && size == 1 && !m_owner.m_ended) {
            m_owner.m_record.console.push_back(static_cast<char>(value));
            if (m_owner.on_console(m_owner.m_record.console)) {
                m_owner.end();
                m_vcpu.kick(KickReason::leave);
            }
        }
    }
    uint64_t mmio_read(GuestAddress address, unsigned size) override {
        const uint64_t value = m_inner.mmio_read(address, size);
        m_owner.add(nullptr, Kind::mmio_read, size, address, value);
        return value;
    }
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override {
        m_owner.add(nullptr, Kind::mmio_write, size, address, value);
        m_inner.mmio_write(address, size, value);
    }
    bool interrupt_pending() override { return m_inner.interrupt_pending(); }
    uint8_t acknowledge_interrupt() override {
        const uint8_t vector = m_inner.acknowledge_interrupt();
        m_owner.add_interrupt(m_vcpu.core(), vector);
        return vector;
    }
    uint8_t task_priority() override {
        const uint8_t value = m_inner.task_priority();
        m_owner.add(&m_vcpu.core(), Kind::cr8_read, 0, 0, value);
        return value;
    }
    void set_task_priority(uint8_t cr8) override {
        m_owner.add(&m_vcpu.core(), Kind::cr8_write, 0, 0, cr8);
        m_inner.set_task_priority(cr8);
    }
    std::optional<uint64_t> read_apic_msr(uint32_t index) override {
        const std::optional<uint64_t> value = m_inner.read_apic_msr(index);
        m_owner.add(&m_vcpu.core(), Kind::msr_read, value ? 1 : 0, index, value.value_or(0));
        return value;
    }
    bool write_apic_msr(uint32_t index, uint64_t value) override {
        const bool good = m_inner.write_apic_msr(index, value);
        m_owner.add(&m_vcpu.core(), Kind::msr_write, good ? 1 : 0, index, value);
        return good;
    }
    bool is_apic_page(GuestAddress page) override { return m_inner.is_apic_page(page); }

  private:
    Recorder& m_owner;
    CpuIo& m_inner;
    interp::InterpVcpu& m_vcpu;
};

class Recorder::RecordedVcpu final : public Vcpu {
  public:
    RecordedVcpu(Recorder& owner, std::unique_ptr<Vcpu> inner) : m_owner(owner), m_inner(std::move(inner)) {}

    RunExit run(CpuIo& io) override {
        if (m_owner.m_ended) {
            return RunExit::halted;
        }
        if (!m_started) {
            m_started = true;
            CpuState state;
            m_inner->save(state);
            m_owner.on_start(state);
        }
        Io recorded(m_owner, io, static_cast<interp::InterpVcpu&>(*m_inner));
        const RunExit exit = m_inner->run(recorded);
        return m_owner.m_ended ? RunExit::halted : exit;
    }
    void kick(KickReason reason) override { m_inner->kick(reason); }
    void inject_nmi() override { m_inner->inject_nmi(); }
    void save(CpuState& state) override { m_inner->save(state); }
    void load(const CpuState& state) override { m_inner->load(state); }
    [[nodiscard]] std::string last_error() const override { return m_inner->last_error(); }
    [[nodiscard]] uint64_t instructions() const override { return m_inner->instructions(); }

  private:
    Recorder& m_owner;
    std::unique_ptr<Vcpu> m_inner;
    bool m_started = false;
};

class Recorder::RecordedVm final : public Vm {
  public:
    RecordedVm(Recorder& owner, std::unique_ptr<Vm> inner) : m_owner(owner), m_inner(std::move(inner)) {}
    Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index) override {
        auto made = m_inner->create_vcpu(index);
        if (!made) {
            return made;
        }
        return std::make_unique<RecordedVcpu>(m_owner, std::move(*made));
    }
    [[nodiscard]] uint32_t cpuid_signature() const override { return m_inner->cpuid_signature(); }
    [[nodiscard]] uint64_t tsc_hz() const override { return m_inner->tsc_hz(); }
    [[nodiscard]] uint64_t tsc_now() const override { return m_inner->tsc_now(); }
    void pause_clock() override { m_inner->pause_clock(); }
    void resume_clock(uint64_t missed_ns) override { m_inner->resume_clock(missed_ns); }
    [[nodiscard]] WriteLog& write_log() override { return m_inner->write_log(); }

  private:
    Recorder& m_owner;
    std::unique_ptr<Vm> m_inner;
};

Result<std::unique_ptr<Vm>> Recorder::create_vm(GuestMemory& memory, const CpuConfig& config) {
    auto made = m_inner.create_vm(memory, config);
    if (!made) {
        return made;
    }
    m_memory = &memory;
    static_cast<interp::InterpVm&>(**made).set_witness(this);
    return std::make_unique<RecordedVm>(*this, std::move(*made));
}

void Recorder::add(const interp::Core* core, Kind kind, unsigned size, uint64_t where, uint64_t value) {
    if (!m_ended) {
        const GeneralRegisters registers = core != nullptr ? general_registers(*core) : GeneralRegisters{};
        m_record.events.push_back({kind, static_cast<uint8_t>(size), static_cast<uint32_t>(where), value, registers});
    }
}

void Recorder::add_interrupt(const interp::Core& core, uint8_t vector) {
    if (m_ended) {
        return;
    }
    add(&core, Kind::interrupt, 0, m_record.interrupts.size(), vector);
    m_record.interrupts.push_back({registers_of(core), surroundings_of(core), vectors_of(core)});
    if (m_record.interrupts.size() % m_mark_interval == 0) {
        m_record.marks.push_back({m_record.events.size(), pages_of(*m_memory)});
    }
}

uint64_t Recorder::host_number(const interp::Core& core, interp::HostNumber kind, uint64_t value) {
    add(&core, kind == interp::HostNumber::tsc ? Kind::tsc : Kind::random, 0, 0, value);
    return value;
}

void Recorder::end() {
    m_record.marks.push_back({m_record.events.size(), pages_of(*m_memory)});
    m_ended = true;
    const std::lock_guard lock(m_mutex);
    m_said_ended = true;
    m_wake.notify_all();
}

void Recorder::wait_for_end() {
    std::unique_lock lock(m_mutex);
    m_wake.wait(lock, [this] { return m_said_ended; });
}

}  // namespace skep::whole_guest
