// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/pci_function.hpp"

#include <algorithm>
#include <cstring>

#include "devices/pci/pci_bus.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr unsigned k_msix_control = 2;  // offsets inside the MSI-X capability (PCI 3.0, 6.8.2)
constexpr uint8_t k_msix_control_high_mask = 0xc0;
constexpr uint32_t k_bar_io = 1;
constexpr uint32_t k_bar_64bit = 4;
constexpr uint32_t k_bar_prefetchable = 8;

constexpr uint32_t k_rom_enable = 1;
constexpr uint64_t k_end_of_shadows = 0x10'0000;  // below, the host bridge opens and closes RAM at will

unsigned register_of(const BarSpec& spec) {
    return spec.kind == BarKind::rom ? pci::k_expansion_rom : pci::k_bar0 + 4 * spec.index;
}

bool overlaps(unsigned offset, unsigned size, unsigned start, unsigned length) {
    return offset < start + length && start < offset + size;
}

}  // namespace

PciFunction::PciFunction(DeviceContext& context, std::string name, PciAddress address, const PciIdentity& identity)
    : m_context(context), m_name(std::move(name)), m_address(address), m_pin(identity.pin), m_guest_errors(m_name) {
    define16(pci::k_vendor_id, identity.vendor, 0);
    define16(pci::k_device_id, identity.device, 0);
    define16(pci::k_command, 0, pci::k_command_bus_master | pci::k_command_parity | pci::k_command_serr);
    define32(pci::k_revision_id, identity.class_code << 8 | identity.revision, 0);
    define8(pci::k_cache_line_size, 0, 0xff);
    define16(pci::k_subsystem_vendor_id, identity.subsystem_vendor, 0);
    define16(pci::k_subsystem_id, identity.subsystem, 0);
    define8(pci::k_interrupt_pin, static_cast<uint8_t>(identity.pin), 0);
    if (identity.pin != IntxPin::none) {
        define8(pci::k_interrupt_line, 0, 0xff);
        m_write_mask[pci::k_command + 1] |= pci::k_command_intx_disable >> 8;
    }
    if (m_context.pci != nullptr) {
        m_context.pci->attach(*this);
    }
}

PciFunction::~PciFunction() {
    for (const auto& bar : m_bars) {
        if (bar) {
            unmap_bar(*bar);
        }
    }
    if (m_context.pci != nullptr) {
        m_context.pci->detach(*this);
    }
}

void PciFunction::define8(unsigned offset, uint8_t reset_value, uint8_t write_mask, uint8_t write_one_clears) {
    m_config[offset] = m_reset_values[offset] = reset_value;
    m_write_mask[offset] = write_mask;
    m_write_one_clears[offset] = write_one_clears;
}

void PciFunction::define16(unsigned offset, uint16_t reset_value, uint16_t write_mask) {
    for (unsigned i = 0; i < 2; ++i) {
        define8(offset + i, static_cast<uint8_t>(reset_value >> (8 * i)), static_cast<uint8_t>(write_mask >> (8 * i)));
    }
}

void PciFunction::define32(unsigned offset, uint32_t reset_value, uint32_t write_mask) {
    define16(offset, static_cast<uint16_t>(reset_value), static_cast<uint16_t>(write_mask));
    define16(offset + 2, static_cast<uint16_t>(reset_value >> 16), static_cast<uint16_t>(write_mask >> 16));
}

void PciFunction::set_multifunction() {
    m_config[pci::k_header_type] |= pci::k_header_multifunction;
    m_reset_values[pci::k_header_type] |= pci::k_header_multifunction;
}

void PciFunction::add_bar(const BarSpec& spec) {
    auto bar = std::make_unique<Bar>();
    bar->function = this;
    bar->spec = spec;
    const unsigned at = pci::k_bar0 + 4 * spec.index;
    const uint64_t mask = ~(spec.size - 1);
    if (spec.kind == BarKind::io) {
        define32(at, k_bar_io, static_cast<uint32_t>(mask));
        m_write_mask[pci::k_command] |= pci::k_command_io;
    } else {
        const uint32_t type = (spec.kind == BarKind::memory64 ? k_bar_64bit : 0) |
                              (spec.prefetch == Prefetch::yes ? k_bar_prefetchable : 0);
        define32(at, type, static_cast<uint32_t>(mask));
        m_write_mask[pci::k_command] |= pci::k_command_memory;
    }
    if (spec.kind == BarKind::memory64) {
        define32(at + 4, 0, static_cast<uint32_t>(mask >> 32));
    }
    m_bars[spec.index] = std::move(bar);
}

