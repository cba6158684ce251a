#include "engine/value/chunks.h"

#include "engine/value/chunks_private.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The model: chunks are named by numbers. Number 0 is the empty chunk, every thousandth or so is
 * long; all contents differ. It knows which number came when. */

#define LONG_EVERY 997
#define BATCH_MAX 40

struct model {
    uint32_t *names; /* In order of arrival. */
    size_t count;
    int64_t *index_of; /* By name; -1: not there. */
    size_t name_count;
};

static size_t name_size(uint32_t name)
{
    if (name == 0) {
        return 0;
    }
    if (name % LONG_EVERY == 5) {
        return (size_t)1 << 20;
    }
    return name % 61 == 7 ? 2010 + name % 13 : 4 + name % 150;
}

/* Given; free it. */
static struct bytes chunk_named(uint32_t name)
{
    size_t size = name_size(name);
    unsigned char *data = malloc(size + 4);
    memset(data, (int)(name * 7), size + 4);
    memcpy(data, &name, sizeof(name));
    return bytes_of(data, size);
}

static void chunk_free(struct bytes chunk)
{
    free((void *)(uintptr_t)chunk.data);
}

static struct model model_new(size_t name_count)
{
    struct model model = {calloc(name_count, sizeof(uint32_t)), 0,
                          calloc(name_count, sizeof(int64_t)), name_count};
    for (size_t i = 0; i < name_count; i++) {
        model.index_of[i] = -1;
    }
    return model;
}

static struct model model_copy(const struct model *model)
{
    struct model copy = model_new(model->name_count);
    memcpy(copy.names, model->names, model->name_count * sizeof(uint32_t));
    memcpy(copy.index_of, model->index_of, model->name_count * sizeof(int64_t));
    copy.count = model->count;
    return copy;
}

static void model_free(struct model *model)
{
    free(model->names);
    free(model->index_of);
}

/* A value as the memtable would hold it: packed bytes in an entry of its own. */
struct held {
    struct value value;
    unsigned char *entry;
};

static struct held held_empty(void)
{
    return (struct held){chunks_empty(), NULL};
}

static void held_store(struct held *held, struct value value)
{
    unsigned char *entry = NULL;
    if (value.shape == VALUE_PACKED) {
        entry = malloc(value.packed.size);
        memcpy(entry, value.packed.data, value.packed.size);
        value.packed.data = entry;
    }
    free(held->entry);
    held->value = value;
    held->entry = entry;
}

static void held_free(struct held *held)
{
    if (held->value.shape == VALUE_CLAST) {
        chunks_free(&held->value);
    }
    free(held->entry);
}

/* What CHUNK.APPEND does. */
static enum status append_chunks(struct held *held, const struct bytes *chunks, size_t count,
                                 size_t *new_count)
{
    struct chunk_digest *digests = malloc((count + 1) * sizeof(*digests));
    struct bytes *fresh = malloc((count + 1) * sizeof(*fresh));
    bool *is_new = malloc((count + 1) * sizeof(*is_new));
    struct buf scratch = BUF_EMPTY;
    struct value value = held->value;
    enum status status = chunks_select(&value, chunks, count, digests, is_new);
    *new_count = 0;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (is_new[i]) {
            digests[*new_count] = digests[i];
            fresh[(*new_count)++] = chunks[i];
        }
    }
    if (status == ST_OK) {
        status = chunks_append(&value, fresh, digests, *new_count, &scratch);
    }
    if (status == ST_OK) {
        held_store(held, value);
    }
    buf_deinit(&scratch);
    free(digests);
    free(fresh);
    free(is_new);
    return status;
}

static enum status append_names(struct held *held, struct model *model, const uint32_t *names,
                                size_t count)
{
    struct bytes chunks[BATCH_MAX] = {{NULL, 0}};
    size_t new_count;
    for (size_t i = 0; i < count; i++) {
        chunks[i] = chunk_named(names[i]);
    }
    enum status status = append_chunks(held, chunks, count, &new_count);
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == ST_OK && model->index_of[names[i]] < 0) {
            model->index_of[names[i]] = (int64_t)model->count;
            model->names[model->count++] = names[i];
            expected++;
        }
        chunk_free(chunks[i]);
    }
    EXPECT(status != ST_OK || new_count == expected);
    return status;
}

