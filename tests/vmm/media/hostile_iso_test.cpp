// SPDX-License-Identifier: GPL-3.0-or-later
// More than 200 CD images that lie in their descriptors, boot catalogues and folders: each is looked at to the end, by
// little reading, and what cannot start a machine is said in a sentence that names the file.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/vmm/media/tiny_iso.hpp"
#include "vmm/media/iso9660.hpp"
#include "vmm/media/medium.hpp"

namespace skep {
namespace {

using test::TinyIso;

constexpr size_t k_sector = TinyIso::k_sector;
constexpr size_t k_primary = 16 * k_sector, k_boot = 17 * k_sector, k_end = 18 * k_sector;
constexpr size_t k_catalogue = TinyIso::k_catalogue * k_sector, k_root = TinyIso::k_root * k_sector;
constexpr size_t k_folder = TinyIso::k_folder * k_sector;

class CountingSource final : public ByteSource {
  public:
    explicit CountingSource(const std::string& bytes) : m_bytes(std::as_bytes(std::span(bytes))) {}
    [[nodiscard]] uint64_t size() const override { return m_bytes.size(); }
    [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override {
        total += to.size();
        return MemorySource(m_bytes).read(offset, to);
    }
    mutable uint64_t total = 0;

  private:
    std::span<const std::byte> m_bytes;
};

struct HostileIso : testing::Test {
    static constexpr uint64_t k_most_read = uint64_t{4} << 20;
    const std::string good =
        TinyIso("Debian 12 n").boot_bios().boot_uefi().file("ISOLINUX", "isolinux", "A.;1", "a.cfg", "text").image();
    int images = 0;

    MediumInfo look(const std::string& image) {
        ++images;
        const CountingSource source(image);
        MediumInfo info = inspect_source(source, "/home/me/hostile.iso");
        EXPECT_LE(source.total, k_most_read);
        EXPECT_LE(info.volume_id.size(), 32U);
        EXPECT_EQ(info.problem.find('\n'), std::string::npos);
        EXPECT_TRUE(info.problem.empty() || info.problem.find("'hostile.iso'") != std::string::npos) << info.problem;
        if (const auto volume = read_iso_volume(source)) {
            for (const char* name : {"isolinux/a.cfg", ".disk/info", "a/b/c/d/e/f/g/h/i/j", "", "/", "isolinux"}) {
                if (const auto found = find_in_iso(source, *volume, name)) {
                    EXPECT_LE(read_iso_text(source, *found, 100).size(), 100U);
                }
            }
        }
        return info;
    }
    // It cannot start a machine, and that is said.
    void expect_refused(const std::string& image, const std::string& what) {
        const MediumInfo info = look(image);
        EXPECT_FALSE(info.problem.empty()) << what;
        EXPECT_FALSE(info.kind == MediumKind::iso && (info.boots_bios || info.boots_uefi) && info.problem.empty()) << what;
    }
    std::string with(size_t at, const std::string& bytes) const {
        std::string image = good;
        return image.replace(at, bytes.size(), bytes);
    }
    template <typename T>
    std::string with_number(size_t at, T value) const {
        std::string image = good;
        store_le<T>(&image[at], value);
        return image;
    }
};

TEST_F(HostileIso, DescriptorsThatAreNone_AreRefused) {
    for (const size_t at : {k_primary, k_primary + 1, k_primary + 3, k_primary + 5}) {
        for (const int value : {0, 2, 3, 0x7f, 0xfe}) {
            expect_refused(with(at, std::string(1, static_cast<char>(value))), "primary descriptor");
        }
    }
    for (size_t at = k_boot + 7; at < k_boot + 30; ++at) {
        expect_refused(with(at, "\x01"), "boot record without its name");
    }
    expect_refused(with(k_boot, "\x02"), "no boot record");
    expect_refused(with(k_boot, "\xff"), "an end before the boot record");
    expect_refused(with(k_primary, std::string(k_sector, '\0')), "nothing at all");
}

TEST_F(HostileIso, CatalogueElsewhere_IsRefused) {
    for (const uint32_t sector : {0U, 1U, 15U, 16U, 18U, 20U, 21U, 23U, 24U, 25U, 1000U, 0x7fff'ffffU, 0x8000'0000U, 0xffff'fffeU, ~0U}) {
        expect_refused(with_number<uint32_t>(k_boot + 0x47, sector), "catalogue at " + std::to_string(sector));
    }
    for (const int value : {0, 2, 0x88, 0xff}) {
        expect_refused(with(k_catalogue, std::string(1, static_cast<char>(value))), "validation entry");
        expect_refused(with(k_catalogue + 30, std::string(1, static_cast<char>(value))), "key byte");
        expect_refused(with(k_catalogue + 31, std::string(1, static_cast<char>(value))), "key byte");
    }
    std::string none = with(k_catalogue + 32, std::string(1, '\0'));
    none.replace(k_catalogue + 96, 1, 1, '\0');
    expect_refused(none, "nothing in it starts");
    for (const int platform : {1, 2, 3, 0x7f, 0xee, 0xff}) {
        std::string foreign = with(k_catalogue + 1, std::string(1, static_cast<char>(platform)));
        foreign[k_catalogue + 65] = static_cast<char>(platform);
        expect_refused(foreign, "for another kind of computer");
    }
}

TEST_F(HostileIso, CutAnywhere_IsRefused) {
    for (size_t size = 512; size < good.size(); size += 1021) {
        expect_refused(good.substr(0, size), "cut at " + std::to_string(size));
    }
    for (const uint32_t blocks : {100U, 0x1'0000U, 0x7fff'ffffU, ~0U}) {
        expect_refused(with_number<uint32_t>(k_primary + 80, blocks), "says that it is longer");
    }
    expect_refused(with_number<uint16_t>(k_primary + 128, 0xffff), "blocks of 64 KiB");
}

// Folders that lie do not keep a CD from starting; they only must do no harm.
TEST_F(HostileIso, FoldersThatLie_DoNoHarm) {
    for (const size_t record : {k_primary + 156, k_root, k_root + 34, k_folder}) {
        for (const uint32_t value : {0U, 1U, 16U, 20U, 21U, 24U, 0xffffU, 0x7fff'ffffU, ~0U}) {
            look(with_number<uint32_t>(record + 2, value));
            look(with_number<uint32_t>(record + 10, value));
        }
        for (const int value : {0, 1, 2, 32, 33, 34, 35, 127, 255}) {
            look(with(record, std::string(1, static_cast<char>(value))));
            look(with(record + 32, std::string(1, static_cast<char>(value))));
        }
        look(with(record + 25, "\xff"));
    }
    for (size_t at = k_folder + 33; at < k_folder + 60; ++at) {  // names and Rock Ridge entries
        for (const int value : {0, 1, 3, 255}) {
            look(with(at, std::string(1, static_cast<char>(value))));
        }
    }
    look(with(k_end, "\x01"));
    look(with(k_primary + 40, std::string(32, '\x1b')));
    // Descriptors without end.
    std::string many = good.substr(0, k_primary + k_sector);
    for (int i = 0; i < 2000; ++i) {
        many += good.substr(k_primary, k_sector);
    }
    look(many);
}

}  // namespace
}  // namespace skep
