// SPDX-License-Identifier: GPL-3.0-or-later
// Counts every reference in a qcow2 image and compares with the reference counts it keeps.
#include <algorithm>
#include <cerrno>

#include "devices/block/image_file.hpp"
#include "devices/formats/qcow2_create.hpp"
#include "devices/formats/qcow2_store.hpp"

namespace skep {
namespace {

using namespace qcow2;

constexpr size_t k_most_findings = 20;
constexpr uint64_t k_most_host_clusters = uint64_t{1} << 29;  // 2 GiB of counters
constexpr uint64_t k_most_snapshot_l1 = k_most_l1_bytes / 8;

// A COPIED flag to put right: the entry at `at` in the file.
struct WrongFlag {
    uint64_t at;
    uint64_t right;
};

class Checker {
  public:
    Checker(Store& store, uint64_t file_size, const Progress& progress)
        : m_store(store), m_header(store.header()), m_file_size(file_size), m_progress(progress) {}

    Status count();
    Status compare();
    Status repair(Repair repair);
    Qcow2Check take() { return std::move(m_report); }

  private:
    void found(std::string sentence);
    void use(uint64_t offset, uint64_t bytes, const char* what);
    Status host(HostError error) const;
    Status count_table(const std::vector<uint64_t>& l1, uint64_t l1_offset, bool active);
    Status count_l2(uint64_t l2_offset, bool active);
    Status count_snapshots();
    Status count_bitmaps();
    Status check_flag(uint64_t at, uint64_t entry);
    Result<std::vector<uint64_t>> read_table(uint64_t offset, uint64_t entries);

