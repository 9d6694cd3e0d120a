// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the HD audio controller with its codec, driven by a little language.
//
// The input is a row of operations, one byte each with its operands behind it (little-endian); what is missing at the
// end reads as zero:
//   0 read    {offset:2, log2 size:1}
//   1 write   {offset:2, log2 size:1, value:4}     registers of the controller and of all streams
//   2 ram     {address:4, count:1, bytes}
//   3 verb    {verb:4}                             by the rings, for the codec that is there
//   4 stream  {stream:1, tag:1, format:2, fragment:2, fragments:1, field:1, value:4}
//             a well-formed stream, tuned and running, of which one field is then broken
//   5 tick    {microseconds:2}
//   6 host    {room:2, ppm:1}                      the host takes so much more
//   7 reset   8 save and load   9 pause and resume   10 config write {offset:1, value:4}   11 link reset
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/device_language.hpp"
#include "tests/support/hda_driver.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr size_t k_most_kept = 4096;  // frames; how many were played is no matter here

class Session {
  public:
    // One machine for all inputs, as new for each.
    explicit Session(HdaMachine& machine) : m_machine(machine) {
        machine.hda->reset();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.sound->played.clear();
        machine.sound->most_played = k_most_kept;
        machine.sound->room = k_any_number_of_frames;
        machine.sound->pace_ppm = 0;
        machine.sound->spoken.assign(k_most_kept, SoundFrame{0.5F, -0.5F});
        machine.sound->heard = 0;
        machine.msis.messages.clear();
        m_driver.start();
    }

    void step(Input& input) {
        switch (const uint64_t operation = input.take<uint8_t>() % 12; operation) {
            case 0: {
                const uint64_t offset = input.take<uint16_t>() % hda::k_bar_size;
                m_machine.mmio.read(HdaDriver::k_registers + offset, 1U << input.take<uint8_t>() % 4);
                break;
            }
            case 1: {
                // Mostly where there are registers.
                const uint64_t offset = input.take<uint16_t>() % 0x200;
                const unsigned size = 1U << input.take<uint8_t>() % 4;
                m_machine.mmio.write(HdaDriver::k_registers + offset, size, input.take<uint32_t>());
                break;
            }
            case 2: ram(input); break;
            case 3: verb(input.take<uint32_t>()); break;
            case 4: stream(input); break;
            case 5: m_machine.clock.advance(input.take<uint16_t>() % 0x4000 * 1000ULL); break;  // several timers, not much sound
            case 6:
                m_machine.sound->room = input.take<uint16_t>();
                m_machine.sound->heard = 0;
                m_machine.sound->pace_ppm = input.take<int8_t>() * 50;
                break;
            case 10: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(HdaDriver::k_address, offset, 4, input.take<uint32_t>());
                m_driver.enable_pci();
                break;
            }
            default: life(operation); break;
        }
    }

  private:
    void ram(Input& input) {
        const uint64_t address = input.take<uint32_t>() % (1 << 20);
        const std::span<const uint8_t> bytes = input.take_bytes(input.take<uint8_t>());
        static_cast<void>(m_machine.memory->write(address, bytes.data(), bytes.size()));
    }
    // Wherever the rings are by now.
    void verb(uint32_t command) {
        const uint32_t at = (m_driver.reg(hda::k_corbwp, 2) + 1) & hda::k_pointer_mask;
        static_cast<void>(m_machine.memory->write_value(m_driver.reg(hda::k_corblbase) + at * 4ULL, command & 0xfff'ffff));
        m_driver.set_reg(hda::k_corbwp, at, 2);
    }
    void stream(Input& input) {
        const unsigned index = input.take<uint8_t>() % hda::k_streams;
        const auto tag = static_cast<uint8_t>(input.take<uint8_t>() % 16);
        const GuestAddress list = 0x1'3000 + index * 0x1000;
        m_driver.set_sd(index, hda::k_sd_ctl, hda::k_sd_ctl_srst, 1);
        m_driver.set_sd(index, hda::k_sd_ctl, 0, 1);
        m_driver.set_sd(index, hda::k_sd_fmt, input.take<uint16_t>(), 2);
        const uint32_t fragment = input.take<uint16_t>();
        const uint32_t fragments = 1U + input.take<uint8_t>();
        for (uint32_t each = 0; each < fragments; ++each) {
            const std::array<uint32_t, 4> entry{0x2'0000 + each % 8 * 0x1'0000, 0, fragment, each & 1};
            static_cast<void>(m_machine.memory->write(list + each * 16ULL, entry.data(), sizeof entry));
        }
        m_driver.set_sd(index, hda::k_sd_bdpl, static_cast<uint32_t>(list));
        m_driver.set_sd(index, hda::k_sd_cbl, fragment * fragments);
        m_driver.set_sd(index, hda::k_sd_lvi, fragments - 1, 2);
        m_driver.set_sd(index, hda::k_sd_ctl + 2, uint32_t{tag} << 4, 1);
        const uint32_t converter = index < hda::k_input_streams ? HdaDriver::k_adc : HdaDriver::k_dac;
        verb(HdaDriver::verb(converter, hda::k_verb_set_stream, uint32_t{tag} << 4));
        verb(HdaDriver::verb(converter + 1, hda::k_verb_set_pin_control, 0x60));
        const unsigned field = input.take<uint8_t>() % 64;
        const auto value = input.take<uint32_t>();
        if (field < hda::k_stream_size) {
            m_driver.set_sd(index, field & ~3U, value);
        } else if (field < 48) {
            const GuestAddress at = list + value % fragments * 16 + field % 4 * 4;
            static_cast<void>(m_machine.memory->write_value(at, value));
        }
        m_driver.run(index);
    }
    void life(uint64_t operation) {
        HdaController& controller = *m_machine.hda;
        if (operation == 7) {
            controller.reset();
            m_driver.start();
        } else if (operation == 8) {
            controller.pause();
            const std::vector<std::byte> state = m_machine.saved();
            StateReader reader(state);
            controller.load(reader);
            if (!reader.ok() || m_machine.saved() != state) {
                __builtin_trap();  // what was saved must come back the same
            }
            controller.resume();
        } else if (operation == 9) {
            controller.pause();
            controller.resume();
        } else {
            m_driver.reset_link();
            m_driver.start_rings();
        }
    }

    HdaMachine& m_machine;
    HdaDriver m_driver{m_machine, m_machine.bus};
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::HdaMachine machine;
    skep::test::Session session(machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
