// SPDX-License-Identifier: GPL-3.0-or-later
// One PCI function: identity, BARs and capabilities are declared by the device; config space, BAR sizing and moving,
// MSI, MSI-X and INTx are done here, once (PCI Local Bus Specification 3.0, chapter 6).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "devices/pci/msi.hpp"
#include "devices/pci/pci_regs.hpp"
#include "vmm/device/device.hpp"

namespace skep {

struct PciAddress {
    uint8_t slot = 0;      // device number, 0..31
    uint8_t function = 0;  // 0..7
    [[nodiscard]] constexpr uint8_t devfn() const { return static_cast<uint8_t>(slot << 3 | function); }
};

enum class IntxPin : uint8_t { none = 0, a, b, c, d };

struct PciIdentity {
    uint16_t vendor = 0;
    uint16_t device = 0;
    uint32_t class_code = 0;  // base class, subclass, interface: 0x010601
    uint8_t revision = 0;
    uint16_t subsystem_vendor = 0x1af4;
    uint16_t subsystem = 0x1100;
    IntxPin pin = IntxPin::none;
};

enum class BarKind { io, memory32, memory64, rom };
enum class Prefetch { no, yes };

struct BarSpec {
    unsigned index = 0;  // 0..5; a 64-bit one takes the next too; the expansion ROM has 6
    BarKind kind = BarKind::memory32;
    uint64_t size = 0;   // a power of two; I/O 4..256, memory from 16
    Prefetch prefetch = Prefetch::no;
    unsigned min_width = 1;  // access widths that bar_read and bar_write take, see IoRange
    unsigned max_width = 4;
    // Host memory of `size` bytes (GuestMemory::add_device_memory) that answers by itself: accesses cost no exit and the
    // handlers are not asked. Where the guest puts the BAR over RAM, ROM or another such BAR, what was there stays.
    std::byte* memory = nullptr;
};

// A device derives, declares itself in its constructor and overrides what it needs. All virtual functions below are
// called with gate() held. The bus (context.pci) may be null: then the function is merely unreachable.
class PciFunction : public Device {
  public:
    PciFunction(DeviceContext& context, std::string name, PciAddress address, const PciIdentity& identity);
    ~PciFunction() override;
    PciFunction(const PciFunction&) = delete;
    PciFunction& operator=(const PciFunction&) = delete;

    [[nodiscard]] std::string name() const override { return m_name; }
    // Derived classes call these from their own.
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    [[nodiscard]] PciAddress address() const { return m_address; }
    // The lock around every access of this function; timers and completions of the device take it.
    [[nodiscard]] IoGate& gate() { return m_gate; }
    // Config space accesses (by the bus; also for tests). size: 1, 2 or 4, any alignment; offset 0..4095, where
    // everything from 256 up reads as zero (no extended capabilities). Takes the gate.
    uint32_t config_read(unsigned offset, unsigned size);
    void config_write(unsigned offset, unsigned size, uint32_t value);
    // Where the BAR answers now, if COMMAND lets it.
    [[nodiscard]] std::optional<uint64_t> bar_address(unsigned index) const;
    void set_multifunction();  // by the bus

  protected:
    // --- declared in constructors -----------------------------------------------------------------
    void add_bar(const BarSpec& spec);
    // The expansion ROM (PCI 3.0, 6.2.5.2): host memory of GuestMemory::add_rom. size: a power of two from 2 KiB.
    void add_expansion_rom(std::byte* memory, uint64_t size);
    // The function answers at fixed ports or addresses too (VGA): the command register has both enables.
    void add_legacy_decoding();
    // Appends a capability of body.size() + 2 bytes to the chain and returns its offset in config space (of the id
    // byte). write_mask: as long as body, or shorter (the rest is read-only). at: a fixed place, else the next free.
    unsigned add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> write_mask = {},
                            std::optional<unsigned> at = std::nullopt);
    void add_msi(unsigned vectors = 1, std::optional<unsigned> at = std::nullopt);
    // The table and the pending bits answer inside `bar` (declared before), whose handler does not see them.
    void add_msix(unsigned vectors, unsigned bar, uint32_t table_offset, uint32_t pba_offset);
    // A device-specific register: its reset value, the bits that the guest may write, those that a written 1 clears.
    void define8(unsigned offset, uint8_t reset_value, uint8_t write_mask, uint8_t write_one_clears = 0);
    void define16(unsigned offset, uint16_t reset_value, uint16_t write_mask);
    void define32(unsigned offset, uint32_t reset_value, uint32_t write_mask);

