// SPDX-License-Identifier: GPL-3.0-or-later
// More than 200 VMDK, VDI, VHD and VHDX images that lie in one field each, checksums put right where the format has them:
// every one is refused in words that name the file, and no file but the image itself is opened.
#include <sys/inotify.h>

#include <cstring>
#include <map>

#include "tests/devices/formats/formats_fixture.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_disk = 3 << 20;
const std::vector<uint64_t> k_absurd{0, 1, uint64_t{1} << 50, uint64_t{1} << 63, ~uint64_t{0}};

enum class Order { little, big };

struct HostileImport : testing::Test {
    ScratchFolder folder;
    std::string path = folder.file("hostile.image");
    std::vector<uint8_t> good, bad;
    std::vector<uint8_t> in_file;  // what `path` holds
    ImageFormat format = ImageFormat::raw;
    int refused = 0;

    void make(const char* kind, ImageFormat wanted) {
        put_file(folder.file("source.raw"), std::vector<uint8_t>(k_disk, 0x5a));
        ASSERT_EQ(shell("qemu-img convert -f raw -O " + std::string(kind) + " " + folder.file("source.raw") + " " + path), 0);
        good = in_file = file_bytes(path);
        format = wanted;
        ImageOptions options = quickly(in_folder(path, ImageAccess::read_only));
        options.format = format;
        const auto opened = open_image(path, options);
        ASSERT_TRUE(opened) << opened.error().message;
    }
    static void put(std::vector<uint8_t>& bytes, size_t at, unsigned width, uint64_t value, Order order) {
        for (unsigned i = 0; i < width; ++i) {
            bytes[at + (order == Order::little ? i : width - 1 - i)] = static_cast<uint8_t>(value >> (8 * i));
        }
    }
    // Hundreds of files that differ in a few bytes: only these are written.
    void put_changes(const std::vector<uint8_t>& bytes) {
        constexpr size_t k_piece = 4096;
        std::filesystem::resize_file(path, bytes.size());
        in_file.resize(bytes.size());
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        for (size_t at = 0; at < bytes.size(); at += k_piece) {
            const size_t count = std::min(k_piece, bytes.size() - at);
            if (std::memcmp(&bytes[at], &in_file[at], count) != 0) {
                file.seekp(static_cast<std::streamoff>(at));
                file.write(reinterpret_cast<const char*>(&bytes[at]), static_cast<std::streamsize>(count));
                std::memcpy(&in_file[at], &bytes[at], count);
            }
        }
    }
    void expect_refused(const std::vector<uint8_t>& bytes, const std::string& what) {
        put_changes(bytes);
        ImageOptions options = quickly(in_folder(path, ImageAccess::read_only));
        options.format = format;
        const auto opened = open_image(path, options);
        ASSERT_FALSE(opened) << what << " was believed";
        const std::string& sentence = opened.error().message;
        EXPECT_NE(sentence.find("hostile.image"), std::string::npos) << sentence;
        EXPECT_EQ(sentence.find('\n'), std::string::npos);
        EXPECT_TRUE(sentence.size() < 300 && sentence.back() == '.') << sentence;
        ++refused;
    }
    // Each value in turn in one field. `seal` puts checksums right.
    void field(const char* name, size_t at, unsigned width, const std::vector<uint64_t>& values, Order order,
               const std::function<void(std::vector<uint8_t>&)>& seal = {}) {
        for (const uint64_t value : values) {
            bad = good;
            put(bad, at, width, value, order);
            if (bad == good) {
                continue;
            }
            if (seal) {
                seal(bad);
            }
            expect_refused(bad, fmt::format("{} = {:#x}", name, value));
        }
    }
    void cut_short(const std::vector<size_t>& lengths) {
        for (const size_t length : lengths) {
            expect_refused({good.begin(), good.begin() + static_cast<ptrdiff_t>(length)}, fmt::format("cut at {}", length));
        }
    }
};

TEST_F(HostileImport, Vdi_EveryLie_IsRefused) {
    SKIP_WITHOUT_QEMU_IMG();
    make("vdi", ImageFormat::vdi);
    const auto map_at = load_le<uint32_t>(&good[340]);
    const uint64_t size = good.size();
    field("signature", 64, 4, {0, 1, 0xbeda107e, ~0U}, Order::little);
    field("version", 68, 4, {0, 0x20000, 0xffff0000, 0x00000001}, Order::little);
    field("type", 76, 4, {0, 3, 4, 5, 0x80000001, ~0U}, Order::little);
    field("place of the map", 340, 4, {size, size - 3, size + 1, 0x80000000, ~0U}, Order::little);
    field("place of the data", 344, 4, {size, 0x80000000, ~0U}, Order::little);
    field("size of the disk", 368, 8, {0, k_disk + (8 << 20), uint64_t{1} << 50, uint64_t{1} << 63, ~uint64_t{0}}, Order::little);
    field("size of a block", 376, 4, {0, 1, 511, 512, 2048, 3 << 20, 65537, ~0U}, Order::little);
    field("extra bytes of a block", 380, 4, {(1 << 20) + 1, ~0U}, Order::little);
    field("number of blocks", 384, 4, {0, 1, 2, 1 << 25, ~0U}, Order::little);
    for (uint32_t i = 0; i < 3; ++i) {
        field("an entry of the map", map_at + i * 4, 4, {1000, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffd}, Order::little);
    }
    cut_short({1, 64, 399, map_at, map_at + 8});
    EXPECT_GE(refused, 50);
}

