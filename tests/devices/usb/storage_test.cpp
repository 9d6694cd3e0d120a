// SPDX-License-Identifier: GPL-3.0-or-later
// The USB stick: Bulk-Only Transport and SCSI, through the controller.
#include <gtest/gtest.h>

#include <numeric>

#include "devices/storage/scsi.hpp"
#include "tests/support/xhci_driver.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

using namespace xhci;
using Bytes = XhciDriver::Bytes;

constexpr uint64_t k_size = 2 << 20;
constexpr uint32_t k_in = XhciDriver::k_bulk_in;
constexpr uint32_t k_out = XhciDriver::k_bulk_out;

struct UsbStick : ::testing::Test, XhciMachine {
    void start(bool read_only = false) {
        block = std::make_shared<MemoryBlock>(k_size, 512, read_only);
        std::iota(block->data.begin(), block->data.end(), uint8_t{0});
        for (size_t sector = 0; sector < block->data.size() / 512; ++sector) {
            block->data[sector * 512] = static_cast<uint8_t>(sector);
            block->data[sector * 512 + 1] = static_cast<uint8_t>(sector >> 8);
        }
        ASSERT_EQ(*xhci->plug(make_usb_storage(block, {.serial = "0123456789AB",
                                                       .on_no_space = [this](const std::string&) { ++no_space; }})),
                  9U);
        driver.start();
        slot = driver.start_storage(9);
        ASSERT_NE(slot, 0U);
    }
    struct Answer {
        uint8_t status = 0xff;
        uint32_t residue = 0;
        Bytes data;
    };
    // A command with data to the host, or without.
    Answer ask(const Bytes& cdb, uint32_t length) {
        driver.send_cbw(slot, ++tag, length, true, cdb);
        Answer answer;
        if (length != 0) {
            driver.push(slot, k_in, {XhciDriver::k_data, length, trb_type_bits(k_trb_normal) | k_trb_ioc});
            driver.doorbell(slot, k_in);
            run();
            const auto event = driver.transfer_event();
            EXPECT_TRUE(event);
            answer.data = event ? driver.read(XhciDriver::k_data, length - (event->status & 0xff'ffff)) : Bytes{};
        }
        finish(answer);
        return answer;
    }
    Answer tell(const Bytes& cdb, const Bytes& data) {
        driver.send_cbw(slot, ++tag, static_cast<uint32_t>(data.size()), false, cdb);
        driver.write(XhciDriver::k_data, data);
        driver.push(slot, k_out, {XhciDriver::k_data, static_cast<uint32_t>(data.size()), trb_type_bits(k_trb_normal) | k_trb_ioc});
        driver.doorbell(slot, k_out);
        run();
        EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
        Answer answer;
        finish(answer);
        return answer;
    }
    void finish(Answer& answer) {
        driver.ask_csw(slot);
        run();
        EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
        answer.status = driver.csw(tag, &answer.residue);
    }
    void run() {
        while (block->run() != 0) {
        }
    }
    // Key, code and qualifier of the last failure.
    Bytes sense() {
        const Bytes data = ask({scsi::k_request_sense, 0, 0, 0, 18, 0}, 18).data;
        return {data[2], data[12], data[13]};
    }
    static Bytes transfer_10(uint8_t operation, uint32_t lba, uint16_t count) {
        Bytes cdb(10);
        cdb[0] = operation;
        store_be(&cdb[2], lba);
        store_be(&cdb[7], count);
        return cdb;
    }
    static Bytes transfer_16(uint8_t operation, uint64_t lba, uint32_t count) {
        Bytes cdb(16);
        cdb[0] = operation;
        store_be(&cdb[2], lba);
        store_be(&cdb[10], count);
        return cdb;
    }

    XhciDriver driver{*this, bus};
    std::shared_ptr<MemoryBlock> block;
    unsigned slot = 0;
    uint32_t tag = 0;
    unsigned no_space = 0;
};

TEST_F(UsbStick, descriptors_areThoseOfASuperSpeedStick) {
    start();
    EXPECT_EQ(driver.descriptor(slot, 0x100, 18)[3], 3);
    EXPECT_EQ(driver.descriptor(slot, 0x200, 44)[2], 44) << "with two endpoint companions";
    EXPECT_EQ(driver.descriptor(slot, 0xf00, 22)[4], 2);
    EXPECT_EQ(driver.descriptor(slot, 0x303, 26)[2], '0');
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0xa1, 0xfe, 0, 0, 1)), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 1)[0], 0) << "one logical unit";
}

