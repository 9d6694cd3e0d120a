// SPDX-License-Identifier: GPL-3.0-or-later
// skep-net: the network of one machine's card, by address translation. Started by skep-vmm with a socket as descriptor 3;
// `skep-net --check` only tells whether it could work here.
// It goes on in a session of its own, so that whoever started it need not stay.
// This process never sees a byte of the guest's: it starts another that does, without rights but to Internet sockets, hands
// its socket to skep-vmm, and starts a new one when that ends.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "app/net/sandbox.hpp"
#include "devices/nat/nat_engine.hpp"
#include "devices/nat/resolver_page.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"
#include "vmm/base/passed_fds.hpp"

namespace skep {
namespace {

constexpr int k_channel = 3;
constexpr int k_look_at_resolver_every = 5000;  // milliseconds
constexpr useconds_t k_first_pause = 100'000;   // before a process that ended at once is started again, doubled each time
constexpr useconds_t k_longest_pause = 5'000'000;

ResolverPage* g_resolver = nullptr;  // libslirp asks by functions that take no argument for it: fopen64, stat64 below

std::string read_resolver() {
    const Fd file(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> text{};
    const ssize_t got = file ? read(file.get(), text.data(), text.size()) : 0;
    return {text.data(), static_cast<size_t>(std::max<ssize_t>(got, 0))};
}

[[noreturn]] void translate(Fd socket, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(0);
    }
    close(k_channel);
    NatEngine engine(std::move(socket));
    if (const Status entered = enter_network_sandbox(); !entered) {
        std::fprintf(stderr, "skep-net: %s\n", entered.error().message.c_str());
        _exit(1);
    }
    engine.run();
    _exit(0);
}

std::string describe_end(int status) {
    return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "code " + std::to_string(WEXITSTATUS(status));
}

// Until the child ends (true, with why) or the machine does (false).
bool watch(pid_t child, std::string& why) {
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    while (true) {
        std::array<pollfd, 2> waiting{pollfd{k_channel, POLLRDHUP, 0}, pollfd{pidfd.get(), POLLIN, 0}};
        poll(waiting.data(), waiting.size(), k_look_at_resolver_every);
        g_resolver->update(read_resolver());
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            why = describe_end(status);
            return true;
        }
        if ((waiting[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
            return false;
        }
    }
}

int supervise() {
    std::string why = "first";
    useconds_t pause = k_first_pause;
    while (true) {
        std::array<int, 2> ends{-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
            return 1;
        }
        Fd ours(ends[0]);
        Fd theirs(ends[1]);
        const pid_t self = getpid();
        timespec before{};
        clock_gettime(CLOCK_MONOTONIC, &before);
        const pid_t child = fork();
        if (child == 0) {
            theirs.reset();
            translate(std::move(ours), self);
        }
        ours.reset();
        if (child < 0 || send_with_fd(k_channel, why, theirs.get(), 0) < 0) {
            return 1;
        }
        theirs.reset();
        if (!watch(child, why)) {
            return 0;
        }
        timespec after{};
        clock_gettime(CLOCK_MONOTONIC, &after);
        pause = after.tv_sec - before.tv_sec > 10 ? k_first_pause : std::min(pause * 2, k_longest_pause);
        usleep(pause);
    }
}

// For those who look whether the host is ready: that this program is running says that its libraries are there.
int check() {
    const Status entered = enter_network_sandbox();
    const std::string said = entered ? fmt::format("libslirp {} in its sandbox\n", slirp_version_string())
                                     : entered.error().message + "\n";
    return write_all(STDOUT_FILENO, said) && entered ? 0 : 1;
}

}  // namespace
}  // namespace skep

// libslirp reads the name server's address from a file; in its process there are none, and it gets the page instead.
extern "C" __attribute__((visibility("default"))) FILE* fopen64(const char* path, const char* mode) {
    static std::string text;
    if (std::strcmp(path, "/etc/resolv.conf") != 0 || skep::g_resolver == nullptr) {
        errno = EACCES;
        return nullptr;
    }
    text = skep::g_resolver->text();
    return text.empty() ? nullptr : fmemopen(text.data(), text.size(), mode);
}

extern "C" __attribute__((visibility("default"))) int stat64(const char* path, struct stat64* result) {
    if (std::strcmp(path, "/etc/resolv.conf") != 0 || skep::g_resolver == nullptr) {
        errno = EACCES;
        return -1;
    }
    *result = {};
    result->st_mode = S_IFREG | 0444;
    result->st_mtim.tv_sec = skep::g_resolver->version();
    return 0;
}

int main(int argc, char** argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && std::strcmp(argv[1], "--check") == 0) {
        return skep::check();
    }
    if (fcntl(skep::k_channel, F_GETFD) < 0) {
        std::fputs("skep-net is started by Skep, for a machine with a network card.\n", stderr);
        return 2;
    }
    fcntl(skep::k_channel, F_SETFD, FD_CLOEXEC);
    if (const pid_t child = fork(); child != 0) {
        return child < 0 ? 1 : 0;
    }
    setsid();
    skep::g_resolver = skep::ResolverPage::create();
    if (skep::g_resolver == nullptr) {
        return 1;
    }
    skep::g_resolver->update(skep::read_resolver());
    return skep::supervise();
}
