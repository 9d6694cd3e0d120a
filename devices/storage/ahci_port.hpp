// SPDX-License-Identifier: GPL-3.0-or-later
// One AHCI port: registers, command list and FIS processing, error recovery (AHCI 1.3.1, chapters 3.3, 5, 6).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "devices/storage/ahci_regs.hpp"
#include "devices/storage/ata.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/base/log.hpp"

namespace skep {

// Everything with the controller's gate held, except quiesce().
class AhciPort final : public ata::AtaHost {
  public:
    // What a port needs of its controller.
    struct Controller {
        GuestMemory& memory;
        IoGate& gate;
        GuestErrorLog& guest_errors;
        std::function<bool()> may_use_memory;     // bus mastering is on
        std::function<void()> interrupt_changed;  // PxIS or PxIE changed
        std::function<void()> became_idle;        // orphaned host I/O has come to its end
    };
    AhciPort(unsigned index, Controller controller) : m_index(index), m_controller(std::move(controller)) {}

    void attach(std::unique_ptr<ata::AtaDevice> device) { m_device = std::move(device); }
    [[nodiscard]] ata::AtaDevice* device() const { return m_device.get(); }

    uint32_t read(unsigned reg) const;
    void write(unsigned reg, uint32_t value);
    [[nodiscard]] bool interrupt_pending() const { return (m_is & m_ie) != 0; }
    // Host I/O of commands that were given up is still under way.
    [[nodiscard]] bool has_orphans() const { return m_orphans != 0; }

    // HBA reset or power-on: gives up all commands, keeps PxCLB and PxFB unless power_on.
    enum class ResetKind { hba, power_on };
    void reset(ResetKind kind);
    // Takes no new commands until resume().
    void stop_intake() { m_stopped = true; }
    void resume();
    // Looks for work again (bus mastering has been switched on).
    void kick() { process_list(); }

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

    // ata::AtaHost
    [[nodiscard]] GuestMemory& memory() override { return m_controller.memory; }
    void finish(const ata::AtaCommandPtr& command, const ata::AtaResult& result) override;
    void bus_error(const ata::AtaCommandPtr& command) override;
    void transfer(const ata::AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, uint64_t bytes,
                  Then then) override;
    void request(const ata::AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, Then then) override;

  private:
    enum class Issue { taken, wait };

    void write_cmd(uint32_t value);
    void write_sctl(uint32_t value);
    void start();
    void stop();
    void link_reset();
    void send_signature();
    void give_up_commands();
    void orphan_done();

    [[nodiscard]] bool running() const;
    void process_list();
    [[nodiscard]] unsigned next_slot(uint32_t waiting) const;
    Issue take(unsigned slot);
    void control_fis(unsigned slot, uint8_t control);
    bool read_prdt(ata::AtaCommand& command, uint64_t table, unsigned entries);
    [[nodiscard]] bool current(const ata::AtaCommandPtr& command) const;
    void fatal(uint32_t cause);

    void raise(uint32_t cause);
    void write_received(unsigned offset, std::span<const uint8_t> fis);
    void register_fis(const ata::AtaCommand* command, const ata::AtaResult& result, bool interrupt);
    void pio_setup_fis(const ata::AtaCommand& command, const ata::AtaResult& result);
    void set_device_bits_fis(uint32_t slots, const ata::AtaResult& result);
    void finish_queued(const ata::AtaCommandPtr& command, const ata::AtaResult& result);

    unsigned m_index;
    Controller m_controller;
    std::unique_ptr<ata::AtaDevice> m_device;

    uint64_t m_clb = 0;
    uint64_t m_fb = 0;
    uint32_t m_is = 0;
    uint32_t m_ie = 0;
    uint32_t m_cmd = 0;
    uint32_t m_tfd = ahci::k_tfd_idle;
    uint32_t m_sig = ahci::k_sig_none;
    uint32_t m_sctl = 0;
    uint32_t m_serr = 0;
    uint32_t m_sact = 0;
    uint32_t m_ci = 0;

    uint32_t m_active = 0;         // slots whose command the device has
    bool m_exclusive = false;      // ... and it is one that is not queued
    bool m_halted = false;         // after an error, until PxCMD.ST is cleared
    bool m_signature_due = false;  // the device's first register FIS has not been received
    bool m_srst = false;
    bool m_stopped = false;
    bool m_processing = false;
    unsigned m_last_slot = ahci::k_slot_count - 1;
    uint64_t m_generation = 0;  // of commands; completions of an earlier one are dropped
    unsigned m_in_flight = 0;   // host requests of this generation
    unsigned m_orphans = 0;     // ... of earlier ones
};

}  // namespace skep
