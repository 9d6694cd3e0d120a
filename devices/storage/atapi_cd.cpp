// SPDX-License-Identifier: GPL-3.0-or-later
// The drive's ATA side, its medium and the reading of data; what it tells about itself is in atapi_info.cpp.
#include "devices/storage/atapi_cd.hpp"

#include <algorithm>

#include "vmm/base/bits.hpp"

namespace skep {

using ata::AtaCommandPtr;

namespace {

constexpr uint64_t k_cd_sector = 2048;
constexpr uint64_t k_max_sectors = (32 << 20) / k_cd_sector;  // of one command
constexpr uint64_t k_cd_limit = 360'000;  // sectors of an 80-minute disc; beyond it is a DVD

}  // namespace

uint64_t AtapiCd::sectors() const { return has_medium() ? m_medium->info().size / k_cd_sector : 0; }
bool AtapiCd::is_dvd() const { return sectors() > k_cd_limit; }

void AtapiCd::reset() {
    m_sense = scsi::k_no_sense;
    m_medium_changed = false;
    m_event = MediaEvent::none;
    m_locked = false;
    m_tray_open = false;
}

std::shared_ptr<BlockBackend> AtapiCd::change_medium(std::shared_ptr<BlockBackend> medium) {
    std::swap(m_medium, medium);
    m_locked = false;
    m_tray_open = false;
    m_medium_changed = m_medium != nullptr;
    m_event = m_medium ? MediaEvent::new_medium : MediaEvent::removal;
    return medium;
}

void AtapiCd::execute(const AtaCommandPtr& command) {
    switch (command->command) {
        case ata::k_packet: packet(command); return;
        case ata::k_identify_packet_device: identify(command); return;
        case ata::k_identify_device: {
            // Aborted with the signature in the registers: "not a disk, but a packet device" (ATA8-ACS 7.16.6).
            ata::AtaResult result = ata::failure(ata::k_error_abrt);
            result.count = 1;
            result.lba = ata::k_signature_packet >> 8;
            m_host.finish(command, result);
            return;
        }
        case ata::k_device_reset:
        case ata::k_execute_diagnostic:
            m_host.finish(command, {.status = 0, .error = ata::k_diagnostics_passed, .count = 1,
                                    .lba = ata::k_signature_packet >> 8});
            return;
        case ata::k_check_power_mode: m_host.finish(command, {.count = 0xff}); return;
        case ata::k_set_features:
        case ata::k_standby_immediate:
        case ata::k_idle_immediate:
        case ata::k_standby:
        case ata::k_idle:
        case ata::k_sleep:
        case ata::k_flush_cache: good(command); return;
        default: m_host.finish(command, ata::failure(ata::k_error_abrt)); return;
    }
}

void AtapiCd::good(const AtaCommandPtr& command) {
    m_host.finish(command, {.count = 3});  // interrupt reason: command complete
}

void AtapiCd::check_condition(const AtaCommandPtr& command, scsi::Sense sense) {
    m_sense = sense;
    ata::AtaResult result = ata::failure(static_cast<uint8_t>(sense.key << 4 | ata::k_error_abrt));
    result.count = 3;
    m_host.finish(command, result);
}

void AtapiCd::answer(const AtaCommandPtr& command, std::span<const uint8_t> data, uint64_t allocation,
                     ata::Ending ending) {
    const uint64_t bytes = std::min({uint64_t{data.size()}, allocation, command->data.size()});
    if (!command->data.write(m_host.memory(), 0, data.first(bytes))) {
        m_host.bus_error(command);
        return;
    }
    command->transferred = bytes;
    m_host.finish(command, {.ending = ending, .count = 3});
}

void AtapiCd::packet(const AtaCommandPtr& command) {
    const uint8_t operation = command->packet[0];
    const bool reports_itself = operation == scsi::k_inquiry || operation == scsi::k_request_sense ||
                                operation == scsi::k_get_event_status || operation == scsi::k_get_configuration;
    if (m_medium_changed && !reports_itself) {
        m_medium_changed = false;
        check_condition(command, scsi::k_medium_changed);
        return;
    }
    if (operation != scsi::k_request_sense) {
        m_sense = scsi::k_no_sense;
    }
    const std::array<uint8_t, 16>& cdb = command->packet;
    switch (operation) {
        case scsi::k_request_sense: request_sense(command); return;
        case scsi::k_inquiry:
            if ((cdb[1] & 1) != 0 || cdb[2] != 0) {
                check_condition(command, scsi::k_invalid_field);  // no vital product data
                return;
            }
            answer(command, inquiry(), load_be<uint16_t>(&cdb[3]));
            return;
        case scsi::k_start_stop_unit: start_stop(command); return;
        case scsi::k_prevent_allow:
            m_locked = (cdb[4] & 1) != 0;
            good(command);
            return;
        case scsi::k_get_configuration: get_configuration(command); return;
        case scsi::k_get_event_status: event_status(command); return;
        case scsi::k_mode_sense_6: mode_sense(command, ModeHeader::six); return;
        case scsi::k_mode_sense_10: mode_sense(command, ModeHeader::ten); return;
        case scsi::k_set_cd_speed: good(command); return;
        case scsi::k_mechanism_status: {
            const std::array<uint8_t, 8> status{0, static_cast<uint8_t>(m_tray_open ? 0x10 : 0), 0, 0, 0, 1, 0, 0};
            answer(command, status, load_be<uint16_t>(&cdb[8]));
            return;
        }
        default: medium_packet(command); return;
    }
}

// What needs a medium.
void AtapiCd::medium_packet(const AtaCommandPtr& command) {
    static constexpr std::array<uint8_t, 9> k_known{
        scsi::k_test_unit_ready, scsi::k_read_capacity,         scsi::k_read_10,           scsi::k_read_12,  scsi::k_read_toc,
        scsi::k_seek_10,         scsi::k_read_disc_information, scsi::k_read_dvd_structure, scsi::k_read_cd};
    const std::array<uint8_t, 16>& cdb = command->packet;
    if (std::find(k_known.begin(), k_known.end(), cdb[0]) == k_known.end()) {
        check_condition(command, scsi::k_invalid_operation);
        return;
    }
    if (!has_medium()) {
        check_condition(command, m_tray_open ? scsi::k_no_medium_open : scsi::k_no_medium);
        return;
    }
    switch (cdb[0]) {
        case scsi::k_read_capacity: {
            std::array<uint8_t, 8> capacity{};
            store_be<uint32_t>(&capacity[0], static_cast<uint32_t>(sectors() - 1));
            store_be<uint32_t>(&capacity[4], k_cd_sector);
            answer(command, capacity, capacity.size());
            return;
        }
        case scsi::k_read_10: read(command, load_be<uint32_t>(&cdb[2]), load_be<uint16_t>(&cdb[7])); return;
        case scsi::k_read_12: read(command, load_be<uint32_t>(&cdb[2]), load_be<uint32_t>(&cdb[6])); return;
        case scsi::k_read_cd: read_cd(command); return;
        case scsi::k_read_toc: read_toc(command); return;
        case scsi::k_read_disc_information: answer(command, disc_information(), load_be<uint16_t>(&cdb[7])); return;
        case scsi::k_read_dvd_structure: read_dvd_structure(command); return;
        case scsi::k_seek_10:
            if (load_be<uint32_t>(&cdb[2]) >= sectors()) {
                check_condition(command, scsi::k_lba_out_of_range);
                return;
            }
            good(command);
            return;
        default: good(command); return;  // TEST UNIT READY
    }
}

void AtapiCd::read(const AtaCommandPtr& command, uint64_t lba, uint64_t count) {
    if (lba > sectors() || count > sectors() - lba) {
        check_condition(command, scsi::k_lba_out_of_range);
        return;
    }
    if (count > k_max_sectors || count * k_cd_sector > command->data.size()) {
        check_condition(command, scsi::k_invalid_field);
        return;
    }
    if (count == 0) {
        good(command);
        return;
    }
    BlockRequest request;
    request.op = BlockOp::read;
    request.offset = lba * k_cd_sector;
    m_host.transfer(command, *m_medium, std::move(request), count * k_cd_sector, [this, command](BlockStatus status) {
        if (status == BlockStatus::ok) {
            good(command);
        } else {
            check_condition(command, scsi::k_read_error);
        }
    });
}

// READ CD of the user data alone; raw sectors have no place in an image.
void AtapiCd::read_cd(const AtaCommandPtr& command) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    const uint64_t count = load_be<uint32_t>(&cdb[5]) & 0xff'ffff;
    if ((cdb[9] & 0xf8) == 0x10) {
        read(command, load_be<uint32_t>(&cdb[2]), count);
    } else if ((cdb[9] & 0xf8) == 0 || count == 0) {
        good(command);
    } else {
        check_condition(command, scsi::k_invalid_field);
    }
}

