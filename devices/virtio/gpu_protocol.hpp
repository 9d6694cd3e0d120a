// SPDX-License-Identifier: GPL-3.0-or-later
// Structures on the GPU device's queues (Virtual I/O Device 1.2, 5.7.6), little-endian as on the wire.
#pragma once

#include <cstdint>

namespace skep::gpu {

enum Command : uint32_t {
    k_get_display_info = 0x0100,
    k_resource_create_2d = 0x0101,
    k_resource_unref = 0x0102,
    k_set_scanout = 0x0103,
    k_resource_flush = 0x0104,
    k_transfer_to_host_2d = 0x0105,
    k_resource_attach_backing = 0x0106,
    k_resource_detach_backing = 0x0107,
    k_get_edid = 0x010a,
    k_update_cursor = 0x0300,
    k_move_cursor = 0x0301,
};

enum class Response : uint32_t {
    ok_nodata = 0x1100,
    ok_display_info = 0x1101,
    ok_edid = 0x1104,
    err_unspec = 0x1200,
    err_out_of_memory = 0x1201,
    err_invalid_scanout_id = 0x1202,
    err_invalid_resource_id = 0x1203,
    err_invalid_parameter = 0x1205,
};

inline constexpr uint32_t k_flag_fence = 1;
inline constexpr uint32_t k_max_scanouts = 16;
inline constexpr uint32_t k_event_display = 1;
inline constexpr uint64_t k_feature_edid = 1 << 1;
inline constexpr uint32_t k_cursor_side = 64;  // cursors have 64 x 64 pixels

struct Header {
    uint32_t type;
    uint32_t flags;
    uint64_t fence_id;
    uint32_t ctx_id;
    uint32_t ring_index;
};
static_assert(sizeof(Header) == 24);

struct Rect {
    uint32_t x, y, width, height;
};

struct ResourceCreate2d {
    uint32_t resource_id, format, width, height;
};
struct ResourceId {  // unref, detach backing
    uint32_t resource_id, padding;
};
struct SetScanout {
    Rect rect;
    uint32_t scanout_id, resource_id;
};
struct ResourceFlush {
    Rect rect;
    uint32_t resource_id, padding;
};
struct TransferToHost2d {
    Rect rect;
    uint64_t offset;
    uint32_t resource_id, padding;
};
struct AttachBacking {
    uint32_t resource_id, entries;
};
struct MemoryEntry {
    uint64_t address;
    uint32_t length, padding;
};
struct GetEdid {
    uint32_t scanout_id, padding;
};
struct UpdateCursor {
    uint32_t scanout_id, x, y, padding;
    uint32_t resource_id, hot_x, hot_y, padding_2;
};

struct DisplayOne {
    Rect rect;
    uint32_t enabled, flags;
};
struct DisplayInfo {
    Header header;
    DisplayOne displays[k_max_scanouts];
};
struct EdidAnswer {
    Header header;
    uint32_t size, padding;
    uint8_t edid[1024];
};
struct Config {
    uint32_t events_read, events_clear, num_scanouts, num_capsets;
};

}  // namespace skep::gpu
