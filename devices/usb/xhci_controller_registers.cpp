// SPDX-License-Identifier: GPL-3.0-or-later
// The controller's registers (xHCI 1.1, chapter 5).
#include "devices/usb/xhci_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace xhci;

namespace {

constexpr Nanoseconds k_microframe = 125'000;
constexpr uint32_t k_page_4k = 1;
constexpr uint32_t k_dnctrl_mask = 0xffff;
constexpr uint32_t k_config_mask = 0x3ff;  // MaxSlotsEn, U3E, CIE
constexpr uint32_t k_name_usb = 0x20425355;  // "USB "

// Supported Protocol capabilities (7.2): one for the USB 2 ports, one for the USB 3 ports.
constexpr unsigned k_protocol_size = 0x10;
constexpr uint32_t k_protocol_id = 2;

uint32_t read_extended(unsigned offset) {
    const unsigned which = offset / k_protocol_size;
    if (which > 1) {
        return 0;
    }
    const bool usb3 = which == 1;
    switch (offset % k_protocol_size) {
        case 0x0: return (usb3 ? 0x03U : 0x02U) << 24 | (usb3 ? 0 : k_protocol_size / 4) << 8 | k_protocol_id;
        case 0x4: return k_name_usb;
        case 0x8: return usb3 ? k_usb3_ports << 8 | (k_usb2_ports + 1) : k_usb2_ports << 8 | 1U;
        default: return 0;  // slot type 0
    }
}

}  // namespace

uint32_t XhciController::read_capability(unsigned offset) {
    switch (offset) {
        case k_caplength: return k_hciversion << 16 | k_operational;
        case k_hcsparams1: return k_ports << 24 | k_interrupters << 8 | k_slots;
        case k_hcsparams2: return k_erst_max_log2 << 4 | 1U;  // IST: one microframe
        case k_hcsparams3: return 0;
        case k_hccparams1: return (k_extended / 4) << 16 | k_hcc_pae | k_hcc_nss | k_hcc_ac64;
        case k_dboff: return k_doorbells;
        case k_rtsoff: return k_runtime;
        default: return 0;
    }
}

uint32_t XhciController::read_operational(unsigned offset) const {
    switch (offset) {
        case k_usbcmd: return m_usbcmd;
        case k_usbsts: return m_usbsts;
        case k_pagesize: return k_page_4k;
        case k_dnctrl: return m_dnctrl;
        case k_crcr: return m_commands_run ? k_crcr_crr : 0;  // the rest reads as 0 (5.4.5)
        case k_dcbaap: return static_cast<uint32_t>(m_dcbaap);
        case k_dcbaap + 4: return static_cast<uint32_t>(m_dcbaap >> 32);
        case k_config: return m_config;
        default: return 0;
    }
}

uint32_t XhciController::microframe() const {
    if ((m_usbcmd & k_cmd_rs) == 0) {
        return 0;
    }
    const Nanoseconds now = context().clock.now();
    return static_cast<uint32_t>((now - std::min(now, m_frame_zero)) / k_microframe) & 0x3fff;
}

uint32_t XhciController::read_register(unsigned offset) const {
    if (offset < k_operational) {
        return read_capability(offset);
    }
    if (offset < k_port_registers) {
        return read_operational(offset - k_operational);
    }
    if (offset < k_port_registers + k_ports * k_port_size) {
        const unsigned at = offset - k_port_registers;
        return m_ports[at / k_port_size].read(at % k_port_size);
    }
    if (offset >= k_extended && offset < k_runtime) {
        return read_extended(offset - k_extended);
    }
    if (offset == k_runtime) {
        return microframe();
    }
    if (offset >= k_interrupter_registers && offset < k_interrupter_registers + k_interrupters * k_interrupter_size) {
        const unsigned at = offset - k_interrupter_registers;
        return m_interrupters[at / k_interrupter_size].read(at % k_interrupter_size);
    }
    return 0;
}

void XhciController::write_register(unsigned offset, uint32_t value) {
    if (offset >= k_doorbells && offset <= k_doorbells + k_slots * 4) {
        doorbell((offset - k_doorbells) / 4, value);
    } else if (offset >= k_interrupter_registers && offset < k_interrupter_registers + k_interrupters * k_interrupter_size) {
        const bool was_blocked = events_blocked();
        const unsigned at = offset - k_interrupter_registers;
        m_interrupters[at / k_interrupter_size].write(at % k_interrupter_size, value);
        if (was_blocked && !events_blocked()) {
            process();
        }
    } else if (offset >= k_port_registers && offset < k_port_registers + k_ports * k_port_size) {
        const unsigned at = offset - k_port_registers;
        m_ports[at / k_port_size].write(at % k_port_size, value);
    } else if (offset >= k_operational && offset < k_port_registers) {
        write_operational(offset - k_operational, value);
    }
}

