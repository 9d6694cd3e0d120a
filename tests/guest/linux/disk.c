// SPDX-License-Identifier: GPL-3.0-or-later
// disk DEVICE SECONDS BYTES: what a disk does, past the page cache (open(2), O_DIRECT), eight requests at a time:
//   read-4k, write-4k      at random places
//   read-128k, write-128k  one after the other
//   flush-4k               random writes, each thread with an fdatasync behind every sixteenth
// Prints "disk: KIND OPERATIONS SECONDS" after each, "disk: done" at the end. BYTES of the device are used; they are
// written once before anything is measured, which is "fill-128k": a new image gets its blocks there.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, SMALL = 4096, LARGE = 128 << 10, FLUSH_EVERY = 16 };

struct kind {
    const char *name;
    int writes, random, flushes, once;
    size_t bytes;
};

static const struct kind kinds[] = {
    {"fill-128k", 1, 0, 0, 1, LARGE}, {"read-128k", 0, 0, 0, 0, LARGE}, {"write-128k", 1, 0, 0, 0, LARGE},
    {"read-4k", 0, 1, 0, 0, SMALL},   {"write-4k", 1, 1, 0, 0, SMALL},  {"flush-4k", 1, 1, 1, 0, SMALL},
};

static int device;
static uint64_t size;
static double end;
static const struct kind *now;
static uint64_t cursor;  // of those that go one after the other

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *argument) {
    uint64_t random = 0x9e3779b97f4a7c15ULL * ((uintptr_t)argument + 1);
    uintptr_t count = 0;
    void *buffer;
    if (posix_memalign(&buffer, 4096, LARGE) != 0) {
        exit(1);
    }
    memset(buffer, 0x5a + (int)(uintptr_t)argument, LARGE);
    while (now->once || seconds() < end) {
        uint64_t at;
        if (now->random) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            at = random % (size / SMALL) * SMALL;
        } else {
            at = __atomic_fetch_add(&cursor, now->bytes, __ATOMIC_RELAXED);
            if (now->once && at >= size) {
                break;
            }
            at %= size;
        }
        const ssize_t moved = now->writes ? pwrite(device, buffer, now->bytes, (off_t)at) : pread(device, buffer, now->bytes, (off_t)at);
        if (moved != (ssize_t)now->bytes) {
            perror("disk: failed");
            exit(1);
        }
        ++count;
        if (now->flushes && count % FLUSH_EVERY == 0 && fdatasync(device) != 0) {
            perror("disk: failed");
            exit(1);
        }
    }
    free(buffer);
    return (void *)count;
}

int main(int argc, char **argv) {
    device = argc == 4 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
    if (device < 0) {
        puts("disk: failed: disk DEVICE SECONDS BYTES");
        return 1;
    }
    size = strtoull(argv[3], NULL, 0) / LARGE * LARGE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        pthread_t threads[THREADS];
        now = &kinds[i];
        cursor = 0;
        printf("disk: begin %s\n", now->name);
        fflush(stdout);
        if (getchar() < 0) {  // the measurer has looked at its clock
            return 1;
        }
        const double begin = seconds();
        uintptr_t count = 0;
        end = begin + atof(argv[2]);
        for (uintptr_t t = 0; t < THREADS; ++t) {
            pthread_create(&threads[t], NULL, work, (void *)t);
        }
        for (int t = 0; t < THREADS; ++t) {
            void *one;
            pthread_join(threads[t], &one);
            count += (uintptr_t)one;
        }
        printf("disk: %s %lu %.6f\n", now->name, (unsigned long)count, seconds() - begin);
        fflush(stdout);
    }
    puts("disk: done");
    return 0;
}
