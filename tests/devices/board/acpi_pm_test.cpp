// SPDX-License-Identifier: GPL-3.0-or-later
// Power management, reset and debug ports.
#include <gtest/gtest.h>

#include "devices/board/acpi_pm.hpp"
#include "devices/board/debug_ports.hpp"
#include "tests/devices/board/board_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint16_t k_base = 0x600;

class PowerTest : public testing::Test, public BoardFixture {
  protected:
    PowerTest() {
        init_pics();
        out(0x4d1, 0x02);  // IRQ 9 is a level
        board.set_pm_base(k_base, true);
    }
    uint64_t get(unsigned offset, unsigned size) { return machine.ports.read(k_base + offset, size); }
    void put(unsigned offset, unsigned size, uint64_t value) { machine.ports.write(k_base + offset, size, value); }
};

TEST_F(PowerTest, timer_counts_at_3579545_hz_in_24_bits) {
    const uint64_t first = get(8, 4);
    machine.clock.advance(1'000'000'000);
    EXPECT_EQ(get(8, 4) - first, 3'579'545U);
    machine.clock.advance(4'000'000'000);
    EXPECT_EQ(get(8, 4), 5 * 3'579'545U & 0xffffff);
    EXPECT_EQ(get(8, 2), 5 * 3'579'545U & 0xffff);
    put(8, 4, 0);
    EXPECT_EQ(get(8, 4), 5 * 3'579'545U & 0xffffff);
}

TEST_F(PowerTest, block_moves_with_its_base_and_goes_when_disabled) {
    board.set_pm_base(0xb000, true);
    EXPECT_EQ(machine.ports.read(k_base + 0x30, 4), 0xffffffffU);
    EXPECT_EQ(machine.ports.read(0xb030, 4), 0x20U);
    board.set_pm_base(0xb000, false);
    EXPECT_EQ(machine.ports.read(0xb030, 4), 0xffffffffU);
    board.set_pm_base(k_base, true);
    EXPECT_EQ(get(0x30, 4), 0x20U);
}

TEST_F(PowerTest, smm_reads_as_done_whatever_is_written) {
    EXPECT_EQ(get(0x30, 4) & 0x20, 0x20U);
    put(0x30, 4, 0);
    EXPECT_EQ(get(0x30, 4) & 0x20, 0x20U);
}

TEST_F(PowerTest, power_button_raises_the_sci_until_acknowledged) {
    board.press_power_button();
    EXPECT_EQ(get(0, 2), 0x100U);
    EXPECT_FALSE(apic().interrupt_pending());
    put(2, 2, 0x100);
    ASSERT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(apic().acknowledge_interrupt(), 0x29);
    put(0, 2, 0x100);
    EXPECT_EQ(get(0, 2), 0U);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(PowerTest, timer_overflow_raises_the_sci_when_enabled) {
    put(2, 2, 0x001);
    machine.clock.advance(2'300'000'000);
    EXPECT_FALSE(apic().interrupt_pending());
    machine.clock.advance(100'000'000);  // bit 23 changes after 2.343 s
    EXPECT_TRUE(apic().interrupt_pending());
    EXPECT_EQ(get(0, 2), 1U);
    put(0, 2, 1);
    EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(PowerTest, general_purpose_event_raises_the_sci) {
    board.pm().raise_gpe(13);
    EXPECT_FALSE(apic().interrupt_pending());
    put(0x29, 1, 0x20);
    EXPECT_TRUE(apic().interrupt_pending());
    put(0x21, 1, 0x20);
    EXPECT_FALSE(apic().interrupt_pending());
    board.pm().raise_gpe(64);
    EXPECT_EQ(get(0x20, 8), 0U);
}

TEST_F(PowerTest, s5_asks_for_power_off_by_either_sleep_type) {
    put(4, 2, 0x3c01);
    put(4, 4, 0x2001);
    put(5, 1, 0x3c);
    ASSERT_EQ(machine.requests.requests.size(), 3U);
    for (const auto& request : machine.requests.requests) {
        EXPECT_EQ(request.what, MachineRequest::power_off);
    }
    EXPECT_EQ(get(4, 2), 0x1c01U);  // SLP_EN reads as zero
}

TEST_F(PowerTest, sleep_type_that_is_not_offered_wakes_at_once) {
    put(4, 2, 0x3401);
    EXPECT_TRUE(machine.requests.requests.empty());
    EXPECT_EQ(get(0, 2), 0x8000U);
}

TEST_F(PowerTest, apm_command_port_switches_acpi_on_and_off) {
    EXPECT_EQ(get(4, 2), 0U);
    out(0xb2, 0x02);
    EXPECT_EQ(get(4, 2), 1U);
    EXPECT_EQ(in(0xb2), 0x02);
    out(0xb2, 0x03);
    EXPECT_EQ(get(4, 2), 0U);
    out(0xb3, 0x77);
    EXPECT_EQ(in(0xb3), 0x77);
}

TEST_F(PowerTest, reset_ports_ask_for_a_reset_on_their_rising_edge) {
    EXPECT_EQ(in(0x92), 0x02);
    out(0x92, 0x00);
    EXPECT_EQ(in(0x92), 0x00);
    EXPECT_TRUE(machine.requests.requests.empty());
    out(0x92, 0x01);
    EXPECT_EQ(machine.requests.requests.size(), 1U);
    out(0xcf9, 0x02);
    EXPECT_EQ(machine.requests.requests.size(), 1U);
    out(0xcf9, 0x06);
    ASSERT_EQ(machine.requests.requests.size(), 2U);
    EXPECT_EQ(machine.requests.requests[1].what, MachineRequest::reset);
}

TEST_F(PowerTest, debug_console_collects_text) {
    EXPECT_EQ(in(0x402), 0xe9);
    for (const char character : std::string("SeaBIOS\n")) {
        out(0x402, static_cast<unsigned char>(character));
    }
    EXPECT_EQ(debug.output, "SeaBIOS\n");
    EXPECT_EQ(in(0xe9), 0xff) << "only by option";
}

TEST(DebugConsoleTest, logged_output_is_taken_from_port_e9_too) {
    IoSpace ports("port");
    ScriptedBackend backend;
    DebugConsole console(ports, &backend, DebugOutput::logged);
    testing::internal::CaptureStderr();
    EXPECT_EQ(ports.read(0xe9, 1), 0xe9U);
    for (const char character : std::string("kernel here\nno end")) {
        ports.write(character == 'h' ? 0x402 : 0xe9, 1, static_cast<unsigned char>(character));
    }
    EXPECT_EQ(backend.output, "kernel here\nno end");
    const std::string logged = testing::internal::GetCapturedStderr();
    EXPECT_NE(logged.find("guest firmware: kernel here\n"), std::string::npos) << logged;
    EXPECT_EQ(logged.find("no end"), std::string::npos) << logged;
}

TEST(DebugConsoleTest, guest_that_floods_it_does_not_fill_the_log) {
    IoSpace ports("port");
    DebugConsole console(ports, nullptr, DebugOutput::logged);
    testing::internal::CaptureStderr();
    const std::string line(150, 'x');
    for (unsigned count = 0; count < 10'000; ++count) {
        for (const char character : line + "\n") {
            ports.write(0xe9, 1, static_cast<unsigned char>(character));
        }
    }
    const std::string logged = testing::internal::GetCapturedStderr();
    EXPECT_LT(logged.size(), size_t{2} << 20);
    EXPECT_NE(logged.find("(the rest is left out)"), std::string::npos);
}

TEST_F(PowerTest, debug_exit_gives_its_code) {
    machine.ports.write(0xf4, 4, 0x10);
    ASSERT_EQ(machine.requests.requests.size(), 1U);
    EXPECT_EQ(machine.requests.requests[0].what, MachineRequest::debug_exit);
    EXPECT_EQ(machine.requests.requests[0].code, 0x21);
}

TEST_F(PowerTest, panic_is_told_once_until_the_next_reset) {
    EXPECT_EQ(in(0x505), 0x03);  // what can be told
    out(0x505, 0x02);            // a crash kernel takes over: no end of anything
    out(0x505, 0xf0);
    EXPECT_TRUE(machine.requests.requests.empty());
    for (unsigned count = 0; count < 1000; ++count) {
        out(0x505, 0x01);
    }
    ASSERT_EQ(machine.requests.requests.size(), 1U);
    EXPECT_EQ(machine.requests.requests[0].what, MachineRequest::panic);
    for (Device* device : board.devices()) {
        device->reset();
    }
    out(0x505, 0x01);
    EXPECT_EQ(machine.requests.requests.size(), 2U);
}

TEST_F(PowerTest, dma_registers_hold_what_was_written) {
    out(0x0c, 0);
    out(0x00, 0x34);
    out(0x00, 0x12);
    out(0x0c, 0);
    EXPECT_EQ(in(0x00), 0x34);
    EXPECT_EQ(in(0x00), 0x12);
    EXPECT_EQ(in(0x0f) & 0x0f, 0x0f);
    out(0xdc, 0);  // clears the second controller's mask
    EXPECT_EQ(in(0xde) & 0x0f, 0x00);
    out(0x87, 0xab);
    EXPECT_EQ(in(0x87), 0xab);
    out(0x80, 0x55);
    EXPECT_EQ(in(0x80), 0x55);
    EXPECT_EQ(in(0x378), 0xff);  // no printer port
    EXPECT_EQ(in(0x3f5), 0xff);  // no floppy
}

}  // namespace
}  // namespace skep::test
