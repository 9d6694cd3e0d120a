// SPDX-License-Identifier: GPL-3.0-or-later
// Firmware image checks, boot order paths and the set of fw_cfg files; SMBIOS structures; e820.
#include "vmm/boot/firmware.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/vmm/boot/temporary_folder.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/boot/e820.hpp"
#include "vmm/boot/smbios.hpp"

namespace skep {
namespace {

struct FirmwareFile : testing::Test {
    test::TemporaryFolder folder;
    std::string file(size_t size, char fill, const std::string& end = {}) {
        std::string content(size, fill);
        content.replace(content.size() - end.size(), end.size(), end);
        return folder.write("bios.bin", content);
    }
    std::string refusal(const std::string& path) {
        const auto image = load_firmware(path);
        return image ? "" : image.error().message;
    }
};

TEST_F(FirmwareFile, good_image_ends_at_four_gib) {
    const auto image = load_firmware(file(256 << 10, '\0', "\xea\x5b\xe0"));
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->address(), 0xfffc'0000u);
    EXPECT_EQ(image->shadow_bytes(), 0x4'0000u);
}

TEST_F(FirmwareFile, bad_images_are_refused_with_the_path_in_the_sentence) {
    EXPECT_NE(refusal(folder.path("none.bin")).find("none.bin"), std::string::npos);
    EXPECT_NE(refusal(folder.path("")).find("not a file"), std::string::npos);
    EXPECT_NE(refusal(file(1000, 'x')).find("64 KiB"), std::string::npos);
    EXPECT_NE(refusal(file(64 << 10, '\xff')).find("no code at its end"), std::string::npos);
    std::filesystem::resize_file(folder.path("bios.bin"), 0);
    EXPECT_NE(refusal(folder.path("bios.bin")).find("empty"), std::string::npos);
    std::filesystem::resize_file(folder.path("bios.bin"), 32 << 20);
    EXPECT_NE(refusal(folder.path("bios.bin")).find("16 MiB"), std::string::npos);
}

TEST_F(FirmwareFile, fifo_is_refused_without_hanging) {
    const std::string command = "mkfifo " + folder.path("pipe");
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_NE(refusal(folder.path("pipe")).find("not a file"), std::string::npos);
}

TEST(BootPath, follows_open_firmware_names) {
    using Kind = BootDevice::Kind;
    EXPECT_EQ(boot_path({Kind::ahci, 0x1f, 2, 3}), "/pci@i0cf8/pci8086,2922@1f,2/drive@3/disk@0");
    EXPECT_EQ(boot_path({Kind::virtio_block, 10, 0, 0}), "/pci@i0cf8/scsi@a/disk@0,0");
    EXPECT_EQ(boot_path({Kind::usb_storage, 0x1d, 0, 1}), "/pci@i0cf8/usb@1d/storage@1/channel@0/disk@0,0");
    EXPECT_EQ(boot_path({Kind::nvme, 4, 0, 0}), "/pci@i0cf8/pci8086,5845@4/namespace@1,0");
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(FirmwareConfigTest, holds_everything_the_firmware_reads) {
    PlatformDescription platform;
    platform.cpu_count = 3;
    platform.low_ram_bytes = 1 << 30;
    FirmwareOptions options;
    options.boot_order = {{BootDevice::Kind::ahci, 0x1f, 2, 0}, {BootDevice::Kind::virtio_block, 3, 0, 0}};
    const FirmwareConfig config = firmware_config(platform, options);
    std::map<std::string, std::vector<std::byte>> files(config.files.begin(), config.files.end());
    std::map<uint16_t, std::vector<std::byte>> items(config.items.begin(), config.items.end());
    EXPECT_EQ(text_of(files["bootorder"]),
              std::string("/pci@i0cf8/pci8086,2922@1f,2/drive@0/disk@0\n/pci@i0cf8/scsi@3/disk@0,0\n") + '\0');
    EXPECT_EQ(text_of(items[0x05]), std::string("\3\0", 2));
    EXPECT_EQ(text_of(items[0x04]), std::string("\1\0", 2));
    EXPECT_EQ(files["etc/e820"].size(), 20u);
    EXPECT_EQ(load_le<uint64_t>(&files["etc/e820"][8]), uint64_t{1} << 30);
    EXPECT_EQ(load_le<uint32_t>(files["etc/boot-fail-wait"].data()), 0xffff'ffffu);
    EXPECT_EQ(files["etc/smbios/smbios-anchor"].size(), 24u);
    for (const char* name : {"etc/table-loader", "etc/acpi/rsdp", "etc/acpi/tables", "etc/smbios/smbios-tables"}) {
        EXPECT_FALSE(files[name].empty()) << name;
    }
}

TEST(SmbiosTest, structures_are_chained_with_their_lengths_and_strings) {
    PlatformDescription platform;
    platform.cpu_count = 2;
    platform.low_ram_bytes = 0x8000'0000;
    platform.high_ram_bytes = uint64_t{62} << 30;
    platform.name = "My\nVM";
    for (size_t i = 0; i < 16; ++i) {
        platform.uuid[i] = static_cast<uint8_t>(i);
    }
    const Smbios smbios = build_smbios(platform);
    const std::map<unsigned, unsigned> k_lengths{{0, 0x1a},  {1, 0x1b},  {2, 0x0f},  {3, 0x16}, {4, 0x30},
                                                 {16, 0x17}, {17, 0x28}, {19, 0x1f}, {32, 11},  {127, 4}};
    std::map<unsigned, unsigned> seen;
    size_t at = 0;
    while (at < smbios.tables.size()) {
        const auto type = std::to_integer<unsigned>(smbios.tables[at]);
        const auto length = std::to_integer<unsigned>(smbios.tables.at(at + 1));
        ++seen[type];
        EXPECT_EQ(length, k_lengths.at(type)) << "type " << type;
        if (type == 1) {
            EXPECT_EQ(std::to_integer<unsigned>(smbios.tables.at(at + 8)), 3u);   // little-endian first field
            EXPECT_EQ(std::to_integer<unsigned>(smbios.tables.at(at + 16)), 8u);  // byte order kept
        }
        at += length;
        while (smbios.tables.at(at) != std::byte{0} || smbios.tables.at(at + 1) != std::byte{0}) {
            ++at;
        }
        at += 2;
    }
    EXPECT_EQ(at, smbios.tables.size());
    EXPECT_EQ(seen[4], 2u);
    EXPECT_EQ(seen[19], 2u);
    EXPECT_EQ(smbios.structure_count, 12u);
    EXPECT_NE(text_of(smbios.tables).find("My?VM"), std::string::npos);
}

TEST(SmbiosTest, anchors_sum_to_zero) {
    const Smbios smbios = build_smbios({});
    for (const auto& anchor : {smbios_anchor_3(smbios, 0xf1000), smbios_anchor_2(smbios, 0xf1000)}) {
        uint8_t sum = 0;
        for (const std::byte value : anchor) {
            sum = static_cast<uint8_t>(sum + std::to_integer<uint8_t>(value));
        }
        EXPECT_EQ(sum, 0);
    }
    const auto anchor = smbios_anchor_2(smbios, 0xf1000);
    uint8_t sum = 0;
    for (size_t i = 16; i < anchor.size(); ++i) {
        sum = static_cast<uint8_t>(sum + std::to_integer<uint8_t>(anchor[i]));
    }
    EXPECT_EQ(sum, 0);
}

TEST(E820, direct_boot_map_is_sorted_without_overlap) {
    PlatformDescription platform;
    platform.low_ram_bytes = 0x8000'0000;
    platform.high_ram_bytes = 0x4000'0000;
    const auto entries = direct_boot_memory_map(platform);
    uint64_t end = 0, ram = 0;
    for (const E820Entry& entry : entries) {
        EXPECT_GE(entry.start, end);
        end = entry.start + entry.size;
        ram += entry.type == E820Type::ram ? entry.size : 0;
    }
    EXPECT_EQ(end, 0x1'4000'0000u);
    EXPECT_EQ(ram, 0xc000'0000u - 0x10'0000 + 0x9'fc00);
}

}  // namespace
}  // namespace skep
