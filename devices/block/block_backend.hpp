// SPDX-License-Identifier: GPL-3.0-or-later
// Where a disk's bytes live: what every storage device asks of the host, asynchronously and from any queue.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

enum class BlockOp { read, write, flush, discard, write_zeroes };

enum class BlockStatus {
    ok,
    io_error,     // the host failed, or the request lies outside the image
    no_space,     // the request was held for want of host space and has been cancelled
    unsupported,  // the image cannot discard
};

enum class Durability {
    cached,   // on stable storage after a later flush
    through,  // on stable storage when completed (FUA)
};

struct BlockRequest {
    BlockOp op = BlockOp::read;
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes, of discard and write_zeroes; the others have buffers
    // Memory that stays valid until `done`: guest RAM or a device's own buffer.
    std::vector<iovec> buffers;
    Durability durability = Durability::cached;  // of write and write_zeroes
    bool may_unmap = true;                       // write_zeroes: the blocks may be given back to the host
    // Called exactly once, on a thread of the back end, with no lock held and never from inside submit().
    std::function<void(BlockStatus)> done;
};

struct BlockInfo {
    uint64_t size = 0;  // bytes, a multiple of block_size
    uint32_t block_size = 512;
    bool read_only = false;
    bool can_discard = false;
};

class BlockBackend {
  public:
    virtual ~BlockBackend() = default;
    [[nodiscard]] virtual const BlockInfo& info() const = 0;

    // Any thread, any number at a time; does not wait for the host. Requests may finish in any order, except that a
    // flush makes every write durable that was completed before the flush was submitted. Overlapping requests in
    // flight at once have no order.
    virtual void submit(BlockRequest request) = 0;

    // Waits until nothing is in flight on the host. Requests held for want of space stay held. Not from `done`.
    virtual void drain() = 0;

    // A write that meets a full host disk is held, not completed: `report` is then called (any thread, no lock held)
    // with a sentence for the user; retry() issues everything held again, cancel_held() completes it with no_space
    // (the machine was reset: what the buffers hold is no longer the guest's data).
    virtual void set_on_no_space(std::function<void(const std::string& sentence)> report) = 0;
    virtual void retry() = 0;
    virtual void cancel_held() = 0;

    // Makes the disk larger; info() tells of it when this returns. `size` is a multiple of block_size. Only while nothing
    // is in flight and nobody submits: the machine is paused. Waits for the host. Errors: unsupported, invalid_input (not
    // larger), those of the host.
    virtual Status grow(uint64_t size);
    // Who uses the disk is told of its new size by whoever called grow(), when the machine runs again.
    void set_on_grown(std::function<void()> tell) { m_on_grown = std::move(tell); }
    void tell_grown() const {
        if (m_on_grown) {
            m_on_grown();
        }
    }

  protected:
    // What every kind of image asks before it grows.
    [[nodiscard]] Status may_grow(uint64_t size) const;

  private:
    std::function<void()> m_on_grown;
};

inline uint64_t total_bytes(const std::vector<iovec>& buffers) {
    uint64_t total = 0;
    for (const iovec& buffer : buffers) {
        total += buffer.iov_len;
    }
    return total;
}

// What is left of `buffers` once the first `done` bytes have been moved.
inline std::vector<iovec> remaining_buffers(const std::vector<iovec>& buffers, uint64_t done) {
    std::vector<iovec> rest;
    for (const iovec& buffer : buffers) {
        if (done >= buffer.iov_len) {
            done -= buffer.iov_len;
            continue;
        }
        rest.push_back({static_cast<char*>(buffer.iov_base) + done, buffer.iov_len - done});
        done = 0;
    }
    return rest;
}

}  // namespace skep
