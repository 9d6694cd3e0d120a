// SPDX-License-Identifier: GPL-3.0-or-later
// Registers, enabling and resetting, admin commands, queues, interrupts and what a driver does wrong.
#include <gtest/gtest.h>

#include "tests/support/nvme_driver.hpp"
#include "devices/pci/intx.hpp"

namespace skep {
namespace {

using namespace nvme;
using test::NvmeDriver;

struct NvmeControllerTest : testing::Test, test::NvmeMachine {
    NvmeDriver::Done admin(uint8_t opcode, uint32_t nsid = 0, uint32_t cdw10 = 0, uint32_t cdw11 = 0) {
        return driver->admin(NvmeDriver::command(opcode, nsid, NvmeDriver::k_data, cdw10, cdw11));
    }
    [[nodiscard]] bool ready() const { return (driver->read(k_csts) & k_csts_rdy) != 0; }
    [[nodiscard]] bool is_fatal() const { return (driver->read(k_csts) & k_csts_cfs) != 0; }
    bool pin() { return irqs.levels[intx_gsi(NvmeDriver::k_address.slot, 0)]; }
};

TEST_F(NvmeControllerTest, capabilities_say_what_drivers_need) {
    EXPECT_EQ(driver->read(k_cap) & 0xffff, k_most_entries - 1);
    EXPECT_EQ(driver->read(k_cap + 4), 1u << 5) << "NVM command set, pages of 4 KiB, doorbells 4 bytes apart";
    EXPECT_EQ(driver->read(k_vs), 0x10400u);
    EXPECT_EQ(bus.config_read(NvmeDriver::k_address, 8, 4) >> 8, 0x010802u);
    EXPECT_EQ(driver->read(0x1f00), 0u);
}

TEST_F(NvmeControllerTest, enabled_is_ready_and_disabled_is_not) {
    EXPECT_FALSE(ready());
    driver->enable();
    EXPECT_TRUE(ready());
    driver->disable();
    EXPECT_FALSE(ready());
    EXPECT_EQ(driver->read(k_asq), NvmeDriver::k_rings) << "the admin queue's registers outlive a reset";
}

// edk2's driver creates two and gives up where it cannot: a machine of one processor would not start from its disk.
TEST_F(NvmeControllerTest, one_queue_pair_asked_for_two_are_there) {
    driver->enable();
    EXPECT_EQ(admin(k_set_features, 0, k_number_of_queues, 0x0001'0001).result, 0x0001'0001u);
    driver->create_queues(1);
    driver->create_queues(2);
}

TEST_F(NvmeControllerTest, wrong_configuration_is_fatal_until_disabled) {
    driver->write(k_aqa, 0x0007'0007);
    driver->write(k_cc, 1 << 7 | 1);  // pages of 8 KiB
    EXPECT_TRUE(is_fatal());
    driver->write(k_cc, 0);
    EXPECT_FALSE(is_fatal());
    driver->write(k_aqa, 0);  // one entry
    driver->write(k_cc, 1);
    EXPECT_TRUE(is_fatal());
}

TEST_F(NvmeControllerTest, identify_tells_disk_and_controller) {
    driver->enable();
    EXPECT_EQ(admin(k_identify, 0, 1).status, k_success);
    const auto controller = guest_bytes(NvmeDriver::k_data, 4096);
    EXPECT_EQ(std::string(controller.begin() + 4, controller.begin() + 24), "SERIAL9             ");
    EXPECT_EQ(std::string(controller.begin() + 24, controller.begin() + 34), "Skep disk ");
    EXPECT_EQ(controller[512], 0x66);
    EXPECT_EQ(controller[77], k_mdts);
    EXPECT_EQ(std::string(controller.begin() + 768, controller.begin() + 802), "nqn.2014.08.org.nvmexpress:1b361af");
    EXPECT_EQ(admin(k_identify, 1, 0).status, k_success);
    const auto space = guest_bytes(NvmeDriver::k_data, 4096);
    EXPECT_EQ(load_le<uint64_t>(&space[0]), 2048u);
    EXPECT_EQ(space[130], 9) << "512 bytes a block";
    EXPECT_EQ(space[99], 0);
    EXPECT_EQ(admin(k_identify, 0, 2).status, k_success);
    EXPECT_EQ(load_le<uint64_t>(guest_bytes(NvmeDriver::k_data, 8).data()), 1u);
    EXPECT_EQ(admin(k_identify, 1, 2).status, k_success);
    EXPECT_EQ(load_le<uint32_t>(guest_bytes(NvmeDriver::k_data, 4).data()), 0u) << "none above the first";
    EXPECT_EQ(admin(k_identify, 1, 3).status, k_success);
    EXPECT_EQ(guest_bytes(NvmeDriver::k_data, 2), (std::vector<uint8_t>{3, 16}));
}

TEST_F(NvmeControllerTest, identify_of_what_is_not_there_is_refused_for_good) {
    driver->enable();
    EXPECT_EQ(admin(k_identify, 2, 0).status, k_invalid_namespace);
    const auto done = admin(k_identify, 0, 0x77);
    EXPECT_EQ(done.status, k_invalid_field);
    EXPECT_TRUE(done.final_answer);
    EXPECT_EQ(admin(0x99).status, k_invalid_opcode);
    NvmeCommand gathered = NvmeDriver::command(k_identify, 0, NvmeDriver::k_data, 1);
    gathered.dwords[0] |= 1 << 14;  // scatter-gather list
    EXPECT_EQ(driver->admin(gathered).status, k_invalid_field);
    EXPECT_EQ(driver->admin(NvmeDriver::command(k_identify, 0, 0x7fff'f000, 1)).status, k_data_transfer_error);
}

TEST_F(NvmeControllerTest, features_are_set_read_and_back_to_their_defaults) {
    driver->enable();
    EXPECT_EQ(admin(k_set_features, 0, k_number_of_queues, 0x000f'000f).result, 0x0001'0001u);
    EXPECT_EQ(admin(k_get_features, 0, k_volatile_write_cache).result, 1u);
    EXPECT_EQ(admin(k_set_features, 0, k_volatile_write_cache, 0).status, k_success);
    EXPECT_EQ(admin(k_get_features, 0, k_volatile_write_cache).result, 0u);
    EXPECT_EQ(admin(k_get_features, 0, 1 << 8 | k_volatile_write_cache).result, 1u) << "the default";
    EXPECT_EQ(admin(k_set_features, 0, 1u << 31 | k_volatile_write_cache, 0).status, k_not_saveable);
    EXPECT_EQ(admin(k_set_features, 0, 0x77, 0).status, k_invalid_field);
    EXPECT_EQ(admin(k_get_features, 0, 3).status, k_invalid_field);
    driver->disable();
    driver->enable();
    for (GuestAddress at = NvmeDriver::k_rings; at < NvmeDriver::k_rings + 0x2000; at += 8) {
        EXPECT_TRUE(memory->write_value<uint64_t>(at, 0));
    }
    EXPECT_EQ(admin(k_get_features, 0, k_volatile_write_cache).result, 1u);
}

TEST_F(NvmeControllerTest, log_pages_are_read_whole_and_from_an_offset) {
    driver->enable();
    EXPECT_EQ(admin(k_get_log_page, k_broadcast_namespace, 127 << 16 | 2).status, k_success);
    EXPECT_EQ(load_le<uint16_t>(&guest_bytes(NvmeDriver::k_data, 512)[1]), 313);
    NvmeCommand rest = NvmeDriver::command(k_get_log_page, 0, NvmeDriver::k_data, 0 << 16 | 3);
    rest.dwords[12] = 8;
    EXPECT_EQ(driver->admin(rest).status, k_success);
    EXPECT_EQ(guest_bytes(NvmeDriver::k_data, 3), (std::vector<uint8_t>{'1', '.', '0'}));
    rest.dwords[12] = 513;
    EXPECT_EQ(driver->admin(rest).status, k_invalid_field);
    EXPECT_EQ(admin(k_get_log_page, 0, 0xffff << 16 | 2, 0xffff).status, k_invalid_field) << "16 GiB";
    EXPECT_EQ(admin(k_get_log_page, 0, 0x55).status, k_invalid_log_page);
}

TEST_F(NvmeControllerTest, queues_are_refused_that_cannot_be) {
    driver->enable();
    const auto completion = [&](uint32_t id, uint32_t entries, uint32_t flags, uint64_t at = 0x3000) {
        return driver->admin(NvmeDriver::command(k_create_completion_queue, 0, at, (entries - 1) << 16 | id, flags)).status;
    };
    EXPECT_EQ(completion(0, 8, 1), k_invalid_queue_identifier);
    EXPECT_EQ(completion(3, 8, 1), k_invalid_queue_identifier);
    EXPECT_EQ(completion(1, 1, 1), k_invalid_queue_size);
    EXPECT_EQ(completion(1, 1025, 1), k_invalid_queue_size);
    EXPECT_EQ(completion(1, 8, 0), k_invalid_field) << "not contiguous";
    EXPECT_EQ(completion(1, 8, 1, 0x3008), k_invalid_prp_offset);
    EXPECT_EQ(completion(1, 8, 3u << 16 | 3), k_invalid_interrupt_vector);
    const auto submission = [&](uint32_t id, uint32_t answers) {
        return driver->admin(NvmeDriver::command(k_create_submission_queue, 0, 0x4000, 7 << 16 | id, answers << 16 | 1)).status;
    };
    EXPECT_EQ(submission(1, 1), k_completion_queue_invalid);
    EXPECT_EQ(submission(1, 9), k_invalid_queue_identifier);
    EXPECT_EQ(completion(1, 8, 1), k_success);
    EXPECT_EQ(completion(1, 8, 1), k_invalid_queue_identifier) << "there already";
    EXPECT_EQ(submission(2, 1), k_success);
    EXPECT_EQ(admin(k_delete_completion_queue, 0, 1).status, k_invalid_queue_deletion);
    EXPECT_EQ(admin(k_delete_submission_queue, 0, 2).status, k_success);
    EXPECT_EQ(admin(k_delete_submission_queue, 0, 2).status, k_invalid_queue_identifier);
    EXPECT_EQ(admin(k_delete_completion_queue, 0, 1).status, k_success);
}

TEST_F(NvmeControllerTest, deleting_a_queue_waits_for_its_commands) {
    bring_up();
    const uint16_t slow = driver->issue(1, NvmeDriver::transfer(k_read, 0, 1));
    const uint16_t deletion = driver->issue(0, NvmeDriver::command(k_delete_submission_queue, 0, 0, 1));
    EXPECT_FALSE(driver->next(0));
    disk->run();
    EXPECT_EQ(driver->next(1)->cid, slow);
    EXPECT_EQ(driver->next(0)->cid, deletion);
}

TEST_F(NvmeControllerTest, pin_is_high_until_everything_is_read_and_can_be_masked) {
    driver->enable();
    EXPECT_FALSE(pin());
    driver->issue(0, NvmeDriver::command(k_abort, 0, 0));
    driver->issue(0, NvmeDriver::command(k_abort, 0, 0));
    EXPECT_TRUE(pin());
    driver->write(k_intms, 1);
    EXPECT_FALSE(pin());
    EXPECT_EQ(driver->read(k_intmc), 1u);
    driver->write(k_intmc, 1);
    EXPECT_TRUE(pin());
    (void)driver->next(0);
    EXPECT_TRUE(pin());
    (void)driver->next(0);
    EXPECT_FALSE(pin());
}

TEST_F(NvmeControllerTest, messages_go_to_the_queues_vector) {
    driver->use_messages();
    bring_up();
    msis.messages.clear();
    driver->issue(1, NvmeDriver::transfer(k_read, 0, 1));
    disk->run();
    ASSERT_EQ(msis.messages.size(), 1u);
    EXPECT_EQ(msis.messages[0].data, 0x41u);
    EXPECT_FALSE(pin());
}

TEST_F(NvmeControllerTest, event_request_waits_for_a_wrong_doorbell) {
    driver->enable();
    const uint16_t request = driver->issue(0, NvmeDriver::command(k_asynchronous_event_request, 0, 0));
    EXPECT_FALSE(driver->next(0));
    driver->write(k_doorbells + 2 * 8, 1);  // queue 2 is not there
    const auto done = driver->next(0);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->cid, request);
    EXPECT_EQ(done->result, k_event_invalid_doorbell);
    driver->write(k_doorbells + 4, 5);  // nothing of that was written
    EXPECT_EQ(driver->admin(NvmeDriver::command(k_asynchronous_event_request, 0, 0)).result, k_event_invalid_doorbell_value);
}

TEST_F(NvmeControllerTest, more_event_requests_than_announced_are_refused) {
    driver->enable();
    for (unsigned i = 0; i < 4; ++i) {
        driver->issue(0, NvmeDriver::command(k_asynchronous_event_request, 0, 0));
        EXPECT_FALSE(driver->next(0));
    }
    EXPECT_EQ(admin(k_asynchronous_event_request).status, k_event_limit_exceeded);
}

TEST_F(NvmeControllerTest, full_completion_queue_holds_the_rest_back) {
    driver->enable();
    std::vector<uint16_t> cids;
    for (unsigned i = 0; i < 20; ++i) {
        cids.push_back(driver->issue(0, NvmeDriver::command(k_abort, 0, 0)));
        if (i >= 6) {
            // Seven fit into a ring of eight; the others come as these are read.
            const auto done = driver->next(0);
            ASSERT_TRUE(done);
            EXPECT_EQ(done->cid, cids[i - 6]);
        }
    }
}

TEST_F(NvmeControllerTest, rings_outside_memory_are_fatal) {
    driver->write(k_aqa, 0x0007'0007);
    driver->write(k_asq, 0x7000'0000);
    driver->write(k_acq, NvmeDriver::k_rings + 0x1000);
    driver->write(k_cc, 4U << 20 | 6U << 16 | 1);
    driver->write(k_doorbells, 1);
    EXPECT_TRUE(is_fatal());
}

TEST_F(NvmeControllerTest, shutdown_is_complete_when_the_cache_is_durable) {
    bring_up();
    driver->write(k_cc, driver->read(k_cc) | 1u << k_cc_shn);
    EXPECT_EQ(driver->read(k_csts) & k_csts_shst, k_csts_shutting_down);
    disk->run();
    EXPECT_EQ(driver->read(k_csts) & k_csts_shst, k_csts_shut_down);
    EXPECT_EQ(disk->submitted[BlockOp::flush], 1u);
}

TEST_F(NvmeControllerTest, ready_goes_when_the_hosts_io_has_ended) {
    bring_up();
    driver->issue(1, NvmeDriver::transfer(k_read, 0, 1));
    driver->disable();
    EXPECT_TRUE(ready());
    disk->run();
    EXPECT_FALSE(ready());
    EXPECT_FALSE(driver->next(1)) << "its completion went with the reset";
}

TEST_F(NvmeControllerTest, crossing_and_narrow_writes_change_nothing) {
    mmio.write(NvmeDriver::k_registers + k_aqa + 1, 2, 0xffff);
    EXPECT_EQ(driver->read(k_aqa), 0u);
    EXPECT_EQ(mmio.read(NvmeDriver::k_registers + k_vs + 1, 1), 0x04u);
}

}  // namespace
}  // namespace skep
