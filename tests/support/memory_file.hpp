// SPDX-License-Identifier: GPL-3.0-or-later
// A file in memory: operations are carried out and completed at once, on the caller's thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "devices/block/file_engine.hpp"

namespace skep::test {

// Syncing, punching and zeroing do nothing. Larger than its limit it does not become: ENOSPC.
class MemoryFile final : public FileEngine {
  public:
    static constexpr uint64_t k_most_bytes = 16 << 20;

    MemoryFile(const uint8_t* data, size_t size, uint64_t most_bytes = k_most_bytes) : m_bytes(data, data + size), m_most_bytes(most_bytes) {}
    void start(FileOp op) override { op.done(perform(op)); }

  private:
    int64_t perform(const FileOp& op) {
        const bool writes = op.kind == FileOpKind::write || op.kind == FileOpKind::write_through;
        uint64_t at = op.offset;
        if (op.kind != FileOpKind::read && !writes) {
            return 0;
        }
        for (const iovec& buffer : op.buffers) {
            if (writes && (at > m_most_bytes || buffer.iov_len > m_most_bytes - at)) {
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
    uint64_t m_most_bytes;
};

}  // namespace skep::test
