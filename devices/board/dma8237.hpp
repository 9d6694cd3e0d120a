// SPDX-License-Identifier: GPL-3.0-or-later
// Dma8237: the registers of the pair of 8237 DMA controllers and their page registers at 0x00, 0x80 and 0xc0
// (Intel 8237A data sheet; ICH9 data sheet 13.2), so that probing behaves. Port 0x80 also takes POST codes.
// Left out: transfers; no ISA device of this board does DMA.
#pragma once

#include <array>

#include "vmm/device/device.hpp"

namespace skep {

class Dma8237 final : public Device, public IoHandler {
  public:
    explicit Dma8237(IoSpace& ports);

    [[nodiscard]] std::string name() const override { return "dma"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    // offset: the port. The 16-bit controller's registers lie at even ports only.
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    struct Controller {
        std::array<uint16_t, 8> counters{};  // address and count of channels 0..3
        uint8_t command = 0;
        uint8_t request = 0;
        uint8_t mask = 0x0f;
        std::array<uint8_t, 4> modes{};
        bool high_next = false;
    };
    struct Window final : IoHandler {
        Window(Dma8237& dma, uint64_t start) : owner(dma), first(start) {}
        uint64_t io_read(uint64_t offset, unsigned size) override { return owner.io_read(first + offset, size); }
        void io_write(uint64_t offset, unsigned size, uint64_t value) override {
            owner.io_write(first + offset, size, value);
        }
        Dma8237& owner;
        uint64_t first;
    };
    static uint8_t read(Controller& controller, unsigned reg);
    static void write(Controller& controller, unsigned reg, uint8_t value);

    mutable IoGate m_gate;
    std::array<Controller, 2> m_controllers;
    std::array<uint8_t, 16> m_pages{};
    Window m_page_window{*this, 0x80};
    Window m_second_window{*this, 0xc0};
    std::array<IoClaim, 3> m_claims;
};

}  // namespace skep
