// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/xhci_port.hpp"

namespace skep::xhci {
namespace {

constexpr uint32_t k_portpmsc_mask = 0x1ffff;  // timeouts or L1 fields: kept
constexpr uint32_t k_porthlpmc_mask = 0x3fff;

}  // namespace

void RootPort::reset() {
    m_portsc = k_portsc_pp;
    m_portpmsc = 0;
    m_porthlpmc = 0;
    set_link(k_link_rx_detect);
    if (m_device != nullptr) {
        m_device->reset();
        appear();
        m_portsc |= k_portsc_csc;
    }
}

// A SuperSpeed link trains by itself (4.19.1.2); a USB 2 device waits for the port's reset.
void RootPort::appear() {
    m_portsc |= k_portsc_ccs;
    set_speed(static_cast<uint32_t>(m_device->speed()));
    if (is_usb3()) {
        m_portsc |= k_portsc_ped;
        set_link(k_link_u0);
    } else {
        set_link(k_link_polling);
    }
}

void RootPort::connect(UsbDevice* device) {
    m_device = device;
    m_portsc &= ~(k_portsc_ccs | k_portsc_ped | k_portsc_speed);
    set_link(k_link_rx_detect);
    if (device != nullptr) {
        appear();
    }
    change(k_portsc_csc);
}

void RootPort::change(uint32_t bits) {
    const bool fresh = (bits & ~m_portsc) != 0;
    m_portsc |= bits;
    if (fresh) {
        m_controller.changed(m_number);
    }
}

void RootPort::wake() {
    if (link() == k_link_u3 && enabled_device() != nullptr) {
        set_link(k_link_resume);
        change(k_portsc_plc);
    }
}

uint32_t RootPort::read(unsigned reg) const {
    switch (reg) {
        case k_portsc: return m_portsc;
        case k_portpmsc: return m_portpmsc;
        case k_porthlpmc: return m_porthlpmc;
        default: return 0;
    }
}

void RootPort::write(unsigned reg, uint32_t value) {
    switch (reg) {
        case k_portsc: write_portsc(value); break;
        case k_portpmsc: m_portpmsc = value & k_portpmsc_mask; break;
        case k_porthlpmc: m_porthlpmc = value & k_porthlpmc_mask; break;
        default: break;
    }
}

void RootPort::write_portsc(uint32_t value) {
    m_portsc &= ~(value & k_portsc_changes);
    m_portsc = (m_portsc & ~k_portsc_wake) | (value & k_portsc_wake);
    if ((value & k_portsc_wpr) != 0 && is_usb3()) {
        reset_link(k_portsc_prc | k_portsc_wrc);
        return;
    }
    if ((value & k_portsc_pr) != 0) {
        reset_link(k_portsc_prc);
        return;
    }
    if ((value & k_portsc_ped) != 0) {
        disable();
        return;
    }
    if ((value & k_portsc_lws) != 0) {
        write_link((value & k_portsc_pls) >> k_portsc_pls_shift);
    }
}

// Done at once: PR never reads as 1.
void RootPort::reset_link(uint32_t changes) {
    if (m_device == nullptr) {
        return;
    }
    m_device->reset();
    m_portsc |= k_portsc_ped;
    set_link(k_link_u0);
    change(changes);
}

void RootPort::disable() {
    if ((m_portsc & k_portsc_ped) == 0) {
        return;
    }
    m_portsc &= ~k_portsc_ped;
    set_link(is_usb3() ? k_link_disabled : k_link_polling);
}

void RootPort::write_link(uint32_t state) {
    const uint32_t before = link();
    const bool enabled = (m_portsc & k_portsc_ped) != 0;
    if (state == k_link_u0 && enabled && before != k_link_u0) {
        set_link(k_link_u0);
        change(k_portsc_plc);
        m_controller.resumed(m_number);
    } else if ((state == k_link_u3 || state == k_link_u2) && enabled && before <= k_link_u3) {
        set_link(state);
    } else if (state == k_link_resume && enabled && before == k_link_u3 && !is_usb3()) {
        set_link(k_link_resume);  // the driver goes to U0 after twenty milliseconds
    } else if (state == k_link_disabled && is_usb3()) {
        disable();
        set_link(k_link_disabled);
    } else if (state == k_link_rx_detect && is_usb3() && before == k_link_disabled) {
        set_link(k_link_rx_detect);
        if (m_device != nullptr) {
            connect(m_device);
        }
    }
}

void RootPort::save(StateWriter& writer) const {
    writer.put(m_portsc);
    writer.put(m_portpmsc);
    writer.put(m_porthlpmc);
}

void RootPort::load(StateReader& reader) {
    m_portsc = (reader.get<uint32_t>() & ~(k_portsc_pr | k_portsc_wpr | k_portsc_lws)) | k_portsc_pp;
    m_portpmsc = reader.get<uint32_t>() & k_portpmsc_mask;
    m_porthlpmc = reader.get<uint32_t>() & k_porthlpmc_mask;
    if (((m_portsc & k_portsc_ccs) != 0) != (m_device != nullptr)) {
        reader.fail("a USB port has a device that is not there, or lacks one that is");
    }
}

}  // namespace skep::xhci
