// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/qcow2_header.hpp"

#include <algorithm>
#include <cstring>

namespace skep::qcow2 {
namespace {

constexpr size_t k_v2_header_bytes = 72;
constexpr uint32_t k_most_backing_name = 1023;

constexpr uint32_t k_extension_end = 0;
constexpr uint32_t k_extension_backing_format = 0xe2792aca;
constexpr uint32_t k_extension_features = 0x6803f857;
constexpr uint32_t k_extension_bitmaps = 0x23852875;

struct Feature {
    uint8_t type;  // 0: incompatible, 1: compatible, 2: autoclear
    uint8_t position;
    const char* name;
};
constexpr std::array k_features{
    Feature{0, 0, "dirty bit"},        Feature{0, 1, "corrupt bit"},         Feature{0, 2, "external data file"},
    Feature{0, 3, "compression type"}, Feature{0, 4, "extended L2 entries"}, Feature{1, 0, "lazy refcounts"},
    Feature{2, 0, "bitmaps"},          Feature{2, 1, "raw external data"},
};

tl::unexpected<Error> damaged(const std::string& path, const std::string& what) {
    return fail(ErrorKind::invalid_input, "Disk image {} is damaged: {}. Restore it from a copy.", path, what);
}

class Parser {
  public:
    Parser(std::span<const uint8_t> bytes, uint64_t file_size, const std::string& path)
        : m_bytes(bytes), m_file_size(file_size), m_path(path) {}

    Result<Header> parse();

  private:
    template <typename T>
    [[nodiscard]] T field(size_t at) const { return load_be<T>(m_bytes.data() + at); }
    Status fixed_fields();
    Status features();
    Status extensions();
    Status backing_name();
    Status bounds() const;
    Status regions_apart() const;
    [[nodiscard]] std::string feature_name(unsigned position) const;

