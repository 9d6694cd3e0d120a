// SPDX-License-Identifier: GPL-3.0-or-later
// How the driver talks to codecs: the rings of commands (CORB) and responses (RIRB), and the immediate registers
// (HD Audio 1.0a, 3.3.14 to 3.3.34 and 4.4). The only codec answers at once, within the access that gave the command.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "devices/audio/hda_codec.hpp"
#include "devices/audio/hda_register.hpp"
#include "vmm/base/log.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

class HdaCommands {
  public:
    struct Controller {
        GuestMemory& memory;
        GuestErrorLog& errors;
        HdaCodec& codec;
        std::function<bool()> may_dma;
    };
    explicit HdaCommands(Controller controller) : m_controller(std::move(controller)) {}

    void reset();
    // reg: hda::k_corblbase to hda::k_icis, the offset of a register.
    [[nodiscard]] uint32_t read(unsigned reg) const;
    void write(unsigned reg, hda::RegisterWrite written);
    // Carries out what waits in the CORB: after a write, or when the function has become a bus master.
    void run();
    // An enabled interrupt of the rings waits for the driver.
    [[nodiscard]] bool interrupt_pending() const;

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    void write_corb(unsigned reg, hda::RegisterWrite written);
    void write_rirb(unsigned reg, hda::RegisterWrite written);
    void write_immediate_status(hda::RegisterWrite written);
    [[nodiscard]] std::optional<uint32_t> execute(uint32_t command);
    void respond(uint32_t response);

    struct Registers {
        uint32_t corblbase = 0;
        uint32_t corbubase = 0;
        uint32_t corbwp = 0;
        uint32_t corbrp = 0;
        uint32_t corbctl = 0;
        uint32_t corbsts = 0;
        uint32_t rirblbase = 0;
        uint32_t rirbubase = 0;
        uint32_t rirbwp = 0;
        uint32_t rintcnt = 0;
        uint32_t rirbctl = 0;
        uint32_t rirbsts = 0;
        uint32_t icoi = 0;
        uint32_t icii = 0;
        uint32_t icis = 0;
    };

    Controller m_controller;
    Registers m_regs;
};

}  // namespace skep