TEST_F(UsbStick, inquiry_saysARemovableDisk) {
    start();
    const Answer answer = ask({scsi::k_inquiry, 0, 0, 0, 36, 0}, 36);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.data[1], 0x80);
    EXPECT_EQ(std::string(answer.data.begin() + 8, answer.data.begin() + 12), "Skep");
    EXPECT_EQ(ask({scsi::k_inquiry, 1, 0x80, 0, 255, 0}, 255).data.size(), 16U);
    EXPECT_EQ(ask({scsi::k_inquiry, 1, 0xb0, 0, 255, 0}, 255).data.size(), 64U);
    EXPECT_EQ(ask({scsi::k_inquiry, 1, 0x77, 0, 255, 0}, 255).status, 1);
    EXPECT_EQ(sense(), (Bytes{5, 0x24, 0}));
}

TEST_F(UsbStick, capacity_isThatOfTheImage) {
    start();
    const Bytes ten = ask({scsi::k_read_capacity, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data;
    EXPECT_EQ(load_be<uint32_t>(ten.data()), k_size / 512 - 1);
    EXPECT_EQ(load_be<uint32_t>(&ten[4]), 512U);
    Bytes cdb = transfer_16(scsi::k_service_action_in_16, 0, 32);
    cdb[1] = 0x10;
    const Bytes sixteen = ask(cdb, 32).data;
    EXPECT_EQ(load_be<uint64_t>(sixteen.data()), k_size / 512 - 1);
    EXPECT_EQ(sixteen[14], 0x80) << "it can unmap";
    EXPECT_EQ(ask({scsi::k_test_unit_ready, 0, 0, 0, 0, 0}, 0).status, 0);
    EXPECT_EQ(ask({scsi::k_mode_sense_6, 0, 0x3f, 0, 192, 0}, 192).data[2] & 0x80, 0);
}

TEST_F(UsbStick, read_givesTheSectors) {
    start();
    const Answer answer = ask(transfer_10(scsi::k_read_10, 3, 4), 2048);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.residue, 0U);
    EXPECT_EQ(answer.data, Bytes(block->data.begin() + 3 * 512, block->data.begin() + 7 * 512));
    EXPECT_EQ(ask(transfer_16(scsi::k_read_16, 4000, 1), 512).data[0], 4000 & 0xff);
}

// More than the device's buffer, in transfers of another size than its portions.
TEST_F(UsbStick, read_long_comesInPortions) {
    start();
    constexpr uint32_t k_bytes = 600 << 10;
    driver.send_cbw(slot, ++tag, k_bytes, true, transfer_10(scsi::k_read_10, 0, k_bytes / 512));
    for (uint32_t at = 0; at < k_bytes; at += 40 << 10) {
        driver.push(slot, k_in, {XhciDriver::k_data, 40 << 10, trb_type_bits(k_trb_normal) | k_trb_ioc});
        driver.doorbell(slot, k_in);
        run();
        ASSERT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
        ASSERT_EQ(driver.read(XhciDriver::k_data, 40 << 10), Bytes(block->data.begin() + at, block->data.begin() + at + (40 << 10)));
    }
    Answer answer;
    finish(answer);
    EXPECT_EQ(answer.status, 0);
}

TEST_F(UsbStick, write_isDurableWhenItCompletes) {
    start();
    Bytes data(4096, 0xa5);
    const Answer answer = tell(transfer_10(scsi::k_write_10, 100, 8), data);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.residue, 0U);
    EXPECT_TRUE(std::equal(data.begin(), data.end(), block->data.begin() + 100 * 512));
    EXPECT_EQ(ask(transfer_10(scsi::k_synchronize_cache_10, 0, 0), 0).status, 0);
    EXPECT_EQ(block->submitted[BlockOp::flush], 1U);
}

TEST_F(UsbStick, write_statusWaitsForTheHost) {
    start();
    driver.send_cbw(slot, ++tag, 512, false, transfer_10(scsi::k_write_10, 0, 1));
    ASSERT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 512)), k_success);
    driver.ask_csw(slot);
    EXPECT_FALSE(driver.transfer_event());
    run();
    EXPECT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.csw(tag), 0);
}

TEST_F(UsbStick, beyondTheEnd_isRefused) {
    start();
    const Answer answer = ask(transfer_10(scsi::k_read_10, k_size / 512, 1), 512);
    EXPECT_EQ(answer.status, 1);
    EXPECT_EQ(answer.residue, 512U);
    EXPECT_EQ(sense(), (Bytes{5, 0x21, 0}));
    EXPECT_EQ(tell(transfer_16(scsi::k_write_16, ~uint64_t{0}, 1), Bytes(512)).status, 1);
    EXPECT_EQ(sense(), (Bytes{5, 0x21, 0}));
}

