// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the virtio keyboard and tablet, from the guest's side and the user's. The first byte says which; the
// operations are those of virtio_language.hpp and
//   11 key     {code:1, down:1}                  14 buffers {count:1}       the driver gives event buffers
//   12 pointer {x:2, y:2, buttons:1}             15 status  {count:1}       and wishes for lamps
//   13 wheel   {vertical:1, horizontal:1}        16 select  {select:1, subsel:1}: the answer is read
#include <algorithm>
#include <array>
#include <memory>

#include "devices/virtio/virtio_input.hpp"
#include "tests/fuzz/virtio_language.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr uint16_t k_queues = 2;
constexpr uint16_t k_events = 0, k_status = 1;
constexpr uint32_t k_event_bytes = 8;

struct InputMachine : FakeMachine {
    explicit InputMachine(std::unique_ptr<VirtioDevice> (*make)(GuestMemory&, InputHub&)) {
        context.pci = &bus;
        bus.reset();
        device = std::make_unique<VirtioPci>(context, "input", VirtioDriver::k_address, make(*memory, hub));
        device->reset();
    }
    InputHub hub;
    PciBus bus{context};
    std::unique_ptr<VirtioPci> device;
};

class Session {
  public:
    explicit Session(InputMachine& machine)
        : m_machine(machine), m_virtio(machine, machine.bus, *machine.device, k_queues) {}
    ~Session() {
        m_machine.hub.release_all_keys();
        m_machine.hub.move_to(0, 0, 1, 1, 0);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void step(Input& input) {
        InputHub& hub = m_machine.hub;
        switch (const unsigned operation = input.take<uint8_t>() % 17; operation) {
            case 11: {
                const KeyCode code = input.take<uint8_t>();
                hub.key(code, input.take<uint8_t>() % 2 != 0);
                break;
            }
            case 12: {
                const uint32_t x = input.take<uint16_t>();
                const uint32_t y = input.take<uint16_t>();
                hub.move_to(x, y, 1024, 768, input.take<uint8_t>());
                break;
            }
            case 13: {
                const int32_t vertical = input.take<int8_t>();
                hub.wheel(vertical, input.take<int8_t>());
                break;
            }
            case 14: give(k_events, input.take<uint8_t>(), true); break;
            case 15: give(k_status, input.take<uint8_t>(), false); break;
            case 16: {
                constexpr uint64_t k_config = VirtioDriver::k_registers + 0x2000;
                m_machine.mmio.write(k_config, 1, input.take<uint8_t>());
                m_machine.mmio.write(k_config + 1, 1, input.take<uint8_t>());
                for (unsigned at = 0; at < 136; at += 4) {
                    (void)m_machine.mmio.read(k_config + at, 4);
                }
                break;
            }
            default: m_virtio.step(operation, input);
        }
    }

  private:
    void give(uint16_t queue, unsigned count, bool device_writes) {
        VirtioDriver& driver = m_virtio.driver();
        for (unsigned each = 0; each < count % 32; ++each) {
            const auto head = static_cast<uint16_t>(each % VirtioDriver::k_queue_size);
            driver.add(queue, head, {{VirtioDriver::k_buffers + head * k_event_bytes, k_event_bytes, device_writes}});
        }
        driver.kick(queue);
    }

    InputMachine& m_machine;
    fuzz::VirtioSession m_virtio;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::InputMachine keyboard(skep::make_virtio_keyboard);
    static skep::test::InputMachine tablet(skep::make_virtio_tablet);
    skep::fuzz::Input input(data, size);
    skep::test::Session session(input.take<uint8_t>() % 2 == 0 ? keyboard : tablet);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
