// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/net/sandbox.hpp"

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace skep {
namespace {

constexpr rlim_t k_most_memory = rlim_t{1} << 30;  // addresses; ten thousand connections need a tenth
constexpr rlim_t k_most_descriptors = 8192;

constexpr std::array k_allowed{
    // sockets
    SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(send), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recv), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    // what is open already
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(fcntl), SCMP_SYS(ioctl),
    // memory, time, threads of this process
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
};
constexpr uint64_t k_prot_exec = 4;

}  // namespace

Status enter_network_sandbox() {
    const rlimit memory{k_most_memory, k_most_memory};
    const rlimit no_core{0, 0};
    rlimit descriptors{};
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = std::min(descriptors.rlim_max, k_most_descriptors);
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_NOFILE, &descriptors);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) {
        return fail_errno(errno, "Giving up privileges");
    }
    const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release);
    if (!filter) {
        return fail(ErrorKind::unsupported, "The kernel offers no system call filter (seccomp).");
    }
    int result = 0;
    for (const int call : k_allowed) {
        result = result != 0 ? result : seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    }
    for (const int family : {AF_INET, AF_INET6}) {
        result = result != 0 ? result
                             : seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
    }
    result = result != 0 ? result
                         : seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                            SCMP_A2(SCMP_CMP_MASKED_EQ, k_prot_exec, 0));
    result = result != 0 ? result : seccomp_load(filter.get());
    return result != 0 ? Status(fail_errno(-result, "Entering the sandbox")) : Status();
}

}  // namespace skep