void AtapiCd::start_stop(const AtaCommandPtr& command) {
    const uint8_t what = command->packet[4] & 3;  // LoEj, Start
    if (what == 2) {
        if (m_locked) {
            check_condition(command, scsi::k_removal_prevented);
            return;
        }
        m_tray_open = true;
        m_event = MediaEvent::removal;
    } else if (what == 3 && m_tray_open) {
        m_tray_open = false;
        m_medium_changed = m_medium != nullptr;
        m_event = m_medium ? MediaEvent::new_medium : MediaEvent::none;
    }
    good(command);
}

void AtapiCd::save(StateWriter& writer) const {
    writer.put(m_sense.key);
    writer.put(m_sense.code);
    writer.put(m_sense.qualifier);
    writer.put(m_medium_changed);
    writer.put(m_event);
    writer.put(m_locked);
    writer.put(m_tray_open);
}

void AtapiCd::load(StateReader& reader) {
    m_sense.key = reader.get<uint8_t>() & 0xf;
    reader.get(m_sense.code);
    reader.get(m_sense.qualifier);
    reader.get(m_medium_changed);
    m_event = static_cast<MediaEvent>(reader.get<uint8_t>() & 3);
    reader.get(m_locked);
    reader.get(m_tray_open);
}

}  // namespace skep
