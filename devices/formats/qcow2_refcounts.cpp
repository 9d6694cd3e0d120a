// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/qcow2_refcounts.hpp"

#include <algorithm>
#include <cerrno>

#include "vmm/base/log.hpp"

namespace skep::qcow2 {
namespace {

constexpr uint64_t k_most_loaded_bytes = uint64_t{32} << 20;
constexpr uint64_t k_most_clusters = uint64_t{1} << 47;  // offsets have 56 bits, clusters at least 9

}  // namespace

uint64_t read_refcount(const uint8_t* block, uint64_t index, unsigned order) {
    switch (order) {
        case 0: return block[index / 8] >> (index % 8) & 1;
        case 1: return block[index / 4] >> (index % 4 * 2) & 3;
        case 2: return block[index / 2] >> (index % 2 * 4) & 15;
        case 3: return block[index];
        case 4: return load_be<uint16_t>(block + index * 2);
        case 5: return load_be<uint32_t>(block + index * 4);
        default: return load_be<uint64_t>(block + index * 8);
    }
}

void write_refcount(uint8_t* block, uint64_t index, unsigned order, uint64_t value) {
    const auto narrow = [&](uint64_t per_byte, unsigned width) {
        const auto shift = static_cast<unsigned>(index % per_byte) * width;
        uint8_t& byte = block[index / per_byte];
        const unsigned mask = (1U << width) - 1;
        byte = static_cast<uint8_t>((byte & ~(mask << shift)) | ((value & mask) << shift));
    };
    switch (order) {
        case 0: narrow(8, 1); break;
        case 1: narrow(4, 2); break;
        case 2: narrow(2, 4); break;
        case 3: block[index] = static_cast<uint8_t>(value); break;
        case 4: store_be<uint16_t>(block + index * 2, static_cast<uint16_t>(value)); break;
        case 5: store_be<uint32_t>(block + index * 4, static_cast<uint32_t>(value)); break;
        default: store_be<uint64_t>(block + index * 8, value);
    }
}

Refcounts::Refcounts(MetadataFile& file, Header& header, std::unordered_set<uint64_t>& metadata, uint64_t file_size,
                     std::string path)
    : m_file(file),
      m_header(header),
      m_metadata(metadata),
      m_path(std::move(path)),
      m_end_cluster((file_size + header.cluster_size() - 1) >> header.cluster_bits),
      m_fresh_from(m_end_cluster) {}

HostError Refcounts::corrupt(const char* what, uint64_t cluster) const {
    log_error("disk image {} is damaged: {} (host cluster {:#x}). Check it with 'skepctl disk check'", m_path, what, cluster);
    return EIO;
}

Status Refcounts::load_table() {
    const uint64_t bytes = uint64_t{m_header.refcount_table_clusters} << m_header.cluster_bits;
    std::vector<uint8_t> raw(bytes);
    if (const HostError error = m_file.read(m_header.refcount_table_offset, raw); error != 0) {
        return fail_errno(error, fmt::format("Reading the tables of disk image {}", m_path));
    }
    m_table.resize(bytes / 8);
    for (size_t i = 0; i < m_table.size(); ++i) {
        const auto entry = load_be<uint64_t>(&raw[i * 8]);
        m_table[i] = entry & ~uint64_t{511};
        const uint64_t cluster = m_table[i] >> m_header.cluster_bits;
        if (m_table[i] == 0) {
            continue;
        }
        if (m_table[i] % m_header.cluster_size() != 0 || cluster >= m_end_cluster || !m_metadata.insert(cluster).second) {
            return fail(ErrorKind::invalid_input,
                        "Disk image {} is damaged: block {} of its reference counts lies where it cannot. Restore it from a copy.",
                        m_path, i);
        }
    }
    m_blocks.resize(m_table.size());
    return {};
}

void Refcounts::forget_clean_blocks() {
    for (auto& block : m_blocks) {
        if (block && block->dirty_to == 0) {
            block.reset();
            m_loaded_bytes -= m_header.cluster_size();
        }
    }
}

HostError Refcounts::load_block(uint64_t index, Block*& block) {
    block = nullptr;
    if (index >= m_table.size() || m_table[index] == 0) {
        return 0;
    }
    if (!m_blocks[index]) {
        if (m_loaded_bytes >= k_most_loaded_bytes) {
            forget_clean_blocks();
        }
        auto fresh = std::make_unique<Block>();
        fresh->bytes.resize(m_header.cluster_size());
        if (const HostError error = m_file.read(m_table[index], fresh->bytes); error != 0) {
            return error;
        }
        m_loaded_bytes += fresh->bytes.size();
        m_blocks[index] = std::move(fresh);
    }
    block = m_blocks[index].get();
    return 0;
}

HostError Refcounts::get(uint64_t cluster, uint64_t& value) {
    Block* block = nullptr;
    const HostError error = load_block(cluster / m_header.refcounts_per_block(), block);
    value = block == nullptr
                ? 0
                : read_refcount(block->bytes.data(), cluster % m_header.refcounts_per_block(), m_header.refcount_order);
    return error;
}

void Refcounts::set(Block& block, uint64_t cluster, uint64_t value) {
    const uint64_t index = cluster % m_header.refcounts_per_block();
    write_refcount(block.bytes.data(), index, m_header.refcount_order, value);
    const uint64_t byte = (index << m_header.refcount_order) / 8;
    m_dirty_blocks += block.dirty_to == 0 ? 1 : 0;
    block.dirty_from = std::min(block.dirty_from, align_down(byte, 512));
    block.dirty_to = std::max(block.dirty_to, align_down(byte, 512) + 512);
    if (m_log != nullptr) {
        const uint64_t word = align_down(byte, 8);
        m_log->note(TableLog::Table::counts, m_table[cluster / m_header.refcounts_per_block()] + word,
                    load_be<uint64_t>(&block.bytes[word]));
    }
    if (value == 0) {
        m_free_hint = std::min(m_free_hint, cluster);
    } else {
        m_end_cluster = std::max(m_end_cluster, cluster + 1);
    }
}

HostError Refcounts::change(uint64_t cluster, int delta) {
    Block* block = nullptr;
    if (const HostError error = load_block(cluster / m_header.refcounts_per_block(), block); error != 0) {
        return error;
    }
    if (block == nullptr) {
        return corrupt("a cluster in use is not counted", cluster);
    }
    const uint64_t index = cluster % m_header.refcounts_per_block();
    const uint64_t value = read_refcount(block->bytes.data(), index, m_header.refcount_order);
    const uint64_t most = m_header.refcount_order == 6 ? ~uint64_t{0} : (uint64_t{1} << (1U << m_header.refcount_order)) - 1;
    if ((delta < 0 && value == 0) || (delta > 0 && value == most)) {
        return corrupt("a reference count is out of range", cluster);
    }
    set(*block, cluster, delta > 0 ? value + 1 : value - 1);
    return 0;
}

HostError Refcounts::assign(uint64_t cluster, uint64_t value) {
    Block* block = nullptr;
    const HostError error = load_block(cluster / m_header.refcounts_per_block(), block);
    if (error != 0 || block == nullptr) {
        return error != 0 ? error : EIO;
    }
    set(*block, cluster, value);
    return 0;
}

// A block that describes its own cluster. Its reference from the table must not become durable before it is.
HostError Refcounts::add_block(uint64_t index, uint64_t at_cluster) {
    auto block = std::make_unique<Block>();
    block->bytes.resize(m_header.cluster_size());
    write_refcount(block->bytes.data(), at_cluster % m_header.refcounts_per_block(), m_header.refcount_order, 1);
    const uint64_t offset = at_cluster << m_header.cluster_bits;
    std::vector<uint8_t> entry(8);
    store_be<uint64_t>(entry.data(), offset);
    HostError error = m_file.write(offset, block->bytes);
    if (error == 0) {
        error = m_file.sync();
    }
    if (error == 0) {
        error = m_file.write(m_header.refcount_table_offset + index * 8, entry);
    }
    if (error != 0) {
        return error;
    }
    m_table[index] = offset;
    m_blocks[index] = std::move(block);
    m_loaded_bytes += m_header.cluster_size();
    m_metadata.insert(at_cluster);
    m_end_cluster = std::max(m_end_cluster, at_cluster + 1);
    no_longer_fresh(at_cluster);
    return m_file.sync();
}

// `cluster` is the first that the table cannot describe: the new table and the blocks for it begin there.
HostError Refcounts::grow_table(uint64_t cluster) {
    const uint64_t per_block = m_header.refcounts_per_block();
    const uint64_t first_block = cluster / per_block;
    const uint64_t old_clusters = m_header.refcount_table_clusters;
    const uint64_t old_offset = m_header.refcount_table_offset;
    uint64_t blocks = 1, table_clusters = 0;
    for (;;) {  // blocks describe themselves and the table
        const uint64_t entries = first_block + blocks;
        table_clusters = std::max(old_clusters + old_clusters / 2 + 1, (entries * 8 + m_header.cluster_size() - 1) >> m_header.cluster_bits);
        const uint64_t needed = (cluster % per_block + blocks + table_clusters + per_block - 1) / per_block;
        if (needed <= blocks) {
            break;
        }
        blocks = needed;
    }
    if (table_clusters << m_header.cluster_bits > k_most_refcount_table_bytes) {
        log_error("disk image {} cannot grow further: its reference count table is full", m_path);
        return EFBIG;
    }
    const uint64_t used = blocks + table_clusters;
    std::vector<uint8_t> content(blocks << m_header.cluster_bits);
    for (uint64_t i = 0; i < used; ++i) {
        const uint64_t index = cluster % per_block + i;
        write_refcount(&content[(index / per_block) << m_header.cluster_bits], index % per_block, m_header.refcount_order, 1);
    }
    std::vector<uint64_t> table(m_table);
    table.resize((table_clusters << m_header.cluster_bits) / 8);
    for (uint64_t i = 0; i < blocks; ++i) {
        table[first_block + i] = (cluster + i) << m_header.cluster_bits;
    }
    std::vector<uint8_t> raw(table.size() * 8);
    for (size_t i = 0; i < table.size(); ++i) {
        store_be<uint64_t>(&raw[i * 8], table[i]);
    }
    const uint64_t table_cluster = cluster + blocks;
    std::vector<uint8_t> pointer(12);
    store_be<uint64_t>(pointer.data(), table_cluster << m_header.cluster_bits);
    store_be<uint32_t>(&pointer[8], static_cast<uint32_t>(table_clusters));
    HostError error = m_file.write(cluster << m_header.cluster_bits, content);
    error = error != 0 ? error : m_file.write(table_cluster << m_header.cluster_bits, raw);
    error = error != 0 ? error : m_file.sync();
    error = error != 0 ? error : m_file.write(k_refcount_table_at, pointer);
    error = error != 0 ? error : m_file.sync();
    if (error != 0) {
        return error;
    }
    m_table = std::move(table);
    m_blocks.resize(m_table.size());
    m_header.refcount_table_offset = table_cluster << m_header.cluster_bits;
    m_header.refcount_table_clusters = static_cast<uint32_t>(table_clusters);
    for (uint64_t i = 0; i < used; ++i) {
        m_metadata.insert(cluster + i);
    }
    m_end_cluster = std::max(m_end_cluster, cluster + used);
    no_longer_fresh(cluster + used - 1);
    for (uint64_t i = 0; i < old_clusters && error == 0; ++i) {
        m_metadata.erase((old_offset >> m_header.cluster_bits) + i);
        error = change((old_offset >> m_header.cluster_bits) + i, -1);
    }
    return error;
}

HostError Refcounts::find_free(uint64_t& cluster) {
    const uint64_t per_block = m_header.refcounts_per_block();
    for (cluster = m_free_hint; cluster < k_most_clusters;) {
        const uint64_t index = cluster / per_block;
        if (index >= m_table.size() || m_table[index] == 0) {
            // Nothing in this range is in use, so its first cluster may hold its block.
            if (m_metadata.contains(cluster)) {
                return corrupt("a table lies in a cluster that is not counted", cluster);
            }
            const HostError error = index >= m_table.size() ? grow_table(cluster) : add_block(index, cluster);
            if (error != 0) {
                return error;
            }
            continue;
        }
        Block* block = nullptr;
        if (const HostError error = load_block(index, block); error != 0) {
            return error;
        }
        for (uint64_t i = cluster % per_block; i < per_block; ++i, ++cluster) {
            if (read_refcount(block->bytes.data(), i, m_header.refcount_order) == 0) {
                m_free_hint = cluster;
                return m_metadata.contains(cluster) ? corrupt("a table lies in a cluster that is not counted", cluster) : 0;
            }
        }
    }
    return EFBIG;
}

HostError Refcounts::allocate(uint64_t wanted, ClusterRun& run) {
    run = {};
    if (const HostError error = find_free(run.first); error != 0) {
        return error;
    }
    const uint64_t per_block = m_header.refcounts_per_block();
    Block* block = nullptr;
    if (const HostError error = load_block(run.first / per_block, block); error != 0) {
        return error;
    }
    while (run.count < wanted && (run.first + run.count) / per_block == run.first / per_block) {
        const uint64_t cluster = run.first + run.count;
        if (read_refcount(block->bytes.data(), cluster % per_block, m_header.refcount_order) != 0 ||
            m_metadata.contains(cluster)) {
            break;
        }
        set(*block, cluster, 1);
        ++run.count;
    }
    m_free_hint = run.first + run.count;
    return 0;
}

HostError Refcounts::allocate_together(uint64_t wanted, ClusterRun& run) {
    std::vector<ClusterRun> given_back;
    HostError error = 0;
    m_free_hint = std::max(m_free_hint, m_end_cluster);
    for (run = {}; error == 0 && run.count < wanted;) {
        ClusterRun next;
        error = allocate(wanted - run.count, next);
        if (error != 0) {
            break;
        }
        if (run.count != 0 && next.first != run.first + run.count) {  // a new block came between
            given_back.push_back(run);
            run = {};
        }
        run = run.count == 0 ? next : ClusterRun{run.first, run.count + next.count};
    }
    if (error != 0 && run.count != 0) {
        given_back.push_back(run);
    }
    m_free_hint = 0;
    for (const ClusterRun& back : given_back) {
        for (uint64_t i = 0; i < back.count; ++i) {
            static_cast<void>(change(back.first + i, -1));
        }
    }
    return error;
}

HostError Refcounts::write_blocks() {
    if (m_dirty_blocks == 0) {
        return 0;
    }
    for (size_t i = 0; i < m_blocks.size(); ++i) {
        Block* block = m_blocks[i].get();
        if (block == nullptr || block->dirty_to == 0) {
            continue;
        }
        const std::span<const uint8_t> changed(&block->bytes[block->dirty_from], block->dirty_to - block->dirty_from);
        if (const HostError error = m_file.write(m_table[i] + block->dirty_from, changed); error != 0) {
            return error;
        }
        block->dirty_from = ~uint64_t{0};
        block->dirty_to = 0;
        --m_dirty_blocks;
    }
    return 0;
}

}  // namespace skep::qcow2
