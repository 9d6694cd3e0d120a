// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/image_tools.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

#include "devices/block/block_requests.hpp"
#include "devices/block/image_file.hpp"
#include "devices/block/raw.hpp"
#include "devices/formats/qcow2.hpp"
#include "devices/formats/qcow2_create.hpp"

namespace skep {
namespace {

constexpr uint64_t k_chunk = uint64_t{2} << 20;
constexpr uint64_t k_zero_step = 64 << 10;  // runs of zeros shorter than this are written

BlockRequest request_for(BlockOp op, uint64_t offset, std::span<uint8_t> bytes) {
    return {.op = op, .offset = offset, .length = bytes.size(), .buffers = {{bytes.data(), bytes.size()}}, .done = {}};
}

bool is_zero(std::span<const uint8_t> bytes) {
    return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Calls write(offset, bytes) for what is to be written of `from`; reads one chunk ahead.
template <typename Write>
Status for_each_chunk(BlockBackend& from, const std::string& name, const Progress& progress, Write&& write) {
    const uint64_t size = from.info().size;
    std::vector<uint8_t> buffers[2] = {std::vector<uint8_t>(k_chunk), std::vector<uint8_t>(k_chunk)};
    const auto piece = [&](uint64_t at) { return std::span(buffers[at / k_chunk % 2]).first(std::min(k_chunk, size - at)); };
    std::future<BlockStatus> next = start_request(from, request_for(BlockOp::read, 0, piece(0)));
    Status status;
    for (uint64_t at = 0; at < size; at += k_chunk) {
        if (next.get() != BlockStatus::ok) {
            return fail(ErrorKind::io, "Reading {} failed at {} of {} bytes.", name, at, size);
        }
        if (at + k_chunk < size) {
            next = start_request(from, request_for(BlockOp::read, at + k_chunk, piece(at + k_chunk)));
        }
        status = write(at, piece(at));
        if (status && !goes_on(progress, static_cast<double>(at) / static_cast<double>(size))) {
            status = fail(ErrorKind::cancelled, "Stopped.");
        }
        if (!status) {
            if (next.valid()) {
                next.wait();  // it writes into our buffer
            }
            return status;
        }
    }
    return status;
}

Status write_where_not_zero(BlockBackend& target, uint64_t at, std::span<uint8_t> bytes) {
    for (size_t begin = 0; begin < bytes.size();) {
        const auto step = [&](size_t from) { return bytes.subspan(from, std::min<size_t>(k_zero_step, bytes.size() - from)); };
        size_t end = begin;
        while (end < bytes.size() && !is_zero(step(end))) {
            end += step(end).size();
        }
        if (end > begin && start_request(target, request_for(BlockOp::write, at + begin, bytes.subspan(begin, end - begin))).get() != BlockStatus::ok) {
            return fail(ErrorKind::no_space, "Writing the new image failed: is the disk full?");
        }
        begin = end < bytes.size() ? end + step(end).size() : end;
    }
    return {};
}

Status sync(BlockBackend& disk, const std::string& name) {
    if (start_request(disk, {.op = BlockOp::flush, .buffers = {}, .done = {}}).get() != BlockStatus::ok) {
        return fail(ErrorKind::io, "{} could not be made durable on the disk.", name);
    }
    return {};
}

// Nobody is there to press Retry.
void give_up_without_space(BlockBackend& disk) {
    disk.set_on_no_space([&disk](const std::string&) { disk.cancel_held(); });
}

Status fill_new(BlockBackend& from, const std::string& source, const std::string& target, ImageFormat format, const Progress& progress) {
    ImageOptions options;
    options.format = format;
    options.commit_seconds = 0;
    auto to = open_image(target, options);
    if (!to) {
        return tl::unexpected(to.error());
    }
    give_up_without_space(**to);
    const Status copied = for_each_chunk(from, source, progress, [&](uint64_t at, std::span<uint8_t> bytes) {
        return write_where_not_zero(**to, at, bytes);
    });
    return copied ? sync(**to, target) : copied;
}

}  // namespace

Status convert_image(const std::string& source, const ImageOptions& options, const std::string& target, ImageFormat format,
                     const Progress& progress) {
    ImageOptions reading = options;
    reading.access = ImageAccess::read_only;
    auto from = open_image(source, reading);
    if (!from) {
        return tl::unexpected(from.error());
    }
    Status made = fail(ErrorKind::unsupported, "Skep writes raw and qcow2 images only.");
    if (format == ImageFormat::raw) {
        made = create_raw_image(target, (*from)->info().size);
    } else if (format == ImageFormat::qcow2) {
        Qcow2CreateOptions creating;
        creating.size = (*from)->info().size;
        made = create_qcow2_image(target, creating);
    }
    if (!made) {
        return made;
    }
    const Status filled = fill_new(**from, source, target, format, progress);
    if (!filled) {
        ::unlink(target.c_str());
    }
    return filled;
}

Result<ImageDetails> describe_image(const std::string& path, ImageFormat format) {
    auto file = open_image_file(path, ImageAccess::read_only);
    if (!file) {
        return tl::unexpected(file.error());
    }
    if (format == ImageFormat::automatic) {
        const auto found = detect_format(path);
        if (!found) {
            return tl::unexpected(found.error());
        }
        format = *found;
    }
    ImageDetails details;
    details.format = format;
    details.file_bytes = file->size;
    struct stat status {};
    if (fstat(file->fd.get(), &status) == 0) {
        details.host_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
    }
    if (format != ImageFormat::qcow2) {
        ImageOptions options;
        options.access = ImageAccess::read_only;
        options.format = format;
        const auto opened = open_image(path, options);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        details.disk_bytes = (*opened)->info().size;
        return details;
    }
    auto store = qcow2::Store::open(*file->engine, file->size, path, {.access = ImageAccess::read_only});
    if (!store) {
        return tl::unexpected(store.error());
    }
    const qcow2::Header& header = (*store)->header();
    details.disk_bytes = header.size;
    details.cluster_bytes = header.cluster_size();
    details.version = header.version;
    details.snapshots = header.snapshot_count;
    details.backing_file = header.backing_file;
    details.backing_format = header.backing_format;
    details.is_dirty = (header.incompatible & qcow2::k_dirty) != 0;
    details.is_corrupt = (header.incompatible & qcow2::k_corrupt) != 0;
    return details;
}

Status resize_image(const std::string& path, ImageFormat format, uint64_t new_size) {
    auto file = open_image_file(path, ImageAccess::read_write);
    if (!file) {
        return tl::unexpected(file.error());
    }
    const auto refuse_smaller = [&](uint64_t now) -> Status {
        if (new_size < now || new_size % 512 != 0) {
            return fail(ErrorKind::invalid_input,
                        "{} cannot be made {} bytes large: it has {}, a disk can only grow, and by multiples of 512.", path,
                        new_size, now);
        }
        return {};
    };
    if (format == ImageFormat::raw) {
        if (const Status larger = refuse_smaller(file->size); !larger) {
            return larger;
        }
        if (ftruncate(file->fd.get(), static_cast<off_t>(new_size)) != 0 || fsync(file->fd.get()) != 0) {
            return fail_errno(errno, fmt::format("Growing disk image {}", path));
        }
        return {};
    }
    if (format != ImageFormat::qcow2) {
        return fail(ErrorKind::unsupported, "{} can only be read. Convert it to qcow2 or raw first.", path);
    }
    auto store = qcow2::Store::open(*file->engine, file->size, path, {.access = ImageAccess::read_write});
    if (!store) {
        return tl::unexpected(store.error());
    }
    if (const Status larger = refuse_smaller((*store)->header().size); !larger) {
        return larger;
    }
    return (*store)->grow(new_size);
}

Status commit_image(const std::string& overlay, const BackingPolicy& backing, const Progress& progress) {
    const auto details = describe_image(overlay, ImageFormat::qcow2);
    if (!details) {
        return tl::unexpected(details.error());
    }
    if (details->backing_file.empty()) {
        return fail(ErrorKind::invalid_input, "{} is not based on another image; there is nothing to commit to.", overlay);
    }
    const auto base_path = resolve_backing(overlay, details->backing_file, backing);
    if (!base_path) {
        return tl::unexpected(base_path.error());
    }
    ImageOptions writing;
    writing.backing = backing;
    writing.format = image_format_from_text(details->backing_format);
    writing.commit_seconds = 0;
    auto base = open_image(base_path->string(), writing);
    if (!base) {
        return tl::unexpected(base.error());
    }
    if ((*base)->info().size < details->disk_bytes) {
        return fail(ErrorKind::invalid_input, "{} is larger than its base; resize {} to {} bytes first.", overlay,
                    base_path->string(), details->disk_bytes);
    }
    auto file = open_image_file(overlay, ImageAccess::read_only);
    if (!file) {
        return tl::unexpected(file.error());
    }
    Qcow2Options reading;
    reading.access = ImageAccess::read_only;
    auto top = Qcow2Image::open(overlay, std::move(file->fd), std::move(file->engine), file->size, *base, reading);
    if (!top) {
        return tl::unexpected(top.error());
    }
    give_up_without_space(**base);
    std::vector<uint8_t> below(k_chunk);
    const Status copied = for_each_chunk(**top, overlay, progress, [&](uint64_t at, std::span<uint8_t> bytes) -> Status {
        const std::span<uint8_t> old = std::span(below).first(bytes.size());
        if (start_request(**base, request_for(BlockOp::read, at, old)).get() != BlockStatus::ok) {
            return fail(ErrorKind::io, "Reading {} failed.", base_path->string());
        }
        for (size_t i = 0; i < bytes.size(); i += k_zero_step) {
            const auto piece = bytes.subspan(i, std::min<size_t>(k_zero_step, bytes.size() - i));
            if (std::ranges::equal(piece, old.subspan(i, piece.size()))) {
                continue;
            }
            const BlockOp op = is_zero(piece) ? BlockOp::write_zeroes : BlockOp::write;
            if (start_request(**base, request_for(op, at + i, piece)).get() != BlockStatus::ok) {
                return fail(ErrorKind::io, "Writing {} failed; {} still has everything.", base_path->string(), overlay);
            }
        }
        return {};
    });
    return copied ? sync(**base, base_path->string()) : copied;
}

}  // namespace skep
