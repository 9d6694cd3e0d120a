// SPDX-License-Identifier: GPL-3.0-or-later
// What a disk's owner decided about writes and discards holds whatever the guest asks for.
#include "devices/block/ruled_disk.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "tests/support/memory_block.hpp"

namespace skep {
namespace {

// Keeps what it was asked for.
class Witness final : public BlockBackend {
  public:
    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override {
        seen = {.op = request.op, .length = request.length, .buffers = {}, .durability = request.durability,
                .may_unmap = request.may_unmap, .done = {}};
        m_memory.submit(std::move(request));
    }
    void drain() override { m_memory.drain(); }
    void set_on_no_space(std::function<void(const std::string&)> report) override { m_memory.set_on_no_space(std::move(report)); }
    void retry() override { m_memory.retry(); }
    void cancel_held() override { m_memory.cancel_held(); }
    Status grow(uint64_t size) override {
        m_info.size = size;
        return {};
    }

    BlockRequest seen;

  private:
    BlockInfo m_info = {.size = 1 << 20, .can_discard = true};
    test::MemoryBlock m_memory{1 << 20};
};

class RuledDiskTest : public testing::Test {
  protected:
    // The status, which may not be there before the disk has run.
    BlockStatus carry_out(BlockBackend& disk, BlockOp op, uint64_t length = 0) {
        std::optional<BlockStatus> status;
        disk.submit({.op = op, .length = length, .buffers = {}, .done = [&](BlockStatus came) { status = came; }});
        EXPECT_FALSE(status) << "completed inside submit()";
        disk.drain();
        return status.value_or(BlockStatus::io_error);
    }
    std::shared_ptr<Witness> m_below = std::make_shared<Witness>();
};

TEST_F(RuledDiskTest, rules_that_ask_for_nothing_are_the_disk_itself) { EXPECT_EQ(with_rules(m_below, {}), m_below); }

TEST_F(RuledDiskTest, writes_through_are_durable_when_they_complete) {
    const auto disk = with_rules(m_below, {.through = true});
    EXPECT_EQ(carry_out(*disk, BlockOp::write), BlockStatus::ok);
    EXPECT_EQ(m_below->seen.durability, Durability::through);
    EXPECT_TRUE(disk->info().can_discard);
    EXPECT_EQ(carry_out(*disk, BlockOp::discard, 4096), BlockStatus::ok);
    EXPECT_EQ(m_below->seen.op, BlockOp::discard);
}

TEST_F(RuledDiskTest, kept_blocks_are_neither_discarded_nor_unmapped_by_zeroing) {
    const auto disk = with_rules(m_below, {.discard = false});
    EXPECT_FALSE(disk->info().can_discard);
    EXPECT_EQ(carry_out(*disk, BlockOp::discard, 4096), BlockStatus::unsupported);
    EXPECT_NE(m_below->seen.op, BlockOp::discard);
    EXPECT_EQ(carry_out(*disk, BlockOp::write_zeroes, 4096), BlockStatus::ok);
    EXPECT_EQ(m_below->seen.op, BlockOp::write_zeroes);
    EXPECT_FALSE(m_below->seen.may_unmap);
    EXPECT_EQ(m_below->seen.durability, Durability::cached);
}

TEST_F(RuledDiskTest, grows_with_the_disk_below) {
    const auto disk = with_rules(m_below, {.through = true});
    ASSERT_TRUE(disk->grow(2 << 20));
    EXPECT_EQ(disk->info().size, uint64_t{2} << 20);
}

}  // namespace
}  // namespace skep
