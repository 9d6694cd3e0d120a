// SPDX-License-Identifier: GPL-3.0-or-later
// What the CD drive tells about itself and its medium (SPC-3; MMC-5).
#include <algorithm>
#include <cstring>

#include "devices/storage/atapi_cd.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using ata::AtaCommandPtr;

namespace {

constexpr uint16_t k_profile_cd_rom = 0x0008;
constexpr uint16_t k_profile_dvd_rom = 0x0010;
constexpr uint8_t k_event_class_media = 4;

constexpr uint8_t k_page_error_recovery = 0x01;
constexpr uint8_t k_page_capabilities = 0x2a;
constexpr uint8_t k_page_all = 0x3f;

using Bytes = std::vector<uint8_t>;

// One feature descriptor (MMC-5, 5.2): code, version and flags, additional bytes.
void put_feature(Bytes& out, unsigned wanted_from, bool only_one, uint16_t code, uint8_t flags, const Bytes& more) {
    if (only_one ? code != wanted_from : code < wanted_from) {
        return;
    }
    out.insert(out.end(), {static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code), flags,
                           static_cast<uint8_t>(more.size())});
    out.insert(out.end(), more.begin(), more.end());
}

}  // namespace

void AtapiCd::identify(const AtaCommandPtr& command) {
    std::array<uint16_t, 256> words{};
    words[0] = 0x85c0;  // packet device, CD-ROM, removable, DRQ within 50 us, 12-byte packets
    ata::put_ata_string(words, 10, 10, "SK00000001");
    ata::put_ata_string(words, 23, 4, "1.0");
    ata::put_ata_string(words, 27, 20, "Skep DVD-ROM");
    words[49] = 0x0f00;  // DMA, LBA, IORDY
    words[53] = 0x0006;
    words[63] = 0x0007;  // multiword DMA 0-2
    words[64] = 0x0003;
    words[65] = words[66] = words[67] = words[68] = 120;
    words[76] = 0x000e;  // SATA generations 1-3
    words[80] = 0x01f0;
    words[82] = words[85] = 0x0210;  // packet, DEVICE RESET
    words[83] = 0x4000;
    words[84] = words[87] = 0x4000;
    words[88] = 0x203f;  // Ultra DMA 5
    words[222] = 0x101f;
    answer(command, ata::identify_bytes(words), 512, ata::Ending::pio_setup);
}

AtapiCd::Bytes AtapiCd::inquiry() const {
    Bytes data(36, ' ');
    const std::array<uint8_t, 8> head{0x05, 0x80, 0x05, 0x32, 31, 0, 0, 0};  // CD, removable, SPC-3, ATAPI
    std::copy(head.begin(), head.end(), data.begin());
    std::memcpy(&data[8], "SKEP", 4);
    std::memcpy(&data[16], "DVD-ROM", 7);
    std::memcpy(&data[32], "1.0", 3);
    return data;
}

void AtapiCd::request_sense(const AtaCommandPtr& command) {
    scsi::Sense sense = m_sense;
    if (sense.key == 0 && m_medium_changed) {
        m_medium_changed = false;
        sense = scsi::k_medium_changed;
    }
    std::array<uint8_t, 18> data{};
    data[0] = 0x70;
    data[2] = sense.key;
    data[7] = 10;
    data[12] = sense.code;
    data[13] = sense.qualifier;
    m_sense = scsi::k_no_sense;
    answer(command, data, command->packet[4]);
}

// Polled form only; the media class alone.
void AtapiCd::event_status(const AtaCommandPtr& command) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    if ((cdb[1] & 1) == 0) {
        check_condition(command, scsi::k_invalid_field);
        return;
    }
    const uint8_t supported = 1 << k_event_class_media;
    Bytes data{0, 2, 0x80, supported};  // no event available
    if ((cdb[4] & supported) != 0) {
        const auto status = static_cast<uint8_t>((m_tray_open ? 1 : 0) | (has_medium() ? 2 : 0));
        data = {0, 6, k_event_class_media, supported, static_cast<uint8_t>(m_event), status, 0, 0};
        m_event = MediaEvent::none;
    }
    answer(command, data, load_be<uint16_t>(&cdb[7]));
}

