// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the VGA with its dispi, and what of it is on the screen, driven by a little language.
//
// The input is a row of operations, one byte each with its operands behind it (little-endian); what is missing at the
// end reads as zero:
//   0 out      {port:1 from 0x3b0, value:1}          4 window read  {offset:3, log2 size:1}
//   1 in       {port:1 from 0x3b0}                   5 window write {offset:3, log2 size:1, value:4}
//   2 indexed  {controller:1, index:1, value:1}      6 frame buffer {offset:3, count:1, bytes}
//   3 dispi    {index:1, value:2}                    7 register area {offset:2, log2 size:1, value:4}: read and written
//   8 mode     {kind:1, width:1, height:2, depth:1}  a well-formed one, for other operations to break
//   9 look     a viewer takes what has changed: it must be what is there
//  10 tick {milliseconds:2}   11 save and load   12 reset   13 config write {offset:1, value:4}
#include <cstddef>
#include <cstdint>

#include "tests/devices/video/vga_fixture.hpp"
#include "tests/fuzz/device_language.hpp"
#include "tests/fuzz/video_memory.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

// Cursor and characters are lit in the first quarter, whenever they began to blink.
constexpr uint64_t k_blink = 4 * 228'000'000;
constexpr uint64_t k_vram_bytes = 256 << 10;

std::vector<std::byte> saved(const VgaMachine& machine) {
    StateWriter writer;
    machine.adapter->save(writer);
    return writer.bytes();
}

class Session {
  public:
    // Two machines for all inputs: the first as new for each, the second to compare it with.
    Session(VgaMachine& machine, VgaMachine& other) : m_machine(machine), m_other(other) {
        machine.adapter->reset();
        machine.clock.advance(k_blink - machine.clock.now() % k_blink);
        enable();
        machine.linear_mode(64, 16, 32);  // a small picture to look at, and the blank ones that follow are as small
    }

    void step(Input& input) {
        switch (const uint64_t operation = input.take<uint8_t>() % 14; operation) {
            case 0: {
                const uint16_t port = port_of(input);
                m_machine.out(port, input.take<uint8_t>());
                break;
            }
            case 1: m_machine.in(port_of(input)); break;
            case 2: {
                constexpr std::array<uint16_t, 4> k_controllers{0x3c4, 0x3ce, 0x3d4, 0x3b4};
                const uint16_t port = k_controllers[input.take<uint8_t>() % k_controllers.size()];
                const auto index = input.take<uint8_t>();
                m_machine.indexed(port, index, input.take<uint8_t>());
                break;
            }
            case 3: {
                const uint16_t index = input.take<uint8_t>() % 12;
                m_machine.dispi(index, input.take<uint16_t>());
                break;
            }
            case 4: {
                const uint64_t offset = take_offset(input, vga::k_window_bytes);
                m_machine.mmio.read(VgaMachine::k_window + offset, 1U << input.take<uint8_t>() % 4);
                break;
            }
            case 5: {
                const uint64_t offset = take_offset(input, vga::k_window_bytes);
                const unsigned size = 1U << input.take<uint8_t>() % 4;
                m_machine.mmio.write(VgaMachine::k_window + offset, size, input.take<uint32_t>());
                break;
            }
            case 6: frame_buffer(input); break;
            case 7: register_area(input); break;
            case 8: mode(input); break;
            case 9: look(); break;
            case 10: m_machine.clock.advance(input.take<uint16_t>() * 1'000'000ULL); break;
            case 11: save_and_load(); break;
            case 12:
                m_machine.adapter->reset();
                enable();
                break;
            default: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(VgaMachine::k_address, offset, 4, input.take<uint32_t>());
                enable();
            }
        }
    }

    // A viewer that has followed every change sees what one does that comes now.
    void look() {
        m_machine.update = m_machine.view->take();
        (void)m_machine.screen.text();
        m_other.clock.advance(m_machine.clock.now() - m_other.clock.now());
        if (m_machine.clock.now() % k_blink >= k_blink / 4) {
            return;
        }
        const std::vector<std::byte> state = saved(m_machine);
        StateReader reader(state);
        m_other.adapter->load(reader);
        m_other.update = m_other.view->take();
        if (!fuzz::same_picture(*m_machine.update.surface, *m_other.update.surface)) {
            __builtin_trap();
        }
    }

  private:
    static uint16_t port_of(Input& input) { return static_cast<uint16_t>(0x3b0 + input.take<uint8_t>() % 0x30); }
    static uint64_t take_offset(Input& input, uint64_t limit) {
        const uint64_t low = input.take<uint16_t>();
        return (low | uint64_t{input.take<uint8_t>()} << 16) % limit;
    }
    void enable() {
        m_machine.bus.config_write(VgaMachine::k_address, 0x10, 4, VgaMachine::k_frame_buffer);
        m_machine.bus.config_write(VgaMachine::k_address, 0x18, 4, VgaMachine::k_registers);
        m_machine.bus.config_write(VgaMachine::k_address, 0x04, 2, 7);
    }
    // As a processor writes it: straight into the memory, noted by its page.
    void frame_buffer(Input& input) {
        const uint64_t offset = take_offset(input, k_vram_bytes);
        const std::span<const uint8_t> bytes = input.take_bytes(input.take<uint8_t>());
        for (size_t i = 0; i < bytes.size(); ++i) {
            const uint64_t at = (offset + i) % k_vram_bytes;
            m_machine.vram[at] = std::byte{bytes[i]};
            m_machine.log.write(at);
        }
    }
    void register_area(Input& input) {
        const uint64_t offset = input.take<uint16_t>() % vga::k_register_area;
        const unsigned size = 1U << input.take<uint8_t>() % 4;
        m_machine.mmio.read(VgaMachine::k_registers + offset, size);
        m_machine.mmio.write(VgaMachine::k_registers + offset, size, input.take<uint32_t>());
    }
    void mode(Input& input) {
        const auto kind = input.take<uint8_t>();
        const auto width = static_cast<uint8_t>(input.take<uint8_t>() % 40 + 2);
        const auto height = static_cast<uint16_t>(input.take<uint16_t>() % 150 + 1);
        constexpr std::array<uint8_t, 6> k_depths{4, 8, 15, 16, 24, 32};
        const uint8_t depth = k_depths[input.take<uint8_t>() % k_depths.size()];
        switch (kind % 3) {
            case 0: m_machine.text_mode(width, static_cast<uint8_t>(height % 30 + 1)); break;
            case 1: m_machine.planar_mode(width, height); break;
            default: m_machine.linear_mode(static_cast<uint16_t>(width * 8), height, depth);
        }
    }
    void save_and_load() {
        const std::vector<std::byte> state = saved(m_machine);
        StateReader reader(state);
        m_machine.adapter->load(reader);
        if (!reader.ok() || saved(m_machine) != state) {
            __builtin_trap();  // what was saved must come back the same
        }
    }

    VgaMachine& m_machine;
    VgaMachine& m_other;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::VgaMachine machine(skep::test::k_vram_bytes);
    static skep::test::VgaMachine other(skep::test::k_vram_bytes);
    [[maybe_unused]] static const bool cheap = [] {
        skep::fuzz::make_cheap_to_clear(machine.vram);
        skep::fuzz::make_cheap_to_clear(other.vram);
        return true;
    }();
    skep::test::Session session(machine, other);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    session.look();
    return 0;
}
