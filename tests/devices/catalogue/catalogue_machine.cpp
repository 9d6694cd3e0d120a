// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/devices/catalogue/catalogue_machine.hpp"

#include <algorithm>
#include <stdexcept>

#include "devices/board/cfi_flash.hpp"
#include "devices/nvme/nvme_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_bar_base = 0xc000'0000;
constexpr uint64_t k_bar_room = 0x10'0000;  // each BAR's own MiB, below the ECAM window
constexpr uint16_t k_io_base = 0xc000;
constexpr unsigned k_bar_count = 6;
constexpr PciAddress k_rng_address{3, 0};
constexpr PciAddress k_vga_address{1, 0};
constexpr PciAddress k_virtio_vga_address{2, 0};
constexpr uint64_t k_vram_bytes = 256 << 10;
constexpr PciAddress k_keyboard_address{4, 0};
constexpr PciAddress k_nvme_address{14, 0};
constexpr PciAddress k_tablet_address{6, 0};
constexpr PciAddress k_net_address{8, 0};
constexpr uint64_t k_ecam = 0xb000'0000;
constexpr GuestAddress k_flash = 0xffc0'0000;
constexpr uint64_t k_flash_size = 4 * CfiFlash::k_block;
constexpr size_t k_plain_ram = 0xa'0000;  // what firmware moves about lies above

uint64_t bar_place(PciAddress address, unsigned bar) {
    return k_bar_base + (uint64_t{address.slot % 8U} * 8 + bar) * k_bar_room;
}

std::vector<std::byte> bytes_of(const std::string& text) {
    const auto view = std::as_bytes(std::span(text));
    return {view.begin(), view.end()};
}

}  // namespace

