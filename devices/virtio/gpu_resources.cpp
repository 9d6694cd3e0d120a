// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/gpu_resources.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "vmm/base/bits.hpp"

namespace skep::gpu {
namespace {

// enum virtio_gpu_formats: named by the order of bytes in memory.
enum Format : uint32_t {
    k_b8g8r8a8 = 1,
    k_b8g8r8x8 = 2,
    k_a8r8g8b8 = 3,
    k_x8r8g8b8 = 4,
    k_r8g8b8a8 = 67,
    k_x8b8g8r8 = 68,
    k_a8b8g8r8 = 121,
    k_r8g8b8x8 = 134,
};

bool is_known(uint32_t format) {
    switch (format) {
        case k_b8g8r8a8:
        case k_b8g8r8x8:
        case k_a8r8g8b8:
        case k_x8r8g8b8:
        case k_r8g8b8a8:
        case k_x8b8g8r8:
        case k_a8b8g8r8:
        case k_r8g8b8x8: return true;
        default: return false;
    }
}

// To 0xAARRGGBB.
constexpr uint32_t from_format(uint32_t format, uint32_t pixel) {
    switch (format) {
        case k_a8r8g8b8:
        case k_x8r8g8b8: return byte_swap(pixel);
        case k_r8g8b8a8:
        case k_r8g8b8x8: return (pixel & 0xff00'ff00) | (pixel & 0xff) << 16 | (pixel >> 16 & 0xff);
        case k_x8b8g8r8:
        case k_a8b8g8r8: return pixel >> 8 | pixel << 24;
        default: return pixel;
    }
}

}  // namespace

uint32_t Resource::pixel(uint32_t x, uint32_t y) const {
    return from_format(m_format, m_pixels[size_t{y} * m_size.width + x]);
}

void Resource::copy_row(uint32_t y, uint32_t x, uint32_t count, uint32_t* to) const {
    const uint32_t* from = &m_pixels[size_t{y} * m_size.width + x];
    for (uint32_t i = 0; i < count; ++i) {
        to[i] = from_format(m_format, from[i]) & 0x00ff'ffff;
    }
}

bool Resource::read_backing(const GuestMemory& memory, uint64_t offset, void* to, uint64_t size) const {
    auto* out = static_cast<std::byte*>(to);
    auto end = std::upper_bound(m_backing_ends.begin(), m_backing_ends.end(), offset);
    while (size != 0) {
        if (end == m_backing_ends.end()) {
            return false;
        }
        const MemoryEntry& entry = m_backing[static_cast<size_t>(end - m_backing_ends.begin())];
        const uint64_t inside = offset - (*end - entry.length);
        const uint64_t piece = std::min(size, entry.length - inside);
        if (!memory.read(entry.address + inside, out, piece)) {
            return false;
        }
        out += piece;
        offset += piece;
        size -= piece;
        ++end;
    }
    return true;
}

const Resource* Resources::find(uint32_t id) const {
    const auto found = m_resources.find(id);
    return found == m_resources.end() ? nullptr : &found->second;
}

Response Resources::create(const ResourceCreate2d& command) {
    const ScreenSize size{command.width, command.height};
    if (command.resource_id == 0 || m_resources.count(command.resource_id) != 0) {
        return Response::err_invalid_resource_id;
    }
    if (!is_known(command.format) || !size.acceptable()) {
        return Response::err_invalid_parameter;
    }
    const uint64_t bytes = uint64_t{size.width} * size.height * 4;
    if (bytes > k_most_bytes - m_bytes || m_resources.size() >= k_most_resources) {
        return Response::err_out_of_memory;
    }
    m_bytes += bytes;
    Resource& made = m_resources[command.resource_id];
    made.m_format = command.format;
    made.m_size = size;
    made.m_pixels.assign(size_t{size.width} * size.height, 0);
    return Response::ok_nodata;
}

Response Resources::remove(uint32_t id) {
    const auto found = m_resources.find(id);
    if (found == m_resources.end()) {
        return Response::err_invalid_resource_id;
    }
    m_bytes -= found->second.m_pixels.size() * 4;
    m_resources.erase(found);
    return Response::ok_nodata;
}

Response Resources::attach(uint32_t id, std::vector<MemoryEntry> entries) {
    const auto found = m_resources.find(id);
    if (found == m_resources.end()) {
        return Response::err_invalid_resource_id;
    }
    Resource& resource = found->second;
    if (!resource.m_backing.empty() || entries.size() > k_most_entries) {
        return Response::err_unspec;
    }
    std::erase_if(entries, [](const MemoryEntry& entry) { return entry.length == 0; });
    uint64_t end = 0;
    for (const MemoryEntry& entry : entries) {
        resource.m_backing_ends.push_back(end += entry.length);
    }
    resource.m_backing = std::move(entries);
    return Response::ok_nodata;
}

Response Resources::detach(uint32_t id) {
    const auto found = m_resources.find(id);
    if (found == m_resources.end()) {
        return Response::err_invalid_resource_id;
    }
    found->second.m_backing.clear();
    found->second.m_backing_ends.clear();
    return Response::ok_nodata;
}

// Row by row: the guest's rows are as wide as the resource.
Response Resources::transfer(const GuestMemory& memory, const TransferToHost2d& command) {
    const auto found = m_resources.find(command.resource_id);
    if (found == m_resources.end()) {
        return Response::err_invalid_resource_id;
    }
    Resource& resource = found->second;
    const Rect& rect = command.rect;
    if (!resource.holds(rect)) {
        return Response::err_invalid_parameter;
    }
    const uint64_t stride = uint64_t{resource.m_size.width} * 4;
    const bool whole_rows = rect.x == 0 && rect.width == resource.m_size.width;
    const uint64_t pieces = whole_rows && rect.height != 0 ? 1 : rect.height;
    const uint64_t piece_bytes = whole_rows ? stride * rect.height : uint64_t{rect.width} * 4;
    for (uint64_t piece = 0; piece < pieces; ++piece) {
        uint32_t* to = resource.m_pixels.data() + (rect.y + piece) * resource.m_size.width + rect.x;
        const uint64_t offset = command.offset + piece * stride;
        if (offset < command.offset || !resource.read_backing(memory, offset, to, piece_bytes)) {
            return Response::err_unspec;
        }
    }
    return Response::ok_nodata;
}

void Resources::clear() {
    m_resources.clear();
    m_bytes = 0;
}

void Resources::save(StateWriter& writer) const {
    writer.put(static_cast<uint32_t>(m_resources.size()));
    for (const auto& [id, resource] : m_resources) {
        writer.put(id);
        writer.put(resource.m_format);
        writer.put(resource.m_size.width);
        writer.put(resource.m_size.height);
        writer.put_bytes(std::as_bytes(std::span(resource.m_pixels)));
        writer.put(static_cast<uint32_t>(resource.m_backing.size()));
        for (const MemoryEntry& entry : resource.m_backing) {
            writer.put(entry.address);
            writer.put(entry.length);
        }
    }
}

void Resources::load(StateReader& reader) {
    clear();
    const auto count = reader.get<uint32_t>();
    for (uint32_t i = 0; i < count && reader.ok(); ++i) {
        ResourceCreate2d made{};
        reader.get(made.resource_id);
        reader.get(made.format);
        reader.get(made.width);
        reader.get(made.height);
        if (create(made) != Response::ok_nodata) {
            reader.fail("a resource is out of range");
            return;
        }
        Resource& resource = m_resources[made.resource_id];
        const std::vector<std::byte> pixels = reader.get_bytes(resource.m_pixels.size() * 4);
        std::memcpy(resource.m_pixels.data(), pixels.data(), pixels.size());
        const auto entries = reader.get<uint32_t>();
        std::vector<MemoryEntry> backing;
        for (uint32_t entry = 0; entry < entries && reader.ok(); ++entry) {
            const auto address = reader.get<uint64_t>();
            backing.push_back({address, reader.get<uint32_t>(), 0});
        }
        if (attach(made.resource_id, std::move(backing)) != Response::ok_nodata) {
            reader.fail("a resource's memory is out of range");
        }
    }
}

}  // namespace skep::gpu
