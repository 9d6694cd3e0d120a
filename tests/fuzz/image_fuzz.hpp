// SPDX-License-Identifier: GPL-3.0-or-later
// What the fuzz targets of image formats share: the input as a file in memory, on the caller's thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "devices/formats/block_map.hpp"

namespace skep::fuzz {

class MemoryFile final : public FileEngine {
  public:
    static constexpr uint64_t k_most_bytes = 16 << 20;

    MemoryFile(const uint8_t* data, size_t size) : m_bytes(data, data + size) {}
    void start(FileOp op) override { op.done(perform(op)); }

  private:
    int64_t perform(const FileOp& op) {
        const bool writes = op.kind == FileOpKind::write || op.kind == FileOpKind::write_through;
        uint64_t at = op.offset;
        if (op.kind != FileOpKind::read && !writes) {
            return 0;
        }
        for (const iovec& buffer : op.buffers) {
            if (writes && (at > k_most_bytes || buffer.iov_len > k_most_bytes - at)) {
                return -ENOSPC;
            }
            if (writes) {
                m_bytes.resize(std::max<size_t>(m_bytes.size(), at + buffer.iov_len));
                std::memcpy(m_bytes.data() + at, buffer.iov_base, buffer.iov_len);
                at += buffer.iov_len;
                continue;
            }
            const size_t there = at >= m_bytes.size() ? 0 : std::min<size_t>(buffer.iov_len, m_bytes.size() - at);
            if (there != 0) {
                std::memcpy(buffer.iov_base, m_bytes.data() + at, there);
            }
            at += there;
            if (there < buffer.iov_len) {
                break;
            }
        }
        return static_cast<int64_t>(at - op.offset);
    }

    std::vector<uint8_t> m_bytes;
};

// Any bytes as an image to import: a map whose every place can be asked for, or a sentence.
inline void read_map(ImageFormat format, const uint8_t* data, size_t size) {
    if (size == 0) {
        return;
    }
    MemoryFile memory(data, size);
    MetadataFile file(memory);
    const auto map = read_block_map(format, file, size, "fuzz");
    if (map && (map->block_bytes == 0 || map->blocks.size() > uint64_t{1} << 25)) {
        std::abort();
    }
    if (!map && map.error().message.empty()) {
        std::abort();
    }
}

}  // namespace skep::fuzz
