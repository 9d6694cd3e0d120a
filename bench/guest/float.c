// SPDX-License-Identifier: GPL-3.0-or-later
// Floating point: matrices with SSE2 and with AVX2 and FMA, planets in scalar doubles, Mandelbrot's set on the x87.
#include <immintrin.h>
#include <string.h>

#include "bench.h"

// ---- matrix multiplication; an operation is one multiply-add ----
enum { k_side = 64 };
static float s_left[k_side][k_side] __attribute__((aligned(64)));
static float s_right[k_side][k_side] __attribute__((aligned(64)));
static float s_product[k_side][k_side] __attribute__((aligned(64)));

static void prepare_matrices(void) {
    for (int i = 0; i < k_side; i++) {
        for (int j = 0; j < k_side; j++) {
            s_left[i][j] = (float)((i * 7 + j * 3) % 17) * 0.125f - 1.0f;
            s_right[i][j] = (float)((i * 5 + j * 11) % 13) * 0.0625f - 0.25f;
        }
    }
    memset(s_product, 0, sizeof s_product);
}

static uint64_t matrix_sum(void) {
    uint32_t bits[2];
    memcpy(&bits[0], &s_product[3][5], 4);
    memcpy(&bits[1], &s_product[k_side - 1][k_side - 2], 4);
    return ((uint64_t)bits[0] << 32) | bits[1];
}

__attribute__((target("sse2"))) static void multiply_sse2(void) {
    for (int i = 0; i < k_side; i++) {
        for (int j = 0; j < k_side; j += 16) {
            __m128 sum[4] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
            for (int k = 0; k < k_side; k++) {
                const __m128 factor = _mm_set1_ps(s_left[i][k]);
                for (int part = 0; part < 4; part++) {
                    sum[part] = _mm_add_ps(sum[part], _mm_mul_ps(factor, _mm_load_ps(&s_right[k][j + 4 * part])));
                }
            }
            for (int part = 0; part < 4; part++) {
                _mm_store_ps(&s_product[i][j + 4 * part], sum[part]);
            }
        }
    }
}

__attribute__((target("avx2,fma"))) static void multiply_avx2(void) {
    for (int i = 0; i < k_side; i++) {
        for (int j = 0; j < k_side; j += 32) {
            __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
            for (int k = 0; k < k_side; k++) {
                const __m256 factor = _mm256_broadcast_ss(&s_left[i][k]);
                for (int part = 0; part < 4; part++) {
                    sum[part] = _mm256_fmadd_ps(factor, _mm256_load_ps(&s_right[k][j + 8 * part]), sum[part]);
                }
            }
            for (int part = 0; part < 4; part++) {
                _mm256_store_ps(&s_product[i][j + 8 * part], sum[part]);
            }
        }
    }
}

static uint64_t repeat_multiply(uint64_t count, void (*multiply)(void)) {
    for (uint64_t done = 0; done < count; done += (uint64_t)k_side * k_side * k_side) {
        multiply();
        s_left[done / 4096 % k_side][done / 7 % k_side] += 0.5f;  // so that no product is the last one again
    }
    return matrix_sum();
}

static uint64_t run_sse2(uint64_t count) {
    return repeat_multiply(count, multiply_sse2);
}
static uint64_t run_avx2(uint64_t count) {
    return repeat_multiply(count, multiply_avx2);
}
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

// ---- integers in vectors: SSE2 sums of absolute differences, as in video; an operation is 16 bytes ----
static uint8_t s_picture[2][16384] __attribute__((aligned(64)));

static void prepare_pictures(void) {
    uint64_t state = 31;
    for (size_t i = 0; i < sizeof s_picture[0]; i++) {
        s_picture[0][i] = (uint8_t)next_random(&state);
        s_picture[1][i] = (uint8_t)(s_picture[0][i] + (i & 3));
    }
}

