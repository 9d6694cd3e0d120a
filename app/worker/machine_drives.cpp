// SPDX-License-Identifier: GPL-3.0-or-later
// MachineAssembly: disks, CD drives and USB sticks.
#include <algorithm>

#include "app/worker/machine_assembly.hpp"
#include "devices/block/disk_recorder.hpp"
#include "devices/block/raw.hpp"
#include "devices/block/ruled_disk.hpp"
#include "devices/formats/image.hpp"
#include "devices/nvme/nvme_controller.hpp"
#include "devices/storage/ahci_controller.hpp"
#include "devices/usb/usb_hid.hpp"
#include "devices/usb/xhci_controller.hpp"
#include "devices/virtio/virtio_blk.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "devices/virtio/virtio_rng.hpp"

namespace skep {
namespace {

constexpr uint8_t k_rng_slot = 3;
constexpr uint8_t k_last_disk_slot = 23;
constexpr unsigned k_ahci_ports = 6;
constexpr uint32_t k_cd_block_size = 2048;

}  // namespace

Result<std::shared_ptr<BlockBackend>> MachineAssembly::open_disk(const DiskSpec& disk) {
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
    const uint32_t number = m_inputs.recorder ? m_inputs.recorder->add_disk(disk.id) : 0;
    if (m_inputs.recorder) {
        options.around_file = [&](std::unique_ptr<FileEngine> engine) {
            return record_file(std::move(engine), m_inputs.recorder, number);
        };
    }
    auto image = open_image(*path, options);
    if (!image) {
        return image;
    }
    const DiskRules rules{.through = disk.cache == DiskCache::writethrough, .discard = disk.discard};
    std::shared_ptr<BlockBackend> backend = with_rules(std::move(*image), rules);
    if (m_inputs.recorder) {
        backend = record_disk(std::move(backend), m_inputs.recorder, number);
    }
    m_built.disks.push_back({disk.id, *path, backend});
    return backend;
}

// A disk that is a PCI function of its own.
Status MachineAssembly::add_pci_disk(const DiskSpec& disk) {
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

Status MachineAssembly::add_ahci_disk(const DiskSpec& disk) {
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

Status MachineAssembly::add_cd(const CdSpec& cd) {
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

Status MachineAssembly::add_ahci() {
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

Status MachineAssembly::add_disks() {
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
Status MachineAssembly::add_usb() {
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

Status MachineAssembly::add_usb_disk(const DiskSpec& disk) {
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

// After the devices, which bring a report of their own that does not name the disk.
void MachineAssembly::watch_disk_space() {
    for (const BuiltDisk& disk : m_built.disks) {
        disk.backend->set_on_no_space(
            [report = m_inputs.on_no_space, id = disk.id](const std::string& sentence) { report(id, sentence); });
    }
}

Result<std::shared_ptr<BlockBackend>> open_cd(const std::string& path) {
    auto image = RawImage::open(path, {.access = ImageAccess::read_only, .block_size = k_cd_block_size});
    if (!image) {
        return tl::unexpected(image.error());
    }
    return std::shared_ptr<BlockBackend>(*image);
}

}  // namespace skep
