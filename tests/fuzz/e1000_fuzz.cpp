// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the e1000 with a back end, driven by a little language.
//
// Operations, one byte each with their operands behind it (little-endian), what is missing at the end reads as zero:
//   0 read     {register:2}                  7 reset   8 save and load   9 pause and resume
//   1 write    {register:2, value:4}        10 config write {offset:1, value:4}
//   2 ram      {address:3, count:1, bytes}  11 arrive {kind:1, bytes:2, header:1}: a frame from outside
//   3 start    {buffers:1, rctl:4}          12 room {frames:1}: for so many more in the back end
//   4 context  {places:8, lower:4, upper:4} 13 time {1024 ns:2}
//   5 data     {bytes:2, flags:1, upper:2, address:3}    14 link {up:1}
//   6 kick                                  15 wires {bits:2}: of the EEPROM
#include <algorithm>

#include "tests/fuzz/device_language.hpp"
#include "tests/support/e1000_driver.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;
using namespace e1000;

class Session {
  public:
    // One machine for all inputs, as new for each.
    explicit Session(E1000Machine& machine) : m_machine(machine), m_driver(machine) {
        machine.cable->set_link(NetCable::Link::up);
        machine.card->reset();
        m_driver.enable_pci();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.net->sent.clear();
        machine.net->room = 256;
        m_driver.start();
    }

    void step(Input& input) {
        switch (input.take<uint8_t>() % 16) {
            case 0: (void)m_driver.read(take_register(input)); break;
            case 1: {
                const uint32_t where = take_register(input);
                m_driver.write(where, input.take<uint32_t>());
                break;
            }
            case 2: {
                const GuestAddress at = take_address(input);
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                (void)m_machine.memory->write(at, bytes.data(), bytes.size());
                break;
            }
            case 3: {
                const uint32_t buffers = input.take<uint8_t>() % E1000Driver::k_entries;
                m_driver.start(buffers, input.take<uint32_t>());
                break;
            }
            case 4: {
                const auto places = input.take<uint64_t>();
                const auto lower = input.take<uint32_t>();
                m_driver.put({places, (lower | k_tx_dext) & ~k_tx_dtyp, input.take<uint32_t>()});
                break;
            }
            case 5: data(input); break;
            case 6: m_driver.kick(); break;
            case 7:
                m_machine.card->reset();
                m_driver.enable_pci();
                break;
            case 8: save_and_load(); break;
            case 9:
                m_machine.card->pause();
                m_machine.card->resume();
                break;
            case 10: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(E1000Machine::k_address, offset, 4, input.take<uint32_t>());
                m_driver.enable_pci();
                break;
            }
            case 11: arrive(input); break;
            case 12:
                m_machine.net->sent.clear();
                m_machine.net->room = input.take<uint8_t>();
                m_machine.net->sink->room();
                break;
            case 13: m_machine.clock.advance(Nanoseconds{input.take<uint16_t>()} * 1024); break;
            case 14: m_machine.cable->set_link(input.take<uint8_t>() % 2 == 0 ? NetCable::Link::down : NetCable::Link::up); break;
            default:
                for (uint32_t bits = input.take<uint16_t>() | 0x1'0000U; bits > 1; bits >>= 1) {
                    const uint32_t quiet = k_eecd_cs | ((bits & 1) != 0 ? k_eecd_di : 0);
                    m_driver.write(k_eecd, quiet);
                    m_driver.write(k_eecd, quiet | k_eecd_sk);
                }
        }
    }

  private:
    static uint32_t take_register(Input& input) { return input.take<uint16_t>() % 0x6100 & ~3U; }
    static GuestAddress take_address(Input& input) {
        const GuestAddress low = input.take<uint16_t>();
        return (low | GuestAddress{input.take<uint8_t>()} << 16) % 0x10'4000;
    }
    void data(Input& input) {
        const uint32_t bytes = input.take<uint16_t>();
        const uint32_t flags = static_cast<uint32_t>(input.take<uint8_t>()) << 24;
        const uint32_t upper = input.take<uint16_t>();
        m_driver.put({take_address(input), bytes | flags | ((flags & k_tx_dext) != 0 ? k_tx_data : 0), upper << 8});
    }
    // Sound frames of several kinds, so that checksums and filters have something to do.
    void arrive(Input& input) {
        const auto kind = input.take<uint8_t>();
        std::vector<uint8_t> frame = frame_to(k_e1000_mac, std::max<size_t>(input.take<uint16_t>() % 20000, 14));
        if (kind % 4 == 1) {
            std::fill_n(frame.begin(), 6, uint8_t{0xff});
        }
        if (kind % 4 >= 2 && frame.size() >= 54) {
            const bool tcp = kind % 4 == 2;
            frame[12] = 0x08;
            frame[13] = 0;
            frame[14] = 0x45;
            store_be<uint16_t>(&frame[16], static_cast<uint16_t>(frame.size() - 14));
            store_be<uint16_t>(&frame[20], 0);
            frame[23] = tcp ? 6 : 17;
            frame[46] = 0x50;
            if (const FrameLayout layout = frame_layout(frame); layout.kind != FrameLayout::Kind::other && (kind & 0x80) == 0) {
                write_checksums(frame, layout);
            }
        }
        NetHeader header;
        const auto how = input.take<uint8_t>();
        header.flags = how & 3;
        header.csum_start = 34;
        header.csum_offset = (how & 4) != 0 ? 16 : 6;
        header.gso_type = (how & 8) != 0 ? net::k_gso_tcp4 : net::k_gso_none;
        header.gso_size = static_cast<uint16_t>(how * 16);
        (void)m_machine.net->give(frame, header);
    }
    std::vector<std::byte> saved() {
        StateWriter writer;
        m_machine.card->save(writer);
        return writer.bytes();
    }
    void save_and_load() {
        m_machine.card->pause();
        const auto state = saved();
        StateReader reader(state);
        m_machine.card->load(reader);
        if (!reader.ok() || !reader.at_end() || saved() != state) {
            __builtin_trap();  // what was saved must come back the same
        }
        m_machine.card->resume();
        m_driver.enable_pci();
    }

    E1000Machine& m_machine;
    E1000Driver m_driver;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static skep::test::E1000Machine* machine = [] {
        skep::set_log_level(skep::LogLevel::error);
        return new skep::test::E1000Machine();
    }();
    skep::test::Session session(*machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
