// SPDX-License-Identifier: GPL-3.0-or-later
// The ICH9's SATA controller in AHCI mode, 8086:2922 at 00:1f.2 (AHCI 1.3.1; Intel ICH9 data sheet 316972, ch. 15).
#pragma once

#include <array>
#include <memory>

#include "devices/pci/pci_function.hpp"
#include "devices/storage/ahci_port.hpp"
#include "devices/storage/ata_disk.hpp"

namespace skep {

class AhciController final : public PciFunction {
  public:
    explicit AhciController(DeviceContext& context);
    ~AhciController() override;

    // Before the machine starts; port 0..5, at most one drive each. A full host disk becomes a
    // MachineRequest::pause_no_space; after making room call retry() of the back end.
    void attach_disk(unsigned port, std::shared_ptr<BlockBackend> backend, DiskIdentity identity);
    // A CD drive, empty when `medium` is null. Media are read-only; their size counts in 2048-byte sectors.
    void attach_cd(unsigned port, std::shared_ptr<BlockBackend> medium);
    // While running, control thread: puts another medium in or (null) takes it out, whether the guest has locked the
    // tray or not. Returns when the old medium is no longer used. False when there is no CD drive at the port.
    bool change_cd(unsigned port, std::shared_ptr<BlockBackend> medium);

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;
    void bus_master_allowed() override;

    [[nodiscard]] uint32_t read_register(unsigned offset) const;
    void write_register(unsigned offset, uint32_t value);
    void write_ghc(uint32_t value);
    void hba_reset();
    [[nodiscard]] uint32_t pending_ports() const;
    void collect_interrupts();
    void finish_hba_reset();
    void watch_space(BlockBackend& backend);
    // Waits for the host's I/O of every drive. Without the gate.
    enum class Held { keep, cancel };
    void quiesce(Held held);

    uint32_t m_ghc = ahci::k_ghc_ae;
    uint32_t m_is = 0;
    std::array<std::unique_ptr<AhciPort>, ahci::k_port_count> m_ports;
};

}  // namespace skep
