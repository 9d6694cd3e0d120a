// SPDX-License-Identifier: GPL-3.0-or-later
// A virtio block device whose rings, descriptors and registers are the fuzzer's. Rings are valid most of the time: the
// input patches a well-formed set-up, so that the deep paths are reached.
#include <memory>

#include "devices/pci/pci_bus.hpp"
#include "devices/virtio/virtio_blk.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "tests/fuzz/device_language.hpp"
#include "tests/support/memory_block.hpp"
#include "vmm/base/log.hpp"

namespace {

using namespace skep;

struct Nobody final : IrqSink, MsiSink, MachineRequests {
    void set_line(unsigned, bool) override {}
    void deliver(MsiMessage) override {}
    void request(MachineRequest, int, const std::string&) override {}
};

constexpr PciAddress k_address{5, 0};
constexpr uint64_t k_registers = 0xc000'0000;
constexpr GuestAddress k_rings = 0x1000;
constexpr uint64_t k_ram = 0x1'0000;

struct Rig {
    Rig() : memory(std::move(*GuestMemory::create(k_ram))) {
        context.pci = &bus;
        bus.reset();
        device = std::make_unique<VirtioPci>(context, "disk", k_address, make_virtio_blk(*memory, disk, {.serial = "fuzz", .queue_count = 2}));
        device->reset();
        bus.config_write(k_address, 0x20, 4, k_registers);
        bus.config_write(k_address, 0x04, 2, 6);
    }
    void common(uint32_t offset, unsigned size, uint64_t value) { mmio.write(k_registers + offset, size, value); }
    void start(uint64_t features) {
        common(20, 1, 0);
        common(20, 1, 3);
        common(8, 4, 0);
        common(12, 4, features & 0xffff'ffff);
        common(8, 4, 1);
        common(12, 4, 1);
        common(20, 1, 11);
        common(22, 2, 0);
        common(24, 2, 16);
        common(32, 8, k_rings);
        common(40, 8, k_rings + 0x1000);
        common(48, 8, k_rings + 0x2000);
        common(28, 2, 1);
        common(20, 1, 15);
    }
    // A read of one sector as descriptor chain 0, 1, 2.
    void well_formed_request() {
        const auto put = [&](unsigned index, uint64_t address, uint32_t length, uint16_t flags) {
            const GuestAddress at = k_rings + index * 16;
            (void)memory->write_value(at, address);
            (void)memory->write_value(at + 8, length);
            (void)memory->write_value(at + 12, flags);
            (void)memory->write_value<uint16_t>(at + 14, static_cast<uint16_t>(index + 1));
        };
        put(0, 0x8000, 16, 1);
        put(1, 0x9000, 512, 3);
        put(2, 0x8800, 1, 2);
    }

    std::unique_ptr<GuestMemory> memory;
    IoSpace ports{"port"};
    IoSpace mmio{"mmio"};
    TestClock clock;
    Nobody nobody;
    DeviceContext context{*memory, ports, mmio, clock, nobody, nobody, nobody, nullptr};
    PciBus bus{context};
    std::shared_ptr<test::MemoryBlock> disk = std::make_shared<test::MemoryBlock>(1 << 16);
    std::unique_ptr<VirtioPci> device;
};

void step(Rig& rig, fuzz::Input& input) {
    switch (input.take<uint8_t>() % 8) {
        case 0: (void)rig.mmio.read(k_registers + input.take<uint16_t>() % 0x4000, 1U << (input.take<uint8_t>() % 4)); break;
        case 1: rig.common(input.take<uint16_t>() % 0x4000, 1U << (input.take<uint8_t>() % 4), input.take<uint64_t>()); break;
        case 2: {
            const GuestAddress at = input.take<uint16_t>();
            const auto bytes = input.take_bytes(input.take<uint8_t>() % 64);
            (void)rig.memory->write(at, bytes.data(), bytes.size());
            break;
        }
        case 3: rig.start(input.take<uint32_t>() & 0x3000'7fff); break;
        case 4: {
            rig.well_formed_request();
            const auto available = rig.memory->read_value<uint16_t>(k_rings + 0x1002).value_or(0);
            (void)rig.memory->write_value<uint16_t>(k_rings + 0x1004 + available % 16 * 2, input.take<uint8_t>() % 4);
            (void)rig.memory->write_value<uint16_t>(k_rings + 0x1002, static_cast<uint16_t>(available + 1));
            break;
        }
        case 5: rig.mmio.write(k_registers + 0x3000 + input.take<uint8_t>() % 4 * 4, 2, 0); break;
        case 6: rig.disk->run(input.take<uint8_t>() % 4); break;
        case 7:
            rig.device->pause();
            rig.device->resume();
            break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    set_log_level(LogLevel::error);
    Rig rig;
    rig.start(0);
    fuzz::Input input(data, size);
    for (int steps = 0; steps < 256 && !input.empty(); ++steps) {
        step(rig, input);
    }
    rig.disk->run();
    return 0;
}
