#include "engine/value/list.h"

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

/* The model: texts of up to ELEMENT_MAX bytes in an array. */
#define MODEL_MAX 3000
#define ELEMENT_MAX 5000

struct model {
    uint64_t tags[MODEL_MAX];
    size_t count;
};

static unsigned char pattern[ELEMENT_MAX + 256];

static struct bytes element_of(uint64_t tag, unsigned char *room)
{
    if (pattern[0] == 0) {
        for (size_t i = 0; i < sizeof(pattern); i++) {
            pattern[i] = (unsigned char)(i * 37 % 251 + 1);
        }
    }
    size_t size = tag % 65536;
    if (size <= 12 && tag >> 60 == 0) {
        /* Some are integers, which Redis counts otherwise. */
        size = (size_t)snprintf((char *)room, 32, "%lld", (long long)(tag >> 16 & 0xffffff) - 5000);
        return bytes_of(room, size);
    }
    memcpy(room, pattern + (tag >> 16) % 256, size);
    return bytes_of(room, size);
}

static uint64_t tag_random(uint64_t *state)
{
    uint64_t kind = test_random_below(state, 300);
    uint64_t bound = kind == 0 ? ELEMENT_MAX : kind < 10 ? 300 : 24;
    return (test_random(state) & ~0xffffull) | test_random_below(state, bound);
}

struct comparing {
    const struct model *model;
    size_t next;
    bool backwards;
};

static enum status compare_piece(void *ctx, struct value_piece piece)
{
    static unsigned char room[ELEMENT_MAX];
    struct comparing *comparing = ctx;
    EXPECT(bytes_equal(piece.data, element_of(comparing->model->tags[comparing->next], room)));
    comparing->next += comparing->backwards ? SIZE_MAX : 1;
    return ST_OK;
}

static void expect_same(const struct value *value, const struct model *model)
{
    EXPECT(list_check(value));
    EXPECT_INT(list_count(value), model->count);
    struct comparing comparing = {model, 0, false};
    EXPECT(list_walk(value, 0, model->count, false, compare_piece, &comparing) == ST_OK);
    if (model->count > 0) {
        comparing = (struct comparing){model, model->count - 1, true};
        EXPECT(list_walk(value, model->count - 1, model->count, true, compare_piece, &comparing) ==
               ST_OK);
    }
}

static void model_splice(struct model *model, size_t index, size_t removed, const uint64_t *tags,
                         size_t count)
{
    memmove(model->tags + index + count, model->tags + index + removed,
            (model->count - index - removed) * sizeof(uint64_t));
    if (count > 0) {
        memcpy(model->tags + index, tags, count * sizeof(uint64_t));
    }
    model->count = model->count - removed + count;
}

struct run {
    uint64_t state;
    struct value_limits limits;
    struct buf scratch;
};

static enum status step_push(struct value *value, struct model *model, struct run *run)
{
    static unsigned char room[8][ELEMENT_MAX];
    struct bytes elements[8];
    uint64_t in_order[8];
    size_t count = 1 + (size_t)test_random_below(&run->state, 8);
    enum list_side side = test_random_below(&run->state, 2) == 0 ? LIST_LEFT : LIST_RIGHT;
    for (size_t i = 0; i < count; i++) {
        uint64_t tag = tag_random(&run->state);
        in_order[side == LIST_LEFT ? count - 1 - i : i] = tag;
        elements[i] = element_of(tag, room[i]);
    }
    enum status status = list_push(value, side, elements, count, &run->limits, &run->scratch);
    if (status == ST_OK) {
        model_splice(model, side == LIST_LEFT ? 0 : model->count, 0, in_order, count);
    }
    return status;
}

static enum status step_one(struct value *value, struct model *model, struct run *run, bool set)
{
    static unsigned char room[ELEMENT_MAX];
    uint64_t tag = tag_random(&run->state);
    struct bytes element = element_of(tag, room);
    size_t index = (size_t)test_random_below(&run->state, model->count + !set);
    enum status status = set ? list_set(value, index, element, &run->limits, &run->scratch)
                             : list_insert(value, index, element, &run->limits, &run->scratch);
    if (status == ST_OK) {
        model_splice(model, index, set, &tag, 1);
    }
    return status;
}

