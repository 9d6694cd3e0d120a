// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/elf_image.hpp"

#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_four_gib = uint64_t{1} << 32;
constexpr unsigned k_most_program_headers = 256;

// Where the fields lie in the two classes of ELF.
struct ElfLayout {
    size_t header_bytes, entry, phoff, phentsize, phnum;
    size_t ph_bytes, p_offset, p_paddr, p_filesz, p_memsz;
    bool wide;
};
constexpr ElfLayout k_elf32{52, 24, 28, 42, 44, 32, 4, 12, 16, 20, false};
constexpr ElfLayout k_elf64{64, 24, 32, 54, 56, 56, 8, 24, 32, 40, true};
constexpr size_t k_e_machine = 18;

uint64_t word(std::span<const std::byte> bytes, size_t offset, const ElfLayout& layout) {
    return layout.wide ? load_le<uint64_t>(&bytes[offset]) : load_le<uint32_t>(&bytes[offset]);
}

// Null when the segment is fine (or not one to load).
const char* add_segment(std::span<const std::byte> file, std::span<const std::byte> program_header,
                        const ElfLayout& layout, ElfImage& image) {
    constexpr uint32_t k_load = 1;
    if (load_le<uint32_t>(program_header.data()) != k_load) {
        return nullptr;
    }
    const uint64_t offset = word(program_header, layout.p_offset, layout);
    const uint64_t address = word(program_header, layout.p_paddr, layout);
    const uint64_t in_file = word(program_header, layout.p_filesz, layout);
    const uint64_t in_memory = word(program_header, layout.p_memsz, layout);
    if (offset > file.size() || in_file > file.size() - offset || in_file > in_memory) {
        return "a segment lies behind the file's end";
    }
    if (address >= k_four_gib || in_memory > k_four_gib - address) {
        return "a segment lies above 4 GiB";
    }
    if (in_memory != 0) {
        image.segments.push_back({address, file.subspan(offset, in_file), in_memory});
    }
    return nullptr;
}

}  // namespace

bool is_elf(std::span<const std::byte> file) {
    constexpr uint8_t k_little_endian = 1;
    constexpr char k_magic[] = {'\x7f', 'E', 'L', 'F'};
    return file.size() >= k_elf64.header_bytes && std::memcmp(file.data(), k_magic, sizeof k_magic) == 0 &&
           file[5] == std::byte{k_little_endian};
}

tl::expected<ElfImage, const char*> parse_elf(std::span<const std::byte> file) {
    constexpr uint8_t k_class_64 = 2;
    if (!is_elf(file)) {
        return tl::unexpected<const char*>("it is not a little-endian ELF file");
    }
    const ElfLayout& layout = file[4] == std::byte{k_class_64} ? k_elf64 : k_elf32;
    const uint64_t table = word(file, layout.phoff, layout);
    const size_t entry_bytes = load_le<uint16_t>(&file[layout.phentsize]);
    const size_t count = load_le<uint16_t>(&file[layout.phnum]);
    if (count == 0 || count > k_most_program_headers || entry_bytes < layout.ph_bytes || table > file.size() ||
        entry_bytes * count > file.size() - table) {
        return tl::unexpected<const char*>("its program headers lie behind the file's end");
    }
    ElfImage image{.is_64_bit = layout.wide,
                   .machine = load_le<uint16_t>(&file[k_e_machine]),
                   .entry = word(file, layout.entry, layout),
                   .segments = {}};
    if (image.entry >= k_four_gib) {
        return tl::unexpected<const char*>("its entry lies above 4 GiB");
    }
    for (size_t i = 0; i < count; ++i) {
        const char* wrong = add_segment(file, file.subspan(table + i * entry_bytes, layout.ph_bytes), layout, image);
        if (wrong != nullptr) {
            return tl::unexpected<const char*>(wrong);
        }
    }
    if (image.segments.empty()) {
        return tl::unexpected<const char*>("it has nothing to load");
    }
    return image;
}

}  // namespace skep
