#include "engine/value/value.h"

#include "engine/value/chunks.h"
#include "engine/value/fields.h"
#include "engine/value/list.h"
#include "engine/value/set.h"
#include "engine/value/stream.h"
#include "engine/value/text.h"
#include "engine/value/zset.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

static const struct value_limits limits = {.list_max_listpack_size = -2};
static unsigned char filler[200000];

static struct bytes some_bytes(size_t size, uint64_t *state)
{
    if (filler[0] == 0) {
        for (size_t i = 0; i < sizeof(filler); i++) {
            filler[i] = (unsigned char)(1 + i * 131 % 253);
        }
    }
    return bytes_of(filler + test_random_below(state, sizeof(filler) - size + 1), size);
}

static struct value text_random(uint64_t *state)
{
    static const size_t bounds[] = {0, 10, 4096, 4097, 16384, 200000};
    struct value value;
    size_t size = bounds[test_random_below(state, 6)];
    size = test_random_below(state, 2) == 0 ? size : (size_t)test_random_below(state, size + 1);
    EXPECT(text_make(some_bytes(size, state), &value) == ST_OK);
    return value;
}

/* A list of this many elements; scratch holds it if it is packed. */
static struct value list_random(uint64_t *state, size_t count, struct buf *scratch)
{
    struct value value = list_empty();
    for (size_t i = 0; i < count; i++) {
        size_t most = test_random_below(state, 50) == 0 ? 9000 : 30;
        struct bytes element = some_bytes((size_t)test_random_below(state, most), state);
        EXPECT(list_push(&value, LIST_RIGHT, &element, 1, &limits, scratch) == ST_OK);
    }
    return value;
}

static struct value value_random(uint64_t *state, struct buf *scratch)
{
    static const size_t counts[] = {1, 3, 100, 2000};
    return test_random_below(state, 3) == 0
               ? text_random(state)
               : list_random(state, counts[test_random_below(state, 4)], scratch);
}

/* Equal content, whatever the shape. */
static bool same_content(const struct value *a, const struct value *b)
{
    struct buf a_bytes = BUF_EMPTY;
    struct buf b_bytes = BUF_EMPTY;
    EXPECT(value_encode(a, &a_bytes) == ST_OK);
    EXPECT(value_encode(b, &b_bytes) == ST_OK);
    EXPECT(a_bytes.size <= value_encoded_max(a));
    bool same = bytes_equal(buf_bytes(&a_bytes), buf_bytes(&b_bytes));
    buf_deinit(&a_bytes);
    buf_deinit(&b_bytes);
    return same;
}

static bool good(const struct value *value)
{
    return value->type != VALUE_NONE && value_check(value);
}

TEST(value_is_the_same_after_encode_and_decode)
{
    uint64_t state = test_seed();
    for (size_t i = 0; i < 300; i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf encoded = BUF_EMPTY;
        struct buf decode_scratch = BUF_EMPTY;
        struct value value = value_random(&state, &scratch);
        struct value decoded;
        EXPECT(value_encode(&value, &encoded) == ST_OK);
        EXPECT(encoded.size <= value_encoded_max(&value));
        EXPECT(value_decode(buf_bytes(&encoded), &limits, &decode_scratch, &decoded) == ST_OK);
        EXPECT(decoded.type == value.type);
        EXPECT(good(&decoded));
        EXPECT(same_content(&value, &decoded));
        value_free(&value);
        value_free(&decoded);
        buf_deinit(&scratch);
        buf_deinit(&encoded);
        buf_deinit(&decode_scratch);
    }
}

/* The format is a promise to the disk: byte by byte. */
TEST(value_encodes_byte_by_byte_as_documented)
{
    struct buf scratch = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct value value;
    EXPECT(text_make(bytes_of_text("clay"), &value) == ST_OK);
    EXPECT(value_encode(&value, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of("\1clay", 5)));
    out.size = 0;
    value = list_empty();
    struct bytes elements[] = {bytes_of_text("silt"), BYTES_NONE, bytes_of_text("loam")};
    EXPECT(list_push(&value, LIST_RIGHT, elements, 3, &limits, &scratch) == ST_OK);
    EXPECT(value_encode(&value, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of("\2\3\4silt\0\4loam", 13)));
    buf_deinit(&scratch);
    buf_deinit(&out);
}

/* Bytes from a damaged disk: refused, or a value that stands every check. */
TEST(value_decode_trusts_no_byte)
{
    uint64_t state = test_seed();
    size_t refused = 0;
    for (size_t i = 0; i < STEPS(20000, 5000); i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf encoded = BUF_EMPTY;
        struct value value = list_random(&state, (size_t)test_random_below(&state, 60), &scratch);
        EXPECT(value_encode(&value, &encoded) == ST_OK);
        value_free(&value);
        size_t size = encoded.size - (size_t)test_random_below(&state, 3) % encoded.size;
        unsigned char *copy = malloc(size);
        EXPECT(copy != NULL);
        memcpy(copy, encoded.data, size);
        for (uint64_t n = test_random_below(&state, 5); n > 0; n--) {
            uint64_t most = test_random_below(&state, 2) == 0 ? 10 : size;
            copy[test_random_below(&state, most < size ? most : size)] =
                (unsigned char)test_random(&state);
        }
        scratch.size = 0;
        enum status status = value_decode(bytes_of(copy, size), &limits, &scratch, &value);
        if (status == ST_OK) {
            EXPECT(good(&value));
            value_free(&value);
        } else {
            EXPECT(status == ST_CORRUPT);
            refused++;
        }
        free(copy);
        buf_deinit(&scratch);
        buf_deinit(&encoded);
    }
    EXPECT(refused > 100);
}

