// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the xHCI controller with tablet, keyboard and stick, driven by a little language.
//
// The input is a row of operations, one byte each with its operands behind it (little-endian); what is missing at the
// end reads as zero:
//   0 read     {offset:2, log2 size:1}
//   1 write    {offset:2, log2 size:1, value:4}
//   2 ram      {address:4, count:1, bytes}
//   3 command  {type:1, slot:1, endpoint:1, kind:1, word:1, value:4}
//              a well-formed command with a well-formed input context, of which one word is then broken
//   4 transfer {slot:1, endpoint:1, trbs:1, {type:1, flags:1, length:2, place:1} each, field:1, value:4}
//              well-formed TRBs in the endpoint's ring, of which one field is then broken; and its doorbell
//   5 control  {slot:1, setup:8}           the three stages
//   6 scsi     {slot:1, length:2, flags:1, cdb:16}  command, data and status
//   7 input    {kind:1, a:2, b:2}          keys and pointer of the user
//   8 run      {count:1}                   lets the host finish requests
//   9 fault    {operation:1, status:1}     10 tick {milliseconds:1}    11 plug or unplug {which:1}
//   12 reset   13 save and load   14 pause and resume   15 config write {offset:1, value:4}   16 events are looked at
//   17 port    {port:1, value:4}           18 start again
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/device_language.hpp"
#include "tests/support/xhci_driver.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;
using namespace xhci;

constexpr uint64_t k_stick_size = 64 << 10;  // a new one for each input
constexpr unsigned k_used_slots = 4;

class Session {
  public:
    // One machine for all inputs, as new for each.
    explicit Session(XhciMachine& machine) : m_machine(machine) {
        for (unsigned port = 1; port <= k_ports; ++port) {
            machine.xhci->unplug(port);
        }
        machine.xhci->reset();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.msis.messages.clear();
        plug_all();
        m_driver.start();
        m_driver.start_hid(1);
        m_driver.start_hid(2);
        m_driver.start_storage(9);
    }
    ~Session() { m_machine.hub.release_all_keys(); }

    void step(Input& input) {
        switch (const uint64_t operation = input.take<uint8_t>() % 19; operation) {
            case 0: {
                const uint64_t offset = input.take<uint16_t>() % k_bar_size;
                m_machine.mmio.read(XhciDriver::k_registers + offset, 1U << input.take<uint8_t>() % 4);
                break;
            }
            case 1: {
                const uint64_t offset = input.take<uint16_t>() % k_bar_size;
                const unsigned size = 1U << input.take<uint8_t>() % 4;
                m_machine.mmio.write(XhciDriver::k_registers + offset, size, input.take<uint32_t>());
                break;
            }
            case 2: {
                const uint64_t address = input.take<uint32_t>() % (1 << 20);
                const std::span<const uint8_t> bytes = input.take_bytes(input.take<uint8_t>());
                static_cast<void>(m_machine.memory->write(address, bytes.data(), bytes.size()));
                break;
            }
            case 3: command(input); break;
            case 4: transfer(input); break;
            case 5: m_driver.control(slot(input), input.take<uint64_t>() & 0x00ff'ffff'ffff'ffff); break;
            case 6: scsi(input); break;
            case 7: user(input); break;
            case 8: m_stick->run(input.take<uint8_t>()); break;
            case 9: {
                const auto operation_of_host = static_cast<BlockOp>(input.take<uint8_t>() % 5);
                m_stick->fail_next(operation_of_host, static_cast<BlockStatus>(input.take<uint8_t>() % 4));
                break;
            }
            case 10: m_machine.clock.advance(input.take<uint8_t>() * 1'000'000ULL); break;
            case 11: plug(input.take<uint8_t>()); break;
            case 15: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(XhciDriver::k_address, offset, 4, input.take<uint32_t>());
                m_driver.enable_pci();
                break;
            }
            case 16: static_cast<void>(m_driver.transfer_event()); break;
            case 17: {
                const unsigned port = 1 + input.take<uint8_t>() % k_ports;
                m_driver.set_portsc(port, input.take<uint32_t>());
                break;
            }
            default: life(operation); break;
        }
    }

  private:
    static unsigned slot(Input& input) { return 1 + input.take<uint8_t>() % k_used_slots; }

    void plug_all() {
        m_stick = std::make_shared<MemoryBlock>(k_stick_size);
        static_cast<void>(m_machine.xhci->plug(make_usb_tablet(m_machine.hub, m_machine.clock)));
        static_cast<void>(m_machine.xhci->plug(make_usb_keyboard(m_machine.hub, m_machine.clock)));
        static_cast<void>(m_machine.xhci->plug(make_usb_storage(m_stick, {.serial = "0123456789AB", .on_no_space = {}})));
    }
    void plug(uint8_t which) {
        switch (which % 4) {
            case 0: m_machine.xhci->unplug(9); break;
            case 1:
                if (m_machine.xhci->device(9) == nullptr) {
                    static_cast<void>(m_machine.xhci->plug(make_usb_storage(m_stick, {.serial = "0123456789AB", .on_no_space = {}})));
                }
                break;
            case 2: m_machine.xhci->unplug(1); break;
            default:
                if (m_machine.xhci->device(1) == nullptr) {
                    static_cast<void>(m_machine.xhci->plug(make_usb_tablet(m_machine.hub, m_machine.clock)));
                }
                break;
        }
    }

