// SPDX-License-Identifier: GPL-3.0-or-later
// A small guest-side HD audio driver: link reset, rings of commands, streams over a cyclic buffer in guest RAM, as an
// operating system would do them.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "devices/audio/hda_controller.hpp"
#include "devices/audio/hda_verbs.hpp"
#include "devices/pci/pci_bus.hpp"
#include "tests/support/fake_machine.hpp"
#include "tests/support/recording_sound.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {

class HdaDriver {
  public:
    static constexpr uint64_t k_registers = 0xc200'0000;
    static constexpr PciAddress k_address = HdaController::k_pci_address;
    static constexpr GuestAddress k_corb = 0x1'0000;
    static constexpr GuestAddress k_rirb = 0x1'1000;
    static constexpr GuestAddress k_positions = 0x1'2000;
    static constexpr unsigned k_first_output = hda::k_input_streams;
    static constexpr uint32_t k_dac = 2, k_line_out = 3, k_adc = 4, k_microphone = 5;

    HdaDriver(FakeMachine& machine, PciBus& bus) : m_machine(machine), m_bus(bus) {}

    uint32_t reg(unsigned offset, unsigned size = 4) {
        return static_cast<uint32_t>(m_machine.mmio.read(k_registers + offset, size));
    }
    void set_reg(unsigned offset, uint32_t value, unsigned size = 4) { m_machine.mmio.write(k_registers + offset, size, value); }

    void enable_pci() {
        m_bus.config_write(k_address, 0x10, 4, static_cast<uint32_t>(k_registers));
        m_bus.config_write(k_address, 0x14, 4, 0);
        m_bus.config_write(k_address, 0x04, 2, 6);
    }
    void enable_msi() {
        const unsigned capability = m_bus.config_read(k_address, 0x34, 1);
        ASSERT_EQ(m_bus.config_read(k_address, capability, 1), 5U);
        m_bus.config_write(k_address, capability + 4, 4, 0xfee00000);
        m_bus.config_write(k_address, capability + 12, 2, 0x41);
        m_bus.config_write(k_address, capability + 2, 2, 1);
    }
    void reset_link() {
        set_reg(hda::k_gctl, 0);
        set_reg(hda::k_gctl, hda::k_gctl_crst);
    }
    void start_rings() {
        set_reg(hda::k_corblbase, k_corb);
        set_reg(hda::k_corbubase, 0);
        set_reg(hda::k_corbwp, 0, 2);
        set_reg(hda::k_corbrp, hda::k_pointer_rst, 2);
        set_reg(hda::k_corbrp, 0, 2);
        set_reg(hda::k_rirblbase, k_rirb);
        set_reg(hda::k_rirbubase, 0);
        set_reg(hda::k_rirbwp, hda::k_pointer_rst, 2);
        set_reg(hda::k_rintcnt, 1, 2);
        set_reg(hda::k_rirbctl, hda::k_rirbctl_dmaen | hda::k_rirbctl_rintctl, 1);
        set_reg(hda::k_corbctl, hda::k_corbctl_run, 1);
        m_read = 0;
    }
    void start() {
        enable_pci();
        reset_link();
        start_rings();
        set_reg(hda::k_intctl, hda::k_int_gie | hda::k_int_cie | hda::k_int_streams);
    }

