// SPDX-License-Identifier: GPL-3.0-or-later
// The log of what happens to a disk, and what follows from it for a power cut.
#include "devices/block/disk_recorder.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "tests/devices/block/block_fixture.hpp"
#include "tests/power_cuts/disk_history.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_bytes = 64 << 10;

struct DiskRecorderTest : testing::Test {
    ScratchFolder folder;
    std::string log = folder.file("log");

    static BlockStatus write(BlockBackend& disk, uint64_t sector, uint8_t value, size_t sectors = 1) {
        std::vector<uint8_t> bytes(sectors * 512, value);
        return carry_out(disk, transfer(BlockOp::write, sector * 512, bytes));
    }
    // A guest's two sectors: flushed, and written since.
    Recording recorded() {
        const std::string path = folder.file("disk.raw");
        EXPECT_TRUE(create_raw_image(path, k_bytes));
        auto recorder = DiskRecorder::create(log);
        EXPECT_TRUE(recorder);
        const uint32_t number = (*recorder)->add_disk("disk0");
        auto raw = RawImage::open(path);
        EXPECT_TRUE(raw);
        const auto disk = record_disk(*raw, *recorder, number);
        EXPECT_EQ(write(*disk, 3, 0x11), BlockStatus::ok);
        EXPECT_EQ(carry_out(*disk, simple(BlockOp::flush)), BlockStatus::ok);
        EXPECT_EQ(write(*disk, 3, 0x22), BlockStatus::ok);
        EXPECT_EQ(write(*disk, 5, 0x33, 2), BlockStatus::ok);
        auto recording = Recording::load(log);
        EXPECT_TRUE(recording) << recording.error().message;
        return std::move(*recording);
    }
    static DiskHistory history_of(const Recording& recording, Flushes flushes) {
        DiskHistory history(std::vector<uint8_t>(k_bytes), flushes);
        for (const RecordedEvent& event : recording.events) {
            const RecordedRequest& request = recording.requests[event.request];
            event.began ? history.began(event.request, request) : history.ended(event.request, request);
        }
        return history;
    }
};

TEST_F(DiskRecorderTest, GuestsRequests_AreInTheLog_InTheirOrder) {
    const Recording recording = recorded();
    EXPECT_EQ(recording.disks.at("disk0"), 0U);
    ASSERT_EQ(recording.requests.size(), 4U);
    EXPECT_EQ(recording.events.size(), 8U);
    EXPECT_EQ(recording.requests[1].action, DiskAction::flush);
    EXPECT_EQ(recording.requests[3].offset, 5 * 512U);
    EXPECT_EQ(recording.requests[3].length, 1024U);
    EXPECT_EQ(recording.requests[3].data[1023], 0x33);
}

TEST_F(DiskRecorderTest, LogThatEndsInTheMiddle_IsReadUpToThere) {
    (void)recorded();
    std::filesystem::resize_file(log, std::filesystem::file_size(log) - sizeof(DiskRecord) - 100);
    const auto recording = Recording::load(log);
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->requests.size(), 3U);
}

TEST_F(DiskRecorderTest, LogThatIsThere_IsNotOverwritten) {
    (void)recorded();
    const auto again = DiskRecorder::create(log);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, ErrorKind::in_use);
}

TEST_F(DiskRecorderTest, PowerCut_KeepsWhatWasFlushed_AndAnyPartOfTheRest) {
    const Recording recording = recorded();
    DiskHistory history = history_of(recording, Flushes::are_true);
    std::mt19937 random(1);
    std::set<std::vector<uint8_t>> seen;  // first bytes of the sectors 3, 5, 6
    for (int i = 0; i < 200; ++i) {
        const DiskHistory::Cut cut = history.cut(random, DiskHistory::k_sector);
        seen.insert({cut.bytes[3 * 512], cut.bytes[5 * 512], cut.bytes[6 * 512]});
        EXPECT_EQ(cut.lost + cut.kept, 3U);
        EXPECT_EQ(history.wrong_sector(cut.bytes, history.pieces(DiskHistory::Pieces::all)), -1);
        history.end_cut();
    }
    EXPECT_EQ(seen.size(), 8U);  // each sector for itself
    for (const auto& bytes : seen) {
        EXPECT_TRUE(bytes[0] == 0x11 || bytes[0] == 0x22) << "what was flushed is lost";
    }
}

TEST_F(DiskRecorderTest, SectorThatNobodyWrote_IsFoundWrong) {
    const Recording recording = recorded();
    const DiskHistory history = history_of(recording, Flushes::are_true);
    std::vector<uint8_t> disk(k_bytes);
    EXPECT_EQ(history.wrong_sector(disk, history.pieces(DiskHistory::Pieces::all)), 3) << "zeros where 0x11 was flushed";
    std::memset(&disk[3 * 512], 0x22, 512);
    disk[100 * 512] = 1;
    EXPECT_EQ(history.wrong_sector(disk, history.pieces(DiskHistory::Pieces::all)), 100);
}

}  // namespace
}  // namespace skep::test
