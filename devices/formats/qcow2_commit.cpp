// SPDX-License-Identifier: GPL-3.0-or-later
// How a qcow2 image's changed tables reach the disk: in order, and into the log before that.
#include <algorithm>
#include <cerrno>

#include "devices/formats/qcow2_store.hpp"
#include "vmm/base/log.hpp"

namespace skep::qcow2 {

// What a process that was killed had told its guest: seen by readers, put into the tables by a writer.
Status Store::take_over_log(ImageAccess access) {
    std::vector<TableLog::Word> words;
    std::map<uint64_t, uint64_t> counts, mapping;
    HostError error = TableLog::read(m_file, m_header, m_options.session, words);
    error = error != 0 ? error : TableLog::merge(m_file, m_header, words, counts, mapping);
    if (error == 0 && access == ImageAccess::read_only) {
        mapping.merge(counts);
        m_file.see_instead(std::move(mapping));
    } else if (error == 0 && !words.empty()) {
        log_info("disk image {}: its writer was killed; {} changes of its tables are taken from its log", m_path, words.size());
        error = write_words(counts);
        error = error != 0 ? error : m_file.sync();
        error = error != 0 ? error : write_words(mapping);
        error = error != 0 ? error : m_file.sync();
    }
    return error == 0 ? Status{} : Status(fail_errno(error, fmt::format("Reading the log of disk image {}", m_path)));
}

HostError Store::write_words(const std::map<uint64_t, uint64_t>& words) {
    for (const auto& [offset, value] : words) {
        std::vector<uint8_t> raw(8);
        store_be<uint64_t>(raw.data(), value);
        if (const HostError error = m_file.write(offset, raw); error != 0) {
            return error;
        }
    }
    return 0;
}

Status Store::begin_writing() {
    if ((m_header.incompatible & k_corrupt) != 0) {
        return fail(ErrorKind::invalid_input,
                    "Disk image {} is damaged: it is marked as corrupt and can only be read. Check it with 'skepctl disk check'.",
                    m_path);
    }
    if ((m_header.incompatible & k_dirty) != 0) {
        return fail(ErrorKind::invalid_input,
                    "Disk image {} was not closed and its reference counts are not up to date. Repair it with "
                    "'skepctl disk check --repair'.", m_path);
    }
    // Autoclear features are those that a program without knowledge of them must drop before it writes.
    HostError error = 0;
    if (m_header.version >= 3 && m_header.autoclear != 0) {
        m_header.autoclear = 0;
        error = write_header_field(k_autoclear_at, 0);
    }
    if (error == 0 && m_options.acknowledged == Acknowledged::in_file && m_options.session != 0 && TableLog::has_room(m_header)) {
        m_log = std::make_unique<TableLog>(m_file, m_header, m_options.session);
        error = m_log->start();
        error = error != 0 ? error : write_header_field(k_autoclear_at, k_autoclear_log);
        m_refcounts.set_log(m_log.get());
    }
    return error == 0 ? Status{} : Status(fail_errno(error, fmt::format("Writing disk image {}", m_path)));
}

void Store::entry_changed(uint64_t offset, uint64_t value) {
    if (m_log) {
        m_log->note(TableLog::Table::mapping, offset, value);
    }
    m_unlogged = m_options.acknowledged == Acknowledged::in_file;
}

HostError Store::log_changes() {
    if (!has_unlogged()) {  // only this thread changes it
        return 0;
    }
    const HostError error = m_log ? m_log->append() : ENOBUFS;
    if (error == ENOBUFS) {
        return commit();
    }
    if (error == 0) {
        const std::lock_guard lock(m_mutex);
        m_unlogged = false;
    }
    return error;
}

void Store::close_log() {
    if (m_log && !m_dirty && !m_refcounts.dirty() && !m_file.sync_failed()) {
        static_cast<void>(write_header_field(k_autoclear_at, 0));
    }
}

HostError Store::write_l2_tables() {
    for (size_t i = 0; i < m_slots.size() && m_dirty_tables > 0; ++i) {
        L2Table* table = m_slots[i].get();
        if (table == nullptr || table->dirty_to == 0) {
            continue;
        }
        const uint64_t offset = m_l1[i] & k_offset_mask;
        const std::span<const uint8_t> changed(&table->bytes[table->dirty_from], table->dirty_to - table->dirty_from);
        if (const HostError error = m_file.write(offset + table->dirty_from, changed); error != 0) {
            return error;
        }
        table->dirty_from = ~uint64_t{0};
        table->dirty_to = 0;
        --m_dirty_tables;
    }
    return 0;
}

HostError Store::write_l1_entries() {
    for (const uint64_t index : m_dirty_l1) {
        std::vector<uint8_t> raw(8);
        store_be<uint64_t>(raw.data(), m_l1[index]);
        if (const HostError error = m_file.write(m_header.l1_offset + index * 8, raw); error != 0) {
            return error;
        }
    }
    return 0;
}

HostError Store::commit() {
    const bool mapping_changed = m_dirty_tables > 0 || !m_dirty_l1.empty();
    HostError error = m_refcounts.write_blocks();
    if (error == 0) {
        error = m_file.sync();
    }
    if (error == 0 && mapping_changed) {
        error = write_l2_tables();
        error = error != 0 ? error : write_l1_entries();
        error = error != 0 ? error : m_file.sync();
    }
    if (error != 0) {
        return error;
    }
    m_dirty_l1.clear();
    m_released.insert(m_released.end(), m_releasing.begin(), m_releasing.end());
    m_releasing.clear();
    m_dirty = false;
    {
        const std::lock_guard lock(m_mutex);
        m_unlogged = false;
    }
    return m_log ? m_log->clear() : 0;
}

std::vector<uint64_t> Store::take_released() { return std::exchange(m_released, {}); }

HostError Store::release_clusters(uint64_t entry, std::vector<uint64_t>& unused) {
    uint64_t first = (entry & k_offset_mask) >> m_header.cluster_bits;
    uint64_t last = first;
    if ((entry & k_compressed) != 0) {
        const CompressedPlace place = compressed_place(entry);
        first = place.offset >> m_header.cluster_bits;
        last = (place.offset + place.length - 1) >> m_header.cluster_bits;
    }
    for (uint64_t cluster = first; cluster <= last; ++cluster) {
        if (const HostError error = m_refcounts.change(cluster, -1); error != 0) {
            return error;
        }
        uint64_t left = 0;
        if (m_refcounts.get(cluster, left) == 0 && left == 0) {
            unused.push_back(cluster);
        }
    }
    return 0;
}

HostError Store::drop_released(const std::vector<uint64_t>& entries) {
    std::vector<uint64_t> unused;
    HostError result = 0;
    for (const uint64_t entry : entries) {
        const HostError error = release_clusters(entry, unused);
        result = result != 0 ? result : error;
    }
    std::ranges::sort(unused);
    for (size_t i = 0; i < unused.size();) {
        size_t end = i + 1;
        while (end < unused.size() && unused[end] == unused[end - 1] + 1) {
            ++end;
        }
        m_file.punch(unused[i] << m_header.cluster_bits, (end - i) << m_header.cluster_bits);
        i = end;
    }
    m_dirty = m_dirty || m_refcounts.dirty();
    return result;
}

// The new first-level table is durable before the header names it; the old one is then free.
Status Store::grow(uint64_t new_size) {
    Header grown = m_header;
    grown.size = new_size;
    const uint64_t entries = std::max<uint64_t>(grown.needed_l1_entries(), m_l1.size());
    if (entries * 8 > k_most_l1_bytes) {
        return fail(ErrorKind::invalid_input, "Disk image {} cannot be made that large with clusters of {} bytes.", m_path,
                    m_header.cluster_size());
    }
    HostError error = commit();
    if (error == 0 && entries > m_l1.size()) {
        const uint64_t clusters = (entries * 8 + m_header.cluster_size() - 1) >> m_header.cluster_bits;
        const uint64_t old_first = m_header.l1_offset >> m_header.cluster_bits;
        const uint64_t old_count = (m_l1.size() * 8 + m_header.cluster_size() - 1) >> m_header.cluster_bits;
        ClusterRun run;
        error = m_refcounts.allocate_together(clusters, run);
        if (error == 0) {
            std::vector<uint8_t> raw(clusters << m_header.cluster_bits);
            for (size_t i = 0; i < m_l1.size(); ++i) {
                store_be<uint64_t>(&raw[i * 8], m_l1[i]);
            }
            m_refcounts.no_longer_fresh(run.first + clusters - 1);
            error = m_file.write(run.first << m_header.cluster_bits, raw);
            error = error != 0 ? error : m_refcounts.write_blocks();
            error = error != 0 ? error : m_file.sync();
        }
        if (error == 0) {  // size of the table, then its place: neighbours in the header, so one write
            std::vector<uint8_t> field(12);
            store_be<uint32_t>(field.data(), static_cast<uint32_t>(entries));
            store_be<uint64_t>(&field[4], run.first << m_header.cluster_bits);
            error = m_file.write(k_l1_size_at, field);
            error = error != 0 ? error : m_file.sync();
        }
        for (uint64_t i = 0; i < clusters && error == 0; ++i) {
            m_metadata.insert(run.first + i);
        }
        if (error == 0) {
            const std::lock_guard lock(m_mutex);
            m_l1.resize(entries);
            m_slots.resize(entries);
            m_header.l1_entries = static_cast<uint32_t>(entries);
            m_header.l1_offset = run.first << m_header.cluster_bits;
        }
        for (uint64_t i = 0; i < old_count && error == 0; ++i) {
            m_metadata.erase(old_first + i);
            error = m_refcounts.change(old_first + i, -1);
        }
    }
    error = error != 0 ? error : write_header_field(24, new_size);
    error = error != 0 ? error : commit();
    if (error != 0) {
        return fail_errno(error, fmt::format("Growing disk image {}", m_path));
    }
    m_header.size = new_size;
    return {};
}

}  // namespace skep::qcow2
