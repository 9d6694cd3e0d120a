// SPDX-License-Identifier: GPL-3.0-or-later
// The controller by its registers, commands, events and ports.
#include <gtest/gtest.h>

#include "tests/support/xhci_driver.hpp"

namespace skep::test {
namespace {

using namespace xhci;

// A device that answers as a test tells it to.
class ProbeDevice final : public UsbDevice {
  public:
    explicit ProbeDevice(UsbSpeed speed = UsbSpeed::high) : m_speed(speed) {}
    [[nodiscard]] UsbSpeed speed() const override { return m_speed; }
    [[nodiscard]] std::string_view kind() const override { return "probe"; }
    void plug(UsbPort& to) override { port = &to; }
    void reset() override { ++resets; }
    UsbAnswer control(const UsbSetup& setup, std::vector<uint8_t>& data) override {
        requests.push_back(setup);
        if (setup.to_host()) {
            data = answer;
        } else {
            received = data;
        }
        return control_answer;
    }
    UsbAnswer transfer(uint8_t endpoint, UsbTransfer& transfer) override {
        asked.push_back(endpoint);
        if (stalls) {
            return UsbAnswer::stall;
        }
        if ((endpoint & k_usb_in) == 0) {
            std::vector<uint8_t> data(transfer.remaining());
            transfer.take(data);
            received.insert(received.end(), data.begin(), data.end());
            return UsbAnswer::ack;
        }
        const size_t given = transfer.give(answer);
        answer.erase(answer.begin(), answer.begin() + static_cast<ptrdiff_t>(given));
        return transfer.remaining() != 0 && !ends_short ? UsbAnswer::nak : UsbAnswer::ack;
    }
    [[nodiscard]] bool may_wake_host() const override { return wakes; }
    void save(StateWriter& writer) const override { writer.put(resets); }
    void load(StateReader& reader) override { reader.get(resets); }

    UsbPort* port = nullptr;
    unsigned resets = 0;
    std::vector<UsbSetup> requests;
    std::vector<uint8_t> asked;
    std::vector<uint8_t> answer;
    std::vector<uint8_t> received;
    UsbAnswer control_answer = UsbAnswer::ack;
    bool stalls = false;
    bool ends_short = true;
    bool wakes = false;

  private:
    UsbSpeed m_speed;
};

struct Xhci : ::testing::Test, XhciMachine {
    // Plugged in at port 1 with an interrupt/bulk pair of endpoints 3 (in) and 4 (out).
    unsigned start_probe() {
        auto device = std::make_unique<ProbeDevice>();
        probe = device.get();
        EXPECT_EQ(*xhci->plug(std::move(device)), 1U);
        driver.start();
        const unsigned slot = driver.address_device(1);
        EXPECT_EQ(driver.configure_endpoints(slot, {{3, 6, 512}, {4, 2, 512}}), k_success);
        return slot;
    }
    void wake(uint8_t endpoint) {
        const std::lock_guard lock(probe->port->gate());
        probe->port->wake(endpoint);
    }

