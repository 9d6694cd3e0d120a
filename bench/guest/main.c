// SPDX-License-Identifier: GPL-3.0-or-later
// The benchmark program. Static, and the same bytes natively and in every guest.
//   bench list                 what there is: name, unit, operations, processors
//   bench run NAME COUNT...    one after the other
//   bench serve                the same by lines on standard input; after "ready" it waits for "go" and after "done"
//   for "bye",
//                              so that set-up and exit are not in what somebody outside measures
//   bench one NAME COUNT ask?  what both do for each measurement, so that every one has a fresh process
//   bench true                 nothing (what fork+exec starts)
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

const char* g_program;

void die(const char* what) {
    printf("failed %s: %s\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

void* get_pages(size_t bytes) {
    void* const pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED) {
        die("mmap");
    }
    return pages;
}

static void keep_on_one_processor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

// What reading the clocks and one line of talk cost; the caller takes it off the others.
static uint64_t run_nothing(uint64_t count) {
    return count;
}
static const struct bench k_nothing[] = {
    {"nothing", "run", 1, 1, NULL, NULL, run_nothing},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct bench* const k_lists[] = {k_nothing,       k_integer_benches, k_memory_benches, k_library_benches,
                                              k_float_benches, k_kernel_benches,  k_code_benches,   k_thread_benches};
enum { k_list_count = sizeof k_lists / sizeof k_lists[0] };

static const struct bench* find(const char* name) {
    for (int i = 0; i < k_list_count; i++) {
        for (const struct bench* bench = k_lists[i]; bench->name != NULL; bench++) {
            if (strcmp(bench->name, name) == 0) {
                return bench;
            }
        }
    }
    return NULL;
}

static void list_all(void) {
    for (int i = 0; i < k_list_count; i++) {
        for (const struct bench* bench = k_lists[i]; bench->name != NULL; bench++) {
            printf("bench %s %s %" PRIu64 " %d\n", bench->name, bench->unit, bench->count, bench->processors);
        }
    }
    printf("end\n");
    fflush(stdout);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// This process and the children it has waited for.
static uint64_t processor_ns(void) {
    struct rusage children;
    getrusage(RUSAGE_CHILDREN, &children);
    const uint64_t us = (uint64_t)(children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000u +
                        (uint64_t)(children.ru_utime.tv_usec + children.ru_stime.tv_usec);
    return us * 1000u + clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static int wait_for(const char* word) {
    char line[32];
    fflush(stdout);
    return fgets(line, sizeof line, stdin) != NULL && strncmp(line, word, strlen(word)) == 0;
}

static void measure(const char* name, uint64_t count, int asks) {
    const struct bench* const bench = find(name);
    if (bench == NULL || (bench->available != NULL && !bench->available())) {
        printf("skip %s\n", bench == NULL ? "there is no such benchmark" : "this processor cannot");
        return;
    }
    if (bench->processors == 1) {
        keep_on_one_processor();
    }
    if (bench->prepare != NULL) {
        bench->prepare();
    }
    if (asks) {
        printf("ready\n");
        if (!wait_for("go")) {
            return;
        }
    }
    const uint64_t start = clock_ns(CLOCK_MONOTONIC);
    const uint64_t start_cpu = processor_ns();
    const uint64_t sum = bench->run(count);
    const uint64_t cpu = processor_ns() - start_cpu;
    const uint64_t wall = clock_ns(CLOCK_MONOTONIC) - start;
    printf("done %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 " %.3f ns/%s\n", name, count, wall, cpu, sum,
           (double)wall / (double)count, bench->unit);
    if (asks) {
        wait_for("bye");
    }
}

static void measure_in_a_fresh_process(const char* name, const char* count, const char* ask) {
    const pid_t child = fork();
    if (child == 0) {
        execl(g_program, g_program, "one", name, count, ask, (char*)NULL);
        die(g_program);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        die("fork or wait");
    }
    if (status != 0) {
        printf("failed %s: wait status 0x%x\n", name, (unsigned)status);
        fflush(stdout);
    }
}

static void serve(void) {
    char line[160];
    char name[64];
    char count[32];
    list_all();
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        if (sscanf(line, "run %63s %31s", name, count) == 2) {
            measure_in_a_fresh_process(name, count, "ask");
        }
    }
}

int main(int argc, char** argv) {
    const char* const verb = argc > 1 ? argv[1] : "list";
    g_program = argv[0];
    setvbuf(stdin, NULL, _IONBF, 0);  // parent and child share it, so neither may read ahead
    if (strcmp(verb, "true") == 0) {
        return 0;
    }
    if (strcmp(verb, "one") == 0 && argc == 5) {
        measure(argv[2], strtoull(argv[3], NULL, 10), strcmp(argv[4], "ask") == 0);
    } else if (strcmp(verb, "serve") == 0) {
        serve();
    } else if (strcmp(verb, "run") == 0) {
        for (int i = 2; i + 1 < argc; i += 2) {
            measure_in_a_fresh_process(argv[i], argv[i + 1], "no");
        }
    } else {
        list_all();
    }
    return 0;
}
