#include "engine/value/blake3.h"

#include "tests/lib/test.h"
#include "tests/unit/blake3_vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define INPUT_MAX ((size_t)1 << 20)
#define FOR_EACH_ROAD(road)                                                                        \
    for (enum blake3_road road = BLAKE3_PORTABLE; road <= BLAKE3_AVX2; road++)                     \
        if (blake3_set_road(road))

static unsigned char *pattern_input(size_t size)
{
    unsigned char *input = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        input[i] = (unsigned char)(i % 251);
    }
    return input;
}

static unsigned char *random_input(size_t size, uint64_t *state)
{
    unsigned char *input = malloc(size + 8);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = test_random(state);
        memcpy(input + i, &word, sizeof(word));
    }
    return input;
}

static void expect_hex(const unsigned char *bytes, const char *hex)
{
    char text[2 * BLAKE3_VECTOR_SIZE + 1];
    for (size_t i = 0; i < BLAKE3_VECTOR_SIZE; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    EXPECT_TEXT(text, hex);
}

static void expect_vector(const struct blake3_vector *vector)
{
    unsigned char *input = pattern_input(vector->input_size);
    struct bytes bytes = bytes_of(input, vector->input_size);
    unsigned char out[BLAKE3_VECTOR_SIZE], digest[BLAKE3_SIZE];
    blake3(bytes, out, sizeof(out));
    expect_hex(out, vector->hash);
    blake3(bytes, digest, sizeof(digest));
    EXPECT(memcmp(digest, out, sizeof(digest)) == 0);
    blake3_keyed((const unsigned char *)BLAKE3_VECTOR_KEY, bytes, out, sizeof(out));
    expect_hex(out, vector->keyed);
    blake3_derive_key(bytes_of_text(BLAKE3_VECTOR_CONTEXT), bytes, out, sizeof(out));
    expect_hex(out, vector->derived);
    free(input);
}

TEST(blake3_gives_the_official_output_of_every_mode_on_every_road)
{
    size_t count = sizeof(blake3_vectors) / sizeof(blake3_vectors[0]);
    EXPECT_INT(count, 36);
    FOR_EACH_ROAD(road)
    {
        for (size_t i = 0; i < count; i++) {
            expect_vector(&blake3_vectors[i]);
        }
    }
    EXPECT(blake3_set_road(blake3_road()));
}

/* The plain road is the model of the others. */
static void expect_roads_agree(struct bytes input)
{
    unsigned char expected[100], out[100];
    EXPECT(blake3_set_road(BLAKE3_PORTABLE));
    blake3(input, expected, sizeof(expected));
    FOR_EACH_ROAD(road)
    {
        blake3(input, out, sizeof(out));
        EXPECT(memcmp(out, expected, sizeof(out)) == 0);
    }
    EXPECT(blake3_set_road(blake3_road()));
}

TEST(all_roads_agree_at_lengths_of_every_kind)
{
    uint64_t state = test_seed();
    unsigned char *input = random_input(70000, &state);
    for (size_t size = 0; size <= 70000; size += 61) {
        expect_roads_agree(bytes_of(input, size));
    }
    for (size_t size = 0; size <= 2100; size++) {
        expect_roads_agree(bytes_of(input, size));
    }
    free(input);
}

TEST(all_roads_agree_at_random_lengths_and_offsets)
{
    uint64_t state = test_seed();
    unsigned char *input = random_input(INPUT_MAX, &state);
    for (unsigned i = 0; i < 60; i++) {
        size_t size = test_random_below(&state, i % 2 ? 5000 : INPUT_MAX / 2);
        size_t offset = test_random_below(&state, INPUT_MAX - size);
        expect_roads_agree(bytes_of(input + offset, size));
    }
    free(input);
}

/* Around whole batches of 64 KiB, where values go to the stack and are joined. */
TEST(all_roads_agree_around_powers_of_two_of_the_tree)
{
    uint64_t state = test_seed();
    unsigned char *input = random_input(INPUT_MAX, &state);
    for (size_t batches = 1; batches <= 15; batches++) {
        for (size_t extra = 0; extra <= 2; extra++) {
            expect_roads_agree(bytes_of(input, batches * 65536 + extra - 1));
        }
    }
    free(input);
}

TEST(longer_output_begins_with_the_shorter)
{
    unsigned char *input = pattern_input(3000);
    unsigned char long_output[1000], output[1000];
    blake3(bytes_of(input, 3000), long_output, sizeof(long_output));
    for (size_t size = 0; size <= sizeof(output); size += 37) {
        blake3(bytes_of(input, 3000), output, size);
        EXPECT(memcmp(output, long_output, size) == 0);
    }
    free(input);
}

TEST(one_changed_bit_anywhere_changes_the_digest)
{
    uint64_t state = test_seed();
    unsigned char *input = random_input(200000, &state);
    unsigned char before[BLAKE3_SIZE], after[BLAKE3_SIZE];
    blake3(bytes_of(input, 200000), before, sizeof(before));
    for (unsigned i = 0; i < 100; i++) {
        size_t bit = test_random_below(&state, 200000 * 8);
        input[bit / 8] ^= (unsigned char)(1 << (bit % 8));
        blake3(bytes_of(input, 200000), after, sizeof(after));
        EXPECT(memcmp(before, after, sizeof(after)) != 0);
        input[bit / 8] ^= (unsigned char)(1 << (bit % 8));
    }
    free(input);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* BASIN_MEASURE=1 prints gigabytes a second, by road and size. */
TEST(measure_the_roads)
{
    static const size_t SIZES[] = {64, 100, 1024, 4096, 16384, 65536, INPUT_MAX};
    if (getenv("BASIN_MEASURE") == NULL) {
        return;
    }
    unsigned char *input = pattern_input(INPUT_MAX);
    FOR_EACH_ROAD(road)
    {
        for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
            unsigned char digest[BLAKE3_SIZE];
            size_t rounds = ((size_t)96 << 20) / (SIZES[i] + 64);
            double best = 1e9;
            for (unsigned repeat = 0; repeat < 3; repeat++) {
                double begin = now_s();
                for (size_t round = 0; round < rounds; round++) {
                    blake3(bytes_of(input, SIZES[i]), digest, sizeof(digest));
                }
                double spent = now_s() - begin;
                best = spent < best ? spent : best;
            }
            printf("road %d, %zu bytes: %.2f GB/s, %.0f ns\n", (int)road, SIZES[i],
                   (double)(rounds * SIZES[i]) / best / 1e9, best / (double)rounds * 1e9);
        }
    }
    EXPECT(blake3_set_road(blake3_road()));
    free(input);
}