    XhciDriver driver{*this, bus};
    ProbeDevice* probe = nullptr;
};

TEST_F(Xhci, capabilities_readAsTheSpecificationSays) {
    driver.enable_pci();
    EXPECT_EQ(driver.reg(k_caplength), 0x0110'0040U);
    EXPECT_EQ(driver.reg(k_hcsparams1), 16U << 24 | 4U << 8 | 32U);
    EXPECT_EQ(driver.op(k_pagesize), 1U);
    EXPECT_EQ(driver.op(k_usbsts), k_sts_hch);
    EXPECT_EQ(mmio.read(XhciDriver::k_registers, 1), k_operational);
    const unsigned extended = (driver.reg(k_hccparams1) >> 16) * 4;
    EXPECT_EQ(driver.reg(extended), 0x0200'0402U);
    EXPECT_EQ(driver.reg(extended + 8), 0x0801U);
    EXPECT_EQ(driver.reg(extended + 16), 0x0300'0002U);
    EXPECT_EQ(driver.reg(extended + 24), 0x0809U);
}

TEST_F(Xhci, noOpCommand_answersWithItsAddress) {
    driver.start();
    const auto event = driver.command(k_trb_no_op_command);
    ASSERT_TRUE(event);
    EXPECT_EQ(XhciDriver::code(event), k_success);
    EXPECT_EQ(event->parameter, XhciDriver::k_commands);
    EXPECT_NE(driver.op(k_crcr) & k_crcr_crr, 0U);
}

TEST_F(Xhci, commandRing_manyCommands_followTheLink) {
    driver.start();
    for (unsigned count = 0; count < 3 * XhciDriver::k_ring_trbs; ++count) {
        ASSERT_EQ(XhciDriver::code(driver.command(k_trb_no_op_command)), k_success) << count;
    }
}

TEST_F(Xhci, commandRing_stopped_tellsWhereAndStartsElsewhere) {
    driver.start();
    ASSERT_TRUE(driver.command(k_trb_no_op_command));
    driver.set_op(k_crcr, k_crcr_cs);
    const auto stopped = driver.event(k_trb_command_completion);
    EXPECT_EQ(XhciDriver::code(stopped), k_command_ring_stopped);
    EXPECT_EQ(stopped->parameter, XhciDriver::k_commands + 16);
    EXPECT_EQ(driver.op(k_crcr), 0U);
}

TEST_F(Xhci, unknownCommand_isATrbError) {
    driver.start();
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_normal)), k_trb_error);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_disable_slot, 5)), k_slot_not_enabled);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_disable_slot, 0)), k_trb_error);
}

TEST_F(Xhci, slots_allTaken_saysSo) {
    driver.start();
    driver.set_op(k_config, 2);
    EXPECT_EQ(driver.command(k_trb_enable_slot)->slot(), 1);
    EXPECT_EQ(driver.command(k_trb_enable_slot)->slot(), 2);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_enable_slot)), k_no_slots);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_disable_slot, 1)), k_success);
    EXPECT_EQ(driver.command(k_trb_enable_slot)->slot(), 1);
}

TEST_F(Xhci, port_usb2DevicePluggedIn_isEnabledByReset) {
    driver.start();
    ASSERT_EQ(*xhci->plug(std::make_unique<ProbeDevice>()), 1U);
    const auto event = driver.event(k_trb_port_status_change);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->parameter, 1U << 24);
    EXPECT_EQ(driver.portsc(1) & (k_portsc_ccs | k_portsc_ped | k_portsc_csc), k_portsc_ccs | k_portsc_csc);
    driver.set_portsc(1, k_portsc_csc | k_portsc_pp);
    driver.set_portsc(1, k_portsc_pr | k_portsc_pp);
    EXPECT_TRUE(driver.event(k_trb_port_status_change));
    const uint32_t portsc = driver.portsc(1);
    EXPECT_EQ(portsc & (k_portsc_ped | k_portsc_pr | k_portsc_prc | k_portsc_csc), k_portsc_ped | k_portsc_prc);
    EXPECT_EQ((portsc & k_portsc_speed) >> k_portsc_speed_shift, 3U);
    EXPECT_EQ((portsc & k_portsc_pls) >> k_portsc_pls_shift, k_link_u0);
    EXPECT_NE(driver.op(k_usbsts) & k_sts_pcd, 0U);
}

TEST_F(Xhci, port_superSpeedDevice_isEnabledAtOnceAndAfterWarmReset) {
    ASSERT_EQ(*xhci->plug(std::make_unique<ProbeDevice>(UsbSpeed::super)), 9U);
    driver.start();
    EXPECT_EQ(driver.portsc(9) & (k_portsc_ccs | k_portsc_ped), k_portsc_ccs | k_portsc_ped);
    EXPECT_TRUE(driver.event(k_trb_port_status_change)) << "told when the controller starts";
    driver.set_portsc(9, k_portsc_wpr | k_portsc_pp | k_portsc_csc);
    EXPECT_EQ(driver.portsc(9) & k_portsc_changes, k_portsc_wrc | k_portsc_prc);
}

