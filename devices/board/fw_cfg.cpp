// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/fw_cfg.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_key_signature = 0x0000;
constexpr uint16_t k_key_id = 0x0001;
constexpr uint16_t k_key_file_dir = 0x0019;
constexpr uint16_t k_write_channel = 0x4000;  // selector bit 14: once meant "write"; reads ignore it
constexpr uint16_t k_arch_local = 0x8000;     // selector bit 15: architecture's own items
constexpr uint32_t k_id_traditional_and_dma = 3;
constexpr std::array<uint8_t, 8> k_dma_signature{'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

constexpr uint32_t k_dma_error = 0x01;
constexpr uint32_t k_dma_read = 0x02;
constexpr uint32_t k_dma_skip = 0x04;
constexpr uint32_t k_dma_select = 0x08;
constexpr uint32_t k_dma_write = 0x10;

constexpr size_t k_directory_entry_bytes = 64;
constexpr size_t k_dma_control_bytes = 16;

// Offsets from port 0x510.
constexpr uint64_t k_data_offset = 1;
constexpr uint64_t k_dma_offset = 4;
constexpr uint64_t k_port_count = 12;

std::vector<std::byte> bytes_of(const void* data, size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    return {first, first + size};
}

}  // namespace

FwCfg::FwCfg(const DeviceContext& context) : m_memory(context.memory), m_errors("fw_cfg") {
    set_item(k_key_signature, bytes_of("QEMU", 4));
    set_item(k_key_id, bytes_of(&k_id_traditional_and_dma, sizeof k_id_traditional_and_dma));
    rebuild_directory();
    m_claim =
        context.ports.claim({.start = k_port, .size = k_port_count, .min_width = 1, .max_width = 4}, *this, m_gate);
}

void FwCfg::set_item(uint16_t key, std::vector<std::byte> content) {
    const std::lock_guard lock(m_gate);
    m_items[key] = std::move(content);
}

bool FwCfg::set_file(const std::string& name, std::vector<std::byte> content) {
    const bool is_new = m_files.find(name) == m_files.end();
    if (name.empty() || name.size() > k_max_name || content.size() > std::numeric_limits<uint32_t>::max() ||
        (is_new && m_files.size() >= k_max_files)) {
        return false;
    }
    m_files[name] = std::move(content);
    rebuild_directory();
    return true;
}

void FwCfg::rebuild_directory() {
    std::vector<std::byte> directory(sizeof(uint32_t) + m_files.size() * k_directory_entry_bytes);
    store_be(directory.data(), static_cast<uint32_t>(m_files.size()));
    m_file_order.clear();
    std::byte* entry = directory.data() + sizeof(uint32_t);
    for (const auto& [name, content] : m_files) {
        store_be(entry, static_cast<uint32_t>(content.size()));
        store_be(entry + 4, static_cast<uint16_t>(k_first_file_key + m_file_order.size()));
        std::memcpy(entry + 8, name.data(), name.size());
        m_file_order.push_back(&content);
        entry += k_directory_entry_bytes;
    }
    set_item(k_key_file_dir, std::move(directory));
}

void FwCfg::reset() {
    const std::lock_guard lock(m_gate);
    m_selector = 0;
    m_offset = 0;
    m_dma_high = 0;
}

void FwCfg::save(StateWriter& writer) const {
    writer.section(name(), 1);
    writer.put(m_selector);
    writer.put(m_offset);
    writer.put(m_dma_high);
}

void FwCfg::load(StateReader& reader) {
    reader.section(name(), 1);
    reader.get(m_selector);
    reader.get(m_offset);
    reader.get(m_dma_high);
}

void FwCfg::select(uint16_t key) {
    m_selector = key;
    m_offset = 0;
}

const std::vector<std::byte>* FwCfg::selected() const {
    const auto key = static_cast<uint16_t>(m_selector & ~k_write_channel);
    if (key >= k_first_file_key && key < k_arch_local) {
        const size_t place = key - k_first_file_key;
        return place < m_file_order.size() ? m_file_order[place] : nullptr;
    }
    const auto item = m_items.find(key);
    return item == m_items.end() ? nullptr : &item->second;
}