    Store& m_store;
    const Header& m_header;
    uint64_t m_file_size;
    const Progress& m_progress;
    std::vector<uint32_t> m_uses;
    std::vector<std::pair<uint64_t, uint64_t>> m_to_raise, m_to_lower;
    std::vector<WrongFlag> m_flags;
    Qcow2Check m_report;
};

void Checker::found(std::string sentence) {
    if (m_report.findings.size() < k_most_findings) {
        m_report.findings.push_back(std::move(sentence));
    }
}

Status Checker::host(HostError error) const {
    return error == 0 ? Status{} : Status(fail_errno(error, fmt::format("Checking disk image {}", m_store.path())));
}

void Checker::use(uint64_t offset, uint64_t bytes, const char* what) {
    if (bytes == 0) {
        return;
    }
    const uint64_t last = (offset + bytes - 1) >> m_header.cluster_bits;
    for (uint64_t cluster = offset >> m_header.cluster_bits; cluster <= last; ++cluster) {
        if (cluster >= m_uses.size()) {
            ++m_report.errors;
            found(fmt::format("{} lies at {:#x}, behind the end of the file.", what, cluster << m_header.cluster_bits));
            return;
        }
        ++m_uses[cluster];
        m_report.file_end = std::max(m_report.file_end, (cluster + 1) << m_header.cluster_bits);
    }
}

Result<std::vector<uint64_t>> Checker::read_table(uint64_t offset, uint64_t entries) {
    std::vector<uint8_t> raw(entries * 8);
    if (const HostError error = m_store.file().read(offset, raw); error != 0) {
        return tl::unexpected(host(error).error());
    }
    std::vector<uint64_t> table(entries);
    for (size_t i = 0; i < table.size(); ++i) {
        table[i] = load_be<uint64_t>(&raw[i * 8]);
    }
    return table;
}

Status Checker::count_l2(uint64_t l2_offset, bool active) {
    const auto table = read_table(l2_offset, m_header.l2_entries());
    if (!table) {
        return tl::unexpected(table.error());
    }
    for (size_t i = 0; i < table->size(); ++i) {
        const uint64_t entry = (*table)[i];
        const uint64_t offset = entry & k_offset_mask;
        const bool compressed = (entry & k_compressed) != 0;
        if (compressed) {
            const CompressedPlace place = m_store.compressed_place(entry);
            use(place.offset, place.length, "A compressed cluster");
            m_report.compressed_clusters += active ? 1 : 0;
            m_report.allocated_clusters += active ? 1 : 0;
            continue;
        }
        if (offset == 0) {
            continue;
        }
        if (offset % m_header.cluster_size() != 0) {
            ++m_report.errors;
            found(fmt::format("A data cluster is said to lie at {:#x}, where no cluster begins.", offset));
            continue;
        }
        use(offset, m_header.cluster_size(), "A data cluster");
        m_report.allocated_clusters += active ? 1 : 0;
        if (active) {
            m_flags.push_back({l2_offset + i * 8, entry});  // judged when all is counted
        }
    }
    return {};
}

Status Checker::count_table(const std::vector<uint64_t>& l1, uint64_t l1_offset, bool active) {
    for (size_t i = 0; i < l1.size(); ++i) {
        const uint64_t offset = l1[i] & k_offset_mask;
        if (offset == 0) {
            continue;
        }
        use(offset, m_header.cluster_size(), "A second-level table");
        if (offset % m_header.cluster_size() != 0 || offset >= m_file_size) {
            ++m_report.errors;
            found(fmt::format("A second-level table is said to lie at {:#x}.", offset));
            continue;
        }
        if (active) {
            m_flags.push_back({l1_offset + i * 8, l1[i]});
        }
        if (const Status counted = count_l2(offset, active); !counted) {
            return counted;
        }
        if (active && !goes_on(m_progress, 0.8 * static_cast<double>(i + 1) / static_cast<double>(l1.size()))) {
            return fail(ErrorKind::cancelled, "The check was stopped.");
        }
    }
    return {};
}

// "Snapshots": a table of entries of varying length.
Status Checker::count_snapshots() {
    uint64_t at = m_header.snapshots_offset;
    for (uint32_t i = 0; i < m_header.snapshot_count; ++i) {
        std::vector<uint8_t> raw(40);
        if (const Status read = host(m_store.file().read(at, raw)); !read) {
            return read;
        }
        const auto l1_offset = load_be<uint64_t>(raw.data());
        const auto l1_entries = load_be<uint32_t>(&raw[8]);
        if (l1_entries > k_most_snapshot_l1 || l1_offset % m_header.cluster_size() != 0 || l1_offset >= m_file_size) {
            ++m_report.errors;
            found(fmt::format("Snapshot {} has an impossible first-level table.", i));
            return {};
        }
        use(l1_offset, uint64_t{l1_entries} * 8, "A snapshot's first-level table");
        const auto l1 = read_table(l1_offset, l1_entries);
        if (!l1) {
            return tl::unexpected(l1.error());
        }
        if (const Status counted = count_table(*l1, l1_offset, false); !counted) {
            return counted;
        }
        const uint64_t names = uint64_t{load_be<uint16_t>(&raw[12])} + load_be<uint16_t>(&raw[14]);
        at = align_up(at + 40 + load_be<uint32_t>(&raw[36]) + names, 8);
        if (at > m_file_size) {
            break;
        }
    }
    use(m_header.snapshots_offset, m_header.snapshot_count > 0 ? at - m_header.snapshots_offset : 0, "The snapshot table");
    return {};
}

// "Bitmap directory": persistent bitmaps are nothing to us, but they use clusters.
Status Checker::count_bitmaps() {
    if ((m_header.autoclear & k_autoclear_bitmaps) == 0 || m_header.bitmaps_bytes == 0) {
        return {};
    }
    use(m_header.bitmaps_offset, m_header.bitmaps_bytes, "The bitmap directory");
    std::vector<uint8_t> raw(std::min<uint64_t>(m_header.bitmaps_bytes, uint64_t{64} << 20));
    if (const Status read = host(m_store.file().read(m_header.bitmaps_offset, raw)); !read) {
        return read;
    }
    for (uint64_t at = 0; at + 24 <= raw.size();) {
        const auto offset = load_be<uint64_t>(&raw[at]);
        const uint64_t entries = std::min<uint64_t>(load_be<uint32_t>(&raw[at + 8]), k_most_snapshot_l1);
        use(offset, entries * 8, "A bitmap's table");
        const auto table = read_table(offset, entries);
        if (!table) {
            return tl::unexpected(table.error());
        }
        for (const uint64_t entry : *table) {
            use(entry & k_offset_mask, (entry & k_offset_mask) != 0 ? m_header.cluster_size() : 0, "A bitmap");
        }
        at = align_up(at + 24 + load_be<uint16_t>(&raw[at + 18]) + load_be<uint32_t>(&raw[at + 20]), 8);
    }
    return {};
}

Status Checker::count() {
    const uint64_t clusters = (m_file_size + m_header.cluster_size() - 1) >> m_header.cluster_bits;
    if (clusters > k_most_host_clusters) {
        return fail(ErrorKind::unsupported, "Disk image {} has too many clusters to be checked.", m_store.path());
    }
    m_uses.resize(clusters);
    m_report.clusters = m_header.clusters();
    use(0, m_header.cluster_size(), "The header");
    use(m_header.l1_offset, uint64_t{m_header.l1_entries} * 8, "The first-level table");
    use(m_header.refcount_table_offset, uint64_t{m_header.refcount_table_clusters} << m_header.cluster_bits,
        "The reference count table");
    for (const uint64_t block : m_store.refcounts().table()) {
        use(block, block != 0 ? m_header.cluster_size() : 0, "A block of reference counts");
    }
    Status status = count_table(m_store.l1(), m_header.l1_offset, true);
    if (status) {
        status = count_snapshots();
    }
    if (status) {
        status = count_bitmaps();
    }
    return status;
}

Status Checker::check_flag(uint64_t at, uint64_t entry) {
    const uint64_t cluster = (entry & k_offset_mask) >> m_header.cluster_bits;
    const bool alone = cluster < m_uses.size() && m_uses[cluster] == 1;
    if (alone != ((entry & k_copied) != 0)) {
        ++m_report.errors;
        found(fmt::format("The entry at {:#x} is wrong about whether its cluster is used once.", at));
        m_flags.push_back({at, entry ^ k_copied});
    }
    return {};
}

Status Checker::compare() {
    for (uint64_t cluster = 0; cluster < m_uses.size(); ++cluster) {
        uint64_t counted = 0;
        if (const Status read = host(m_store.refcounts().get(cluster, counted)); !read) {
            return read;
        }
        if (counted > m_uses[cluster]) {
            ++m_report.leaks;
            m_to_lower.emplace_back(cluster, m_uses[cluster]);
        } else if (counted < m_uses[cluster]) {
            ++m_report.errors;
            m_to_raise.emplace_back(cluster, m_uses[cluster]);
            found(fmt::format("The cluster at {:#x} is used {} times but counted {} times.", cluster << m_header.cluster_bits,
                              m_uses[cluster], counted));
        }
        if ((cluster & 0xffff) == 0 &&
            !goes_on(m_progress, 0.8 + 0.2 * static_cast<double>(cluster) / static_cast<double>(m_uses.size()))) {
            return fail(ErrorKind::cancelled, "The check was stopped.");
        }
    }
    for (const WrongFlag& entry : std::exchange(m_flags, {})) {
        if (const Status judged = check_flag(entry.at, entry.right); !judged) {
            return judged;
        }
    }
    return {};
}

// Counts are raised before flags promise anything, and lowered last: a cut in between leaves leaks only.
Status Checker::repair(Repair repair) {
    Refcounts& counts = m_store.refcounts();
    const bool everything = repair == Repair::everything;
    HostError error = 0;
    for (size_t i = 0; everything && i < m_to_raise.size() && error == 0; ++i) {
        error = counts.assign(m_to_raise[i].first, m_to_raise[i].second);
        ++m_report.repaired;
    }
    error = error != 0 ? error : m_store.commit();
    for (size_t i = 0; everything && i < m_flags.size() && error == 0; ++i) {
        std::vector<uint8_t> raw(8);
        store_be<uint64_t>(raw.data(), m_flags[i].right);
        error = m_store.file().write(m_flags[i].at, raw);
        ++m_report.repaired;
    }
    for (size_t i = 0; i < m_to_lower.size() && error == 0; ++i) {
        error = counts.assign(m_to_lower[i].first, m_to_lower[i].second);
        ++m_report.repaired;
    }
    error = error != 0 ? error : m_store.commit();
    const bool clean = m_report.repaired == m_report.leaks + m_report.errors;
    if (error == 0 && everything && clean && (m_header.incompatible & (k_dirty | k_corrupt)) != 0) {
        error = m_store.write_header_field(k_incompatible_at, m_header.incompatible & ~uint64_t{k_dirty | k_corrupt});
    }
    return host(error);
}

}  // namespace

Result<Qcow2Check> check_qcow2_image(const std::string& path, Repair repair, const Progress& progress) {
    auto file = open_image_file(path, repair == Repair::nothing ? ImageAccess::read_only : ImageAccess::read_write);
    if (!file) {
        return tl::unexpected(file.error());
    }
    if (repair != Repair::nothing) {
        // What a killed writer left in its log goes into the tables; images that refuse to be written have none.
        static_cast<void>(Store::open(*file->engine, file->size, path, {}));
    }
    auto store = Store::open(*file->engine, file->size, path, {.access = ImageAccess::read_only});
    if (!store) {
        return tl::unexpected(store.error());
    }
    return check_qcow2(**store, file->size, repair, progress);
}

Result<Qcow2Check> check_qcow2(Store& store, uint64_t file_size, Repair repair, const Progress& progress) {
    Checker checker(store, file_size, progress);
    Status status = checker.count();
    if (status) {
        status = checker.compare();
    }
    if (status && repair != Repair::nothing) {
        status = checker.repair(repair);
    }
    if (!status) {
        return tl::unexpected(status.error());
    }
    return checker.take();
}

}  // namespace skep
