// SPDX-License-Identifier: GPL-3.0-or-later
// SCSI names used by the CD drive (SPC-3, MMC-5) and the USB stick (SPC-4, SBC-3).
#pragma once

#include <cstdint>

namespace skep::scsi {

enum Operation : uint8_t {
    k_test_unit_ready = 0x00,
    k_request_sense = 0x03,
    k_inquiry = 0x12,
    k_read_6 = 0x08,
    k_write_6 = 0x0a,
    k_mode_select_6 = 0x15,
    k_mode_sense_6 = 0x1a,
    k_start_stop_unit = 0x1b,
    k_prevent_allow = 0x1e,
    k_read_format_capacities = 0x23,
    k_read_capacity = 0x25,
    k_read_10 = 0x28,
    k_write_10 = 0x2a,
    k_seek_10 = 0x2b,
    k_verify_10 = 0x2f,
    k_synchronize_cache_10 = 0x35,
    k_write_same_10 = 0x41,
    k_unmap = 0x42,
    k_read_toc = 0x43,
    k_get_configuration = 0x46,
    k_get_event_status = 0x4a,
    k_read_disc_information = 0x51,
    k_mode_select_10 = 0x55,
    k_mode_sense_10 = 0x5a,
    k_read_16 = 0x88,
    k_write_16 = 0x8a,
    k_synchronize_cache_16 = 0x91,
    k_write_same_16 = 0x93,
    k_service_action_in_16 = 0x9e,
    k_report_luns = 0xa0,
    k_read_12 = 0xa8,
    k_write_12 = 0xaa,
    k_read_dvd_structure = 0xad,
    k_set_cd_speed = 0xbb,
    k_mechanism_status = 0xbd,
    k_read_cd = 0xbe,
};

// Sense key, additional code and qualifier.
struct Sense {
    uint8_t key = 0;
    uint8_t code = 0;
    uint8_t qualifier = 0;
};

inline constexpr Sense k_no_sense{};
inline constexpr Sense k_no_medium{0x02, 0x3a, 0x01};       // tray closed
inline constexpr Sense k_no_medium_open{0x02, 0x3a, 0x02};  // tray open
inline constexpr Sense k_write_error{0x03, 0x0c, 0x00};
inline constexpr Sense k_read_error{0x03, 0x11, 0x00};
inline constexpr Sense k_parameter_list_length{0x05, 0x1a, 0x00};
inline constexpr Sense k_invalid_operation{0x05, 0x20, 0x00};
inline constexpr Sense k_lba_out_of_range{0x05, 0x21, 0x00};
inline constexpr Sense k_invalid_field{0x05, 0x24, 0x00};
inline constexpr Sense k_invalid_parameter{0x05, 0x26, 0x00};
inline constexpr Sense k_saving_not_supported{0x05, 0x39, 0x00};
inline constexpr Sense k_removal_prevented{0x05, 0x53, 0x02};
inline constexpr Sense k_write_protected{0x07, 0x27, 0x00};
inline constexpr Sense k_medium_changed{0x06, 0x28, 0x00};

}  // namespace skep::scsi
