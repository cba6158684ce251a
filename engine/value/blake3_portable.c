#include "engine/value/blake3_private.h"

static inline uint32_t rotate_right(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

/* The quarter round: mixes a column or a diagonal of the 4×4 state with two message words. */
static inline __attribute__((always_inline)) void
mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x, uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate_right(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 7);
}

static inline __attribute__((always_inline)) void mix_round(uint32_t v[16], const uint32_t m[16],
                                                            const unsigned char s[16])
{
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

void blake3_compress_portable(const uint32_t cv[BLAKE3_KEY_WORDS],
                              const unsigned char block[BLAKE3_BLOCK_SIZE], uint32_t block_size,
                              uint64_t counter, uint32_t flags, uint32_t out[16])
{
    uint32_t m[16];
    memcpy(m, block, sizeof(m));
    uint32_t v[16] = {cv[0],
                      cv[1],
                      cv[2],
                      cv[3],
                      cv[4],
                      cv[5],
                      cv[6],
                      cv[7],
                      BLAKE3_IV[0],
                      BLAKE3_IV[1],
                      BLAKE3_IV[2],
                      BLAKE3_IV[3],
                      (uint32_t)counter,
                      (uint32_t)(counter >> 32),
                      block_size,
                      flags};
    /* Written out, so that the schedule's entries become constants. */
    mix_round(v, m, BLAKE3_SCHEDULE[0]);
    mix_round(v, m, BLAKE3_SCHEDULE[1]);
    mix_round(v, m, BLAKE3_SCHEDULE[2]);
    mix_round(v, m, BLAKE3_SCHEDULE[3]);
    mix_round(v, m, BLAKE3_SCHEDULE[4]);
    mix_round(v, m, BLAKE3_SCHEDULE[5]);
    mix_round(v, m, BLAKE3_SCHEDULE[6]);
    for (unsigned i = 0; i < 8; i++) {
        out[i] = v[i] ^ v[i + 8];
        out[i + 8] = v[i + 8] ^ cv[i];
    }
}

void blake3_many_portable(const struct blake3_row *row, size_t count, uint32_t *out)
{
    blake3_many_serial(row, count, out, blake3_compress_portable);
}
