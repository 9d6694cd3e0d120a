// SPDX-License-Identifier: GPL-3.0-or-later
// Registers, resets and the command list; FIS and host I/O are in ahci_port_io.cpp.
#include "devices/storage/ahci_port.hpp"

#include <algorithm>
#include <vector>

#include "vmm/base/bits.hpp"

namespace skep {

using namespace ahci;
using ata::AtaCommandPtr;

namespace {

constexpr unsigned k_max_prds = 1024;           // budget of one command; drivers use at most some hundred
constexpr uint64_t k_max_transfer = 32 << 20;  // 65536 sectors

constexpr uint64_t with_low(uint64_t address, uint32_t low) { return (address & ~uint64_t{0xffff'ffff}) | low; }
constexpr uint64_t with_high(uint64_t address, uint32_t high) {
    return (address & 0xffff'ffff) | uint64_t{high} << 32;
}

}  // namespace

uint32_t AhciPort::read(unsigned reg) const {
    switch (reg) {
        case k_px_clb: return static_cast<uint32_t>(m_clb);
        case k_px_clbu: return static_cast<uint32_t>(m_clb >> 32);
        case k_px_fb: return static_cast<uint32_t>(m_fb);
        case k_px_fbu: return static_cast<uint32_t>(m_fb >> 32);
        case k_px_is: return m_is;
        case k_px_ie: return m_ie;
        case k_px_cmd:
            return m_cmd | k_cmd_sud | k_cmd_pod | ((m_cmd & k_cmd_fre) != 0 ? k_cmd_fr : 0) |
                   ((m_cmd & k_cmd_st) != 0 ? m_last_slot << k_cmd_ccs_shift : 0) |
                   ((m_cmd & k_cmd_st) != 0 || m_orphans != 0 ? k_cmd_cr : 0);
        case k_px_tfd: return m_tfd;
        case k_px_sig: return m_sig;
        case k_px_ssts: return m_device && (m_sctl & k_sctl_det_mask) != 4 ? k_ssts_active : 0;
        case k_px_sctl: return m_sctl;
        case k_px_serr: return m_serr;
        case k_px_sact: return m_sact;
        case k_px_ci: return m_ci;
        default: return 0;
    }
}

void AhciPort::write(unsigned reg, uint32_t value) {
    switch (reg) {
        case k_px_clb: m_clb = with_low(m_clb, value & ~0x3ffU); break;
        case k_px_clbu: m_clb = with_high(m_clb, value); break;
        case k_px_fb: m_fb = with_low(m_fb, value & ~0xffU); break;
        case k_px_fbu: m_fb = with_high(m_fb, value); break;
        case k_px_is:
            m_is &= ~value;
            m_controller.interrupt_changed();
            break;
        case k_px_ie:
            m_ie = value & k_is_mask;
            m_controller.interrupt_changed();
            break;
        case k_px_cmd: write_cmd(value); break;
        case k_px_sctl: write_sctl(value & k_sctl_writable); break;
        case k_px_serr: m_serr &= ~value; break;
        case k_px_sact:
            if ((m_cmd & k_cmd_st) != 0) {
                m_sact |= value;
            }
            break;
        case k_px_ci:
            if ((m_cmd & k_cmd_st) != 0) {
                m_ci |= value;
                process_list();
            }
            break;
        default: break;  // read-only, reserved, or of features that CAP does not offer
    }
}

void AhciPort::write_cmd(uint32_t value) {
    const uint32_t before = m_cmd;
    m_cmd = value & k_cmd_writable;  // PxCMD.ICC is done with at once and reads as idle
    if ((value & k_cmd_clo) != 0) {
        m_tfd &= ~uint32_t{ata::k_status_bsy | ata::k_status_drq};
    }
    if ((m_cmd & k_cmd_fre) != 0 && (before & k_cmd_fre) == 0) {
        send_signature();
    }
    if ((m_cmd & k_cmd_st) != 0 && (before & k_cmd_st) == 0) {
        start();
    } else if ((m_cmd & k_cmd_st) == 0 && (before & k_cmd_st) != 0) {
        stop();
    }
}

void AhciPort::start() {
    m_last_slot = k_slot_count - 1;
    m_halted = false;
    process_list();
}

// PxCMD.CR stays set until the host's I/O for the commands given up has ended (read()).
void AhciPort::stop() {
    give_up_commands();
    m_ci = 0;
    m_sact = 0;
    m_halted = false;
    if (m_orphans == 0 && !m_srst) {
        m_tfd &= ~uint32_t{ata::k_status_bsy};
    }
}

void AhciPort::write_sctl(uint32_t value) {
    const uint32_t before = m_sctl & k_sctl_det_mask;
    m_sctl = value;
    if (before == 1 && (value & k_sctl_det_mask) == 0) {
        link_reset();
    }
}

// COMRESET: the device starts anew and reports its signature (10.4.2).
void AhciPort::link_reset() {
    give_up_commands();
    m_ci = 0;
    m_sact = 0;
    m_halted = false;
    m_srst = false;
    m_last_slot = k_slot_count - 1;
    m_tfd = k_tfd_idle;
    m_sig = k_sig_none;
    m_signature_due = m_device != nullptr;
    if (m_device) {
        m_device->reset();
        send_signature();
    }
}

void AhciPort::reset(ResetKind kind) {
    m_is = m_ie = m_cmd = m_sctl = m_serr = 0;
    if (kind == ResetKind::power_on) {
        m_clb = m_fb = 0;
        m_stopped = false;
    }
    link_reset();
}

void AhciPort::send_signature() {
    if (!m_signature_due || (m_cmd & k_cmd_fre) == 0 || m_orphans != 0) {
        return;
    }
    m_signature_due = false;
    m_sig = m_device->signature();
    const ata::AtaResult result{.status = m_device->reset_status(),
                                .error = ata::k_diagnostics_passed,
                                .count = m_sig & 0xff,
                                .lba = m_sig >> 8};
    register_fis(nullptr, result, false);
}

void AhciPort::give_up_commands() {
    ++m_generation;
    m_orphans += m_in_flight;
    m_in_flight = 0;
    m_active = 0;
    m_exclusive = false;
}

void AhciPort::orphan_done() {
    if (--m_orphans != 0) {
        return;
    }
    if ((m_tfd & ata::k_status_bsy) != 0 && m_active == 0) {
        m_tfd = ata::k_status_ready;  // the device has finished what nobody waits for
    }
    send_signature();
    m_controller.became_idle();
    process_list();
}

void AhciPort::resume() {
    m_stopped = false;
    process_list();
}

bool AhciPort::running() const {
    return m_device && (m_cmd & k_cmd_st) != 0 && !m_stopped && !m_halted && m_orphans == 0 && !m_exclusive &&
           m_controller.may_use_memory();
}

unsigned AhciPort::next_slot(uint32_t waiting) const {
    unsigned slot = m_last_slot;
    do {
        slot = (slot + 1) % k_slot_count;
    } while ((waiting & bit(slot)) == 0);
    return slot;
}

// Bounded: each turn takes one of 32 slots, which only a later register write can set again.
void AhciPort::process_list() {
    if (m_processing) {
        return;
    }
    m_processing = true;
    for (unsigned turn = 0; turn < k_slot_count && running(); ++turn) {
        const uint32_t waiting = m_ci & ~m_active;
        if (waiting == 0 || take(next_slot(waiting)) == Issue::wait) {
            break;
        }
    }
    m_processing = false;
}

AhciPort::Issue AhciPort::take(unsigned slot) {
    std::array<uint8_t, k_header_size> header{};
    std::array<uint8_t, k_table_packet + 16> table{};
    const bool got_header = memory().read(m_clb + slot * k_header_size, header.data(), header.size());
    const uint64_t table_address = load_le<uint64_t>(&header[8]) & ~uint64_t{0x7f};
    if (!got_header || !memory().read(table_address, table.data(), table.size())) {
        m_controller.guest_errors.report("port {}: command list or table of slot {} is not in memory", m_index, slot);
        fatal(k_is_hbfs);
        return Issue::taken;
    }
    if (table[0] != k_fis_register_to_device) {
        m_controller.guest_errors.report("port {}: slot {} holds FIS type {:#x}", m_index, slot, table[0]);
        fatal(k_is_ifs);
        return Issue::taken;
    }
    if ((table[1] & k_fis_command) == 0) {
        if (m_active != 0) {
            give_up_commands();  // a software reset ends what the device is doing
        }
        m_last_slot = slot;
        control_fis(slot, table[15]);
        return Issue::taken;
    }
    const bool queued = m_device->is_queued(table[2]);
    if (m_active != 0 && !queued) {
        return Issue::wait;
    }
    auto command = std::make_shared<ata::AtaCommand>();
    command->slot = slot;
    command->generation = m_generation;
    command->command = table[2];
    command->features = static_cast<uint16_t>(table[3] | table[11] << 8);
    command->lba = load_le<uint32_t>(&table[4]) & 0xff'ffff;
    command->lba |= uint64_t{load_le<uint32_t>(&table[8]) & 0xff'ffff} << 24;
    command->device = table[7];
    command->count = load_le<uint16_t>(&table[12]);
    std::copy_n(&table[k_table_packet], command->packet.size(), command->packet.begin());
    m_last_slot = slot;
    if (!read_prdt(*command, table_address + k_table_prdt, load_le<uint16_t>(&header[2]))) {
        return Issue::taken;
    }
    m_active |= static_cast<uint32_t>(bit(slot));
    m_exclusive = !queued;
    if (queued) {
        m_ci &= ~static_cast<uint32_t>(bit(slot));  // the device has queued it and is free for the next
        m_sact |= static_cast<uint32_t>(bit(slot));
    } else {
        m_tfd = ata::k_status_bsy | ata::k_status_drdy;
    }
    m_device->execute(command);
    return Issue::taken;
}

bool AhciPort::read_prdt(ata::AtaCommand& command, uint64_t table, unsigned entries) {
    if (entries > k_max_prds) {
        m_controller.guest_errors.report("port {}: a command with {} PRDs", m_index, entries);
        fatal(k_is_ifs);
        return false;
    }
    std::vector<uint8_t> prds(size_t{entries} * k_prd_size);
    if (!memory().read(table, prds.data(), prds.size())) {
        m_controller.guest_errors.report("port {}: a PRD table outside memory", m_index);
        fatal(k_is_hbfs);
        return false;
    }
    for (size_t at = 0; at < prds.size() && command.data.size() < k_max_transfer; at += k_prd_size) {
        const uint64_t address = load_le<uint64_t>(&prds[at]) & ~uint64_t{1};
        const uint64_t size = (load_le<uint32_t>(&prds[at + 12]) & 0x3f'ffff) + 1;
        command.data.add(address, align_up(size, 2));
    }
    return true;
}

// Device control: SRST set and cleared again is a software reset (10.4.1).
void AhciPort::control_fis(unsigned slot, uint8_t control) {
    m_ci &= ~static_cast<uint32_t>(bit(slot));
    const bool srst = (control & k_control_srst) != 0;
    if (srst) {
        m_srst = true;
        m_tfd = ata::k_status_bsy;
    } else if (m_srst) {
        m_srst = false;
        m_device->reset();
        m_signature_due = true;
        send_signature();
    }
}

void AhciPort::save(StateWriter& writer) const {
    writer.put(m_device ? m_device->signature() : k_sig_none);
    writer.put(m_clb);
    writer.put(m_fb);
    // Queued commands that the host still holds (no space) are read from the command list again after a load.
    for (const uint32_t value : {m_is, m_ie, m_cmd, m_tfd, m_sig, m_sctl, m_serr, m_sact, m_ci | m_active}) {
        writer.put(value);
    }
    writer.put(m_halted);
    writer.put(m_signature_due);
    writer.put(m_srst);
    writer.put(static_cast<uint8_t>(m_last_slot));
    if (m_device) {
        m_device->save(writer);
    }
}

void AhciPort::load(StateReader& reader) {
    if (reader.get<uint32_t>() != (m_device ? m_device->signature() : k_sig_none)) {
        reader.fail("another drive is attached");
        return;
    }
    give_up_commands();
    m_clb = reader.get<uint64_t>() & ~uint64_t{0x3ff};
    m_fb = reader.get<uint64_t>() & ~uint64_t{0xff};
    for (uint32_t* value : {&m_is, &m_ie, &m_cmd, &m_tfd, &m_sig, &m_sctl, &m_serr, &m_sact, &m_ci}) {
        reader.get(*value);
    }
    m_is &= k_is_mask;
    m_ie &= k_is_mask;
    m_cmd &= k_cmd_writable;
    m_sctl &= k_sctl_writable;
    reader.get(m_halted);
    m_signature_due = reader.get<bool>() && m_device;
    reader.get(m_srst);
    m_last_slot = reader.get<uint8_t>() % k_slot_count;
    if (m_device) {
        m_device->load(reader);
    }
}

}  // namespace skep
