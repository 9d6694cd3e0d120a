// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/cfi_flash.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;

// Table 12 of the data sheet: what the first write of a command says.
enum Command : uint8_t {
    k_program = 0x40,
    k_program_alternate = 0x10,
    k_erase = 0x20,
    k_clear_status = 0x50,
    k_lock = 0x60,
    k_read_status = 0x70,
    k_read_identifier = 0x90,
    k_read_query = 0x98,
    k_confirm = 0xd0,
    k_write_to_buffer = 0xe8,
    k_read_array = 0xff,
};

// The status register, table 17.
constexpr uint8_t k_ready = 0x80;
constexpr uint8_t k_erase_error = 0x20;
constexpr uint8_t k_program_error = 0x10;
constexpr uint8_t k_sequence_error = k_erase_error | k_program_error;

constexpr uint8_t k_manufacturer_intel = 0x89;
constexpr uint8_t k_device_28f320j3 = 0x16;

// The query structure from 10h on (JESD68; the numbers of the chip's own size are filled in by query_byte()).
constexpr unsigned k_query_start = 0x10;
constexpr unsigned k_query_size = 0x27, k_query_buffer = 0x2a, k_query_blocks = 0x2d;
constexpr std::array<uint8_t, 0x31 - k_query_start> k_query{
    'Q',  'R',  'Y',        // 10h
    0x01, 0x00,             // 13h: Intel command set
    0x00, 0x00,             // 15h: no extended table
    0x00, 0x00, 0x00, 0x00, // 17h: no alternate command set
    0x27, 0x36,             // 1bh: VCC 2.7 to 3.6 V
    0x00, 0x00,             // 1dh: no VPP pin
    0x07, 0x07, 0x0a, 0x00, // 1fh: typically 2^n us a byte, 2^n us a buffer, 2^n ms a block, no chip erase
    0x04, 0x04, 0x04, 0x00, // 23h: at most 2^n times that
    0x00,                   // 27h: 2^n bytes
    0x00, 0x00,             // 28h: 8 bits wide
    0x00, 0x00,             // 2ah: a buffer of 2^n bytes
    0x01,                   // 2ch: one region of equal blocks:
    0x00, 0x00, 0x10, 0x00, // 2dh: blocks - 1; 30h..: of 4096 bytes (times 256)
};

}  // namespace

CfiFlash::CfiFlash(DeviceContext& context, GuestAddress address, std::span<std::byte> array,
                   std::unique_ptr<FlashStore> store)
    : m_memory(context.memory), m_address(address), m_array(array), m_store(std::move(store)) {
    m_claim = context.mmio.claim({.start = address, .size = array.size(), .max_width = 1}, *this, m_gate);
    CfiFlash::reset();
}

void CfiFlash::reset() {
    const std::lock_guard lock(m_gate);
    m_expecting = Expecting::command;
    m_status = k_ready;
    show(Mode::array);
}

void CfiFlash::pause() {
    const std::lock_guard lock(m_gate);
    if (m_store) {
        m_store->sync();
    }
}

void CfiFlash::show(Mode mode) {
    const bool was_array = m_mode == Mode::array;
    m_mode = mode;
    if (mode == Mode::array && !was_array) {
        m_memory.map({m_address, m_array.size(), m_array.data(), false});
    } else if (mode != Mode::array && was_array) {
        m_memory.unmap(m_address, m_array.size());
    }
}

uint64_t CfiFlash::io_read(uint64_t offset, unsigned /*size*/) {
    const uint64_t in_block = offset % k_block;
    switch (m_mode) {
        case Mode::array: return static_cast<uint8_t>(m_array[offset]);  // read while the map was changing
        case Mode::status: return m_status;
        case Mode::identifier:
            return in_block == 0 ? k_manufacturer_intel : in_block == 1 ? k_device_28f320j3 : 0;  // 2: block not locked
        case Mode::query: break;
    }
    if (offset < k_query_start || offset >= k_query_start + k_query.size()) {
        return 0;
    }
    switch (offset) {
        case k_query_size: return std::bit_width(m_array.size() - 1);
        case k_query_buffer: return std::bit_width(k_buffer - 1);
        case k_query_blocks: return bits(m_array.size() / k_block - 1, 0, 8);
        case k_query_blocks + 1: return bits(m_array.size() / k_block - 1, 8, 8);
        default: return k_query[offset - k_query_start];
    }
}

