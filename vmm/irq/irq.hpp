// SPDX-License-Identifier: GPL-3.0-or-later
// Interrupt wires and messages, as values that devices hold.
#pragma once

#include <cstdint>

namespace skep {

// Takes the level of numbered input lines. For the board, line n is GSI n (ISA IRQ n goes to the 8259s
// too; GSI 16..23 are the PCI interrupts PIRQA..PIRQH). Any thread.
class IrqSink {
  public:
    virtual ~IrqSink() = default;
    virtual void set_line(unsigned line, bool level) = 0;
};

// One wire to a sink; may be detached (tests). Remembers its level so that only changes travel.
class IrqLine {
  public:
    IrqLine() = default;
    IrqLine(IrqSink& sink, unsigned line) : m_sink(&sink), m_line(line) {}

    void set(bool level) {
        if (level != m_level) {
            m_level = level;
            if (m_sink != nullptr) {
                m_sink->set_line(m_line, level);
            }
        }
    }
    void pulse() {
        set(true);
        set(false);
    }
    [[nodiscard]] bool level() const { return m_level; }
    // Restoring a saved machine: the sink restores its own inputs, so no edge is sent.
    void restore(bool level) { m_level = level; }

  private:
    IrqSink* m_sink = nullptr;
    unsigned m_line = 0;
    bool m_level = false;
};

// A message-signalled interrupt: a 32-bit write of `data` to 0xfeexxxxx (Intel SDM 3A, 11.11).
struct MsiMessage {
    uint64_t address = 0;
    uint32_t data = 0;
};

class MsiSink {
  public:
    virtual ~MsiSink() = default;
    virtual void deliver(MsiMessage message) = 0;  // any thread
};

}  // namespace skep
