// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/terminal.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace skep {
namespace {

// For the handlers of signals that kill: they may only use async-signal-safe functions, of which tcsetattr is one.
termios g_saved;
volatile sig_atomic_t g_saved_fd = -1;

void restore_terminal() {
    if (g_saved_fd >= 0) {
        tcsetattr(g_saved_fd, TCSADRAIN, &g_saved);
        g_saved_fd = -1;
    }
}

void restore_and_die(int signal_number) {
    restore_terminal();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

}  // namespace

RawTerminal::RawTerminal(int fd) : m_fd(fd) {
    if (isatty(fd) == 0 || tcgetattr(fd, &g_saved) != 0) {
        return;
    }
    m_is_terminal = true;
    g_saved_fd = fd;
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGQUIT}) {
        signal(number, restore_and_die);
    }
    termios raw = g_saved;
    cfmakeraw(&raw);
    tcsetattr(fd, TCSADRAIN, &raw);
}

RawTerminal::~RawTerminal() { restore_terminal(); }

EndSignals::EndSignals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&wanted, number);
    }
    sigprocmask(SIG_BLOCK, &wanted, &m_old);
    m_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

EndSignals::~EndSignals() {
    close(m_fd);
    restore();
}

int EndSignals::take() const {
    signalfd_siginfo info{};
    return read(m_fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

Typed read_typed(int fd, char* buffer, size_t size, bool watch_escape) {
    const ssize_t got = read(fd, buffer, size);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return {};
    }
    if (got <= 0) {
        return {{}, false, true};
    }
    const std::string_view bytes(buffer, static_cast<size_t>(got));
    const size_t escape = watch_escape ? bytes.find(k_escape_key) : std::string_view::npos;
    return {bytes.substr(0, escape), escape != std::string_view::npos, false};
}

}  // namespace skep