static void append_random(struct held *held, struct model *model, uint64_t *state, size_t rounds)
{
    uint32_t names[BATCH_MAX];
    for (size_t round = 0; round < rounds; round++) {
        size_t count = 1 + test_random_below(state, round % 3 == 0 ? BATCH_MAX : 4);
        for (size_t i = 0; i < count; i++) {
            names[i] = i > 0 && test_random_below(state, 5) == 0
                           ? names[test_random_below(state, i)]
                           : (uint32_t)test_random_below(state, model->name_count);
        }
        EXPECT(append_names(held, model, names, count) == ST_OK);
    }
}

struct walked {
    const struct model *model;
    size_t index;
    bool digests;
};

static enum status expect_piece(void *ctx, struct value_piece piece)
{
    struct walked *walked = ctx;
    EXPECT(walked->index < walked->model->count);
    struct bytes chunk = chunk_named(walked->model->names[walked->index++]);
    if (walked->digests) {
        struct chunk_digest digest = chunk_digest_of(chunk);
        EXPECT(bytes_equal(piece.data, bytes_of(digest.bytes, CHUNK_DIGEST_SIZE)));
    } else {
        EXPECT(bytes_equal(piece.data, chunk));
    }
    chunk_free(chunk);
    return ST_OK;
}

static void expect_range(const struct value *value, const struct model *model, size_t index,
                         size_t count)
{
    struct walked walked = {model, index, false};
    EXPECT(chunks_walk(value, index, count, expect_piece, &walked) == ST_OK);
    EXPECT_INT(walked.index, index + count);
    walked = (struct walked){model, index, true};
    EXPECT(chunks_walk_digests(value, index, count, expect_piece, &walked) == ST_OK);
    EXPECT_INT(walked.index, index + count);
}

static void expect_model(const struct value *value, const struct model *model, uint64_t *state)
{
    EXPECT_INT(chunks_count(value), model->count);
    EXPECT(chunks_check(value));
    expect_range(value, model, 0, model->count);
    for (unsigned i = 0; i < 20 && model->count > 0; i++) {
        size_t index = test_random_below(state, model->count);
        expect_range(value, model, index, test_random_below(state, model->count - index + 1));
        struct value_piece piece;
        EXPECT(chunks_at(value, index, &piece) == ST_OK);
        struct walked walked = {model, index, false};
        EXPECT(expect_piece(&walked, piece) == ST_OK);
    }
    for (uint32_t name = 0; name < model->name_count; name++) {
        if (name_size(name) > 10000 && model->index_of[name] < 0) {
            continue;
        }
        struct bytes chunk = chunk_named(name);
        struct chunk_digest digest = chunk_digest_of(chunk);
        uint64_t index = 0;
        bool found;
        EXPECT(chunks_find(value, &digest, &index, &found) == ST_OK);
        EXPECT(found == (model->index_of[name] >= 0));
        EXPECT(!found || index == (uint64_t)model->index_of[name]);
        chunk_free(chunk);
    }
}

TEST(an_empty_collection_holds_nothing)
{
    struct value value = chunks_empty();
    uint64_t state = test_seed();
    struct model model = model_new(10);
    expect_model(&value, &model, &state);
    EXPECT_INT(chunks_memory(&value), 0);
    model_free(&model);
}

TEST(a_collection_is_its_model_whatever_is_appended_to_it)
{
    uint64_t state = test_seed();
    for (unsigned run = 0; run < 6; run++) {
        struct held held = held_empty();
        struct model model = model_new(run < 3 ? 150 : 5000);
        for (unsigned step = 0; step < 5; step++) {
            append_random(&held, &model, &state, run < 3 ? 8 : 60);
            expect_model(&held.value, &model, &state);
        }
        held_free(&held);
        model_free(&model);
    }
}

