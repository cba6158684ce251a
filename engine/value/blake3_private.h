/* blake3_private: what the roads of blake3 owe its tree. For blake3*.c alone.
 *
 * A road compresses one block, and hashes up to BLAKE3_WIDTH inputs of equal shape side by side:
 * chunks (16 blocks each) or parents (one block each). A chaining value travels as eight words,
 * which on a little-endian machine are its bytes, so that two neighbours in an array are the block
 * of their parent.
 */
#ifndef BASIN_ENGINE_VALUE_BLAKE3_PRIVATE_H
#define BASIN_ENGINE_VALUE_BLAKE3_PRIVATE_H

#include "engine/value/blake3.h"

#define BLAKE3_BLOCK_SIZE 64
#define BLAKE3_CHUNK_SIZE 1024
#define BLAKE3_KEY_WORDS 8
#define BLAKE3_ROUNDS 7

#if defined(__x86_64__)
#define BLAKE3_X86 1
#else
#define BLAKE3_X86 0
#endif

enum blake3_flag {
    BLAKE3_CHUNK_START = 1,
    BLAKE3_CHUNK_END = 2,
    BLAKE3_PARENT = 4,
    BLAKE3_ROOT = 8,
    BLAKE3_KEYED = 16,
    BLAKE3_CONTEXT = 32,
    BLAKE3_MATERIAL = 64,
};

static const uint32_t BLAKE3_IV[BLAKE3_KEY_WORDS] = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* Which message word each of a round's sixteen places takes: round r+1 is round r permuted by
 * 2 6 3 10 7 0 4 13 1 11 12 5 9 14 15 8. */
static const unsigned char BLAKE3_SCHEDULE[BLAKE3_ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* One block of block_size bytes (the rest of the 64 is zero) under a chaining value. The first half
 * of out is the next chaining value; the whole is a block of output. out may not be cv. */
typedef void (*blake3_compress_fn)(const uint32_t cv[BLAKE3_KEY_WORDS],
                                   const unsigned char block[BLAKE3_BLOCK_SIZE],
                                   uint32_t block_size, uint64_t counter, uint32_t flags,
                                   uint32_t out[16]);

/* A row of inputs, stride bytes apart, of block_count whole blocks each. Input i has the counter
 * counter + i * counter_step. */
struct blake3_row {
    const unsigned char *input;
    size_t stride;
    size_t block_count;
    const uint32_t *key;
    uint64_t counter;
    unsigned counter_step;
    uint32_t flags;
    uint32_t first_flags; /* Further flags of the first and of the last block. */
    uint32_t last_flags;
};

/* Hashes count inputs into count chaining values; out may be the input itself (parents are written
 * where their first children were read, never ahead of the reading). */
typedef void (*blake3_many_fn)(const struct blake3_row *row, size_t count, uint32_t *out);

void blake3_compress_portable(const uint32_t cv[BLAKE3_KEY_WORDS],
                              const unsigned char block[BLAKE3_BLOCK_SIZE], uint32_t block_size,
                              uint64_t counter, uint32_t flags, uint32_t out[16]);
void blake3_many_portable(const struct blake3_row *row, size_t count, uint32_t *out);
#if BLAKE3_X86
void blake3_compress_sse41(const uint32_t cv[BLAKE3_KEY_WORDS],
                           const unsigned char block[BLAKE3_BLOCK_SIZE], uint32_t block_size,
                           uint64_t counter, uint32_t flags, uint32_t out[16]);
void blake3_many_sse41(const struct blake3_row *row, size_t count, uint32_t *out);
void blake3_many_avx2(const struct blake3_row *row, size_t count, uint32_t *out);
#endif

static inline uint32_t blake3_row_flags(const struct blake3_row *row, size_t block)
{
    return row->flags | (block == 0 ? row->first_flags : 0) |
           (block + 1 == row->block_count ? row->last_flags : 0);
}

/* The row without its first count inputs. */
static inline struct blake3_row blake3_row_after(const struct blake3_row *row, size_t count)
{
    struct blake3_row rest = *row;
    rest.input += count * row->stride;
    rest.counter += count * row->counter_step;
    return rest;
}

/* What the roads do with the few inputs that fill no vector: one after the other. */
static inline void blake3_many_serial(const struct blake3_row *row, size_t count, uint32_t *out,
                                      blake3_compress_fn compress)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t state[2][16];
        memcpy(state[0], row->key, BLAKE3_SIZE);
        for (size_t block = 0; block < row->block_count; block++) {
            compress(state[block & 1], row->input + i * row->stride + block * BLAKE3_BLOCK_SIZE,
                     BLAKE3_BLOCK_SIZE, row->counter + i * row->counter_step,
                     blake3_row_flags(row, block), state[(block & 1) ^ 1]);
        }
        memcpy(out + i * BLAKE3_KEY_WORDS, state[row->block_count & 1], BLAKE3_SIZE);
    }
}

#endif