static enum status step_shrink(struct value *value, struct model *model, struct run *run,
                               uint64_t kind)
{
    size_t count = (size_t)test_random_below(&run->state, model->count / 10 + 2);
    count = count < model->count ? count : model->count;
    enum status status;
    if (kind < 4) {
        bool left = kind < 2;
        status = list_pop(value, left ? LIST_LEFT : LIST_RIGHT, count, &run->scratch);
        if (status == ST_OK) {
            model_splice(model, left ? 0 : model->count - count, count, NULL, 0);
        }
        return status;
    }
    if (kind < 5) {
        size_t behind = (size_t)test_random_below(&run->state, model->count - count + 1) / 8;
        status = list_trim(value, count, model->count - count - behind, &run->scratch);
        if (status == ST_OK) {
            model_splice(model, model->count - behind, behind, NULL, 0);
            model_splice(model, 0, count, NULL, 0);
        }
        return status;
    }
    uint64_t indexes[MODEL_MAX];
    size_t found = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (test_random_below(&run->state, model->count) < count) {
            indexes[found++] = i;
        }
    }
    status = list_remove(value, indexes, found, &run->scratch);
    for (size_t i = found; status == ST_OK && i > 0; i--) {
        model_splice(model, (size_t)indexes[i - 1], 1, NULL, 0);
    }
    return status;
}

/* As a command does: the view is stored elsewhere and the scratch buffer is used anew. */
static void store(struct value *value, struct buf *stored, struct buf *scratch)
{
    if (value->shape == VALUE_PACKED) {
        struct buf fresh = BUF_EMPTY;
        EXPECT(buf_append(&fresh, value->packed) == ST_OK);
        buf_deinit(stored);
        *stored = fresh;
        value->packed = buf_bytes(stored);
    }
    buf_clear(scratch, 1000);
}

static void run_steps(struct run *run, size_t steps, bool may_fail)
{
    static struct model model;
    model.count = 0;
    struct value value = list_empty();
    struct buf stored = BUF_EMPTY;
    size_t shapes = 0;
    bool growing = true;
    for (size_t i = 0; i < steps; i++) {
        uint64_t kind = test_random_below(&run->state, 10);
        enum value_shape shape = value.shape;
        growing = model.count < 2 || (growing && model.count < MODEL_MAX - 10 &&
                                      test_random_below(&run->state, 300) != 0);
        part_test_fail_from(may_fail ? 1 + test_random_below(&run->state, 8) : 0);
        enum status status;
        if (model.count == 0 || (growing && kind < 5)) {
            status = step_push(&value, &model, run);
        } else if (growing || kind > 7) {
            status = step_one(&value, &model, run, kind == 8);
        } else {
            status = step_shrink(&value, &model, run, kind);
        }
        part_test_fail_from(0);
        EXPECT(status == ST_OK || (may_fail && status == ST_NOMEM));
        expect_same(&value, &model);
        shapes += value.shape != shape;
        if (test_random_below(&run->state, 3) != 0) {
            store(&value, &stored, &run->scratch);
        }
    }
    /* There and back, where the limit is neither out of reach nor too low to be halved. */
    int64_t limit = run->limits.list_max_listpack_size;
    EXPECT(shapes > 1 || limit < -2 || limit == 0 || limit == 1);
    value_free(&value);
    buf_deinit(&stored);
    buf_deinit(&run->scratch);
}

TEST(list_equals_a_plain_array_after_every_step_under_every_limit)
{
    static const int64_t limits[] = {-1, -2, -3, -5, 1, 4, 128, 0, -99, 1000000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct run run = {test_seed() + i, {.list_max_listpack_size = limits[i]}, BUF_EMPTY};
        run_steps(&run, 4000, false);
    }
}

TEST(list_changes_nothing_when_memory_is_refused)
{
    struct run run = {test_seed(), {.list_max_listpack_size = -1}, BUF_EMPTY};
    run_steps(&run, 8000, true);
}

