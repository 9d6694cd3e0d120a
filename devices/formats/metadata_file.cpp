// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/metadata_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

#include "vmm/base/bits.hpp"

namespace skep {

int64_t MetadataFile::carry_out(FileOp op) {
    for (;;) {
        std::promise<int64_t> promise;
        std::future<int64_t> result = promise.get_future();
        FileOp attempt = op;
        attempt.done = [&promise](int64_t value) { promise.set_value(value); };
        m_engine.start(std::move(attempt));
        const int64_t value = result.get();
        if (value != -EINTR && value != -EAGAIN && value != -ECANCELED) {
            return value;
        }
    }
}

HostError MetadataFile::read(uint64_t offset, std::span<uint8_t> to) {
    const HostError error = read_file(offset, to);
    const uint64_t end = offset + to.size();
    for (auto word = m_instead.lower_bound(align_down(offset, 8)); word != m_instead.end() && word->first < end; ++word) {
        uint8_t bytes[8];
        store_be<uint64_t>(bytes, word->second);
        for (uint64_t i = 0; i < 8; ++i) {
            if (word->first + i >= offset && word->first + i < end) {
                to[word->first + i - offset] = bytes[i];
            }
        }
    }
    return error;
}

HostError MetadataFile::read_file(uint64_t offset, std::span<uint8_t> to) {
    while (!to.empty()) {
        FileOp op;
        op.kind = FileOpKind::read;
        op.offset = offset;
        op.buffers = {{to.data(), to.size()}};
        const int64_t moved = carry_out(std::move(op));
        if (moved < 0) {
            return static_cast<HostError>(-moved);
        }
        if (moved == 0) {
            std::memset(to.data(), 0, to.size());
            return 0;
        }
        const auto bytes = std::min<size_t>(static_cast<size_t>(moved), to.size());
        to = to.subspan(bytes);
        offset += bytes;
    }
    return 0;
}

HostError MetadataFile::write(uint64_t offset, std::span<const uint8_t> from) {
    while (!from.empty()) {
        FileOp op;
        op.kind = FileOpKind::write;
        op.offset = offset;
        op.buffers = {{const_cast<uint8_t*>(from.data()), from.size()}};  // only read from
        const int64_t moved = carry_out(std::move(op));
        if (moved <= 0) {
            return moved == 0 ? EIO : static_cast<HostError>(-moved);
        }
        const auto bytes = std::min<size_t>(static_cast<size_t>(moved), from.size());
        from = from.subspan(bytes);
        offset += bytes;
    }
    return 0;
}

HostError MetadataFile::sync() {
    if (m_sync_failed) {
        return EIO;
    }
    FileOp op;
    op.kind = FileOpKind::sync;
    const int64_t result = carry_out(std::move(op));
    m_sync_failed = result < 0;
    return result < 0 ? EIO : 0;
}

void MetadataFile::punch(uint64_t offset, uint64_t length) {
    FileOp op;
    op.kind = FileOpKind::punch_hole;
    op.offset = offset;
    op.length = length;
    static_cast<void>(carry_out(std::move(op)));
}

}  // namespace skep
