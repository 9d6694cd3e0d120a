// SPDX-License-Identifier: GPL-3.0-or-later
// The log is a row of groups, each of a checked header and 16 bytes a word, all big-endian like the rest of the image:
//   0 magic  4 number of words  8 session  16 epoch  20 number of the group in its epoch  24 checksum of all the rest
// Every epoch begins at the front again; what an older one left behind it is told by its number.
#include "devices/formats/qcow2_log.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>

#include "devices/formats/qcow2_refcounts.hpp"
#include "vmm/base/fnv.hpp"

namespace skep::qcow2 {
namespace {

constexpr uint32_t k_group_magic = 0x536b544c;  // "SkTL"
constexpr uint64_t k_group_header = 32;
constexpr uint64_t k_word_bytes = 16;
constexpr uint64_t k_least_log = 8 << 10;
constexpr uint64_t k_mapping_mark = 1;  // in a word's offset, which is a multiple of 8

uint64_t checksum(std::span<const uint8_t> group) { return fnv1a(group.subspan(k_group_header), fnv1a(group.first(24))); }

// Per count, the larger of the two.
uint64_t larger_counts(uint64_t one, uint64_t other, unsigned order) {
    uint8_t a[8], b[8];
    store_be<uint64_t>(a, one);
    store_be<uint64_t>(b, other);
    for (uint64_t i = 0; i < 64U >> order; ++i) {
        write_refcount(a, i, order, std::max(read_refcount(a, i, order), read_refcount(b, i, order)));
    }
    return load_be<uint64_t>(a);
}

}  // namespace

uint64_t host_session() {
    static const uint64_t k_session = [] {
        std::ifstream file("/proc/sys/kernel/random/boot_id");
        std::string id;
        if (!std::getline(file, id)) {
            return uint64_t{0};
        }
        return fnv1a(id) | 1;
    }();
    return k_session;
}

bool TableLog::has_room(const Header& header) {
    return header.version >= 3 && header.header_end <= k_log_at && header.cluster_size() >= k_log_at + k_least_log;
}

HostError TableLog::read(MetadataFile& file, const Header& header, uint64_t session, std::vector<Word>& words) {
    if (session == 0 || !has_room(header) || (header.autoclear & k_autoclear_log) == 0) {
        return 0;
    }
    std::vector<uint8_t> raw(header.cluster_size() - k_log_at);
    if (const HostError error = file.read(k_log_at, raw); error != 0) {
        return error;
    }
    std::span<const uint8_t> rest(raw);
    uint32_t epoch = 0;
    for (uint32_t number = 0; rest.size() >= k_group_header; ++number) {
        const uint64_t count = load_be<uint32_t>(&rest[4]);
        const bool belongs = load_be<uint32_t>(&rest[0]) == k_group_magic && load_be<uint64_t>(&rest[8]) == session &&
                             load_be<uint32_t>(&rest[20]) == number && (number == 0 || load_be<uint32_t>(&rest[16]) == epoch);
        const uint64_t bytes = k_group_header + count * k_word_bytes;
        if (!belongs || bytes > rest.size() || load_be<uint64_t>(&rest[24]) != checksum(rest.first(bytes))) {
            break;
        }
        epoch = load_be<uint32_t>(&rest[16]);
        for (uint64_t i = 0; i < count; ++i) {
            const auto place = load_be<uint64_t>(&rest[k_group_header + i * k_word_bytes]);
            const auto value = load_be<uint64_t>(&rest[k_group_header + i * k_word_bytes + 8]);
            words.push_back({align_down(place, 8), value, (place & k_mapping_mark) != 0 ? Table::mapping : Table::counts});
        }
        rest = rest.subspan(bytes);
    }
    return 0;
}

HostError TableLog::merge(MetadataFile& file, const Header& header, const std::vector<Word>& words,
                          std::map<uint64_t, uint64_t>& counts, std::map<uint64_t, uint64_t>& mapping) {
    for (const Word& word : words) {
        if (word.offset < header.cluster_size()) {
            return EIO;  // no table lies there
        }
        (word.table == Table::counts ? counts : mapping)[word.offset] = word.value;
    }
    for (auto& [offset, value] : counts) {
        std::vector<uint8_t> raw(8);
        if (const HostError error = file.read(offset, raw); error != 0) {
            return error;
        }
        value = larger_counts(value, load_be<uint64_t>(raw.data()), header.refcount_order);
    }
    return 0;
}

TableLog::TableLog(MetadataFile& file, const Header& header, uint64_t session)
    : m_file(file), m_end(header.cluster_size()), m_session(session) {}

void TableLog::note(Table table, uint64_t offset, uint64_t value) {
    if (!m_noted.empty() && m_noted.back().offset == offset) {
        m_noted.back().value = value;
    } else {
        m_noted.push_back({offset, value, table});
    }
}

std::vector<uint8_t> TableLog::print(const std::vector<Word>& words) const {
    std::vector<uint8_t> group(k_group_header + words.size() * k_word_bytes);
    store_be<uint32_t>(&group[0], k_group_magic);
    store_be<uint32_t>(&group[4], static_cast<uint32_t>(words.size()));
    store_be<uint64_t>(&group[8], m_session);
    store_be<uint32_t>(&group[16], m_epoch);
    store_be<uint32_t>(&group[20], m_groups);
    for (size_t i = 0; i < words.size(); ++i) {
        const uint64_t mark = words[i].table == Table::mapping ? k_mapping_mark : 0;
        store_be<uint64_t>(&group[k_group_header + i * k_word_bytes], words[i].offset | mark);
        store_be<uint64_t>(&group[k_group_header + i * k_word_bytes + 8], words[i].value);
    }
    store_be<uint64_t>(&group[24], checksum(group));
    return group;
}

HostError TableLog::append() {
    if (m_noted.empty()) {
        return 0;
    }
    if (k_group_header + m_noted.size() * k_word_bytes > m_end - m_at) {
        return ENOBUFS;
    }
    const std::vector<uint8_t> group = print(m_noted);
    if (const HostError error = m_file.write(m_at, group); error != 0) {
        return error;
    }
    m_at += group.size();
    ++m_groups;
    m_noted.clear();
    return 0;
}

// All of it is written once, so that there is room on the host, too.
HostError TableLog::start() {
    const HostError error = m_file.write(k_log_at, std::vector<uint8_t>(m_end - k_log_at));
    return error != 0 ? error : clear();
}

// An empty group of a new epoch in front: nothing behind it belongs to it.
HostError TableLog::clear() {
    m_noted.clear();
    ++m_epoch;
    m_groups = 0;
    m_at = k_log_at;
    const std::vector<uint8_t> group = print({});
    if (const HostError error = m_file.write(m_at, group); error != 0) {
        return error;
    }
    m_at += group.size();
    m_groups = 1;
    return 0;
}

}  // namespace skep::qcow2