static size_t pushes_until_quicklist(int64_t limit, struct bytes element)
{
    struct value value = list_empty();
    struct value_limits limits = {.list_max_listpack_size = limit};
    struct buf scratch = BUF_EMPTY;
    size_t count = 0;
    while (strcmp(value_encoding(&value, &limits), "listpack") == 0) {
        EXPECT(list_push(&value, LIST_RIGHT, &element, 1, &limits, &scratch) == ST_OK);
        count++;
    }
    EXPECT_TEXT(value_encoding(&value, &limits), "quicklist");
    EXPECT_INT(list_count(&value), count);
    value_free(&value);
    buf_deinit(&scratch);
    return count;
}

/* A listpack of n such elements has 7 + n * 103 bytes; the size of the next one is added. */
TEST(list_becomes_a_quicklist_where_redis_does)
{
    char text[10000];
    memset(text, 'x', sizeof(text));
    EXPECT_INT(pushes_until_quicklist(-2, bytes_of(text, 100)), (8192 - 100 - 7) / 103 + 2);
    EXPECT_INT(pushes_until_quicklist(-1, bytes_of(text, 100)), (4096 - 100 - 7) / 103 + 2);
    EXPECT_INT(pushes_until_quicklist(-2, bytes_of(text, 16)), (8192 - 16 - 7) / 18 + 2);
    /* An integer below 128 takes two bytes. */
    EXPECT_INT(pushes_until_quicklist(-2, bytes_of("7", 1)), (8192 - 1 - 7) / 2 + 2);
    EXPECT_INT(pushes_until_quicklist(-2, bytes_of("1234567", 7)), (8192 - 7 - 7) / 5 + 2);
    EXPECT_INT(pushes_until_quicklist(128, bytes_of(text, 16)), 129);
    EXPECT_INT(pushes_until_quicklist(3, bytes_of(text, 1)), 4);
    EXPECT_INT(pushes_until_quicklist(0, bytes_of(text, 1)), 2);
    EXPECT_INT(pushes_until_quicklist(128, bytes_of(text, 10000)), 1);
}

TEST(list_becomes_a_listpack_again_at_half_the_limit)
{
    struct value value = list_empty();
    struct value_limits limits = {.list_max_listpack_size = 8};
    struct buf scratch = BUF_EMPTY;
    struct bytes element = bytes_of_text("pebble");
    for (size_t i = 0; i < 9; i++) {
        EXPECT(list_push(&value, LIST_RIGHT, &element, 1, &limits, &scratch) == ST_OK);
    }
    EXPECT_TEXT(value_encoding(&value, &limits), "quicklist");
    EXPECT(value_memory(&value) > 4096);
    EXPECT(list_pop(&value, LIST_LEFT, 4, &scratch) == ST_OK);
    EXPECT_TEXT(value_encoding(&value, &limits), "quicklist");
    EXPECT(list_pop(&value, LIST_LEFT, 1, &scratch) == ST_OK);
    EXPECT_TEXT(value_encoding(&value, &limits), "listpack");
    EXPECT_INT(list_count(&value), 4);
    EXPECT_INT(value_memory(&value), 0);
    EXPECT(list_check(&value));
    buf_deinit(&scratch);
}

/* An element longer than half a part is sent from where it lies. */
TEST(list_lends_large_elements_with_the_part_they_lie_in)
{
    struct value value = list_empty();
    struct value_limits limits = {.list_max_listpack_size = -2};
    struct buf scratch = BUF_EMPTY;
    static char large[100000];
    memset(large, 'L', sizeof(large));
    struct bytes element = bytes_of(large, sizeof(large));
    EXPECT(list_push(&value, LIST_LEFT, &element, 1, &limits, &scratch) == ST_OK);
    struct value_piece piece;
    EXPECT(list_at(&value, 0, &piece) == ST_OK);
    EXPECT(piece.part != NULL && piece.part->size == sizeof(large));
    part_ref(piece.part);
    element = bytes_of_text("small");
    EXPECT(list_set(&value, 0, element, &limits, &scratch) == ST_OK);
    EXPECT_TEXT(value_encoding(&value, &limits), "listpack");
    EXPECT(bytes_equal(piece.data, bytes_of(large, sizeof(large))));
    part_unref(piece.part);
    value_free(&value);
    buf_deinit(&scratch);
}
