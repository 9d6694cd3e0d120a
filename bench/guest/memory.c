// SPDX-License-Identifier: GPL-3.0-or-later
// Loads that depend on each other, and moving bytes by the C library and by the processor's string instructions.
// "cached" works on 4 KiB inside the first-level cache, "large" on more than the last-level cache holds. Source and
// destination lie an odd number of pages apart, except in "aliased": there they share every power-of-two index.
#include <string.h>

#include "bench.h"

enum { k_line = 64, k_cached = 4096, k_large = 64 << 20, k_kib = 1024, k_apart = 17 * 4096 };

// ---- pointer chase: one cycle through all lines in random order (Sattolo) ----
static void* s_chain;

static void make_chain(void** lines, size_t bytes) {
    const size_t stride = k_line / sizeof(void*);
    const size_t count = bytes / k_line;
    uint64_t state = 7;
    for (size_t i = 0; i < count; i++) {
        lines[i * stride] = &lines[i * stride];
    }
    for (size_t i = count - 1; i > 0; i--) {
        const size_t other = next_random(&state) % i;
        void* const swap = lines[i * stride];
        lines[i * stride] = lines[other * stride];
        lines[other * stride] = swap;
    }
    s_chain = lines;
}

static void prepare_chase(void** cache, size_t bytes) {
    if (*cache == NULL) {
        *cache = get_pages(bytes);
        make_chain(*cache, bytes);
    }
    s_chain = *cache;
}

static void prepare_chase_l1(void) {
    static void* s_lines;
    prepare_chase(&s_lines, 16 << 10);
}
static void prepare_chase_l2(void) {
    static void* s_lines;
    prepare_chase(&s_lines, 256 << 10);
}
static void prepare_chase_ram(void) {
    static void* s_lines;
    prepare_chase(&s_lines, k_large);
}

static uint64_t run_chase(uint64_t loads) {
    void* volatile const* at = s_chain;
    for (uint64_t i = 0; i < loads; i += 8) {
        for (int j = 0; j < 8; j++) {
            at = *at;
        }
    }
    return (uint64_t)((const char*)at - (const char*)s_chain);
}

// ---- independent loads: a sum over an array ----
static uint8_t* s_from;
static uint8_t* s_to;

static void prepare_buffers(void) {
    if (s_from != NULL) {
        return;
    }
    s_from = get_pages(2 * k_large + k_apart);
    s_to = s_from + k_large + k_apart;
    uint64_t state = 3;
    for (size_t i = 0; i < k_large; i += 512) {
        s_from[i] = (uint8_t)next_random(&state);
        s_to[i] = 1;
    }
}

static void prepare_aliased(void) {
    prepare_buffers();
    s_to = s_from + k_large;
}

static uint64_t run_sum(uint64_t words) {
    const uint64_t* const from = (const uint64_t*)s_from;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < words; i++) {
        sum += from[i & 2047];
        sum ^= sum << 1;
    }
    return sum;
}

// ---- blocks; an operation is one KiB ----
typedef void block_move(uint8_t* to, const uint8_t* from, size_t bytes);

static void by_memcpy(uint8_t* to, const uint8_t* from, size_t bytes) {
    memcpy(to, from, bytes);
}
static void by_memset(uint8_t* to, const uint8_t* from, size_t bytes) {
    memset(to, from[0], bytes);
}
static void by_rep_movs(uint8_t* to, const uint8_t* from, size_t bytes) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
static void by_rep_movsq(uint8_t* to, const uint8_t* from, size_t bytes) {
    bytes /= 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
static void by_rep_stos(uint8_t* to, const uint8_t* from, size_t bytes) {
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(from[0]) : "memory");
}

static uint64_t move_blocks(uint64_t kib, size_t block, size_t span, block_move* move) {
    size_t at = 0;
    for (uint64_t left = kib * k_kib; left > 0;) {
        const size_t part = left < block ? (size_t)left : block;
        move(s_to + at, s_from + at, part);
        at = at + 2 * block <= span ? at + block : 0;
        left -= part;
    }
    return s_to[0] + ((uint64_t)s_to[at] << 8) + s_to[k_cached - 1];
}

#define BLOCK_ROWS(how)                                   \
    static uint64_t run_##how##_cached(uint64_t kib) {    \
        return move_blocks(kib, k_cached, k_cached, how); \
    }                                                     \
    static uint64_t run_##how##_large(uint64_t kib) {     \
        return move_blocks(kib, 1 << 20, k_large, how);   \
    }
BLOCK_ROWS(by_memcpy)
BLOCK_ROWS(by_memset)
BLOCK_ROWS(by_rep_movs)
BLOCK_ROWS(by_rep_stos)
static uint64_t run_by_rep_movsq_cached(uint64_t kib) {
    return move_blocks(kib, k_cached, k_cached, by_rep_movsq);
}

// Copies as programs make them most: 1 to 128 bytes, anywhere.
static uint64_t run_memcpy_small(uint64_t copies) {
    uint64_t state = 5;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < copies; i++) {
        const uint64_t random = next_random(&state);
        memcpy(s_to + ((random >> 16) & 2047), s_from + ((random >> 32) & 2047), 1 + (random & 127));
        sum += s_to[(random >> 16) & 2047];
    }
    return sum;
}

const struct bench k_memory_benches[] = {
    {"chase.l1", "load", 200000000, 1, NULL, prepare_chase_l1, run_chase},
    {"chase.l2", "load", 60000000, 1, NULL, prepare_chase_l2, run_chase},
    {"chase.ram", "load", 1200000, 1, NULL, prepare_chase_ram, run_chase},
    {"integer.sum", "load", 150000000, 1, NULL, prepare_buffers, run_sum},
    {"memory.memcpy-small", "copy", 30000000, 1, NULL, prepare_buffers, run_memcpy_small},
    {"memory.memcpy-cached", "KiB", 15000000, 1, NULL, prepare_buffers, run_by_memcpy_cached},
    {"memory.memcpy-large", "KiB", 2000000, 1, NULL, prepare_buffers, run_by_memcpy_large},
    {"memory.memcpy-aliased", "KiB", 15000000, 1, NULL, prepare_aliased, run_by_memcpy_cached},
    {"memory.memset-cached", "KiB", 20000000, 1, NULL, prepare_buffers, run_by_memset_cached},
    {"memory.memset-large", "KiB", 3000000, 1, NULL, prepare_buffers, run_by_memset_large},
    {"memory.rep-movs-cached", "KiB", 15000000, 1, NULL, prepare_buffers, run_by_rep_movs_cached},
    {"memory.rep-movs-large", "KiB", 2000000, 1, NULL, prepare_buffers, run_by_rep_movs_large},
    {"memory.rep-movsq-cached", "KiB", 15000000, 1, NULL, prepare_buffers, run_by_rep_movsq_cached},
    {"memory.rep-stos-cached", "KiB", 15000000, 1, NULL, prepare_buffers, run_by_rep_stos_cached},
    {"memory.rep-stos-large", "KiB", 3000000, 1, NULL, prepare_buffers, run_by_rep_stos_large},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