// "Checksum": the ones' complement of the sum of all other bytes.
void seal_vhd(std::vector<uint8_t>& bytes, size_t at, size_t length, size_t sum_at) {
    store_be<uint32_t>(&bytes[at + sum_at], 0);
    uint32_t sum = 0;
    for (size_t i = at; i < at + length; ++i) {
        sum += bytes[i];
    }
    store_be<uint32_t>(&bytes[at + sum_at], ~sum);
}

TEST_F(HostileImport, Vhd_EveryLie_IsRefused) {
    SKIP_WITHOUT_QEMU_IMG();
    make("vpc -o force_size=on", ImageFormat::vhd);
    const size_t footer = good.size() - 512;
    const auto header = static_cast<size_t>(load_be<uint64_t>(&good[footer + 16]));
    const auto table = static_cast<size_t>(load_be<uint64_t>(&good[header + 16]));
    const auto seal_footer = [&](std::vector<uint8_t>& bytes) { seal_vhd(bytes, footer, 512, 64); };
    const auto seal_header = [&](std::vector<uint8_t>& bytes) { seal_vhd(bytes, header, 1024, 36); };
    const uint64_t size = good.size();
    field("checksum", footer + 64, 4, {0, 1, ~0U}, Order::big);
    field("type", footer + 60, 4, {0, 1, 4, 5, 6, 0x80000003, ~0U}, Order::big, seal_footer);
    field("size of the disk", footer + 48, 8, {0, uint64_t{3} << 40, uint64_t{1} << 51, uint64_t{1} << 63, ~uint64_t{0}}, Order::big, seal_footer);
    field("place of the header", footer + 16, 8, {0, 1, size, size - 1, size - 511, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}}, Order::big,
          seal_footer);
    field("header's name", header, 8, {0, ~uint64_t{0}}, Order::big, seal_header);
    field("header's checksum", header + 36, 4, {0, 1, ~0U}, Order::big);
    field("place of the table", header + 16, 8, {size, size - 1, size + 1, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}}, Order::big, seal_header);
    field("number of blocks", header + 28, 4, {0, 1, 1 << 25, ~0U}, Order::big, seal_header);
    field("size of a block", header + 32, 4, {0, 1, 511, 512, 2048, 3 << 20, ~0U}, Order::big, seal_header);
    for (size_t i = 0; i < 2; ++i) {
        field("an entry of the table", table + i * 4, 4, {size / 512, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe}, Order::big);
    }
    // The fixed kind: the file is shorter than its disk.
    std::vector<uint8_t> fixed(1 << 20);
    fixed.insert(fixed.end(), good.end() - 512, good.end());
    store_be<uint32_t>(&fixed[(1 << 20) + 60], 2);
    seal_vhd(fixed, 1 << 20, 512, 64);
    expect_refused(fixed, "a fixed disk that is not all there");
    cut_short({1, 511, 512, 1000});
    EXPECT_GE(refused, 50);
}