TEST(a_chunk_repeated_within_one_append_counts_once)
{
    struct held held = held_empty();
    struct model model = model_new(10);
    uint64_t state = test_seed();
    EXPECT(append_names(&held, &model, (uint32_t[]){3, 0, 3, 3, 0, 4}, 6) == ST_OK);
    EXPECT_INT(model.count, 3);
    EXPECT(append_names(&held, &model, (uint32_t[]){4, 3, 0}, 3) == ST_OK);
    EXPECT_INT(chunks_count(&held.value), 3);
    expect_model(&held.value, &model, &state);
    held_free(&held);
    model_free(&model);
}

TEST(select_changes_nothing_and_marks_many_repeats)
{
    enum { COUNT = 3000 };
    struct value value = chunks_empty();
    struct bytes *chunks = malloc(COUNT * sizeof(*chunks));
    struct chunk_digest *digests = malloc(COUNT * sizeof(*digests));
    bool *is_new = malloc(COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        chunks[i] = chunk_named(i % 1000 == 5 ? 1 : i % 1000);
    }
    EXPECT(chunks_select(&value, chunks, COUNT, digests, is_new) == ST_OK);
    EXPECT_INT(chunks_count(&value), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        EXPECT(is_new[i] == (i < 1000 && i != 5));
        chunk_free(chunks[i]);
    }
    free(chunks);
    free(digests);
    free(is_new);
}

TEST(a_collection_is_packed_up_to_8_kib_and_a_clast_beyond)
{
    struct held held = held_empty();
    struct model model = model_new(1000);
    uint64_t state = test_seed();
    bool crossed = false;
    for (uint32_t name = 10; name < 400; name++) {
        bool before = held.value.shape == VALUE_PACKED;
        size_t size = before ? held.value.packed.size : 0;
        EXPECT(append_names(&held, &model, &name, 1) == ST_OK);
        if (held.value.shape == VALUE_PACKED) {
            EXPECT(before && held.value.packed.size <= 8192);
        } else if (before) {
            crossed = true;
            EXPECT(size + name_size(name) + 50 > 8192 && size > 6000);
            expect_model(&held.value, &model, &state);
        }
    }
    EXPECT(crossed);
    expect_model(&held.value, &model, &state);
    held_free(&held);
    model_free(&model);
}

TEST(a_long_chunk_lies_in_a_part_of_its_own_that_outlives_the_collection)
{
    struct held held = held_empty();
    struct model model = model_new(1000);
    uint64_t state = test_seed();
    append_random(&held, &model, &state, 100);
    EXPECT(model.index_of[5] >= 0 || append_names(&held, &model, (uint32_t[]){5}, 1) == ST_OK);
    struct value_piece piece;
    EXPECT(chunks_at(&held.value, (uint64_t)model.index_of[5], &piece) == ST_OK);
    EXPECT(piece.part != NULL && piece.data.size == (size_t)1 << 20);
    EXPECT((const unsigned char *)piece.data.data >= piece.part->data);
    EXPECT(piece.part->size < piece.data.size + 64);
    part_ref(piece.part);
    append_random(&held, &model, &state, 100);
    held_free(&held);
    struct bytes chunk = chunk_named(5);
    EXPECT(bytes_equal(piece.data, chunk));
    part_unref(piece.part);
    chunk_free(chunk);
    model_free(&model);
}

TEST(a_digest_lent_to_a_reply_stays_while_the_collection_grows)
{
    struct held held = held_empty();
    struct model model = model_new(4000);
    uint64_t state = test_seed();
    append_random(&held, &model, &state, 100);
    size_t last = model.count - 1;
    struct bytes chunk = chunk_named(model.names[last]);
    struct chunk_digest digest = chunk_digest_of(chunk);
    struct walked walked = {&model, last, true};
    EXPECT(chunks_walk_digests(&held.value, last, 1, expect_piece, &walked) == ST_OK);
    struct value copy;
    struct buf scratch = BUF_EMPTY;
    EXPECT(chunks_copy(&held.value, &scratch, &copy) == ST_OK);
    append_random(&held, &model, &state, 100);
    uint64_t index;
    bool found;
    EXPECT(chunks_find(&copy, &digest, &index, &found) == ST_OK && found && index == last);
    EXPECT_INT(chunks_count(&copy), last + 1);
    chunks_free(&copy);
    buf_deinit(&scratch);
    chunk_free(chunk);
    held_free(&held);
    model_free(&model);
}

