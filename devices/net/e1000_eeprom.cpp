// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/e1000_eeprom.hpp"

#include "devices/net/e1000_regs.hpp"

namespace skep {

using namespace e1000;

namespace {

constexpr unsigned k_command_bits = 9;
constexpr unsigned k_write_bits = k_command_bits + 16;
constexpr unsigned k_checksum_word = 0x3f;
constexpr uint16_t k_checksum = 0xbaba;  // of all words (5.6.35)
constexpr uint32_t k_driver_bits = k_eecd_sk | k_eecd_cs | k_eecd_di | k_eecd_fwe | k_eecd_req;
enum Opcode : unsigned { k_extended = 0, k_write = 1, k_read = 2, k_erase = 3 };
enum Extended : unsigned { k_ewds = 0, k_ewen = 3 };  // the upper two bits of the address

}  // namespace

E1000Eeprom::E1000Eeprom(const Mac& mac) {
    m_content.fill(0xffff);
    for (unsigned word = 0; word < 3; ++word) {
        m_content[word] = static_cast<uint16_t>(mac[2 * word] | mac[2 * word + 1] << 8);
    }
    m_content[0x0a] = 0x4408;  // initialization control 1: the identity below is loaded, of 64 words
    m_content[0x0b] = 0x001e;  // subsystem
    m_content[0x0c] = 0x8086;
    m_content[0x0d] = 0x100e;
    m_content[0x0e] = 0x8086;
    m_content[0x0f] = 0x3040;  // initialization control 2
    uint16_t sum = 0;
    for (unsigned word = 0; word < k_checksum_word; ++word) {
        sum = static_cast<uint16_t>(sum + m_content[word]);
    }
    m_content[k_checksum_word] = static_cast<uint16_t>(k_checksum - sum);
}

E1000Eeprom::Mac E1000Eeprom::mac() const {
    Mac mac{};
    for (unsigned byte = 0; byte < mac.size(); ++byte) {
        mac[byte] = static_cast<uint8_t>(m_content[byte / 2] >> (byte % 2 * 8));
    }
    return mac;
}

void E1000Eeprom::reset_wires() {
    m_eecd = 0;
    m_out = true;
    m_may_write = false;
    m_shift = 0;
    m_taken = 0;
    m_reading = false;
}

uint32_t E1000Eeprom::read_eecd() const {
    const uint32_t granted = (m_eecd & k_eecd_req) != 0 ? k_eecd_gnt : 0;
    return m_eecd | granted | k_eecd_pres | (m_out ? k_eecd_do : 0);
}

void E1000Eeprom::write_eecd(uint32_t value) {
    const uint32_t before = m_eecd;
    m_eecd = value & k_driver_bits;
    if ((m_eecd & k_eecd_cs) == 0) {
        m_taken = 0;
        m_shift = 0;
        m_reading = false;
        m_out = true;
    } else if ((m_eecd & k_eecd_sk) != 0 && (before & k_eecd_sk) == 0) {
        clock_in();
    }
}

// The clock's rising edge.
void E1000Eeprom::clock_in() {
    if (m_reading) {
        if (m_bits_left == 0) {  // the words behind follow by themselves
            m_address = static_cast<uint8_t>((m_address + 1) % k_words);
            m_bits_left = 16;
        }
        --m_bits_left;
        m_out = (m_content[m_address] >> m_bits_left & 1) != 0;
        return;
    }
    const uint32_t in = (m_eecd & k_eecd_di) != 0 ? 1 : 0;
    if (m_taken == 0 && in == 0) {
        return;  // no start bit yet
    }
    m_shift = m_shift << 1 | in;
    ++m_taken;
    execute();
}

void E1000Eeprom::execute() {
    if (m_taken < k_command_bits) {
        return;
    }
    const uint32_t command = m_shift >> (m_taken - k_command_bits);
    const unsigned opcode = command >> 6 & 3;
    const auto address = static_cast<uint8_t>(command & 0x3f);
    if (opcode == k_write && m_taken < k_write_bits) {
        return;
    }
    if (opcode == k_read) {
        m_reading = true;
        m_address = address;
        m_bits_left = 16;
        m_out = false;  // a zero comes before the word
    } else if (opcode == k_extended) {
        m_may_write = address >> 4 == k_ewen || (address >> 4 != k_ewds && m_may_write);
    } else if (m_may_write) {
        m_content[address] = opcode == k_write ? static_cast<uint16_t>(m_shift) : uint16_t{0xffff};
    }
    m_taken = 0;
    m_shift = 0;
}

uint32_t E1000Eeprom::eerd(uint32_t written) const {
    const uint32_t address = written >> 8 & 0xff;
    if ((written & k_eerd_start) == 0) {
        return address << 8;
    }
    const uint32_t word = address < k_words ? m_content[address] : 0xffffU;
    return word << 16 | address << 8 | k_eerd_done;
}

void E1000Eeprom::save(StateWriter& writer) const {
    for (const uint16_t word : m_content) {
        writer.put(word);
    }
    writer.put(m_eecd);
    for (const bool flag : {m_out, m_may_write, m_reading}) {
        writer.put(static_cast<uint8_t>(flag ? 1 : 0));
    }
    writer.put(m_shift);
    writer.put(m_taken);
    writer.put(m_address);
    writer.put(m_bits_left);
}

void E1000Eeprom::load(StateReader& reader) {
    for (uint16_t& word : m_content) {
        reader.get(word);
    }
    m_eecd = reader.get<uint32_t>() & k_driver_bits;
    for (bool* const flag : {&m_out, &m_may_write, &m_reading}) {
        *flag = reader.get<uint8_t>() != 0;
    }
    reader.get(m_shift);
    m_taken = reader.get<uint8_t>();
    m_address = reader.get<uint8_t>();
    m_bits_left = reader.get<uint8_t>();
    if (m_taken >= k_write_bits || m_address >= k_words || m_bits_left > 16) {
        reader.fail("the EEPROM's wires are in no state they can be in");
        reset_wires();
        m_address = 0;
        m_bits_left = 0;
    }
}

}  // namespace skep
