// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/msi.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

// MSI capability registers, from its start (PCI 3.0, 6.8.1).
constexpr unsigned k_message_control = 0x02;
constexpr unsigned k_message_address = 0x04;
constexpr unsigned k_message_data = 0x0c;
constexpr uint16_t k_control_enable = 1;
constexpr uint16_t k_control_64bit = 1 << 7;
constexpr uint16_t k_control_maskable = 1 << 8;

// MSI-X table entry (PCI 3.0, 6.8.2).
constexpr unsigned k_entry_data = 8;
constexpr unsigned k_entry_control = 12;
constexpr uint8_t k_entry_masked = 1;

}  // namespace

void MsiCapability::build(std::span<uint8_t> registers, std::span<uint8_t> write_mask, unsigned vectors) {
    const unsigned capable = static_cast<unsigned>(std::countr_zero(vectors));
    store_le<uint16_t>(&registers[k_message_control],
                       static_cast<uint16_t>(k_control_64bit | k_control_maskable | capable << 1));
    store_le<uint16_t>(&write_mask[k_message_control], k_control_enable | 7 << 4);
    store_le<uint64_t>(&write_mask[k_message_address], ~uint64_t{3});
    store_le<uint16_t>(&write_mask[k_message_data], 0xffff);
    store_le<uint32_t>(&write_mask[k_mask_bits], static_cast<uint32_t>(bits(~uint64_t{0}, 0, vectors)));
}

bool MsiCapability::enabled() const {
    return (load_le<uint16_t>(&m_registers[k_message_control]) & k_control_enable) != 0;
}

unsigned MsiCapability::allocated() const {
    const auto control = load_le<uint16_t>(&m_registers[k_message_control]);
    const auto capable = static_cast<unsigned>(bits(control, 1, 3));
    const auto enabled = static_cast<unsigned>(bits(control, 4, 3));
    return 1U << std::min(capable, enabled);
}

void MsiCapability::notify(unsigned vector) {
    if (!enabled()) {
        return;
    }
    vector &= allocated() - 1;
    if ((load_le<uint32_t>(&m_registers[k_mask_bits]) & bit(vector)) != 0) {
        const auto pending = load_le<uint32_t>(&m_registers[k_pending_bits]);
        store_le<uint32_t>(&m_registers[k_pending_bits], pending | static_cast<uint32_t>(bit(vector)));
        return;
    }
    send(vector);
}

void MsiCapability::changed() {
    if (!enabled()) {
        store_le<uint32_t>(&m_registers[k_pending_bits], 0);
        return;
    }
    const auto pending = load_le<uint32_t>(&m_registers[k_pending_bits]);
    const uint32_t ready = pending & ~load_le<uint32_t>(&m_registers[k_mask_bits]);
    store_le<uint32_t>(&m_registers[k_pending_bits], pending & ~ready);
    for (unsigned vector = 0; vector < allocated(); ++vector) {
        if ((ready & bit(vector)) != 0) {
            send(vector);
        }
    }
}

void MsiCapability::restore_pending(uint32_t pending) {
    const unsigned capable = 1U << bits(load_le<uint16_t>(&m_registers[k_message_control]), 1, 3);
    store_le<uint32_t>(&m_registers[k_pending_bits], static_cast<uint32_t>(bits(pending, 0, capable)));
}

void MsiCapability::send(unsigned vector) {
    const uint32_t data = load_le<uint16_t>(&m_registers[k_message_data]);
    m_send({load_le<uint64_t>(&m_registers[k_message_address]), (data & ~(allocated() - 1)) | vector});
}

MsixTable::MsixTable(unsigned vectors, MsiSend send)
    : m_vectors(vectors), m_table(size_t{vectors} * k_entry_size), m_pending((vectors + 63) / 64), m_send(std::move(send)) {
    reset();
}

void MsixTable::reset() {
    std::fill(m_table.begin(), m_table.end(), uint8_t{0});
    std::fill(m_pending.begin(), m_pending.end(), uint64_t{0});
    for (unsigned vector = 0; vector < m_vectors; ++vector) {
        m_table[vector * k_entry_size + k_entry_control] = k_entry_masked;
    }
    m_enabled = false;
    m_function_masked = false;
}

uint64_t MsixTable::read_table(uint64_t offset, unsigned size) const {
    uint64_t value = 0;
    std::memcpy(&value, &m_table[offset], std::min<uint64_t>(size, m_table.size() - offset));
    return value;
}

void MsixTable::write_table(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size && offset + i < m_table.size(); ++i) {
        const uint64_t at = offset + i;
        auto byte = static_cast<uint8_t>(value >> (i * 8));
        const uint64_t field = at % k_entry_size;
        if (field == 0) {
            byte &= 0xfc;  // the address is a dword's
        } else if (field >= k_entry_control) {
            byte &= field == k_entry_control ? k_entry_masked : 0;
        }
        m_table[at] = byte;
    }
    flush(static_cast<unsigned>(offset / k_entry_size));
    const auto last = static_cast<unsigned>(std::min<uint64_t>(offset + size - 1, m_table.size() - 1) / k_entry_size);
    flush(last);
}

uint64_t MsixTable::read_pba(uint64_t offset, unsigned size) const {
    uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(m_pending.data()) + offset,
                std::min<uint64_t>(size, pba_size() - offset));
    return value;
}

void MsixTable::set_control(bool enabled, bool function_masked) {
    m_enabled = enabled;
    m_function_masked = function_masked;
    for (unsigned vector = 0; vector < m_vectors; ++vector) {
        flush(vector);
    }
}

bool MsixTable::masked(unsigned vector) const {
    return m_function_masked || (m_table[vector * k_entry_size + k_entry_control] & k_entry_masked) != 0;
}

void MsixTable::notify(unsigned vector) {
    if (!m_enabled || vector >= m_vectors) {
        return;
    }
    if (masked(vector)) {
        m_pending[vector / 64] |= bit(vector % 64);
    } else {
        send(vector);
    }
}

void MsixTable::flush(unsigned vector) {
    uint64_t& word = m_pending[vector / 64];
    if (m_enabled && (word & bit(vector % 64)) != 0 && !masked(vector)) {
        word &= ~bit(vector % 64);
        send(vector);
    }
}

void MsixTable::send(unsigned vector) {
    const uint8_t* entry = &m_table[vector * k_entry_size];
    m_send({load_le<uint64_t>(entry), load_le<uint32_t>(entry + k_entry_data)});
}

void MsixTable::save(StateWriter& writer) const {
    writer.put_bytes(std::as_bytes(std::span(m_table)));
    writer.put_bytes(std::as_bytes(std::span(m_pending)));
}

void MsixTable::load(StateReader& reader) {
    const std::vector<std::byte> table = reader.get_bytes(m_table.size());
    const std::vector<std::byte> pending = reader.get_bytes(pba_size());
    std::memcpy(m_table.data(), table.data(), m_table.size());
    std::memcpy(m_pending.data(), pending.data(), pba_size());
    for (size_t at = 0; at < m_table.size(); at += k_entry_size) {
        m_table[at] &= 0xfc;
        store_le<uint32_t>(&m_table[at + k_entry_control], m_table[at + k_entry_control] & k_entry_masked);
    }
    if (m_vectors % 64 != 0) {
        m_pending.back() &= bit(m_vectors % 64) - 1;
    }
}

}  // namespace skep
