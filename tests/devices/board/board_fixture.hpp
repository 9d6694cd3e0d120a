// SPDX-License-Identifier: GPL-3.0-or-later
// A whole board without processors: a test clock, recording requests and signals, a TSC of 1 GHz.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "devices/board/board.hpp"
#include "tests/support/fake_machine.hpp"

namespace skep::test {

class RecordingSignals final : public ProcessorSignals {
  public:
    explicit RecordingSignals(Clock& clock) : m_clock(clock) {}
    void interrupt_changed(unsigned cpu) override { ++interrupts[cpu]; }
    void nmi(unsigned cpu) override { ++nmis[cpu]; }
    void init(unsigned cpu) override { ++inits[cpu]; }
    void startup(unsigned cpu, uint8_t vector) override { startups.emplace_back(cpu, vector); }
    uint64_t tsc_now() override { return m_clock.now(); }
    uint64_t tsc_hz() override { return 1'000'000'000; }

    std::map<unsigned, unsigned> interrupts;
    std::map<unsigned, unsigned> nmis;
    std::map<unsigned, unsigned> inits;
    std::vector<std::pair<unsigned, uint8_t>> startups;

  private:
    Clock& m_clock;
};

class ScriptedBackend final : public CharBackend {
  public:
    void write(std::span<const std::byte> data) override {
        for (const std::byte byte : data) {
            output += static_cast<char>(byte);
        }
    }
    void set_input_ready(std::function<void()> ready) override { m_ready = std::move(ready); }
    size_t read(std::byte* to, size_t size) override {
        size_t count = 0;
        for (; count < size && !m_input.empty(); ++count) {
            to[count] = static_cast<std::byte>(m_input.front());
            m_input.pop_front();
        }
        return count;
    }
    void type(const std::string& text) {
        m_input.insert(m_input.end(), text.begin(), text.end());
        m_ready();
    }
    [[nodiscard]] size_t waiting() const { return m_input.size(); }

    std::string output;

  private:
    std::deque<char> m_input;
    std::function<void()> m_ready;
};

enum class BoardStart { at_once, by_test };

struct BoardFixture {
    explicit BoardFixture(unsigned cpu_count = 2, BoardStart when = BoardStart::at_once)
        : config(make_config(cpu_count, *this)),
          board(*machine.memory, machine.ports, machine.mmio, machine.clock, machine.requests, signals, config) {
        for (Device* device : board.devices()) {
            device->reset();
        }
        if (when == BoardStart::at_once) {
            start();
        }
    }
    void start() {
        for (Device* device : board.devices()) {
            device->start();
        }
    }
    static BoardConfig make_config(unsigned cpu_count, BoardFixture& fixture) {
        BoardConfig config;
        config.cpu_count = cpu_count;
        config.low_ram_bytes = 512ULL << 20;
        config.high_ram_bytes = 1ULL << 30;
        config.serial[0] = &fixture.com1;
        config.debug_console = &fixture.debug;
        config.debug_exit = true;
        return config;
    }

    uint8_t in(uint16_t port) { return static_cast<uint8_t>(machine.ports.read(port, 1)); }
    void out(uint16_t port, unsigned value) { machine.ports.write(port, 1, value); }
    uint8_t cmos(uint8_t index) {
        out(0x70, index);
        return in(0x71);
    }
    void set_cmos(uint8_t index, unsigned value) {
        out(0x70, index);
        out(0x71, value);
    }
    // The 8259s as a PC's firmware programs them: vectors 0x20 and 0x28.
    void init_pics(uint8_t master_mask = 0, uint8_t slave_mask = 0, uint8_t icw4 = 0x01) {
        out(0x20, 0x11);
        out(0x21, 0x20);
        out(0x21, 0x04);
        out(0x21, icw4);
        out(0xa0, 0x11);
        out(0xa1, 0x28);
        out(0xa1, 0x02);
        out(0xa1, icw4);
        out(0x21, master_mask);
        out(0xa1, slave_mask);
    }
    void set_ioapic_entry(unsigned pin, uint64_t entry) {
        machine.mmio.write(0xfec00000, 4, 0x11 + pin * 2);
        machine.mmio.write(0xfec00010, 4, entry >> 32);
        machine.mmio.write(0xfec00000, 4, 0x10 + pin * 2);
        machine.mmio.write(0xfec00010, 4, entry & 0xffffffff);
    }
    uint64_t ioapic_entry(unsigned pin) {
        machine.mmio.write(0xfec00000, 4, 0x11 + pin * 2);
        const uint64_t high = machine.mmio.read(0xfec00010, 4);
        machine.mmio.write(0xfec00000, 4, 0x10 + pin * 2);
        return high << 32 | machine.mmio.read(0xfec00010, 4);
    }
    LocalInterruptController& apic(unsigned cpu = 0) { return board.local_apic(cpu); }
    // Software-enables the APIC with spurious vector 0xff and masks LINT0 (symmetric I/O mode).
    void enable_apic(unsigned cpu = 0) {
        apic(cpu).window_write(0xf0, 0x1ff);
        apic(cpu).window_write(0x350, 0x10000);
    }

    FakeMachine machine;
    RecordingSignals signals{machine.clock};
    ScriptedBackend com1;
    ScriptedBackend debug;
    BoardConfig config;
    Q35Board board;
};

}  // namespace skep::test
