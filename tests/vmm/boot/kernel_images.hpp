// SPDX-License-Identifier: GPL-3.0-or-later
// Linux kernels made by hand: ELF images, their payloads as the kernel's build packs them, bzImages.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/bits.hpp"

namespace skep::test {

inline constexpr uint64_t k_mib = 1 << 20;

struct ElfPart {
    uint64_t address = 0;
    std::string data;
    uint64_t size = 0;  // in memory
};

// An ELF executable; its entry is the first part's start. Behind it stands what could be a relocation table.
inline std::string elf_image(const std::vector<ElfPart>& parts, bool wide = true) {
    const size_t header = wide ? 64 : 52, entry = wide ? 56 : 32;
    std::string file(header + entry * parts.size(), '\0');
    const auto put = [&](size_t at, uint64_t value) {
        wide ? store_le(&file[at], value) : store_le(&file[at], static_cast<uint32_t>(value));
    };
    file.replace(0, 4, "\x7f" "ELF");
    file[4] = wide ? 2 : 1;
    file[5] = 1;
    store_le<uint16_t>(&file[18], wide ? 62 : 3);
    put(24, parts.empty() ? 0 : parts.front().address);
    put(wide ? 32 : 28, header);
    store_le<uint16_t>(&file[wide ? 54 : 42], static_cast<uint16_t>(entry));
    store_le<uint16_t>(&file[wide ? 56 : 44], static_cast<uint16_t>(parts.size()));
    for (size_t i = 0; i < parts.size(); ++i) {
        const size_t at = header + i * entry;
        store_le<uint32_t>(&file[at], 1);
        put(at + (wide ? 8 : 4), file.size());
        put(at + (wide ? 24 : 12), parts[i].address);
        put(at + (wide ? 32 : 16), parts[i].data.size());
        put(at + (wide ? 40 : 20), parts[i].size);
        file += parts[i].data;
    }
    return file + std::string("\0\0\0\0RELOCS", 10);
}

// One stream by one of libarchive's writers.
inline std::string packed(const std::string& content, int (*add_filter)(struct archive*)) {
    std::string out(content.size() + 65536, '\0');
    size_t used = 0;
    struct archive* writer = archive_write_new();
    archive_write_set_bytes_per_block(writer, 0);
    add_filter(writer);
    archive_write_set_format_raw(writer);
    archive_write_open_memory(writer, out.data(), out.size(), &used);
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(writer, entry);
    archive_write_data(writer, content.data(), content.size());
    archive_entry_free(entry);
    archive_write_close(writer);
    archive_write_free(writer);
    return out.substr(0, used);
}

// As scripts/Makefile.lib's size_append does.
inline std::string with_size(std::string stream, size_t size) {
    std::string tail(4, '\0');
    store_le(tail.data(), static_cast<uint32_t>(size));
    return std::move(stream) + tail;
}

// LZ4's legacy frame, which the kernel uses: blocks of at most 8 MiB, here one of literals only.
inline std::string legacy_lz4(const std::string& content) {
    std::string block;
    if (content.size() < 15) {
        block += static_cast<char>(content.size() << 4);
    } else {
        block += '\xf0';
        size_t rest = content.size() - 15;
        for (; rest >= 255; rest -= 255) {
            block += '\xff';
        }
        block += static_cast<char>(rest);
    }
    block += content;
    return with_size("\x02\x21\x4c\x18", block.size()) + block;
}

// A bzImage of protocol 2.15 with `code` behind four setup sectors; it wants 4 MiB at 16 MiB.
inline std::string bzimage(const std::string& code) {
    std::string file(5 * 512, '\0');
    file[0x1f1] = 4;
    store_le<uint32_t>(&file[0x1f4], static_cast<uint32_t>((code.size() + 15) / 16));
    store_le<uint16_t>(&file[0x1fe], 0xaa55);
    file[0x200] = '\xeb';
    file[0x201] = 0x6a;
    file.replace(0x202, 4, "HdrS");
    store_le<uint16_t>(&file[0x206], 0x20f);
    file[0x211] = 1;
    store_le<uint32_t>(&file[0x22c], 0x7fff'ffff);
    store_le<uint32_t>(&file[0x230], 2 * k_mib);
    file[0x234] = 1;
    store_le<uint16_t>(&file[0x236], 1);
    store_le<uint32_t>(&file[0x238], 100);
    store_le<uint64_t>(&file[0x258], 16 * k_mib);
    store_le<uint32_t>(&file[0x260], 4 * k_mib);
    return file + code;
}

// The same around a payload, 32 bytes into its code.
inline std::string bzimage_with_payload(const std::string& payload) {
    std::string file = bzimage(std::string(32, 'd') + payload + "more code");
    store_le<uint32_t>(&file[0x248], 32);
    store_le<uint32_t>(&file[0x24c], static_cast<uint32_t>(payload.size()));
    return file;
}

}  // namespace skep::test