void AtapiCd::mode_sense(const AtaCommandPtr& command, ModeHeader header) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    const uint8_t page = cdb[2] & 0x3f;
    if (cdb[2] >> 6 == 3) {
        check_condition(command, scsi::k_saving_not_supported);
        return;
    }
    Bytes data(header == ModeHeader::six ? 4 : 8);
    const size_t head = data.size();
    if (page == k_page_error_recovery || page == k_page_all) {
        data.insert(data.end(), {k_page_error_recovery, 6, 0, 5, 0, 0, 0, 0});
    }
    if (page == k_page_capabilities || page == k_page_all) {
        // Reads CD-R(W) and DVD-ROM; tray, lock and eject; 2822 kB/s is 16x.
        const auto lock = static_cast<uint8_t>(0x29 | (m_locked ? 2 : 0));
        data.insert(data.end(), {k_page_capabilities, 18, 0x0b, 0, 0x70, 0, lock, 0, 0x0b, 0x06, 0, 2, 0x02, 0, 0x0b, 0x06,
                                 0, 0, 0, 0});
    }
    if (data.size() == head) {
        check_condition(command, scsi::k_invalid_field);
        return;
    }
    if (header == ModeHeader::six) {
        data[0] = static_cast<uint8_t>(data.size() - 1);
        answer(command, data, cdb[4]);
    } else {
        store_be<uint16_t>(data.data(), static_cast<uint16_t>(data.size() - 2));
        answer(command, data, load_be<uint16_t>(&cdb[7]));
    }
}

void AtapiCd::read_toc(const AtaCommandPtr& command) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    unsigned format = cdb[2] & 0xf;
    if (format == 0) {
        format = cdb[9] >> 6;  // where SFF-8020 had it
    }
    const unsigned first = cdb[6];
    const Bytes data = cd_table_of_contents(format, first, (cdb[1] & 2) != 0, sectors());
    if (data.empty() || (format == 0 && first > 1 && first != 0xaa)) {
        check_condition(command, scsi::k_invalid_field);
        return;
    }
    answer(command, data, load_be<uint16_t>(&cdb[7]));
}

void AtapiCd::get_configuration(const AtaCommandPtr& command) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    const unsigned from = load_be<uint16_t>(&cdb[2]);
    const bool one = (cdb[1] & 3) == 2;
    const bool cd = has_medium() && !is_dvd();
    const bool dvd = is_dvd();
    const auto flag = [](bool current) { return static_cast<uint8_t>(current ? 1 : 0); };
    Bytes data(8);
    store_be<uint16_t>(&data[6], dvd ? k_profile_dvd_rom : cd ? k_profile_cd_rom : 0);
    put_feature(data, from, one, 0x0000, 0x03, {0, 0x10, flag(dvd), 0, 0, 0x08, flag(cd), 0});   // profiles
    put_feature(data, from, one, 0x0001, 0x0b, {0, 0, 0, 2, 1, 0, 0, 0});                        // core, ATAPI
    put_feature(data, from, one, 0x0003, 0x03, {0x29, 0, 0, 0});                                 // tray, eject, lock
    put_feature(data, from, one, 0x0010, flag(has_medium()), {0, 0, 0x08, 0, 0, 1, 0, 0});       // random readable
    put_feature(data, from, one, 0x001e, flag(cd), {0, 0, 0, 0});                                // CD read
    put_feature(data, from, one, 0x001f, flag(dvd), {});                                         // DVD read
    store_be<uint32_t>(data.data(), static_cast<uint32_t>(data.size() - 4));
    answer(command, data, load_be<uint16_t>(&cdb[7]));
}

AtapiCd::Bytes AtapiCd::disc_information() const {
    Bytes data(34);
    store_be<uint16_t>(data.data(), 32);
    data[2] = 0x0e;  // complete disc, complete session
    data[3] = data[4] = data[5] = data[6] = 1;
    data[7] = 0x20;  // unrestricted use
    return data;
}

// Physical format information: a single-layer DVD-ROM (MMC-5, 6.22.3.2.1).
void AtapiCd::read_dvd_structure(const AtaCommandPtr& command) {
    const std::array<uint8_t, 16>& cdb = command->packet;
    constexpr uint32_t k_first_sector = 0x3'0000;
    if (!is_dvd() || cdb[6] != 0 || cdb[7] != 0) {
        check_condition(command, scsi::k_invalid_field);
        return;
    }
    Bytes data(2052);
    store_be<uint16_t>(data.data(), static_cast<uint16_t>(data.size() - 2));
    data[4] = 0x01;  // DVD-ROM, part version 1
    data[5] = 0x0f;  // 120 mm, rate not specified
    data[6] = 0x01;  // one layer, embossed
    store_be<uint32_t>(&data[8], k_first_sector);
    store_be<uint32_t>(&data[12], static_cast<uint32_t>(k_first_sector + sectors() - 1));
    answer(command, data, load_be<uint16_t>(&cdb[8]));
}

}  // namespace skep