TEST(copies_go_their_own_ways)
{
    uint64_t state = test_seed();
    for (size_t rounds = 4; rounds <= 400; rounds *= 10) {
        struct held one = held_empty(), two = held_empty();
        struct model model_one = model_new(6000);
        struct buf scratch = BUF_EMPTY;
        struct value copy;
        append_random(&one, &model_one, &state, rounds);
        EXPECT(chunks_copy(&one.value, &scratch, &copy) == ST_OK);
        held_store(&two, copy);
        buf_deinit(&scratch);
        struct model model_two = model_copy(&model_one);
        append_random(&two, &model_two, &state, rounds);
        expect_model(&one.value, &model_one, &state);
        append_random(&one, &model_one, &state, rounds);
        expect_model(&two.value, &model_two, &state);
        expect_model(&one.value, &model_one, &state);
        held_free(&one);
        append_random(&two, &model_two, &state, 10);
        expect_model(&two.value, &model_two, &state);
        held_free(&two);
        model_free(&model_one);
        model_free(&model_two);
    }
}

TEST(what_is_encoded_comes_back_from_decoding)
{
    uint64_t state = test_seed();
    for (size_t rounds = 0; rounds <= 500; rounds = rounds * 5 + 3) {
        struct held held = held_empty();
        struct model model = model_new(3000);
        struct buf encoded = BUF_EMPTY, scratch = BUF_EMPTY, again = BUF_EMPTY;
        struct value value;
        append_random(&held, &model, &state, rounds);
        EXPECT(buf_append(&encoded, bytes_of_text("x")) == ST_OK);
        EXPECT(chunks_encode(&held.value, &encoded) == ST_OK);
        EXPECT(encoded.size - 1 <= chunks_encoded_max(&held.value));
        struct bytes body = bytes_of(encoded.data + 1, encoded.size - 1);
        EXPECT(chunks_decode(body, &scratch, &value) == ST_OK);
        EXPECT(value.shape == held.value.shape);
        expect_model(&value, &model, &state);
        EXPECT(chunks_encode(&value, &again) == ST_OK);
        EXPECT(bytes_equal(buf_bytes(&again), body));
        if (value.shape == VALUE_CLAST) {
            chunks_free(&value);
        }
        buf_deinit(&encoded);
        buf_deinit(&scratch);
        buf_deinit(&again);
        held_free(&held);
        model_free(&model);
    }
}

static void decode_hostile(struct bytes body, bool must_fail)
{
    struct buf scratch = BUF_EMPTY;
    struct value value;
    enum status status = chunks_decode(body, &scratch, &value);
    EXPECT(status == ST_OK || status == ST_CORRUPT);
    EXPECT(!must_fail || status == ST_CORRUPT);
    if (status == ST_OK) {
        EXPECT(chunks_check(&value));
        if (value.shape == VALUE_CLAST) {
            chunks_free(&value);
        }
    }
    buf_deinit(&scratch);
}

/* In memory of its exact size, so that a sanitizer sees a read beyond it. */
static void decode_exact(struct bytes body, bool must_fail)
{
    unsigned char *exact = malloc(body.size + (body.size == 0));
    memcpy(exact, body.data, body.size);
    decode_hostile(bytes_of(exact, body.size), must_fail);
    free(exact);
}

