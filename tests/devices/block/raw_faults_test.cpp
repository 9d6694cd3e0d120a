// SPDX-License-Identifier: GPL-3.0-or-later
// What the raw image does when the host fails it, over an engine that answers from a script.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/devices/block/block_fixture.hpp"

namespace skep::test {
namespace {

struct RawFaultsTest : testing::Test {
    std::vector<std::string> reports;
    ScriptedEngine* engine = nullptr;
    std::unique_ptr<RawImage> image;
    std::vector<uint8_t> data = std::vector<uint8_t>(4096);

    RawFaultsTest() {
        auto owned = std::make_unique<ScriptedEngine>();
        engine = owned.get();
        image = std::make_unique<RawImage>("disk.raw", BlockInfo{1 << 20, 512, false, true}, 1 << 20, Fd(),
                                           std::move(owned));
        image->set_on_no_space([this](const std::string& sentence) { reports.push_back(sentence); });
    }
    // Starts a write and says later how it ended.
    std::shared_ptr<std::promise<BlockStatus>> start_write(uint64_t offset) {
        auto promise = std::make_shared<std::promise<BlockStatus>>();
        BlockRequest request = transfer(BlockOp::write, offset, data);
        request.done = [promise](BlockStatus status) { promise->set_value(status); };
        image->submit(std::move(request));
        return promise;
    }
};

TEST_F(RawFaultsTest, ShortTransfers_Resumed_AtTheRightPlace) {
    engine->answer({512, -EINTR, 3584});
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::write, 8192, data)), BlockStatus::ok);
    image->drain();
    ASSERT_EQ(engine->started.size(), 3U);
    EXPECT_EQ(engine->started[1].offset, 8192U + 512);
    EXPECT_EQ(engine->started[2].offset, 8192U + 512);
}

TEST_F(RawFaultsTest, Cancelled_SubmittersThreadEnded_IsIssuedAgain) {
    engine->answer({-ECANCELED, 4096, -ECANCELED, 0});
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::write, 8192, data)), BlockStatus::ok);
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::ok);
    image->drain();
    EXPECT_EQ(engine->started.size(), 4U);
}

TEST_F(RawFaultsTest, NoSpace_Write_IsHeldReportedOnceAndRetried) {
    for (const int error : {ENOSPC, EDQUOT}) {
        reports.clear();
        engine->answer({1024, -error, -error});
        const auto first = start_write(0);
        const auto second = start_write(65536);
        image->drain();
        ASSERT_EQ(reports.size(), 1U);
        EXPECT_NE(reports[0].find("disk.raw cannot grow"), std::string::npos);
        std::future<BlockStatus> one = first->get_future();
        EXPECT_EQ(one.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
        engine->answer({4096, 4096});
        engine->started.clear();
        image->retry();
        image->drain();
        EXPECT_EQ(second->get_future().get(), BlockStatus::ok);
        EXPECT_EQ(one.get(), BlockStatus::ok);
        EXPECT_EQ(engine->started.size(), 2U);
    }
}

TEST_F(RawFaultsTest, NoSpaceAgain_AfterRetry_IsReportedAgain) {
    engine->answer({-ENOSPC, -ENOSPC, 4096});
    const auto write = start_write(0);
    image->drain();
    image->retry();
    image->drain();
    EXPECT_EQ(reports.size(), 2U);
    image->retry();
    EXPECT_EQ(write->get_future().get(), BlockStatus::ok);
}

TEST_F(RawFaultsTest, CancelHeld_HeldWrite_CompletesWithNoSpaceAndNeverWrites) {
    engine->answer({-ENOSPC});
    const auto write = start_write(0);
    image->drain();
    engine->started.clear();
    image->cancel_held();
    EXPECT_EQ(write->get_future().get(), BlockStatus::no_space);
    image->retry();
    image->drain();
    EXPECT_TRUE(engine->started.empty());
}

TEST_F(RawFaultsTest, Destroyed_HeldWrite_IsCompletedWithNoSpace) {
    engine->answer({-ENOSPC});
    const auto write = start_write(0);
    image->drain();
    image.reset();
    EXPECT_EQ(write->get_future().get(), BlockStatus::no_space);
}

TEST_F(RawFaultsTest, FailedSync_EveryLaterWriteAndFlush_FailsForEver) {
    engine->answer({-EIO});
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::io_error);
    image->drain();
    engine->started.clear();
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::write, 0, data)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, simple(BlockOp::discard, 0, 512)), BlockStatus::io_error);
    image->drain();
    EXPECT_TRUE(engine->started.empty()) << "the host is not asked again";
    engine->answer({4096});
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, 0, data)), BlockStatus::ok);
}

TEST_F(RawFaultsTest, NoSpaceFromSync_IsFinalToo) {
    engine->answer({-ENOSPC});
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::io_error);
    EXPECT_TRUE(reports.empty());
    EXPECT_EQ(carry_out(*image, simple(BlockOp::flush)), BlockStatus::io_error);
}

TEST_F(RawFaultsTest, ReadError_IsReportedAndDoesNotPoison) {
    engine->answer({-EIO, 4096});
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, 0, data)), BlockStatus::io_error);
    EXPECT_EQ(carry_out(*image, transfer(BlockOp::read, 0, data)), BlockStatus::ok);
}

TEST_F(RawFaultsTest, DurableWrite_WhereRefused_IsWrittenAndSynced) {
    engine->answer({-EOPNOTSUPP, 4096, 0});
    BlockRequest request = transfer(BlockOp::write, 0, data);
    request.durability = Durability::through;
    EXPECT_EQ(carry_out(*image, std::move(request)), BlockStatus::ok);
    image->drain();
    ASSERT_EQ(engine->started.size(), 3U);
    EXPECT_EQ(engine->started[0].kind, FileOpKind::write_through);
    EXPECT_EQ(engine->started[1].kind, FileOpKind::write);
    EXPECT_EQ(engine->started[2].kind, FileOpKind::sync);
}

TEST_F(RawFaultsTest, WriteZeroes_WhereRefused_WritesZerosInChunks) {
    engine->answer({-EOPNOTSUPP, 65536, 65536});
    EXPECT_EQ(carry_out(*image, simple(BlockOp::write_zeroes, 0, 131072)), BlockStatus::ok);
    image->drain();
    ASSERT_EQ(engine->started.size(), 3U);
    EXPECT_EQ(engine->started[2].offset, 65536U);
    EXPECT_EQ(engine->started[2].kind, FileOpKind::write);
}

TEST_F(RawFaultsTest, Discard_WhereRefused_IsUnsupported) {
    engine->answer({-EOPNOTSUPP});
    EXPECT_EQ(carry_out(*image, simple(BlockOp::discard, 0, 4096)), BlockStatus::unsupported);
}

}  // namespace
}  // namespace skep::test
