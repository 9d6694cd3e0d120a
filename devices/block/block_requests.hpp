// SPDX-License-Identifier: GPL-3.0-or-later
// What the users of back ends and the back ends themselves ask of requests.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "devices/block/block_backend.hpp"

namespace skep {

[[nodiscard]] inline bool changes_data(BlockOp op) {
    return op == BlockOp::write || op == BlockOp::discard || op == BlockOp::write_zeroes;
}

[[nodiscard]] inline bool has_buffers(BlockOp op) { return op == BlockOp::read || op == BlockOp::write; }

// Bytes of the disk that the request is about; a flush is about none.
[[nodiscard]] inline uint64_t request_length(const BlockRequest& request) {
    if (request.op == BlockOp::flush) {
        return 0;
    }
    return has_buffers(request.op) ? total_bytes(request.buffers) : request.length;
}

// Submits for one who waits: never a thread of the back end. `done` is the helper's own.
[[nodiscard]] inline std::future<BlockStatus> start_request(BlockBackend& backend, BlockRequest request) {
    auto promise = std::make_shared<std::promise<BlockStatus>>();
    request.done = [promise](BlockStatus status) { promise->set_value(status); };
    backend.submit(std::move(request));
    return promise->get_future();
}

// Nothing is in flight or held afterwards: requests that wait for host space end with no_space. Waits as drain() does.
inline void finish_all(BlockBackend& backend) {
    backend.drain();
    backend.cancel_held();
    backend.drain();
}

}  // namespace skep
