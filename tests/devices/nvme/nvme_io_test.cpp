// SPDX-License-Identifier: GPL-3.0-or-later
// Commands to the disk: data by every shape of PRPs, ranges, durability, errors, and a save in the middle.
#include <gtest/gtest.h>

#include "tests/support/nvme_driver.hpp"

namespace skep {
namespace {

using namespace nvme;
using test::NvmeDriver;

struct NvmeIoTest : testing::Test, test::NvmeMachine {
    NvmeIoTest() { bring_up(); }
    // One command from start to end, the disk's part too.
    uint16_t run(const NvmeCommand& command) {
        const uint16_t cid = driver->issue(1, command);
        disk->run();
        const auto done = driver->next(1);
        EXPECT_TRUE(done && done->cid == cid);
        return done ? done->status : 0xffff;
    }
    [[nodiscard]] std::vector<uint8_t> disk_bytes(size_t offset, size_t size) const {
        return {disk->data.begin() + static_cast<long>(offset), disk->data.begin() + static_cast<long>(offset + size)};
    }
    void list(GuestAddress at, std::initializer_list<uint64_t> entries) {
        for (const uint64_t entry : entries) {
            EXPECT_TRUE(memory->write_value(at, entry));
            at += 8;
        }
    }
};

TEST_F(NvmeIoTest, block_is_read_into_one_page) {
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 3, 1)), k_success);
    EXPECT_EQ(guest_bytes(NvmeDriver::k_data, 512), disk_bytes(3 * 512, 512));
}

TEST_F(NvmeIoTest, transfer_that_begins_inside_a_page_goes_on_in_the_second) {
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 8, 8, 0x9'0e00, 0xb'0000)), k_success);
    EXPECT_EQ(guest_bytes(0x9'0e00, 512), disk_bytes(8 * 512, 512));
    EXPECT_EQ(guest_bytes(0xb'0000, 4096 - 512), disk_bytes(9 * 512, 4096 - 512));
}

TEST_F(NvmeIoTest, list_names_the_pages_and_the_next_list) {
    // 5 pages: one by PRP 1, a list of which two entries are left in its page: one page, then the next list.
    list(0x6'0ff0, {0x9'0000, 0x6'2000});
    list(0x6'2000, {0xb'0000, 0xa'0000, 0xc'0000});
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 40, 0x8'0000, 0x6'0ff0)), k_success);
    EXPECT_EQ(guest_bytes(0x8'0000, 4096), disk_bytes(0, 4096));
    EXPECT_EQ(guest_bytes(0x9'0000, 4096), disk_bytes(4096, 4096));
    EXPECT_EQ(guest_bytes(0xb'0000, 4096), disk_bytes(8192, 4096));
    EXPECT_EQ(guest_bytes(0xa'0000, 4096), disk_bytes(12288, 4096));
    EXPECT_EQ(guest_bytes(0xc'0000, 4096), disk_bytes(16384, 4096));
}

TEST_F(NvmeIoTest, wrong_prps_are_refused) {
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 1, 0x8'0002)), k_invalid_prp_offset);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 16, 0x8'0000, 0x9'0200)), k_invalid_prp_offset);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 24, 0x8'0000, 0x6'0004)), k_invalid_prp_offset);
    list(0x6'0000, {0x9'0100, 0x9'1000});
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 24, 0x8'0000, 0x6'0000)), k_invalid_prp_offset);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 24, 0x8'0000, 0x7000'0000)), k_data_transfer_error);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 1, 0x7000'0000)), k_data_transfer_error);
}

TEST_F(NvmeIoTest, list_that_only_names_itself_ends) {
    list(0x6'0ff8, {0x6'0ff8});
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 24, 0x8'0000, 0x6'0ff8)), k_invalid_prp_offset);
}

TEST_F(NvmeIoTest, write_reaches_the_disk_and_is_durable_when_asked) {
    EXPECT_TRUE(memory->write_value<uint64_t>(NvmeDriver::k_data, 0x1122'3344'5566'7788));
    EXPECT_EQ(run(NvmeDriver::transfer(k_write, 5, 1)), k_success);
    EXPECT_EQ(load_le<uint64_t>(&disk->data[5 * 512]), 0x1122'3344'5566'7788u);
    EXPECT_EQ(run(NvmeDriver::command(k_flush, k_broadcast_namespace, 0)), k_success);
    EXPECT_EQ(disk->submitted[BlockOp::flush], 1u);
}

TEST_F(NvmeIoTest, range_beyond_the_end_and_other_namespaces_are_refused) {
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 2047, 2)), k_lba_out_of_range);
    NvmeCommand far = NvmeDriver::transfer(k_read, 0, 1);
    far.dwords[11] = 0xffff'ffff;
    EXPECT_EQ(run(far), k_lba_out_of_range);
    EXPECT_EQ(run(NvmeDriver::command(k_read, 2, NvmeDriver::k_data)), k_invalid_namespace);
    EXPECT_EQ(run(NvmeDriver::command(0x33, 1, NvmeDriver::k_data)), k_invalid_opcode);
}

TEST_F(NvmeIoTest, zeroes_and_deallocation) {
    NvmeCommand zeroes = NvmeDriver::transfer(k_write_zeroes, 4, 4);
    EXPECT_EQ(run(zeroes), k_success);
    EXPECT_EQ(disk_bytes(4 * 512, 4 * 512), std::vector<uint8_t>(4 * 512, 0));
    struct Range {
        uint32_t attributes;
        uint32_t blocks;
        uint64_t start;
    };
    EXPECT_TRUE(memory->write_value(NvmeDriver::k_data, std::array<Range, 2>{Range{0, 8, 16}, Range{0, 8, 64}}));
    EXPECT_EQ(run(NvmeDriver::command(k_dataset_management, 1, NvmeDriver::k_data, 1, 4)), k_success);
    EXPECT_EQ(disk->submitted[BlockOp::discard], 2u);
    EXPECT_TRUE(memory->write_value(NvmeDriver::k_data, Range{0, 8, 2047}));
    EXPECT_EQ(run(NvmeDriver::command(k_dataset_management, 1, NvmeDriver::k_data, 0, 4)), k_lba_out_of_range);
    EXPECT_EQ(run(NvmeDriver::command(k_dataset_management, 1, NvmeDriver::k_data, 0, 0)), k_lba_out_of_range);
}

TEST_F(NvmeIoTest, disk_errors_may_be_tried_again) {
    disk->fail_next(BlockOp::read, BlockStatus::io_error);
    driver->issue(1, NvmeDriver::transfer(k_read, 0, 1));
    disk->run();
    const auto done = driver->next(1);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->status, k_unrecovered_read);
    EXPECT_FALSE(done->final_answer);
    disk->fail_next(BlockOp::write, BlockStatus::io_error);
    EXPECT_EQ(run(NvmeDriver::transfer(k_write, 0, 1)), k_write_fault);
}