void PciFunction::add_expansion_rom(std::byte* memory, uint64_t size) {
    auto bar = std::make_unique<Bar>();
    bar->function = this;
    bar->spec = {.index = pci::k_bar_count, .kind = BarKind::rom, .size = size, .memory = memory};
    define32(pci::k_expansion_rom, 0, static_cast<uint32_t>(~(size - 1)) | k_rom_enable);
    m_write_mask[pci::k_command] |= pci::k_command_memory;
    m_bars[pci::k_bar_count] = std::move(bar);
}

void PciFunction::add_legacy_decoding() { m_write_mask[pci::k_command] |= pci::k_command_io | pci::k_command_memory; }

unsigned PciFunction::add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> write_mask,
                                     std::optional<unsigned> at) {
    const unsigned offset = at.value_or(m_next_capability);
    const auto size = static_cast<unsigned>(body.size()) + 2;
    define8(offset, id, 0);
    define8(offset + 1, 0, 0);
    for (unsigned i = 0; i < body.size(); ++i) {
        define8(offset + 2 + i, body[i], i < write_mask.size() ? write_mask[i] : 0);
    }
    const unsigned link = m_last_capability == 0 ? pci::k_capabilities_pointer : m_last_capability + 1;
    define8(link, static_cast<uint8_t>(offset), 0);
    define8(pci::k_status, m_reset_values[pci::k_status] | pci::k_status_capabilities, 0);
    m_last_capability = offset;
    m_next_capability = std::max(m_next_capability, static_cast<unsigned>(align_up(offset + size, 4)));
    return offset;
}

void PciFunction::add_msi(unsigned vectors, std::optional<unsigned> at) {
    std::array<uint8_t, MsiCapability::k_size> registers{};
    std::array<uint8_t, MsiCapability::k_size> mask{};
    MsiCapability::build(registers, mask, vectors);
    m_msi_offset = add_capability(pci::k_cap_msi, std::span(registers).subspan(2), std::span(mask).subspan(2), at);
    m_msi.emplace(std::span(m_config).subspan(m_msi_offset, MsiCapability::k_size),
                  [this](MsiMessage message) { send_message(message); });
}

void PciFunction::add_msix(unsigned vectors, unsigned bar, uint32_t table_offset, uint32_t pba_offset) {
    std::array<uint8_t, 10> body{};
    store_le<uint16_t>(&body[0], static_cast<uint16_t>(vectors - 1));
    store_le<uint32_t>(&body[2], table_offset | bar);
    store_le<uint32_t>(&body[6], pba_offset | bar);
    const std::array<uint8_t, 2> mask{0, k_msix_control_high_mask};
    m_msix_offset = add_capability(pci::k_cap_msix, body, mask);
    m_msix.emplace(vectors, [this](MsiMessage message) { send_message(message); });
    m_msix_place = {bar, table_offset, pba_offset};
}

uint16_t PciFunction::config16(unsigned offset) const { return load_le<uint16_t>(&m_config[offset]); }
uint32_t PciFunction::config32(unsigned offset) const { return load_le<uint32_t>(&m_config[offset]); }
void PciFunction::set_config32(unsigned offset, uint32_t value) { store_le<uint32_t>(&m_config[offset], value); }

uint32_t PciFunction::config_read(unsigned offset, unsigned size) {
    const std::lock_guard lock(m_gate);
    before_config_read(offset, size);
    uint32_t value = 0;
    for (unsigned i = 0; i < size && offset + i < pci::k_config_size; ++i) {
        value |= uint32_t{m_config[offset + i]} << (8 * i);
    }
    return value;
}

void PciFunction::config_write(unsigned offset, unsigned size, uint32_t value) {
    const std::lock_guard lock(m_gate);
    for (unsigned i = 0; i < size && offset + i < pci::k_config_size; ++i) {
        const auto written = static_cast<uint8_t>(value >> (8 * i));
        uint8_t& stored = m_config[offset + i];
        const uint8_t mask = m_write_mask[offset + i];
        stored = static_cast<uint8_t>((stored & ~mask) | (written & mask));
        stored &= static_cast<uint8_t>(~(written & m_write_one_clears[offset + i]));
    }
    if (offset < pci::k_config_size) {
        react(offset, size);
        config_written(offset, size);
        if (overlaps(offset, size, pci::k_command, 2) && bus_master()) {
            bus_master_allowed();
        }
    }
}

