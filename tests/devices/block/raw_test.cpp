// SPDX-License-Identifier: GPL-3.0-or-later
// The raw image over real files, with io_uring and with threads.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/devices/block/block_fixture.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_size = 4 << 20;

struct RawImageTest : testing::TestWithParam<IoMethod> {
    ScratchFolder folder;
    std::string path = folder.file("disk.raw");
    std::shared_ptr<RawImage> image;

    void SetUp() override {
        ASSERT_TRUE(create_raw_image(path, k_size));
        auto opened = RawImage::open(path, {.method = GetParam()});
        if (!opened && opened.error().kind == ErrorKind::unsupported) {
            GTEST_SKIP() << opened.error().message;
        }
        ASSERT_TRUE(opened) << opened.error().message;
        image = *opened;
    }
};

INSTANTIATE_TEST_SUITE_P(Methods, RawImageTest, testing::Values(IoMethod::uring, IoMethod::threads),
                         [](const auto& about) { return about.param == IoMethod::uring ? "uring" : "threads"; });

TEST_P(RawImageTest, Info_NewImage_HasSizeAndIsSparse) {
    EXPECT_EQ(image->info().size, k_size);
    EXPECT_FALSE(image->info().read_only);
    EXPECT_TRUE(image->info().can_discard);
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_LT(status.st_blocks * 512, 65536);
}

TEST_P(RawImageTest, WriteThenRead_ScatteredBuffers_ReturnsTheSame) {
    std::vector<uint8_t> out(12288);
    std::iota(out.begin(), out.end(), uint8_t{3});
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::write, 8192, out)), BlockStatus::ok);
    std::vector<uint8_t> in(12288);
    BlockRequest request;
    request.offset = 8192;
    request.buffers = {{in.data(), 512}, {in.data() + 512, 1}, {in.data() + 513, 11775}};
    EXPECT_EQ(carry_out(*image, std::move(request)), BlockStatus::ok);
    EXPECT_EQ(in, out);
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::ok);
}

TEST_P(RawImageTest, WriteThrough_Fua_IsWritten) {
    std::vector<uint8_t> out(512, 0x77);
    BlockRequest request = transfer(BlockOp::write, 0, out);
    request.durability = Durability::through;
    EXPECT_EQ(carry_out(*image, std::move(request)), BlockStatus::ok);
    std::vector<uint8_t> in(512);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, 0, in)), BlockStatus::ok);
    EXPECT_EQ(in, out);
}

TEST_P(RawImageTest, DiscardAndWriteZeroes_WrittenBlocks_ReadAsZeros) {
    for (const BlockOp op : {BlockOp::discard, BlockOp::write_zeroes}) {
        for (const bool unmap : {true, false}) {
            std::vector<uint8_t> data(65536, 0xaa);
            ASSERT_EQ(carry_out(*image, transfer(BlockOp::write, 65536, data)), BlockStatus::ok);
            BlockRequest request = simple(op, 65536, 32768);
            request.may_unmap = unmap;
            request.durability = Durability::through;
            ASSERT_EQ(carry_out(*image, std::move(request)), BlockStatus::ok);
            ASSERT_EQ(carry_out(*image, transfer(BlockOp::read, 65536, data)), BlockStatus::ok);
            EXPECT_EQ(data[0], 0);
            EXPECT_EQ(data[32767], 0);
            EXPECT_EQ(data[32768], 0xaa);
        }
    }
    EXPECT_EQ(image->info().size, std::filesystem::file_size(path));
}

TEST_P(RawImageTest, Request_BeyondTheEnd_IsAnError) {
    std::vector<uint8_t> data(1024);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, k_size - 512, data)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::write, ~uint64_t{511}, data)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, simple(BlockOp::discard, 512, ~uint64_t{0})), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, simple(BlockOp::discard, k_size, 0)), BlockStatus::ok);
}

TEST_P(RawImageTest, Read_FileShrunkUnderneath_IsAnError) {
    std::filesystem::resize_file(path, 4096);
    std::vector<uint8_t> data(8192);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, 0, data)), BlockStatus::io_error);
}

TEST_P(RawImageTest, ManyRequests_FromFourThreads_AllLandAndDrainWaits) {
    constexpr unsigned k_each = 150;
    std::atomic<unsigned> done{0};
    std::vector<std::vector<uint8_t>> buffers(4 * k_each);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = 0; i < k_each; ++i) {
                const unsigned n = t * k_each + i;
                buffers[n].assign(4096, static_cast<uint8_t>(n * 7));
                BlockRequest request = transfer(BlockOp::write, uint64_t{n} * 4096, buffers[n]);
                request.done = [&done](BlockStatus status) { done += status == BlockStatus::ok ? 1 : 0; };
                image->submit(std::move(request));
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    image->drain();
    EXPECT_EQ(done, 4 * k_each);
    for (unsigned n = 0; n < 4 * k_each; n += 37) {
        std::vector<uint8_t> in(4096);
        ASSERT_EQ(carry_out(*image, transfer(BlockOp::read, uint64_t{n} * 4096, in)), BlockStatus::ok);
        EXPECT_EQ(in, buffers[n]);
    }
}

TEST_P(RawImageTest, Destroyed_WithRequestsInFlight_CompletesThemAll) {
    std::atomic<unsigned> done{0};
    std::vector<uint8_t> data(65536, 1);
    for (unsigned i = 0; i < 32; ++i) {
        BlockRequest request = transfer(BlockOp::write, i * 65536, data);
        request.done = [&done](BlockStatus) { ++done; };
        image->submit(std::move(request));
    }
    image.reset();
    EXPECT_EQ(done, 32U);
}

