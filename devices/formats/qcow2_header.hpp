// SPDX-License-Identifier: GPL-3.0-or-later
// The header of a qcow2 image, versions 2 and 3 (QEMU docs/interop/qcow2), taken apart and judged.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/bits.hpp"
#include "vmm/base/result.hpp"

namespace skep::qcow2 {

constexpr uint32_t k_magic = 0x514649fb;  // "QFI\xfb"

// Bits of L1 and L2 entries ("L1 table entry", "L2 table entry").
constexpr uint64_t k_copied = bit(63);
constexpr uint64_t k_compressed = bit(62);
constexpr uint64_t k_reads_zero = bit(0);
constexpr uint64_t k_offset_mask = 0x00fffffffffffe00;

// Bounds that QEMU has too; larger is hostile or of no use.
constexpr unsigned k_least_cluster_bits = 9;
constexpr unsigned k_most_cluster_bits = 21;
constexpr uint64_t k_most_l1_bytes = uint64_t{32} << 20;
constexpr uint64_t k_most_refcount_table_bytes = uint64_t{8} << 20;
constexpr uint32_t k_most_snapshots = 65536;

enum IncompatibleBits : uint64_t {
    k_dirty = bit(0),
    k_corrupt = bit(1),
    k_external_data = bit(2),
    k_compression_type = bit(3),
    k_extended_l2 = bit(4),
};
constexpr uint64_t k_autoclear_bitmaps = bit(0);

// Where the fields lie that are written alone.
constexpr uint64_t k_l1_size_at = 36;
constexpr uint64_t k_refcount_table_at = 48;
constexpr uint64_t k_incompatible_at = 72;
constexpr uint64_t k_autoclear_at = 88;
constexpr uint64_t k_v3_header_bytes = 112;

enum class Compression : uint8_t { zlib = 0, zstd = 1 };

struct Header {
    uint32_t version = 3;
    unsigned cluster_bits = 16;
    uint64_t size = 0;  // of the virtual disk, bytes
    uint32_t l1_entries = 0;
    uint64_t l1_offset = 0;
    uint64_t refcount_table_offset = 0;
    uint32_t refcount_table_clusters = 0;
    uint32_t snapshot_count = 0;
    uint64_t snapshots_offset = 0;
    uint64_t incompatible = 0;
    uint64_t compatible = 0;
    uint64_t autoclear = 0;
    unsigned refcount_order = 4;  // a refcount has 2^order bits
    Compression compression = Compression::zlib;
    std::string backing_file;    // as it stands in the image; empty: none
    std::string backing_format;  // "raw", "qcow2" or empty
    uint64_t header_end = ~uint64_t{0};  // bytes of the first cluster that header, extensions and the backing file's name take
    uint64_t bitmaps_offset = 0, bitmaps_bytes = 0;  // the bitmap directory, where autoclear says that it is valid

    [[nodiscard]] uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
    [[nodiscard]] unsigned l2_bits() const { return cluster_bits - 3; }
    [[nodiscard]] uint64_t l2_entries() const { return uint64_t{1} << l2_bits(); }
    [[nodiscard]] uint64_t clusters() const { return (size + cluster_size() - 1) >> cluster_bits; }
    [[nodiscard]] uint64_t needed_l1_entries() const { return (clusters() + l2_entries() - 1) >> l2_bits(); }
    [[nodiscard]] uint64_t refcounts_per_block() const { return cluster_size() * 8 >> refcount_order; }
    [[nodiscard]] bool has_zero_clusters() const { return version >= 3; }
};

// `first`: the first cluster of the file, or at least k_v3_header_bytes to learn the cluster's size (then extensions
// beyond are not seen). Errors: invalid_input, unsupported; the sentence names `path`.
[[nodiscard]] Result<Header> parse_header(std::span<const uint8_t> first, uint64_t file_size, const std::string& path);
// Only the size of a cluster, to know how much to read.
[[nodiscard]] Result<unsigned> parse_cluster_bits(std::span<const uint8_t> first, const std::string& path);
// The first cluster of an image with this header (extensions: backing format, feature names).
[[nodiscard]] std::vector<uint8_t> print_header(const Header& header);

}  // namespace skep::qcow2