TEST_F(UsbStick, readOnly_refusesWrites) {
    start(true);
    EXPECT_EQ(tell(transfer_10(scsi::k_write_10, 0, 1), Bytes(512)).status, 1);
    EXPECT_EQ(sense(), (Bytes{7, 0x27, 0}));
    EXPECT_EQ(ask({scsi::k_mode_sense_6, 0, 0x3f, 0, 192, 0}, 192).data[2] & 0x80, 0x80);
}

TEST_F(UsbStick, hostErrors_areMediumErrors) {
    start();
    block->fail_next(BlockOp::read, BlockStatus::io_error);
    EXPECT_EQ(ask(transfer_10(scsi::k_read_10, 0, 1), 512).status, 1);
    EXPECT_EQ(sense(), (Bytes{3, 0x11, 0}));
    block->fail_next(BlockOp::write, BlockStatus::io_error);
    EXPECT_EQ(tell(transfer_10(scsi::k_write_10, 0, 1), Bytes(512)).status, 1);
    EXPECT_EQ(sense(), (Bytes{3, 0x0c, 0}));
}

TEST_F(UsbStick, unmap_givesBlocksBack) {
    start();
    Bytes list(8 + 16 * 2);
    store_be<uint16_t>(&list[2], 32);
    store_be<uint64_t>(&list[8], 8);
    store_be<uint32_t>(&list[16], 8);
    store_be<uint64_t>(&list[24], 32);
    store_be<uint32_t>(&list[32], 8);
    EXPECT_EQ(tell(transfer_10(scsi::k_unmap, 0, static_cast<uint16_t>(list.size())), list).status, 0);
    EXPECT_EQ(block->submitted[BlockOp::discard], 2U);
    EXPECT_EQ(block->data[8 * 512], 0);
    EXPECT_EQ(block->data[32 * 512], 0);
    EXPECT_EQ(block->data[16 * 512], 16);
    store_be<uint64_t>(&list[8], k_size);
    EXPECT_EQ(tell(transfer_10(scsi::k_unmap, 0, static_cast<uint16_t>(list.size())), list).status, 1);
}

TEST_F(UsbStick, guestEjects_mediumIsGone) {
    start();
    EXPECT_EQ(ask({scsi::k_prevent_allow, 0, 0, 0, 1, 0}, 0).status, 0);
    EXPECT_EQ(ask({scsi::k_start_stop_unit, 0, 0, 0, 2, 0}, 0).status, 1);
    EXPECT_EQ(ask({scsi::k_prevent_allow, 0, 0, 0, 0, 0}, 0).status, 0);
    EXPECT_EQ(ask({scsi::k_start_stop_unit, 0, 0, 0, 2, 0}, 0).status, 0);
    EXPECT_EQ(ask({scsi::k_test_unit_ready, 0, 0, 0, 0, 0}, 0).status, 1);
    EXPECT_EQ(sense(), (Bytes{2, 0x3a, 1}));
}

TEST_F(UsbStick, hostExpectsMore_isToldTheResidue) {
    start();
    const Answer answer = ask(transfer_10(scsi::k_read_10, 0, 1), 2048);
    EXPECT_EQ(answer.data.size(), 512U);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.residue, 1536U);
}

TEST_F(UsbStick, hostExpectsLess_isAPhaseError) {
    start();
    EXPECT_EQ(ask(transfer_10(scsi::k_read_10, 0, 4), 512).status, 2);
    EXPECT_EQ(tell(transfer_10(scsi::k_write_10, 0, 4), Bytes(512)).status, 2);
    EXPECT_EQ(block->submitted[BlockOp::write], 0U);
}

TEST_F(UsbStick, wrongDirection_stallsAndSaysPhaseError) {
    start();
    driver.send_cbw(slot, ++tag, 512, false, transfer_10(scsi::k_read_10, 0, 1));
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 512)), k_stall_error);
    driver.recover(slot, k_out);
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(2, 1, 0, 2, 0)), k_success);
    Answer answer;
    finish(answer);
    EXPECT_EQ(answer.status, 2);
    EXPECT_EQ(ask(transfer_10(scsi::k_read_10, 5, 1), 512).data[0], 5);
}

TEST_F(UsbStick, invalidCommandBlock_stallsUntilReset) {
    start();
    driver.clear(XhciDriver::k_data, 31);
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 31)), k_stall_error);
    driver.recover(slot, k_out);
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(2, 1, 0, 2, 0)), k_success) << "clearing alone";
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 31)), k_stall_error);
    driver.recover(slot, k_out);
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 0xff, 0, 0, 0)), k_success) << "reset recovery";
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(2, 1, 0, 0x81, 0)), k_success);
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(2, 1, 0, 2, 0)), k_success);
    EXPECT_EQ(ask(transfer_10(scsi::k_read_10, 5, 1), 512).data[0], 5);
}

