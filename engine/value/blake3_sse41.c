#include "engine/value/blake3_private.h"

#if BLAKE3_X86

#include <immintrin.h>

/* Two ways to use four lanes.
 *
 * One block: the 4×4 state lies in four vectors, a row each, and a round mixes its four columns at
 * once, then its four diagonals. To bring the diagonals under each other, rows a, c and d are
 * turned while b stays, because b is what the next step waits for. The message is kept as four
 * vectors in the order in which the steps consume it,
 *
 *     A = words 0 2 4 6   B = 1 3 5 7   C = 14 8 10 12   D = 15 9 11 13
 *
 * (C and D turned with the diagonals), and the schedule's permutation is a few shuffles of these.
 *
 * Four inputs: lane i of each of the sixteen state vectors belongs to input i; the message is
 * transposed on its way in, the state on its way out. Nothing is shuffled in between.
 */

/* At -O2 gcc leaves short loops over vectors alone, and then the vectors in memory. */
#define UNROLL _Pragma("GCC unroll 8")
#define TARGET __attribute__((target("sse4.1")))
#define INLINE static inline __attribute__((always_inline, target("sse4.1")))

INLINE __m128i rotate_16(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}

INLINE __m128i rotate_8(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

INLINE __m128i rotate_12(__m128i x)
{
    return _mm_or_si128(_mm_srli_epi32(x, 12), _mm_slli_epi32(x, 20));
}

INLINE __m128i rotate_7(__m128i x)
{
    return _mm_or_si128(_mm_srli_epi32(x, 7), _mm_slli_epi32(x, 25));
}

/* Four quarter rounds side by side. */
INLINE void mix(__m128i *a, __m128i *b, __m128i *c, __m128i *d, __m128i x, __m128i y)
{
    *a = _mm_add_epi32(_mm_add_epi32(*a, x), *b);
    *d = rotate_16(_mm_xor_si128(*d, *a));
    *c = _mm_add_epi32(*c, *d);
    *b = rotate_12(_mm_xor_si128(*b, *c));
    *a = _mm_add_epi32(_mm_add_epi32(*a, y), *b);
    *d = rotate_8(_mm_xor_si128(*d, *a));
    *c = _mm_add_epi32(*c, *d);
    *b = rotate_7(_mm_xor_si128(*b, *c));
}

/* Lanes i, j of x, then k, l of y. */
#define PICK(x, y, i, j, k, l)                                                                     \
    _mm_castps_si128(                                                                              \
        _mm_shuffle_ps(_mm_castsi128_ps(x), _mm_castsi128_ps(y), _MM_SHUFFLE(l, k, j, i)))
#define TURN(x, i, j, k, l) _mm_shuffle_epi32(x, _MM_SHUFFLE(l, k, j, i))
/* x with one lane of y. */
#define WITH_LANE_2(x, y) _mm_blend_epi16(x, y, 0x30)
#define WITH_LANE_3(x, y) _mm_blend_epi16(x, y, 0xC0)

/* The schedule's permutation, on A, B, C, D as drawn above. */
INLINE void message_permute(__m128i m[4])
{
    __m128i a = m[0], b = m[1], c = m[2], d = m[3];
    m[0] = TURN(PICK(a, b, 1, 2, 1, 3), 0, 2, 3, 1);
    m[1] = TURN(PICK(a, WITH_LANE_3(c, d), 3, 0, 2, 3), 0, 2, 1, 3);
    m[2] = PICK(_mm_unpacklo_epi32(d, b), WITH_LANE_3(d, c), 0, 1, 3, 1);
    m[3] = PICK(WITH_LANE_2(c, d), WITH_LANE_2(c, b), 1, 2, 2, 0);
}

INLINE void row_round(__m128i v[4], const __m128i m[4])
{
    mix(&v[0], &v[1], &v[2], &v[3], m[0], m[1]);
    v[0] = TURN(v[0], 3, 0, 1, 2);
    v[2] = TURN(v[2], 1, 2, 3, 0);
    v[3] = TURN(v[3], 2, 3, 0, 1);
    mix(&v[0], &v[1], &v[2], &v[3], m[2], m[3]);
    v[0] = TURN(v[0], 1, 2, 3, 0);
    v[2] = TURN(v[2], 3, 0, 1, 2);
    v[3] = TURN(v[3], 2, 3, 0, 1);
}

INLINE __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

INLINE void store(void *p, __m128i x)
{
    _mm_storeu_si128((__m128i *)p, x);
}

TARGET void blake3_compress_sse41(const uint32_t cv[BLAKE3_KEY_WORDS],
                                  const unsigned char block[BLAKE3_BLOCK_SIZE], uint32_t block_size,
                                  uint64_t counter, uint32_t flags, uint32_t out[16])
{
    __m128i low = load(cv), high = load(cv + 4);
    __m128i v[4] = {low, high, load(BLAKE3_IV),
                    _mm_set_epi32((int)flags, (int)block_size, (int)(counter >> 32), (int)counter)};
    __m128i w0 = load(block), w1 = load(block + 16), w2 = load(block + 32), w3 = load(block + 48);
    __m128i m[4] = {PICK(w0, w1, 0, 2, 0, 2), PICK(w0, w1, 1, 3, 1, 3),
                    TURN(PICK(w2, w3, 0, 2, 0, 2), 3, 0, 1, 2),
                    TURN(PICK(w2, w3, 1, 3, 1, 3), 3, 0, 1, 2)};
    row_round(v, m);
    for (unsigned round = 1; round < BLAKE3_ROUNDS; round++) {
        message_permute(m);
        row_round(v, m);
    }
    store(out, _mm_xor_si128(v[0], v[2]));
    store(out + 4, _mm_xor_si128(v[1], v[3]));
    store(out + 8, _mm_xor_si128(v[2], low));
    store(out + 12, _mm_xor_si128(v[3], high));
}

INLINE void lanes_round(__m128i v[16], const __m128i m[16], const unsigned char s[16])
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

/* Four vectors as the rows of a matrix become its columns. */
INLINE void transpose(__m128i x[4])
{
    __m128i low01 = _mm_unpacklo_epi32(x[0], x[1]), high01 = _mm_unpackhi_epi32(x[0], x[1]);
    __m128i low23 = _mm_unpacklo_epi32(x[2], x[3]), high23 = _mm_unpackhi_epi32(x[2], x[3]);
    x[0] = _mm_unpacklo_epi64(low01, low23);
    x[1] = _mm_unpackhi_epi64(low01, low23);
    x[2] = _mm_unpacklo_epi64(high01, high23);
    x[3] = _mm_unpackhi_epi64(high01, high23);
}

INLINE void message_load(__m128i m[16], const unsigned char *input, size_t stride)
{
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        UNROLL
        for (unsigned lane = 0; lane < 4; lane++) {
            m[4 * i + lane] = load(input + lane * stride + 16 * i);
        }
        transpose(m + 4 * i);
    }
}