    std::span<const uint8_t> m_bytes;
    uint64_t m_file_size;
    const std::string& m_path;
    Header m_header;
    size_t m_header_length = k_v2_header_bytes;
    std::vector<std::pair<unsigned, std::string>> m_incompatible_names;
};

Status Parser::fixed_fields() {
    Header& h = m_header;
    h.version = field<uint32_t>(4);
    h.cluster_bits = field<uint32_t>(20);
    h.size = field<uint64_t>(24);
    h.l1_entries = field<uint32_t>(36);
    h.l1_offset = field<uint64_t>(40);
    h.refcount_table_offset = field<uint64_t>(48);
    h.refcount_table_clusters = field<uint32_t>(56);
    h.snapshot_count = field<uint32_t>(60);
    h.snapshots_offset = field<uint64_t>(64);
    if (field<uint32_t>(32) != 0) {
        return fail(ErrorKind::unsupported, "Disk image {} is encrypted, which Skep cannot read. Convert it first.", m_path);
    }
    if (h.version == 2) {
        return {};
    }
    if (m_bytes.size() < 104) {
        return damaged(m_path, "its header is cut short");
    }
    h.incompatible = field<uint64_t>(72);
    h.compatible = field<uint64_t>(80);
    h.autoclear = field<uint64_t>(88);
    h.refcount_order = field<uint32_t>(96);
    m_header_length = field<uint32_t>(100);
    if (m_header_length < 104 || m_header_length > h.cluster_size() || m_header_length % 8 != 0) {
        return damaged(m_path, "its header has an impossible length");
    }
    if (h.refcount_order > 6) {
        return damaged(m_path, "its reference counts have an impossible width");
    }
    return {};
}

std::string Parser::feature_name(unsigned position) const {
    const auto found = std::ranges::find(m_incompatible_names, position, &std::pair<unsigned, std::string>::first);
    return found == m_incompatible_names.end() ? fmt::format("number {}", position) : fmt::format("\"{}\"", found->second);
}

Status Parser::features() {
    Header& h = m_header;
    const uint64_t known = k_dirty | k_corrupt | k_compression_type;
    if ((h.incompatible & ~known) != 0) {
        const auto position = static_cast<unsigned>(std::countr_zero(h.incompatible & ~known));
        return fail(ErrorKind::unsupported,
                    "Disk image {} uses the qcow2 feature {}, which Skep does not know. Convert it with qemu-img first.",
                    m_path, feature_name(position));
    }
    const bool has_type = h.version >= 3 && m_header_length >= 105 && m_bytes.size() > 104;
    const uint8_t type = has_type ? m_bytes[104] : 0;
    if (type > 1) {
        return fail(ErrorKind::unsupported, "Disk image {} is compressed in a way (number {}) that Skep does not know.",
                    m_path, type);
    }
    if ((type != 0) != ((h.incompatible & k_compression_type) != 0)) {
        return damaged(m_path, "it does not say clearly how it is compressed");
    }
    h.compression = static_cast<Compression>(type);
    return {};
}

Status Parser::extensions() {
    uint64_t at = m_header_length;
    const uint64_t end = std::min<uint64_t>(m_bytes.size(), m_header.cluster_size());
    while (at + 8 <= end) {
        const auto type = field<uint32_t>(at);
        const auto length = field<uint32_t>(at + 4);
        at += 8;
        if (type == k_extension_end) {
            m_header.header_end = at;
            return {};
        }
        if (length > end - at) {
            return damaged(m_path, "a header extension reaches beyond the first cluster");
        }
        const uint8_t* data = m_bytes.data() + at;
        if (type == k_extension_backing_format) {
            m_header.backing_format.assign(reinterpret_cast<const char*>(data), std::min<uint32_t>(length, 16));
        } else if (type == k_extension_features) {
            for (uint32_t i = 0; i + 48 <= length; i += 48) {
                const char* name = reinterpret_cast<const char*>(data + i + 2);
                if (data[i] == 0) {
                    m_incompatible_names.emplace_back(data[i + 1], std::string(name, strnlen(name, 46)));
                }
            }
        } else if (type == k_extension_bitmaps && length >= 24) {
            m_header.bitmaps_bytes = load_be<uint64_t>(data + 8);
            m_header.bitmaps_offset = load_be<uint64_t>(data + 16);
        }
        at = align_up(at + length, 8);
    }
    return {};
}

Status Parser::backing_name() {
    const auto offset = field<uint64_t>(8);
    const auto length = field<uint32_t>(16);
    if (offset == 0) {
        return {};
    }
    if (length == 0 || length > k_most_backing_name || offset > m_bytes.size() || length > m_bytes.size() - offset) {
        return damaged(m_path, "the name of its backing file lies outside of its header");
    }
    m_header.backing_file.assign(reinterpret_cast<const char*>(m_bytes.data() + offset), length);
    m_header.header_end = std::max(m_header.header_end, offset + length);
    if (m_header.backing_file.find('\0') != std::string::npos) {
        return damaged(m_path, "the name of its backing file is not text");
    }
    return {};
}

Status Parser::bounds() const {
    const Header& h = m_header;
    if (h.size == 0 || h.size > uint64_t{1} << 60 || h.size % 512 != 0) {
        return damaged(m_path, "the size of its disk is impossible");
    }
    if (uint64_t{h.l1_entries} * 8 > k_most_l1_bytes || h.l1_entries < h.needed_l1_entries()) {
        return damaged(m_path, "its first-level table does not fit its disk");
    }
    const uint64_t table_bytes = uint64_t{h.refcount_table_clusters} << h.cluster_bits;
    if (table_bytes == 0 || table_bytes > k_most_refcount_table_bytes) {
        return damaged(m_path, "its reference count table has an impossible size");
    }
    if (h.snapshot_count > k_most_snapshots) {
        return damaged(m_path, "it has too many snapshots");
    }
    return regions_apart();
}

Status Parser::regions_apart() const {
    const Header& h = m_header;
    struct Region {
        uint64_t begin, bytes;
        const char* name;
    };
    std::vector<Region> regions{{0, h.cluster_size(), "header"},
                                {h.l1_offset, uint64_t{h.l1_entries} * 8, "first-level table"},
                                {h.refcount_table_offset, uint64_t{h.refcount_table_clusters} << h.cluster_bits,
                                 "reference count table"}};
    if (h.snapshot_count > 0) {
        regions.push_back({h.snapshots_offset, 40 * uint64_t{h.snapshot_count}, "snapshot table"});
    }
    for (size_t i = 1; i < regions.size(); ++i) {
        const Region& region = regions[i];
        if (region.begin % h.cluster_size() != 0 || region.begin >= m_file_size || region.bytes > m_file_size - region.begin) {
            return damaged(m_path, fmt::format("its {} lies outside of the file", region.name));
        }
        for (size_t other = 0; other < i; ++other) {
            if (region.bytes != 0 && region.begin < regions[other].begin + regions[other].bytes &&
                regions[other].begin < region.begin + region.bytes) {
                return damaged(m_path, fmt::format("its {} overlaps its {}", region.name, regions[other].name));
            }
        }
    }
    return {};
}

Result<Header> Parser::parse() {
    const auto bits = parse_cluster_bits(m_bytes, m_path);
    if (!bits) {
        return tl::unexpected(bits.error());
    }
    Status status = fixed_fields();
    for (Status (Parser::*step)() : {&Parser::extensions, &Parser::features, &Parser::backing_name}) {
        if (status) {
            status = (this->*step)();
        }
    }
    if (status) {
        status = bounds();
    }
    if (!status) {
        return tl::unexpected(status.error());
    }
    return m_header;
}

void put_extension(std::vector<uint8_t>& to, size_t& at, uint32_t type, std::span<const uint8_t> data) {
    store_be<uint32_t>(&to[at], type);
    store_be<uint32_t>(&to[at + 4], static_cast<uint32_t>(data.size()));
    std::ranges::copy(data, to.begin() + static_cast<ptrdiff_t>(at + 8));
    at = align_up(at + 8 + data.size(), 8);
}

}  // namespace

Result<unsigned> parse_cluster_bits(std::span<const uint8_t> first, const std::string& path) {
    if (first.size() < k_v2_header_bytes || load_be<uint32_t>(first.data()) != k_magic) {
        return fail(ErrorKind::invalid_input, "{} is not a qcow2 disk image.", path);
    }
    const auto version = load_be<uint32_t>(first.data() + 4);
    if (version != 2 && version != 3) {
        return fail(ErrorKind::unsupported, "Disk image {} is qcow2 version {}; Skep knows 2 and 3.", path, version);
    }
    const auto bits = load_be<uint32_t>(first.data() + 20);
    if (bits < k_least_cluster_bits || bits > k_most_cluster_bits) {
        return damaged(path, fmt::format("its clusters of 2^{} bytes are impossible", bits));
    }
    return bits;
}

Result<Header> parse_header(std::span<const uint8_t> first, uint64_t file_size, const std::string& path) {
    return Parser(first, file_size, path).parse();
}

std::vector<uint8_t> print_header(const Header& h) {
    std::vector<uint8_t> out(h.cluster_size());
    uint8_t* to = out.data();
    store_be<uint32_t>(to, k_magic);
    store_be<uint32_t>(to + 4, h.version);
    store_be<uint32_t>(to + 20, h.cluster_bits);
    store_be<uint64_t>(to + 24, h.size);
    store_be<uint32_t>(to + 36, h.l1_entries);
    store_be<uint64_t>(to + 40, h.l1_offset);
    store_be<uint64_t>(to + 48, h.refcount_table_offset);
    store_be<uint32_t>(to + 56, h.refcount_table_clusters);
    store_be<uint32_t>(to + 60, h.snapshot_count);
    store_be<uint64_t>(to + 64, h.snapshots_offset);
    size_t at = k_v2_header_bytes;
    if (h.version >= 3) {
        store_be<uint64_t>(to + 72, h.incompatible);
        store_be<uint64_t>(to + 80, h.compatible);
        store_be<uint64_t>(to + 88, h.autoclear);
        store_be<uint32_t>(to + 96, h.refcount_order);
        store_be<uint32_t>(to + 100, k_v3_header_bytes);
        to[104] = static_cast<uint8_t>(h.compression);
        at = k_v3_header_bytes;
    }
    if (!h.backing_format.empty()) {
        put_extension(out, at, k_extension_backing_format,
                      {reinterpret_cast<const uint8_t*>(h.backing_format.data()), h.backing_format.size()});
    }
    const size_t names = k_features.size() * 48;
    if (h.version >= 3 && at + 16 + names + h.backing_file.size() <= out.size()) {
        std::vector<uint8_t> table(names);
        for (size_t i = 0; i < k_features.size(); ++i) {
            table[i * 48] = k_features[i].type;
            table[i * 48 + 1] = k_features[i].position;
            std::strncpy(reinterpret_cast<char*>(&table[i * 48 + 2]), k_features[i].name, 46);
        }
        put_extension(out, at, k_extension_features, table);
    }
    at += 8;  // the end of the extensions is of zeros
    if (!h.backing_file.empty()) {
        store_be<uint64_t>(to + 8, at);
        store_be<uint32_t>(to + 16, static_cast<uint32_t>(h.backing_file.size()));
        std::ranges::copy(h.backing_file, out.begin() + static_cast<ptrdiff_t>(at));
    }
    return out;
}

}  // namespace skep::qcow2
