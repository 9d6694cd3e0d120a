// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/machine_builder.hpp"

#include <algorithm>

#include "app/worker/machine_assembly.hpp"
#include "app/worker/seat_devices.hpp"
#include "devices/board/i8042.hpp"
#include "devices/net/e1000.hpp"
#include "devices/net/net_cable.hpp"
#include "devices/pci/ich9_lpc.hpp"
#include "devices/pci/intx.hpp"
#include "devices/pci/pci_bus.hpp"
#include "devices/virtio/virtio_net.hpp"
#include "devices/virtio/virtio_pci.hpp"

namespace skep {
namespace {

// Where things sit on PCI bus 0, beside those of seat_devices.hpp and machine_drives.cpp.
constexpr std::array<uint8_t, 4> k_network_slots{2, 26, 28, 30};

static_assert(default_pci_gsi(5, 3) == intx_gsi(5, 3) && default_pci_gsi(31, 1) == intx_gsi(31, 1),
              "the tables and the bus must name the same wire");

std::array<uint8_t, 16> uuid_bytes(const std::string& text) {
    std::array<uint8_t, 16> bytes{};
    size_t digits = 0;
    for (const char character : text) {
        const std::string_view hex = "0123456789abcdef";
        const size_t value = hex.find(character);
        if (value != std::string_view::npos && digits < 32) {
            bytes[digits / 2] = static_cast<uint8_t>(bytes[digits / 2] << 4 | value);
            ++digits;
        }
    }
    return bytes;
}

}  // namespace

Result<std::string> MachineAssembly::host_path(const std::string& file) const {
    auto path = m_inputs.resolve(file);
    if (!path) {
        return tl::unexpected(path.error());
    }
    return path->string();
}

Status MachineAssembly::make_machine() {
    auto memory = GuestMemory::create(m_spec.memory_mib << 20);
    if (!memory) {
        return tl::unexpected(memory.error());
    }
    auto vm = m_inputs.hypervisor.create_vm(**memory, CpuConfig{.cpu_count = m_spec.cpus});
    if (!vm) {
        return tl::unexpected(vm.error());
    }
    m_platform.cpu_count = m_spec.cpus;
    m_platform.low_ram_bytes = (*memory)->low_ram_bytes();
    m_platform.high_ram_bytes = (*memory)->high_ram_bytes();
    m_platform.serial_count = m_spec.serial_ports;
    m_platform.has_vga = m_spec.display != DisplayKind::none;
    m_platform.uuid = uuid_bytes(m_spec.id);
    m_platform.name = m_spec.name;
    m_built.machine = std::make_unique<Machine>(std::move(*memory), std::move(*vm), m_inputs.on_event);
    return {};
}

void MachineAssembly::make_board() {
    Machine& machine = *m_built.machine;
    BoardConfig config{.cpu_count = m_spec.cpus,
                       .low_ram_bytes = m_platform.low_ram_bytes,
                       .high_ram_bytes = m_platform.high_ram_bytes,
                       .serial_count = m_spec.serial_ports,
                       .serial = m_inputs.serial,
                       .debug_console = m_inputs.debug_console,
                       .debug_log = m_spec.debug_console,
                       .debug_exit = m_spec.debug_exit};
    auto board = std::make_shared<Q35Board>(machine.memory(), machine.ports(), machine.mmio(), machine.clock(),
                                            machine.requests(), machine.processors(), config);
    m_built.board = board.get();
    machine.keep(board);
    m_built.input = std::make_unique<InputHub>();
    m_built.input->add(static_cast<KeyboardSink&>(board->keyboard_controller()));
    m_built.input->add(static_cast<PointerSink&>(board->keyboard_controller()));
    for (Device* device : board->devices()) {
        machine.add_device(*device);
    }
}

void MachineAssembly::add_bridges() {
    Machine& machine = *m_built.machine;
    auto bus = std::make_unique<PciBus>(m_built.board->context(nullptr));
    m_bus = bus.get();
    machine.add_device(std::move(bus));
    m_context = std::make_unique<DeviceContext>(m_built.board->context(m_bus));
    machine.add_device(std::make_unique<Q35HostBridge>(*m_context, m_shadow));
    auto lpc = std::make_unique<Ich9Lpc>(*m_context);
    lpc->on_pm_base = [board = m_built.board](uint16_t base, bool enabled) { board->set_pm_base(base, enabled); };
    lpc->on_pirq_route = [board = m_built.board](unsigned pirq, std::optional<unsigned> irq) {
        board->set_pirq_route(pirq, irq);
    };
    machine.add_device(std::move(lpc));
}

// The cards, with cables that end nowhere yet.
Status MachineAssembly::add_networks() {
    if (m_spec.networks.size() > k_network_slots.size()) {
        return fail(ErrorKind::invalid_input, "A machine has room for {} network cards; remove some.", k_network_slots.size());
    }
    Machine& machine = *m_built.machine;
    for (size_t index = 0; index < m_spec.networks.size(); ++index) {
        const NetworkSpec& network = m_spec.networks[index];
        const PciAddress address{k_network_slots[index], 0};
        const MacAddress mac = effective_mac(m_spec, network);
        auto cable = std::make_shared<NetCable>(network.link ? NetCable::Link::up : NetCable::Link::down);
        if (network.card == NetworkCard::e1000) {
            machine.add_device(std::make_unique<E1000>(*m_context, "e1000-" + network.id, address, cable, mac));
        } else {
            const VirtioNetConfig config{.mac = mac, .queue_pairs = std::clamp(m_spec.cpus, 1U, k_most_queues)};
            machine.add_device(std::make_unique<VirtioPci>(*m_context, "virtio-net-" + network.id, address,
                                                           make_virtio_net(machine.memory(), cable, config)));
        }
        m_built.networks.push_back({network.id, mac, std::move(cable)});
    }
    return {};
}

Status MachineAssembly::add_vcpus() {
    for (unsigned cpu = 0; cpu < m_spec.cpus; ++cpu) {
        if (Status added = m_built.machine->add_vcpu(m_built.board->local_apic(cpu)); !added) {
            return added;
        }
    }
    return {};
}

Result<BuiltMachine> MachineAssembly::build() {
    Status status = make_machine();
    if (!status) {
        return tl::unexpected(status.error());
    }
    make_board();
    status = load_rom();
    if (status) {
        add_bridges();
        add_sound(m_spec, *m_context, *m_built.machine);
        status = add_flash();
    }
    if (status) {
        status = add_display(m_spec, *m_context, m_built);
    }
    if (status) {
        status = add_disks();
    }
    if (status) {
        status = add_usb();
    }
    if (status) {
        add_input(*m_context, m_built);
        watch_disk_space();
        status = add_networks();
    }
    if (status) {
        status = set_up_boot();
    }
    if (status) {
        status = add_vcpus();
    }
    if (!status) {
        return tl::unexpected(status.error());
    }
    return std::move(m_built);
}

Result<BuiltMachine> build_machine(const BuildInputs& inputs) { return MachineAssembly(inputs).build(); }

}  // namespace skep