TEST(value_decode_refuses_what_value_encode_does_not_write)
{
    static const struct bytes cases[] = {
        {"", 0},            /* nothing */
        {"\0", 1},          /* no type */
        {"\4", 1},          /* a type that is none */
        {"\2", 1},          /* no count */
        {"\2\1", 2},        /* no element */
        {"\2\2\1x", 4},     /* one element short */
        {"\2\1\1x\1y", 6},  /* one too many */
        {"\2\1\2x", 4},     /* cut short */
        {"\2\1\x81\0x", 5}, /* a longer form of 1 */
        {"\2\x81\0\1x", 5}, /* the same in the count */
        {"\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11},
        {"\2\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        EXPECT(value_decode(cases[i], &limits, &scratch, &value) == ST_CORRUPT);
        buf_deinit(&scratch);
    }
}

/* No key holds an empty list, hash, set or sorted set; an empty string or stream it may. */
TEST(value_decode_refuses_what_would_be_a_key_without_a_value)
{
    static const struct bytes vanishing[] = {{"\2\0", 2}, {"\4\0\0", 3}, {"\5\0", 2}, {"\6\0", 2}};
    static const struct value_limits limits_of[] = {{.list_max_listpack_size = -2}, {0}};
    for (size_t i = 0; i < 8; i++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        EXPECT(value_decode(vanishing[i / 2], &limits_of[i % 2], &scratch, &value) == ST_CORRUPT);
        buf_deinit(&scratch);
    }
    static const unsigned char stream[43] = {VALUE_STREAM};
    struct bytes kept[] = {{"\1", 1}, {stream, sizeof(stream)}};
    for (size_t i = 0; i < 2; i++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        EXPECT(value_decode(kept[i], &limits_of[0], &scratch, &value) == ST_OK);
        value_free(&value);
        buf_deinit(&scratch);
    }
}

/* The nth allocation fails, for n from 1 until none is left to fail. */
TEST(value_decode_and_copy_survive_every_failing_allocation)
{
    uint64_t state = test_seed();
    for (size_t kind = 0; kind < 2; kind++) {
        struct buf scratch = BUF_EMPTY;
        struct buf encoded = BUF_EMPTY;
        struct value value;
        struct value made;
        if (kind == 0) {
            EXPECT(text_make(some_bytes(200000, &state), &value) == ST_OK);
        } else {
            value = list_random(&state, 3000, &scratch);
        }
        EXPECT(value_encode(&value, &encoded) == ST_OK);
        size_t failures = 0;
        for (uint64_t nth = 1;; nth++) {
            part_test_fail_from(nth);
            enum status status = nth % 2 == 0
                                     ? value_copy(&value, &scratch, &made)
                                     : value_decode(buf_bytes(&encoded), &limits, &scratch, &made);
            bool failed = part_test_failed();
            part_test_fail_from(0);
            EXPECT(status == (failed ? ST_NOMEM : ST_OK));
            failures += failed;
            if (!failed) {
                EXPECT(same_content(&value, &made));
                value_free(&made);
            }
            if (!failed && nth % 2 == 1) {
                break;
            }
        }
        EXPECT(failures > 5);
        value_free(&value);
        buf_deinit(&scratch);
        buf_deinit(&encoded);
    }
}

TEST(value_copy_has_its_own_life)
{
    uint64_t state = test_seed();
    for (size_t i = 0; i < 100; i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf copy_scratch = BUF_EMPTY;
        struct buf before = BUF_EMPTY;
        struct buf after = BUF_EMPTY;
        struct value value = value_random(&state, &scratch);
        struct value copy;
        EXPECT(value_encode(&value, &before) == ST_OK);
        EXPECT(value_copy(&value, &copy_scratch, &copy) == ST_OK);
        EXPECT(same_content(&value, &copy));
        static unsigned char other[5000]; /* Zeros, which some_bytes never gives. */
        struct bytes more = bytes_of(other, sizeof(other));
        if (value.type == VALUE_STRING) {
            EXPECT(text_write(&value, text_size(&value) / 2, more, &scratch) == ST_OK);
        } else {
            EXPECT(list_insert(&value, list_count(&value) / 2, more, &limits, &scratch) == ST_OK);
        }
        EXPECT(!same_content(&value, &copy));
        EXPECT(value_encode(&copy, &after) == ST_OK);
        EXPECT(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
        value_free(&value);
        EXPECT(good(&copy));
        value_free(&copy);
        buf_deinit(&scratch);
        buf_deinit(&copy_scratch);
        buf_deinit(&before);
        buf_deinit(&after);
    }
}

struct worker {
    struct value value;
    uint64_t seed;
    bool failed;
};

static void *change_alone(void *ctx)
{
    struct worker *worker = ctx;
    struct buf scratch = BUF_EMPTY;
    uint64_t state = worker->seed;
    for (size_t i = 0; i < 3000; i++) {
        uint64_t count = list_count(&worker->value);
        struct bytes element = bytes_of(&i, sizeof(i));
        uint64_t index = test_random_below(&state, count);
        enum status status = i % 3 == 0
                                 ? list_remove(&worker->value, &index, 1, &scratch)
                                 : list_set(&worker->value, index, element, &limits, &scratch);
        worker->failed = worker->failed || status != ST_OK;
    }
    worker->failed = worker->failed || !list_check(&worker->value);
    value_free(&worker->value);
    buf_deinit(&scratch);
    return NULL;
}

/* Copies that share pages and parts lie in different shards: each is changed under its own lock.
 * (tsan watches.) */
TEST(value_copies_are_changed_by_two_threads_at_once)
{
    uint64_t state = test_seed();
    for (size_t round = 0; round < 5; round++) {
        struct buf scratch = BUF_EMPTY;
        struct worker workers[3];
        pthread_t threads[3];
        struct value value = list_random(&state, 20000, &scratch);
        for (size_t i = 0; i < 3; i++) {
            workers[i] = (struct worker){.seed = state + i};
            EXPECT(value_copy(&value, &scratch, &workers[i].value) == ST_OK);
        }
        value_free(&value);
        for (size_t i = 0; i < 3; i++) {
            EXPECT(pthread_create(&threads[i], NULL, change_alone, &workers[i]) == 0);
        }
        for (size_t i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            EXPECT(!workers[i].failed);
        }
        buf_deinit(&scratch);
    }
}

TEST(value_is_freed_in_slices)
{
    uint64_t state = test_seed();
    for (size_t kind = 0; kind < 3; kind++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        struct value copy = {.type = VALUE_NONE};
        if (kind == 0) {
            EXPECT(text_make(some_bytes(200000, &state), &value) == ST_OK);
        } else {
            value = list_random(&state, 5000, &scratch);
        }
        if (kind == 2) {
            EXPECT(value_copy(&value, &scratch, &copy) == ST_OK);
        }
        size_t slices = 1;
        while (!value_free_some(&value, 3)) {
            slices++;
        }
        EXPECT(slices > (kind == 2 ? 0 : 3));
        EXPECT(value.type == VALUE_NONE);
        EXPECT(value_free_some(&value, 3));
        EXPECT(kind != 2 || good(&copy));
        value_free(&copy);
        buf_deinit(&scratch);
    }
}

#ifndef BASIN_SLOW_CHECKS /* The sanitizers' allocators count otherwise. */
TEST(value_memory_is_what_the_allocator_gave)
{
    static const size_t counts[] = {500, 3000, 200000};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 3; i++) {
        struct buf scratch = BUF_EMPTY;
        EXPECT(buf_reserve(&scratch, 8 << 20) == ST_OK);
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        struct value value = list_random(&state, counts[i], &scratch);
        EXPECT(value.shape == VALUE_CLAST);
        double taken = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before);
        EXPECT((double)value_memory(&value) > 0.97 * taken);
        EXPECT((double)value_memory(&value) < 1.03 * taken);
        value_free(&value);
        buf_deinit(&scratch);
    }
}
#endif

TEST(value_of_chunks_is_the_same_after_encode_decode_and_copy)
{
    uint64_t state = test_seed();
    struct buf scratch = BUF_EMPTY;
    struct buf encoded = BUF_EMPTY;
    struct buf other_scratch = BUF_EMPTY;
    struct value value = chunks_empty();
    for (size_t i = 0; i < 500; i++) {
        struct bytes chunk = some_bytes(1 + (size_t)test_random_below(&state, 5000), &state);
        struct chunk_digest digest;
        bool is_new;
        EXPECT(chunks_select(&value, &chunk, 1, &digest, &is_new) == ST_OK);
        if (is_new) {
            EXPECT(chunks_append(&value, &chunk, &digest, 1, &scratch) == ST_OK);
        }
    }
    EXPECT(value_encode(&value, &encoded) == ST_OK);
    EXPECT(encoded.size <= value_encoded_max(&value));
    struct value decoded;
    struct value copy;
    EXPECT(value_decode(buf_bytes(&encoded), &limits, &other_scratch, &decoded) == ST_OK);
    EXPECT(chunks_check(&decoded));
    EXPECT(same_content(&value, &decoded));
    EXPECT(value_copy(&value, &other_scratch, &copy) == ST_OK);
    value_free(&value);
    EXPECT(same_content(&copy, &decoded));
    value_free(&copy);
    while (!value_free_some(&decoded, 5)) {
    }
    buf_deinit(&scratch);
    buf_deinit(&encoded);
    buf_deinit(&other_scratch);
}
