// SPDX-License-Identifier: GPL-3.0-or-later
// Message-signalled interrupts (PCI 3.0, 6.8): the state behind the MSI capability and the MSI-X table.
// Both are driven by PciFunction under the function's gate.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "vmm/device/state_io.hpp"
#include "vmm/irq/irq.hpp"

namespace skep {

using MsiSend = std::function<void(MsiMessage)>;

// View of a 64-bit, maskable MSI capability inside a function's config space; holds no state of its own.
class MsiCapability {
  public:
    static constexpr unsigned k_size = 0x18;
    static constexpr unsigned k_mask_bits = 0x10;
    static constexpr unsigned k_pending_bits = 0x14;
    // registers: the k_size bytes of the capability in config space. vectors: 1, 2, 4, 8, 16 or 32.
    static void build(std::span<uint8_t> registers, std::span<uint8_t> write_mask, unsigned vectors);

    MsiCapability(std::span<uint8_t> registers, MsiSend send) : m_registers(registers), m_send(std::move(send)) {}
    [[nodiscard]] bool enabled() const;
    void notify(unsigned vector);
    // After a config write: sends what has been unmasked.
    void changed();
    void restore_pending(uint32_t pending);

  private:
    [[nodiscard]] unsigned allocated() const;
    void send(unsigned vector);

    std::span<uint8_t> m_registers;
    MsiSend m_send;
};

// The MSI-X table and pending bits, which lie in a BAR.
class MsixTable {
  public:
    static constexpr unsigned k_entry_size = 16;

    MsixTable(unsigned vectors, MsiSend send);
    [[nodiscard]] unsigned vectors() const { return m_vectors; }
    [[nodiscard]] uint64_t table_size() const { return m_table.size(); }
    [[nodiscard]] uint64_t pba_size() const { return m_pending.size() * sizeof(uint64_t); }

    void reset();
    // offset: from the table's (pending array's) start; any width, inside the table (array).
    [[nodiscard]] uint64_t read_table(uint64_t offset, unsigned size) const;
    void write_table(uint64_t offset, unsigned size, uint64_t value);
    [[nodiscard]] uint64_t read_pba(uint64_t offset, unsigned size) const;
    // Message Control: enable and function mask. Sends what is no longer masked.
    void set_control(bool enabled, bool function_masked);
    // The same for a restored table: nothing is sent.
    void restore_control(bool enabled, bool function_masked) {
        m_enabled = enabled;
        m_function_masked = function_masked;
    }
    [[nodiscard]] bool enabled() const { return m_enabled; }
    // Sends the message, or sets its pending bit while masked. Vectors beyond the table are ignored.
    void notify(unsigned vector);

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    [[nodiscard]] bool masked(unsigned vector) const;
    void flush(unsigned vector);
    void send(unsigned vector);

    unsigned m_vectors;
    std::vector<uint8_t> m_table;
    std::vector<uint64_t> m_pending;
    bool m_enabled = false;
    bool m_function_masked = false;
    MsiSend m_send;
};

}  // namespace skep
