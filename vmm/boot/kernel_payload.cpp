// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/kernel_payload.hpp"

#include <archive.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

using Reason = tl::unexpected<std::string>;

Reason because(std::string text) { return tl::unexpected(std::move(text)); }

// What scripts/Makefile.lib of the kernel writes: one stream, then the unpacked size as 32 bits (which gzip has anyway).
struct Packing {
    std::string_view magic;
    const char* name;
    int (*add_filter)(struct archive*);  // null: this is known, but cannot be unpacked here
    bool has_size_behind;
};
using namespace std::string_view_literals;
constexpr std::array k_packings{
    Packing{"\x1f\x8b"sv, "gzip", archive_read_support_filter_gzip, false},
    Packing{"\xfd\x37zXZ\0"sv, "XZ", archive_read_support_filter_xz, true},
    Packing{"\x28\xb5\x2f\xfd"sv, "Zstandard", archive_read_support_filter_zstd, true},
    Packing{"\x02\x21\x4c\x18"sv, "LZ4", archive_read_support_filter_lz4, true},
    Packing{"\x5d\0\0"sv, "LZMA", archive_read_support_filter_lzma, true},
    Packing{"BZh"sv, "bzip2", archive_read_support_filter_bzip2, true},
    Packing{"\x89LZO"sv, "LZO", nullptr, true},
};

const Packing* packing_of(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto found = std::ranges::find_if(k_packings, [&](const Packing& one) { return text.starts_with(one.magic); });
    return found == k_packings.end() ? nullptr : &*found;
}

struct CloseArchive {
    void operator()(struct archive* one) const { archive_read_free(one); }
};
using Archive = std::unique_ptr<struct archive, CloseArchive>;

// Exactly `size` bytes.
tl::expected<LargeBuffer, std::string> unpack(const Packing& packing, std::span<const std::byte> stream,
                                                         size_t size) {
    const Archive reader(archive_read_new());
    // ARCHIVE_WARN would mean that a program is to be run for it.
    if (reader == nullptr || packing.add_filter(reader.get()) != ARCHIVE_OK ||
        archive_read_support_format_raw(reader.get()) != ARCHIVE_OK) {
        return because(fmt::format("{} is not among this host's decompressors", packing.name));
    }
    const auto failed = [&]() -> Reason {
        const char* text = archive_error_string(reader.get());
        return because(fmt::format("its {} stream is damaged ({})", packing.name, text != nullptr ? text : "no details"));
    };
    struct archive_entry* entry = nullptr;
    if (archive_read_open_memory(reader.get(), stream.data(), stream.size()) != ARCHIVE_OK ||
        archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
        return failed();
    }
    LargeBuffer out(size);
    for (size_t done = 0; done < size;) {
        const la_ssize_t count = archive_read_data(reader.get(), out.data() + done, size - done);
        if (count < 0) {
            return failed();
        }
        if (count == 0) {
            return because(fmt::format("its {} stream ends after {} of {} bytes", packing.name, done, size));
        }
        done += static_cast<size_t>(count);
    }
    std::byte surplus{};
    if (archive_read_data(reader.get(), &surplus, 1) != 0) {
        return because(fmt::format("its {} stream goes on after {} bytes", packing.name, size));
    }
    return out;
}

tl::expected<LargeBuffer, std::string> unpack_stream(const KernelPayload& payload) {
    constexpr size_t k_size_bytes = 4;
    if (payload.bytes.size() <= k_size_bytes) {
        return because("its header names no payload");
    }
    const Packing* packing = packing_of(payload.bytes);
    if (packing == nullptr) {
        return because("it is packed in a way that is not known here");
    }
    if (packing->add_filter == nullptr) {
        return because(fmt::format("it is packed by {}", packing->name));
    }
    const size_t stream_bytes = payload.bytes.size() - (packing->has_size_behind ? k_size_bytes : 0);
    const auto size = load_le<uint32_t>(&payload.bytes[payload.bytes.size() - k_size_bytes]);
    if (size == 0 || size > payload.room) {
        return because(fmt::format("its unpacked size, {} bytes, is more than the {} it asks for", size, payload.room));
    }
    return unpack(*packing, payload.bytes.first(stream_bytes), size);
}

// Null when the image can be started where its header wants it.
const char* what_is_unusual(const ElfImage& image, const KernelPayload& payload) {
    // Page tables of 2 MiB pages map the 64-bit kernel, so its startup code demands this whatever the header says.
    constexpr uint64_t k_large_page = 2 << 20, k_small_page = 4096;
    const uint64_t alignment = std::max(payload.alignment, image.is_64_bit ? k_large_page : k_small_page);
    if (image.machine != (image.is_64_bit ? k_elf_machine_x86_64 : k_elf_machine_386)) {
        return "it is for another processor";
    }
    if (image.segments.front().address != payload.load_address) {
        return "it is linked for another address than its header prefers";
    }
    if (payload.load_address % alignment != 0) {
        return "its preferred address is not aligned as it wants";
    }
    uint64_t end = payload.load_address;
    bool holds_entry = false;
    for (const LoadSegment& segment : image.segments) {
        if (segment.address < end) {
            return "its segments overlap or are out of order";
        }
        end = segment.address + segment.size;
        holds_entry |= image.entry >= segment.address && image.entry < segment.address + segment.data.size();
    }
    if (end - payload.load_address > payload.room) {
        return "it covers more memory than its header asks for";
    }
    return holds_entry ? nullptr : "its entry lies outside its code";
}

}  // namespace

tl::expected<UnpackedKernel, std::string> unpack_kernel(const KernelPayload& payload) {
    auto file = unpack_stream(payload);
    if (!file) {
        return because(std::move(file.error()));
    }
    UnpackedKernel kernel{std::move(*file), {}};
    auto image = parse_elf(kernel.file);
    if (!image) {
        return because(image.error());
    }
    if (const char* unusual = what_is_unusual(*image, payload); unusual != nullptr) {
        return because(unusual);
    }
    kernel.image = std::move(*image);
    return kernel;
}

}  // namespace skep
