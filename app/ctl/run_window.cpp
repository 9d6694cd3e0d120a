// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/run_window.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "app/ctl/command.hpp"
#include "app/ctl/view_program.hpp"
#include "vmm/control/client.hpp"

namespace skep {
namespace {

constexpr int k_look_again_ms = 20;

// The worker makes its socket once the machine is built.
Result<Fd> open_screen(const std::filesystem::path& socket, int worker) {
    while (true) {
        auto client = ControlClient::connect(socket, k_program_name);
        if (client) {
            return client->open_screen();
        }
        pollfd waiting{worker, POLLIN, 0};
        if (::poll(&waiting, 1, k_look_again_ms) != 0) {
            return tl::unexpected(client.error());
        }
    }
}

}  // namespace

RunWindow::~RunWindow() {
    if (m_pid > 0) {
        kill(m_pid, SIGKILL);
        waitpid(m_pid, nullptr, 0);
    }
}

Status RunWindow::open(const std::filesystem::path& socket, int worker) {
    const Result<Fd> screen = open_screen(socket, worker);
    if (!screen) {
        return tl::unexpected(screen.error());
    }
    const pid_t parent = getpid();
    m_pid = fork();
    if (m_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            std::fprintf(stderr, "%s\n", become_view(*screen, "Skep").message.c_str());
        }
        _exit(1);
    }
    if (m_pid < 0) {
        return fail_errno(errno, "Cannot open a window");
    }
    m_ended.reset(static_cast<int>(syscall(SYS_pidfd_open, m_pid, 0)));
    return {};
}

}  // namespace skep
