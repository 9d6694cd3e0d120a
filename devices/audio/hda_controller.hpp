// SPDX-License-Identifier: GPL-3.0-or-later
// The ICH9's HD audio controller, 8086:293e at 00:1b.0, with one codec on its link (Intel High Definition Audio
// specification 1.0a; Intel ICH9 data sheet 316972, chapter 18). Left out: bidirectional streams, of which the ICH9 has
// none, striping, and payload limits, which memory never meets.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/audio/hda_commands.hpp"
#include "devices/audio/hda_link.hpp"
#include "devices/audio/hda_regs.hpp"
#include "devices/audio/hda_stream.hpp"
#include "devices/pci/pci_function.hpp"

namespace skep {

class HdaController final : public PciFunction {
  public:
    static constexpr PciAddress k_pci_address{0x1b, 0};

    // host: never null; it outlives the controller's streams of it.
    HdaController(DeviceContext& context, std::shared_ptr<SoundBackend> host);
    ~HdaController() override;

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // A register that holds the byte at an offset: where it starts and how long it is. Gaps are registers of a byte.
    struct Place {
        unsigned start;
        unsigned size;
    };
    [[nodiscard]] static Place place_of(unsigned offset);

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;
    void bus_master_allowed() override;

    [[nodiscard]] uint32_t read_register(unsigned reg);
    [[nodiscard]] uint32_t read_global(unsigned reg) const;
    void write_register(unsigned reg, hda::RegisterWrite written);
    void write_global(unsigned reg, hda::RegisterWrite written);
    void write_gctl(hda::RegisterWrite written);
    void write_ssync(hda::RegisterWrite written);
    [[nodiscard]] bool in_reset() const { return (m_gctl & hda::k_gctl_crst) == 0; }
    [[nodiscard]] uint32_t wall_clock() const;

    void link_reset();
    // Lets every stream do what has fallen due, tells the positions and the interrupts, and sets the timer.
    void advance_streams();
    void write_position(const HdaStream& stream);
    void schedule();
    void on_timer();
    [[nodiscard]] uint32_t interrupt_status() const;  // INTSTS without its top bit
    enum class Acknowledged { no, yes };
    void update_interrupts(Acknowledged acknowledged = Acknowledged::no);

    uint32_t m_gctl = 0;
    uint32_t m_wakeen = 0;
    uint32_t m_statests = 0;
    uint32_t m_gsts = 0;
    uint32_t m_intctl = 0;
    uint32_t m_ssync = 0;
    uint32_t m_dplbase = 0;
    uint32_t m_dpubase = 0;
    Nanoseconds m_wall_zero = 0;  // when the link came out of reset
    uint32_t m_signalled = 0;     // enabled causes at the last look, for messages
    HdaLink m_link;
    HdaCommands m_commands;
    std::vector<HdaStream> m_streams;  // inputs first
    bool m_paused = false;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
