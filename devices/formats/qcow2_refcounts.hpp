// SPDX-License-Identifier: GPL-3.0-or-later
// How often each host cluster of a qcow2 image is used ("Reference count structure"), and which are free.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "devices/formats/metadata_file.hpp"
#include "devices/formats/qcow2_header.hpp"
#include "devices/formats/qcow2_log.hpp"

namespace skep::qcow2 {

// A refcount of 2^order bits at `index` of a block; narrow ones are packed from the least significant bit.
[[nodiscard]] uint64_t read_refcount(const uint8_t* block, uint64_t index, unsigned order);
void write_refcount(uint8_t* block, uint64_t index, unsigned order, uint64_t value);

struct ClusterRun {
    uint64_t first = 0;  // host cluster
    uint64_t count = 0;
};

// One thread at a time. Changes stay in memory until write_blocks(); EIO where the image contradicts itself (logged).
class Refcounts {
  public:
    // `header` follows when the table is moved. `metadata`: host clusters known to hold tables, kept by the owner too.
    Refcounts(MetadataFile& file, Header& header, std::unordered_set<uint64_t>& metadata, uint64_t file_size,
              std::string path);

    // Changes are noted there, too; null: nowhere. It outlives this.
    void set_log(TableLog* log) { m_log = log; }
    // Reads the table; false sentences as Status.
    [[nodiscard]] Status load_table();
    [[nodiscard]] HostError get(uint64_t cluster, uint64_t& value);
    // `delta` is +1 or -1.
    [[nodiscard]] HostError change(uint64_t cluster, int delta);
    // For repairs. EIO where no block describes the cluster.
    [[nodiscard]] HostError assign(uint64_t cluster, uint64_t value);
    // 1 to `wanted` clusters in a row, their counts now 1. Grows the table and adds blocks (durable when it returns).
    [[nodiscard]] HostError allocate(uint64_t wanted, ClusterRun& run);
    // Exactly `wanted` in a row, behind everything else.
    [[nodiscard]] HostError allocate_together(uint64_t wanted, ClusterRun& run);
    // The bytes behind this cluster have never been written: they read as zeros.
    [[nodiscard]] bool is_fresh(uint64_t cluster) const { return cluster >= m_fresh_from; }
    // Call for what was_fresh told about and is now in use.
    void no_longer_fresh(uint64_t cluster) { m_fresh_from = std::max(m_fresh_from, cluster + 1); }
    [[nodiscard]] HostError write_blocks();
    [[nodiscard]] bool dirty() const { return m_dirty_blocks != 0; }
    [[nodiscard]] const std::vector<uint64_t>& table() const { return m_table; }
    [[nodiscard]] uint64_t end_cluster() const { return m_end_cluster; }

  private:
    struct Block {
        std::vector<uint8_t> bytes;
        uint64_t dirty_from = ~uint64_t{0}, dirty_to = 0;  // bytes
    };
    [[nodiscard]] HostError load_block(uint64_t index, Block*& block);
    [[nodiscard]] HostError add_block(uint64_t index, uint64_t at_cluster);
    [[nodiscard]] HostError grow_table(uint64_t cluster);
    [[nodiscard]] HostError find_free(uint64_t& cluster);
    void set(Block& block, uint64_t cluster, uint64_t value);
    void forget_clean_blocks();
    [[nodiscard]] HostError corrupt(const char* what, uint64_t cluster) const;

    MetadataFile& m_file;
    Header& m_header;
    std::unordered_set<uint64_t>& m_metadata;
    std::string m_path;
    std::vector<uint64_t> m_table;  // host offsets, host byte order
    std::vector<std::unique_ptr<Block>> m_blocks;
    TableLog* m_log = nullptr;
    uint64_t m_loaded_bytes = 0;
    uint64_t m_dirty_blocks = 0;
    uint64_t m_free_hint = 0;    // no free cluster lies before
    uint64_t m_end_cluster = 0;  // nothing is in use from here on
    uint64_t m_fresh_from = 0;
};

}  // namespace skep::qcow2
