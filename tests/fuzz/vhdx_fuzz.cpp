// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as the tables of a VHDX image, or right ones with lies in them, whose checksums are put right. The first
// byte says which: odd for bytes as they are.
#include <array>
#include <string_view>

#include "tests/fuzz/image_fuzz.hpp"
#include "tests/fuzz/patched_image.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/base/crc32c.hpp"

namespace {

using namespace skep;

constexpr uint32_t k_kib = 1024;
constexpr uint32_t k_header = 64 * k_kib, k_header_bytes = 4 * k_kib, k_regions = 192 * k_kib, k_regions_bytes = 64 * k_kib;
constexpr uint32_t k_metadata = 256 * k_kib, k_metadata_bytes = 64 * k_kib, k_values = k_metadata + 4 * k_kib;
constexpr uint32_t k_blocks = 320 * k_kib, k_blocks_bytes = 4 * k_kib, k_end = 324 * k_kib;
constexpr uint64_t k_file_bytes = 64 << 20;  // it says

struct Vhdx {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(k_end);

    Vhdx() {
        text(0, "vhdxfile");
        text(k_header, "head");
        text(k_regions, "regi");
        store_le<uint32_t>(&bytes[k_regions + 8], 2);
        region(0, {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08}, k_blocks, k_blocks_bytes);
        region(1, {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e}, k_metadata, k_metadata_bytes);
        text(k_metadata, "metadata");
        bytes[k_metadata + 10] = 3;
        item(0, {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b}, 0, 1 << 20);
        item(1, {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8}, 8, 40 << 20);
        item(2, {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f}, 16, 512);
        for (uint64_t block = 0; block < 40; block += 2) {
            store_le<uint64_t>(&bytes[k_blocks + block * 8], (block + 1) << 20 | 6);
        }
        seal(k_header, k_header_bytes);
        seal(k_regions, k_regions_bytes);
    }
    void seal(uint32_t at, uint32_t length) {
        store_le<uint32_t>(&bytes[at + 4], 0);
        store_le<uint32_t>(&bytes[at + 4], crc32c(std::span(bytes).subspan(at, length)));
    }

  private:
    using Guid = std::array<uint8_t, 16>;
    void text(uint32_t at, std::string_view what) { std::ranges::copy(what, bytes.begin() + at); }
    void region(uint32_t index, const Guid& kind, uint64_t offset, uint32_t length) {
        const uint32_t at = k_regions + 16 + index * 32;
        std::ranges::copy(kind, bytes.begin() + at);
        store_le<uint64_t>(&bytes[at + 16], offset);
        store_le<uint32_t>(&bytes[at + 24], length);
    }
    void item(uint32_t index, const Guid& kind, uint32_t offset, uint64_t value) {
        const uint32_t at = k_metadata + 32 + index * 32;
        std::ranges::copy(kind, bytes.begin() + at);
        store_le<uint32_t>(&bytes[at + 16], k_values - k_metadata + offset);
        store_le<uint64_t>(&bytes[k_values + offset], value);
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Vhdx image;
    static constexpr uint32_t k_places[]{k_header, k_regions, k_metadata, k_values, k_blocks, k_blocks + 256};
    skep::fuzz::Input input(data, size);
    if (input.take<uint8_t>() % 2 != 0) {
        skep::fuzz::read_map(ImageFormat::vhdx, data, size);
        return 0;
    }
    const std::vector<uint8_t> sums(image.bytes.begin() + k_regions, image.bytes.begin() + k_regions + 8);
    const std::vector<uint8_t> header_sums(image.bytes.begin() + k_header, image.bytes.begin() + k_header + 8);
    {
        const skep::fuzz::Patches patches(image.bytes, k_places, input);
        for (const auto& [at, length] : {std::pair(k_header, k_header_bytes), std::pair(k_regions, k_regions_bytes)}) {
            if (patches.touch(at, at + length) && !patches.touch(at + 4, at + 8)) {
                image.seal(at, length);
            }
        }
        test::MemoryFile file(image.bytes.data(), image.bytes.size());
        skep::fuzz::read_map(ImageFormat::vhdx, file, k_file_bytes);
    }
    std::ranges::copy(sums, image.bytes.begin() + k_regions);
    std::ranges::copy(header_sums, image.bytes.begin() + k_header);
    return 0;
}
