// SPDX-License-Identifier: GPL-3.0-or-later
// Pic: the pair of 8259A interrupt controllers at 0x20 and 0xa0 with the edge/level registers 0x4d0 and
// 0x4d1 (Intel 8259A data sheet; ICH9 data sheet 5.8 and 13.4).
// Left out: 8080 mode (vectors are always the 8086's), buffered mode, the slave's own SFNM.
#pragma once

#include <array>
#include <functional>

#include "devices/board/lapic.hpp"
#include "vmm/device/device.hpp"

namespace skep {

// One 8259A. Not thread-safe.
class Pic8259 {
  public:
    enum class Role : uint8_t { master, slave };
    explicit Pic8259(Role role) : m_role(role) {}

    void reset();  // the input pins keep their levels
    void set_input(unsigned input, bool level);
    void set_level_triggered(uint8_t mask);  // ELCR
    [[nodiscard]] uint8_t level_triggered() const { return m_elcr; }
    [[nodiscard]] bool output() const { return pending() >= 0; }
    // INTA: the input that is taken, 7 with nothing latched when the request went away.
    unsigned acknowledge();
    [[nodiscard]] uint8_t vector_base() const { return m_vector_base; }
    uint8_t read(unsigned offset);
    void write(unsigned offset, uint8_t value);
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    [[nodiscard]] int pending() const;  // the input that would interrupt now, or -1
    [[nodiscard]] unsigned rank(unsigned input) const { return (input - m_lowest - 1) & 7; }
    [[nodiscard]] int highest_ranked(uint8_t mask) const;
    void take(unsigned input);
    void write_icw1(uint8_t value);
    void write_ocw2(uint8_t value);
    void write_ocw3(uint8_t value);

    Role m_role;
    uint8_t m_elcr = 0;
    uint8_t m_inputs = 0;  // levels of the pins
    uint8_t m_irr = 0;
    uint8_t m_isr = 0;
    uint8_t m_imr = 0;
    uint8_t m_vector_base = 0;
    uint8_t m_lowest = 7;    // the input of lowest priority
    uint8_t m_next_icw = 0;  // 2..4 while initialising, else 0
    bool m_wants_icw4 = false;
    bool m_single = false;
    bool m_level_mode = false;  // ICW1 LTIM
    bool m_auto_eoi = false;
    bool m_rotate_on_auto_eoi = false;
    bool m_special_fully_nested = false;
    bool m_special_mask = false;
    bool m_read_isr = false;
    bool m_poll = false;
};

class Pic final : public Device, public IoHandler, public ExtIntSource {
  public:
    // output: INTR of the master; called with the pair's gate held whenever it changes.
    Pic(IoSpace& ports, std::function<void(bool)> output);

    [[nodiscard]] std::string name() const override { return "pic"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

    void set_input(unsigned irq, bool level);  // 0..15 but 2; any thread
    uint8_t acknowledge() override;            // any thread

  private:
    void update();

    mutable IoGate m_gate;
    Pic8259 m_master{Pic8259::Role::master};
    Pic8259 m_slave{Pic8259::Role::slave};
    std::function<void(bool)> m_output;
    bool m_intr = false;

    // One handler for each block of ports, telling which it is.
    struct Window final : IoHandler {
        Window(Pic& pic, unsigned index) : owner(pic), first(index) {}
        uint64_t io_read(uint64_t offset, unsigned size) override { return owner.io_read(first + offset, size); }
        void io_write(uint64_t offset, unsigned size, uint64_t value) override {
            owner.io_write(first + offset, size, value);
        }
        Pic& owner;
        unsigned first;
    };
    Window m_slave_ports{*this, 2};
    Window m_elcr_ports{*this, 4};
    std::array<IoClaim, 3> m_claims;
};

}  // namespace skep