TEST_F(Xhci, port_pulledOut_failsWhatIsUnderWay) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 64));
    EXPECT_NE(xhci->unplug(1), nullptr);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_transaction_error);
    EXPECT_EQ(driver.portsc(1) & (k_portsc_ccs | k_portsc_ped | k_portsc_csc), k_portsc_csc);
    EXPECT_EQ(driver.endpoint_state(slot, 3), k_ep_halted);
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, 4, XhciDriver::k_data, 8)), k_transaction_error);
    EXPECT_EQ(xhci->unplug(1), nullptr);
}

TEST_F(Xhci, addressDevice_fillsTheOutputContext) {
    const unsigned slot = start_probe();
    EXPECT_EQ(driver.slot_state(slot), k_slot_configured);
    EXPECT_EQ(driver.context(slot, 0).words[3] & 0xff, slot);
    EXPECT_EQ(driver.context(slot, 0).words[0] >> 27, 4U);
    EXPECT_EQ(driver.endpoint_state(slot, 1), k_ep_running);
    EXPECT_EQ(driver.endpoint_state(slot, 4), k_ep_running);
    EXPECT_EQ(driver.endpoint_state(slot, 5), k_ep_disabled);
}

TEST_F(Xhci, addressDevice_blocked_leavesTheSlotInDefault) {
    ASSERT_TRUE(xhci->plug(std::make_unique<ProbeDevice>()));
    driver.start();
    const unsigned slot = driver.address_device(1, k_trb_block_set_address);
    EXPECT_EQ(driver.slot_state(slot), k_slot_default);
    driver.put_control_input(slot, 1, 64);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_address_device, slot, XhciDriver::k_input)), k_success);
    EXPECT_EQ(driver.slot_state(slot), k_slot_addressed);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_address_device, slot, XhciDriver::k_input)), k_context_state_error);
}

TEST_F(Xhci, addressDevice_emptyPort_isATransactionError) {
    driver.start();
    const unsigned slot = driver.command(k_trb_enable_slot)->slot();
    driver.put_control_input(slot, 3, 64);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_address_device, slot, XhciDriver::k_input)), k_transaction_error);
    driver.put_control_input(slot, 200, 64);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_address_device, slot, XhciDriver::k_input)), k_parameter_error);
}

TEST_F(Xhci, resetDevice_dropsAllButTheControlEndpoint) {
    const unsigned slot = start_probe();
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_reset_device, slot)), k_success);
    EXPECT_EQ(driver.slot_state(slot), k_slot_default);
    EXPECT_EQ(driver.endpoint_state(slot, 3), k_ep_disabled);
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_reset_device, slot)), k_context_state_error);
}

TEST_F(Xhci, evaluateContext_changesThePacketSize) {
    const unsigned slot = start_probe();
    driver.put_control_input(slot, 1, 8);
    driver.put(XhciDriver::k_input + 4, uint32_t{2});
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_evaluate_context, slot, XhciDriver::k_input)), k_success);
    EXPECT_EQ(driver.context(slot, 1).words[1] >> 16, 8U);
}

TEST_F(Xhci, configureEndpoint_deconfigure_leavesTheSlotAddressed) {
    const unsigned slot = start_probe();
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_configure_endpoint, slot, 0, k_trb_deconfigure)), k_success);
    EXPECT_EQ(driver.slot_state(slot), k_slot_addressed);
    EXPECT_EQ(driver.endpoint_command(k_trb_stop_endpoint, slot, 3), k_endpoint_not_enabled);
}

TEST_F(Xhci, configureEndpoint_wrongType_isAParameterError) {
    const unsigned slot = start_probe();
    EXPECT_EQ(driver.configure_endpoints(slot, {{5, 2, 512}}), k_parameter_error) << "5 is an IN endpoint";
    EXPECT_EQ(driver.configure_endpoints(slot, {{5, 4, 512}}), k_parameter_error) << "control";
}

TEST_F(Xhci, portBandwidth_isWritten) {
    driver.start();
    EXPECT_EQ(XhciDriver::code(driver.command(k_trb_get_port_bandwidth, 0, XhciDriver::k_data)), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 3), (XhciDriver::Bytes{0, 80, 80}));
}

