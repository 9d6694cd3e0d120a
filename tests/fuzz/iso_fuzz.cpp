// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as a medium, or a small right one (ECMA-119, El Torito, Rock Ridge) with lies in it. Nothing may crash,
// hang or read outside the bytes. The first byte says which: odd for bytes as they are.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "tests/fuzz/patched_image.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/media/byte_source.hpp"
#include "vmm/media/iso9660.hpp"
#include "vmm/media/medium.hpp"

namespace {

using namespace skep;

constexpr uint32_t k_sector = 2048;
// Sectors of the small one.
constexpr uint32_t k_primary = 16, k_boot = 17, k_end = 18, k_root = 19, k_catalogue = 20, k_folder = 21, k_subfolder = 22, k_info = 23,
                   k_text = 24, k_sectors = 26;

struct Iso {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(k_sectors * k_sector);

    Iso() {
        descriptor(k_primary, 1);
        text(k_primary, 40, "Debian 12.0.0 amd64 n");
        number(k_primary, 80, k_sectors);
        bytes[k_primary * k_sector + 129] = 8;  // blocks of 2048 bytes
        record(k_primary, 156, "", k_root, k_sector, true);
        descriptor(k_boot, 0);
        text(k_boot, 7, "EL TORITO SPECIFICATION");
        number(k_boot, 0x47, k_catalogue);
        descriptor(k_end, 255);
        size_t at = record(k_root, 0, ".DISK", k_info, k_sector, true, ".disk");
        at = record(k_root, at, "BOOT", k_folder, k_sector, true, "boot");
        at = record(k_root, at, "A.;1", k_text, 100, false, "a");
        record(k_root, at, "EFI", k_folder, k_sector, true);
        record(k_folder, record(k_folder, 0, "GRUB", k_subfolder, k_sector, true, "grub"), "BOOT", k_folder, k_sector, true);
        record(k_subfolder, 0, "GRUB.CFG;1", k_text, 300, false, "grub.cfg");
        record(k_info, 0, "INFO.;1", k_text, 60, false, "info");
        text(k_text, 0, "Debian GNU/Linux 12.0.0 \"Bookworm\" - Official amd64 NETINST with firmware");
        const uint8_t catalogue[]{1, 0, 0, 0}, entry[]{0x88, 0, 0, 0, 0, 0, 4, 0, k_text}, section[]{0x91, 0xef, 1, 0};
        std::ranges::copy(catalogue, at_sector(k_catalogue, 0));
        bytes[k_catalogue * k_sector + 30] = 0x55;
        bytes[k_catalogue * k_sector + 31] = 0xaa;
        std::ranges::copy(entry, at_sector(k_catalogue, 32));
        std::ranges::copy(section, at_sector(k_catalogue, 64));
        std::ranges::copy(entry, at_sector(k_catalogue, 96));
    }

  private:
    std::vector<uint8_t>::iterator at_sector(uint32_t sector, size_t offset) {
        return bytes.begin() + static_cast<ptrdiff_t>(sector * k_sector + offset);
    }
    void text(uint32_t sector, size_t offset, std::string_view what) { std::ranges::copy(what, at_sector(sector, offset)); }
    void number(uint32_t sector, size_t offset, uint32_t value) { store_le<uint32_t>(&bytes[sector * k_sector + offset], value); }
    void descriptor(uint32_t sector, uint8_t type) {
        bytes[sector * k_sector] = type;
        text(sector, 1, "CD001\x01");
    }
    // A directory record; returns where the next one goes.
    size_t record(uint32_t sector, size_t at, std::string_view name, uint32_t extent, uint32_t size, bool folder, std::string_view long_name = {}) {
        const size_t name_bytes = std::max<size_t>(name.size(), 1);
        const size_t area = 33 + name_bytes + (name_bytes + 1) % 2;
        const size_t length = area + (long_name.empty() ? 0 : 5 + long_name.size());
        bytes[sector * k_sector + at] = static_cast<uint8_t>(length);
        number(sector, at + 2, extent);
        number(sector, at + 10, size);
        bytes[sector * k_sector + at + 25] = folder ? 2 : 0;
        bytes[sector * k_sector + at + 32] = static_cast<uint8_t>(name_bytes);
        text(sector, at + 33, name);
        if (!long_name.empty()) {
            text(sector, at + area, "NM");
            bytes[sector * k_sector + at + area + 2] = static_cast<uint8_t>(5 + long_name.size());
            text(sector, at + area + 5, long_name);
        }
        return at + length;
    }
};

void look_at(std::span<const uint8_t> bytes) {
    const MemorySource source(std::as_bytes(bytes));
    static_cast<void>(inspect_source(source, "/media/fuzz.iso"));
    if (const auto volume = read_iso_volume(source)) {
        for (const char* path : {"a", "boot/grub/grub.cfg", ".disk/info"}) {
            if (const auto found = find_in_iso(source, *volume, path)) {
                static_cast<void>(read_iso_text(source, *found, 4096));
            }
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Iso iso;
    static constexpr uint32_t k_places[]{0, 450, k_primary * k_sector, k_primary * k_sector + 80, k_primary * k_sector + 156, k_boot * k_sector,
                                         k_end * k_sector, k_root * k_sector, k_root * k_sector + 100, k_catalogue * k_sector, k_folder * k_sector,
                                         k_subfolder * k_sector, k_info * k_sector, k_text * k_sector};
    skep::fuzz::Input input(data, size);
    if (input.take<uint8_t>() % 2 != 0) {
        look_at({data, size});
        return 0;
    }
    const size_t end = iso.bytes.size() - (input.take<uint8_t>() % 8 == 0 ? input.take<uint16_t>() % iso.bytes.size() : 0);
    const skep::fuzz::Patches patches(iso.bytes, k_places, input);
    look_at(std::span(iso.bytes).first(end));
    return 0;
}