TEST_F(UsbStick, reset_whileTheHostWorks_nextCommandWaits) {
    start();
    driver.send_cbw(slot, ++tag, 512, true, transfer_10(scsi::k_read_10, 9, 1));
    EXPECT_FALSE(driver.normal(slot, k_in, XhciDriver::k_data, 512));
    EXPECT_EQ(driver.endpoint_command(k_trb_stop_endpoint, slot, k_in), k_success);
    EXPECT_EQ(driver.endpoint_command(k_trb_set_tr_dequeue, slot, k_in, XhciDriver::dequeue(driver.ring(slot, k_in))), k_success);
    EXPECT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 0xff, 0, 0, 0)), k_success);
    driver.put_cbw(XhciDriver::k_data - 0x100, ++tag, 512, true, transfer_10(scsi::k_read_10, 7, 1));
    EXPECT_FALSE(driver.normal(slot, k_out, XhciDriver::k_data - 0x100, 31));
    run();
    EXPECT_TRUE(driver.transfer_event());
    driver.push(slot, k_in, {XhciDriver::k_data, 512, trb_type_bits(k_trb_normal) | k_trb_ioc});
    driver.doorbell(slot, k_in);
    run();
    EXPECT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.read(XhciDriver::k_data, 1)[0], 7);
}

TEST_F(UsbStick, noSpace_isHeldAndGoesOn) {
    start();
    block->fail_next(BlockOp::write, BlockStatus::no_space);
    driver.send_cbw(slot, ++tag, 512, false, transfer_10(scsi::k_write_10, 1, 1));
    ASSERT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 512)), k_success);
    driver.ask_csw(slot);
    run();
    EXPECT_EQ(no_space, 1U);
    EXPECT_FALSE(driver.transfer_event());
    block->retry();
    run();
    EXPECT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.csw(tag), 0);
}

TEST_F(UsbStick, unplugged_whileTheHostWorks_isWaitedFor) {
    start();
    driver.send_cbw(slot, ++tag, 512, true, transfer_10(scsi::k_read_10, 9, 1));
    EXPECT_FALSE(driver.normal(slot, k_in, XhciDriver::k_data, 512));
    auto stick = xhci->unplug(9);
    ASSERT_NE(stick, nullptr);
    EXPECT_EQ(block->waiting(), 0U);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_transaction_error);
    ASSERT_EQ(*xhci->plug(std::move(stick)), 9U);
    slot = driver.start_storage(9);
    EXPECT_EQ(ask(transfer_10(scsi::k_read_10, 6, 1), 512).data[0], 6);
}

// A write that waits for room, and a read half fetched, live on in another machine.
TEST_F(UsbStick, saveAndLoad_inMidCommand_goesOn) {
    start();
    block->fail_next(BlockOp::write, BlockStatus::no_space);
    driver.send_cbw(slot, ++tag, 512, false, transfer_10(scsi::k_write_10, 1, 1));
    driver.write(XhciDriver::k_data, Bytes(512, 0x77));
    ASSERT_EQ(XhciDriver::code(driver.normal(slot, k_out, XhciDriver::k_data, 512)), k_success);
    driver.ask_csw(slot);
    xhci->pause();
    const auto state = saved();
    block->cancel_held();
    StateReader reader(state);
    xhci->load(reader);
    ASSERT_TRUE(reader.ok()) << reader.status().error().message;
    EXPECT_EQ(saved(), state);
    run();
    xhci->resume();
    run();
    EXPECT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.csw(tag), 0);
    EXPECT_EQ(block->data[512], 0x77);
}

TEST_F(UsbStick, saveAndLoad_halfFetched_givesTheRest) {
    start();
    driver.send_cbw(slot, ++tag, 4096, true, transfer_10(scsi::k_read_10, 8, 8));
    driver.push(slot, k_in, {XhciDriver::k_data, 1024, trb_type_bits(k_trb_normal) | k_trb_ioc});
    driver.doorbell(slot, k_in);
    run();
    ASSERT_TRUE(driver.transfer_event());
    xhci->pause();
    const auto state = saved();
    StateReader reader(state);
    xhci->load(reader);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(saved(), state);
    xhci->resume();
    driver.push(slot, k_in, {XhciDriver::k_data + 1024, 3072, trb_type_bits(k_trb_normal) | k_trb_ioc});
    driver.doorbell(slot, k_in);
    run();
    ASSERT_TRUE(driver.transfer_event());
    EXPECT_EQ(driver.read(XhciDriver::k_data, 4096), Bytes(block->data.begin() + 4096, block->data.begin() + 8192));
}

}  // namespace
}  // namespace skep::test
