// SPDX-License-Identifier: GPL-3.0-or-later
// The card's registers, through memory and through the two I/O ports (8254x manual 317453, chapter 13; 13.2.2 for I/O).
#include <algorithm>

#include "devices/net/e1000.hpp"

namespace skep {

using namespace e1000;

namespace {

constexpr unsigned k_io_bar = 2;
constexpr uint64_t k_ioaddr = 0;
constexpr uint64_t k_iodata = 4;
constexpr uint32_t k_ring_length = 0xf'ff80;
constexpr uint32_t k_phy_address = 1;

// Which bits of a register that only keeps its value are kept; 0 where there is none.
uint32_t kept_bits(uint32_t offset) {
    const auto within = [offset](uint32_t from, uint32_t to) { return offset >= from && offset < to; };
    if (within(k_mta, k_mta_end) || within(k_ra, k_ra_end) || within(k_vfta, k_vfta_end) ||
        within(k_ip4at, k_wakeup_end)) {
        return ~0U;
    }
    switch (offset) {
        case k_rdbal:
        case k_tdbal: return ~0xfU;
        case k_rdlen:
        case k_tdlen: return k_ring_length;
        case k_rdh:
        case k_rdt:
        case k_tdh:
        case k_tdt:
        case k_itr:
        case k_tidv:
        case k_tadv:
        case k_radv:
        case k_vet:
        case k_fct:
        case k_fcttv:
        case k_ait: return 0xffff;
        case k_rdtr: return 0xffff;  // FPD is not kept
        case k_rsrpd: return 0xfff;
        case k_pba: return 0x0000'ffff;  // the rest follows from it
        case k_rctl: return ~(1U << 0 | 1U << 21 | 0xf800'0000U);
        case k_rxcsum: return 0x7ff;
        case k_ctrl_ext:
        case k_fcal:
        case k_fcah:
        case k_txcw:
        case k_tctl:
        case k_tipg:
        case k_ledctl:
        case k_fcrtl:
        case k_fcrth:
        case k_rdbah:
        case k_rxdctl:
        case k_txdmac:
        case k_tdbah:
        case k_txdctl:
        case k_tspmt:
        case k_wuc:
        case k_wufc:
        case k_manc:
        case k_ipav: return ~0U;
        default: return 0;
    }
}

}  // namespace

uint64_t E1000::bar_read(unsigned bar, uint64_t offset, unsigned /*size*/) {
    if (bar != k_io_bar) {
        return read_register(static_cast<uint32_t>(offset));
    }
    switch (offset) {
        case k_ioaddr: return m_io_address;
        case k_iodata: return read_register(m_io_address & ~3U);
        default: return 0;
    }
}

void E1000::bar_write(unsigned bar, uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto word = static_cast<uint32_t>(value);
    if (bar != k_io_bar) {
        write_register(static_cast<uint32_t>(offset), word);
    } else if (offset == k_ioaddr) {
        m_io_address = word & 0x1'ffff;
    } else if (offset == k_iodata) {
        write_register(m_io_address & ~3U, word);
    }
}

uint32_t E1000::read_register(uint32_t offset) {
    if (offset >= k_file_bytes) {
        return 0;
    }
    switch (offset) {
        case k_ctrl_again: return reg(k_ctrl);
        case k_status:
            return k_status_fd | (m_phy.link() ? k_status_lu | k_status_speed_1000 | k_status_asdv_1000 : 0);
        case k_eecd: return m_eeprom.read_eecd();
        case k_icr: {
            const uint32_t causes = reg(k_icr);
            reg(k_icr) = 0;
            update_interrupt();
            return causes;
        }
        case k_ics: return reg(k_icr);
        default: break;
    }
    const uint32_t value = reg(offset);
    if (offset >= k_statistics && offset < k_statistics_end) {
        reg(offset) = 0;
    }
    return value;
}

void E1000::write_register(uint32_t offset, uint32_t value) {
    switch (offset) {
        case k_ctrl:
        case k_ctrl_again: write_control(value); break;
        case k_eecd: m_eeprom.write_eecd(value); break;
        case k_eerd: reg(k_eerd) = m_eeprom.eerd(value); break;
        case k_mdic: write_mdic(value); break;
        case k_icr:
            reg(k_icr) &= ~value;
            update_interrupt();
            break;
        case k_ics: set_cause(value); break;
        case k_ims:
            reg(k_ims) |= value & k_int_all;
            update_interrupt();
            break;
        case k_imc:
            reg(k_ims) &= ~value;
            update_interrupt();
            break;
        case k_wus: reg(k_wus) &= ~value; break;
        default:
            if (offset < k_file_bytes) {
                write_plain(offset, value);
            }
    }
}

void E1000::write_plain(uint32_t offset, uint32_t value) {
    const uint32_t kept = kept_bits(offset);
    if (kept == 0) {
        return;
    }
    reg(offset) = value & kept;
    switch (offset) {
        case k_pba: reg(k_pba) |= (0x40 - std::min(value & 0xffff, 0x40U)) << 16; break;  // of 64 KiB the rest sends
        case k_tdt:
        case k_tctl: transmit(); break;
        case k_rdt:
        case k_rctl:
            if (m_card_waits) {
                m_card_waits = false;
                m_cable->card_ready();
            }
            break;
        case k_rdtr:
            if ((value & k_rdtr_fpd) != 0 && m_deadlines[k_received] != k_never) {
                m_deadlines[k_received] = 0;
                schedule();
            }
            break;
        default: break;
    }
}

void E1000::write_control(uint32_t value) {
    if ((value & k_ctrl_phy_rst) != 0) {
        m_phy.reset();
    }
    if ((value & k_ctrl_rst) != 0) {
        reset_mac();
        return;
    }
    reg(k_ctrl) = value & ~(k_ctrl_rst | k_ctrl_phy_rst);
    if ((value & k_ctrl_phy_rst) != 0) {
        link_came_or_went();
    }
}

void E1000::write_mdic(uint32_t value) {
    const uint32_t number = value >> 16 & 0x1f;
    const uint32_t phy = value >> 21 & 0x1f;
    uint32_t result = value & ~(k_mdic_ready | k_mdic_error);
    bool link_moved = false;
    if (phy != k_phy_address) {
        result |= k_mdic_error;
    } else if ((value & k_mdic_op) == k_mdic_read) {
        result = (result & ~0xffffU) | m_phy.read(number);
    } else if ((value & k_mdic_op) == k_mdic_write) {
        link_moved = m_phy.write(number, static_cast<uint16_t>(value));
    } else {
        result |= k_mdic_error;
    }
    reg(k_mdic) = result | k_mdic_ready;
    if (link_moved) {
        link_came_or_went();
    }
    if ((value & k_mdic_interrupt) != 0) {
        set_cause(k_int_mdac);
    }
}

// Counters stay at their largest value until they are read.
void E1000::count(uint32_t statistic, uint32_t by) {
    uint32_t& value = reg(statistic);
    value = value > ~by ? ~0U : value + by;
}

void E1000::count_long(uint32_t statistic, uint64_t by) {
    const uint64_t value = (uint64_t{reg(statistic + 4)} << 32 | reg(statistic)) + by;
    reg(statistic) = static_cast<uint32_t>(value);
    reg(statistic + 4) = static_cast<uint32_t>(value >> 32);
}

// The six counters by size, of the frame with its CRC.
void E1000::count_size(uint32_t first, size_t bytes) {
    constexpr std::array<size_t, 5> k_limits{64, 127, 255, 511, 1023};
    unsigned index = 0;
    while (index < k_limits.size() && bytes > k_limits[index]) {
        ++index;
    }
    count(first + 4 * index);
}

}  // namespace skep
