// SPDX-License-Identifier: GPL-3.0-or-later
// Two threads on two processors: the same atomic word, the same mutex, and loads that have nothing to do with each
// other.
#define _GNU_SOURCE
#include <pthread.h>

#include "bench.h"

struct work {
    void (*run)(struct work* work);
    uint64_t count;
    uint64_t result;
};

static void* run_work(void* argument) {
    struct work* const work = argument;
    work->run(work);
    return NULL;
}

static uint64_t run_on_two(void (*run)(struct work*), uint64_t count) {
    struct work work[2] = {{run, count / 2, 0}, {run, count - count / 2, 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, run_work, &work[i]) != 0) {
            die("pthread_create");
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    return work[0].result + work[1].result;
}

static uint64_t s_word __attribute__((aligned(64)));

static void add_atomically(struct work* work) {
    for (uint64_t i = 0; i < work->count; i += 2) {
        __atomic_fetch_add(&s_word, 1, __ATOMIC_SEQ_CST);
        uint64_t expected = __atomic_load_n(&s_word, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&s_word, &expected, expected + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        }
    }
    work->result = work->count;
}

static uint64_t run_atomics(uint64_t count) {
    s_word = 0;
    run_on_two(add_atomically, count);
    return s_word;
}

static pthread_mutex_t s_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t s_guarded;

static void add_under_mutex(struct work* work) {
    for (uint64_t i = 0; i < work->count; i++) {
        pthread_mutex_lock(&s_mutex);
        s_guarded++;
        pthread_mutex_unlock(&s_mutex);
    }
    work->result = work->count;
}

static uint64_t run_mutex(uint64_t count) {
    s_guarded = 0;
    run_on_two(add_under_mutex, count);
    return s_guarded;
}

static void make_crc(struct work* work) {
    work->result = run_crc(work->count);
}

static uint64_t run_single(uint64_t count) {
    struct work work = {make_crc, count, 0};
    make_crc(&work);
    return work.result;
}

// Twice the work: an operation is a byte on each of the two.
static uint64_t run_pair(uint64_t count) {
    return run_on_two(make_crc, 2 * count);
}

const struct bench k_thread_benches[] = {
    {"smp.atomics", "operation", 80000000, 2, NULL, NULL, run_atomics},
    {"smp.mutex", "lock+unlock", 30000000, 2, NULL, NULL, run_mutex},
    {"smp.one-load", "byte", 120000000, 2, NULL, prepare_crc, run_single},
    {"smp.two-loads", "two-bytes", 120000000, 2, NULL, prepare_crc, run_pair},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