void XhciController::write_operational(unsigned offset, uint32_t value) {
    switch (offset) {
        case k_usbcmd: write_usbcmd(value); break;
        case k_usbsts: m_usbsts &= ~(value & k_sts_write_one_clears); break;
        case k_dnctrl: m_dnctrl = value & k_dnctrl_mask; break;
        case k_crcr: write_crcr(value); break;
        case k_crcr + 4:
            if (!m_commands_run) {
                m_commands.address = (m_commands.address & 0xffff'ffff) | uint64_t{value} << 32;
            }
            break;
        case k_dcbaap: m_dcbaap = (m_dcbaap & ~uint64_t{0xffff'ffff}) | (value & ~0x3fU); break;
        case k_dcbaap + 4: m_dcbaap = (m_dcbaap & 0xffff'ffff) | uint64_t{value} << 32; break;
        case k_config: m_config = value & k_config_mask; break;
        default: break;
    }
}

void XhciController::write_usbcmd(uint32_t value) {
    if ((value & k_cmd_hcrst) != 0) {
        controller_reset();
        return;
    }
    if ((value & k_cmd_crs) != 0) {
        m_usbsts |= k_sts_sre;  // nothing was saved: the driver starts anew
    }
    const uint32_t before = m_usbcmd;
    m_usbcmd = value & k_cmd_kept;
    const bool runs = (m_usbcmd & k_cmd_rs) != 0;
    m_usbsts = (m_usbsts & ~k_sts_hch) | (runs ? 0 : k_sts_hch);
    if (!runs) {
        m_commands_run = false;
    } else if ((before & k_cmd_rs) == 0) {
        m_frame_zero = context().clock.now();
        for (unsigned port = 1; port <= k_ports; ++port) {
            if (m_ports[port - 1].has_changes()) {
                port_changed(port);
            }
        }
        process();
    }
    for (unsigned index = 0; index < k_interrupters; ++index) {
        update_interrupt(index);
    }
}

// 5.4.5: while commands run only stopping is possible.
void XhciController::write_crcr(uint32_t value) {
    if ((value & (k_crcr_cs | k_crcr_ca)) != 0) {
        if (m_commands_run) {
            stop_commands(k_command_ring_stopped);
        }
        return;
    }
    if (!m_commands_run) {
        m_commands.address = (m_commands.address & ~uint64_t{0xffff'ffff}) | (value & ~0x3fU);
        m_commands.cycle = (value & k_crcr_rcs) != 0;
    }
}

void XhciController::doorbell(unsigned slot, uint32_t value) {
    if ((m_usbcmd & k_cmd_rs) == 0) {
        guest_errors().report("doorbell {} while the controller is halted", slot);
        return;
    }
    if (slot == 0) {
        m_commands_run = true;
        m_commands_due = true;
    } else {
        const unsigned index = value & 0xff;
        Endpoint* const endpoint = index < k_endpoints ? m_slots[slot - 1].endpoint(index) : nullptr;
        if (endpoint == nullptr) {
            guest_errors().report("doorbell of slot {} for endpoint {}, which is not there", slot, index);
            return;
        }
        endpoint->ring_doorbell();
        set_due(slot, index);
    }
    process();
}

// The registers are dwords: a crossing read sees parts of two, a crossing write is not for anybody.
uint64_t XhciController::bar_read(unsigned /*bar*/, uint64_t offset, unsigned /*size*/) {
    const auto aligned = static_cast<unsigned>(offset) & ~3U;
    const unsigned shift = static_cast<unsigned>(offset & 3) * 8;
    const uint64_t low = read_register(aligned) >> shift;
    return shift == 0 ? low : low | bits(uint64_t{read_register(aligned + 4)} << (32 - shift), 0, 32);
}

void XhciController::bar_write(unsigned /*bar*/, uint64_t offset, unsigned /*size*/, uint64_t value) {
    if (offset % 4 != 0) {
        guest_errors().report("a write across two registers at {:#x}", offset);
        return;
    }
    write_register(static_cast<unsigned>(offset), static_cast<uint32_t>(value));
}

}  // namespace skep