    static uint32_t verb(uint32_t node, uint32_t id, uint32_t payload) {
        return node << 20 | (id < 0x10 ? id << 16 | payload : id << 8 | payload);
    }
    // By the rings; nothing when no response has come.
    std::optional<uint32_t> command(uint32_t command) {
        const uint32_t at = (reg(hda::k_corbwp, 2) + 1) & hda::k_pointer_mask;
        EXPECT_TRUE(m_machine.memory->write_value(k_corb + at * 4, command));
        set_reg(hda::k_corbwp, at, 2);
        if (reg(hda::k_rirbwp, 2) == m_read) {
            return std::nullopt;
        }
        m_read = (m_read + 1) & hda::k_pointer_mask;
        EXPECT_EQ(reg(hda::k_rirbwp, 2), m_read);
        EXPECT_EQ(*m_machine.memory->read_value<uint32_t>(k_rirb + m_read * 8 + 4), 0U) << "solicited, from codec 0";
        set_reg(hda::k_rirbsts, hda::k_rirbsts_rintfl, 1);
        return m_machine.memory->read_value<uint32_t>(k_rirb + m_read * 8);
    }
    uint32_t ask(uint32_t node, uint32_t id, uint32_t payload = 0) { return command(verb(node, id, payload)).value_or(0xdead'beef); }
    uint32_t parameter(uint32_t node, uint32_t parameter) { return ask(node, hda::k_verb_get_parameter, parameter); }

    // --- streams --------------------------------------------------------------------------------------
    struct Setup {
        unsigned stream = k_first_output;
        uint8_t tag = 1;
        uint16_t format = 0x0011;  // 48 kHz, 16 bits, stereo
        GuestAddress list = 0x1'3000;
        GuestAddress buffer = 0x2'0000;
        uint32_t fragment = 0x800;  // bytes, each with an interrupt
        uint32_t fragments = 4;
    };
    uint32_t sd(unsigned stream, unsigned offset, unsigned size = 4) {
        return reg(hda::k_streams_start + stream * hda::k_stream_size + offset, size);
    }
    void set_sd(unsigned stream, unsigned offset, uint32_t value, unsigned size = 4) {
        set_reg(hda::k_streams_start + stream * hda::k_stream_size + offset, value, size);
    }
    void write_entry(const Setup& setup, unsigned index, GuestAddress address, uint32_t length, bool interrupts) {
        const GuestAddress entry = setup.list + index * 16;
        EXPECT_TRUE(m_machine.memory->write_value<uint64_t>(entry, address));
        EXPECT_TRUE(m_machine.memory->write_value<uint32_t>(entry + 8, length));
        EXPECT_TRUE(m_machine.memory->write_value<uint32_t>(entry + 12, interrupts ? 1 : 0));
    }
    void prepare(const Setup& setup) {
        for (unsigned index = 0; index < setup.fragments; ++index) {
            write_entry(setup, index, setup.buffer + index * setup.fragment, setup.fragment, true);
        }
        set_sd(setup.stream, hda::k_sd_ctl, hda::k_sd_ctl_srst, 1);
        EXPECT_EQ(sd(setup.stream, hda::k_sd_ctl, 1), hda::k_sd_ctl_srst);
        set_sd(setup.stream, hda::k_sd_ctl, 0, 1);
        set_sd(setup.stream, hda::k_sd_bdpl, static_cast<uint32_t>(setup.list));
        set_sd(setup.stream, hda::k_sd_bdpu, 0);
        set_sd(setup.stream, hda::k_sd_cbl, setup.fragment * setup.fragments);
        set_sd(setup.stream, hda::k_sd_lvi, setup.fragments - 1, 2);
        set_sd(setup.stream, hda::k_sd_fmt, setup.format, 2);
        set_sd(setup.stream, hda::k_sd_ctl + 2, uint32_t{setup.tag} << 4, 1);
    }
    void run(unsigned stream) { set_sd(stream, hda::k_sd_ctl, 0x1c | hda::k_sd_ctl_run, 1); }
    void stop(unsigned stream) { set_sd(stream, hda::k_sd_ctl, 0x1c, 1); }
    // Tunes the DAC and opens the way to the jack, or from the microphone.
    void tune_output(uint8_t tag, uint16_t format = 0x0011) {
        ask(k_dac, hda::k_verb_set_format, format);
        ask(k_dac, hda::k_verb_set_stream, uint32_t{tag} << 4);
        ask(k_line_out, hda::k_verb_set_pin_control, hda::k_pin_out_enable);
    }
    void tune_input(uint8_t tag, uint16_t format = 0x0011) {
        ask(k_adc, hda::k_verb_set_format, format);
        ask(k_adc, hda::k_verb_set_stream, uint32_t{tag} << 4);
        ask(k_microphone, hda::k_verb_set_pin_control, hda::k_pin_in_enable);
    }

  private:
    FakeMachine& m_machine;
    PciBus& m_bus;
    uint32_t m_read = 0;
};

struct HdaMachine : FakeMachine {
    HdaMachine() : bus(context) {
        context.pci = &bus;
        hda = std::make_unique<HdaController>(context, sound);
        hda->reset();
    }
    [[nodiscard]] std::vector<std::byte> saved() const {
        StateWriter writer;
        hda->save(writer);
        return writer.bytes();
    }
    [[nodiscard]] bool intx() { return irqs.levels[intx_gsi(HdaDriver::k_address.slot, 1)]; }

    PciBus bus;
    std::shared_ptr<RecordingSound> sound = std::make_shared<RecordingSound>();
    std::unique_ptr<HdaController> hda;
};

}  // namespace skep::test
