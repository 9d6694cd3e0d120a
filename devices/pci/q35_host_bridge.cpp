// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/q35_host_bridge.hpp"

#include <algorithm>

#include "devices/pci/pci_bus.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr unsigned k_pciexbar = 0x60;
constexpr unsigned k_pam0 = 0x90;
constexpr unsigned k_smram = 0x9d;
constexpr unsigned k_esmramc = 0x9e;
constexpr unsigned k_lac = 0x97;  // legacy access control

constexpr uint8_t k_smram_reset = 0x02;  // C_BASE_SEG: 0xa0000
constexpr uint8_t k_smram_writable = 0x78;
constexpr uint8_t k_smram_d_lck = 0x10;
constexpr uint8_t k_smram_d_open = 0x40;
constexpr uint8_t k_smram_writable_locked = 0x20;  // D_CLS alone

constexpr GuestAddress k_video_window = 0xa'0000;
constexpr uint64_t k_video_window_size = 0x2'0000;

constexpr PciIdentity k_identity{.vendor = 0x8086, .device = 0x29c0, .class_code = 0x060000, .revision = 0};

}  // namespace

Q35HostBridge::Q35HostBridge(DeviceContext& context, ShadowRom rom)
    : PciFunction(context, "q35-host-bridge", {0, 0}, k_identity), m_shadow(context.memory, context.mmio, rom) {
    define32(k_pciexbar, 0, 0xf000'0007);
    define32(k_pciexbar + 4, 0, 0xf);  // 36 address bits
    for (unsigned i = 0; i < ShadowMemory::k_pam_count; ++i) {
        define8(k_pam0 + i, 0, i == 0 ? 0x30 : 0x33);
    }
    define8(k_lac, 0, 0x80);
    define8(k_smram, k_smram_reset, k_smram_writable);
    define8(k_esmramc, 0x38, 0x87);
    context.memory.unmap(k_video_window, k_video_window_size);
}

void Q35HostBridge::apply_pam() {
    std::array<uint8_t, ShadowMemory::k_pam_count> pam{};
    for (unsigned i = 0; i < pam.size(); ++i) {
        pam[i] = config8(k_pam0 + i);
    }
    m_shadow.set_pam(pam);
}

void Q35HostBridge::apply_pciexbar() {
    PciBus* bus = context().pci;
    if (bus == nullptr) {
        return;
    }
    const uint32_t low = config32(k_pciexbar);
    const auto length = static_cast<unsigned>(bits(low, 1, 2));  // 0: 256 MiB, 1: 128, 2: 64, 3: reserved
    if ((low & 1) == 0 || length == 3) {
        bus->place_ecam(std::nullopt);
        return;
    }
    const uint64_t size = uint64_t{256 << 20} >> length;
    const uint64_t base = align_down(uint64_t{config32(k_pciexbar + 4)} << 32 | low, size);
    bus->place_ecam(PciBus::EcamWindow{base, size});
}

// D_LCK can only be set; it makes itself and D_OPEN read-only until reset.
void Q35HostBridge::apply_smram_lock() {
    const uint8_t smram = config8(k_smram);
    if ((smram & k_smram_d_lck) != 0) {
        set_config8(k_smram, smram & static_cast<uint8_t>(~k_smram_d_open));
        set_write_mask8(k_smram, k_smram_writable_locked);
    }
}

void Q35HostBridge::config_written(unsigned offset, unsigned size) {
    if (offset < k_pam0 + ShadowMemory::k_pam_count && offset + size > k_pam0) {
        apply_pam();
    }
    if (offset < k_pciexbar + 8 && offset + size > k_pciexbar) {
        apply_pciexbar();
    }
    if (offset <= k_smram && offset + size > k_smram) {
        apply_smram_lock();
    }
}

void Q35HostBridge::reset() {
    PciFunction::reset();
    set_write_mask8(k_smram, k_smram_writable);
    apply_pam();
    apply_pciexbar();
}

void Q35HostBridge::load(StateReader& reader) {
    set_write_mask8(k_smram, k_smram_writable);
    PciFunction::load(reader);
    apply_pam();
    apply_pciexbar();
    apply_smram_lock();
}

}  // namespace skep
