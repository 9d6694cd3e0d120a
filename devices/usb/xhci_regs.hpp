// SPDX-License-Identifier: GPL-3.0-or-later
// Registers, TRBs and contexts of an xHCI host controller (eXtensible Host Controller Interface 1.1, chapters 5 and 6).
#pragma once

#include <cstdint>

namespace skep::xhci {

// --- how this controller is made ---------------------------------------------------------------------------
inline constexpr unsigned k_usb2_ports = 8;  // root ports 1 to 8
inline constexpr unsigned k_usb3_ports = 8;  // root ports 9 to 16
inline constexpr unsigned k_ports = k_usb2_ports + k_usb3_ports;
inline constexpr unsigned k_slots = 32;
inline constexpr unsigned k_endpoints = 32;  // doorbell targets (device context indices) 1 to 31
inline constexpr unsigned k_interrupters = 4;
inline constexpr unsigned k_erst_max_log2 = 4;  // sixteen segments

// --- layout of the BAR ---------------------------------------------------------------------------------------
inline constexpr unsigned k_bar_size = 0x4000;
inline constexpr unsigned k_operational = 0x40;  // CAPLENGTH
inline constexpr unsigned k_port_registers = k_operational + 0x400;
inline constexpr unsigned k_port_size = 0x10;
inline constexpr unsigned k_extended = 0x800;
inline constexpr unsigned k_runtime = 0x1000;
inline constexpr unsigned k_interrupter_registers = k_runtime + 0x20;
inline constexpr unsigned k_interrupter_size = 0x20;
inline constexpr unsigned k_doorbells = 0x2000;
inline constexpr unsigned k_msix_table = 0x3000;
inline constexpr unsigned k_msix_pending = 0x3800;

// --- capability registers (5.3) --------------------------------------------------------------------------------
inline constexpr unsigned k_caplength = 0x00;
inline constexpr unsigned k_hcsparams1 = 0x04;
inline constexpr unsigned k_hcsparams2 = 0x08;
inline constexpr unsigned k_hcsparams3 = 0x0c;
inline constexpr unsigned k_hccparams1 = 0x10;
inline constexpr unsigned k_dboff = 0x14;
inline constexpr unsigned k_rtsoff = 0x18;
inline constexpr unsigned k_hccparams2 = 0x1c;
inline constexpr uint32_t k_hciversion = 0x0110;
inline constexpr uint32_t k_hcc_ac64 = 1U << 0;
inline constexpr uint32_t k_hcc_nss = 1U << 7;  // no secondary stream IDs
inline constexpr uint32_t k_hcc_pae = 1U << 8;  // all event data TRBs are parsed

// --- operational registers (5.4) -----------------------------------------------------------------------------------
inline constexpr unsigned k_usbcmd = 0x00;
inline constexpr unsigned k_usbsts = 0x04;
inline constexpr unsigned k_pagesize = 0x08;
inline constexpr unsigned k_dnctrl = 0x14;
inline constexpr unsigned k_crcr = 0x18;
inline constexpr unsigned k_dcbaap = 0x30;
inline constexpr unsigned k_config = 0x38;

inline constexpr uint32_t k_cmd_rs = 1U << 0;
inline constexpr uint32_t k_cmd_hcrst = 1U << 1;
inline constexpr uint32_t k_cmd_inte = 1U << 2;
inline constexpr uint32_t k_cmd_hsee = 1U << 3;
inline constexpr uint32_t k_cmd_crs = 1U << 9;
inline constexpr uint32_t k_cmd_ewe = 1U << 10;
inline constexpr uint32_t k_cmd_kept = k_cmd_rs | k_cmd_inte | k_cmd_hsee | k_cmd_ewe;

inline constexpr uint32_t k_sts_hch = 1U << 0;
inline constexpr uint32_t k_sts_hse = 1U << 2;
inline constexpr uint32_t k_sts_eint = 1U << 3;
inline constexpr uint32_t k_sts_pcd = 1U << 4;
inline constexpr uint32_t k_sts_sre = 1U << 10;
inline constexpr uint32_t k_sts_write_one_clears = k_sts_hse | k_sts_eint | k_sts_pcd | k_sts_sre;

inline constexpr uint32_t k_crcr_rcs = 1U << 0;
inline constexpr uint32_t k_crcr_cs = 1U << 1;
inline constexpr uint32_t k_crcr_ca = 1U << 2;
inline constexpr uint32_t k_crcr_crr = 1U << 3;

// --- a port's registers (5.4.8) --------------------------------------------------------------------------------------
inline constexpr unsigned k_portsc = 0x0;
inline constexpr unsigned k_portpmsc = 0x4;
inline constexpr unsigned k_portli = 0x8;
inline constexpr unsigned k_porthlpmc = 0xc;

inline constexpr uint32_t k_portsc_ccs = 1U << 0;
inline constexpr uint32_t k_portsc_ped = 1U << 1;
inline constexpr uint32_t k_portsc_pr = 1U << 4;
inline constexpr unsigned k_portsc_pls_shift = 5;
inline constexpr uint32_t k_portsc_pls = 0xfU << k_portsc_pls_shift;
inline constexpr uint32_t k_portsc_pp = 1U << 9;
inline constexpr unsigned k_portsc_speed_shift = 10;
inline constexpr uint32_t k_portsc_speed = 0xfU << k_portsc_speed_shift;
inline constexpr uint32_t k_portsc_lws = 1U << 16;
inline constexpr uint32_t k_portsc_csc = 1U << 17;
inline constexpr uint32_t k_portsc_wrc = 1U << 19;
inline constexpr uint32_t k_portsc_prc = 1U << 21;
inline constexpr uint32_t k_portsc_plc = 1U << 22;
inline constexpr uint32_t k_portsc_changes = 0x7fU << 17;
inline constexpr uint32_t k_portsc_wake = 7U << 25;
inline constexpr uint32_t k_portsc_wpr = 1U << 31;

enum LinkState : uint32_t {
    k_link_u0 = 0,
    k_link_u2 = 2,
    k_link_u3 = 3,
    k_link_disabled = 4,
    k_link_rx_detect = 5,
    k_link_polling = 7,
    k_link_resume = 15,
};

// --- runtime registers (5.5) --------------------------------------------------------------------------------------------
inline constexpr unsigned k_iman = 0x00;
inline constexpr unsigned k_imod = 0x04;
inline constexpr unsigned k_erstsz = 0x08;
inline constexpr unsigned k_erstba = 0x10;
inline constexpr unsigned k_erdp = 0x18;
inline constexpr uint32_t k_iman_ip = 1U << 0;
inline constexpr uint32_t k_iman_ie = 1U << 1;
inline constexpr uint64_t k_erdp_ehb = 1U << 3;

// --- TRBs (6.4) -----------------------------------------------------------------------------------------------------------
inline constexpr unsigned k_trb_size = 16;
inline constexpr uint32_t k_trb_cycle = 1U << 0;
inline constexpr uint32_t k_trb_toggle_cycle = 1U << 1;  // link
inline constexpr uint32_t k_trb_event_data = 1U << 2;    // transfer event
inline constexpr uint32_t k_trb_isp = 1U << 2;
inline constexpr uint32_t k_trb_chain = 1U << 4;
inline constexpr uint32_t k_trb_ioc = 1U << 5;
inline constexpr uint32_t k_trb_idt = 1U << 6;
inline constexpr uint32_t k_trb_bei = 1U << 9;
inline constexpr uint32_t k_trb_deconfigure = 1U << 9;      // configure endpoint
inline constexpr uint32_t k_trb_block_set_address = 1U << 9;  // address device
inline constexpr uint32_t k_trb_direction_in = 1U << 16;
inline constexpr uint32_t k_trb_length = 0x1'ffff;

enum TrbType : uint8_t {
    k_trb_normal = 1,
    k_trb_setup = 2,
    k_trb_data = 3,
    k_trb_status = 4,
    k_trb_link = 6,
    k_trb_data_event = 7,
    k_trb_no_op = 8,
    k_trb_enable_slot = 9,
    k_trb_disable_slot = 10,
    k_trb_address_device = 11,
    k_trb_configure_endpoint = 12,
    k_trb_evaluate_context = 13,
    k_trb_reset_endpoint = 14,
    k_trb_stop_endpoint = 15,
    k_trb_set_tr_dequeue = 16,
    k_trb_reset_device = 17,
    k_trb_set_latency_tolerance = 20,
    k_trb_get_port_bandwidth = 21,
    k_trb_no_op_command = 23,
    k_trb_transfer_event = 32,
    k_trb_command_completion = 33,
    k_trb_port_status_change = 34,
    k_trb_host_controller_event = 37,
};

enum Completion : uint8_t {  // 6.4.5
    k_success = 1,
    k_transaction_error = 4,
    k_trb_error = 5,
    k_stall_error = 6,
    k_no_slots = 9,
    k_slot_not_enabled = 11,
    k_endpoint_not_enabled = 12,
    k_short_packet = 13,
    k_parameter_error = 17,
    k_context_state_error = 19,
    k_event_ring_full = 21,
    k_command_ring_stopped = 24,
    k_stopped = 26,
};

struct Trb {
    uint64_t parameter = 0;
    uint32_t status = 0;
    uint32_t control = 0;

