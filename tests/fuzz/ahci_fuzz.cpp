// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: the AHCI controller with a disk and a CD, driven by a little language.
//
// The input is a row of operations, one byte each with its operands behind it (little-endian); what is missing at the
// end reads as zero:
//   0 read    {offset:2, log2 size:1}            ABAR
//   1 write   {offset:2, log2 size:1, value:4}
//   2 ram     {address:4, count:1, bytes}
//   3 command {port:1, slot:1, ata command:1, lba:4, count:1, kbytes:1}   a well-formed one, through guest memory
//   4 packet  {port:1, slot:1, cdb:12, kbytes:1}
//   5 run     {count:1}                          lets the host finish requests
//   6 fault   {operation:1, status:1}
//   7 reset   8 save and load   9 pause and resume   10 config write {offset:1, value:4}   11 change the CD   12 retry
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/devices/storage/ahci_fixture.hpp"
#include "tests/fuzz/device_language.hpp"
#include "vmm/base/log.hpp"

namespace skep::test {
namespace {

using fuzz::Input;

constexpr uint64_t k_disk_size = 64 << 10;
constexpr uint64_t k_medium_size = 64 << 10;

class Session {
  public:
    // One machine for all inputs (making one costs more than running most of them), as new for each.
    explicit Session(AhciMachine& machine) : m_machine(machine) {
        machine.ahci->reset();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.disk = std::make_shared<MemoryBlock>(k_disk_size);
        machine.medium = std::make_shared<MemoryBlock>(k_medium_size, 2048, true);
        machine.ahci->attach_disk(0, machine.disk, {"S", "M"});
        machine.ahci->attach_cd(1, machine.medium);
        machine.ahci->reset();
        machine.msis.messages.clear();
        machine.requests.requests.clear();
        m_disk.start();
        m_cd.start_port();
    }

    void step(Input& input) {
        const uint64_t operation = input.take<uint8_t>() % 13;
        switch (operation) {
            case 0: read(input); break;
            case 1: write(input); break;
            case 2: ram(input); break;
            case 3: command(input); break;
            case 4: packet(input); break;
            case 5: run(input.take<uint8_t>()); break;
            case 6: fault(input); break;
            case 10: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_machine.bus.config_write(AhciDriver::k_address, offset, 4, input.take<uint32_t>());
                m_disk.enable_pci();
                break;
            }
            default: life(operation); break;
        }
    }

  private:
    AhciDriver& port(Input& input) { return input.take<uint8_t>() % 2 == 0 ? m_disk : m_cd; }

    void read(Input& input) {
        const uint64_t offset = input.take<uint16_t>() % ahci::k_abar_size;
        m_machine.mmio.read(AhciDriver::k_abar + offset, 1U << input.take<uint8_t>() % 4);
    }
    void write(Input& input) {
        const uint64_t offset = input.take<uint16_t>() % ahci::k_abar_size;
        const unsigned size = 1U << input.take<uint8_t>() % 4;
        m_machine.mmio.write(AhciDriver::k_abar + offset, size, input.take<uint32_t>());
    }
    void ram(Input& input) {
        const uint64_t address = input.take<uint32_t>() % (1 << 20);
        const std::span<const uint8_t> bytes = input.take_bytes(input.take<uint8_t>());
        static_cast<void>(m_machine.memory->write(address, bytes.data(), bytes.size()));
    }
    void command(Input& input) {
        AhciDriver& driver = port(input);
        const auto slot = static_cast<unsigned>(input.take<uint8_t>() % 32);
        AhciDriver::Command command;
        command.command = input.take<uint8_t>();
        command.lba = input.take<uint32_t>();
        command.count = input.take<uint8_t>();
        command.features = command.count;
        command.bytes = static_cast<uint32_t>(input.take<uint8_t>() * 1024);
        driver.set_reg(ahci::k_px_sact, 1U << slot);
        driver.issue(slot, command);
    }
    void packet(Input& input) {
        AhciDriver& driver = port(input);
        const auto slot = static_cast<unsigned>(input.take<uint8_t>() % 32);
        AhciDriver::Command command;
        command.command = ata::k_packet;
        command.features = 1;
        for (unsigned i = 0; i < 12; ++i) {
            command.packet.push_back(input.take<uint8_t>());
        }
        command.bytes = static_cast<uint32_t>(input.take<uint8_t>() * 1024);
        driver.issue(slot, command);
    }
    void run(uint64_t count) {
        m_machine.disk->run(count);
        m_machine.medium->run(count);
    }
    void fault(Input& input) {
        const auto operation = static_cast<BlockOp>(input.take<uint8_t>() % 5);
        m_machine.disk->fail_next(operation, static_cast<BlockStatus>(input.take<uint8_t>() % 4));
        m_machine.medium->fail_next(operation, BlockStatus::io_error);
    }
    void life(uint64_t operation) {
        AhciController& ahci = *m_machine.ahci;
        if (operation == 7) {
            ahci.reset();
            m_disk.start();
            m_cd.start_port();
        } else if (operation == 8) {
            ahci.pause();
            const std::vector<std::byte> state = m_machine.saved();
            StateReader reader(state);
            ahci.load(reader);
            if (!reader.ok() || m_machine.saved() != state) {
                __builtin_trap();  // what was saved must come back the same
            }
            ahci.resume();
        } else if (operation == 9) {
            ahci.pause();
            ahci.resume();
        } else if (operation == 11) {
            m_with_medium = !m_with_medium;
            ahci.change_cd(1, m_with_medium ? m_machine.medium : nullptr);
        } else {
            m_machine.disk->retry();
        }
    }

    AhciMachine& m_machine;
    AhciDriver m_disk{m_machine, m_machine.bus, 0};
    AhciDriver m_cd{m_machine, m_machine.bus, 1, 0x90000};
    bool m_with_medium = true;
};

}  // namespace
}  // namespace skep::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::set_log_level(skep::LogLevel::error);
    static skep::test::AhciMachine machine(skep::test::AhciMachine::Content::zeros);
    skep::test::Session session(machine);
    skep::fuzz::Input input(data, size);
    while (!input.empty()) {
        session.step(input);
    }
    return 0;
}