INLINE __m128i counters(const struct blake3_row *row, unsigned shift)
{
    uint64_t step = row->counter_step;
    return _mm_set_epi32((int)((row->counter + 3 * step) >> shift),
                         (int)((row->counter + 2 * step) >> shift),
                         (int)((row->counter + step) >> shift), (int)(row->counter >> shift));
}

TARGET static void hash_four(const struct blake3_row *row, uint32_t *out)
{
    __m128i cv[8], v[16], m[16];
    UNROLL
    for (unsigned i = 0; i < 8; i++) {
        cv[i] = _mm_set1_epi32((int)row->key[i]);
    }
    __m128i counter_low = counters(row, 0), counter_high = counters(row, 32);
    for (size_t block = 0; block < row->block_count; block++) {
        message_load(m, row->input + block * BLAKE3_BLOCK_SIZE, row->stride);
        UNROLL
        for (unsigned i = 0; i < 8; i++) {
            v[i] = cv[i];
        }
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            v[8 + i] = _mm_set1_epi32((int)BLAKE3_IV[i]);
        }
        v[12] = counter_low;
        v[13] = counter_high;
        v[14] = _mm_set1_epi32(BLAKE3_BLOCK_SIZE);
        v[15] = _mm_set1_epi32((int)blake3_row_flags(row, block));
        lanes_round(v, m, BLAKE3_SCHEDULE[0]);
        lanes_round(v, m, BLAKE3_SCHEDULE[1]);
        lanes_round(v, m, BLAKE3_SCHEDULE[2]);
        lanes_round(v, m, BLAKE3_SCHEDULE[3]);
        lanes_round(v, m, BLAKE3_SCHEDULE[4]);
        lanes_round(v, m, BLAKE3_SCHEDULE[5]);
        lanes_round(v, m, BLAKE3_SCHEDULE[6]);
        UNROLL
        for (unsigned i = 0; i < 8; i++) {
            cv[i] = _mm_xor_si128(v[i], v[i + 8]);
        }
    }
    transpose(cv);
    transpose(cv + 4);
    UNROLL
    for (unsigned lane = 0; lane < 4; lane++) {
        store(out + 8 * lane, cv[lane]);
        store(out + 8 * lane + 4, cv[4 + lane]);
    }
}

void blake3_many_sse41(const struct blake3_row *row, size_t count, uint32_t *out)
{
    size_t done = 0;
    for (; count - done >= 4; done += 4) {
        struct blake3_row rest = blake3_row_after(row, done);
        hash_four(&rest, out + done * BLAKE3_KEY_WORDS);
    }
    struct blake3_row rest = blake3_row_after(row, done);
    blake3_many_serial(&rest, count - done, out + done * BLAKE3_KEY_WORDS, blake3_compress_sse41);
}

#endif
