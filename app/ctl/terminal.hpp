// SPDX-License-Identifier: GPL-3.0-or-later
// RawTerminal: the user's terminal in raw mode, given back as it was in every way out, signals included.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <termios.h>

#include <optional>
#include <string_view>

namespace skep {

inline constexpr char k_escape_key = 0x1d;  // Ctrl-]

class RawTerminal {
  public:
    // Does nothing when fd is no terminal. One at a time in a process.
    explicit RawTerminal(int fd);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    [[nodiscard]] bool is_terminal() const { return m_is_terminal; }

  private:
    int m_fd;
    bool m_is_terminal = false;
};

// The signals that end a program (SIGINT, SIGTERM, SIGHUP), blocked for this process and readable from fd() instead.
class EndSignals {
  public:
    EndSignals();
    ~EndSignals();
    EndSignals(const EndSignals&) = delete;
    EndSignals& operator=(const EndSignals&) = delete;
    [[nodiscard]] int fd() const { return m_fd; }
    // The signal that has arrived, 0 when none.
    [[nodiscard]] int take() const;
    // For a child, before exec.
    void restore() const { sigprocmask(SIG_SETMASK, &m_old, nullptr); }

  private:
    int m_fd = -1;
    sigset_t m_old{};
};

// Reads what the user typed, up to the escape key. Sets `left` when that was pressed, `ended` at end of file.
struct Typed {
    std::string_view bytes;
    bool left = false;
    bool ended = false;
};
[[nodiscard]] Typed read_typed(int fd, char* buffer, size_t size, bool watch_escape);

}  // namespace skep
