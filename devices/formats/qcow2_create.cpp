// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/qcow2_create.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "devices/formats/qcow2_refcounts.hpp"
#include "vmm/base/fd.hpp"

namespace skep {
namespace {

using qcow2::Header;

uint64_t divide_up(uint64_t value, uint64_t by) { return (value + by - 1) / by; }

Status check_options(const std::string& path, const Qcow2CreateOptions& options) {
    if (options.size == 0 || options.size % 512 != 0 || options.size > uint64_t{1} << 60) {
        return fail(ErrorKind::invalid_input, "A disk of {} bytes cannot be made: give a multiple of 512.", options.size);
    }
    if (options.cluster_bits < qcow2::k_least_cluster_bits || options.cluster_bits > qcow2::k_most_cluster_bits) {
        return fail(ErrorKind::invalid_input, "Clusters of 2^{} bytes cannot be made: 512 bytes to 2 MiB.", options.cluster_bits);
    }
    const bool old = options.version == 2 && options.refcount_order == 4;
    if (options.refcount_order > 6 || (options.version != 3 && !old)) {
        return fail(ErrorKind::invalid_input, "{}: qcow2 is of version 2 or 3, and reference counts have 1 to 64 bits.", path);
    }
    const uint64_t header_room = (uint64_t{1} << options.cluster_bits) - 160;
    if (options.backing_file.size() > std::min<uint64_t>(1023, header_room)) {
        return fail(ErrorKind::invalid_input, "The name of the base of {} is too long.", path);
    }
    return {};
}

// Everything in one piece at the front: header, reference count table, its blocks, first-level table.
struct Layout {
    Header header;
    uint64_t blocks = 0;
    uint64_t clusters = 0;
};

Layout lay_out(const Qcow2CreateOptions& options) {
    Layout layout;
    Header& h = layout.header;
    h.version = options.version;
    h.cluster_bits = options.cluster_bits;
    h.size = options.size;
    h.refcount_order = options.refcount_order;
    h.backing_file = options.backing_file;
    h.backing_format = options.backing_format;
    h.l1_entries = static_cast<uint32_t>(std::max<uint64_t>(1, h.needed_l1_entries()));
    const uint64_t cluster = h.cluster_size();
    // A table for the full disk and its own tables, so that it need not be moved for a long time.
    const uint64_t full = h.clusters() + h.needed_l1_entries() + 16;
    const uint64_t table = divide_up(divide_up(full + full / 64, h.refcounts_per_block()) * 8, cluster);
    h.refcount_table_clusters = static_cast<uint32_t>(std::clamp<uint64_t>(table, 1, qcow2::k_most_refcount_table_bytes / cluster));
    const uint64_t l1 = divide_up(uint64_t{h.l1_entries} * 8, cluster);
    uint64_t blocks = 1;
    while (blocks * h.refcounts_per_block() < 1 + h.refcount_table_clusters + blocks + l1) {
        ++blocks;
    }
    h.refcount_table_offset = cluster;
    h.l1_offset = (1 + h.refcount_table_clusters + blocks) * cluster;
    layout.blocks = blocks;
    layout.clusters = 1 + h.refcount_table_clusters + blocks + l1;
    return layout;
}

std::vector<uint8_t> print(const Layout& layout) {
    const Header& h = layout.header;
    std::vector<uint8_t> out = qcow2::print_header(h);
    out.resize(h.l1_offset);  // the first-level table is all zeros: a hole
    const uint64_t first_block = 1 + h.refcount_table_clusters;
    for (uint64_t i = 0; i < layout.blocks; ++i) {
        store_be<uint64_t>(&out[h.refcount_table_offset + i * 8], (first_block + i) << h.cluster_bits);
    }
    for (uint64_t i = 0; i < layout.clusters; ++i) {
        const uint64_t block = first_block + i / h.refcounts_per_block();
        qcow2::write_refcount(&out[block << h.cluster_bits], i % h.refcounts_per_block(), h.refcount_order, 1);
    }
    return out;
}

HostError write_all(int fd, const std::vector<uint8_t>& bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t moved = pwrite(fd, &bytes[done], bytes.size() - done, static_cast<off_t>(done));
        if (moved < 0 && errno == EINTR) {
            continue;
        }
        if (moved <= 0) {
            return moved == 0 ? EIO : errno;
        }
        done += static_cast<size_t>(moved);
    }
    return 0;
}

}  // namespace

Status create_qcow2_image(const std::string& path, const Qcow2CreateOptions& options) {
    if (const Status valid = check_options(path, options); !valid) {
        return valid;
    }
    const Layout layout = lay_out(options);
    if (uint64_t{layout.header.l1_entries} * 8 > qcow2::k_most_l1_bytes ||
        layout.header.needed_l1_entries() > layout.header.l1_entries) {
        return fail(ErrorKind::invalid_input, "A disk of {} bytes needs clusters of more than {} bytes.", options.size,
                    layout.header.cluster_size());
    }
    const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) {
        if (errno == EEXIST) {
            return fail(ErrorKind::in_use, "{} exists already and is left as it is. Choose another name.", path);
        }
        return fail_errno(errno, fmt::format("Creating disk image {}", path));
    }
    HostError error = write_all(fd.get(), print(layout));
    const auto end = static_cast<off_t>(layout.clusters << options.cluster_bits);
    if (error == 0 && (ftruncate(fd.get(), end) != 0 || fdatasync(fd.get()) != 0)) {
        error = errno;
    }
    if (error != 0) {
        ::unlink(path.c_str());
        return fail_errno(error, fmt::format("Creating disk image {}", path));
    }
    return {};
}

}  // namespace skep