TEST_F(HostileImport, Vmdk_EveryLie_IsRefused) {
    SKIP_WITHOUT_QEMU_IMG();
    make("vmdk", ImageFormat::vmdk);
    const auto directory = static_cast<size_t>(load_le<uint64_t>(&good[56])) * 512;
    const auto table = static_cast<size_t>(load_le<uint32_t>(&good[directory])) * 512;
    const auto descriptor = static_cast<size_t>(load_le<uint64_t>(&good[28])) * 512;
    const uint64_t sectors = good.size() / 512;
    field("magic", 0, 4, {0, 1, ~0U, 0x56444b44}, Order::little);
    field("capacity", 12, 8, {0, uint64_t{1} << 39, (uint64_t{1} << 40) + 1, uint64_t{1} << 55, uint64_t{1} << 63, ~uint64_t{0}}, Order::little);
    field("size of a grain", 20, 8, {0, 1, 4, 7, 127, 129, 65536, uint64_t{1} << 33, uint64_t{1} << 55, uint64_t{1} << 63, ~uint64_t{0}}, Order::little);
    field("entries of a table", 44, 4, {0, 4097, 1 << 20, 0x80000000, ~0U}, Order::little);
    field("place of the directory", 56, 8, {sectors, sectors + 1, uint64_t{1} << 40, uint64_t{1} << 55, uint64_t{1} << 63, ~uint64_t{0}}, Order::little);
    field("an entry of the directory", directory, 4, {sectors, sectors + 1, 0x7fffffff, 0x80000000, ~0U}, Order::little);
    for (size_t i = 0; i < 4; ++i) {
        field("an entry of a table", table + i * 4, 4, {sectors + 1, 0x100000, 0x7fffffff, 0x80000000, ~0U}, Order::little);
    }
    std::vector<uint8_t> compressed = good;
    store_le<uint32_t>(&compressed[8], load_le<uint32_t>(&good[8]) | 1 << 16);
    for (const uint16_t how : {0, 2, 0xffff}) {
        store_le<uint16_t>(&compressed[77], how);
        expect_refused(compressed, "compressed by nobody knows what");
    }
    const std::string text(good.begin() + static_cast<ptrdiff_t>(descriptor), good.begin() + static_cast<ptrdiff_t>(descriptor + 1024));
    const size_t parent = text.find("parentCID=");
    ASSERT_NE(parent, std::string::npos);
    field("its parent", descriptor + parent + 10, 8, {0x3030303030303030, 0x3837363534333231}, Order::little);
    cut_short({1, 511, 512, directory, table});
    EXPECT_GE(refused, 50);
}

uint32_t crc32c(const uint8_t* bytes, size_t length) {
    uint32_t crc = ~0U;
    for (size_t i = 0; i < length; ++i) {
        crc ^= bytes[i];
        for (int n = 0; n < 8; ++n) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
    }
    return ~crc;
}

void seal_vhdx(std::vector<uint8_t>& bytes, size_t at, size_t length) {
    store_le<uint32_t>(&bytes[at + 4], 0);
    store_le<uint32_t>(&bytes[at + 4], crc32c(&bytes[at], length));
}

TEST_F(HostileImport, Vhdx_EveryLie_IsRefused) {
    SKIP_WITHOUT_QEMU_IMG();
    make("vhdx -o block_size=1048576", ImageFormat::vhdx);
    constexpr size_t k_first = 64 << 10, k_second = 128 << 10, k_regions = 192 << 10, k_copy = 256 << 10, k_table = 64 << 10;
    const auto both_headers = [&](size_t at, const std::vector<uint64_t>& values, bool sealed) {
        for (const uint64_t value : values) {
            bad = good;
            for (const size_t header : {k_first, k_second}) {
                put(bad, header + at, 8, value, Order::little);
                if (sealed) {
                    seal_vhdx(bad, header, 4096);
                }
            }
            expect_refused(bad, fmt::format("headers at {}: {:#x}", at, value));
        }
    };
    both_headers(0, {0, 1, 0x6461656a, ~uint64_t{0}}, false);
    both_headers(8, {0x1234567, ~uint64_t{0}}, false);
    both_headers(48, {1, 0xff00, uint64_t{1} << 63, ~uint64_t{0}}, true);  // a log that would have to be replayed
    const auto regions = [&](size_t at, unsigned width, const std::vector<uint64_t>& values) {
        for (const uint64_t value : values) {
            bad = good;
            for (const size_t table : {k_regions, k_copy}) {
                put(bad, table + at, width, value, Order::little);
                seal_vhdx(bad, table, k_table);
            }
            expect_refused(bad, fmt::format("regions at {}: {:#x}", at, value));
        }
    };
    const uint64_t size = good.size();
    regions(0, 4, {0, 0x69676572 + 1});
    regions(8, 4, {0, 1});
    for (const size_t entry : {16, 48}) {
        regions(entry, 8, {0, 1, ~uint64_t{0}});  // another region, which must be known
        regions(entry + 16, 8, {size + 1, uint64_t{1} << 50, uint64_t{1} << 63, ~uint64_t{0}});
        regions(entry + 24, 4, {0, ~0U});
    }
    const bool bat_first = good[k_regions + 16] == 0x66;
    const auto bat = static_cast<size_t>(load_le<uint64_t>(&good[k_regions + (bat_first ? 32 : 64)]));
    const auto metadata = static_cast<size_t>(load_le<uint64_t>(&good[k_regions + (bat_first ? 64 : 32)]));
    const auto item = [&](uint8_t first_byte) {
        for (size_t entry = metadata + 32;; entry += 32) {
            if (good[entry] == first_byte) {
                return metadata + load_le<uint32_t>(&good[entry + 16]);
            }
        }
    };
    field("metadata's name", metadata, 8, k_absurd, Order::little);
    field("number of items", metadata + 10, 2, {0, 1}, Order::little);
    field("size of a block", item(0x37), 4, {0, 1, 512, 1 << 19, 3 << 20, 1 << 29, ~0U}, Order::little);
    field("a parent", item(0x37) + 4, 4, {2, 3, ~0U}, Order::little);
    field("size of the disk", item(0x24), 8, {0, 513, uint64_t{1} << 47, uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 45}, Order::little);
    field("size of a sector", item(0x1d), 4, {0, 1, 520, 1024, 8192, ~0U}, Order::little);
    field("an entry of the table", bat, 8, {6, 6 | uint64_t{1} << 40, 6 | uint64_t{1} << 62, 4, 5, 7, 6 | (size + 0xfffff) >> 20 << 20}, Order::little);
    cut_short({1, 4096, k_first, k_second, k_regions, k_copy, 1 << 20});
    EXPECT_GE(refused, 50);
}

