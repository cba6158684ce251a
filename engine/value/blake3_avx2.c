#include "engine/value/blake3_private.h"

#if BLAKE3_X86

#include <immintrin.h>

/* Eight inputs side by side, as blake3_sse41.c does with four: lane i of each of the sixteen state
 * vectors belongs to input i. What fills no eight lanes goes there. */

/* At -O2 gcc leaves short loops over vectors alone, and then the vectors in memory. */
#define UNROLL _Pragma("GCC unroll 8")
#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))

INLINE __m256i rotate_16(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_set_epi8(
                                      13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2)));
}

INLINE __m256i rotate_8(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_set_epi8(
                                      12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1)));
}

INLINE __m256i rotate_12(__m256i x)
{
    return _mm256_or_si256(_mm256_srli_epi32(x, 12), _mm256_slli_epi32(x, 20));
}

INLINE __m256i rotate_7(__m256i x)
{
    return _mm256_or_si256(_mm256_srli_epi32(x, 7), _mm256_slli_epi32(x, 25));
}

/* The quarter round of eight inputs. */
INLINE void mix(__m256i *a, __m256i *b, __m256i *c, __m256i *d, __m256i x, __m256i y)
{
    *a = _mm256_add_epi32(_mm256_add_epi32(*a, x), *b);
    *d = rotate_16(_mm256_xor_si256(*d, *a));
    *c = _mm256_add_epi32(*c, *d);
    *b = rotate_12(_mm256_xor_si256(*b, *c));
    *a = _mm256_add_epi32(_mm256_add_epi32(*a, y), *b);
    *d = rotate_8(_mm256_xor_si256(*d, *a));
    *c = _mm256_add_epi32(*c, *d);
    *b = rotate_7(_mm256_xor_si256(*b, *c));
}

INLINE void mix_round(__m256i v[16], const __m256i m[16], const unsigned char s[16])
{
    mix(&v[0], &v[4], &v[8], &v[12], m[s[0]], m[s[1]]);
    mix(&v[1], &v[5], &v[9], &v[13], m[s[2]], m[s[3]]);
    mix(&v[2], &v[6], &v[10], &v[14], m[s[4]], m[s[5]]);
    mix(&v[3], &v[7], &v[11], &v[15], m[s[6]], m[s[7]]);
    mix(&v[0], &v[5], &v[10], &v[15], m[s[8]], m[s[9]]);
    mix(&v[1], &v[6], &v[11], &v[12], m[s[10]], m[s[11]]);
    mix(&v[2], &v[7], &v[8], &v[13], m[s[12]], m[s[13]]);
    mix(&v[3], &v[4], &v[9], &v[14], m[s[14]], m[s[15]]);
}

/* Eight vectors as the rows of a matrix become its columns. */
INLINE void transpose(__m256i x[8])
{
    __m256i pairs[8], fours[8];
    UNROLL
    for (unsigned i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
    }
    UNROLL
    for (unsigned i = 0; i < 8; i += 4) {
        fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        x[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
        x[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
}

INLINE void message_load(__m256i m[16], const unsigned char *input, size_t stride)
{
    UNROLL
    for (unsigned half = 0; half < 16; half += 8) {
        UNROLL
        for (unsigned lane = 0; lane < 8; lane++) {
            m[half + lane] =
                _mm256_loadu_si256((const __m256i *)(input + lane * stride + 4 * half));
        }
        transpose(m + half);
    }
}

INLINE __m256i counters(const struct blake3_row *row, unsigned shift)
{
    uint32_t words[8];
    UNROLL
    for (unsigned lane = 0; lane < 8; lane++) {
        words[lane] = (uint32_t)((row->counter + (uint64_t)lane * row->counter_step) >> shift);
    }
    return _mm256_loadu_si256((const __m256i *)words);
}

TARGET static void hash_eight(const struct blake3_row *row, uint32_t *out)
{
    __m256i cv[8], v[16], m[16];
    UNROLL
    for (unsigned i = 0; i < 8; i++) {
        cv[i] = _mm256_set1_epi32((int)row->key[i]);
    }
    __m256i counter_low = counters(row, 0), counter_high = counters(row, 32);
    for (size_t block = 0; block < row->block_count; block++) {
        message_load(m, row->input + block * BLAKE3_BLOCK_SIZE, row->stride);
        UNROLL
        for (unsigned i = 0; i < 8; i++) {
            v[i] = cv[i];
        }
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            v[8 + i] = _mm256_set1_epi32((int)BLAKE3_IV[i]);
        }
        v[12] = counter_low;
        v[13] = counter_high;
        v[14] = _mm256_set1_epi32(BLAKE3_BLOCK_SIZE);
        v[15] = _mm256_set1_epi32((int)blake3_row_flags(row, block));
        mix_round(v, m, BLAKE3_SCHEDULE[0]);
        mix_round(v, m, BLAKE3_SCHEDULE[1]);
        mix_round(v, m, BLAKE3_SCHEDULE[2]);
        mix_round(v, m, BLAKE3_SCHEDULE[3]);
        mix_round(v, m, BLAKE3_SCHEDULE[4]);
        mix_round(v, m, BLAKE3_SCHEDULE[5]);
        mix_round(v, m, BLAKE3_SCHEDULE[6]);
        UNROLL
        for (unsigned i = 0; i < 8; i++) {
            cv[i] = _mm256_xor_si256(v[i], v[i + 8]);
        }
    }
    transpose(cv);
    UNROLL
    for (unsigned lane = 0; lane < 8; lane++) {
        _mm256_storeu_si256((__m256i *)(out + 8 * lane), cv[lane]);
    }
}

void blake3_many_avx2(const struct blake3_row *row, size_t count, uint32_t *out)
{
    size_t done = 0;
    for (; count - done >= 8; done += 8) {
        struct blake3_row rest = blake3_row_after(row, done);
        hash_eight(&rest, out + done * BLAKE3_KEY_WORDS);
    }
    struct blake3_row rest = blake3_row_after(row, done);
    blake3_many_sse41(&rest, count - done, out + done * BLAKE3_KEY_WORDS);
}

#endif