TEST_F(Xhci, interrupt_byPin_untilAcknowledged) {
    driver.start();
    ASSERT_TRUE(xhci->plug(std::make_unique<ProbeDevice>()));
    EXPECT_TRUE(intx());
    EXPECT_NE(driver.ir(k_iman) & k_iman_ip, 0U);
    EXPECT_NE(driver.ir(k_erdp) & k_erdp_ehb, 0U);
    driver.set_ir(k_iman, k_iman_ip | k_iman_ie);
    EXPECT_FALSE(intx());
    driver.set_ir(k_erdp, static_cast<uint32_t>(XhciDriver::k_events) | 8U);
    EXPECT_TRUE(intx()) << "an event is still in the ring";
    EXPECT_TRUE(driver.event(k_trb_port_status_change));
    EXPECT_FALSE(intx());
}

TEST_F(Xhci, interrupt_handlerBusy_isNotInterruptedAgain) {
    driver.start();
    ASSERT_TRUE(xhci->plug(std::make_unique<ProbeDevice>()));
    driver.set_ir(k_iman, k_iman_ip | k_iman_ie);
    ASSERT_TRUE(xhci->plug(std::make_unique<ProbeDevice>()));
    EXPECT_FALSE(intx());
}

TEST_F(Xhci, interrupt_byMessage_clearsItself) {
    driver.start();
    const unsigned first = bus.config_read(XhciDriver::k_address, 0x34, 1);
    unsigned msix = first;
    while (msix != 0 && bus.config_read(XhciDriver::k_address, msix, 1) != 0x11) {
        msix = bus.config_read(XhciDriver::k_address, msix + 1, 1);
    }
    ASSERT_NE(msix, 0U);
    driver.set_reg(k_msix_table, 0xfee0'0000);
    driver.set_reg(k_msix_table + 8, 0x51);
    driver.set_reg(k_msix_table + 12, 0);
    bus.config_write(XhciDriver::k_address, msix + 2, 2, 0x8000);
    ASSERT_TRUE(xhci->plug(std::make_unique<ProbeDevice>()));
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].data, 0x51U);
    EXPECT_EQ(driver.ir(k_iman) & k_iman_ip, 0U);
    EXPECT_FALSE(intx());
}

TEST_F(Xhci, eventRing_full_saysSoAndGoesOnWhenThereIsRoom) {
    driver.start(16);
    // Forty commands without looking at their events.
    XhciDriver::Ring ring{XhciDriver::k_rings, 0, true};
    driver.set_op(k_crcr, k_crcr_cs);
    driver.set_op(k_crcr, static_cast<uint32_t>(ring.start) | 1);
    for (unsigned count = 0; count < 40; ++count) {
        driver.push(ring, {0, 0, trb_type_bits(k_trb_no_op_command)});
    }
    driver.doorbell(0, 0);
    unsigned completed = 0;
    unsigned full = 0;
    for (unsigned round = 0; round < 10; ++round) {
        while (const auto event = driver.next_event()) {
            completed += event->type() == k_trb_command_completion ? 1 : 0;
            full += event->type() == k_trb_host_controller_event ? 1 : 0;
        }
        driver.tell_dequeue();
    }
    EXPECT_EQ(completed, 40U);
    EXPECT_GE(full, 2U);
}

TEST_F(Xhci, control_in_movesWhatTheDeviceHas) {
    const unsigned slot = start_probe();
    probe->answer = {1, 2, 3, 4, 5};
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x80, 6, 0x100, 0, 64)), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 6), (XhciDriver::Bytes{1, 2, 3, 4, 5, 0}));
    EXPECT_EQ(probe->requests.back().value, 0x100);
}

TEST_F(Xhci, control_out_isCarriedOutWithItsData) {
    const unsigned slot = start_probe();
    driver.write(XhciDriver::k_data, {9, 8, 7});
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x21, 9, 0x200, 0, 3)), k_success);
    EXPECT_EQ(probe->received, (std::vector<uint8_t>{9, 8, 7}));
}

