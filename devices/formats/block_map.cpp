// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/block_map.hpp"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_most_blocks = uint64_t{1} << 24;
constexpr size_t k_grain_marker = 12;  // VMDK "Grain marker": sector, then the size of the stream

}  // namespace

tl::unexpected<Error> damaged_image(const std::string& path, const std::string& what) {
    return fail(ErrorKind::invalid_input, "Disk image {} is damaged: {}. Get it once more.", path, what);
}

Status check_table_place(uint64_t offset, uint64_t count, uint64_t entry_bytes, uint64_t file_size, const std::string& path) {
    if (count == 0 || count > k_most_blocks) {
        return damaged_image(path, "its table of blocks has an impossible size");
    }
    if (offset > file_size || count * entry_bytes > file_size - offset) {
        return damaged_image(path, "its table of blocks lies outside of the file");
    }
    return {};
}

Result<BlockMap> read_block_map(ImageFormat format, MetadataFile& file, uint64_t file_size, const std::string& path) {
    switch (format) {
        case ImageFormat::vmdk: return read_vmdk_map(file, file_size, path);
        case ImageFormat::vdi: return read_vdi_map(file, file_size, path);
        case ImageFormat::vhd: return read_vhd_map(file, file_size, path);
        case ImageFormat::vhdx: return read_vhdx_map(file, file_size, path);
        default: return fail(ErrorKind::unsupported, "{} is not an image to import.", path);
    }
}

BlockMapImage::BlockMapImage(std::string path, BlockMap map, ImageFile file)
    : m_path(std::move(path)),
      m_map(std::move(map)),
      m_file(std::move(file)),
      m_reader(*m_file.engine),
      m_info{align_up(m_map.size, 512), 512, true, false},
      m_thread([this] { run(); }) {}

BlockMapImage::~BlockMapImage() {
    {
        const std::lock_guard lock(m_mutex);
        m_quit = true;
    }
    m_changed.notify_all();
    m_thread.join();
}

void BlockMapImage::submit(BlockRequest request) {
    {
        const std::lock_guard lock(m_mutex);
        m_queue.push_back(std::move(request));
    }
    m_changed.notify_one();
}

void BlockMapImage::drain() {
    std::unique_lock lock(m_mutex);
    m_idle.wait(lock, [this] { return m_queue.empty() && !m_busy; });
}

void BlockMapImage::run() {
    std::unique_lock lock(m_mutex);
    for (;;) {
        m_changed.wait(lock, [this] { return m_quit || !m_queue.empty(); });
        if (m_queue.empty()) {
            return;
        }
        const BlockRequest request = std::move(m_queue.front());
        m_queue.pop_front();
        m_busy = true;
        lock.unlock();
        request.done(perform(request));
        lock.lock();
        m_busy = false;
        if (m_queue.empty()) {
            m_idle.notify_all();
        }
    }
}

BlockStatus BlockMapImage::perform(const BlockRequest& request) {
    if (request.op == BlockOp::flush) {
        return BlockStatus::ok;
    }
    const uint64_t length = total_bytes(request.buffers);
    if (request.op != BlockOp::read || length > m_info.size || request.offset > m_info.size - length) {
        return BlockStatus::io_error;
    }
    uint64_t at = request.offset;
    for (const iovec& buffer : request.buffers) {
        if (read(at, {static_cast<uint8_t*>(buffer.iov_base), buffer.iov_len}) != 0) {
            return BlockStatus::io_error;
        }
        at += buffer.iov_len;
    }
    return BlockStatus::ok;
}

HostError BlockMapImage::read(uint64_t offset, std::span<uint8_t> to) {
    while (!to.empty()) {
        const uint64_t block = offset / m_map.block_bytes;
        const uint64_t within = offset % m_map.block_bytes;
        const uint64_t length = std::min<uint64_t>(to.size(), m_map.block_bytes - within);
        const uint64_t place = block < m_map.blocks.size() ? m_map.blocks[block] : BlockMap::k_zeros;
        HostError error = 0;
        if (place == BlockMap::k_zeros) {
            std::memset(to.data(), 0, length);
        } else if (m_map.compressed) {
            error = load_grain(place);
            if (error == 0) {
                std::memcpy(to.data(), m_grain.data() + within, length);
            }
        } else {
            error = m_reader.read(place + within, to.first(length));
        }
        if (error != 0) {
            return error;
        }
        to = to.subspan(length);
        offset += length;
    }
    return 0;
}

HostError BlockMapImage::load_grain(uint64_t at) {
    if (at == m_grain_at) {
        return 0;
    }
    std::vector<uint8_t> marker(k_grain_marker);
    if (const HostError error = m_reader.read(at, marker); error != 0) {
        return error;
    }
    const auto packed_bytes = load_le<uint32_t>(&marker[8]);
    if (packed_bytes == 0 || packed_bytes > compressBound(m_map.block_bytes) + 64) {
        return EIO;
    }
    std::vector<uint8_t> packed(packed_bytes);
    if (const HostError error = m_reader.read(at + k_grain_marker, packed); error != 0) {
        return error;
    }
    m_grain_at = BlockMap::k_zeros;
    m_grain.assign(m_map.block_bytes, 0);
    uLongf unpacked = m_grain.size();
    if (uncompress(m_grain.data(), &unpacked, packed.data(), packed.size()) != Z_OK) {
        return EIO;
    }
    m_grain_at = at;
    return 0;
}

}  // namespace skep
