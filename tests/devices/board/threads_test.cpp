// SPDX-License-Identifier: GPL-3.0-or-later
// Devices, processors and the host's clock on threads of their own: no interrupt is lost, nothing deadlocks.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

class QuietSignals final : public ProcessorSignals {
  public:
    explicit QuietSignals(Clock& clock) : m_clock(clock) {}
    void interrupt_changed(unsigned /*cpu*/) override { ++changes; }
    void nmi(unsigned /*cpu*/) override {}
    void init(unsigned /*cpu*/) override {}
    void startup(unsigned /*cpu*/, uint8_t /*vector*/) override {}
    uint64_t tsc_now() override { return m_clock.now(); }
    uint64_t tsc_hz() override { return 1'000'000'000; }
    std::atomic<unsigned> changes{0};

  private:
    Clock& m_clock;
};

struct ThreadedBoard {
    FakeMachine machine;
    HostClock clock;
    QuietSignals signals{clock};
    Q35Board board{*machine.memory, machine.ports, machine.mmio, clock, machine.requests, signals, make_config()};

    static BoardConfig make_config() {
        BoardConfig config;
        config.cpu_count = 2;
        return config;
    }
    ThreadedBoard() {
        for (Device* device : board.devices()) {
            device->reset();
        }
        for (unsigned cpu = 0; cpu < 2; ++cpu) {
            board.local_apic(cpu).window_write(0xf0, 0x1ff);
            board.local_apic(cpu).window_write(0x350, 0x10000);
        }
    }
};

TEST(BoardThreadsTest, level_interrupt_raised_by_a_device_thread_is_served_each_time) {
    constexpr unsigned k_rounds = 300;
    ThreadedBoard machine;
    machine.machine.mmio.write(0xfec00000, 4, 0x10 + 16 * 2);
    machine.machine.mmio.write(0xfec00010, 4, 0x8041);
    std::atomic<unsigned> served{0};
    std::thread device([&] {
        for (unsigned round = 0; round < k_rounds; ++round) {
            machine.board.gsi().set_line(16, true);
            while (served.load() == round) {
                std::this_thread::yield();
            }
        }
    });
    LocalInterruptController& apic = machine.board.local_apic(0);
    while (served.load() < k_rounds) {
        if (!apic.interrupt_pending()) {
            std::this_thread::yield();
            continue;
        }
        const uint8_t vector = apic.acknowledge_interrupt();
        ASSERT_EQ(vector, 0x41);
        machine.board.gsi().set_line(16, false);
        apic.window_write(0xb0, 0);
        ++served;
    }
    device.join();
    EXPECT_EQ(served.load(), k_rounds);
    EXPECT_GE(machine.signals.changes.load(), k_rounds);
}

TEST(BoardThreadsTest, processors_send_each_other_interrupts_while_timers_run) {
    constexpr unsigned k_rounds = 300;
    ThreadedBoard machine;
    machine.machine.ports.write(0x43, 1, 0x34);
    machine.machine.ports.write(0x40, 1, 0xff);
    machine.machine.ports.write(0x40, 1, 0x00);
    std::atomic<unsigned> received[2]{};
    const auto processor = [&](unsigned cpu) {
        LocalInterruptController& apic = machine.board.local_apic(cpu);
        apic.window_write(0x320, 0x20030);
        apic.window_write(0x3e0, 0xb);
        apic.window_write(0x380, 50'000);
        unsigned sent = 0;
        while (sent < k_rounds || received[cpu].load() < k_rounds) {
            if (sent < k_rounds && sent <= received[1 - cpu].load()) {  // one under way at a time
                apic.window_write(0x310, (1 - cpu) << 24);
                apic.window_write(0x300, 0x4050);
                ++sent;
            }
            if (apic.interrupt_pending()) {
                const uint8_t vector = apic.acknowledge_interrupt();
                received[cpu] += vector == 0x50 ? 1 : 0;
                apic.window_write(0xb0, 0);
            }
            machine.machine.ports.read(0x40, 1);
        }
    };
    std::thread other(processor, 1U);
    processor(0);
    other.join();
    EXPECT_EQ(received[0].load(), k_rounds);
    EXPECT_EQ(received[1].load(), k_rounds);
}

}  // namespace
}  // namespace skep::test