const std::vector<CatalogueEntry>& catalogue_entries() {
    static const std::vector<CatalogueEntry> entries{
        {"lapic0", {}},
        {"lapic1", {}},
        {"pic", {{false, 0x20, 2}, {false, 0xa0, 2}, {false, 0x4d0, 2}}},
        {"ioapic", {{true, 0xfec00000, 0x1000}}},
        {"irq-router", {}},
        {"pit", {{false, 0x40, 4}, {false, 0x61, 1}}},
        {"rtc", {{false, 0x70, 2}}},
        {"hpet", {{true, 0xfed00000, 0x400}}},
        {"acpi-pm", {{false, CatalogueMachine::k_pm_base, 128}, {false, 0xb2, 2}}},
        {"i8042", {{false, 0x60, 1}, {false, 0x64, 1}}},
        {"port92", {{false, 0x92, 1}, {false, 0xcf9, 1}}},
        {"dma", {{false, 0x00, 16}, {false, 0x80, 16}, {false, 0xc0, 32}}},
        {"debug-console", {{false, 0x402, 1}}},
        {"pvpanic", {{false, 0x505, 1}}},
        {"debug-exit", {{false, 0xf4, 4}}},
        {"serial0", {{false, 0x3f8, 8}}},
        {"serial1", {{false, 0x2f8, 8}}},
        {"serial2", {{false, 0x3e8, 8}}},
        {"serial3", {{false, 0x2e8, 8}}},
        {"pci", {{false, 0xcf8, 8}, {true, k_ecam, 0x10'0000}}},
        {"q35-host-bridge", {{true, 0xc'0000, 0x4'0000}}, PciAddress{0, 0}},
        {"ich9-lpc", {}, PciAddress{0x1f, 0}},
        {"vga", {{false, 0x3b0, 0x30}, {false, 0x1ce, 4}, {true, 0xa'0000, 0x2'0000}}, k_vga_address},
        {"virtio-vga", {}, k_virtio_vga_address},
        {"ahci0", {}, AhciDriver::k_address},
        {"nvme-disk0", {}, k_nvme_address},
        {"virtio-blk-disk0", {}, VirtioDriver::k_address},
        {"virtio-rng", {}, k_rng_address},
        {"hda0", {}, HdaController::k_pci_address},
        {"xhci0", {}, XhciController::k_pci_address},
        {"virtio-input-keyboard", {}, k_keyboard_address},
        {"virtio-input-tablet", {}, k_tablet_address},
        {"virtio-net-net0", {}, k_net_address},
        {"fw_cfg", {{false, 0x510, 12}}},
        {"flash", {{true, k_flash, k_flash_size}}},
    };
    return entries;
}

CatalogueMachine::CatalogueMachine()
    : BoardFixture(2, BoardStart::by_test),
      bus(std::make_unique<PciBus>(board.context(nullptr))),
      context(board.context(bus.get())),
      m_rom(size_t{128} << 10, std::byte{0xea}) {
    m_devices = board.devices();
    m_devices.push_back(bus.get());
    add(std::make_unique<Q35HostBridge>(context, ShadowRom{m_rom.data(), m_rom.size()}));
    auto lpc = std::make_unique<Ich9Lpc>(context);
    lpc->on_pm_base = [this](uint16_t base, bool enabled) { board.set_pm_base(base, enabled); };
    lpc->on_pirq_route = [this](unsigned pirq, std::optional<unsigned> irq) { board.set_pirq_route(pirq, irq); };
    add(std::move(lpc));
    const VgaConfig vga{.vram = machine.memory->add_device_memory(k_vram_bytes).value(), .rom = {}};
    add(std::make_unique<VgaAdapter>(context, k_vga_address, vga, m_log, screen));
    const VgaConfig second{.vram = machine.memory->add_device_memory(k_vram_bytes).value(), .rom = {}};
    add(std::make_unique<VirtioVga>(context, k_virtio_vga_address, second, m_second_log, second_screen));
    auto ahci = std::make_unique<AhciController>(context);
    ahci->attach_disk(0, ahci_disk, {"SERIAL7", "Skep disk"});
    ahci->attach_cd(1, medium);
    add(std::move(ahci));
    add(std::make_unique<NvmeController>(context, "nvme-disk0", k_nvme_address, nvme_disk,
                                         NvmeConfig{.serial = "disk0", .queue_pairs = 2}));
    add(std::make_unique<VirtioPci>(
        context, "virtio-blk-disk0", VirtioDriver::k_address,
        make_virtio_blk(*machine.memory, virtio_disk, VirtioBlkConfig{.serial = "disk0", .queue_count = 2})));
    add(std::make_unique<VirtioPci>(context, "virtio-rng", k_rng_address, make_virtio_rng(*machine.memory)));
    add(std::make_unique<HdaController>(context, sound));
    auto usb = std::make_unique<XhciController>(context);
    EXPECT_TRUE(usb->plug(make_usb_tablet(input, machine.clock)));
    EXPECT_TRUE(usb->plug(make_usb_keyboard(input, machine.clock)));
    EXPECT_TRUE(usb->plug(make_usb_storage(stick, {.serial = "0123456789AB", .on_no_space = {}})));
    add(std::move(usb));
    add(std::make_unique<VirtioPci>(context, "virtio-input-keyboard", k_keyboard_address,
                                    make_virtio_keyboard(*machine.memory, input)));
    add(std::make_unique<VirtioPci>(context, "virtio-input-tablet", k_tablet_address,
                                    make_virtio_tablet(*machine.memory, input)));
    add(std::make_unique<VirtioPci>(context, "virtio-net-net0", k_net_address,
                                    make_virtio_net(*machine.memory, std::make_shared<NetCable>(NetCable::Link::up),
                                                    {.mac = {0x52, 0x54, 0, 1, 2, 3}, .queue_pairs = 2})));
    auto fw_cfg = std::make_unique<FwCfg>(context);
    fw_cfg->set_item(0, bytes_of("QEMU"));
    EXPECT_TRUE(fw_cfg->set_file("etc/test", bytes_of("some bytes for the firmware")));
    add(std::move(fw_cfg));
    add(std::make_unique<CfiFlash>(context, k_flash, machine.memory->add_device_memory(k_flash_size).value(), nullptr));
    for (Device* device : m_devices) {
        device->reset();
    }
    start();
    // As firmware leaves the chipset: the power management block, ECAM, and every BAR in its place.
    bus->config_write({0x1f, 0}, 0x40, 4, k_pm_base);
    bus->config_write({0x1f, 0}, 0x44, 1, 0x80);
    bus->config_write({0, 0}, 0x64, 4, 0);
    bus->config_write({0, 0}, 0x60, 4, k_ecam | 1);
    for (const CatalogueEntry& entry : catalogue_entries()) {
        if (entry.function) {
            place_bars(*entry.function);
        }
    }
}

void CatalogueMachine::add(std::unique_ptr<Device> device) {
    m_devices.push_back(device.get());
    m_owned.push_back(std::move(device));
}

Device& CatalogueMachine::device(const std::string& name) const {
    const auto found = std::find_if(m_devices.begin(), m_devices.end(), [&](Device* each) { return each->name() == name; });
    if (found == m_devices.end()) {
        throw std::logic_error("no device " + name);
    }
    return **found;
}

std::vector<std::byte> CatalogueMachine::saved(Device& device) {
    device.pause();
    StateWriter writer;
    device.save(writer);
    device.resume();
    return writer.bytes();
}

Result<std::vector<std::byte>> CatalogueMachine::reloaded(Device& device, std::span<const std::byte> state) {
    device.pause();
    StateReader reader(state);
    device.load(reader);
    if (reader.ok() && !reader.at_end()) {
        reader.fail("something is left over");
    }
    StateWriter writer;
    device.save(writer);
    device.resume();
    if (const Status status = reader.status(); !status) {
        return tl::unexpected(status.error());
    }
    return writer.bytes();
}

void CatalogueMachine::pause() {
    for (Device* device : m_devices) {
        device->pause();
    }
}

void CatalogueMachine::resume() {
    for (Device* device : m_devices) {
        device->resume();
    }
}

Status CatalogueMachine::take_over(CatalogueMachine& from) {
    StateWriter writer;
    for (Device* device : from.m_devices) {
        device->save(writer);
    }
    std::vector<std::byte> ram(k_plain_ram);
    EXPECT_TRUE(from.machine.memory->read(0, ram.data(), ram.size()));
    EXPECT_TRUE(machine.memory->write(0, ram.data(), ram.size()));
    StateReader reader(writer.bytes());
    for (Device* device : m_devices) {
        device->load(reader);
    }
    EXPECT_TRUE(reader.at_end() || !reader.ok());
    return reader.status();
}

void CatalogueMachine::release_lines() {
    constexpr unsigned k_lines = 70;
    for (unsigned line = 0; line < k_lines; ++line) {
        board.gsi().set_line(line, false);
    }
}

void CatalogueMachine::place_bars(PciAddress address) {
    for (unsigned bar = 0; bar < k_bar_count; ++bar) {
        const unsigned offset = 0x10 + bar * 4;
        const bool is_io = (bus->config_read(address, offset, 4) & 1) != 0;
        const bool is_64_bit = !is_io && (bus->config_read(address, offset, 4) & 6) == 4;
        bus->config_write(address, offset, 4,
                          is_io ? k_io_base + uint32_t{address.slot % 8U} * 0x100 : static_cast<uint32_t>(bar_place(address, bar)));
        if (is_64_bit) {
            bus->config_write(address, offset + 4, 4, 0);
            ++bar;
        }
    }
    bus->config_write(address, 0x04, 2, 7);
}

void CatalogueMachine::access_window(const Window& window, std::mt19937_64& random, uint64_t value) {
    const unsigned width = std::min(1U << (random() % 4), window.mmio ? 8U : 4U);
    const uint64_t address = window.start + random() % window.size;
    IoSpace& space = window.mmio ? machine.mmio : machine.ports;
    if ((random() & 1) != 0) {
        space.write(address, width, value & all_ones(width));
    } else {
        EXPECT_LE(space.read(address, width), all_ones(width));
    }
}

void CatalogueMachine::access_function(PciAddress address, std::mt19937_64& random, uint64_t value) {
    switch (random() % 16) {
        case 0: place_bars(address); break;
        case 1: bus->config_write(address, random() % 0x100, 1, static_cast<uint32_t>(value & 0xff)); break;
        case 2: bus->config_write(address, random() % 0x100, 4, static_cast<uint32_t>(value)); break;
        case 3: bus->config_read(address, random() % 0x110, 1U << (random() % 3)); break;
        default: {
            // Mostly the first registers of a BAR, and mostly small values: they mean something.
            const uint64_t room = random() % 2 == 0 ? 0x200 : 0x4000;
            const Window window{true, bar_place(address, static_cast<unsigned>(random() % k_bar_count)), room};
            access_window(window, random, random() % 2 == 0 ? value : value % 64);
        }
    }
}

void CatalogueMachine::access_inside(const CatalogueEntry& entry, std::mt19937_64& random, uint64_t value) {
    const unsigned cpu = entry.device == "lapic1" ? 1 : 0;
    const auto offset = static_cast<uint32_t>(random() % 0x100) * 16;
    switch (random() % 8) {
        case 0: board.gsi().set_line(value % 70, (value & 0x100) != 0); break;
        case 1:  // PIRQ[A-D]_ROUT and PIRQ[E-H]_ROUT of the LPC bridge, which keeps the routes
            bus->config_write({0x1f, 0}, ((value & 4) != 0 ? 0x68 : 0x60) + (value & 3), 1, static_cast<uint32_t>(value >> 8 & 0xff));
            break;
        case 2: apic(cpu).window_read(offset); break;
        case 3: apic(cpu).window_write(offset, static_cast<uint32_t>(value)); break;
        case 4: apic(cpu).write_msr(0x800 + offset / 16, value & 0xffff); break;
        case 5: apic(cpu).read_msr(0x800 + offset / 16); break;
        case 6: board.msi().deliver({0xfee00000 | (value & 0xff00c), static_cast<uint32_t>(value >> 20)}); break;
        default:
            if (apic(cpu).interrupt_pending()) {
                apic(cpu).acknowledge_interrupt();
            }
            // Every mode of the base register, mostly the usual one.
            apic(cpu).write_msr(0x1b, 0xfee00000 | ((random() % 8 == 0 ? random() : 2U) % 4) << 10);
    }
}

void CatalogueMachine::access(const CatalogueEntry& entry, std::mt19937_64& random) {
    const uint64_t value = random();
    if (!entry.windows.empty() && (!entry.function || random() % 4 == 0)) {
        access_window(entry.windows[random() % entry.windows.size()], random, value);
    } else if (entry.function) {
        access_function(*entry.function, random, value);
    } else {
        access_inside(entry, random, value);
    }
}

void CatalogueMachine::stir(const CatalogueEntry& entry, unsigned accesses, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (unsigned index = 0; index < accesses; ++index) {
        access(entry, random);
        if (index % 16 == 0) {
            machine.clock.advance(random() % 50'000);
            for (const auto& disk : {ahci_disk, medium, nvme_disk, virtio_disk}) {
                disk->run(random() % 3);
            }
        }
    }
}

}  // namespace skep::test
