// SPDX-License-Identifier: GPL-3.0-or-later
// A machine's clocks over a pause.
#include "tests/support/fake_machine.hpp"
#include "vmm/machine/machine.hpp"

#include <gtest/gtest.h>

namespace skep {
namespace {

// Remembers what it is told of the clock.
class ClockVm final : public Vm {
  public:
    Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned) override {
        return fail(ErrorKind::unsupported, "There are no processors in this test.");
    }
    [[nodiscard]] uint32_t cpuid_signature() const override { return 0; }
    [[nodiscard]] uint64_t tsc_hz() const override { return 1; }
    [[nodiscard]] uint64_t tsc_now() const override { return 0; }
    void pause_clock() override { ++pauses; }
    void resume_clock(uint64_t missed_ns) override { missed.push_back(missed_ns); }
    [[nodiscard]] WriteLog& write_log() override { return log; }

    test::FakeWriteLog log;
    unsigned pauses = 0;
    std::vector<uint64_t> missed;
};

void let_host_time_pass(std::chrono::nanoseconds span) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (std::chrono::steady_clock::now() < end) {
    }
}

TEST(MachineClock, resume_makes_up_for_the_pause_in_every_clock) {
    auto vm = std::make_unique<ClockVm>();
    ClockVm& seen = *vm;
    Machine machine(std::move(*GuestMemory::create(1 << 20)), std::move(vm), [](const MachineEvent&) {});
    let_host_time_pass(std::chrono::milliseconds(2));
    ASSERT_TRUE(machine.start());
    EXPECT_EQ(seen.missed, std::vector<uint64_t>{0}) << "time before the start is no pause";
    const auto begin = std::chrono::steady_clock::now();
    machine.pause();
    const Nanoseconds stands = machine.uptime();
    let_host_time_pass(std::chrono::milliseconds(3));
    EXPECT_EQ(machine.uptime(), stands);
    machine.resume();
    EXPECT_GE(machine.uptime(), stands + 3'000'000);
    ASSERT_EQ(seen.missed.size(), 2U);
    EXPECT_GE(seen.missed[1], 3'000'000U);
    EXPECT_LE(seen.missed[1], static_cast<uint64_t>((std::chrono::steady_clock::now() - begin).count()));
    EXPECT_EQ(seen.pauses, 2U);
    machine.resume();  // runs already
    EXPECT_EQ(seen.missed.size(), 2U);
}

}  // namespace
}  // namespace skep
