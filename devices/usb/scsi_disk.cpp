// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/scsi_disk.hpp"

#include <algorithm>

#include "vmm/base/bits.hpp"

namespace skep {

using scsi::Sense;

namespace {

using Bytes = std::vector<uint8_t>;
using Kind = ScsiPlan::Kind;

constexpr uint8_t k_evpd = 1;                    // INQUIRY
constexpr uint8_t k_service_read_capacity = 0x10;
constexpr uint8_t k_page_caching = 0x08;
constexpr uint8_t k_all_pages = 0x3f;
constexpr uint8_t k_write_same_unmap = 0x08;
constexpr uint64_t k_most_unmap_bytes = uint64_t{2} << 30;
constexpr size_t k_most_unmap_ranges = 64;
constexpr size_t k_unmap_header = 8;
constexpr size_t k_unmap_range = 16;
constexpr size_t k_most_parameters = 0xffff;

void add_text(Bytes& bytes, std::string_view text, size_t width) {
    for (size_t index = 0; index < width; ++index) {
        bytes.push_back(index < text.size() ? static_cast<uint8_t>(text[index]) : uint8_t{' '});
    }
}

}  // namespace

ScsiPlan ScsiDisk::answer(Bytes data, uint64_t allocation) {
    data.resize(std::min<uint64_t>(data.size(), allocation));
    return {.kind = Kind::answer, .data = std::move(data), .ranges = {}, .sense = {}};
}

void ScsiDisk::reset() {
    m_sense = {};
    m_ejected = false;
    m_prevented = false;
}

ScsiPlan ScsiDisk::plan(const ScsiCdb& cdb) {
    switch (cdb[0]) {
        case scsi::k_inquiry: return inquiry(cdb);
        case scsi::k_request_sense: {
            Bytes data{0x70, 0, m_sense.key, 0, 0, 0, 0, 10, 0, 0, 0, 0, m_sense.code, m_sense.qualifier, 0, 0, 0, 0};
            m_sense = {};
            return answer(std::move(data), cdb[4]);
        }
        case scsi::k_report_luns: return answer({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, load_be<uint32_t>(&cdb[6]));
        case scsi::k_start_stop_unit: return start_stop(cdb);
        case scsi::k_prevent_allow: m_prevented = (cdb[4] & 1) != 0; return answer({}, 0);
        case scsi::k_read_format_capacities: return format_capacities(cdb);
        default: return m_ejected ? failed(scsi::k_no_medium) : medium_plan(cdb);
    }
}

// Commands that need the medium.
ScsiPlan ScsiDisk::medium_plan(const ScsiCdb& cdb) const {
    switch (cdb[0]) {
        case scsi::k_test_unit_ready:
        case scsi::k_seek_10:
        case scsi::k_verify_10: return answer({}, 0);
        case scsi::k_read_capacity:
        case scsi::k_service_action_in_16: return read_capacity(cdb);
        case scsi::k_mode_sense_6:
        case scsi::k_mode_sense_10: return mode_sense(cdb);
        case scsi::k_synchronize_cache_10:
        case scsi::k_synchronize_cache_16: return {.kind = Kind::flush, .data = {}, .ranges = {}, .sense = {}};
        // Zero blocks mean 256 here (SBC-3, 5.11).
        case scsi::k_read_6: return transfer(Kind::read, load_be<uint32_t>(&cdb[0]) & 0x1f'ffff, cdb[4] != 0 ? cdb[4] : 256);
        case scsi::k_write_6: return transfer(Kind::write, load_be<uint32_t>(&cdb[0]) & 0x1f'ffff, cdb[4] != 0 ? cdb[4] : 256);
        case scsi::k_read_10: return transfer(Kind::read, load_be<uint32_t>(&cdb[2]), load_be<uint16_t>(&cdb[7]));
        case scsi::k_write_10: return transfer(Kind::write, load_be<uint32_t>(&cdb[2]), load_be<uint16_t>(&cdb[7]));
        case scsi::k_read_12: return transfer(Kind::read, load_be<uint32_t>(&cdb[2]), load_be<uint32_t>(&cdb[6]));
        case scsi::k_write_12: return transfer(Kind::write, load_be<uint32_t>(&cdb[2]), load_be<uint32_t>(&cdb[6]));
        case scsi::k_read_16: return transfer(Kind::read, load_be<uint64_t>(&cdb[2]), load_be<uint32_t>(&cdb[10]));
        case scsi::k_write_16: return transfer(Kind::write, load_be<uint64_t>(&cdb[2]), load_be<uint32_t>(&cdb[10]));
        case scsi::k_write_same_10:
        case scsi::k_write_same_16: return write_same(cdb);
        case scsi::k_unmap:
            return m_info.can_discard ? ScsiPlan{.kind = Kind::parameters, .data = {}, .length = load_be<uint16_t>(&cdb[7]), .ranges = {}, .sense = {}}
                                      : failed(scsi::k_invalid_operation);
        case scsi::k_mode_select_6: return {.kind = Kind::parameters, .data = {}, .length = cdb[4], .ranges = {}, .sense = {}};
        case scsi::k_mode_select_10:
            return {.kind = Kind::parameters, .data = {}, .length = load_be<uint16_t>(&cdb[7]), .ranges = {}, .sense = {}};
        default: return failed(scsi::k_invalid_operation);
    }
}

ScsiPlan ScsiDisk::parameters(const ScsiCdb& cdb, std::span<const uint8_t> list) {
    if (list.size() > k_most_parameters) {
        return failed(scsi::k_parameter_list_length);
    }
    switch (cdb[0]) {
        case scsi::k_unmap: return unmap(list);
        case scsi::k_write_same_10:
        case scsi::k_write_same_16: {
            if (std::any_of(list.begin(), list.end(), [](uint8_t byte) { return byte != 0; })) {
                return failed(scsi::k_invalid_parameter);
            }
            const bool ten = cdb[0] == scsi::k_write_same_10;
            const uint64_t lba = ten ? load_be<uint32_t>(&cdb[2]) : load_be<uint64_t>(&cdb[2]);
            const uint64_t count = ten ? load_be<uint16_t>(&cdb[7]) : load_be<uint32_t>(&cdb[10]);
            return {.kind = Kind::unmap, .data = {}, .ranges = {{lba * m_info.block_size, count * m_info.block_size}}, .sense = {}};
        }
        default: return answer({}, 0);  // MODE SELECT: nothing here can be changed, and saying so ends some drivers
    }
}

ScsiPlan ScsiDisk::transfer(Kind kind, uint64_t lba, uint64_t count) const {
    if (lba > blocks() || count > blocks() - lba) {
        return failed(scsi::k_lba_out_of_range);
    }
    if (kind == Kind::write && m_info.read_only) {
        return failed(scsi::k_write_protected);
    }
    return {.kind = kind, .data = {}, .offset = lba * m_info.block_size, .length = count * m_info.block_size, .ranges = {}, .sense = {}};
}

// SBC-3, 5.42 and 5.43: only as a way of unmapping, with a block of zeros.
ScsiPlan ScsiDisk::write_same(const ScsiCdb& cdb) const {
    const bool ten = cdb[0] == scsi::k_write_same_10;
    const uint64_t lba = ten ? load_be<uint32_t>(&cdb[2]) : load_be<uint64_t>(&cdb[2]);
    const uint64_t count = ten ? load_be<uint16_t>(&cdb[7]) : load_be<uint32_t>(&cdb[10]);
    if ((cdb[1] & k_write_same_unmap) == 0 || !m_info.can_discard || count * m_info.block_size > k_most_unmap_bytes) {
        return failed(scsi::k_invalid_field);
    }
    ScsiPlan checked = transfer(Kind::write, lba, count);
    if (checked.sense.key == 0) {
        checked.kind = Kind::parameters;
        checked.length = m_info.block_size;
    }
    return checked;
}

// SBC-3, 5.38
ScsiPlan ScsiDisk::unmap(std::span<const uint8_t> list) const {
    if (list.empty()) {
        return answer({}, 0);
    }
    if (list.size() < k_unmap_header) {
        return failed(scsi::k_parameter_list_length);
    }
    const size_t room = (list.size() - k_unmap_header) / k_unmap_range;
    const size_t count = std::min<size_t>(room, load_be<uint16_t>(&list[2]) / k_unmap_range);
    ScsiPlan plan{.kind = Kind::unmap, .data = {}, .ranges = {}, .sense = {}};
    for (size_t index = 0; index < count; ++index) {
        const uint8_t* const range = &list[k_unmap_header + index * k_unmap_range];
        const uint64_t bytes = uint64_t{load_be<uint32_t>(range + 8)} * m_info.block_size;
        const ScsiPlan checked = transfer(Kind::write, load_be<uint64_t>(range), load_be<uint32_t>(range + 8));
        if (checked.sense.key != 0) {
            return checked;
        }
        if (count > k_most_unmap_ranges || bytes > k_most_unmap_bytes) {
            return failed(scsi::k_invalid_parameter);
        }
        if (bytes != 0) {
            plan.ranges.push_back({checked.offset, checked.length});
        }
    }
    return plan;
}

ScsiPlan ScsiDisk::start_stop(const ScsiCdb& cdb) {
    const bool load_eject = (cdb[4] & 2) != 0;
    const bool start = (cdb[4] & 1) != 0;
    if (load_eject && !start && m_prevented) {
        return failed(scsi::k_removal_prevented);
    }
    m_ejected = load_eject ? !start : m_ejected;
    return answer({}, 0);
}

// --- what it tells about itself ---------------------------------------------------------------------------------------

ScsiPlan ScsiDisk::inquiry(const ScsiCdb& cdb) const {
    const auto allocation = load_be<uint16_t>(&cdb[3]);
    if ((cdb[1] & k_evpd) != 0) {
        Bytes page = vital_product_data(cdb[2]);
        return page.empty() ? failed(scsi::k_invalid_field) : answer(std::move(page), allocation);
    }
    if (cdb[2] != 0) {
        return failed(scsi::k_invalid_field);
    }
    constexpr uint8_t k_removable = 0x80;
    constexpr uint8_t k_spc_4 = 6;
    constexpr uint8_t k_additional = 31;
    Bytes data{0, k_removable, k_spc_4, 2, k_additional, 0, 0, 0};
    add_text(data, "Skep", 8);
    add_text(data, "USB stick", 16);
    add_text(data, "1.0", 4);
    return answer(std::move(data), allocation);
}

// SPC-4, 7.8; SBC-3, 6.5. Empty: there is no such page.
Bytes ScsiDisk::vital_product_data(uint8_t page) const {
    Bytes data{0, page, 0, 0};
    switch (page) {
        case 0x00:  // supported pages
            data.insert(data.end(), {0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2});
            break;
        case 0x80:  // unit serial number
            add_text(data, m_serial, std::max<size_t>(m_serial.size(), 1));
            break;
        case 0x83: {  // device identification: a vendor's own identifier in ASCII
            Bytes name;
            add_text(name, "Skep", 8);
            add_text(name, m_serial, m_serial.size());
            data.insert(data.end(), {0x02, 0x01, 0, static_cast<uint8_t>(name.size())});
            data.insert(data.end(), name.begin(), name.end());
            break;
        }
        case 0xb0: {  // block limits
            data.resize(64);
            if (m_info.can_discard) {
                store_be<uint32_t>(&data[20], static_cast<uint32_t>(k_most_unmap_bytes / m_info.block_size));
                store_be<uint32_t>(&data[24], static_cast<uint32_t>(k_most_unmap_ranges));
                store_be<uint32_t>(&data[28], 8);  // best in 4 KiB
                store_be<uint64_t>(&data[36], k_most_unmap_bytes / m_info.block_size);
            }
            break;
        }
        case 0xb1:  // block device characteristics: it does not rotate
            data.resize(64);
            data[5] = 1;
            break;
        case 0xb2:  // logical block provisioning: UNMAP, WRITE SAME (16) and (10); thin
            data.insert(data.end(), {0, static_cast<uint8_t>(m_info.can_discard ? 0xe0 : 0), static_cast<uint8_t>(m_info.can_discard ? 2 : 0), 0});
            break;
        default: return {};
    }
    store_be<uint16_t>(&data[2], static_cast<uint16_t>(data.size() - 4));
    return data;
}

// SBC-3, 5.15 and 5.16
ScsiPlan ScsiDisk::read_capacity(const ScsiCdb& cdb) const {
    const uint64_t last = blocks() - 1;
    if (cdb[0] == scsi::k_read_capacity) {
        Bytes data(8);
        store_be<uint32_t>(data.data(), static_cast<uint32_t>(std::min<uint64_t>(last, 0xffff'ffff)));
        store_be<uint32_t>(&data[4], m_info.block_size);
        return answer(std::move(data), 8);
    }
    if ((cdb[1] & 0x1f) != k_service_read_capacity) {
        return failed(scsi::k_invalid_field);
    }
    Bytes data(32);
    store_be<uint64_t>(data.data(), last);
    store_be<uint32_t>(&data[8], m_info.block_size);
    data[14] = m_info.can_discard ? 0x80 : 0;  // LBPME
    return answer(std::move(data), load_be<uint32_t>(&cdb[10]));
}

// MMC-6, 6.24: what Windows asks sticks for.
ScsiPlan ScsiDisk::format_capacities(const ScsiCdb& cdb) const {
    constexpr uint8_t k_formatted = 2;
    constexpr uint8_t k_no_medium = 3;
    Bytes data(12);
    data[3] = 8;
    store_be<uint32_t>(&data[4], static_cast<uint32_t>(std::min<uint64_t>(blocks(), 0xffff'ffff)));
    store_be<uint32_t>(&data[8], m_info.block_size);
    data[8] = m_ejected ? k_no_medium : k_formatted;
    return answer(std::move(data), load_be<uint16_t>(&cdb[7]));
}

// SPC-4, 6.11 to 6.12. There is no write cache to speak of: every write is on stable storage when it completes, since
// drivers of sticks do not flush and users pull them out.
ScsiPlan ScsiDisk::mode_sense(const ScsiCdb& cdb) const {
    const bool six = cdb[0] == scsi::k_mode_sense_6;
    const uint8_t page = cdb[2] & 0x3f;
    if (cdb[2] >> 6 == 3) {
        return failed(scsi::k_saving_not_supported);
    }
    if (page != k_page_caching && page != k_all_pages) {
        return failed(scsi::k_invalid_field);
    }
    constexpr uint8_t k_dpofua = 0x10;
    const auto parameter = static_cast<uint8_t>((m_info.read_only ? 0x80 : 0) | k_dpofua);
    Bytes data = six ? Bytes{0, 0, parameter, 0} : Bytes{0, 0, 0, parameter, 0, 0, 0, 0};
    data.insert(data.end(), {k_page_caching, 18});
    data.resize(data.size() + 18);
    if (six) {
        data[0] = static_cast<uint8_t>(data.size() - 1);
        return answer(std::move(data), cdb[4]);
    }
    store_be<uint16_t>(data.data(), static_cast<uint16_t>(data.size() - 2));
    return answer(std::move(data), load_be<uint16_t>(&cdb[7]));
}

void ScsiDisk::save(StateWriter& writer) const {
    writer.put(m_sense.key);
    writer.put(m_sense.code);
    writer.put(m_sense.qualifier);
    writer.put(static_cast<uint8_t>(m_ejected ? 1 : 0));
    writer.put(static_cast<uint8_t>(m_prevented ? 1 : 0));
}

void ScsiDisk::load(StateReader& reader) {
    reader.get(m_sense.key);
    reader.get(m_sense.code);
    reader.get(m_sense.qualifier);
    m_ejected = reader.get<uint8_t>() != 0;
    m_prevented = reader.get<uint8_t>() != 0;
}

}  // namespace skep