    void command(Input& input) {
        const auto type = static_cast<TrbType>(k_trb_enable_slot + input.take<uint8_t>() % 16);
        const unsigned number = slot(input);
        const unsigned endpoint = input.take<uint8_t>() % 32;
        const uint8_t kind = input.take<uint8_t>();
        if (type == k_trb_configure_endpoint) {
            m_driver.clear(XhciDriver::k_input, 0x420);
            m_driver.put(XhciDriver::k_input, uint32_t{kind} << 2 & 0x3c);
            m_driver.put(XhciDriver::k_input + 4, uint32_t{1} | 1U << endpoint);
            const uint32_t endpoint_type = (kind & 3U) | (endpoint % 2 != 0 ? 4 : 0);
            const uint32_t dequeue = XhciDriver::dequeue(m_driver.ring(number, endpoint));
            m_driver.put(XhciDriver::k_input + (endpoint + 1) * 32, Context{{0, endpoint_type << 3, dequeue, 0, 8, 0, 0, 0}});
        } else {
            m_driver.put_control_input(number, 1 + kind % k_ports, 64);
        }
        const unsigned word = input.take<uint8_t>();
        const auto value = input.take<uint32_t>();
        if (word < 64) {
            m_driver.put(XhciDriver::k_input + word * 4, value);
        }
        const uint64_t parameter =
            type == k_trb_set_tr_dequeue ? XhciDriver::dequeue(m_driver.ring(number, endpoint)) : XhciDriver::k_input;
        static_cast<void>(m_driver.command(type, number, word == 64 ? value : parameter, endpoint << 16 | (word == 65 ? value & 0xfffe : 0)));
    }

    void transfer(Input& input) {
        const unsigned number = slot(input);
        const unsigned endpoint = 1 + input.take<uint8_t>() % 5;
        const unsigned count = 1 + input.take<uint8_t>() % 8;
        GuestAddress last = 0;
        for (unsigned index = 0; index < count; ++index) {
            constexpr std::array k_types{k_trb_normal, k_trb_normal, k_trb_normal, k_trb_setup,
                                         k_trb_data,   k_trb_status, k_trb_no_op,  k_trb_data_event};
            const TrbType type = k_types[input.take<uint8_t>() % k_types.size()];
            const uint32_t flags = uint32_t{input.take<uint8_t>()} << 2 & ~k_trb_chain;
            const uint32_t length = input.take<uint16_t>();
            const uint64_t data = XhciDriver::k_data + input.take<uint8_t>() * 64ULL;
            last = m_driver.push(number, endpoint,
                                 {data, length, trb_type_bits(type) | flags | (index + 1 < count ? k_trb_chain : k_trb_ioc)});
        }
        const unsigned field = input.take<uint8_t>();
        const auto value = input.take<uint32_t>();
        if (field < 16) {
            m_driver.put(last + field % 4 * 4, value);
        }
        m_driver.doorbell(number, endpoint);
    }

    void scsi(Input& input) {
        const unsigned number = slot(input);
        const uint32_t length = input.take<uint16_t>();
        const uint8_t flags = input.take<uint8_t>();
        std::vector<uint8_t> cdb(16);
        for (uint8_t& byte : cdb) {
            byte = input.take<uint8_t>();
        }
        const bool in = (flags & 1) != 0;
        constexpr GuestAddress k_block = XhciDriver::k_data - 0x100;
        m_driver.put_cbw(k_block, 7, length, in, cdb);
        if ((flags & 0xe0) == 0xe0) {
            m_driver.put(k_block + (flags >> 1 & 0xf) * 2, uint16_t{0xffff});
        }
        static_cast<void>(m_driver.normal(number, XhciDriver::k_bulk_out, k_block, 31));
        if (length != 0) {
            static_cast<void>(m_driver.normal(number, in ? XhciDriver::k_bulk_in : XhciDriver::k_bulk_out, XhciDriver::k_data, length));
        }
        if ((flags & 2) != 0) {
            m_stick->run();
        }
        m_driver.ask_csw(number);
    }

    void user(Input& input) {
        const uint8_t kind = input.take<uint8_t>();
        const auto first = input.take<uint16_t>();
        const auto second = input.take<uint16_t>();
        switch (kind % 3) {
            case 0: m_machine.hub.key(first % k_key_codes, (second & 1) != 0); break;
            case 1: m_machine.hub.move_to(first, second, 1024, 768, kind >> 3); break;
            default: m_machine.hub.wheel(static_cast<int16_t>(first), static_cast<int16_t>(second)); break;
        }
    }

    void life(uint64_t operation) {
        XhciController& controller = *m_machine.xhci;
        if (operation == 12) {
            controller.reset();
            m_driver.enable_pci();
        } else if (operation == 13) {
            controller.pause();
            const std::vector<std::byte> state = m_machine.saved();
            m_stick->cancel_held();
            StateReader reader(state);
            controller.load(reader);
            if (!reader.ok() || !reader.at_end() || m_machine.saved() != state) {
                log_error("{}", reader.ok() ? "saved again it is another state" : reader.status().error().message);
                __builtin_trap();  // what was saved must come back the same
            }
            controller.resume();
        } else if (operation == 14) {
            controller.pause();
            controller.resume();
        } else {
            m_driver.start();
            m_driver.start_storage(9);
        }
    }

    XhciMachine& m_machine;
    XhciDriver m_driver{m_machine, m_machine.bus};
    std::shared_ptr<MemoryBlock> m_stick;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::XhciMachine machine;
    skep::test::Session session(machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
