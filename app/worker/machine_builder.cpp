// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/machine_builder.hpp"

#include <algorithm>
#include <map>

#include "app/worker/boot_screen.hpp"
#include "app/worker/pci_resources.hpp"
#include "app/worker/seat_devices.hpp"
#include "app/worker/variable_file.hpp"
#include "devices/block/raw.hpp"
#include "devices/formats/image.hpp"
#include "devices/board/cfi_flash.hpp"
#include "devices/board/fw_cfg.hpp"
#include "devices/board/i8042.hpp"
#include "devices/nvme/nvme_controller.hpp"
#include "devices/net/net_cable.hpp"
#include "devices/pci/ich9_lpc.hpp"
#include "devices/pci/intx.hpp"
#include "devices/pci/pci_bus.hpp"
#include "devices/pci/q35_host_bridge.hpp"
#include "devices/storage/ahci_controller.hpp"
#include "devices/usb/usb_hid.hpp"
#include "devices/usb/xhci_controller.hpp"
#include "devices/virtio/virtio_blk.hpp"
#include "devices/virtio/virtio_net.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "devices/virtio/virtio_rng.hpp"
#include "vmm/boot/direct_boot.hpp"
#include "vmm/boot/firmware.hpp"
#include "vmm/boot/linux_loader.hpp"
#include "vmm/boot/multiboot.hpp"
#include "vmm/boot/uefi_firmware.hpp"

namespace skep {
namespace {

// Where things sit on PCI bus 0, beside those of seat_devices.hpp.
constexpr uint8_t k_rng_slot = 3;
constexpr uint8_t k_first_disk_slot = 4;
constexpr uint8_t k_last_disk_slot = 23;
constexpr std::array<uint8_t, 4> k_network_slots{2, 26, 28, 30};
constexpr unsigned k_ahci_ports = 6;
constexpr uint32_t k_cd_block_size = 2048;
constexpr unsigned k_most_queues = 4;  // more bring nothing on one back end

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

class Builder {
  public:
    explicit Builder(const BuildInputs& inputs) : m_inputs(inputs), m_spec(inputs.spec) {}

    Result<BuiltMachine> build();

  private:
    Status make_machine();
    void make_board();
    Status load_rom();
    Status add_rom(const FirmwareImage& image);
    Status add_flash();
    void add_bridges();
    Status add_usb();
    Status add_usb_disk(const DiskSpec& disk);
    Status add_networks();
    Status add_disks();
    Status add_ahci();
    Status add_ahci_disk(const DiskSpec& disk);
    Status add_cd(const CdSpec& cd);
    Status add_pci_disk(const DiskSpec& disk);
    Result<std::shared_ptr<BlockBackend>> open_disk(const DiskSpec& disk);
    Status set_up_boot();
    void give_firmware_its_files();
    Status set_up_direct_boot();
    Status add_vcpus();
    void watch_disk_space();
    [[nodiscard]] Result<std::string> host_path(const std::string& file) const;

