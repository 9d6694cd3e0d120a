// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the NVMe controller with a disk, driven by a little language.
//
// The input is a row of operations, one byte each with its operands behind it (little-endian); what is missing at the
// end reads as zero:
//   0 read     {offset:2}                       BAR 0
//   1 write    {offset:2, value:4}
//   2 ram      {address:4, count:1, bytes}
//   3 admin    {opcode:1, nsid:1, prp1:4, cdw10:4, cdw11:4}     into the admin ring, with its doorbell
//   4 command  {queue:1, opcode:1, lba:2, blocks:1, prp1:4, prp2:4}
//   5 run      {count:1}                        lets the host finish requests
//   6 fault    {operation:1, status:1}
//   7 reset    8 save and load   9 pause and resume   10 config write {offset:1, value:4}   11 retry
//   12 enable with queues   13 disable   14 read completions {queue:1}
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/device_language.hpp"
#include "tests/support/nvme_driver.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

class Session {
  public:
    // One machine for all inputs, as new for each.
    explicit Session(NvmeMachine& machine) : m_machine(machine), m_driver(machine, machine.bus) {
        machine.nvme->reset();
        enable_pci();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.msis.messages.clear();
        machine.requests.requests.clear();
        m_driver.enable();
    }

    void step(Input& input) {
        switch (input.take<uint8_t>() % 15) {
            case 0: m_driver.read(input.take<uint16_t>() % 0x4000 & ~3U); break;
            case 1: {
                const unsigned offset = input.take<uint16_t>() % 0x4000 & ~3U;
                m_driver.write(offset, input.take<uint32_t>());
                break;
            }
            case 2: {
                const auto address = input.take<uint32_t>() % (1 << 20);
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                (void)m_machine.memory->write(address, bytes.data(), bytes.size());
                break;
            }
            case 3: admin(input); break;
            case 4: command(input); break;
            case 5: m_machine.disk->run(input.take<uint8_t>()); break;
            case 6: {
                const auto op = static_cast<BlockOp>(input.take<uint8_t>() % 5);
                m_machine.disk->fail_next(op, static_cast<BlockStatus>(input.take<uint8_t>() % 4));
                break;
            }
            case 7: m_machine.nvme->reset(); enable_pci(); break;
            case 8: save_and_load(); break;
            case 9:
                m_machine.nvme->pause();
                m_machine.nvme->resume();
                break;
            case 10: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(NvmeDriver::k_address, offset, 4, input.take<uint32_t>());
                enable_pci();
                break;
            }
            case 11: m_machine.disk->retry(); break;
            case 12:
                m_driver.enable();
                for (uint32_t id = 1; id <= 2; ++id) {
                    put(0, NvmeDriver::command(nvme::k_create_completion_queue, 0, NvmeDriver::ring_of(id) + 0x1000, 7 << 16 | id,
                                               id << 16 | 3));
                    put(0, NvmeDriver::command(nvme::k_create_submission_queue, 0, NvmeDriver::ring_of(id), 7 << 16 | id,
                                               id << 16 | 1));
                }
                break;
            case 13: m_driver.disable(); break;
            default: {
                // Whatever the controller wrote: up to its entries.
                const unsigned queue = input.take<uint8_t>() % 3;
                m_heads[queue] = (m_heads[queue] + 1) % NvmeDriver::k_entries;
                m_driver.write(nvme::k_doorbells + queue * 8 + 4, m_heads[queue]);
                break;
            }
        }
    }

  private:
    void enable_pci() {
        m_machine.bus.config_write(NvmeDriver::k_address, 0x10, 4, NvmeDriver::k_registers);
        m_machine.bus.config_write(NvmeDriver::k_address, 0x14, 4, 0);
        m_machine.bus.config_write(NvmeDriver::k_address, 0x04, 2, 6);
    }
    void put(uint16_t queue, const NvmeCommand& command) {
        uint32_t& tail = m_tails[queue];
        (void)m_machine.memory->write_value(NvmeDriver::ring_of(queue) + tail * 64, command);
        tail = (tail + 1) % NvmeDriver::k_entries;
        m_driver.write(nvme::k_doorbells + queue * 8U, tail);
    }
    void admin(Input& input) {
        const auto opcode = input.take<uint8_t>();
        const auto nsid = input.take<uint8_t>();
        const auto prp1 = input.take<uint32_t>();
        const auto cdw10 = input.take<uint32_t>();
        put(0, NvmeDriver::command(opcode, nsid, prp1 % (1 << 21), cdw10, input.take<uint32_t>()));
    }
    void command(Input& input) {
        const auto queue = static_cast<uint16_t>(input.take<uint8_t>() % 3);
        const auto opcode = input.take<uint8_t>();
        const auto lba = input.take<uint16_t>();
        const auto blocks = input.take<uint8_t>();
        const auto prp1 = input.take<uint32_t>() % (1 << 21);
        put(queue, NvmeDriver::transfer(opcode % 12, lba, blocks + 1U, prp1, input.take<uint32_t>() % (1 << 21)));
    }
    void save_and_load() {
        m_machine.nvme->pause();
        const auto state = m_machine.saved();
        StateReader reader(state);
        m_machine.nvme->load(reader);
        if (!reader.ok() || !reader.at_end()) {
            __builtin_trap();  // its own state must always be good
        }
        m_machine.nvme->resume();
        enable_pci();
    }

    NvmeMachine& m_machine;
    NvmeDriver m_driver;
    std::array<uint32_t, 3> m_tails{};
    std::array<uint32_t, 3> m_heads{};
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static skep::test::NvmeMachine* machine = [] {
        skep::set_log_level(skep::LogLevel::error);
        return new skep::test::NvmeMachine();
    }();
    skep::test::Session session(*machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    machine->disk->run();
    return 0;
}