    // --- for the running device, with the gate held -----------------------------------------------------
    [[nodiscard]] uint8_t config8(unsigned offset) const { return m_config[offset]; }
    [[nodiscard]] uint16_t config16(unsigned offset) const;
    [[nodiscard]] uint32_t config32(unsigned offset) const;
    void set_config8(unsigned offset, uint8_t value) { m_config[offset] = value; }  // whatever the masks say
    void set_config32(unsigned offset, uint32_t value);
    void set_write_mask8(unsigned offset, uint8_t mask) { m_write_mask[offset] = mask; }  // registers that lock
    [[nodiscard]] bool bus_master() const { return (config16(pci::k_command) & pci::k_command_bus_master) != 0; }
    [[nodiscard]] bool msi_enabled() const { return m_msi && m_msi->enabled(); }
    [[nodiscard]] bool msix_enabled() const { return m_msix && m_msix->enabled(); }
    // Sends the message `vector` by MSI-X or MSI, whichever is on; nothing when neither is.
    void notify_message(unsigned vector);
    // The device's interrupt condition. It reaches the pin while neither MSI, MSI-X nor COMMAND forbids.
    void set_intx(bool level);
    [[nodiscard]] bool intx() const { return m_intx; }
    [[nodiscard]] DeviceContext& context() { return m_context; }
    [[nodiscard]] const DeviceContext& context() const { return m_context; }
    [[nodiscard]] GuestErrorLog& guest_errors() { return m_guest_errors; }

    // offset: from the BAR's start, inside it.
    virtual uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size);
    virtual void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value);
    // Before the bytes are taken from config space: a device may refresh live ones with set_config.
    virtual void before_config_read(unsigned offset, unsigned size);
    // After a write was stored under the masks and the base has acted on it.
    virtual void config_written(unsigned offset, unsigned size);
    // COMMAND was written and the function may do DMA: work that waited for it may begin.
    virtual void bus_master_allowed();

  private:
    struct Bar final : IoHandler {
        PciFunction* function = nullptr;
        BarSpec spec;
        std::optional<uint64_t> mapped;
        bool in_memory_map = false;
        IoClaim claim;
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
    };
    struct MsixPlace {
        unsigned bar = 0;
        uint32_t table = 0;
        uint32_t pba = 0;
    };

    [[nodiscard]] std::optional<uint64_t> decoded_address(const Bar& bar) const;
    void update_bars();
    void unmap_bar(Bar& bar);
    void map_bar(Bar& bar, uint64_t address);
    void update_intx();
    void update_msix();
    void react(unsigned offset, unsigned size);
    void send_message(MsiMessage message);

    DeviceContext m_context;
    std::string m_name;
    PciAddress m_address;
    IntxPin m_pin;
    IoGate m_gate;
    GuestErrorLog m_guest_errors;

    std::array<uint8_t, pci::k_config_size> m_config{};
    std::array<uint8_t, pci::k_config_size> m_reset_values{};
    std::array<uint8_t, pci::k_config_size> m_write_mask{};
    std::array<uint8_t, pci::k_config_size> m_write_one_clears{};
    unsigned m_next_capability = pci::k_device_specific;
    unsigned m_last_capability = 0;

    std::array<std::unique_ptr<Bar>, pci::k_bar_count + 1> m_bars;  // the last: the expansion ROM
    std::optional<MsiCapability> m_msi;
    unsigned m_msi_offset = 0;
    std::optional<MsixTable> m_msix;
    MsixPlace m_msix_place;
    unsigned m_msix_offset = 0;
    bool m_intx = false;      // what the device asks for
    bool m_intx_pin = false;  // what the pin shows
};

}  // namespace skep
