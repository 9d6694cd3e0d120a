// SPDX-License-Identifier: GPL-3.0-or-later
// What a benchmark program is: some set-up that is not measured, then a given number of operations.
// The same static program runs natively and inside guests; nothing here knows which.
#ifndef SKEP_BENCH_H
#define SKEP_BENCH_H

#include <stddef.h>
#include <stdint.h>

struct bench {
    const char* name;                 // no spaces; grouped as "group.what"
    const char* unit;                 // what one operation is; no spaces
    uint64_t count;                   // operations for some 0.3 s natively
    int processors;                   // how many the row wants; 1: everything is kept on one
    int (*available)(void);           // NULL: always
    void (*prepare)(void);            // NULL: nothing; called once, before the run
    uint64_t (*run)(uint64_t count);  // returns a checksum of what was computed
};

// Each list ends with an entry without a name.
extern const struct bench k_integer_benches[];
extern const struct bench k_memory_benches[];
extern const struct bench k_library_benches[];
extern const struct bench k_float_benches[];
extern const struct bench k_kernel_benches[];
extern const struct bench k_code_benches[];
extern const struct bench k_thread_benches[];

// A small generator with a period of 2^64; the same sequence everywhere.
static inline uint64_t next_random(uint64_t* state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Zeroed pages that are touched already; ends the program when there is no memory.
void* get_pages(size_t bytes);
void die(const char* what);

// Load for the two-processor rows (integer.c).
void prepare_crc(void);
uint64_t run_crc(uint64_t bytes);

// Path of this program, for exec; absolute.
extern const char* g_program;

#endif
