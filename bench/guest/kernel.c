// SPDX-License-Identifier: GPL-3.0-or-later
// What a program asks of the kernel: system calls, processes, pages, switches between processes, signals, files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static uint64_t run_syscall(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        syscall(SYS_getppid);
    }
    return count;
}

static void wait_for(pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        die("fork or wait");
    }
}

static uint64_t run_fork(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        wait_for(child);
    }
    return count;
}

static uint64_t run_exec(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const pid_t child = fork();
        if (child == 0) {
            execl(g_program, g_program, "true", (char*)NULL);
            _exit(1);
        }
        wait_for(child);
    }
    return count;
}

enum { k_pages = 512, k_page = 4096 };

static uint64_t run_page_fault(uint64_t count) {
    for (uint64_t done = 0; done < count;) {
        char* const pages = mmap(NULL, k_pages * k_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) {
            die("mmap");
        }
        madvise(pages, k_pages * k_page, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < k_pages && done < count; i++, done++) {
            pages[i * k_page] = 1;
        }
        munmap(pages, k_pages * k_page);
    }
    return count;
}

// Two processes hand a byte back and forth; an operation is one round trip, which is two switches.
static uint64_t run_pipe(uint64_t count) {
    int there[2];
    int back[2];
    char byte = 1;
    if (pipe(there) != 0 || pipe(back) != 0) {
        die("pipe");
    }
    const pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
        }
        _exit(0);
    }
    close(there[0]);
    for (uint64_t i = 0; i < count; i++) {
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
            die("a byte through a pipe");
        }
    }
    close(there[1]);
    wait_for(child);
    close(back[0]);
    close(back[1]);
    return count;
}

static volatile uint64_t s_signals;

static void on_signal(int number) {
    s_signals += (number == SIGUSR1);
}

static uint64_t run_signal(uint64_t count) {
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    s_signals = 0;
    const pid_t self = getpid();
    for (uint64_t i = 0; i < count; i++) {
        kill(self, SIGUSR1);
    }
    return s_signals;
}

// A file as programs use one: open, read 4 KiB, close.
static uint64_t run_file(uint64_t count) {
    static char s_block[k_page];
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const int file = open(g_program, O_RDONLY | O_CLOEXEC);
        if (file < 0 || read(file, s_block, sizeof s_block) != (ssize_t)sizeof s_block) {
            die("reading this program's own file");
        }
        sum += (unsigned char)s_block[i % 4];
        close(file);
    }
    return sum;
}

const struct bench k_kernel_benches[] = {
    {"kernel.syscall", "call", 1500000, 1, NULL, NULL, run_syscall},
    {"kernel.file", "open-read-close", 80000, 1, NULL, NULL, run_file},
    {"kernel.page-fault", "page", 150000, 1, NULL, NULL, run_page_fault},
    {"kernel.pipe-switch", "round-trip", 50000, 1, NULL, NULL, run_pipe},
    {"kernel.signal", "signal", 100000, 1, NULL, NULL, run_signal},
    {"kernel.fork", "fork+wait", 3000, 1, NULL, NULL, run_fork},
    {"kernel.exec", "fork+exec+wait", 500, 1, NULL, NULL, run_exec},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