void CfiFlash::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    switch (m_expecting) {
        case Expecting::command: command(byte); break;
        case Expecting::program:
            program(offset, {&byte, 1});
            finish(0);
            break;
        case Expecting::erase: confirm_erase(offset, byte); break;
        case Expecting::lock: finish(byte == 0x01 || byte == k_confirm ? 0 : k_sequence_error); break;
        case Expecting::count:
            if (byte >= k_buffer) {
                finish(k_sequence_error);
                break;
            }
            m_buffer_size = static_cast<uint8_t>(byte + 1);
            m_buffer_used = 0;
            m_expecting = Expecting::data;
            break;
        case Expecting::data: take_buffer_byte(offset, byte); break;
        case Expecting::confirm: write_buffer(byte); break;
    }
}

void CfiFlash::command(uint8_t value) {
    switch (value) {
        case k_read_array: show(Mode::array); break;
        case k_read_identifier: show(Mode::identifier); break;
        case k_read_query: show(Mode::query); break;
        case k_read_status: show(Mode::status); break;
        case k_clear_status:
            m_status = 0;  // see the head of the header
            show(Mode::status);
            break;
        case k_program:
        case k_program_alternate:
            m_expecting = Expecting::program;
            show(Mode::status);
            break;
        case k_erase:
            m_expecting = Expecting::erase;
            show(Mode::status);
            break;
        case k_lock:
            m_expecting = Expecting::lock;
            show(Mode::status);
            break;
        case k_write_to_buffer:
            m_expecting = Expecting::count;
            m_status |= k_ready;  // the buffer is free
            show(Mode::status);
            break;
        default: break;  // reserved: the data sheet promises nothing, parts go on as they were
    }
}

void CfiFlash::finish(uint8_t errors) {
    m_status |= k_ready | errors;
    m_expecting = Expecting::command;
    show(Mode::status);
}

void CfiFlash::confirm_erase(uint64_t offset, uint8_t value) {
    if (value != k_confirm) {
        finish(k_sequence_error);
        return;
    }
    const uint64_t block = align_down(offset, k_block);
    std::ranges::fill(m_array.subspan(block, k_block), std::byte{0xff});
    changed(block, k_block);
    finish(0);
}

// The first byte says where the buffer goes; the others must lie in the same run of k_buffer bytes.
void CfiFlash::take_buffer_byte(uint64_t offset, uint8_t value) {
    if (m_buffer_used == 0) {
        m_buffer_offset = offset;
        m_buffer.fill(0xff);
    }
    const uint64_t place = offset - m_buffer_offset;
    if (offset < m_buffer_offset || place >= k_buffer || align_down(offset, k_buffer) != align_down(m_buffer_offset, k_buffer)) {
        finish(k_sequence_error);
        return;
    }
    m_buffer[place] = value;
    if (++m_buffer_used == m_buffer_size) {
        m_expecting = Expecting::confirm;
    }
}

void CfiFlash::write_buffer(uint8_t value) {
    if (value != k_confirm) {
        finish(k_sequence_error);
        return;
    }
    const uint64_t room = align_down(m_buffer_offset, k_buffer) + k_buffer - m_buffer_offset;
    program(m_buffer_offset, std::span(m_buffer).first(room));
    finish(0);
}

// Programming turns ones into zeros; only erasing makes ones again.
void CfiFlash::program(uint64_t offset, std::span<const uint8_t> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
        m_array[offset + i] &= std::byte{bytes[i]};
    }
    changed(offset, bytes.size());
}

void CfiFlash::changed(uint64_t offset, uint64_t size) {
    m_memory.mark_host_written(&m_array[offset], size);
    if (m_store) {
        m_store->written(offset, m_array.subspan(offset, size));
    }
}

void CfiFlash::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put_bytes(m_array);
    writer.put(m_mode);
    writer.put(m_expecting);
    writer.put(m_status);
    for (const uint8_t byte : m_buffer) {
        writer.put(byte);
    }
    writer.put(m_buffer_offset);
    writer.put(m_buffer_size);
    writer.put(m_buffer_used);
}

void CfiFlash::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    const std::vector<std::byte> content = reader.get_bytes(m_array.size());
    const auto mode = reader.get<uint8_t>();
    const auto expecting = reader.get<uint8_t>();
    reader.get(m_status);
    for (uint8_t& byte : m_buffer) {
        reader.get(byte);
    }
    reader.get(m_buffer_offset);
    reader.get(m_buffer_size);
    reader.get(m_buffer_used);
    if (mode > static_cast<uint8_t>(Mode::query) || expecting > static_cast<uint8_t>(Expecting::confirm) ||
        m_buffer_offset >= m_array.size() || m_buffer_size > k_buffer || m_buffer_used > m_buffer_size) {
        reader.fail("no state of a flash chip");
    }
    if (!reader.ok()) {
        return;
    }
    std::ranges::copy(content, m_array.begin());
    changed(0, m_array.size());
    m_expecting = static_cast<Expecting>(expecting);
    show(static_cast<Mode>(mode));
}

}  // namespace skep
