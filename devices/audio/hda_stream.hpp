// SPDX-License-Identifier: GPL-3.0-or-later
// One stream descriptor of the HD audio controller: its registers, its place in the guest's cyclic buffer, and the pace
// at which frames fall due (HD Audio 1.0a, 3.3.35 to 3.3.44, 3.6 and 4.5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/audio/hda_format.hpp"
#include "devices/audio/hda_register.hpp"
#include "devices/audio/stream_pace.hpp"
#include "vmm/base/log.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

enum class HdaDirection { input, output };

class HdaStream {
  public:
    struct Controller {
        GuestMemory& memory;
        GuestErrorLog& errors;
        Clock& clock;
    };
    HdaStream(Controller controller, unsigned index, HdaDirection direction)
        : m_controller(controller), m_index(index), m_direction(direction) {}

    void reset();
    // reg: from the descriptor's start, of hda::k_sd_ctl and so on.
    [[nodiscard]] uint32_t read(unsigned reg) const;
    void write(unsigned reg, hda::RegisterWrite written);
    // SSYNC: stands still while held.
    void hold(bool held);

    [[nodiscard]] unsigned index() const { return m_index; }
    [[nodiscard]] HdaDirection direction() const { return m_direction; }
    // Carries frames now: RUN, not held, in a format that there is.
    [[nodiscard]] bool running() const { return m_format.has_value() && wants_to_run(); }
    [[nodiscard]] uint8_t tag() const;  // 0: none
    [[nodiscard]] const hda::StreamFormat& format() const { return *m_format; }  // only while running()
    [[nodiscard]] uint32_t position() const { return m_regs.lpib; }
    [[nodiscard]] bool interrupt_pending() const;

    // Only while running(). Frames that fell due by now, at a pace that much off the nominal one.
    [[nodiscard]] size_t due(int32_t ppm);
    // How many of so many frames may be moved at once: to the end of a buffer. None behind the end of a buffer with an
    // interrupt, so that the driver sees that first, or when a list of tiny buffers has exhausted its budget, until
    // due() is called again.
    [[nodiscard]] size_t ahead(size_t frames);
    // Takes frames out of the guest's buffer, or puts them there, and moves on. Fewer bytes than asked for when the
    // stream stops by an error or its budget is exhausted.
    [[nodiscard]] size_t fetch(std::span<std::byte> to);
    [[nodiscard]] size_t store(std::span<const std::byte> from);
    // The frames so moved no longer are due.
    void spend(size_t frames) { m_pace.spend(frames); }
    // See StreamPace.
    void forgive() { m_pace.forgive(); }
    // When it wants to be looked at again: at the end of a buffer that asks for an interrupt, or soon.
    [[nodiscard]] Nanoseconds next_look() const;

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    struct Registers {
        uint32_t ctl = 0;
        uint32_t sts = 0;
        uint32_t lpib = 0;
        uint32_t cbl = 0;
        uint32_t lvi = 0;
        uint32_t fmt = 0;
        uint32_t bdpl = 0;
        uint32_t bdpu = 0;
    };
    // The buffer being worked on, read once from the list.
    struct Entry {
        GuestAddress address = 0;
        uint32_t left = 0;  // bytes
        bool interrupts = false;
        bool taken = false;
        uint32_t index = 0;
    };

    [[nodiscard]] bool wants_to_run() const;
    void write_control(hda::RegisterWrite written);
    void set_format(uint32_t fmt);
    // Calls piece(address, offset, size) for stretches of the guest's buffers until `size` bytes are done.
    template <typename Piece>
    size_t walk(size_t size, Piece piece);
    [[nodiscard]] bool take_entry();
    void finish_entry();
    void fail(const char* why);

    Controller m_controller;
    unsigned m_index;
    HdaDirection m_direction;
    Registers m_regs;
    Entry m_entry;
    bool m_held = false;
    bool m_interrupted = false;  // since due() was called
    unsigned m_budget = 0;       // stretches of memory that may be touched until it is called again
    std::optional<hda::StreamFormat> m_format;  // of m_regs.fmt
    StreamPace m_pace;
};

}  // namespace skep
