// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/multiboot_image.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint32_t k_header_magic = 0x1bad'b002;
constexpr size_t k_search_bytes = 8192;  // the header lies within the first 8 KiB (3.1)
constexpr uint32_t k_flag_video = 1 << 2, k_flag_addresses = 1 << 16;
constexpr uint32_t k_known_required_flags = 0x7;  // of bits 0-15, which a loader must understand or refuse
constexpr uint64_t k_four_gib = uint64_t{1} << 32;

struct Header {
    size_t offset = 0;
    uint32_t flags = 0;
};

std::optional<Header> find_header(std::span<const std::byte> file) {
    const size_t end = std::min(file.size(), k_search_bytes);
    for (size_t at = 0; at + 12 <= end; at += 4) {
        const auto flags = load_le<uint32_t>(&file[at + 4]);
        if (load_le<uint32_t>(&file[at]) == k_header_magic &&
            k_header_magic + flags + load_le<uint32_t>(&file[at + 8]) == 0) {
            return Header{at, flags};
        }
    }
    return std::nullopt;
}

tl::unexpected<Error> broken(const std::string& path, const char* what) {
    return fail(ErrorKind::invalid_input,
                "The multiboot kernel '{}' is damaged or truncated ({}); build or copy it again.", path, what);
}

// The address fields behind the checksum, "a.out kludge".
Result<MultibootImage> by_header_addresses(const std::string& path, std::span<const std::byte> file,
                                           const Header& header) {
    constexpr size_t k_fields_end = 32;
    if (header.offset + k_fields_end > file.size()) {
        return broken(path, "its header ends behind the file");
    }
    const auto field = [&](size_t offset) { return load_le<uint32_t>(&file[header.offset + offset]); };
    const uint64_t header_address = field(12), load = field(16), load_end = field(20), bss_end = field(24);
    if (header_address < load || header_address - load > header.offset) {
        return broken(path, "its load address does not fit its header's place");
    }
    const uint64_t start = header.offset - (header_address - load);
    const uint64_t in_file = file.size() - start;
    if (load_end != 0 && (load_end < load || load_end - load > in_file)) {
        return broken(path, "its load size exceeds the file");
    }
    const uint64_t length = load_end == 0 ? in_file : load_end - load;
    const uint64_t size = std::max(length, bss_end > load ? bss_end - load : 0);
    if (load + size > k_four_gib) {
        return broken(path, "it ends above 4 GiB");
    }
    return MultibootImage{{{load, file.subspan(start, length), size}}, field(28), {}};
}

Result<MultibootImage> by_elf(const std::string& path, std::span<const std::byte> file) {
    if (!is_elf(file)) {
        return fail(
            ErrorKind::invalid_input,
            "The multiboot kernel '{}' is neither ELF nor does its header give load addresses; build it as ELF.", path);
    }
    auto elf = parse_elf(file);
    if (!elf) {
        return broken(path, elf.error());
    }
    return MultibootImage{std::move(elf->segments), static_cast<uint32_t>(elf->entry), {}};
}

// The fields lie behind those of the addresses, whether these are used or not (3.1.1).
Result<MultibootVideo> video_wish(const std::string& path, std::span<const std::byte> file, const Header& header) {
    constexpr size_t k_mode = 32, k_fields_end = 48;
    if (header.offset + k_fields_end > file.size()) {
        return broken(path, "its header ends behind the file");
    }
    const auto field = [&](size_t offset) { return load_le<uint32_t>(&file[header.offset + offset]); };
    return MultibootVideo{.mode = field(k_mode) == 0 ? MultibootVideo::Mode::graphics : MultibootVideo::Mode::text,
                          .width = field(k_mode + 4),
                          .height = field(k_mode + 8),
                          .depth = field(k_mode + 12)};
}

}  // namespace

Result<MultibootImage> parse_multiboot_image(const std::string& path, std::span<const std::byte> file) {
    const std::optional<Header> header = find_header(file);
    if (!header) {
        return fail(ErrorKind::invalid_input,
                    "'{}' is not a multiboot kernel (no multiboot header in its first 8 KiB); choose another file.",
                    path);
    }
    if ((header->flags & 0xffff & ~k_known_required_flags) != 0) {
        return fail(
            ErrorKind::unsupported,
            "The multiboot kernel '{}' requires features that are not known here (flags {:#x}); it cannot be started.",
            path, header->flags & 0xffff);
    }
    auto image = (header->flags & k_flag_addresses) != 0 ? by_header_addresses(path, file, *header) : by_elf(path, file);
    if (image && (header->flags & k_flag_video) != 0) {
        const auto video = video_wish(path, file, *header);
        if (!video) {
            return tl::unexpected(video.error());
        }
        image->video = *video;
    }
    return image;
}

}  // namespace skep
