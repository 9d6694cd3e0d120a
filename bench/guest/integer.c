// SPDX-License-Identifier: GPL-3.0-or-later
// Integer work that stays in the first-level cache: table look-ups, multiplies and shifts, unpredictable branches,
// calls.
#include "bench.h"

// ---- CRC-32 (ISO 3309, reflected 0xedb88320), one byte at a time by table ----
enum { k_crc_bytes = 1 << 14 };
static uint32_t s_crc_table[256];
static uint8_t s_crc_data[k_crc_bytes];

void prepare_crc(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ ((value & 1) ? 0xedb88320u : 0);
        }
        s_crc_table[i] = value;
    }
    uint64_t state = 1;
    for (int i = 0; i < k_crc_bytes; i++) {
        s_crc_data[i] = (uint8_t)next_random(&state);
    }
}

uint64_t run_crc(uint64_t bytes) {
    uint32_t crc = ~0u;
    while (bytes > 0) {
        const uint64_t part = bytes < k_crc_bytes ? bytes : k_crc_bytes;
        for (uint64_t i = 0; i < part; i++) {
            crc = (crc >> 8) ^ s_crc_table[(crc ^ s_crc_data[i]) & 0xff];
        }
        bytes -= part;
    }
    return ~crc;
}

// ---- no memory at all ----
static uint64_t run_bitmix(uint64_t rounds) {
    uint64_t a = 0x0123456789abcdefu;
    uint64_t b = 0xfedcba9876543210u;
    for (uint64_t i = 0; i < rounds; i++) {
        a ^= a << 13;
        a ^= a >> 7;
        a ^= a << 17;
        b = (b ^ a) * 0x2545f4914f6cdd1du;
        b = (b << 23) | (b >> 41);
        b += (uint64_t)__builtin_popcountll(a & 0xffff) - (i & 7);
    }
    return a ^ b;
}

// ---- a register machine: one indirect jump and some loads an instruction ----
enum opcode { op_load, op_add, op_sub, op_mul, op_xor, op_shift, op_get, op_put, op_if_odd, op_if_less, op_jump };
struct instruction {
    uint8_t op, a, b;
    int8_t jump;
};
// Collatz sequences of rising numbers, each value also stored in a small table. Jumps count from the next instruction.
static const struct instruction k_program[] = {
    {op_load, 0, 1, 0},      {op_load, 1, 1, 0},  {op_load, 2, 3, 0}, {op_load, 3, 1, 0},    //  0: start with 1
    {op_if_odd, 0, 0, 2},    {op_shift, 0, 1, 0}, {op_jump, 0, 0, 2},                        //  4: halve what is even
    {op_mul, 0, 2, 0},       {op_add, 0, 3, 0},                                              //  7: else 3n + 1
    {op_put, 0, 4, 0},       {op_get, 5, 4, 0},   {op_xor, 6, 5, 0},  {op_add, 4, 3, 0},     //  9: table[r4++] = r0
    {op_if_less, 3, 0, -10},                                                                 // 13: until it is 1
    {op_add, 1, 3, 0},       {op_sub, 0, 0, 0},   {op_add, 0, 1, 0},  {op_jump, 0, 0, -14},  // 14: the next number
};

static uint64_t run_bytecode(uint64_t steps) {
    uint64_t r[8] = {0};
    uint64_t table[64] = {0};
    const struct instruction* at = k_program;
    for (uint64_t i = 0; i < steps; i++) {
        const struct instruction now = *at++;
        switch ((enum opcode)now.op) {
            case op_load:
                r[now.a] = now.b;
                break;
            case op_add:
                r[now.a] += r[now.b];
                break;
            case op_sub:
                r[now.a] -= r[now.b];
                break;
            case op_mul:
                r[now.a] *= r[now.b];
                break;
            case op_xor:
                r[now.a] ^= r[now.b];
                break;
            case op_shift:
                r[now.a] >>= now.b;
                break;
            case op_get:
                r[now.a] = table[r[now.b] & 63];
                break;
            case op_put:
                table[r[now.b] & 63] = r[now.a];
                break;
            case op_if_odd:
                at += (r[now.a] & 1) ? now.jump : 0;
                break;
            case op_if_less:
                at += r[now.a] < r[now.b] ? now.jump : 0;
                break;
            case op_jump:
                at += now.jump;
                break;
        }
    }
    return r[6] ^ r[1] ^ table[1];
}

// ---- calls and returns ----
static uint64_t fibonacci(uint64_t n, uint64_t* calls)
    __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls")));
static uint64_t fibonacci(uint64_t n, uint64_t* calls) {
    ++*calls;
    return n < 2 ? n : fibonacci(n - 1, calls) + fibonacci(n - 2, calls);
}

static uint64_t run_calls(uint64_t count) {
    uint64_t calls = 0;
    uint64_t sum = 0;
    while (calls < count) {
        sum += fibonacci(12, &calls);
    }
    return sum;
}

const struct bench k_integer_benches[] = {
    {"integer.crc32", "byte", 120000000, 1, NULL, prepare_crc, run_crc},
    {"integer.bitmix", "round", 80000000, 1, NULL, NULL, run_bitmix},
    {"integer.bytecode", "instruction", 100000000, 1, NULL, NULL, run_bytecode},
    {"integer.calls", "call", 150000000, 1, NULL, NULL, run_calls},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
