// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/blocks.hpp"

#include <array>
#include <new>

#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/translator.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::interp {
namespace {

const std::byte* page_of(const std::byte* host) {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{k_page_mask});
}

// Counts down; at zero the block may become native code. Op::immediate: what is left.
void run_counting(Core& core, const Op* op) {
    auto* self = const_cast<Op*>(op);
    if (--self->immediate == 0 && core.translator->translate(core, Block::of(op))) {
        SKEP_TAIL_CALL op->run(core, op);
    }
    SKEP_TAIL_CALL next(core, op);
}

// Fills a block's memory from decoded ops and closes it.
void fill(Block* block, std::span<const Decoded> decoded, uint16_t length, uint32_t key, uint32_t threshold) {
    new (block) Block;
    block->key = static_cast<uint16_t>(key);
    block->length = length;
    block->op_count = static_cast<uint16_t>(decoded.size());
    Op* to = block->ops();
    if (threshold != 0) {
        block->leading_ops = 1;
        Op* counting = new (to++) Op;
        counting->run = run_counting;
        counting->immediate = threshold;
    }
    for (const Decoded& one : decoded) {
        new (to++) Op(one.op);
    }
    Op* end = new (to) Op;
    end->run = run_fall_through;
    end->offset = length;
}

}  // namespace

BlockCache::BlockCache() : m_buckets(k_buckets) {}

size_t BlockCache::bucket_of(const std::byte* host, uint32_t key) {
    const auto address = reinterpret_cast<uintptr_t>(host) + key;
    return (address ^ (address >> 16)) % k_buckets;
}

Block* BlockCache::find(const std::byte* host, uint32_t key) const {
    for (Block* block = m_buckets[bucket_of(host, key)]; block != nullptr; block = block->next_in_bucket) {
        if (block->host == host && block->key == key) {
            return block;
        }
    }
    return nullptr;
}

Block* BlockCache::allocate(unsigned op_count) {
    const size_t bytes = sizeof(Block) + (op_count + 1) * sizeof(Op);
    if (m_used_bytes + bytes > k_chunk_bytes) {
        if (m_used_chunks == m_chunks.size()) {
            m_chunks.emplace_back(k_chunk_bytes);
        }
        ++m_used_chunks;
        m_used_bytes = 0;
    }
    std::byte* place = m_chunks[m_used_chunks - 1].data() + m_used_bytes;
    m_used_bytes += bytes;
    return reinterpret_cast<Block*>(place);
}

Block* BlockCache::decode(std::span<const std::byte> bytes, const DecodeMode& mode, uint32_t key, uint32_t threshold) {
    std::array<Decoded, k_most_ops>& decoded = m_decoded;
    const unsigned most = (key & k_single_op) != 0 ? 1 : k_most_ops;
    unsigned count = 0;
    uint16_t offset = 0;
    while (count < most && offset < bytes.size()) {
        Decoded& one = decoded[count];
        one = decode_instruction(bytes.subspan(offset), mode, offset);
        if (!one.complete) {
            break;
        }
        offset = static_cast<uint16_t>(offset + one.op.length);
        ++count;
        if (one.flow != Flow::next) {
            break;
        }
    }
    if (count == 0) {
        return nullptr;
    }
    Block* block = allocate(count + (threshold != 0 ? 1 : 0));
    fill(block, std::span(decoded).first(count), offset, key, threshold);
    return block;
}

void BlockCache::insert(Block* block, const std::byte* host) {
    block->host = host;
    Block*& bucket = m_buckets[bucket_of(host, block->key)];
    block->next_in_bucket = bucket;
    bucket = block;
    Block*& page = m_pages[page_of(host)];
    block->next_on_page = page;
    page = block;
}

void BlockCache::hurry(const std::byte* host, uint32_t key) {
    Block* block = find(host, key);
    if (block != nullptr && block->ops()->run == run_counting && block->ops()->immediate != 0) {
        block->ops()->immediate = 1;
    }
}

void BlockCache::unlink(Block* block) {
    Block** link = &m_buckets[bucket_of(block->host, block->key)];
    while (*link != nullptr && *link != block) {
        link = &(*link)->next_in_bucket;
    }
    if (*link == block) {
        *link = block->next_in_bucket;
    }
}

void BlockCache::drop_page(const std::byte* host_page) {
    const auto found = m_pages.find(host_page);
    if (found == m_pages.end()) {
        return;
    }
    for (Block* block = found->second; block != nullptr; block = block->next_on_page) {
        unlink(block);
        Op* ops = block->ops();
        for (unsigned i = 0; i < block->op_count + block->leading_ops + 1U; ++i) {
            ops[i].run = run_stale;
        }
    }
    m_pages.erase(found);
}

void BlockCache::clear() {
    m_pages.clear();
    m_buckets.assign(k_buckets, nullptr);
    m_used_chunks = 0;
    m_used_bytes = k_chunk_bytes;
}

}  // namespace skep::interp
