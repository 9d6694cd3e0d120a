// SPDX-License-Identifier: GPL-3.0-or-later
// A small guest-side AHCI driver: real commands through MMIO and guest RAM, as firmware or an OS would give them.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include "devices/pci/pci_bus.hpp"
#include "devices/storage/ahci_regs.hpp"
#include "devices/storage/ata.hpp"
#include "tests/support/fake_machine.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {

// One port of the controller at 00:1f.2 with its structures at `base` in guest RAM (16 KiB and the data behind them).
class AhciDriver {
  public:
    static constexpr uint64_t k_abar = 0xc000'0000;
    static constexpr PciAddress k_address{0x1f, 2};
    static constexpr uint64_t k_data_offset = 0x4000;

    AhciDriver(FakeMachine& machine, PciBus& bus, unsigned port = 0, uint64_t base = 0x10000,
               uint32_t abar = static_cast<uint32_t>(k_abar))
        : m_machine(machine), m_bus(bus), m_port(port), m_base(base), m_abar(abar) {}

    void enable_pci() {
        m_bus.config_write(k_address, 0x24, 4, m_abar);
        m_bus.config_write(k_address, 0x04, 2, 6);
    }
    uint32_t hba(unsigned reg) { return static_cast<uint32_t>(m_machine.mmio.read(m_abar + reg, 4)); }
    void set_hba(unsigned reg, uint32_t value) { m_machine.mmio.write(m_abar + reg, 4, value); }
    uint32_t reg(unsigned reg) { return hba(0x100 + m_port * 0x80 + reg); }
    void set_reg(unsigned reg, uint32_t value) { set_hba(0x100 + m_port * 0x80 + reg, value); }

    // HBA reset, structures, FRE, ST: what SeaBIOS and Linux do, shortened.
    void start() {
        enable_pci();
        set_hba(ahci::k_ghc, ahci::k_ghc_hr);
        set_hba(ahci::k_ghc, ahci::k_ghc_ae | ahci::k_ghc_ie);
        start_port();
    }
    void start_port() {
        set_reg(ahci::k_px_clb, static_cast<uint32_t>(m_base));
        set_reg(ahci::k_px_fb, static_cast<uint32_t>(m_base + 0x400));
        set_reg(ahci::k_px_ie, 0xffffffff);
        set_reg(ahci::k_px_cmd, ahci::k_cmd_fre);
        set_reg(ahci::k_px_is, 0xffffffff);
        set_reg(ahci::k_px_cmd, ahci::k_cmd_fre | ahci::k_cmd_st);
    }
    // 6.2.2.1: after an error.
    void recover() {
        set_reg(ahci::k_px_cmd, ahci::k_cmd_fre);
        set_reg(ahci::k_px_is, 0xffffffff);
        set_reg(ahci::k_px_cmd, ahci::k_cmd_fre | ahci::k_cmd_st);
    }
    void comreset() {
        set_reg(ahci::k_px_cmd, ahci::k_cmd_fre);
        set_reg(ahci::k_px_sctl, 1);
        set_reg(ahci::k_px_sctl, 0);
    }

    struct Command {
        uint8_t command = 0;
        uint64_t lba = 0;
        uint16_t count = 0;
        uint16_t features = 0;
        uint8_t device = ata::k_device_lba;
        std::vector<uint8_t> packet = {};
        uint32_t bytes = 0;   // of data at data_address(slot)
        unsigned pieces = 1;  // PRDs
        bool write = false;
        uint8_t control = 0;
        uint8_t fis_flags = 0x80;
    };
    [[nodiscard]] uint64_t data_address(unsigned slot = 0) const { return m_base + k_data_offset + slot * 0x4000; }
    [[nodiscard]] uint64_t table_address(unsigned slot) const { return m_base + 0x800 + slot * 0x180; }

