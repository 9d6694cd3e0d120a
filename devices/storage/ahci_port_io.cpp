// SPDX-License-Identifier: GPL-3.0-or-later
// The device's side of a port: frames to the guest, completions, and the host's I/O.
#include <algorithm>

#include "devices/storage/ahci_port.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace ahci;
using ata::AtaCommandPtr;

void AhciPort::raise(uint32_t cause) {
    m_is |= cause;
    m_controller.interrupt_changed();
}

void AhciPort::fatal(uint32_t cause) {
    m_halted = true;
    give_up_commands();
    raise(cause);
}

void AhciPort::write_received(unsigned offset, std::span<const uint8_t> fis) {
    if ((m_cmd & k_cmd_fre) == 0 || !m_controller.may_use_memory()) {
        return;
    }
    if (!memory().write(m_fb + offset, fis.data(), fis.size())) {
        m_controller.guest_errors.report("port {}: the received FIS area at {:#x} is not memory", m_index, m_fb);
    }
}

namespace {

// The register part that register and PIO setup FISes share.
std::array<uint8_t, 20> host_fis(uint8_t type, uint8_t flags, const ata::AtaCommand* command,
                                 const ata::AtaResult& result) {
    const uint64_t lba = result.lba.value_or(command != nullptr ? command->lba : 0);
    const uint16_t count = result.count.value_or(command != nullptr ? command->count : 0);
    std::array<uint8_t, 20> fis{};
    fis[0] = type;
    fis[1] = flags;
    fis[2] = result.status;
    fis[3] = result.error;
    for (unsigned i = 0; i < 3; ++i) {
        fis[4 + i] = static_cast<uint8_t>(lba >> (8 * i));
        fis[8 + i] = static_cast<uint8_t>(lba >> (24 + 8 * i));
    }
    fis[7] = command != nullptr ? command->device : 0;
    store_le<uint16_t>(&fis[12], count);
    return fis;
}

}  // namespace

void AhciPort::register_fis(const ata::AtaCommand* command, const ata::AtaResult& result, bool interrupt) {
    write_received(k_rfis_register,
                   host_fis(k_fis_register_to_host, interrupt ? k_fis_interrupt : 0, command, result));
    m_tfd = static_cast<uint32_t>(result.error << 8 | result.status);
    if (interrupt) {
        raise(k_is_dhrs);
    }
}

void AhciPort::pio_setup_fis(const ata::AtaCommand& command, const ata::AtaResult& result) {
    std::array<uint8_t, 20> fis = host_fis(k_fis_pio_setup, k_fis_interrupt | k_fis_to_host, &command, result);
    fis[2] = result.status | ata::k_status_drq;  // while the data moved
    fis[15] = result.status;                     // E_Status
    store_le<uint16_t>(&fis[16], static_cast<uint16_t>(std::min<uint64_t>(command.transferred, 0xfffe)));
    write_received(k_rfis_pio_setup, fis);
    m_tfd = static_cast<uint32_t>(result.error << 8 | result.status);
    raise(k_is_pss);
}

void AhciPort::set_device_bits_fis(uint32_t slots, const ata::AtaResult& result) {
    std::array<uint8_t, 8> fis{k_fis_set_device_bits, k_fis_interrupt,
                               static_cast<uint8_t>(result.status & ~(ata::k_status_bsy | ata::k_status_drq)), result.error};
    store_le<uint32_t>(&fis[4], slots);
    write_received(k_rfis_set_device_bits, fis);
    m_tfd = static_cast<uint32_t>(result.error << 8 | result.status);
    m_sact &= ~slots;
    raise(k_is_sdbs);
}

bool AhciPort::current(const AtaCommandPtr& command) const {
    return command->generation == m_generation && (m_active & bit(command->slot)) != 0;
}

void AhciPort::finish(const AtaCommandPtr& command, const ata::AtaResult& result) {
    if (!current(command)) {
        return;
    }
    if (result.ending == ata::Ending::queued) {
        finish_queued(command, result);
        return;
    }
    const auto slot_bit = static_cast<uint32_t>(bit(command->slot));
    m_active &= ~slot_bit;
    m_exclusive = false;
    const uint64_t prdbc = m_clb + command->slot * k_header_size + k_header_prdbc;
    if (!memory().write_value(prdbc, static_cast<uint32_t>(command->transferred))) {
        m_controller.guest_errors.report("port {}: the command list has gone", m_index);
    }
    if ((result.status & ata::k_status_err) != 0) {
        m_halted = true;  // 6.2.2: PxCI keeps the bit, nothing more is issued until PxCMD.ST is cleared
        register_fis(command.get(), result, true);
        raise(k_is_tfes);
        return;
    }
    m_ci &= ~slot_bit;
    if (result.ending == ata::Ending::pio_setup) {
        pio_setup_fis(*command, result);
    } else {
        register_fis(command.get(), result, true);
    }
    process_list();
}

// An error of one queued command makes the device give up all of them (Serial ATA 3.0, 13.6.3).
void AhciPort::finish_queued(const AtaCommandPtr& command, const ata::AtaResult& result) {
    const auto slot_bit = static_cast<uint32_t>(bit(command->slot));
    m_active &= ~slot_bit;
    if ((result.status & ata::k_status_err) != 0) {
        m_halted = true;
        give_up_commands();
        set_device_bits_fis(0, result);
        raise(k_is_tfes);
        return;
    }
    set_device_bits_fis(slot_bit, result);
    process_list();
}

void AhciPort::bus_error(const AtaCommandPtr& command) {
    if (current(command)) {
        m_controller.guest_errors.report("port {}: data of slot {} is not in memory", m_index, command->slot);
        fatal(k_is_hbfs);
    }
}

void AhciPort::request(const AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, Then then) {
    if (!current(command)) {
        return;
    }
    ++m_in_flight;
    request.done = [this, command, then = std::move(then)](BlockStatus status) {
        const std::lock_guard lock(m_controller.gate);
        if (command->generation != m_generation) {
            orphan_done();
            return;
        }
        --m_in_flight;
        then(status);
    };
    backend.submit(std::move(request));
}

void AhciPort::transfer(const AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, uint64_t bytes,
                        Then then) {
    const bool to_guest = request.op == BlockOp::read;
    const uint64_t start = command->transferred;
    auto buffers = command->data.map(memory(), start, bytes, to_guest);
    if (!buffers) {
        bus_error(command);
        return;
    }
    request.buffers = std::move(*buffers);
    this->request(command, backend, std::move(request), [=, this, then = std::move(then)](BlockStatus status) {
        if (to_guest && status == BlockStatus::ok) {
            command->data.mark_written(memory(), start, bytes);
        }
        if (status == BlockStatus::ok) {
            command->transferred = start + bytes;
        }
        then(status);
    });
}

}  // namespace skep
