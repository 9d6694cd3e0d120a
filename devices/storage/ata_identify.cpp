// SPDX-License-Identifier: GPL-3.0-or-later
// IDENTIFY DEVICE data of the hard disk (ATA8-ACS 7.16.7).
#include <algorithm>

#include "devices/storage/ata_disk.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_heads = 16;
constexpr uint64_t k_sectors_per_track = 63;
constexpr uint64_t k_lba28_limit = 0x0fff'ffff;

constexpr uint16_t k_smart_feature = 1 << 0;
constexpr uint16_t k_write_cache_feature = 1 << 5;
constexpr uint16_t k_look_ahead_feature = 1 << 6;

void put_geometry(std::array<uint16_t, 256>& words, uint64_t sectors) {
    const uint64_t cylinders = std::min<uint64_t>(sectors / (k_heads * k_sectors_per_track), 16383);
    words[1] = words[54] = static_cast<uint16_t>(cylinders);
    words[3] = words[55] = k_heads;
    words[6] = words[56] = k_sectors_per_track;
    const uint64_t chs = cylinders * k_heads * k_sectors_per_track;
    words[57] = static_cast<uint16_t>(chs);
    words[58] = static_cast<uint16_t>(chs >> 16);
    const uint64_t lba28 = std::min(sectors, k_lba28_limit);
    words[60] = static_cast<uint16_t>(lba28);
    words[61] = static_cast<uint16_t>(lba28 >> 16);
    for (unsigned i = 0; i < 4; ++i) {
        words[100 + i] = static_cast<uint16_t>(sectors >> (16 * i));
    }
}

}  // namespace

std::array<uint8_t, 512> AtaDisk::identify() const {
    std::array<uint16_t, 256> words{};
    words[0] = 0x0040;  // a fixed disk
    put_geometry(words, sectors());
    ata::put_ata_string(words, 10, 10, m_identity.serial);
    ata::put_ata_string(words, 23, 4, "1.0");
    ata::put_ata_string(words, 27, 20, m_identity.model);
    words[47] = 0x8010;  // READ MULTIPLE: up to 16 sectors
    words[49] = 0x0f00;  // DMA, LBA, IORDY
    words[50] = 0x4000;
    words[53] = 0x0007;  // words 54-58, 64-70 and 88 are valid
    words[59] = m_multiple == 0 ? 0 : static_cast<uint16_t>(0x0100 | m_multiple);
    words[63] = 0x0007;  // multiword DMA 0-2
    words[64] = 0x0003;  // PIO 3, 4
    words[65] = words[66] = words[67] = words[68] = 120;
    words[75] = 31;      // queue depth - 1
    words[76] = 0x010e;  // NCQ; SATA generations 1-3
    words[80] = 0x01f0;  // ATA/ATAPI-4 to ATA8-ACS
    words[82] = k_smart_feature | k_write_cache_feature | k_look_ahead_feature;
    words[83] = 0x7400;  // FLUSH CACHE (EXT), 48-bit addresses
    words[84] = 0x4060;  // WRITE DMA FUA EXT, general purpose logging
    words[85] = static_cast<uint16_t>((m_smart_enabled ? k_smart_feature : 0) | (m_write_cache ? k_write_cache_feature : 0) |
                                      (m_look_ahead ? k_look_ahead_feature : 0));
    words[86] = 0x3400;
    words[87] = 0x4060;
    words[88] = static_cast<uint16_t>(0x007f | 0x0100 << m_udma_mode);
    words[106] = 0x6003;  // eight logical sectors in a physical one
    if (m_backend->info().can_discard) {
        words[69] = 0x4020;  // trimmed sectors read as zeros
        words[105] = 8;      // blocks of ranges in one TRIM
        words[169] = 0x0001;
    }
    words[209] = 0x4000;
    words[217] = 0x0001;  // does not rotate
    words[222] = 0x101f;  // serial transport
    return ata::identify_bytes(words);
}

}  // namespace skep
