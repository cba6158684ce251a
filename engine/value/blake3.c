#include "engine/value/blake3.h"

#include "engine/base/check.h"
#include "engine/value/blake3_private.h"

#include <stdatomic.h>

/* The tree.
 *
 * The input is cut into chunks of 1 KiB, each a chain of blocks; the chunks are the leaves of a
 * binary tree whose left subtrees are complete. The input is taken in batches of 64 chunks. All
 * chunks of a batch are hashed side by side, then all pairs of their chaining values, level by
 * level, until one value is left: so every level runs as wide as the road is. (Pairing neighbours
 * and carrying an odd last one up gives just that left-complete tree.) Values of finished batches
 * wait on a stack, two of equal height becoming one at once, as a counter in binary carries.
 *
 *     batch 0  batch 1  batch 2 …  last batch
 *         \    /           |          |
 *        stack[0]      stack[1]    joined from the top of the stack down; the last join is the root
 *
 * The last batch is never empty, so whatever is joined earlier cannot be the root. The root is not
 * a value but a `struct output`, for it can be squeezed for any number of bytes.
 */

#define BATCH_CHUNKS 64
#define BATCH_SIZE ((size_t)BATCH_CHUNKS * BLAKE3_CHUNK_SIZE)
#define STACK_MAX 49 /* One for each bit of a count of batches, and one before it is joined. */

struct road_functions {
    blake3_compress_fn compress;
    blake3_many_fn many;
};

static const struct road_functions ROADS[] = {
    [BLAKE3_PORTABLE] = {blake3_compress_portable, blake3_many_portable},
#if BLAKE3_X86
    [BLAKE3_SSE41] = {blake3_compress_sse41, blake3_many_sse41},
    [BLAKE3_AVX2] = {blake3_compress_sse41, blake3_many_avx2},
#endif
};

/* The road in use, plus one; 0: not chosen yet. Two threads may choose at once, alike. */
static _Atomic unsigned chosen;

static bool road_supported(enum blake3_road road)
{
#if BLAKE3_X86
    switch (road) {
    case BLAKE3_PORTABLE:
        return true;
    case BLAKE3_SSE41:
        return __builtin_cpu_supports("sse4.1");
    case BLAKE3_AVX2:
        return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("avx2");
    }
#endif
    return road == BLAKE3_PORTABLE;
}

enum blake3_road blake3_road(void)
{
    enum blake3_road road = BLAKE3_AVX2;
    while (!road_supported(road)) {
        road--;
    }
    return road;
}

bool blake3_set_road(enum blake3_road road)
{
    if (!road_supported(road)) {
        return false;
    }
    atomic_store_explicit(&chosen, (unsigned)road + 1, memory_order_relaxed);
    return true;
}

static const struct road_functions *road_in_use(void)
{
    unsigned road = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (__builtin_expect(road == 0, 0)) {
        road = (unsigned)blake3_road() + 1;
        atomic_store_explicit(&chosen, road, memory_order_relaxed);
    }
    return &ROADS[road - 1];
}

struct mode {
    const struct road_functions *road;
    const uint32_t *key;
    uint32_t flags;
};

/* A last compression, not done yet: with BLAKE3_ROOT it gives output, without it a value. */
struct output {
    uint32_t cv[BLAKE3_KEY_WORDS];
    unsigned char block[BLAKE3_BLOCK_SIZE];
    uint32_t block_size;
    uint64_t counter;
    uint32_t flags;
};

static void output_value(const struct mode *mode, const struct output *output, uint32_t *cv_out)
{
    uint32_t words[16];
    mode->road->compress(output->cv, output->block, output->block_size, output->counter,
                         output->flags, words);
    memcpy(cv_out, words, BLAKE3_SIZE);
}

static void output_squeeze(const struct mode *mode, const struct output *output, unsigned char *out,
                           size_t out_size)
{
    for (uint64_t counter = 0; out_size > 0; counter++) {
        uint32_t words[16];
        mode->road->compress(output->cv, output->block, output->block_size, counter,
                             output->flags | BLAKE3_ROOT, words);
        size_t size = out_size < sizeof(words) ? out_size : sizeof(words);
        memcpy(out, words, size);
        out += size;
        out_size -= size;
    }
}

/* A chunk of size ≤ 1 KiB, all but its last block compressed. */
static void chunk_output(const struct mode *mode, const unsigned char *input, size_t size,
                         uint64_t counter, struct output *output)
{
    uint32_t state[2][16];
    unsigned now = 0;
    uint32_t flags = mode->flags | BLAKE3_CHUNK_START;
    memcpy(state[0], mode->key, BLAKE3_SIZE);
    while (size > BLAKE3_BLOCK_SIZE) {
        mode->road->compress(state[now], input, BLAKE3_BLOCK_SIZE, counter, flags, state[now ^ 1]);
        now ^= 1;
        flags = mode->flags;
        input += BLAKE3_BLOCK_SIZE;
        size -= BLAKE3_BLOCK_SIZE;
    }
    memcpy(output->cv, state[now], BLAKE3_SIZE);
    memset(output->block, 0, sizeof(output->block));
    if (size > 0) {
        memcpy(output->block, input, size);
    }
    output->block_size = (uint32_t)size;
    output->counter = counter;
    output->flags = flags | BLAKE3_CHUNK_END;
}

