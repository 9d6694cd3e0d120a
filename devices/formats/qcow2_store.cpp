// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/qcow2_store.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vmm/base/log.hpp"

namespace skep::qcow2 {
namespace {

constexpr uint64_t k_first_read = 4096;
constexpr size_t k_least_cached_tables = 4;
constexpr uint64_t k_damaged = bit(61);  // reserved on the disk; only ever in memory

tl::unexpected<Error> damaged(const std::string& path, const std::string& what) {
    return fail(ErrorKind::invalid_input, "Disk image {} is damaged: {}. Check it with 'skepctl disk check'.", path, what);
}

}  // namespace

Store::Store(FileEngine& engine, Header header, uint64_t file_size, std::string path, const StoreOptions& options)
    : m_file(engine),
      m_header(std::move(header)),
      m_path(std::move(path)),
      m_options(options),
      m_file_clusters((file_size + m_header.cluster_size() - 1) >> m_header.cluster_bits),
      m_refcounts(m_file, m_header, m_metadata, file_size, m_path) {}

Result<std::unique_ptr<Store>> Store::open(FileEngine& engine, uint64_t file_size, const std::string& path,
                                           const StoreOptions& options) {
    MetadataFile file(engine);
    std::vector<uint8_t> first(std::min(file_size, k_first_read));
    HostError error = file.read(0, first);
    if (error == 0) {
        const auto bits = parse_cluster_bits(first, path);
        if (!bits) {
            return tl::unexpected(bits.error());
        }
        first.resize(std::min(file_size, uint64_t{1} << *bits));
        error = file.read(0, first);
    }
    if (error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    auto header = parse_header(first, file_size, path);
    if (!header) {
        return tl::unexpected(header.error());
    }
    std::unique_ptr<Store> store(new Store(engine, std::move(*header), file_size, path, options));
    Status status = store->take_over_log(options.access);
    if (status) {
        status = store->load_l1();
    }
    if (status) {
        status = store->m_refcounts.load_table();
    }
    if (status && options.access == ImageAccess::read_write) {
        status = store->begin_writing();
    }
    if (!status) {
        return tl::unexpected(status.error());
    }
    return store;
}

Status Store::load_l1() {
    const auto mark = [this](uint64_t offset, uint64_t bytes) {
        for (uint64_t at = offset; at < offset + bytes; at += m_header.cluster_size()) {
            m_metadata.insert(at >> m_header.cluster_bits);
        }
    };
    std::vector<uint8_t> raw(uint64_t{m_header.l1_entries} * 8);
    if (const HostError error = m_file.read(m_header.l1_offset, raw); error != 0) {
        return fail_errno(error, fmt::format("Reading the tables of disk image {}", m_path));
    }
    mark(0, m_header.cluster_size());
    mark(m_header.l1_offset, raw.size());
    mark(m_header.refcount_table_offset, uint64_t{m_header.refcount_table_clusters} << m_header.cluster_bits);
    if (m_header.snapshot_count > 0) {
        mark(m_header.snapshots_offset, 1);
    }
    m_l1.resize(m_header.l1_entries);
    m_slots.resize(m_header.l1_entries);
    for (size_t i = 0; i < m_l1.size(); ++i) {
        m_l1[i] = load_be<uint64_t>(&raw[i * 8]);
        const uint64_t offset = m_l1[i] & k_offset_mask;
        const uint64_t cluster = offset >> m_header.cluster_bits;
        if (offset == 0) {
            m_l1[i] = 0;
            continue;
        }
        if (offset % m_header.cluster_size() != 0 || cluster >= m_file_clusters || !m_metadata.insert(cluster).second) {
            return damaged(m_path, fmt::format("its table {} of clusters lies where it cannot", i));
        }
    }
    return {};
}

HostError Store::write_header_field(uint64_t at, uint64_t value) {
    std::vector<uint8_t> raw(8);
    store_be<uint64_t>(raw.data(), value);
    const HostError error = m_file.write(at, raw);
    return error != 0 ? error : m_file.sync();
}

uint64_t Store::entry(uint64_t guest_offset) const {
    const L2Table* table = m_slots[l1_index(guest_offset)].get();
    const uint64_t index = guest_offset >> m_header.cluster_bits & (m_header.l2_entries() - 1);
    return table == nullptr ? 0 : load_be<uint64_t>(&table->bytes[index * 8]);
}

ClusterPlace Store::place(uint64_t guest_offset) {
    L2Table* table = m_slots[l1_index(guest_offset)].get();
    if (table == nullptr) {
        return {};
    }
    table->last_used = ++m_clock;
    const uint64_t index = guest_offset >> m_header.cluster_bits & (m_header.l2_entries() - 1);
    const auto value = load_be<uint64_t>(&table->bytes[index * 8]);
    if ((value & k_damaged) != 0) {
        return {ClusterKind::damaged, 0, false};
    }
    if ((value & k_compressed) != 0) {
        return {ClusterKind::compressed, value, false};
    }
    const uint64_t host = value & k_offset_mask;
    const bool alone = (value & k_copied) != 0;
    if ((host & (m_header.cluster_size() - 1)) != 0) {
        return {ClusterKind::damaged, host, false};
    }
    if ((value & k_reads_zero) != 0) {
        return {host == 0 ? ClusterKind::zero : ClusterKind::zero_allocated, host, alone};
    }
    return {host == 0 ? ClusterKind::unallocated : ClusterKind::data, host, alone};
}

CompressedPlace Store::compressed_place(uint64_t entry) const {
    const unsigned offset_bits = 62 - (m_header.cluster_bits - 8);
    const uint64_t offset = bits(entry, 0, offset_bits);
    const uint64_t sectors = bits(entry, offset_bits, 62 - offset_bits) + 1;
    return {offset, sectors * 512 - (offset & 511)};
}

// Entries that name a table of this image become ones that place() calls damaged, where only reading is asked for.
HostError Store::check_table(L2Table& table) const {
    for (size_t at = 0; at < table.bytes.size(); at += 8) {
        const auto value = load_be<uint64_t>(&table.bytes[at]);
        if ((value & k_compressed) != 0 || (value & k_offset_mask) == 0) {
            continue;
        }
        const bool zero_in_v2 = !m_header.has_zero_clusters() && (value & k_reads_zero) != 0;
        if (zero_in_v2 || m_metadata.contains((value & k_offset_mask) >> m_header.cluster_bits)) {
            log_error("disk image {} is damaged: guest cluster {:#x} lies where it cannot", m_path,
                      table.l1_index * m_header.l2_entries() + at / 8);
            if (m_options.access == ImageAccess::read_write) {
                return EIO;
            }
            store_be<uint64_t>(&table.bytes[at], k_damaged);
        }
    }
    return 0;
}

HostError Store::load(uint64_t guest_offset) {
    const uint64_t index = l1_index(guest_offset);
    const uint64_t offset = m_l1[index] & k_offset_mask;
    if (m_slots[index] || offset == 0) {
        return 0;
    }
    if (const HostError error = make_room(); error != 0) {
        return error;
    }
    auto table = std::make_unique<L2Table>();
    table->l1_index = index;
    table->bytes.resize(m_header.cluster_size());
    if (const HostError error = m_file.read(offset, table->bytes); error != 0) {
        return error;
    }
    if (const HostError error = check_table(*table); error != 0) {
        return error;
    }
    install(std::move(table));
    return 0;
}

void Store::install(std::unique_ptr<L2Table> table) {
    const std::lock_guard lock(m_mutex);
    table->last_used = ++m_clock;
    ++m_loaded_tables;
    m_slots[table->l1_index] = std::move(table);
}

// Drops the quarter of the tables that was not used for longest.
HostError Store::make_room() {
    const size_t limit = std::max<size_t>(k_least_cached_tables, m_options.cache_bytes >> m_header.cluster_bits);
    if (m_loaded_tables < limit) {
        return 0;
    }
    if (m_dirty_tables * 2 > m_loaded_tables) {
        if (const HostError error = commit(); error != 0) {
            return error;
        }
    }
    const std::lock_guard lock(m_mutex);
    std::vector<const L2Table*> clean;
    for (const auto& table : m_slots) {
        if (table && table->dirty_to == 0) {
            clean.push_back(table.get());
        }
    }
    std::ranges::sort(clean, {}, &L2Table::last_used);
    clean.resize(std::min(clean.size(), limit / 4 + 1));
    for (const L2Table* table : clean) {
        m_slots[table->l1_index].reset();
        --m_loaded_tables;
    }
    return 0;
}

HostError Store::make_writable(uint64_t guest_offset) {
    if (const HostError error = load(guest_offset); error != 0) {
        return error;
    }
    const uint64_t index = l1_index(guest_offset);
    const uint64_t old = m_l1[index];
    if (m_slots[index] && (old & k_copied) != 0) {
        return 0;
    }
    if (const HostError error = m_slots[index] ? 0 : make_room(); error != 0) {
        return error;
    }
    // A new table, or a copy of one that a snapshot uses too. It is durable before the L1 entry that will name it.
    ClusterRun run;
    if (const HostError error = m_refcounts.allocate(1, run); error != 0) {
        return error;
    }
    m_refcounts.no_longer_fresh(run.first);
    std::vector<uint8_t> content = m_slots[index] ? m_slots[index]->bytes : std::vector<uint8_t>(m_header.cluster_size());
    const uint64_t offset = run.first << m_header.cluster_bits;
    if (const HostError error = m_file.write(offset, content); error != 0) {
        static_cast<void>(m_refcounts.change(run.first, -1));
        return error;
    }
    m_metadata.insert(run.first);
    if (!m_slots[index]) {
        auto table = std::make_unique<L2Table>();
        table->l1_index = index;
        table->bytes = std::move(content);
        install(std::move(table));
    }
    {
        const std::lock_guard lock(m_mutex);
        m_l1[index] = offset | k_copied;
        entry_changed(m_header.l1_offset + index * 8, m_l1[index]);
    }
    m_dirty_l1.push_back(index);
    m_dirty = true;
    if (old != 0) {
        m_metadata.erase((old & k_offset_mask) >> m_header.cluster_bits);
        m_releasing.push_back(old & k_offset_mask);
    }
    return 0;
}

void Store::set_entry(uint64_t guest_offset, uint64_t value) {
    const std::lock_guard lock(m_mutex);
    L2Table& table = *m_slots[l1_index(guest_offset)];
    const uint64_t at = (guest_offset >> m_header.cluster_bits & (m_header.l2_entries() - 1)) * 8;
    store_be<uint64_t>(&table.bytes[at], value);
    entry_changed((m_l1[table.l1_index] & k_offset_mask) + at, value);
    m_dirty_tables += table.dirty_to == 0 ? 1 : 0;
    table.dirty_from = std::min(table.dirty_from, align_down(at, 512));
    table.dirty_to = std::max(table.dirty_to, align_down(at, 512) + 512);
    m_dirty = true;
}

void Store::release_later(uint64_t old_entry) {
    if ((old_entry & k_compressed) != 0 || (old_entry & k_offset_mask) != 0) {
        m_releasing.push_back(old_entry);
    }
}

}  // namespace skep::qcow2