// --- names of further files ---

// Tells whether anybody opened the file.
class Watch {
  public:
    explicit Watch(const std::string& path) : m_fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
        EXPECT_GE(inotify_add_watch(m_fd.get(), path.c_str(), IN_OPEN | IN_ACCESS), 0);
    }
    [[nodiscard]] bool was_opened() const {
        std::array<char, 4096> events{};
        return read(m_fd.get(), events.data(), events.size()) > 0;
    }

  private:
    Fd m_fd;
};

TEST(HostileBacking, NamesOfAllKinds_AreRefusedAndNothingIsOpened) {
    const ScratchFolder bundle, elsewhere;
    const std::string secret = write_file(elsewhere.file("secret"), 1 << 20, 's');
    const std::string secret_folder = std::filesystem::path(secret).parent_path();
    std::filesystem::create_symlink(secret, bundle.file("link"));
    std::filesystem::create_symlink("link", bundle.file("link2"));
    std::filesystem::create_directory_symlink(secret_folder, bundle.file("folder"));
    std::filesystem::create_directory(bundle.file("disks"));
    const std::string up = "../" + std::filesystem::path(secret_folder).filename().string() + "/secret";
    std::vector<std::string> names{
        secret, "/" + secret, "/.." + secret, "/proc/self/root" + secret, "link", "./link", "link2", "folder/secret",
        "folder/../" + std::filesystem::path(secret_folder).filename().string() + "/secret", up, "./" + up, "disks/../" + up,
        "disks/../../" + std::filesystem::path(secret_folder).filename().string() + "/secret", "file:" + secret, "file://" + secret,
        "nbd://localhost/disk", "nbd:unix:/tmp/socket", "ssh://host/disk", "https://host/disk", "json:{\"file\":{\"filename\":\"" + secret + "\"}}",
        "json:{}", "fat:" + secret_folder, "host_device:" + secret, "blkdebug::" + secret, "null-co://", "raw:" + secret, "/dev/zero", "/dev/mem",
        "/dev/stdin", "/proc/self/mem", "/proc/self/exe", "/etc/passwd", "../../../../../../etc/shadow", "~/.ssh/id_rsa", "disks", ".", "..", "/",
        "", " ", "missing.raw", "\x1b[31mred", std::string(1000, 'a'), std::string(500, '/') + "etc/passwd", "%s%s%s%n", "top.qcow2"};
    const Watch watch(secret);
    const std::string top = bundle.file("top.qcow2");
    for (const std::string& name : names) {
        ASSERT_TRUE(make_overlay(top, name.empty() ? "x" : name)) << name;
        if (name.empty()) {  // a name of no bytes
            std::vector<uint8_t> bytes = file_bytes(top);
            store_be<uint32_t>(&bytes[16], 0);
            put_file(top, bytes);
        }
        for (const ImageAccess access : {ImageAccess::read_only, ImageAccess::read_write}) {
            const auto opened = open_image(top, quickly(in_folder(top, access)));
            ASSERT_FALSE(opened) << name;
            EXPECT_FALSE(opened.error().message.empty());
        }
    }
    EXPECT_FALSE(watch.was_opened()) << "the file outside was opened";
    // The rule's other side: inside the folder, and what the user has picked.
    write_file(bundle.file("disks/base.raw"), 1 << 20, 'b');
    for (const std::string& name : {std::string("disks/base.raw"), std::string("./disks/../disks/base.raw"), secret}) {
        ASSERT_TRUE(make_overlay(top, name));
        ImageOptions trusting = quickly(in_folder(top));
        trusting.backing.files = {secret};
        EXPECT_TRUE(open_image(top, trusting)) << name;
    }
    EXPECT_TRUE(watch.was_opened()) << "the watch sees nothing at all";
}

}  // namespace
}  // namespace skep::test