TEST(bytes_that_no_encoding_gave_are_corrupt_and_harm_nothing)
{
    uint64_t state = test_seed();
    for (size_t rounds = 4; rounds <= 40; rounds *= 10) {
        struct held held = held_empty();
        struct model model = model_new(900); /* No long chunks but one. */
        struct buf encoded = BUF_EMPTY;
        model.index_of[5] = 0; /* Nor that one. */
        while (model.count < rounds * 5) {
            uint32_t name = (uint32_t)test_random_below(&state, 900);
            if (name != 5) {
                EXPECT(append_names(&held, &model, &name, 1) == ST_OK);
            }
        }
        EXPECT(chunks_encode(&held.value, &encoded) == ST_OK);
        size_t step = 1 + encoded.size / 200;
        for (size_t size = 0; size < encoded.size; size += step) {
            decode_exact(bytes_of(encoded.data, size), true);
        }
        for (unsigned i = 0; i < 300; i++) {
            size_t at = test_random_below(&state, encoded.size);
            unsigned char before = encoded.data[at];
            encoded.data[at] = (unsigned char)test_random(&state);
            decode_exact(buf_bytes(&encoded), false);
            encoded.data[at] = before;
        }
        EXPECT(buf_append(&encoded, bytes_of_text("y")) == ST_OK);
        decode_exact(buf_bytes(&encoded), true);
        buf_deinit(&encoded);
        held_free(&held);
        model_free(&model);
    }
    decode_exact(bytes_of("", 0), true);
    decode_exact(bytes_of("\x02\x01z\x01z", 5), true); /* A chunk twice. */
    decode_exact(bytes_of("\x02\x01z\x01y", 5), false);
    decode_exact(bytes_of("\x82\x00\x01z\x01y", 6), true); /* Not the shortest form. */
    decode_exact(bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), true);
    decode_exact(bytes_of("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), true);
    decode_exact(bytes_of("\xff\xff\xff\x7f\x01z", 6), true);
    for (unsigned i = 0; i < 2000; i++) {
        unsigned char noise[64];
        for (size_t j = 0; j < sizeof(noise); j++) {
            noise[j] = (unsigned char)(test_random(&state) & (i % 2 ? 0xff : 0x07));
        }
        decode_exact(bytes_of(noise, test_random_below(&state, sizeof(noise))), false);
    }
}

/* Refuses the first allocation of an append, then the second …, until one needs no more. */
static void append_refused(struct held *held, struct model *model, const uint32_t *names,
                           size_t count, uint64_t *state)
{
    for (uint64_t nth = 1;; nth++) {
        size_t before = model->count;
        part_test_fail_from(nth);
        enum status status = append_names(held, model, names, count);
        bool failed = part_test_failed();
        part_test_fail_from(0);
        if (status == ST_OK) {
            EXPECT(!failed);
            break;
        }
        EXPECT(failed && status == ST_NOMEM);
        EXPECT_INT(chunks_count(&held->value), before);
        if (nth < 8 || nth % 16 == 0) {
            expect_model(&held->value, model, state);
        }
    }
    expect_model(&held->value, model, state);
}

TEST(an_append_that_gets_no_memory_changes_nothing)
{
    uint64_t state = test_seed();
    for (size_t rounds = 3; rounds <= 300; rounds *= 10) {
        struct held held = held_empty();
        struct model model = model_new(5000);
        uint32_t names[BATCH_MAX];
        append_random(&held, &model, &state, rounds);
        for (unsigned turn = 0; turn < 3; turn++) {
            struct buf scratch = BUF_EMPTY;
            struct value copy;
            EXPECT(chunks_copy(&held.value, &scratch, &copy) == ST_OK);
            for (uint32_t i = 0; i < BATCH_MAX; i++) {
                names[i] = turn * BATCH_MAX + i + 100;
            }
            append_refused(&held, &model, names, BATCH_MAX, &state);
            if (copy.shape == VALUE_CLAST) {
                EXPECT(chunks_check(&copy));
                chunks_free(&copy);
            }
            buf_deinit(&scratch);
        }
        held_free(&held);
        model_free(&model);
    }
}

TEST(a_copy_that_gets_no_memory_leaves_nothing_behind)
{
    uint64_t state = test_seed();
    struct held held = held_empty();
    struct model model = model_new(5000);
    struct buf scratch = BUF_EMPTY;
    struct value copy;
    append_random(&held, &model, &state, 200);
    for (uint64_t nth = 1;; nth++) {
        part_test_fail_from(nth);
        enum status status = chunks_copy(&held.value, &scratch, &copy);
        part_test_fail_from(0);
        if (status == ST_OK) {
            break;
        }
        EXPECT(status == ST_NOMEM);
    }
    chunks_free(&copy);
    expect_model(&held.value, &model, &state);
    held_free(&held);
    buf_deinit(&scratch);
    model_free(&model);
}

TEST(a_collection_is_freed_in_slices)
{
    uint64_t state = test_seed();
    struct held held = held_empty();
    struct model model = model_new(5000);
    struct buf scratch = BUF_EMPTY;
    struct value copy;
    append_random(&held, &model, &state, 300);
    EXPECT(chunks_copy(&held.value, &scratch, &copy) == ST_OK);
    append_random(&held, &model, &state, 1);
    unsigned slices = 0;
    while (!chunks_free_some(&held.value, 1)) {
        slices++;
    }
    EXPECT(slices > 5 && held.value.root == NULL);
    EXPECT(chunks_check(&copy));
    chunks_free(&copy);
    buf_deinit(&scratch);
    free(held.entry);
    model_free(&model);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Appends `count` chunks of 100 bytes, `batch` a call; gives the longest call in seconds. */
static double append_numbered(struct value *value, uint64_t first, uint64_t count, size_t batch)
{
    static unsigned char data[64][100];
    struct bytes chunks[64];
    struct chunk_digest digests[64];
    bool is_new[64];
    struct buf scratch = BUF_EMPTY;
    double longest = 0;
    for (uint64_t i = first; i < first + count; i += batch) {
        for (size_t j = 0; j < batch; j++) {
            store_u64(data[j], i + j);
            chunks[j] = bytes_of(data[j], 100);
        }
        double begin = now_s();
        EXPECT(chunks_select(value, chunks, batch, digests, is_new) == ST_OK && is_new[0]);
        EXPECT(chunks_append(value, chunks, digests, batch, &scratch) == ST_OK);
        double spent = now_s() - begin;
        longest = spent > longest ? spent : longest;
    }
    buf_deinit(&scratch);
    return longest;
}

/* BASIN_MEASURE=n: n million chunks. */
TEST(measure_appends)
{
    const char *millions = getenv("BASIN_MEASURE");
    if (millions == NULL) {
        return;
    }
    struct value value = chunks_empty();
    for (uint64_t i = 0; i < (uint64_t)atoi(millions); i++) {
        double begin = now_s();
        double longest = append_numbered(&value, i * 1000000, 1000000, 1);
        double spent = now_s() - begin;
        printf("%2d M: %.0f appends/s of one, longest %.0f us, %.1f bytes a chunk\n", (int)i + 1,
               1e6 / spent, longest * 1e6,
               (double)chunks_memory(&value) / (double)chunks_count(&value));
    }
    double begin = now_s();
    (void)append_numbered(&value, 1ull << 40, 64 * 4000, 64);
    printf("%.0f appends/s in batches of 64\n", 64 * 4000 / (now_s() - begin));
    begin = now_s();
    uint64_t found = 0, index;
    for (uint64_t i = 0; i < 200000; i++) {
        unsigned char data[100] = {0};
        bool is_found;
        store_u64(data, i * 5);
        struct chunk_digest digest = chunk_digest_of(bytes_of(data, 100));
        EXPECT(chunks_find(&value, &digest, &index, &is_found) == ST_OK);
        found += is_found;
    }
    printf("%.0f finds/s (%d found)\n", 200000 / (now_s() - begin), (int)found);
    begin = now_s();
    struct buf scratch = BUF_EMPTY;
    struct value copy;
    EXPECT(chunks_copy(&value, &scratch, &copy) == ST_OK);
    printf("copy %.0f us\n", (now_s() - begin) * 1e6);
    chunks_free(&copy);
    begin = now_s();
    chunks_free(&value);
    printf("free %.0f us\n", (now_s() - begin) * 1e6);
    buf_deinit(&scratch);
}