TEST_F(NvmeIoTest, commands_finish_in_the_disks_order) {
    std::vector<uint16_t> cids;
    for (uint32_t i = 0; i < 5; ++i) {
        cids.push_back(driver->issue(1, NvmeDriver::transfer(k_read, i, 1, NvmeDriver::k_data + i * 4096)));
    }
    disk->run_backwards();
    for (size_t i = 5; i-- > 0;) {
        EXPECT_EQ(driver->next(1)->cid, cids[i]);
    }
    EXPECT_EQ(guest_bytes(NvmeDriver::k_data + 3 * 4096, 512), disk_bytes(3 * 512, 512));
}

TEST_F(NvmeIoTest, full_host_disk_pauses_the_machine_and_loses_nothing) {
    disk->fail_next(BlockOp::write, BlockStatus::no_space);
    EXPECT_TRUE(memory->write_value<uint32_t>(NvmeDriver::k_data, 0xdead'beef));
    const uint16_t cid = driver->issue(1, NvmeDriver::transfer(k_write, 9, 1));
    disk->run();
    ASSERT_EQ(requests.requests.size(), 1u);
    EXPECT_EQ(requests.requests[0].what, MachineRequest::pause_no_space);
    EXPECT_FALSE(driver->next(1));
    disk->retry();
    disk->run();
    EXPECT_EQ(driver->next(1)->cid, cid);
    EXPECT_EQ(load_le<uint32_t>(&disk->data[9 * 512]), 0xdead'beefu);
}

TEST_F(NvmeIoTest, saved_with_a_held_write_and_an_event_request_it_goes_on_elsewhere) {
    disk->fail_next(BlockOp::write, BlockStatus::no_space);
    EXPECT_TRUE(memory->write_value<uint32_t>(NvmeDriver::k_data, 0xcafe'f00d));
    const uint16_t event = driver->issue(0, NvmeDriver::command(k_asynchronous_event_request, 0, 0));
    const uint16_t cid = driver->issue(1, NvmeDriver::transfer(k_write, 9, 1));
    disk->run();
    nvme->pause();
    const std::vector<std::byte> state = saved();

    // The same machine, emptied: its state comes back, and the command is given to the disk again.
    nvme->reset();
    EXPECT_EQ(disk->held(), 0u);
    StateReader reader(state);
    nvme->load(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end()) << reader.status().error().message;
    StateWriter again;
    nvme->save(again);
    EXPECT_EQ(again.bytes(), state);
    nvme->resume();
    disk->run();
    EXPECT_EQ(driver->next(1)->cid, cid);
    EXPECT_EQ(load_le<uint32_t>(&disk->data[9 * 512]), 0xcafe'f00du);
    driver->write(k_doorbells + 2 * 8, 1);
    EXPECT_EQ(driver->next(0)->cid, event);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 9, 1)), k_success);
}

TEST_F(NvmeIoTest, reset_with_commands_under_way_starts_afresh) {
    driver->issue(1, NvmeDriver::transfer(k_read, 0, 1));
    nvme->reset();
    EXPECT_EQ(disk->waiting(), 0u);
    driver = std::make_unique<NvmeDriver>(*this, bus);  // as firmware does it again
    EXPECT_EQ(driver->read(k_csts), 0u);
}

TEST(NvmeReadOnly, changes_are_refused_reads_are_not) {
    test::NvmeMachine machine(true);
    machine.bring_up();
    const auto run = [&](const NvmeCommand& command) {
        machine.driver->issue(1, command);
        machine.disk->run();
        return machine.driver->next(1).value().status;
    };
    EXPECT_EQ(run(NvmeDriver::transfer(k_write, 0, 1)), k_write_protected);
    EXPECT_EQ(run(NvmeDriver::transfer(k_write_zeroes, 0, 1)), k_write_protected);
    EXPECT_EQ(run(NvmeDriver::transfer(k_read, 0, 1)), k_success);
}

}  // namespace
}  // namespace skep
