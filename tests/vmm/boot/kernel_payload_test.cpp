// SPDX-License-Identifier: GPL-3.0-or-later
// Unpacking the kernel inside a bzImage: every packing, and everything that must be left to the kernel itself.
#include "vmm/boot/kernel_payload.hpp"

#include <gtest/gtest.h>

#include "tests/vmm/boot/kernel_images.hpp"

namespace skep {
namespace {

using test::elf_image;
using test::k_mib;
using test::packed;
using test::with_size;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

KernelPayload described(const std::string& payload) {
    return {.bytes = bytes_of(payload), .load_address = 16 * k_mib, .room = 4 * k_mib, .alignment = 2 * k_mib};
}

const std::string k_vmlinux = elf_image({{16 * k_mib, std::string(70'000, 'x'), 80'000}, {18 * k_mib, "DATA", 4096}});

std::string reason(const std::string& payload) {
    const auto kernel = unpack_kernel(described(payload));
    return kernel ? "unpacked" : kernel.error();
}

std::string reason_for_image(const std::string& vmlinux) {
    return reason(with_size(packed(vmlinux, archive_write_add_filter_zstd), vmlinux.size()));
}

struct PackingCase {
    const char* name;
    std::string payload;
};
struct EveryPacking : testing::TestWithParam<PackingCase> {};

TEST_P(EveryPacking, kernel_is_unpacked_to_its_segments) {
    const auto kernel = unpack_kernel(described(GetParam().payload));
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_TRUE(kernel->image.is_64_bit);
    EXPECT_EQ(kernel->image.entry, 16 * k_mib);
    ASSERT_EQ(kernel->image.segments.size(), 2U);
    EXPECT_EQ(kernel->image.segments[0].data.size(), 70'000U);
    EXPECT_EQ(kernel->image.segments[0].data.back(), std::byte{'x'});
    EXPECT_EQ(kernel->image.segments[0].size, 80'000U);
    EXPECT_EQ(kernel->image.segments[1].address, 18 * k_mib);
    EXPECT_EQ(kernel->image.segments[1].data[3], std::byte{'A'});
}

TEST_P(EveryPacking, cut_stream_is_left_to_the_kernel) {
    const std::string& whole = GetParam().payload;
    const std::string size = whole.substr(whole.size() - 4);
    EXPECT_NE(reason(whole.substr(0, whole.size() / 2) + size), "unpacked");
    EXPECT_NE(reason(whole.substr(0, 8) + size), "unpacked");
}

TEST_P(EveryPacking, wrong_size_is_left_to_the_kernel) {
    std::string payload = GetParam().payload;
    for (const size_t size : {size_t{0}, k_vmlinux.size() - 1, k_vmlinux.size() + 1, 4 * k_mib + 1, size_t{0xffff'ffff}}) {
        store_le(&payload[payload.size() - 4], static_cast<uint32_t>(size));
        EXPECT_NE(reason(payload), "unpacked") << size;
    }
}

INSTANTIATE_TEST_SUITE_P(
    KernelPayload, EveryPacking,
    testing::Values(PackingCase{"gzip", packed(k_vmlinux, archive_write_add_filter_gzip)},
                    PackingCase{"xz", with_size(packed(k_vmlinux, archive_write_add_filter_xz), k_vmlinux.size())},
                    PackingCase{"zstd", with_size(packed(k_vmlinux, archive_write_add_filter_zstd), k_vmlinux.size())},
                    PackingCase{"lz4", with_size(test::legacy_lz4(k_vmlinux), k_vmlinux.size())},
                    PackingCase{"lzma", with_size(packed(k_vmlinux, archive_write_add_filter_lzma), k_vmlinux.size())},
                    PackingCase{"bzip2", with_size(packed(k_vmlinux, archive_write_add_filter_bzip2), k_vmlinux.size())}),
    [](const auto& info) { return info.param.name; });

TEST(KernelPayload, unknown_and_missing_packings_are_named) {
    EXPECT_EQ(reason(""), "its header names no payload");
    EXPECT_EQ(reason("1234"), "its header names no payload");
    EXPECT_EQ(reason(with_size(k_vmlinux, k_vmlinux.size())), "it is packed in a way that is not known here");
    EXPECT_EQ(reason(with_size("\x89LZO....", 4096)), "it is packed by LZO");
}

TEST(KernelPayload, images_that_are_no_kernel_for_this_place_are_left_alone) {
    EXPECT_EQ(reason_for_image("not ELF at all, but long enough to hold the header of an ELF file, which is 64 bytes"),
              "it is not a little-endian ELF file");
    EXPECT_EQ(reason_for_image(elf_image({{17 * k_mib, "code", 4}})),
              "it is linked for another address than its header prefers");
    EXPECT_EQ(reason_for_image(elf_image({{16 * k_mib, "code", 4096}, {16 * k_mib + 4095, "data", 4}})),
              "its segments overlap or are out of order");
    EXPECT_EQ(reason_for_image(elf_image({{16 * k_mib, "code", 4}, {20 * k_mib - 4, "data", 5}})),
              "it covers more memory than its header asks for");
    EXPECT_EQ(reason_for_image(elf_image({{16 * k_mib, "", 4096}})), "its entry lies outside its code");
    EXPECT_EQ(reason_for_image(elf_image({})), "its program headers lie behind the file's end");
    std::string arm = elf_image({{16 * k_mib, "code", 4}});
    arm[18] = '\xb7';
    EXPECT_EQ(reason_for_image(arm), "it is for another processor");
    std::string cut = elf_image({{16 * k_mib, "code", 4}});
    cut.resize(65);
    EXPECT_EQ(reason_for_image(cut), "its program headers lie behind the file's end");
}

TEST(KernelPayload, place_must_be_aligned_for_its_page_tables) {
    const std::string odd = elf_image({{17 * k_mib, "code", 4}});
    const std::string payload = with_size(packed(odd, archive_write_add_filter_zstd), odd.size());
    KernelPayload place = described(payload);
    place.load_address = 17 * k_mib;
    place.alignment = 0;
    EXPECT_EQ(unpack_kernel(place).error(), "its preferred address is not aligned as it wants");
    const std::string narrow = elf_image({{17 * k_mib, "code", 4}}, false);
    const std::string payload_32 = with_size(packed(narrow, archive_write_add_filter_zstd), narrow.size());
    place.bytes = bytes_of(payload_32);
    ASSERT_TRUE(unpack_kernel(place));  // 32-bit code maps itself by small pages
    place.alignment = 16 * k_mib;
    EXPECT_EQ(unpack_kernel(place).error(), "its preferred address is not aligned as it wants");
}

}  // namespace
}  // namespace skep