    const BuildInputs& m_inputs;
    const VmSpec& m_spec;
    BuiltMachine m_built;
    PlatformDescription m_platform;
    ShadowRom m_shadow;
    std::optional<UefiFirmware> m_uefi;
    PciBus* m_bus = nullptr;
    std::unique_ptr<DeviceContext> m_context;
    unsigned m_next_port = 0;
    uint8_t m_next_slot = k_first_disk_slot;
    std::map<std::string, BootDevice> m_boot_devices;
};

Result<std::string> Builder::host_path(const std::string& file) const {
    auto path = m_inputs.resolve(file);
    if (!path) {
        return tl::unexpected(path.error());
    }
    return path->string();
}

Status Builder::make_machine() {
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

void Builder::make_board() {
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

Status Builder::load_rom() {
    if (m_spec.firmware == Firmware::bios) {
        auto image = load_firmware({});
        return image ? add_rom(*image) : tl::unexpected(image.error());
    }
    if (m_spec.firmware == Firmware::uefi) {
        auto firmware = load_uefi(m_spec.secure_boot ? SecureBoot::enrolled : SecureBoot::none);
        if (!firmware) {
            return tl::unexpected(firmware.error());
        }
        m_uefi = std::move(*firmware);
        return add_rom(m_uefi->code);
    }
    return {};
}

Status Builder::add_rom(const FirmwareImage& image) {
    GuestMemory& memory = m_built.machine->memory();
    std::byte* rom = memory.add_rom(image.bytes);
    if (rom == nullptr) {
        return fail(ErrorKind::no_space, "There is no memory left on this host for the firmware {}.", image.path);
    }
    memory.map({image.address(), image.bytes.size(), rom, false});
    m_shadow = {rom + (image.bytes.size() - image.shadow_bytes()), image.shadow_bytes()};
    return {};
}

// The variables of a machine with Secure Boot are others: switching it does not lose either.
Status Builder::add_flash() {
    if (!m_uefi) {
        return {};
    }
    std::vector<std::byte> content = m_uefi->variables;
    std::unique_ptr<VariableFile> store;
    if (!m_inputs.folder.empty()) {
        const std::filesystem::path file =
            m_inputs.folder / (m_spec.secure_boot ? "uefi-variables-secure.fd" : "uefi-variables.fd");
        auto variables = load_variables(file, m_uefi->variables);
        if (!variables) {
            return tl::unexpected(variables.error());
        }
        auto opened = VariableFile::open(file);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        content = std::move(*variables);
        store = std::move(*opened);
    }
    auto array = m_built.machine->memory().add_device_memory(content.size());
    if (!array) {
        return tl::unexpected(array.error());
    }
    std::ranges::copy(content, array->begin());
    m_built.machine->add_device(
        std::make_unique<CfiFlash>(*m_context, m_uefi->variables_address(), *array, std::move(store)));
    return {};
}

void Builder::add_bridges() {
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

Result<std::shared_ptr<BlockBackend>> Builder::open_disk(const DiskSpec& disk) {
    auto path = host_path(disk.file);
    if (!path) {
        return tl::unexpected(path.error());
    }
    ImageOptions options;
    options.access = disk.read_only ? ImageAccess::read_only : ImageAccess::read_write;
    options.format = disk.effective_format() == DiskFormat::qcow2 ? ImageFormat::qcow2 : ImageFormat::raw;
    if (!m_inputs.folder.empty()) {
        options.backing.folders = {m_inputs.folder};
    }
    options.backing.files.assign(disk.backing.begin(), disk.backing.end());
    options.acknowledged = Acknowledged::in_file;
    auto image = open_image(*path, options);
    if (!image) {
        return image;
    }
    m_built.disks.push_back({disk.id, *path, *image});
    return image;
}

// A disk that is a PCI function of its own.
Status Builder::add_pci_disk(const DiskSpec& disk) {
    if (m_next_slot > k_last_disk_slot) {
        return fail(ErrorKind::invalid_input, "A machine has room for {} virtio and NVMe disks; remove some.",
                    k_last_disk_slot - k_first_disk_slot + 1);
    }
    auto backend = open_disk(disk);
    if (!backend) {
        return tl::unexpected(backend.error());
    }
    const PciAddress address{m_next_slot++, 0};
    const std::string serial = disk.serial.empty() ? disk.id : disk.serial;
    const unsigned queues = std::clamp(m_spec.cpus, 1U, k_most_queues);
    BootDevice::Kind kind = BootDevice::Kind::virtio_block;
    if (disk.bus == DiskBus::nvme) {
        kind = BootDevice::Kind::nvme;
        m_built.machine->add_device(
            std::make_unique<NvmeController>(*m_context, "nvme-" + disk.id, address, std::move(*backend),
                                             NvmeConfig{.serial = serial, .queue_pairs = queues}));
    } else {
        m_built.machine->add_device(std::make_unique<VirtioPci>(
            *m_context, "virtio-blk-" + disk.id, address,
            make_virtio_blk(m_built.machine->memory(), std::move(*backend), {.serial = serial, .queue_count = queues})));
    }
    m_boot_devices[disk.id] = {.kind = kind, .slot = address.slot};
    return {};
}

Status Builder::add_ahci_disk(const DiskSpec& disk) {
    auto backend = open_disk(disk);
    if (!backend) {
        return tl::unexpected(backend.error());
    }
    m_built.ahci->attach_disk(m_next_port, std::move(*backend),
                              DiskIdentity{.serial = disk.serial.empty() ? disk.id : disk.serial, .model = "Skep disk"});
    m_boot_devices[disk.id] = {.kind = BootDevice::Kind::ahci, .slot = m_built.ahci->address().slot,
                               .function = m_built.ahci->address().function, .port = m_next_port};
    ++m_next_port;
    return {};
}

Status Builder::add_cd(const CdSpec& cd) {
    std::shared_ptr<BlockBackend> medium;
    std::string path;
    if (!cd.file.empty()) {
        auto resolved = host_path(cd.file);
        if (!resolved) {
            return tl::unexpected(resolved.error());
        }
        path = *resolved;
        auto opened = open_cd(path);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        medium = std::move(*opened);
    }
    m_built.ahci->attach_cd(m_next_port, std::move(medium));
    m_built.cds.push_back({cd.id, path, m_next_port});
    m_boot_devices[cd.id] = {.kind = BootDevice::Kind::ahci, .slot = m_built.ahci->address().slot,
                             .function = m_built.ahci->address().function, .port = m_next_port};
    ++m_next_port;
    return {};
}

Status Builder::add_ahci() {
    const auto disks = std::ranges::count(m_spec.disks, DiskBus::ahci, &DiskSpec::bus);
    const auto units = static_cast<size_t>(disks) + m_spec.cds.size();
    if (units == 0) {
        return {};
    }
    if (units > k_ahci_ports) {
        return fail(ErrorKind::invalid_input,
                    "The SATA controller has {} ports, but {} disks and CD drives want one; make some disks virtio.",
                    k_ahci_ports, units);
    }
    auto controller = std::make_unique<AhciController>(*m_context);
    m_built.ahci = controller.get();
    m_built.machine->add_device(std::move(controller));
    for (const DiskSpec& disk : m_spec.disks) {
        if (disk.bus == DiskBus::ahci) {
            if (Status added = add_ahci_disk(disk); !added) {
                return added;
            }
        }
    }
    for (const CdSpec& cd : m_spec.cds) {
        if (Status added = add_cd(cd); !added) {
            return added;
        }
    }
    return {};
}

Status Builder::add_disks() {
    if (Status added = add_ahci(); !added) {
        return added;
    }
    for (const DiskSpec& disk : m_spec.disks) {
        if (disk.bus == DiskBus::virtio || disk.bus == DiskBus::nvme) {
            if (Status added = add_pci_disk(disk); !added) {
                return added;
            }
        }
    }
    if (m_spec.rng) {
        m_built.machine->add_device(std::make_unique<VirtioPci>(*m_context, "virtio-rng", PciAddress{k_rng_slot, 0},
                                                                make_virtio_rng(m_built.machine->memory())));
    }
    return {};
}

// The tablet is for guests that know nothing of virtio, so the hub learns of it first and prefers the other one.
Status Builder::add_usb() {
    if (m_spec.effective_usb() == UsbKind::none) {
        return {};
    }
    auto controller = std::make_unique<XhciController>(*m_context);
    XhciController& usb = *controller;
    m_built.usb = std::make_unique<UsbSticks>(usb, m_inputs.on_no_space);
    Clock& clock = m_built.machine->clock();
    m_built.machine->add_device(std::move(controller));
    std::vector<std::unique_ptr<UsbDevice>> devices;
    if (m_built.screen) {
        devices.push_back(make_usb_tablet(*m_built.input, clock));
    }
    if (m_spec.usb_keyboard) {
        devices.push_back(make_usb_keyboard(*m_built.input, clock));
    }
    for (auto& device : devices) {
        if (auto plugged = usb.plug(std::move(device)); !plugged) {
            return tl::unexpected(plugged.error());
        }
    }
    for (const DiskSpec& disk : m_spec.disks) {
        if (disk.bus == DiskBus::usb) {
            if (Status added = add_usb_disk(disk); !added) {
                return added;
            }
        }
    }
    return {};
}

Status Builder::add_usb_disk(const DiskSpec& disk) {
    auto path = host_path(disk.file);
    if (!path) {
        return tl::unexpected(path.error());
    }
    auto stick = m_built.usb->plug({.id = disk.id, .path = *path, .serial = disk.serial, .read_only = disk.read_only});
    if (!stick) {
        return tl::unexpected(stick.error());
    }
    m_boot_devices[disk.id] = {.kind = BootDevice::Kind::usb_storage,
                               .slot = XhciController::k_pci_address.slot,
                               .function = XhciController::k_pci_address.function,
                               .port = stick->port - xhci::k_usb2_ports};
    return {};
}

// The cards, with cables that end nowhere yet.
Status Builder::add_networks() {
    if (m_spec.networks.size() > k_network_slots.size()) {
        return fail(ErrorKind::invalid_input, "A machine has room for {} network cards; remove some.", k_network_slots.size());
    }
    Machine& machine = *m_built.machine;
    for (size_t index = 0; index < m_spec.networks.size(); ++index) {
        const NetworkSpec& network = m_spec.networks[index];
        const PciAddress address{k_network_slots[index], 0};
        const MacAddress mac = effective_mac(m_spec, network);
        auto cable = std::make_shared<NetCable>(network.link ? NetCable::Link::up : NetCable::Link::down);
        const VirtioNetConfig config{.mac = mac, .queue_pairs = std::clamp(m_spec.cpus, 1U, k_most_queues)};
        machine.add_device(std::make_unique<VirtioPci>(*m_context, "virtio-net-" + network.id, address,
                                                       make_virtio_net(machine.memory(), cable, config)));
        m_built.networks.push_back({network.id, mac, std::move(cable)});
    }
    return {};
}

void Builder::give_firmware_its_files() {
    FirmwareOptions options;
    options.text = m_spec.display == DisplayKind::none ? FirmwareOptions::Text::serial : FirmwareOptions::Text::screen;
    for (const std::string& id : m_spec.effective_boot_order()) {
        if (const auto found = m_boot_devices.find(id); found != m_boot_devices.end()) {
            options.boot_order.push_back(found->second);
        }
    }
    auto fw_cfg = std::make_unique<FwCfg>(*m_context);
    FirmwareConfig config = firmware_config(m_platform, options);
    for (auto& [key, content] : config.items) {
        fw_cfg->set_item(key, std::move(content));
    }
    for (auto& [name, content] : config.files) {
        if (!fw_cfg->set_file(name, std::move(content))) {
            log_error("fw_cfg has no room for {}", name);
        }
    }
    m_built.machine->add_device(std::move(fw_cfg));
}

Status Builder::set_up_direct_boot() {
    auto kernel = host_path(m_spec.kernel);
    auto initrd = m_spec.initrd.empty() ? Result<std::string>(std::string()) : host_path(m_spec.initrd);
    if (!kernel || !initrd) {
        return tl::unexpected(kernel ? initrd.error() : kernel.error());
    }
    MultibootFiles multiboot{.kernel = *kernel, .command_line = m_spec.append, .modules = {}};
    for (const ModuleSpec& module : m_spec.modules) {
        auto path = host_path(module.file);
        if (!path) {
            return tl::unexpected(path.error());
        }
        multiboot.modules.push_back({*path, module.arguments});
    }
    LinuxFiles linux{.kernel = *kernel, .initrd = *initrd, .command_line = m_spec.append, .screen = {}};
    IoSpace& ports = m_built.machine->ports();
    const bool has_display = m_spec.display != DisplayKind::none;
    m_built.machine->set_boot_load([=, &ports, platform = m_platform, bus = m_bus, kind = m_spec.firmware](
                                       GuestMemory& memory, CpuState& state) mutable -> Status {
        for (const PortWrite& write : direct_boot_chipset_setup(platform)) {
            ports.write(write.port, write.size, write.value);
        }
        assign_pci_resources(*bus);
        if (has_display) {
            linux.screen = set_boot_mode(ports, *bus, k_display_address);
        }
        auto rsdp = place_direct_boot_tables(memory, platform);
        if (!rsdp) {
            return tl::unexpected(rsdp.error());
        }
        auto loaded = kind == Firmware::linux_kernel ? load_linux(memory, platform, linux, *rsdp, state)
                                                     : load_multiboot(memory, platform, multiboot, state);
        if (!loaded) {
            return tl::unexpected(loaded.error());
        }
        state = *loaded;
        return {};
    });
    return {};
}

// After the devices, which bring a report of their own that does not name the disk.
void Builder::watch_disk_space() {
    for (const BuiltDisk& disk : m_built.disks) {
        disk.backend->set_on_no_space(
            [report = m_inputs.on_no_space, id = disk.id](const std::string& sentence) { report(id, sentence); });
    }
}

Status Builder::set_up_boot() {
    if (boots_from_drives(m_spec.firmware)) {
        give_firmware_its_files();
        return {};
    }
    return set_up_direct_boot();
}

Status Builder::add_vcpus() {
    for (unsigned cpu = 0; cpu < m_spec.cpus; ++cpu) {
        if (Status added = m_built.machine->add_vcpu(m_built.board->local_apic(cpu)); !added) {
            return added;
        }
    }
    return {};
}

Result<BuiltMachine> Builder::build() {
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

}  // namespace

Result<BuiltMachine> build_machine(const BuildInputs& inputs) { return Builder(inputs).build(); }

Result<std::shared_ptr<BlockBackend>> open_cd(const std::string& path) {
    auto image = RawImage::open(path, {.access = ImageAccess::read_only, .block_size = k_cd_block_size});
    if (!image) {
        return tl::unexpected(image.error());
    }
    return std::shared_ptr<BlockBackend>(*image);
}

}  // namespace skep