TEST_F(Xhci, control_refused_haltsUntilReset) {
    const unsigned slot = start_probe();
    probe->control_answer = UsbAnswer::stall;
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x80, 6, 0x100, 0, 64)), k_stall_error);
    EXPECT_EQ(driver.endpoint_state(slot, 1), k_ep_halted);
    driver.recover(slot, 1);
    probe->control_answer = UsbAnswer::ack;
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0, 9, 1, 0, 0)), k_success);
}

TEST_F(Xhci, transfer_immediateData_comeFromTheTrb) {
    const unsigned slot = start_probe();
    driver.push(slot, 4, {0x0807'0605'0403'0201, 5, trb_type_bits(k_trb_normal) | k_trb_idt | k_trb_ioc});
    driver.doorbell(slot, 4);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
    EXPECT_EQ(probe->received, (std::vector<uint8_t>{1, 2, 3, 4, 5}));
}

TEST_F(Xhci, transfer_chainAcrossALink_isOne) {
    const unsigned slot = start_probe();
    for (unsigned count = 0; count < XhciDriver::k_ring_trbs - 3; ++count) {
        driver.push(slot, 4, {0, 0, trb_type_bits(k_trb_no_op)});
    }
    driver.doorbell(slot, 4);
    for (uint8_t piece = 0; piece < 4; ++piece) {
        driver.write(XhciDriver::k_data + piece * 16U, {piece, piece});
        driver.push(slot, 4, {XhciDriver::k_data + piece * 16U, 2,
                              trb_type_bits(k_trb_normal) | (piece < 3 ? k_trb_chain : k_trb_ioc)});
    }
    driver.doorbell(slot, 4);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
    EXPECT_EQ(probe->received, (std::vector<uint8_t>{0, 0, 1, 1, 2, 2, 3, 3}));
    EXPECT_EQ(probe->asked.size(), 1U);
}

TEST_F(Xhci, transfer_short_tellsTheResidueAtTheTrbThatWasShort) {
    const unsigned slot = start_probe();
    probe->answer = {1, 2, 3, 4, 5, 6};
    const uint32_t normal = trb_type_bits(k_trb_normal) | k_trb_isp;
    driver.push(slot, 3, {XhciDriver::k_data, 4, normal | k_trb_chain});
    const GuestAddress second = driver.push(slot, 3, {XhciDriver::k_data + 4, 8, normal | k_trb_chain});
    driver.push(slot, 3, {XhciDriver::k_data + 12, 4, normal | k_trb_ioc});
    driver.doorbell(slot, 3);
    const auto event = driver.transfer_event();
    EXPECT_EQ(XhciDriver::code(event), k_short_packet);
    EXPECT_EQ(event->parameter, second);
    EXPECT_EQ(event->status & 0xff'ffff, 6U);
    EXPECT_FALSE(driver.transfer_event()) << "once is enough";
}

TEST_F(Xhci, transfer_eventData_tellsHowMuchCame) {
    const unsigned slot = start_probe();
    probe->answer = {1, 2, 3, 4, 5, 6};
    driver.push(slot, 3, {XhciDriver::k_data, 4, trb_type_bits(k_trb_normal) | k_trb_chain});
    driver.push(slot, 3, {XhciDriver::k_data + 4, 8, trb_type_bits(k_trb_normal) | k_trb_chain});
    driver.push(slot, 3, {0xfeed'f00d'1234, 0, trb_type_bits(k_trb_data_event) | k_trb_ioc});
    driver.doorbell(slot, 3);
    const auto event = driver.transfer_event();
    EXPECT_EQ(XhciDriver::code(event), k_short_packet);
    EXPECT_EQ(event->parameter, 0xfeed'f00d'1234U);
    EXPECT_EQ(event->status & 0xff'ffff, 6U);
    EXPECT_NE(event->control & k_trb_event_data, 0U);
}

TEST_F(Xhci, transfer_waiting_goesOnWhenTheDeviceHasMore) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    probe->answer = {1, 2};
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 4));
    probe->answer = {3, 4};
    wake(1 | k_usb_in);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 4), (XhciDriver::Bytes{1, 2, 3, 4}));
}

