// SPDX-License-Identifier: GPL-3.0-or-later
// READ TOC/PMA/ATIP responses (MMC-5, 6.26).
#include <initializer_list>

#include "devices/storage/atapi_cd.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint8_t k_lead_out = 0xaa;
constexpr uint8_t k_data_track = 0x14;  // ADR 1, data
constexpr uint64_t k_msf_offset = 150;  // sector 0 is at 00:02:00
constexpr uint64_t k_frames = 75;

void put_msf(std::vector<uint8_t>& out, uint64_t lba) {
    const uint64_t frames = lba + k_msf_offset;
    out.push_back(static_cast<uint8_t>(frames / k_frames / 60));
    out.push_back(static_cast<uint8_t>(frames / k_frames % 60));
    out.push_back(static_cast<uint8_t>(frames % k_frames));
}

void put_address(std::vector<uint8_t>& out, uint64_t lba, bool msf) {
    if (msf) {
        out.push_back(0);
        put_msf(out, lba);
        return;
    }
    for (unsigned i = 0; i < 4; ++i) {
        out.push_back(static_cast<uint8_t>(lba >> (24 - 8 * i)));
    }
}

void put_track(std::vector<uint8_t>& out, uint8_t number, uint64_t lba, bool msf) {
    out.insert(out.end(), {0, k_data_track, number, 0});
    put_address(out, lba, msf);
}

// Format 2: one eleven-byte descriptor; `point` names it.
void put_raw(std::vector<uint8_t>& out, uint8_t point, std::initializer_list<uint8_t> position) {
    out.insert(out.end(), {1, k_data_track, 0, point, 0, 0, 0, 0});
    out.insert(out.end(), position);
}

}  // namespace

std::vector<uint8_t> cd_table_of_contents(unsigned format, unsigned first_track, bool msf, uint64_t sectors) {
    std::vector<uint8_t> out{0, 0, 1, 1};  // length, first and last track or session
    if (format == 0) {
        if (first_track <= 1) {
            put_track(out, 1, 0, msf);
        }
        put_track(out, k_lead_out, sectors, msf);
    } else if (format == 1) {
        put_track(out, 1, 0, msf);
    } else if (format == 2) {
        put_raw(out, 0xa0, {1, 0, 0});
        put_raw(out, 0xa1, {1, 0, 0});
        std::vector<uint8_t> end;
        put_msf(end, sectors);
        put_raw(out, 0xa2, {end[0], end[1], end[2]});
        put_raw(out, 1, {0, 2, 0});
    } else {
        return {};
    }
    store_be<uint16_t>(out.data(), static_cast<uint16_t>(out.size() - 2));
    return out;
}

}  // namespace skep
