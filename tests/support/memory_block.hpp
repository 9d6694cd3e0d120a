// SPDX-License-Identifier: GPL-3.0-or-later
// A block back end in memory whose completions come when the test says so, with faults to order.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/block/block_requests.hpp"

namespace skep::test {

// One thread: submit() queues, run() and drain() perform and complete. Never completes inside submit().
class MemoryBlock final : public BlockBackend {
  public:
    explicit MemoryBlock(uint64_t size, uint32_t block_size = 512, bool read_only = false)
        : data(size), m_info{size, block_size, read_only, !read_only} {}

    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override {
        ++submitted[request.op];
        m_queue.push_back(std::move(request));
    }
    void drain() override { run(); }
    void set_on_no_space(std::function<void(const std::string&)> report) override { m_report = std::move(report); }
    void retry() override {
        std::deque<BlockRequest> held;
        held.swap(m_held);
        for (BlockRequest& request : held) {
            m_queue.push_back(std::move(request));
        }
    }
    void cancel_held() override {
        std::deque<BlockRequest> held;
        held.swap(m_held);
        for (const BlockRequest& request : held) {
            request.done(BlockStatus::no_space);
        }
    }

    Status grow(uint64_t size) override {
        const Status may = may_grow(size);
        if (may) {
            data.resize(size);
            m_info.size = size;
        }
        return may;
    }

    // --- the test's side -----------------------------------------------------------------------------
    // Completes up to `count` requests, oldest first; returns how many.
    size_t run(size_t count = SIZE_MAX) {
        size_t ran = 0;
        for (; ran < count && !m_queue.empty(); ++ran) {
            BlockRequest request = std::move(m_queue.front());
            m_queue.pop_front();
            perform(request);
        }
        return ran;
    }
    // The newest first: a back end that finishes out of order.
    size_t run_backwards() {
        std::reverse(m_queue.begin(), m_queue.end());
        return run();
    }
    [[nodiscard]] size_t waiting() const { return m_queue.size(); }
    [[nodiscard]] size_t held() const { return m_held.size(); }
    // The next `count` requests of a kind fail so; no_space holds them.
    void fail_next(BlockOp op, BlockStatus status, unsigned count = 1) { m_faults[op] = {status, count}; }

    std::vector<uint8_t> data;
    std::map<BlockOp, unsigned> submitted;

  private:
    struct Fault {
        BlockStatus status = BlockStatus::ok;
        unsigned count = 0;
    };

    void perform(BlockRequest& request) {
        Fault& fault = m_faults[request.op];
        if (fault.count > 0) {
            --fault.count;
            if (fault.status == BlockStatus::no_space) {
                m_held.push_back(std::move(request));
                if (m_report && m_held.size() == 1) {
                    m_report("no space");
                }
                return;
            }
            request.done(fault.status);
            return;
        }
        request.done(carry_out(request));
    }

    BlockStatus carry_out(const BlockRequest& request) {
        const uint64_t length = request_length(request);
        if (length > data.size() || request.offset > data.size() - length || (changes_data(request.op) && m_info.read_only)) {
            return BlockStatus::io_error;
        }
        uint8_t* at = data.data() + request.offset;
        if (!has_buffers(request.op)) {
            std::fill(at, at + length, uint8_t{0});
            return BlockStatus::ok;
        }
        for (const iovec& buffer : request.buffers) {
            if (request.op == BlockOp::read) {
                std::memcpy(buffer.iov_base, at, buffer.iov_len);
            } else {
                std::memcpy(at, buffer.iov_base, buffer.iov_len);
            }
            at += buffer.iov_len;
        }
        return BlockStatus::ok;
    }

    BlockInfo m_info;
    std::deque<BlockRequest> m_queue;
    std::deque<BlockRequest> m_held;
    std::map<BlockOp, Fault> m_faults;
    std::function<void(const std::string&)> m_report;
};

}  // namespace skep::test
