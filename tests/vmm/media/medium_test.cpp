// SPDX-License-Identifier: GPL-3.0-or-later
// What files are: CD images made by hand (and by xorriso where it is installed), disks, kernels, and hostile bytes.
#include "vmm/media/medium.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/vmm/media/tiny_iso.hpp"
#include "vmm/media/iso9660.hpp"

namespace skep {
namespace {

using test::TinyIso;

MediumInfo inspect(const std::string& bytes, const std::string& path = "/somewhere/file.iso") {
    return inspect_source(MemorySource(std::as_bytes(std::span(bytes))), path);
}

TEST(Medium, installer_cd_is_recognised_and_fine) {
    const MediumInfo info = inspect(TinyIso("Debian 12 n").boot_bios().boot_uefi().image());
    EXPECT_EQ(info.kind, MediumKind::iso);
    EXPECT_EQ(info.volume_id, "Debian 12 n");
    EXPECT_TRUE(info.boots_bios);
    EXPECT_TRUE(info.boots_uefi);
    EXPECT_EQ(info.os.id, "debian12");
    EXPECT_EQ(info.os.vm_name, "Debian 12");
    EXPECT_EQ(info.problem, "");
}

TEST(Medium, bios_only_and_uefi_only_are_told_apart) {
    const MediumInfo bios = inspect(TinyIso("X").boot_bios().image());
    EXPECT_TRUE(bios.boots_bios);
    EXPECT_FALSE(bios.boots_uefi);
    EXPECT_EQ(bios.problem, "");
    EXPECT_EQ(best_firmware(bios), BootBy::bios);
    EXPECT_EQ(firmware_problem(bios, BootBy::bios), "");
    EXPECT_NE(firmware_problem(bios, BootBy::uefi).find("starts only from a BIOS"), std::string::npos);
    const MediumInfo uefi = inspect(TinyIso("X").boot_uefi().image());
    EXPECT_FALSE(uefi.boots_bios);
    EXPECT_TRUE(uefi.boots_uefi);
    EXPECT_EQ(uefi.problem, "");
    EXPECT_EQ(best_firmware(uefi), BootBy::uefi);
    EXPECT_EQ(firmware_problem(uefi, BootBy::uefi), "");
    EXPECT_NE(firmware_problem(uefi, BootBy::bios).find("starts only from UEFI firmware"), std::string::npos);
    const MediumInfo both = inspect(TinyIso("X").boot_bios().boot_uefi().image());
    EXPECT_EQ(best_firmware(both), BootBy::bios);
    EXPECT_EQ(firmware_problem(both, BootBy::bios) + firmware_problem(both, BootBy::uefi), "");
}

TEST(Medium, cd_without_boot_loader_is_said) {
    const MediumInfo info = inspect(TinyIso("PHOTOS").image(), "/home/me/photos.iso");
    EXPECT_EQ(info.kind, MediumKind::iso);
    EXPECT_NE(info.problem.find("'photos.iso' is a CD image without a boot loader"), std::string::npos) << info.problem;
    EXPECT_EQ(info.os.vm_name, "photos");
}

TEST(Medium, truncated_cd_is_said_but_still_recognised) {
    const std::string image = TinyIso("Debian 12 n").boot_bios().image();
    const MediumInfo info = inspect(image.substr(0, image.size() - 1));
    EXPECT_NE(info.problem.find("truncated"), std::string::npos);
    EXPECT_EQ(info.os.id, "debian12");
    EXPECT_EQ(info.content_bytes, image.size());
}

TEST(Medium, hybrid_cd_has_a_boot_sector) {
    std::string image = TinyIso("X").boot_bios().image();
    EXPECT_FALSE(inspect(image).hybrid);
    image[0] = '\x33';
    image[510] = '\x55';
    image[511] = '\xaa';
    EXPECT_TRUE(inspect(image).hybrid);
}

TEST(Medium, disk_info_file_is_read_when_the_volume_id_says_nothing) {
    const std::string line = "Ubuntu-Server 22.04.3 LTS \"Jammy Jellyfish\" - Release amd64 (20230810)";
    for (const bool rock_ridge : {true, false}) {
        TinyIso iso("CUSTOM");
        iso.boot_bios().file("_DISK", rock_ridge ? ".disk" : "", "INFO.;1", rock_ridge ? "info" : "", line);
        const MediumInfo info = inspect(iso.image());
        EXPECT_EQ(info.os.id, "ubuntu22.04") << rock_ridge;
        EXPECT_EQ(info.os.vm_name, "Ubuntu Server 22.04");
    }
}

TEST(Medium, tree_gives_a_guess_when_nothing_else_does) {
    const MediumInfo info =
        inspect(TinyIso("CUSTOM").boot_bios().file("CASPER", "casper", "VMLINUZ.;1", "", "x").image());
    EXPECT_EQ(info.os.confidence, Confidence::guess);
    EXPECT_EQ(info.os.name, "Linux of the Ubuntu family");
}

TEST(Medium, file_name_tells_windows_11_from_10) {
    const std::string image = TinyIso("CCCOMA_X64FRE_EN-US_DV9").boot_bios().image();
    EXPECT_EQ(inspect(image, "/d/Win11_23H2_English_x64.iso").os.id, "win11");
    EXPECT_EQ(inspect(image, "/d/Win10_22H2_English_x64.iso").os.id, "win10");
    EXPECT_EQ(inspect(image, "/d/setup.iso").os.name, "Windows 10 or 11");
}

TEST(Medium, arm_cd_is_said) {
    TinyIso iso("X");
    iso.boot_uefi().file("EFI", "", "BOOT", "", "");
    // One level of folders is all the builder makes; the record of EFI/BOOT is turned into a folder that lists itself.
    std::string image = iso.image();
    image[TinyIso::k_folder * TinyIso::k_sector + 25] = 2;
    store_le<uint32_t>(&image[TinyIso::k_folder * TinyIso::k_sector + 10], TinyIso::k_sector);
    const std::string name = "BOOTAA64.EFI;1";
    std::string record(33, '\0');
    record[32] = static_cast<char>(name.size());
    record += name;
    record.push_back('\0');
    record[0] = static_cast<char>(record.size());
    image.replace(TinyIso::k_content * TinyIso::k_sector, record.size(), record);
    EXPECT_NE(inspect(image).problem.find("ARM"), std::string::npos) << inspect(image).problem;
}

TEST(Medium, disk_formats_are_known_by_magic) {
    std::string qcow2(4096, '\0');
    qcow2.replace(0, 4, "QFI\xfb");
    store_be<uint64_t>(&qcow2[24], uint64_t{20} << 30);
    EXPECT_EQ(inspect(qcow2).kind, MediumKind::qcow2);
    EXPECT_EQ(inspect(qcow2).content_bytes, uint64_t{20} << 30);
    EXPECT_EQ(inspect("KDMV" + std::string(600, '\0')).kind, MediumKind::vmdk);
    std::string vdi(1024, '\0');
    store_le<uint32_t>(&vdi[0x40], 0xbeda'107f);
    EXPECT_EQ(inspect(vdi).kind, MediumKind::vdi);
    std::string vhd(2048, '\0');
    vhd.replace(1536, 8, "conectix");
    EXPECT_EQ(inspect(vhd).kind, MediumKind::vhd);
}

TEST(Medium, raw_disk_boots_only_with_a_boot_sector) {
    std::string disk(8192, '\0');
    EXPECT_NE(inspect(disk).problem.find("no boot loader"), std::string::npos);
    disk[510] = '\x55';
    disk[511] = '\xaa';
    disk[0] = '\xeb';
    EXPECT_TRUE(inspect(disk).boots_bios);
    EXPECT_EQ(inspect(disk).problem, "");
    disk[446 + 4] = '\xef';
    EXPECT_TRUE(inspect(disk).boots_uefi);
}

TEST(Medium, kernels_are_known_by_header) {
    std::string kernel(4096, '\0');
    kernel.replace(0x202, 4, "HdrS");
    EXPECT_EQ(inspect(kernel).kind, MediumKind::linux_kernel);
    std::string elf(4096, '\0');
    elf.replace(0, 4,
                "\x7f"
                "ELF");
    EXPECT_EQ(inspect(elf).kind, MediumKind::elf);
    EXPECT_FALSE(inspect(elf).problem.empty());
    store_le<uint32_t>(&elf[0x400], 0x1bad'b002);
    store_le<uint32_t>(&elf[0x404], 3);
    store_le<uint32_t>(&elf[0x408], 0u - 0x1bad'b002 - 3);
    EXPECT_EQ(inspect(elf).kind, MediumKind::multiboot_kernel);
    EXPECT_EQ(inspect(elf).problem, "");
}

// --- hostile bytes -----------------------------------------------------------------------------------------------

TEST(Medium, short_files_of_every_length_do_no_harm) {
    const std::string image = TinyIso("X").boot_bios().file("ISOLINUX", "", "A.;1", "a", "text").image();
    for (size_t size = 0; size < image.size(); size += size < 1024 ? 1 : 509) {
        inspect(image.substr(0, size));
    }
}

TEST(Medium, random_damage_does_no_harm) {
    std::mt19937 random(1);
    const std::string good =
        TinyIso("X").boot_bios().boot_uefi().file("ISOLINUX", "isolinux", "A.;1", "a", "text").image();
    for (int round = 0; round < 3000; ++round) {
        std::string image = good;
        for (int i = 0; i < 12; ++i) {
            image[(16 + random() % 8) * TinyIso::k_sector + random() % 256] = static_cast<char>(random());
        }
        const MediumInfo info = inspect(image);
        EXPECT_LE(info.volume_id.size(), 32u);
    }
}

TEST(Iso9660, folder_that_contains_itself_ends) {
    std::string image = TinyIso("X").boot_bios().file("LOOP", "", "A.;1", "", "").image();
    // LOOP's only entry becomes LOOP itself.
    const size_t root_entry = TinyIso::k_root * TinyIso::k_sector + 34;
    image.replace(TinyIso::k_folder * TinyIso::k_sector, 38, image.substr(root_entry, 38));
    const MemorySource source(std::as_bytes(std::span(image)));
    const auto volume = read_iso_volume(source);
    ASSERT_TRUE(volume);
    EXPECT_TRUE(find_in_iso(source, *volume, "loop/LOOP/loop"));
    EXPECT_FALSE(find_in_iso(source, *volume, "loop/loop/loop/loop/loop/loop/loop/loop/loop/loop"));
}

TEST(Iso9660, huge_folder_size_is_refused) {
    std::string image = TinyIso("X").boot_bios().file("ISOLINUX", "", "A.;1", "", "").image();
    store_le<uint32_t>(&image[16 * TinyIso::k_sector + 156 + 10], 0xffff'ffff);
    const MemorySource source(std::as_bytes(std::span(image)));
    const auto volume = read_iso_volume(source);
    ASSERT_TRUE(volume);
    EXPECT_FALSE(find_in_iso(source, *volume, "isolinux"));
}

// --- files on the host -------------------------------------------------------------------------------------------

struct MediumFile : testing::Test {
    std::filesystem::path folder;
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "medium-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    static std::string refusal(const std::filesystem::path& path) {
        const auto info = inspect_medium(path);
        return info ? "accepted" : info.error().message;
    }
};

TEST_F(MediumFile, unusable_files_are_named_in_one_sentence) {
    EXPECT_NE(refusal(folder / "gone.iso").find("There is no file"), std::string::npos);
    EXPECT_NE(refusal(folder).find("is a folder"), std::string::npos);
    std::ofstream(folder / "empty.iso").close();
    EXPECT_NE(refusal(folder / "empty.iso").find("is empty"), std::string::npos);
    if (geteuid() != 0) {
        std::ofstream(folder / "secret.iso") << "x";
        std::filesystem::permissions(folder / "secret.iso", std::filesystem::perms::none);
        EXPECT_NE(refusal(folder / "secret.iso").find("may not read"), std::string::npos);
    }
}

TEST_F(MediumFile, cd_made_by_xorriso_is_read) {
    if (std::system("command -v xorriso >/dev/null 2>&1") != 0) {
        GTEST_SKIP() << "no xorriso";
    }
    const std::string root = folder / "tree";
    std::filesystem::create_directories(root + "/.disk");
    std::filesystem::create_directories(root + "/isolinux");
    std::ofstream(root + "/.disk/info") << "Debian GNU/Linux 13.1.0 \"Trixie\" - Official amd64 NETINST";
    std::ofstream(root + "/isolinux/isolinux.bin") << std::string(4096, 'b');
    const std::string iso = folder / "made.iso";
    const std::string command =
        "xorriso -as mkisofs -quiet -R -V CUSTOM -b isolinux/isolinux.bin -c isolinux/boot.cat "
        "-no-emul-boot -boot-load-size 4 -o " +
        iso + " " + root + " >/dev/null 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0);
    const auto info = inspect_medium(iso);
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->volume_id, "CUSTOM");
    EXPECT_TRUE(info->boots_bios);
    EXPECT_EQ(info->os.id, "debian13");
    EXPECT_EQ(info->problem, "");
    std::filesystem::resize_file(iso, std::filesystem::file_size(iso) / 2);
    EXPECT_NE(inspect_medium(iso)->problem.find("truncated"), std::string::npos);
}

}  // namespace
}  // namespace skep