__attribute__((target("sse2"))) static uint64_t run_sad(uint64_t count) {
    __m128i sum = _mm_setzero_si128();
    for (uint64_t i = 0; i < count; i++) {
        const size_t at = i * 16 % sizeof s_picture[0];
        const __m128i a = _mm_load_si128((const __m128i*)&s_picture[0][at]);
        const __m128i b = _mm_load_si128((const __m128i*)&s_picture[1][at]);
        sum = _mm_add_epi64(sum, _mm_sad_epu8(a, b));
        sum = _mm_xor_si128(sum, _mm_unpacklo_epi8(a, _mm_subs_epu8(a, b)));
    }
    uint64_t halves[2];
    _mm_storeu_si128((__m128i*)halves, sum);
    return halves[0] ^ halves[1];
}

// ---- n-body; an operation is one step of five bodies ----
struct body {
    double x[3], v[3], mass;
};
static struct body s_bodies[5];

static void prepare_bodies(void) {
    uint64_t state = 17;
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 3; k++) {
            s_bodies[i].x[k] = (double)(int64_t)(next_random(&state) >> 40) / 1e6;
            s_bodies[i].v[k] = (double)(int64_t)(next_random(&state) >> 50) / 1e6;
        }
        s_bodies[i].mass = i == 0 ? 40.0 : 0.01 * i;
    }
}

static double square_root(double value) {
    return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(value)));
}

static void pull(struct body* a, struct body* b, double step) {
    double d[3];
    double square = 0.01;
    for (int k = 0; k < 3; k++) {
        d[k] = a->x[k] - b->x[k];
        square += d[k] * d[k];
    }
    const double magnitude = step / (square * square_root(square));
    for (int k = 0; k < 3; k++) {
        a->v[k] -= d[k] * b->mass * magnitude;
        b->v[k] += d[k] * a->mass * magnitude;
    }
}

static uint64_t run_nbody(uint64_t steps) {
    for (uint64_t done = 0; done < steps; done++) {
        for (int i = 0; i < 5; i++) {
            for (int j = i + 1; j < 5; j++) {
                pull(&s_bodies[i], &s_bodies[j], 0.001);
            }
        }
        for (int i = 0; i < 5; i++) {
            for (int k = 0; k < 3; k++) {
                s_bodies[i].x[k] += 0.001 * s_bodies[i].v[k];
            }
        }
    }
    uint64_t bits;
    memcpy(&bits, &s_bodies[1].x[0], sizeof bits);
    return bits;
}

// ---- Mandelbrot's set in long double; an operation is one iteration ----
static uint64_t run_x87(uint64_t count) {
    uint64_t done = 0;
    uint64_t sum = 0;
    for (uint64_t point = 0; done < count; point++) {
        const long double cr = (long double)(point % 97) / 97.0L * 2.5L - 2.0L;
        const long double ci = (long double)(point % 89) / 89.0L * 2.0L - 1.0L;
        long double zr = 0.0L;
        long double zi = 0.0L;
        int left = 200;
        for (; left > 0 && zr * zr + zi * zi < 4.0L; left--) {
            const long double next = zr * zr - zi * zi + cr;
            zi = 2.0L * zr * zi + ci;
            zr = next;
        }
        done += 200 - (unsigned)left;
        sum = sum * 3 + (unsigned)left;
    }
    return sum;
}

const struct bench k_float_benches[] = {
    {"float.matrix-sse2", "multiply-add", 1 << 30, 1, NULL, prepare_matrices, run_sse2},
    {"float.matrix-avx2", "multiply-add", 2147483648, 1, has_avx2, prepare_matrices, run_avx2},
    {"float.sad-sse2", "16-bytes", 300000000, 1, NULL, prepare_pictures, run_sad},
    {"float.nbody", "step", 3000000, 1, NULL, prepare_bodies, run_nbody},
    {"float.x87", "iteration", 40000000, 1, NULL, NULL, run_x87},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};
