// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/whole_guest/replayer.hpp"

#include <fmt/format.h>

#include "vmm/interp/vcpu.hpp"

namespace skep::whole_guest {
namespace {

// A watched data address at which nothing can be: the interpreter goes step by step.
constexpr uint64_t k_nowhere = 0xdead'0000'0000'0000, k_watch_nowhere = 0x80 | 1U << 28;  // G3, on writes

}  // namespace

Replayer::Replayer(const Record& record, std::unique_ptr<GuestMemory> memory, const CpuState& start)
    : m_record(record), m_memory(std::move(memory)) {
    m_vm = std::move(*m_engine.create_vm(*m_memory, CpuConfig{.cpu_count = 1}));
    static_cast<interp::InterpVm&>(*m_vm).set_witness(this);
    m_vcpu = std::move(*m_vm->create_vcpu(0));
    m_vcpu->load(start);
    done_with_event();
}

interp::Core& Replayer::core() const { return static_cast<interp::InterpVcpu&>(*m_vcpu).core(); }

std::string Replayer::run() {
    while (!m_ended) {
        const RunExit exit = m_vcpu->run(*this);
        if (m_ended) {
            break;
        }
        const bool sleeps = exit == RunExit::halted && wants_interrupt();
        if (!sleeps && exit != RunExit::kicked) {
            differ("the processor stopped");
        }
        if (sleeps && !interrupt_pending()) {
            differ("the processor sleeps, " + difference(m_record.interrupts[m_record.events[m_next].where].registers,
                                                         registers_of(core())));
        }
    }
    return m_difference;
}

bool Replayer::wants_interrupt() const {
    return m_next < m_record.events.size() && m_record.events[m_next].kind == Kind::interrupt;
}

bool Replayer::interrupt_pending() {
    if (m_ended || !wants_interrupt()) {
        return false;
    }
    const Interrupt& wanted = m_record.interrupts[m_record.events[m_next].where];
    if (core().rip == wanted.registers.rip && registers_of(core()) == wanted.registers && surroundings_of(core()) == wanted.surroundings) {
        return true;
    }
    if (core().activity == Activity::running) {
        m_vcpu->kick(KickReason::interrupt);  // look again behind the next instruction
    }
    return false;
}

uint8_t Replayer::acknowledge_interrupt() {
    const Event& event = m_record.events[m_next++];
    if (vectors_of(core()) != m_record.interrupts[event.where].vectors) {
        differ(fmt::format("the vector registers differ at interrupt {}", event.where));
    }
    done_with_event();
    return static_cast<uint8_t>(event.value);
}

const Event* Replayer::next(bool stored_registers, Kind kind, uint64_t where) {
    if (m_ended) {
        return nullptr;
    }
    const Event& wanted = m_record.events[m_next];
    const GeneralRegisters registers = stored_registers ? general_registers(core()) : GeneralRegisters{};
    if (wanted.kind != kind || wanted.where != static_cast<uint32_t>(where) || wanted.registers != registers) {
        const Event seen{kind, wanted.size, static_cast<uint32_t>(where), wanted.value, registers};
        differ(fmt::format("{} instead of {};{}", describe(seen), describe(wanted), difference(wanted.registers, registers)));
        return nullptr;
    }
    return &wanted;
}

uint64_t Replayer::answer(bool stored_registers, Kind kind, unsigned size, uint64_t where) {
    const Event* event = next(stored_registers, kind, where);
    if (event == nullptr) {
        return 0;
    }
    if (event->size != size) {
        differ(fmt::format("size {} instead of {}", size, describe(*event)));
    }
    ++m_next;
    done_with_event();
    return event->value;
}

void Replayer::expect(bool stored_registers, Kind kind, unsigned size, uint64_t where, uint64_t value) {
    const Event* event = next(stored_registers, kind, where);
    if (event == nullptr) {
        return;
    }
    if (event->size != size || event->value != value) {
        differ(fmt::format("size {} value {:x} instead of {}", size, value, describe(*event)));
    }
    ++m_next;
    done_with_event();
}

std::optional<uint64_t> Replayer::read_apic_msr(uint32_t index) {
    const Event* event = next(true, Kind::msr_read, index);
    if (event == nullptr) {
        return 0;
    }
    ++m_next;
    done_with_event();
    return event->size != 0 ? std::optional<uint64_t>(event->value) : std::nullopt;
}

bool Replayer::write_apic_msr(uint32_t index, uint64_t value) {
    const Event* event = next(true, Kind::msr_write, index);
    if (event == nullptr) {
        return true;
    }
    if (event->value != value) {
        differ(fmt::format("value {:x} instead of {}", value, describe(*event)));
    }
    ++m_next;
    done_with_event();
    return event->size != 0;
}

uint64_t Replayer::host_number(const interp::Core&, interp::HostNumber kind, uint64_t) {
    return answer(true, kind == interp::HostNumber::tsc ? Kind::tsc : Kind::random, 0, 0);
}

// Is memory to be compared, is it over, does an interrupt come next?
void Replayer::done_with_event() {
    if (m_next_mark < m_record.marks.size() && m_record.marks[m_next_mark].event == m_next) {
        compare_memory(m_record.marks[m_next_mark++]);
    }
    if (m_next == m_record.events.size()) {
        m_ended = true;
        m_vcpu->kick(KickReason::leave);
        return;
    }
    if ((core().dr7 & 0xff) == 0) {  // the guest cleared it
        core().dr[3] = k_nowhere;
        core().dr7 |= k_watch_nowhere;
    }
    if (wants_interrupt()) {
        m_vcpu->kick(KickReason::interrupt);
    }
}

void Replayer::compare_memory(const Mark& mark) {
    const std::vector<uint64_t> pages = pages_of(*m_memory);
    std::string out;
    size_t count = 0;
    for (size_t page = 0; page < pages.size(); ++page) {
        if (pages[page] != mark.pages[page] && ++count <= 8) {
            out += fmt::format(" {:x}", page * k_page_size);
        }
    }
    if (count != 0) {
        differ(fmt::format("{} pages of memory differ at mark {}:{}", count, m_next_mark, out));
    }
}

void Replayer::differ(const std::string& what) {
    if (m_difference.empty()) {
        const Registers now = registers_of(core());
        m_difference = fmt::format("event {} of {}, behind mark {}, rip {:x} cr3 {:x}: {}", m_next, m_record.events.size(),
                                   m_next_mark, now.rip, now.cr3, what);
        constexpr size_t k_shown = 6;
        for (size_t i = m_next - std::min(m_next, k_shown); i < m_next; ++i) {
            m_difference += "\n  " + describe(m_record.events[i]);
            if (m_record.events[i].kind == Kind::interrupt) {
                m_difference += fmt::format(" rip {:x}", m_record.interrupts[m_record.events[i].where].registers.rip) + difference(m_record.interrupts[m_record.events[i].where].registers, Registers{});
            }
        }
        if (wants_interrupt()) {
            m_difference += "; no boundary was found for the interrupt at:" +
                            difference(m_record.interrupts[m_record.events[m_next].where].registers, now);
        }
    }
    m_ended = true;
    m_vcpu->kick(KickReason::leave);
}

}  // namespace skep::whole_guest