void PciFunction::react(unsigned offset, unsigned size) {
    if (overlaps(offset, size, pci::k_command, 2) || overlaps(offset, size, pci::k_bar0, 4 * pci::k_bar_count) ||
        overlaps(offset, size, pci::k_expansion_rom, 4)) {
        update_bars();
    }
    if (m_msi && overlaps(offset, size, m_msi_offset, MsiCapability::k_size)) {
        m_msi->changed();
    }
    if (m_msix && overlaps(offset, size, m_msix_offset + k_msix_control, 2)) {
        update_msix();
    }
    update_intx();
}

void PciFunction::update_msix() {
    const uint8_t control = m_config[m_msix_offset + k_msix_control + 1];
    m_msix->set_control((control & 0x80) != 0, (control & 0x40) != 0);
}

std::optional<uint64_t> PciFunction::decoded_address(const Bar& bar) const {
    const unsigned at = register_of(bar.spec);
    const uint16_t command = config16(pci::k_command);
    uint64_t address = config32(at) & ~(bar.spec.size - 1);
    uint64_t limit = 0xffff'ffff;  // the last byte of the space is never a BAR's: all ones is what sizing writes
    uint16_t wanted = pci::k_command_memory;
    if (bar.spec.kind == BarKind::memory64) {
        address = (address & 0xffff'ffff) | uint64_t{config32(at + 4)} << 32;
        limit = bit(52);
    } else if (bar.spec.kind == BarKind::io) {
        limit = 0xffff;
        wanted = pci::k_command_io;
    } else if (bar.spec.kind == BarKind::rom && (config32(at) & k_rom_enable) == 0) {
        return std::nullopt;
    }
    const uint64_t last = address + bar.spec.size - 1;
    if ((command & wanted) == 0 || address == 0 || last < address || last >= limit) {
        return std::nullopt;
    }
    return address;
}

void PciFunction::update_bars() {
    for (const auto& bar : m_bars) {
        if (!bar) {
            continue;
        }
        const std::optional<uint64_t> address = decoded_address(*bar);
        if (address == bar->mapped) {
            continue;
        }
        unmap_bar(*bar);
        bar->mapped = address;
        if (address) {
            map_bar(*bar, *address);
        }
    }
}

void PciFunction::unmap_bar(Bar& bar) {
    bar.claim.release();
    if (bar.in_memory_map) {
        m_context.memory.unmap(*bar.mapped, bar.spec.size);
        bar.in_memory_map = false;
    }
    bar.mapped.reset();
}

void PciFunction::map_bar(Bar& bar, uint64_t address) {
    const BarSpec& spec = bar.spec;
    if (spec.memory == nullptr) {
        IoSpace& space = spec.kind == BarKind::io ? m_context.ports : m_context.mmio;
        bar.claim = space.claim({address, spec.size, spec.min_width, spec.max_width, k_priority_pci_bar}, bar, m_gate);
        return;
    }
    const std::vector<MemoryRange> present = m_context.memory.ranges();
    bar.in_memory_map = address >= k_end_of_shadows && std::none_of(present.begin(), present.end(), [&](const MemoryRange& range) {
        return range.start < address + spec.size && address < range.end();
    });
    if (bar.in_memory_map) {
        m_context.memory.map({address, spec.size, spec.memory, spec.kind != BarKind::rom});
    }
}

std::optional<uint64_t> PciFunction::bar_address(unsigned index) const {
    return index < m_bars.size() && m_bars[index] ? m_bars[index]->mapped : std::nullopt;
}

uint64_t PciFunction::Bar::io_read(uint64_t offset, unsigned size) {
    if (function->m_msix && function->m_msix_place.bar == spec.index) {
        const MsixPlace& place = function->m_msix_place;
        if (offset - place.table < function->m_msix->table_size()) {
            return function->m_msix->read_table(offset - place.table, size);
        }
        if (offset - place.pba < function->m_msix->pba_size()) {
            return function->m_msix->read_pba(offset - place.pba, size);
        }
    }
    return function->bar_read(spec.index, offset, size);
}

void PciFunction::Bar::io_write(uint64_t offset, unsigned size, uint64_t value) {
    if (function->m_msix && function->m_msix_place.bar == spec.index) {
        const MsixPlace& place = function->m_msix_place;
        if (offset - place.table < function->m_msix->table_size()) {
            function->m_msix->write_table(offset - place.table, size, value);
            return;
        }
        if (offset - place.pba < function->m_msix->pba_size()) {
            return;  // read-only
        }
    }
    function->bar_write(spec.index, offset, size, value);
}

uint64_t PciFunction::bar_read(unsigned /*bar*/, uint64_t /*offset*/, unsigned size) { return all_ones(size); }
void PciFunction::bar_write(unsigned /*bar*/, uint64_t /*offset*/, unsigned /*size*/, uint64_t /*value*/) {}
void PciFunction::before_config_read(unsigned /*offset*/, unsigned /*size*/) {}
void PciFunction::config_written(unsigned /*offset*/, unsigned /*size*/) {}
void PciFunction::bus_master_allowed() {}

void PciFunction::notify_message(unsigned vector) {
    if (msix_enabled()) {
        m_msix->notify(vector);
    } else if (msi_enabled()) {
        m_msi->notify(vector);
    }
}

// A message is a memory write by the function: without bus mastering it does not leave (PCI 3.0, 6.8.3.1).
void PciFunction::send_message(MsiMessage message) {
    if (bus_master()) {
        m_context.msi.deliver(message);
    }
}

void PciFunction::set_intx(bool level) {
    m_intx = level;
    update_intx();
}

void PciFunction::update_intx() {
    m_config[pci::k_status] = static_cast<uint8_t>((m_config[pci::k_status] & ~pci::k_status_interrupt) |
                                                   (m_intx ? pci::k_status_interrupt : 0));
    const bool forbidden =
        (config16(pci::k_command) & pci::k_command_intx_disable) != 0 || msi_enabled() || msix_enabled();
    const bool pin = m_intx && !forbidden && m_pin != IntxPin::none;
    if (pin != m_intx_pin) {
        m_intx_pin = pin;
        if (m_context.pci != nullptr) {
            m_context.pci->set_intx(m_address, m_pin, pin);
        }
    }
}

void PciFunction::reset() {
    const std::lock_guard lock(m_gate);
    m_config = m_reset_values;
    m_intx = false;
    if (m_msix) {
        m_msix->reset();
    }
    update_bars();
    update_intx();
}

void PciFunction::save(StateWriter& writer) const {
    writer.section(m_name + ".pci", 1);
    writer.put_bytes(std::as_bytes(std::span(m_config)));
    writer.put(m_intx);
    writer.put(m_intx_pin);
    if (m_msix) {
        m_msix->save(writer);
    }
}

void PciFunction::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(m_name + ".pci", 1);
    const std::vector<std::byte> saved = reader.get_bytes(m_config.size());
    if (std::memcmp(saved.data(), m_reset_values.data(), 4) != 0) {
        reader.fail("it belongs to another kind of device");
        return;
    }
    for (unsigned i = 0; i < m_config.size(); ++i) {
        const auto mask = static_cast<uint8_t>(m_write_mask[i] | m_write_one_clears[i]);
        m_config[i] = static_cast<uint8_t>((m_reset_values[i] & ~mask) | (static_cast<uint8_t>(saved[i]) & mask));
    }
    if (m_msi) {
        m_msi->restore_pending(load_le<uint32_t>(&saved[m_msi_offset + MsiCapability::k_pending_bits]));
    }
    m_intx = reader.get<bool>();
    m_intx_pin = reader.get<bool>();
    if (m_msix) {
        m_msix->load(reader);
        const uint8_t control = m_config[m_msix_offset + k_msix_control + 1];
        m_msix->restore_control((control & 0x80) != 0, (control & 0x40) != 0);
    }
    update_bars();
    // The interrupt controllers restore their own inputs: the wire takes its level without an edge.
    if (m_context.pci != nullptr && m_pin != IntxPin::none) {
        m_context.pci->restore_intx(m_address, m_pin, m_intx_pin);
    }
    m_config[pci::k_status] = static_cast<uint8_t>(m_config[pci::k_status] | (m_intx ? pci::k_status_interrupt : 0));
}

}  // namespace skep
