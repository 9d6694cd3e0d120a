// SPDX-License-Identifier: GPL-3.0-or-later
// What programs spend their time in: sorting, hashing (FIPS 180-4), compressing (zlib).
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bench.h"

// ---- qsort of the C library, with a comparison function; an operation is one element ----
enum { k_elements = 1 << 15 };
static uint32_t s_elements[k_elements];

static int compare_elements(const void* left, const void* right) {
    const uint32_t a = *(const uint32_t*)left;
    const uint32_t b = *(const uint32_t*)right;
    return (a > b) - (a < b);
}

static uint64_t run_qsort(uint64_t count) {
    uint64_t state = 11;
    uint64_t sum = 0;
    while (count > 0) {
        const size_t part = count < k_elements ? (size_t)count : k_elements;
        for (size_t i = 0; i < part; i++) {
            s_elements[i] = (uint32_t)next_random(&state);
        }
        qsort(s_elements, part, sizeof s_elements[0], compare_elements);
        sum = sum * 31 + s_elements[part / 2];
        count -= part;
    }
    return sum;
}

// ---- SHA-256; an operation is one byte ----
static const uint32_t k_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t value, int by) {
    return (value >> by) | (value << (32 - by));
}

static void sha256_block(uint32_t hash[8], const uint8_t* data) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        uint32_t word;
        memcpy(&word, data + 4 * i, 4);
        w[i] = __builtin_bswap32(word);
    }
    for (int i = 16; i < 64; i++) {
        const uint32_t low = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ (w[i - 15] >> 3);
        const uint32_t high = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4], f = hash[5], g = hash[6], h = hash[7];
    for (int i = 0; i < 64; i++) {
        const uint32_t big1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        const uint32_t first = h + big1 + ((e & f) ^ (~e & g)) + k_round[i] + w[i];
        const uint32_t big0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        const uint32_t second = big0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d;
    hash[4] += e, hash[5] += f, hash[6] += g, hash[7] += h;
}

enum { k_text_bytes = 256 << 10 };
static uint8_t s_text[k_text_bytes];

static uint64_t run_sha256(uint64_t bytes) {
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (uint64_t at = 0; at < bytes; at += 64) {
        sha256_block(hash, s_text + at % 16384);
    }
    return ((uint64_t)hash[0] << 32) | hash[7];
}

// ---- deflate and inflate of made-up prose; an operation is one byte of plain text ----
static uint8_t s_packed[k_text_bytes + 4096];
static uint8_t s_unpacked[k_text_bytes];
static uLongf s_packed_bytes;

// Words of two to nine letters, the early ones far more often, as in a language.
static void prepare_text(void) {
    uint64_t state = 23;
    char words[400][10];
    for (int i = 0; i < 400; i++) {
        const int letters = 2 + (int)(next_random(&state) % 8);
        for (int j = 0; j < letters; j++) {
            words[i][j] = "etaoinshrdlucmfwyp"[next_random(&state) % (9 + (unsigned)j)];
        }
        words[i][letters] = 0;
    }
    size_t at = 0;
    while (at < k_text_bytes) {
        const unsigned limit = 1 + (unsigned)(next_random(&state) % 400);
        const char* word = words[next_random(&state) % limit];
        while (*word && at < k_text_bytes) {
            s_text[at++] = (uint8_t)*word++;
        }
        if (at < k_text_bytes) {
            s_text[at++] = next_random(&state) % 12 ? ' ' : '\n';
        }
    }
}

static void pack(size_t bytes, int level) {
    s_packed_bytes = sizeof s_packed;
    if (compress2(s_packed, &s_packed_bytes, s_text, bytes, level) != Z_OK) {
        die("compress2");
    }
}

static uint64_t run_deflate(uint64_t bytes) {
    uint64_t sum = 0;
    while (bytes > 0) {
        const size_t part = bytes < k_text_bytes ? (size_t)bytes : k_text_bytes;
        pack(part, 6);
        sum += s_packed_bytes + s_packed[s_packed_bytes - 1];
        bytes -= part;
    }
    return sum;
}

static void prepare_inflate(void) {
    prepare_text();
    pack(k_text_bytes, 6);
}

// Whole texts only, so the count is rounded up to them.
static uint64_t run_inflate(uint64_t bytes) {
    uint64_t sum = 0;
    for (uint64_t done = 0; done < bytes; done += k_text_bytes) {
        uLongf size = sizeof s_unpacked;
        if (uncompress(s_unpacked, &size, s_packed, s_packed_bytes) != Z_OK || size != k_text_bytes) {
            die("uncompress");
        }
        sum += s_unpacked[done / k_text_bytes % k_text_bytes];
    }
    return sum;
}

const struct bench k_library_benches[] = {
    {"library.qsort", "element", 1 << 22, 1, NULL, NULL, run_qsort},
    {"library.sha256", "byte", 64 << 20, 1, NULL, prepare_text, run_sha256},
    {"library.deflate", "byte", 4 << 20, 1, NULL, prepare_text, run_deflate},
    {"library.inflate", "byte", 64 << 20, 1, NULL, prepare_inflate, run_inflate},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