TEST_F(Xhci, transfer_blockedEventInterrupt_bringsNoInterrupt) {
    const unsigned slot = start_probe();
    driver.tell_dequeue();
    driver.push(slot, 4, {XhciDriver::k_data, 4, trb_type_bits(k_trb_normal) | k_trb_ioc | k_trb_bei});
    driver.doorbell(slot, 4);
    EXPECT_FALSE(intx());
    EXPECT_TRUE(driver.next_event());
}

TEST_F(Xhci, stopEndpoint_tellsHowFarItGotAndGoesOnByDoorbell) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    probe->answer = {1, 2};
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 4));
    EXPECT_EQ(driver.endpoint_command(k_trb_stop_endpoint, slot, 3), k_success);
    const auto stopped = driver.transfer_event();
    EXPECT_EQ(XhciDriver::code(stopped), k_stopped);
    EXPECT_EQ(stopped->status & 0xff'ffff, 2U);
    EXPECT_EQ(driver.endpoint_state(slot, 3), k_ep_stopped);
    probe->answer = {3, 4};
    wake(1 | k_usb_in);
    EXPECT_FALSE(driver.transfer_event());
    driver.doorbell(slot, 3);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 4), (XhciDriver::Bytes{1, 2, 3, 4}));
    EXPECT_EQ(driver.endpoint_command(k_trb_reset_endpoint, slot, 3), k_context_state_error);
}

TEST_F(Xhci, setDequeue_leavesOutWhatWasCancelled) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 4));
    EXPECT_EQ(driver.endpoint_command(k_trb_set_tr_dequeue, slot, 3, 0x5000), k_context_state_error);
    EXPECT_EQ(driver.endpoint_command(k_trb_stop_endpoint, slot, 3), k_success);
    EXPECT_EQ(driver.endpoint_command(k_trb_set_tr_dequeue, slot, 3, XhciDriver::dequeue(driver.ring(slot, 3))), k_success);
    EXPECT_TRUE(driver.transfer_event());
    probe->answer = {7, 7, 7, 7};
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, 3, XhciDriver::k_data + 16, 4)), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 1)[0], 0);
    EXPECT_EQ(driver.read(XhciDriver::k_data + 16, 1)[0], 7);
}

TEST_F(Xhci, stall_haltsTheEndpointUntilReset) {
    const unsigned slot = start_probe();
    probe->stalls = true;
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, 3, XhciDriver::k_data, 4)), k_stall_error);
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 4)) << "the doorbell does not help";
    probe->stalls = false;
    driver.recover(slot, 3);
    probe->answer = {1, 2, 3, 4};
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, 3, XhciDriver::k_data, 4)), k_success);
}

TEST_F(Xhci, dataOutsideMemory_isAnErrorOfTheTrb) {
    const unsigned slot = start_probe();
    probe->answer = {1, 2, 3, 4};
    EXPECT_EQ(XhciDriver::code(driver.normal(slot, 3, 0xffff'0000'0000, 4)), k_trb_error);
    EXPECT_EQ(driver.endpoint_state(slot, 3), k_ep_error);
    EXPECT_EQ(driver.endpoint_command(k_trb_set_tr_dequeue, slot, 3, XhciDriver::dequeue(driver.ring(slot, 3))), k_success);
    EXPECT_EQ(driver.endpoint_state(slot, 3), k_ep_stopped);
}

TEST_F(Xhci, ringOfLinks_isAnErrorNotALoop) {
    const unsigned slot = start_probe();
    driver.put(driver.ring(slot, 3).start, Trb{driver.ring(slot, 3).start, 0, trb_type_bits(k_trb_link) | 1});
    driver.doorbell(slot, 3);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_trb_error);
}

TEST_F(Xhci, endlessRing_isTakenInPortions) {
    const unsigned slot = start_probe();
    const GuestAddress start = driver.ring(slot, 4).start;
    driver.put(start, Trb{0, 0, trb_type_bits(k_trb_no_op) | 1});
    driver.put(start + 16, Trb{start, 0, trb_type_bits(k_trb_link) | 1});
    driver.doorbell(slot, 4);  // comes back
    clock.advance(1'000'000);
    EXPECT_EQ(driver.endpoint_command(k_trb_stop_endpoint, slot, 4), k_success);
    clock.advance(1'000'000);
    EXPECT_EQ(driver.endpoint_state(slot, 4), k_ep_stopped);
}

