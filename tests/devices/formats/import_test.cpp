// SPDX-License-Identifier: GPL-3.0-or-later
// Images of other programs, made by qemu-img, read by us; and conversions there and back.
#include <map>

#include "devices/formats/image_tools.hpp"
#include "tests/devices/formats/formats_fixture.hpp"

namespace skep::test {
namespace {

constexpr size_t k_size = 9 << 20;

struct ImportTest : testing::TestWithParam<const char*> {
    ScratchFolder folder;
    inline static const std::vector<uint8_t> content = random_disk(k_size, 21);
    void put_source() const { put_file(folder.file("source.raw"), content); }
    // Each kind is made once.
    std::string make() {
        static std::map<std::string, std::vector<uint8_t>> made;
        const std::string image = folder.file("image.other");
        std::vector<uint8_t>& bytes = made[GetParam()];
        if (!bytes.empty()) {
            put_file(image, bytes);
            return image;
        }
        put_source();
        EXPECT_EQ(shell("qemu-img convert -f raw -O " + std::string(GetParam()) + " " + folder.file("source.raw") + " " + image), 0);
        bytes = file_bytes(image);
        return image;
    }
};

void read_or_refused(const std::string& path, std::mt19937& random) {
    const auto opened = open_image(path, quickly(in_folder(path, ImageAccess::read_only)));
    if (!opened) {
        EXPECT_FALSE(opened.error().message.empty());
        return;
    }
    std::vector<uint8_t> some(64 << 10);
    for (int at = 0; at < 4; ++at) {
        const uint64_t most = (*opened)->info().size;
        const uint64_t offset = most <= some.size() ? 0 : random() % (most - some.size()) / 512 * 512;
        static_cast<void>(carry_out(**opened, transfer(BlockOp::read, offset, some)));
    }
}

// VHD rounds a disk up to what cylinders, heads and sectors can say.
void expect_same(const std::vector<uint8_t>& got, const std::vector<uint8_t>& wanted) {
    ASSERT_GE(got.size(), wanted.size());
    const auto rest = got.begin() + static_cast<ptrdiff_t>(wanted.size());
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), got.begin()));
    EXPECT_TRUE(std::all_of(rest, got.end(), [](uint8_t byte) { return byte == 0; }));
}

TEST_P(ImportTest, MadeByQemuImg_Read_IsTheSame) {
    SKIP_WITHOUT_QEMU_IMG();
    const std::string image = make();
    auto opened = open_image(image, in_folder(image, ImageAccess::read_only));
    ASSERT_TRUE(opened) << opened.error().message;
    expect_same(read_all(**opened, 512 * 1001), content);
    opened->reset();
    EXPECT_EQ(open_image(image, in_folder(image)).error().kind, ErrorKind::unsupported);
}

TEST_P(ImportTest, Converted_ToQcow2AndRaw_IsTheSame) {
    SKIP_WITHOUT_QEMU_IMG();
    const std::string image = make();
    put_source();
    for (const ImageFormat format : {ImageFormat::qcow2, ImageFormat::raw}) {
        const std::string target = folder.file("new." + std::string(to_text(format)));
        const Status done = convert_image(image, in_folder(image), target, format);
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_EQ(shell("qemu-img compare -F " + std::string(to_text(format)) + " -f raw " + folder.file("source.raw") + " " + target), 0);
        EXPECT_EQ(convert_image(image, in_folder(image), target, format).error().kind, ErrorKind::in_use);
    }
}

// Bytes of a file in place, put back at the end.
class Damage {
  public:
    Damage(const std::string& path, const std::vector<uint8_t>& good) : m_file(path, std::ios::binary | std::ios::in | std::ios::out), m_good(good) {}
    ~Damage() {
        for (const size_t where : m_places) {
            put(where, m_good[where]);
        }
    }
    void change(size_t where, uint8_t value) {
        put(where, value);
        m_places.push_back(where);
    }

  private:
    void put(size_t where, uint8_t value) {
        m_file.seekp(static_cast<std::streamoff>(where));
        m_file.put(static_cast<char>(value));
        m_file.flush();
    }
    std::fstream m_file;
    const std::vector<uint8_t>& m_good;
    std::vector<size_t> m_places;
};

// A file that was cut short gets its end back; what is left of it is right.
void put_rest(const std::string& path, const std::vector<uint8_t>& good) {
    const size_t left = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, good.size());
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const size_t at = std::min(left, good.size());
    file.seekp(static_cast<std::streamoff>(at));
    file.write(reinterpret_cast<const char*>(good.data() + at), static_cast<std::streamsize>(good.size() - at));
}