    // Writes the command's structures; several may be prepared and then issued at once.
    void prepare(unsigned slot, const Command& command) {
        std::array<uint8_t, 0x80> table{};
        table[0] = 0x27;
        table[1] = command.fis_flags;
        table[2] = command.command;
        table[3] = static_cast<uint8_t>(command.features);
        table[11] = static_cast<uint8_t>(command.features >> 8);
        for (unsigned i = 0; i < 3; ++i) {
            table[4 + i] = static_cast<uint8_t>(command.lba >> (8 * i));
            table[8 + i] = static_cast<uint8_t>(command.lba >> (24 + 8 * i));
        }
        table[7] = command.device;
        store_le<uint16_t>(&table[12], command.count);
        table[15] = command.control;
        std::copy(command.packet.begin(), command.packet.end(), &table[0x40]);
        poke(table_address(slot), table);

        const unsigned pieces = command.bytes == 0 ? 0 : command.pieces;
        for (unsigned i = 0; i < pieces; ++i) {
            const uint32_t part = command.bytes / pieces;
            std::array<uint8_t, 16> prd{};
            store_le<uint64_t>(&prd[0], data_address(slot) + uint64_t{i} * part);
            store_le<uint32_t>(&prd[12], (i + 1 == pieces ? command.bytes - i * part : part) - 1);
            poke(table_address(slot) + 0x80 + i * 16, prd);
        }
        std::array<uint8_t, 32> header{};
        const bool packet = !command.packet.empty();
        store_le<uint16_t>(&header[0], static_cast<uint16_t>(5 | (packet ? 0x20 : 0) | (command.write ? 0x40 : 0)));
        store_le<uint16_t>(&header[2], static_cast<uint16_t>(pieces));
        store_le<uint64_t>(&header[8], table_address(slot));
        poke(m_base + slot * 32, header);
    }
    void issue(unsigned slot, const Command& command) {
        prepare(slot, command);
        set_reg(ahci::k_px_ci, 1U << slot);
    }
    // Issues in slot 0 and lets `run` work until the command has ended. True when it ended without an error.
    bool perform(const Command& command, const std::function<void()>& run = [] {}) {
        issue(0, command);
        run();
        const uint32_t cause = reg(ahci::k_px_is);
        set_reg(ahci::k_px_is, cause);
        const bool good = (cause & (ahci::k_is_tfes | ahci::k_is_hbfs | ahci::k_is_ifs)) == 0 && (reg(ahci::k_px_ci) & 1) == 0;
        if (!good) {
            last_error = static_cast<uint8_t>(reg(ahci::k_px_tfd) >> 8);
            recover();
        }
        return good;
    }
    bool packet(std::vector<uint8_t> cdb, uint32_t bytes, const std::function<void()>& run = [] {}) {
        cdb.resize(12);
        return perform({.command = ata::k_packet, .features = 1, .packet = std::move(cdb), .bytes = bytes}, run);
    }

    template <typename Bytes>
    void poke(uint64_t address, const Bytes& bytes) {
        EXPECT_TRUE(m_machine.memory->write(address, bytes.data(), bytes.size()));
    }
    std::vector<uint8_t> peek(uint64_t address, size_t size) {
        std::vector<uint8_t> bytes(size);
        EXPECT_TRUE(m_machine.memory->read(address, bytes.data(), size));
        return bytes;
    }
    std::vector<uint8_t> data(size_t size, unsigned slot = 0) { return peek(data_address(slot), size); }
    std::vector<uint8_t> received_fis(unsigned offset, size_t size = 20) { return peek(m_base + 0x400 + offset, size); }
    uint32_t transferred(unsigned slot = 0) { return load_le<uint32_t>(peek(m_base + slot * 32 + 4, 4).data()); }

    uint8_t last_error = 0;  // PxTFD.ERR of the last failed perform()

  private:
    FakeMachine& m_machine;
    PciBus& m_bus;
    unsigned m_port;
    uint64_t m_base;
    uint32_t m_abar;
};

}  // namespace skep::test