struct RawOpenTest : testing::Test {
    ScratchFolder folder;
    static ErrorKind kind_of(const Result<std::shared_ptr<RawImage>>& result) {
        EXPECT_FALSE(result);
        return result ? ErrorKind::io : result.error().kind;
    }
};

TEST_F(RawOpenTest, BadFiles_EachKind_HasItsSentence) {
    EXPECT_EQ(kind_of(RawImage::open(folder.file("none"))), ErrorKind::not_found);
    EXPECT_EQ(kind_of(RawImage::open(folder.file(""))), ErrorKind::invalid_input);
    EXPECT_EQ(kind_of(RawImage::open(folder.file(""), {.access = ImageAccess::read_only})), ErrorKind::invalid_input);
    EXPECT_EQ(kind_of(RawImage::open(write_file(folder.file("empty"), 0, 'x'))), ErrorKind::invalid_input);
    EXPECT_EQ(kind_of(RawImage::open(write_file(folder.file("odd"), 1000, 'x'))), ErrorKind::invalid_input);
    EXPECT_EQ(kind_of(RawImage::open("/dev/null")), ErrorKind::invalid_input);
    const auto missing = RawImage::open(folder.file("none"));
    EXPECT_NE(missing.error().message.find("none does not exist"), std::string::npos);
}

TEST_F(RawOpenTest, Fifo_InPlaceOfAnImage_DoesNotHang) {
    const std::string path = folder.file("pipe");
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(kind_of(RawImage::open(path, {.access = ImageAccess::read_only})), ErrorKind::invalid_input);
}

TEST_F(RawOpenTest, Locks_WriterAndReaders_ExcludeEachOther) {
    const std::string path = write_file(folder.file("disk"), 4096, 'x');
    auto writer = RawImage::open(path);
    ASSERT_TRUE(writer);
    EXPECT_EQ(kind_of(RawImage::open(path)), ErrorKind::in_use);
    EXPECT_EQ(kind_of(RawImage::open(path, {.access = ImageAccess::read_only})), ErrorKind::in_use);
    EXPECT_NE(RawImage::open(path).error().message.find("is in use by another process"), std::string::npos);
    writer->reset();
    auto reader = RawImage::open(path, {.access = ImageAccess::read_only});
    ASSERT_TRUE(reader);
    EXPECT_TRUE(RawImage::open(path, {.access = ImageAccess::read_only})) << "readers share";
    EXPECT_EQ(kind_of(RawImage::open(path)), ErrorKind::in_use);
}

TEST_F(RawOpenTest, ReadOnly_OddTail_IsRoundedUpWithZerosAndRefusesWrites) {
    const std::string path = write_file(folder.file("cd.iso"), 2048 + 100, 'x');
    auto cd = RawImage::open(path, {.access = ImageAccess::read_only, .block_size = 2048});
    ASSERT_TRUE(cd);
    EXPECT_EQ((*cd)->info().size, 4096U);
    EXPECT_TRUE((*cd)->info().read_only);
    std::vector<uint8_t> data(4096, 0x55);
    EXPECT_EQ(carry_out(**cd, transfer(BlockOp::read, 0, data)), BlockStatus::ok);
    EXPECT_EQ(data[2147], 'x');
    EXPECT_EQ(data[2148], 0);
    EXPECT_EQ(data[4095], 0);
    EXPECT_EQ(carry_out(**cd, transfer(BlockOp::write, 0, data)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(**cd, simple(BlockOp::discard, 0, 2048)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(**cd, simple(BlockOp::flush)), BlockStatus::ok);
}

TEST_F(RawOpenTest, Create_ExistingOrOddSize_IsRefusedAndNothingLost) {
    const std::string path = write_file(folder.file("disk"), 512, 'k');
    EXPECT_EQ(create_raw_image(path, 1024).error().kind, ErrorKind::in_use);
    EXPECT_EQ(std::filesystem::file_size(path), 512U);
    EXPECT_EQ(create_raw_image(folder.file("odd"), 1000).error().kind, ErrorKind::invalid_input);
    EXPECT_FALSE(std::filesystem::exists(folder.file("odd")));
}

TEST_P(RawImageTest, Grow_WhileOpen_OldBytesAndZeros) {
    const std::string other = write_file(folder.file("grow.raw"), 8192, 'a');
    auto grown = RawImage::open(other, {.method = GetParam()});
    ASSERT_TRUE(grown);
    EXPECT_EQ((*grown)->grow(8192).error().kind, ErrorKind::invalid_input);
    EXPECT_EQ((*grown)->grow(12288 + 1).error().kind, ErrorKind::invalid_input);
    ASSERT_TRUE((*grown)->grow(12288));
    EXPECT_EQ((*grown)->info().size, 12288U);
    std::vector<uint8_t> data(8192);
    EXPECT_EQ(carry_out(**grown, transfer(BlockOp::read, 4096, data)), BlockStatus::ok);
    EXPECT_EQ(data[4095], 'a');
    EXPECT_EQ(data[4096], 0);
    EXPECT_EQ(carry_out(**grown, transfer(BlockOp::write, 4096, data)), BlockStatus::ok);
    EXPECT_EQ(std::filesystem::file_size(other), 12288U);
}

}  // namespace
}  // namespace skep::test