    [[nodiscard]] uint8_t type() const { return static_cast<uint8_t>(control >> 10 & 0x3f); }
    [[nodiscard]] bool cycle() const { return (control & k_trb_cycle) != 0; }
    [[nodiscard]] uint32_t length() const { return status & k_trb_length; }
    [[nodiscard]] unsigned interrupter() const { return status >> 22; }
    [[nodiscard]] uint8_t slot() const { return static_cast<uint8_t>(control >> 24); }
    [[nodiscard]] uint8_t endpoint() const { return static_cast<uint8_t>(control >> 16 & 0x1f); }
};
static_assert(sizeof(Trb) == k_trb_size);

constexpr uint32_t trb_type_bits(TrbType type) { return static_cast<uint32_t>(type) << 10; }

// --- contexts (6.2) --------------------------------------------------------------------------------------------------------
inline constexpr unsigned k_context_size = 32;  // CSZ is 0
struct Context {
    uint32_t words[8] = {};
};
static_assert(sizeof(Context) == k_context_size);

enum SlotState : uint8_t { k_slot_enabled = 0, k_slot_default = 1, k_slot_addressed = 2, k_slot_configured = 3 };
enum EndpointState : uint8_t {
    k_ep_disabled = 0,
    k_ep_running = 1,
    k_ep_halted = 2,
    k_ep_stopped = 3,
    k_ep_error = 4
};
enum EndpointType : uint8_t { k_ep_control = 4 };  // bit 2: in; 1 isochronous, 2 bulk, 3 interrupt

}  // namespace skep::xhci
