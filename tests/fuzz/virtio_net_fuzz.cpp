// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the virtio network card with a back end, rings and frames from both sides. The first byte says how many
// queue pairs; the operations are those of virtio_language.hpp and
//   11 send   {head:1, bytes:2, header:12}: a frame in two buffers       14 command {group:1, number:1, count:1, bytes}
//   12 arrive {kind:1, bytes:2, header:1}: a frame from outside          15 room {frames:1}: in the back end
//   13 give   {count:1, bytes:2}: receive buffers                        16 link {up:1}
#include <algorithm>
#include <array>
#include <memory>

#include "devices/net/net_cable.hpp"
#include "devices/virtio/virtio_net.hpp"
#include "tests/fuzz/virtio_language.hpp"
#include "tests/support/fake_net.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr std::array<uint8_t, 6> k_mac{0x52, 0x54, 0, 1, 2, 3};

struct NetMachine : FakeMachine {
    explicit NetMachine(unsigned queue_pairs) : pairs(queue_pairs) {
        context.pci = &bus;
        bus.reset();
        device = std::make_unique<VirtioPci>(context, "net", VirtioDriver::k_address,
                                             make_virtio_net(*memory, cable, {.mac = k_mac, .queue_pairs = queue_pairs}));
        device->reset();
        cable->connect(net);
    }
    unsigned pairs;
    std::shared_ptr<FakeNet> net = std::make_shared<FakeNet>();
    std::shared_ptr<NetCable> cable = std::make_shared<NetCable>(NetCable::Link::up);
    PciBus bus{context};
    std::unique_ptr<VirtioPci> device;
};

class Session {
  public:
    explicit Session(NetMachine& machine)
        : m_machine(machine),
          m_virtio(machine, machine.bus, *machine.device, static_cast<uint16_t>(2 * machine.pairs + 1)) {
        machine.cable->set_link(NetCable::Link::up);
        machine.net->sent.clear();
        machine.net->room = 64;
    }

    void step(Input& input) {
        switch (const unsigned operation = input.take<uint8_t>() % 17; operation) {
            case 11: send(input); break;
            case 12: arrive(input); break;
            case 13: {
                const unsigned count = input.take<uint8_t>() % 16;
                const uint32_t bytes = input.take<uint16_t>();
                VirtioDriver& driver = m_virtio.driver();
                for (uint16_t head = 0; head < count; ++head) {
                    driver.add(0, head, {{VirtioDriver::k_buffers + 0x2'0000 + head * 0x1000U, bytes, true}});
                }
                driver.kick(0);
                break;
            }
            case 14: command(input); break;
            case 15:
                m_machine.net->sent.clear();
                m_machine.net->room = input.take<uint8_t>();
                m_machine.net->sink->room();
                break;
            case 16: m_machine.cable->set_link(input.take<uint8_t>() % 2 == 0 ? NetCable::Link::down : NetCable::Link::up); break;
            default: m_virtio.step(operation, input);
        }
    }

  private:
    void send(Input& input) {
        const uint16_t head = input.take<uint8_t>() % 8 * 2;
        const uint32_t bytes = input.take<uint16_t>();
        std::array<uint8_t, sizeof(NetHeader)> header{};
        std::ranges::copy(input.take_bytes(header.size()), header.begin());
        const GuestAddress at = VirtioDriver::k_buffers + head * 0x1000U;
        (void)m_machine.memory->write(at, header.data(), header.size());
        m_virtio.driver().add(1, head, {{at, sizeof(NetHeader), false}, {at + 0x100, bytes, false}});
        m_virtio.driver().kick(1);
    }
    void arrive(Input& input) {
        const auto kind = input.take<uint8_t>();
        const size_t bytes = std::max<size_t>(input.take<uint16_t>(), net::k_header_bytes);
        std::array<uint8_t, 6> to = k_mac;
        if (kind % 2 == 1) {
            to.fill(kind);
        }
        NetHeader header;
        const auto how = input.take<uint8_t>();
        header.flags = how & 3;
        header.gso_type = how >> 2 & 7;
        header.gso_size = how;
        header.csum_start = how;
        header.csum_offset = kind;
        (void)m_machine.net->give(frame_to(to, bytes), header);
    }
    void command(Input& input) {
        constexpr GuestAddress k_at = VirtioDriver::k_buffers + 0x1'8000;
        const std::array<uint8_t, 2> words{input.take<uint8_t>(), input.take<uint8_t>()};
        const auto bytes = input.take_bytes(input.take<uint8_t>());
        (void)m_machine.memory->write(k_at, words.data(), words.size());
        (void)m_machine.memory->write(k_at + 16, bytes.data(), bytes.size());
        const auto queue = static_cast<uint16_t>(2 * m_machine.pairs);
        m_virtio.driver().add(queue, 0,
                              {{k_at, 2, false}, {k_at + 16, static_cast<uint32_t>(bytes.size()), false}, {k_at + 0x800, 1, true}});
        m_virtio.driver().kick(queue);
    }

    NetMachine& m_machine;
    fuzz::VirtioSession m_virtio;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::NetMachine one(1);
    static skep::test::NetMachine two(2);
    skep::fuzz::Input input(data, size);
    skep::test::Session session(input.take<uint8_t>() % 2 == 0 ? one : two);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
