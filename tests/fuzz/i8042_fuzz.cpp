// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the keyboard controller with keyboard and mouse, from the guest's side and the user's.
//
// The input is a row of operations, one byte each with its operands behind it; what is missing at the end reads as zero:
//   0 read data   1 read status   2 write data {value:1}   3 command {value:1}
//   4 to the keyboard {value:1, argument:1}   5 to the mouse {value:1, argument:1}   6 configuration {value:1}
//   7 key {code:1, down:1}   8 mouse {right:2, down:2, wheel:1, buttons:1}   9 the guest takes everything
//  10 save and load   11 reset
#include <cstddef>
#include <cstdint>

#include "devices/board/i8042.hpp"
#include "tests/fuzz/device_language.hpp"
#include "tests/support/fake_machine.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr uint16_t k_data = 0x60, k_command = 0x64;
constexpr uint8_t k_output_full = 1;
// Two devices with answers and events of at most Ps2Output::k_limit each.
constexpr size_t k_most_bytes = 4 * Ps2Output::k_limit + 16;

struct ControllerMachine {
    IoSpace ports{"port"};
    RecordingIrqs irqs;
    RecordingRequests requests;
    I8042 controller{ports, requests, IrqLine(irqs, 1), IrqLine(irqs, 12)};
};

class Session {
  public:
    explicit Session(ControllerMachine& machine) : m_machine(machine) {
        machine.controller.reset();
        machine.requests.requests.clear();
    }

    void step(Input& input) {
        I8042& controller = m_machine.controller;
        switch (input.take<uint8_t>() % 12) {
            case 0: in(k_data); break;
            case 1: in(k_command); break;
            case 2: out(k_data, input.take<uint8_t>()); break;
            case 3: out(k_command, input.take<uint8_t>()); break;
            case 4:
                out(k_data, input.take<uint8_t>());
                out(k_data, input.take<uint8_t>());
                break;
            case 5:
                for (int byte = 0; byte < 2; ++byte) {
                    out(k_command, 0xd4);
                    out(k_data, input.take<uint8_t>());
                }
                break;
            case 6:
                out(k_command, 0x60);
                out(k_data, input.take<uint8_t>());
                break;
            case 7: {
                const KeyCode code = input.take<uint8_t>();
                controller.key(code, input.take<uint8_t>() % 2 != 0);
                break;
            }
            case 8: {
                const int right = input.take<int16_t>();
                const int down = input.take<int16_t>();
                const int wheel = input.take<int8_t>();
                controller.move_mouse(right, down, wheel, input.take<uint8_t>());
                break;
            }
            case 9: drain(); break;
            case 10: save_and_load(); break;
            default: controller.reset();
        }
        // The lines say what the status says, whatever happened.
        if (m_machine.irqs.levels[1] && m_machine.irqs.levels[12]) {
            __builtin_trap();
        }
        if ((m_machine.irqs.levels[1] || m_machine.irqs.levels[12]) && (in(k_command) & k_output_full) == 0) {
            __builtin_trap();
        }
    }

  private:
    uint8_t in(uint16_t port) { return static_cast<uint8_t>(m_machine.ports.read(port, 1)); }
    void out(uint16_t port, uint8_t value) { m_machine.ports.write(port, 1, value); }
    void drain() {
        for (size_t count = 0; (in(k_command) & k_output_full) != 0; ++count) {
            if (count > k_most_bytes) {
                __builtin_trap();  // it would never end
            }
            in(k_data);
        }
    }
    void save_and_load() {
        StateWriter before;
        m_machine.controller.save(before);
        StateReader reader(before.bytes());
        m_machine.controller.load(reader);
        StateWriter after;
        m_machine.controller.save(after);
        if (!reader.ok() || before.bytes() != after.bytes()) {
            __builtin_trap();  // what was saved must come back the same
        }
    }

    ControllerMachine& m_machine;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::ControllerMachine machine;
    skep::test::Session session(machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
