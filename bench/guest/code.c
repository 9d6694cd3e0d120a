// SPDX-License-Identifier: GPL-3.0-or-later
// Code that is made at run time: patched in place, generated as a just-in-time compiler does, or run only once.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

typedef uint32_t made_code(uint32_t* data, uint32_t seed);

static uint8_t* code_pages(size_t bytes) {
    void* const pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        die("mmap of code");
    }
    return pages;
}

// ISO C has no cast from data to a function.
static made_code* as_code(uint8_t* bytes) {
    made_code* function;
    memcpy(&function, &bytes, sizeof function);
    return function;
}

// ---- one immediate operand changes before each call; an operation is a change and a call ----
static uint64_t run_patch(uint64_t count) {
    static uint8_t* s_code;
    if (s_code == NULL) {
        s_code = code_pages(4096);
        memcpy(s_code, "\x8d\x86\0\0\0\0\xc3", 7);  // lea eax,[rsi+immediate]; ret
    }
    made_code* const function = as_code(s_code);
    uint32_t data = 0;
    uint32_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t immediate = (uint32_t)i;
        memcpy(s_code + 2, &immediate, 4);
        sum = sum * 5 + function(&data, sum);
    }
    return sum;
}

// ---- straight-line code with a few branches, loads and stores off rdi; at most 240 bytes ----
static size_t put(uint8_t* to, size_t at, const char* bytes, size_t count) {
    memcpy(to + at, bytes, count);
    return at + count;
}

// `hole` is where a random displacement or immediate goes (0: nowhere), `hole_size` its bytes.
struct piece {
    char bytes[8];
    uint8_t size, hole, hole_size;
};
static const struct piece k_pieces[] = {
    {"\x03\x47", 3, 2, 1},                  // add eax,[rdi+hole]
    {"\x05", 5, 1, 4},                      // add eax,hole
    {"\x89\x47", 3, 2, 1},                  // mov [rdi+hole],eax
    {"\x31\xc1", 2, 0, 0},                  // xor ecx,eax
    {"\x8d\x54\x48", 4, 3, 1},              // lea edx,[rax+rcx*2+hole]
    {"\x3c\x00\x72\x02\x31\xd0", 6, 1, 1},  // cmp al,hole; jb +2; xor eax,edx
    {"\x6b\xc0", 3, 2, 1},                  // imul eax,eax,hole
    {"\xc1\xea\x03\x01\xd0", 5, 0, 0},      // shr edx,3; add eax,edx
    {"\x8b\x4f", 3, 2, 1},                  // mov ecx,[rdi+hole]
    {"\x85\xc9\x74\x02\x01\xc8", 6, 0, 0},  // test ecx,ecx; jz +2; add eax,ecx
};

static size_t make_instruction(uint8_t* to, size_t at, uint64_t random) {
    const struct piece* const piece = &k_pieces[random % (sizeof k_pieces / sizeof k_pieces[0])];
    const uint32_t value = piece->hole_size == 1 ? (random >> 32) & 0x7c : random >> 32;
    memcpy(to + at, piece->bytes, piece->size);
    memcpy(to + at + piece->hole, &value, piece->hole_size);
    return at + piece->size;
}

static void make_function(uint8_t* to, uint64_t* state, int loops) {
    size_t at = put(to, 0, "\x89\xf0\x31\xc9\x31\xd2", 6);  // mov eax,esi; xor ecx,ecx; xor edx,edx
    size_t start = 0;
    if (loops) {
        at = put(to, at, "\x41\xb8\x20\0\0\0", 6);  // mov r8d,32
        start = at;
    }
    while (at < 200) {
        at = make_instruction(to, at, next_random(state));
    }
    if (loops) {
        at = put(to, at, "\x41\xff\xc8\x0f\x85", 5);  // dec r8d; jnz start
        const int32_t back = (int32_t)start - (int32_t)(at + 4);
        memcpy(to + at, &back, 4);
        at += 4;
    }
    to[at] = 0xc3;
}

// ---- a just-in-time compiler: a function of some sixty instructions and its loop of 32 rounds, run ten times ----
enum { k_slot = 256, k_slots = 1024 };
static uint32_t s_data[64];

static uint64_t run_jit(uint64_t count) {
    static uint8_t* s_code;
    if (s_code == NULL) {
        s_code = code_pages(k_slot * k_slots);
    }
    uint64_t state = 41;
    uint32_t sum = 1;
    memset(s_data, 0, sizeof s_data);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t* const slot = s_code + i % k_slots * k_slot;
        make_function(slot, &state, 1);
        for (int call = 0; call < 10; call++) {
            sum += as_code(slot)(s_data, sum);
        }
    }
    return sum;
}

// ---- cold code: functions in fresh pages, each called once ----
enum { k_functions = 4096 };
static uint8_t* s_image;

static void prepare_image(void) {
    if (s_image != NULL) {
        return;
    }
    s_image = get_pages(k_functions * k_slot);
    uint64_t state = 43;
    for (int i = 0; i < k_functions; i++) {
        make_function(s_image + (size_t)i * k_slot, &state, 0);
    }
}

static uint64_t run_cold(uint64_t count) {
    uint32_t sum = 1;
    memset(s_data, 0, sizeof s_data);
    while (count > 0) {
        const size_t part = count < k_functions ? (size_t)count : k_functions;
        uint8_t* const code = code_pages(k_functions * k_slot);
        madvise(code, k_functions * k_slot, MADV_NOHUGEPAGE);
        memcpy(code, s_image, part * k_slot);
        for (size_t i = 0; i < part; i++) {
            sum += as_code(code + i * k_slot)(s_data, sum);
        }
        munmap(code, k_functions * k_slot);
        count -= part;
    }
    return sum;
}

const struct bench k_code_benches[] = {
    {"code.patched", "patch+call", 8000000, 1, NULL, NULL, run_patch},
    {"code.generated", "function", 40000, 1, NULL, NULL, run_jit},
    {"code.cold", "function", 1 << 20, 1, NULL, prepare_image, run_cold},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
