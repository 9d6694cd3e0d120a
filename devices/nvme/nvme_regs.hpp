// SPDX-License-Identifier: GPL-3.0-or-later
// Registers, opcodes and status codes by the names and sections of the NVM Express base specification 1.4.
#pragma once

#include <cstdint>

namespace skep::nvme {

// 3.1: offsets in BAR 0
inline constexpr unsigned k_cap = 0x00;  // 64 bits
inline constexpr unsigned k_vs = 0x08;
inline constexpr unsigned k_intms = 0x0c;
inline constexpr unsigned k_intmc = 0x10;
inline constexpr unsigned k_cc = 0x14;
inline constexpr unsigned k_csts = 0x1c;
inline constexpr unsigned k_aqa = 0x24;
inline constexpr unsigned k_asq = 0x28;  // 64 bits
inline constexpr unsigned k_acq = 0x30;  // 64 bits
inline constexpr unsigned k_doorbells = 0x1000;

inline constexpr uint32_t k_version = 0x0001'0400;
inline constexpr uint32_t k_most_entries = 1024;  // of a queue

// 3.1.1 CAP: entries - 1, contiguous queues, ready within 7.5 s, NVM command set; pages of 4 KiB, doorbells 4 bytes apart
inline constexpr uint64_t k_cap_value = (k_most_entries - 1) | uint64_t{1} << 16 | uint64_t{15} << 24 | uint64_t{1} << 37;

// 3.1.5 CC
inline constexpr uint32_t k_cc_en = 1;
inline constexpr unsigned k_cc_css = 4, k_cc_mps = 7, k_cc_ams = 11, k_cc_shn = 14;

// 3.1.6 CSTS
inline constexpr uint32_t k_csts_rdy = 1;
inline constexpr uint32_t k_csts_cfs = 2;
inline constexpr uint32_t k_csts_shst = 0xc;
inline constexpr uint32_t k_csts_shutting_down = 0x4;
inline constexpr uint32_t k_csts_shut_down = 0x8;

inline constexpr unsigned k_submission_entry_shift = 6;  // 64 bytes
inline constexpr unsigned k_completion_entry_shift = 4;  // 16 bytes
inline constexpr uint64_t k_nvme_page = 4096;            // CC.MPS allows no other
inline constexpr unsigned k_mdts = 9;                    // a transfer has up to 2^9 pages
inline constexpr uint64_t k_most_transfer = k_nvme_page << k_mdts;
inline constexpr uint32_t k_broadcast_namespace = 0xffff'ffff;

// 5: admin commands
enum AdminOpcode : uint8_t {
    k_delete_submission_queue = 0x00,
    k_create_submission_queue = 0x01,
    k_get_log_page = 0x02,
    k_delete_completion_queue = 0x04,
    k_create_completion_queue = 0x05,
    k_identify = 0x06,
    k_abort = 0x08,
    k_set_features = 0x09,
    k_get_features = 0x0a,
    k_asynchronous_event_request = 0x0c,
};

// 6: NVM commands
enum NvmOpcode : uint8_t {
    k_flush = 0x00,
    k_write = 0x01,
    k_read = 0x02,
    k_write_zeroes = 0x08,
    k_dataset_management = 0x09,
};

// 5.21.1
enum Feature : uint8_t {
    k_arbitration = 0x01,
    k_power_management = 0x02,
    k_temperature_threshold = 0x04,
    k_error_recovery = 0x05,
    k_volatile_write_cache = 0x06,
    k_number_of_queues = 0x07,
    k_interrupt_coalescing = 0x08,
    k_interrupt_vector_configuration = 0x09,
    k_write_atomicity = 0x0a,
    k_asynchronous_event_configuration = 0x0b,
};

// 4.6.1: status code type << 8 | status code
enum StatusCode : uint16_t {
    k_success = 0x000,
    k_invalid_opcode = 0x001,
    k_invalid_field = 0x002,
    k_data_transfer_error = 0x004,
    k_invalid_namespace = 0x00b,
    k_invalid_prp_offset = 0x013,
    k_write_protected = 0x020,
    k_lba_out_of_range = 0x080,
    k_completion_queue_invalid = 0x100,
    k_invalid_queue_identifier = 0x101,
    k_invalid_queue_size = 0x102,
    k_event_limit_exceeded = 0x105,
    k_invalid_interrupt_vector = 0x108,
    k_invalid_log_page = 0x109,
    k_invalid_queue_deletion = 0x10c,
    k_not_saveable = 0x10d,
    k_write_fault = 0x280,
    k_unrecovered_read = 0x281,
};

// 5.2: asynchronous events of the error type, their information, and the log page that tells more
inline constexpr uint32_t k_event_invalid_doorbell = 0x0001'0000;        // a doorbell of no queue
inline constexpr uint32_t k_event_invalid_doorbell_value = 0x0001'0100;

}  // namespace skep::nvme