TEST_P(ImportTest, AnyByteChanged_IsReadOrRefused) {
    SKIP_WITHOUT_QEMU_IMG();
    const std::string image = make();
    const std::vector<uint8_t> good = file_bytes(image);
    std::mt19937 random(4);
    for (int i = 0; i < 60; ++i) {
        const bool shorter = i % 4 == 3;
        {
            Damage damage(image, good);
            for (int change = 0; change < 4; ++change) {
                const size_t where = random() % 3 == 0 ? good.size() - 1 - random() % 1536 : random() % std::min<size_t>(good.size(), 4096);
                damage.change(where, static_cast<uint8_t>(random()));
            }
            if (shorter) {
                std::filesystem::resize_file(image, 1 + random() % good.size());
            }
            read_or_refused(image, random);
        }
        if (shorter) {
            put_rest(image, good);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, ImportTest,
                         testing::Values("vmdk -o subformat=monolithicSparse", "vmdk -o subformat=streamOptimized", "vdi",
                                         "vdi -o static=on", "vpc -o force_size=on", "vpc -o subformat=fixed,force_size=on", "vpc",
                                         "vhdx", "vhdx -o subformat=fixed"));

TEST(ImageTools, Overlay_Committed_BaseHasEverything) {
    const ScratchFolder folder;
    const std::vector<uint8_t> base = random_disk(4 << 20, 5);
    std::vector<uint8_t> wanted = base;
    put_file(folder.file("base.raw"), base);
    const std::string top = folder.file("top.qcow2");
    Qcow2CreateOptions options;
    options.size = base.size();
    options.backing_file = "base.raw";
    options.backing_format = "raw";
    ASSERT_TRUE(create_qcow2_image(top, options));
    {
        auto opened = open_image(top, in_folder(top));
        ASSERT_TRUE(opened) << opened.error().message;
        std::vector<uint8_t> data(300 << 10, 0x5a);
        EXPECT_EQ(carry_out(**opened, transfer(BlockOp::write, 512 * 99, data)), BlockStatus::ok);
        EXPECT_EQ(carry_out(**opened, simple(BlockOp::write_zeroes, 1 << 20, 2 << 20)), BlockStatus::ok);
        std::copy(data.begin(), data.end(), wanted.begin() + 512 * 99);
        std::fill_n(wanted.begin() + (1 << 20), 2 << 20, 0);
    }
    const Status done = commit_image(top, in_folder(top).backing);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(file_bytes(folder.file("base.raw")) == wanted);
    auto opened = open_image(top, in_folder(top, ImageAccess::read_only));
    ASSERT_TRUE(opened);
    EXPECT_TRUE(read_all(**opened) == wanted);
}

TEST(ImageTools, Resized_Qcow2WithSmallClusters_OldContentAndZeros) {
    const ScratchFolder folder;
    const std::string path = folder.file("disk.qcow2");
    std::vector<uint8_t> content = random_disk(1 << 20, 2);
    Qcow2CreateOptions options;
    options.size = content.size();
    options.cluster_bits = 9;
    ASSERT_TRUE(create_qcow2_image(path, options));
    {
        auto opened = open_image(path, in_folder(path));
        ASSERT_TRUE(opened);
        EXPECT_EQ(carry_out(**opened, transfer(BlockOp::write, 0, content)), BlockStatus::ok);
    }
    EXPECT_EQ(resize_image(path, ImageFormat::qcow2, 1 << 19).error().kind, ErrorKind::invalid_input);
    const Status grown = resize_image(path, ImageFormat::qcow2, 8 << 20);
    ASSERT_TRUE(grown) << grown.error().message;
    content.resize(8 << 20);
    {
        auto opened = open_image(path, in_folder(path));
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_TRUE(read_all(**opened) == content);
        std::vector<uint8_t> data(4 << 20, 7);
        EXPECT_EQ(carry_out(**opened, transfer(BlockOp::write, 3 << 20, data)), BlockStatus::ok);
    }
    const Qcow2Check report = check(path);
    EXPECT_EQ(report.leaks + report.errors, 0U);
    if (has_qemu_img()) {
        EXPECT_EQ(shell("qemu-img check " + path), 0);
    }
}

TEST(ImageTools, Convert_Stopped_LeavesNothing) {
    const ScratchFolder folder;
    put_file(folder.file("a.raw"), random_disk(8 << 20, 1));
    const Status done = convert_image(folder.file("a.raw"), {}, folder.file("b.qcow2"), ImageFormat::qcow2, [](double) { return false; });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::cancelled);
    EXPECT_FALSE(std::filesystem::exists(folder.file("b.qcow2")));
}

}  // namespace
}  // namespace skep::test
