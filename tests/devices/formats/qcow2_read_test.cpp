// SPDX-License-Identifier: GPL-3.0-or-later
// Images that qemu-img wrote, read by us: every byte the same.
#include "tests/devices/formats/formats_fixture.hpp"

namespace skep::test {
namespace {

constexpr size_t k_size = (9 << 20) + 512;

struct Qcow2ReadTest : testing::TestWithParam<const char*> {
    ScratchFolder folder;
    std::string raw = folder.file("source.raw");
    std::string image = folder.file("image.qcow2");
    std::vector<uint8_t> content = random_disk(k_size, 7);
};

TEST_P(Qcow2ReadTest, WrittenByQemuImg_Read_IsTheSame) {
    SKIP_WITHOUT_QEMU_IMG();
    put_file(raw, content);
    ASSERT_EQ(shell("qemu-img convert -f raw -O qcow2 " + std::string(GetParam()) + " " + raw + " " + image), 0);
    auto opened = open_image(image, in_folder(image, ImageAccess::read_only));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->info().size, k_size);
    EXPECT_TRUE((*opened)->info().read_only);
    EXPECT_EQ(read_all(**opened), content);
    EXPECT_EQ(read_all(**opened, 512 * 77), content);
    opened->reset();
    const Qcow2Check report = check(image);
    EXPECT_EQ(report.leaks + report.errors, 0U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Qcow2ReadTest,
                         testing::Values("", "-o compat=0.10", "-o cluster_size=512", "-o cluster_size=2M", "-c",
                                         "-c -o compression_type=zstd", "-c -o cluster_size=4k", "-o refcount_bits=1",
                                         "-o refcount_bits=64,cluster_size=512", "-o preallocation=metadata"));

TEST(Qcow2Chain, OverlayOfOverlay_Read_IsEveryLayersNewest) {
    SKIP_WITHOUT_QEMU_IMG();
    const ScratchFolder folder;
    std::vector<uint8_t> content = random_disk(4 << 20, 3);
    put_file(folder.file("base.raw"), content);
    ASSERT_EQ(shell("cd " + folder.file("") + " && qemu-img create -f qcow2 -b base.raw -F raw middle.qcow2"), 0);
    // Larger than its base: what is beyond reads as zeros.
    ASSERT_EQ(shell("cd " + folder.file("") + " && qemu-img create -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 6M"), 0);
    ASSERT_EQ(shell("cd " + folder.file("") + " && qemu-io -c 'write -P 0x11 1M 300k' middle.qcow2"), 0);
    ASSERT_EQ(shell("cd " + folder.file("") + " && qemu-io -c 'write -P 0x22 1100k 5k' -c 'write -z 2M 1M' top.qcow2"), 0);
    std::fill_n(content.begin() + (1 << 20), 300 << 10, 0x11);
    std::fill_n(content.begin() + (1100 << 10), 5 << 10, 0x22);
    std::fill_n(content.begin() + (2 << 20), 1 << 20, 0);
    content.resize(6 << 20);
    const std::string top = folder.file("top.qcow2");
    auto opened = open_image(top, in_folder(top));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(read_all(**opened, 512 * 301), content);
}

TEST(Qcow2Chain, InternalSnapshot_WrittenOver_StaysAsItWas) {
    SKIP_WITHOUT_QEMU_IMG();
    const ScratchFolder folder;
    const std::string image = folder.file("image.qcow2");
    ASSERT_EQ(shell("qemu-img create -f qcow2 " + image + " 4M && qemu-io -c 'write -P 1 0 3M' " + image +
                    " && qemu-img snapshot -c one " + image), 0);
    {
        auto opened = open_image(image, in_folder(image));
        ASSERT_TRUE(opened) << opened.error().message;
        std::vector<uint8_t> data(1 << 20, 2);
        EXPECT_EQ(carry_out(**opened, transfer(BlockOp::write, 1000 * 512, data)), BlockStatus::ok);
        EXPECT_EQ(carry_out(**opened, simple(BlockOp::discard, 2 << 20, 1 << 20)), BlockStatus::ok);
        EXPECT_EQ(carry_out(**opened, simple(BlockOp::flush)), BlockStatus::ok);
    }
    const Qcow2Check report = check(image);
    EXPECT_EQ(report.leaks + report.errors, 0U);
    EXPECT_EQ(shell("qemu-img check " + image), 0);
    EXPECT_EQ(shell("qemu-io -c 'read -P 2 500k 1M' " + image), 0);
    EXPECT_EQ(shell("qemu-img snapshot -a one " + image + " && qemu-io -c 'read -P 1 0 3M' " + image), 0);
    EXPECT_EQ(check(image).errors, 0U);
}

}  // namespace
}  // namespace skep::test
