// SPDX-License-Identifier: GPL-3.0-or-later
// A machine with at least one device of every type, composed as the worker does it, on a test clock and without
// processors; and how to work each of them hard.
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "devices/audio/hda_controller.hpp"
#include "devices/board/fw_cfg.hpp"
#include "devices/pci/ich9_lpc.hpp"
#include "devices/pci/q35_host_bridge.hpp"
#include "devices/storage/ahci_controller.hpp"
#include "devices/usb/usb_hid.hpp"
#include "devices/usb/usb_storage.hpp"
#include "devices/usb/xhci_controller.hpp"
#include "devices/video/vga_adapter.hpp"
#include "devices/virtio/virtio_blk.hpp"
#include "devices/virtio/virtio_input.hpp"
#include "devices/virtio/virtio_net.hpp"
#include "devices/virtio/virtio_rng.hpp"
#include "devices/virtio/virtio_vga.hpp"
#include "display/input/input_hub.hpp"
#include "tests/devices/board/board_fixture.hpp"
#include "tests/support/ahci_driver.hpp"
#include "tests/support/memory_block.hpp"
#include "tests/support/recording_sound.hpp"
#include "tests/support/virtio_driver.hpp"

namespace skep::test {

struct Window {
    bool mmio;
    uint64_t start;
    uint64_t size;
};

// One device of the machine and its ways in. A PCI function is reached through config space and its BARs as well.
struct CatalogueEntry {
    std::string device;
    std::vector<Window> windows;
    std::optional<PciAddress> function = std::nullopt;
};
const std::vector<CatalogueEntry>& catalogue_entries();

class CatalogueMachine : public BoardFixture {
  public:
    static constexpr uint16_t k_pm_base = 0x600;
    static constexpr uint64_t k_disk_size = 1 << 20;
    static constexpr uint64_t k_cd_size = 64 * 2048;

    CatalogueMachine();

    [[nodiscard]] const std::vector<Device*>& devices() const { return m_devices; }
    [[nodiscard]] Device& device(const std::string& name) const;
    // By the life cycle: paused while it is saved or loaded.
    [[nodiscard]] static std::vector<std::byte> saved(Device& device);
    // What the device would save after it was loaded, or the reader's verdict.
    [[nodiscard]] static Result<std::vector<std::byte>> reloaded(Device& device, std::span<const std::byte> state);
    void pause();
    void resume();
    // Everything, and RAM, from another machine. Both are paused and have the same time.
    [[nodiscard]] Status take_over(CatalogueMachine& from);
    // Every interrupt line that a test may have raised goes low.
    void release_lines();
    // Random accesses of every kind to one device, with time passing and disks working.
    void stir(const CatalogueEntry& entry, unsigned accesses, uint64_t seed);

    InputHub input;
    std::unique_ptr<PciBus> bus;
    DeviceContext context;
    std::shared_ptr<MemoryBlock> ahci_disk = std::make_shared<MemoryBlock>(k_disk_size);
    std::shared_ptr<MemoryBlock> medium = std::make_shared<MemoryBlock>(k_cd_size, 2048, true);
    std::shared_ptr<RecordingSound> sound = std::make_shared<RecordingSound>();
    std::shared_ptr<MemoryBlock> nvme_disk = std::make_shared<MemoryBlock>(k_disk_size);
    std::shared_ptr<MemoryBlock> stick = std::make_shared<MemoryBlock>(k_disk_size);
    std::shared_ptr<MemoryBlock> virtio_disk = std::make_shared<MemoryBlock>(k_disk_size);
    Screen screen, second_screen;

  private:
    void add(std::unique_ptr<Device> device);
    void place_bars(PciAddress address);
    void access(const CatalogueEntry& entry, std::mt19937_64& random);
    void access_window(const Window& window, std::mt19937_64& random, uint64_t value);
    void access_function(PciAddress address, std::mt19937_64& random, uint64_t value);
    void access_inside(const CatalogueEntry& entry, std::mt19937_64& random, uint64_t value);

    std::vector<std::byte> m_rom;
    test::FakeWriteLog m_log, m_second_log;
    std::vector<std::unique_ptr<Device>> m_owned;
    std::vector<Device*> m_devices;
};

}  // namespace skep::test