TEST_F(Xhci, suspendedPort_wakesTheHostIfAllowed) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 2));
    driver.set_portsc(1, k_portsc_pp | k_portsc_lws | k_link_u3 << k_portsc_pls_shift);
    driver.set_portsc(1, k_portsc_pp | k_portsc_changes);
    probe->answer = {1, 2};
    wake(1 | k_usb_in);
    EXPECT_EQ((driver.portsc(1) & k_portsc_pls) >> k_portsc_pls_shift, k_link_u3);
    probe->wakes = true;
    wake(1 | k_usb_in);
    EXPECT_EQ((driver.portsc(1) & k_portsc_pls) >> k_portsc_pls_shift, k_link_resume);
    EXPECT_NE(driver.portsc(1) & k_portsc_plc, 0U);
    EXPECT_FALSE(driver.transfer_event());
    driver.set_portsc(1, k_portsc_pp | k_portsc_lws);
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
}

TEST_F(Xhci, halted_doesNothing) {
    const unsigned slot = start_probe();
    driver.set_op(k_usbcmd, 0);
    EXPECT_NE(driver.op(k_usbsts) & k_sts_hch, 0U);
    probe->answer = {1, 2};
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 2));
    EXPECT_TRUE(probe->asked.empty());
}

TEST_F(Xhci, microframes_countWhileItRuns) {
    driver.start();
    clock.advance(1'000'000);
    EXPECT_EQ(driver.reg(k_runtime), 8U);
}

TEST_F(Xhci, saveAndLoad_inMidTransfer_goesOn) {
    const unsigned slot = start_probe();
    probe->ends_short = false;
    probe->answer = {1, 2};
    EXPECT_FALSE(driver.normal(slot, 3, XhciDriver::k_data, 4));
    xhci->pause();
    const auto state = saved();
    StateReader reader(state);
    xhci->load(reader);
    EXPECT_TRUE(reader.ok()) << reader.status().error().message;
    EXPECT_EQ(saved(), state);
    probe->answer = {3, 4};
    xhci->resume();
    EXPECT_EQ(XhciDriver::code(driver.transfer_event()), k_success);
    EXPECT_EQ(driver.read(XhciDriver::k_data, 4), (XhciDriver::Bytes{1, 2, 3, 4}));
}

TEST_F(Xhci, saveAndLoad_afterControlTransfersWithData_isPossible) {
    const unsigned slot = start_probe();
    probe->answer = {1, 2, 3};
    EXPECT_EQ(driver.control(slot, XhciDriver::setup(0x80, 6, 0x100, 0, 64)), k_success);
    xhci->pause();
    const auto state = saved();
    StateReader reader(state);
    xhci->load(reader);
    EXPECT_TRUE(reader.ok()) << reader.status().error().message;
    EXPECT_EQ(saved(), state);
}

TEST_F(Xhci, load_otherDeviceInThePort_isRefused) {
    start_probe();
    xhci->pause();
    const auto state = saved();
    static_cast<void>(xhci->unplug(1));
    StateReader reader(state);
    xhci->load(reader);
    EXPECT_FALSE(reader.ok());
}

TEST_F(Xhci, reset_afterWork_isAsNew) {
    start_probe();
    static_cast<void>(xhci->unplug(1));
    xhci->reset();
    const auto state = saved();
    XhciMachine fresh;
    EXPECT_EQ(state, fresh.saved());
}

TEST_F(Xhci, plug_allPortsTaken_isRefused) {
    for (unsigned port = 1; port <= k_usb2_ports; ++port) {
        EXPECT_EQ(*xhci->plug(std::make_unique<ProbeDevice>()), port);
    }
    EXPECT_EQ(xhci->plug(std::make_unique<ProbeDevice>()).error().kind, ErrorKind::no_space);
}

}  // namespace
}  // namespace skep::test
