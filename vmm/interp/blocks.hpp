// SPDX-License-Identifier: GPL-3.0-or-later
// Decoded code of one vCPU: straight-line blocks by the host address of their bytes, and what happens when these change.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "vmm/base/large_buffer.hpp"
#include "vmm/interp/decode.hpp"

namespace skep::interp {

// A run of ops without a jump in the middle, all on one page. Its ops follow it in memory, and after the last one an
// op that goes on with the next block.
struct Block {
    const std::byte* host = nullptr;
    Block* next_in_bucket = nullptr;
    Block* next_on_page = nullptr;
    uint16_t key = 0;          // DecodeMode::key(), k_single_op
    uint16_t leading_ops = 0;  // before the instructions': 1 when the block counts how often it runs
    uint16_t length = 0;       // bytes
    uint16_t op_count = 0;

    [[nodiscard]] Op* ops() { return reinterpret_cast<Op*>(this + 1); }
    // The block whose first op this is.
    [[nodiscard]] static Block& of(const Op* first) {
        return *reinterpret_cast<Block*>(reinterpret_cast<std::byte*>(const_cast<Op*>(first)) - sizeof(Block));
    }
};
static_assert(sizeof(Block) % alignof(Op) == 0);

inline constexpr uint32_t k_single_op = 0x100;  // of Block::key: one instruction only
inline constexpr unsigned k_most_ops = 32;

// All on the vCPU's own thread.
class BlockCache {
  public:
    BlockCache();

    [[nodiscard]] Block* find(const std::byte* host, uint32_t key) const;
    // Decodes a block from `bytes` (a stable copy of what lies at host, at most to the end of its page). Null when the
    // first instruction goes on behind them. `key` without k_single_op matches `mode`.
    // With a threshold the block begins with an op that calls Core::translator when it has run so often.
    Block* decode(std::span<const std::byte> bytes, const DecodeMode& mode, uint32_t key, uint32_t threshold = 0);
    // Makes a decoded block known as the code at `host`.
    void insert(Block* block, const std::byte* host);

    // The block at `host`, if there is one that counts, calls Core::translator the next time it runs.
    void hurry(const std::byte* host, uint32_t key);

    [[nodiscard]] bool holds_page(const std::byte* host_page) const { return m_pages.contains(host_page); }
    // Every block of this page becomes stale, the running one included.
    void drop_page(const std::byte* host_page);
    // Frees everything. Not while a block runs.
    void clear();
    // Time for a clear()?
    [[nodiscard]] bool is_full() const { return m_used_chunks >= k_most_chunks; }

  private:
    static constexpr size_t k_chunk_bytes = size_t{2} << 20;
    static constexpr size_t k_most_chunks = 32;
    static constexpr size_t k_buckets = 1 << 17;

    [[nodiscard]] static size_t bucket_of(const std::byte* host, uint32_t key);
    Block* allocate(unsigned op_count);
    void unlink(Block* block);

    std::vector<LargeBuffer> m_chunks;
    size_t m_used_chunks = 0;
    size_t m_used_bytes = k_chunk_bytes;
    std::array<Decoded, k_most_ops> m_decoded{};  // of the block that is being decoded
    std::vector<Block*> m_buckets;
    std::unordered_map<const std::byte*, Block*> m_pages;
};

// Bytes of a page that hold decoded code of some vCPU were written by this one: see InterpVm::code_written.
void code_written(Core& core, const std::byte* host, unsigned size);

}  // namespace skep::interp