uint8_t FwCfg::next_byte() {
    const std::vector<std::byte>* item = selected();
    // "Reads beyond the end of an item give zeros", and so does an item that is not there.
    return item != nullptr && m_offset < item->size() ? std::to_integer<uint8_t>((*item)[m_offset++]) : uint8_t{0};
}

uint64_t FwCfg::io_read(uint64_t offset, unsigned size) {
    uint64_t value = all_ones(size);
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t where = offset + i;
        if (where == k_data_offset) {
            value = merge_bytes(value, i, 1, next_byte());
        } else if (where >= k_dma_offset) {
            value = merge_bytes(value, i, 1, k_dma_signature[where - k_dma_offset]);
        }
    }
    return value;
}

void FwCfg::io_write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset == 0) {
        select(static_cast<uint16_t>(value));
    } else if (offset == k_dma_offset && size == 4) {
        m_dma_high = byte_swap(static_cast<uint32_t>(value));
    } else if (offset == k_dma_offset + 4 && size == 4) {
        const GuestAddress control = (uint64_t{m_dma_high} << 32) | byte_swap(static_cast<uint32_t>(value));
        m_dma_high = 0;
        run_dma(control);
    } else {
        m_errors.report("write of {} bytes at port {:#x}, which takes none", size, k_port + offset);
    }
}

void FwCfg::run_dma(GuestAddress control_address) {
    std::array<std::byte, k_dma_control_bytes> raw;
    if (!m_memory.read(control_address, raw.data(), raw.size())) {
        m_errors.report("DMA control structure at {:#x} is not in memory", control_address);
        return;
    }
    const DmaControl request{.control = load_be<uint32_t>(&raw[0]),
                             .length = load_be<uint32_t>(&raw[4]),
                             .address = load_be<uint64_t>(&raw[8])};
    std::array<std::byte, sizeof(uint32_t)> status;
    store_be(status.data(), carry_out(request) ? uint32_t{0} : k_dma_error);
    if (!m_memory.write(control_address, status.data(), status.size())) {
        m_errors.report("DMA control structure at {:#x} is in read-only memory", control_address);
    }
}

// The bits are looked at in the document's order: select comes first, then one of read, write or skip.
bool FwCfg::carry_out(const DmaControl& request) {
    if ((request.control & k_dma_select) != 0) {
        select(static_cast<uint16_t>(request.control >> 16));
    }
    if ((request.control & k_dma_read) != 0) {
        return read_to_guest(request.address, request.length);
    }
    if ((request.control & k_dma_write) != 0) {
        m_errors.report("write of {} bytes to item {:#x}, which is read only", request.length, m_selector);
        return false;
    }
    if ((request.control & k_dma_skip) != 0) {
        const uint64_t skipped = uint64_t{m_offset} + request.length;
        m_offset = static_cast<uint32_t>(std::min<uint64_t>(skipped, std::numeric_limits<uint32_t>::max()));
    }
    return true;
}

bool FwCfg::read_to_guest(GuestAddress address, uint32_t length) {
    const std::vector<std::byte>* item = selected();
    const size_t there = item != nullptr && m_offset < item->size() ? item->size() - m_offset : 0;
    const auto copied = static_cast<uint32_t>(std::min<size_t>(there, length));
    if (copied != 0 && !m_memory.write(address, item->data() + m_offset, copied)) {
        m_errors.report("DMA of {} bytes to {:#x}, which is not all memory", length, address);
        return false;
    }
    m_offset += copied;
    static constexpr std::array<std::byte, k_page_size> k_zeros{};
    for (uint64_t done = copied; done < length;) {
        const uint64_t piece = std::min<uint64_t>(length - done, k_zeros.size());
        if (!m_memory.write(address + done, k_zeros.data(), piece)) {
            m_errors.report("DMA of {} bytes to {:#x}, which is not all memory", length, address);
            return false;
        }
        done += piece;
    }
    return true;
}

}  // namespace skep
