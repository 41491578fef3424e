/* philox.h: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), one block and sixteen at a time.

   A block is four words, a function of the key (seed) and the counter (block, stream) and of nothing else. Ten times:

       (hi0, lo0) = M0 c0      c0 = hi1 ^ c1 ^ k0      c1 = lo1      k0 = k0 + W0
       (hi1, lo1) = M1 c2      c2 = hi0 ^ c3 ^ k1      c3 = lo0      k1 = k1 + W1

   Included by random.c and by the kernels of every instruction set: the words are the same in all of them. */
#ifndef FNN_PHILOX_H
#define FNN_PHILOX_H

#include <stddef.h>
#include <stdint.h>

#define FNN_PHILOX_M0 UINT32_C(0xD2511F53)
#define FNN_PHILOX_M1 UINT32_C(0xCD9E8D57)
#define FNN_PHILOX_W0 UINT32_C(0x9E3779B9)
#define FNN_PHILOX_W1 UINT32_C(0xBB67AE85)
#define FNN_PHILOX_ROUNDS 10

#define FNN_PHILOX_BLOCKS 16 /* of fnn_philox_words */
#define FNN_PHILOX_WORDS (4 * FNN_PHILOX_BLOCKS)

/* out[0..3] = the words of one block */
static inline void fnn_philox_block(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < FNN_PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)FNN_PHILOX_M0 * c0, p1 = (uint64_t)FNN_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += FNN_PHILOX_W0;
        k1 += FNN_PHILOX_W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Below: out[0..63] = the words of blocks block .. block + 15, in the stream's order */

#if defined(__SSE2__) && (defined(__GNUC__) || defined(__clang__))
/* x86 multiplies the low halves of 64-bit lanes, so each lane carries one word of one block here, and what is in its
   high half does no harm until the end. GCC does not find this in the plain loops below, and is 2.5 times slower. */
#include <immintrin.h>
#include <string.h>
#if defined(__AVX512F__)
typedef uint64_t fnn_philox_lanes __attribute__((vector_size(64)));
#define FNN_PHILOX_MUL(a, b) ((fnn_philox_lanes)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__)
typedef uint64_t fnn_philox_lanes __attribute__((vector_size(32)));
#define FNN_PHILOX_MUL(a, b) ((fnn_philox_lanes)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#else
typedef uint64_t fnn_philox_lanes __attribute__((vector_size(16)));
#define FNN_PHILOX_MUL(a, b) ((fnn_philox_lanes)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#endif

static inline void fnn_philox_words(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[FNN_PHILOX_WORDS])
{
    enum { LANES = sizeof(fnn_philox_lanes) / 8, GROUPS = LANES > 4 ? 2 : 4, TOGETHER = GROUPS * LANES };
    const fnn_philox_lanes zero = {0}, low = zero + UINT32_MAX;
    const fnn_philox_lanes m0 = zero + FNN_PHILOX_M0, m1 = zero + FNN_PHILOX_M1;
    fnn_philox_lanes counting = zero;
    for (int lane = 0; lane < LANES; lane++)
        counting[lane] = (uint64_t)lane;

    for (int from = 0; from < FNN_PHILOX_BLOCKS; from += TOGETHER) {
        fnn_philox_lanes c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; g++) {
            c0[g] = counting + (block + (uint64_t)(from + LANES * g));
            c1[g] = c0[g] >> 32;
            c2[g] = zero + stream;
            c3[g] = zero + (stream >> 32);
        }
#pragma GCC unroll 10
        for (int round = 0; round < FNN_PHILOX_ROUNDS; round++) {
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; g++) {
                fnn_philox_lanes p0 = FNN_PHILOX_MUL(m0, c0[g]), p1 = FNN_PHILOX_MUL(m1, c2[g]);
                c0[g] = (p1 >> 32) ^ c1[g] ^ (zero + k0);
                c1[g] = p1;
                c2[g] = (p0 >> 32) ^ c3[g] ^ (zero + k1);
                c3[g] = p0;
            }
            k0 += FNN_PHILOX_W0;
            k1 += FNN_PHILOX_W1;
        }
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; g++) {
            fnn_philox_lanes first = (c0[g] & low) | c1[g] << 32, second = (c2[g] & low) | c3[g] << 32;
            uint64_t ordered[2 * LANES];
            for (int lane = 0; lane < LANES; lane++) {
                ordered[2 * lane] = first[lane];
                ordered[2 * lane + 1] = second[lane];
            }
            memcpy(out + 4 * (from + LANES * g), ordered, sizeof ordered);
        }
    }
}

#else
static inline void fnn_philox_words(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[FNN_PHILOX_WORDS])
{
    uint32_t c0[FNN_PHILOX_BLOCKS], c1[FNN_PHILOX_BLOCKS], c2[FNN_PHILOX_BLOCKS], c3[FNN_PHILOX_BLOCKS];
    for (int b = 0; b < FNN_PHILOX_BLOCKS; b++) {
        c0[b] = (uint32_t)(block + (uint64_t)b);
        c1[b] = (uint32_t)((block + (uint64_t)b) >> 32);
        c2[b] = (uint32_t)stream;
        c3[b] = (uint32_t)(stream >> 32);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < FNN_PHILOX_ROUNDS; round++) {
        for (int b = 0; b < FNN_PHILOX_BLOCKS; b++) {
            uint64_t p0 = (uint64_t)FNN_PHILOX_M0 * c0[b], p1 = (uint64_t)FNN_PHILOX_M1 * c2[b];
            c0[b] = (uint32_t)(p1 >> 32) ^ c1[b] ^ k0;
            c1[b] = (uint32_t)p1;
            c2[b] = (uint32_t)(p0 >> 32) ^ c3[b] ^ k1;
            c3[b] = (uint32_t)p0;
        }
        k0 += FNN_PHILOX_W0;
        k1 += FNN_PHILOX_W1;
    }
    for (int b = 0; b < FNN_PHILOX_BLOCKS; b++) {
        out[4 * b] = c0[b];
        out[4 * b + 1] = c1[b];
        out[4 * b + 2] = c2[b];
        out[4 * b + 3] = c3[b];
    }
}
#endif

#endif