static void parent_output(const struct mode *mode, const uint32_t *left, const uint32_t *right,
                          struct output *output)
{
    memcpy(output->cv, mode->key, BLAKE3_SIZE);
    memcpy(output->block, left, BLAKE3_SIZE);
    memcpy(output->block + BLAKE3_SIZE, right, BLAKE3_SIZE);
    output->block_size = BLAKE3_BLOCK_SIZE;
    output->counter = 0;
    output->flags = mode->flags | BLAKE3_PARENT;
}

/* The values of all chunks of at most a batch; gives their count. The last may be short. */
static size_t chunk_values(const struct mode *mode, const unsigned char *input, size_t size,
                           uint64_t counter, uint32_t *values)
{
    size_t count = size / BLAKE3_CHUNK_SIZE, rest = size % BLAKE3_CHUNK_SIZE;
    struct blake3_row row = {.input = input,
                             .stride = BLAKE3_CHUNK_SIZE,
                             .block_count = BLAKE3_CHUNK_SIZE / BLAKE3_BLOCK_SIZE,
                             .key = mode->key,
                             .counter = counter,
                             .counter_step = 1,
                             .flags = mode->flags,
                             .first_flags = BLAKE3_CHUNK_START,
                             .last_flags = BLAKE3_CHUNK_END};
    mode->road->many(&row, count, values);
    if (rest > 0) {
        struct output output;
        chunk_output(mode, input + size - rest, rest, counter + count, &output);
        output_value(mode, &output, values + count * BLAKE3_KEY_WORDS);
        count++;
    }
    return count;
}

/* Joins neighbours level by level, in place, until at most `keep` values are left. */
static size_t values_join(const struct mode *mode, uint32_t *values, size_t count, size_t keep)
{
    while (count > keep) {
        size_t pairs = count / 2;
        struct blake3_row row = {.input = (const unsigned char *)values,
                                 .stride = BLAKE3_BLOCK_SIZE,
                                 .block_count = 1,
                                 .key = mode->key,
                                 .flags = mode->flags | BLAKE3_PARENT};
        mode->road->many(&row, pairs, values);
        if (count % 2 != 0) {
            memcpy(values + pairs * BLAKE3_KEY_WORDS, values + (count - 1) * BLAKE3_KEY_WORDS,
                   BLAKE3_SIZE);
        }
        count = pairs + count % 2;
    }
    return count;
}

/* More than one batch: all but the last batch go to the stack; then as drawn above. */
static void long_output(const struct mode *mode, const unsigned char *input, size_t size,
                        struct output *output)
{
    uint32_t stack[STACK_MAX][BLAKE3_KEY_WORDS];
    uint32_t values[BATCH_CHUNKS * BLAKE3_KEY_WORDS];
    size_t depth = 0;
    uint64_t batches = 0;
    for (; size > BATCH_SIZE; size -= BATCH_SIZE) {
        size_t count = chunk_values(mode, input, BATCH_SIZE, batches * BATCH_CHUNKS, values);
        (void)values_join(mode, values, count, 1);
        input += BATCH_SIZE;
        batches++;
        CHECK(depth < STACK_MAX);
        memcpy(stack[depth++], values, BLAKE3_SIZE);
        for (uint64_t carry = batches; (carry & 1) == 0; carry >>= 1) {
            struct output joined;
            parent_output(mode, stack[depth - 2], stack[depth - 1], &joined);
            depth--;
            output_value(mode, &joined, stack[depth - 1]);
        }
    }
    size_t count = chunk_values(mode, input, size, batches * BATCH_CHUNKS, values);
    (void)values_join(mode, values, count, 1);
    parent_output(mode, stack[--depth], values, output);
    while (depth > 0) {
        output_value(mode, output, values);
        parent_output(mode, stack[--depth], values, output);
    }
}

static void hash(const struct mode *mode, struct bytes input, unsigned char *out, size_t out_size)
{
    struct output output;
    if (input.size <= BLAKE3_CHUNK_SIZE) {
        chunk_output(mode, input.data, input.size, 0, &output);
    } else if (input.size <= BATCH_SIZE) {
        uint32_t values[BATCH_CHUNKS * BLAKE3_KEY_WORDS];
        size_t count = chunk_values(mode, input.data, input.size, 0, values);
        count = values_join(mode, values, count, 2);
        CHECK(count == 2);
        parent_output(mode, values, values + BLAKE3_KEY_WORDS, &output);
    } else {
        long_output(mode, input.data, input.size, &output);
    }
    output_squeeze(mode, &output, out, out_size);
}

void blake3(struct bytes input, unsigned char *out, size_t out_size)
{
    struct mode mode = {road_in_use(), BLAKE3_IV, 0};
    hash(&mode, input, out, out_size);
}

void blake3_keyed(const unsigned char key[32], struct bytes input, unsigned char *out,
                  size_t out_size)
{
    uint32_t words[BLAKE3_KEY_WORDS];
    memcpy(words, key, sizeof(words));
    struct mode mode = {road_in_use(), words, BLAKE3_KEYED};
    hash(&mode, input, out, out_size);
}

void blake3_derive_key(struct bytes context, struct bytes material, unsigned char *out,
                       size_t out_size)
{
    uint32_t words[BLAKE3_KEY_WORDS];
    struct mode mode = {road_in_use(), BLAKE3_IV, BLAKE3_CONTEXT};
    hash(&mode, context, (unsigned char *)words, sizeof(words));
    mode.key = words;
    mode.flags = BLAKE3_MATERIAL;
    hash(&mode, material, out, out_size);
}
