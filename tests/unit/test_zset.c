/* Sorted sets beside a plain array, in both shapes, with memory that fails. */
#include "tests/lib/test.h"
#include "tests/lib/zset_payload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* -- The model: rows in order -------------------------------------------------------------------
 */

#define MODEL_MAX 900
#define NAME_MAX_SIZE 300
#define NAMES 1200

struct row {
    unsigned name;
    double score;
};

struct model {
    struct row rows[MODEL_MAX];
    size_t count;
};

/* Names of a few kinds: short, long ones that differ at their ends only, and one that begins
 * another. */
static struct bytes name_of(unsigned id)
{
    static unsigned char names[NAMES][NAME_MAX_SIZE];
    static size_t sizes[NAMES];
    if (sizes[id] == 0) {
        int size;
        if (id % 7 == 0) {
            memset(names[id], 'p', 200);
            size = 200 + snprintf((char *)names[id] + 200, 20, "%u", id);
        } else if (id % 97 == 1) {
            memset(names[id], 0xff, id / 4);
            size = (int)id / 4;
        } else {
            size = snprintf((char *)names[id], 20, "%x", id * 2654435761u);
        }
        sizes[id] = (size_t)size + 1;
    }
    return bytes_of(names[id], sizes[id] - 1);
}

static int row_compare(const struct row *a, const struct row *b)
{
    return a->score != b->score ? (a->score > b->score) - (a->score < b->score)
                                : bytes_compare(name_of(a->name), name_of(b->name));
}

static size_t model_find(const struct model *model, unsigned name)
{
    size_t i = 0;
    while (i < model->count && model->rows[i].name != name) {
        i++;
    }
    return i;
}

static void model_remove(struct model *model, size_t at, size_t count)
{
    memmove(model->rows + at, model->rows + at + count,
            (model->count - at - count) * sizeof(struct row));
    model->count -= count;
}

static void model_insert(struct model *model, struct row row)
{
    size_t at = 0;
    while (at < model->count && row_compare(&model->rows[at], &row) < 0) {
        at++;
    }
    EXPECT(model->count < MODEL_MAX);
    memmove(model->rows + at + 1, model->rows + at, (model->count - at) * sizeof(struct row));
    model->rows[at] = row;
    model->count++;
}

/* What ZSET_ADD counts. */
static uint64_t model_add(struct model *model, unsigned when, struct row row)
{
    size_t at = model_find(model, row.name);
    if (at == model->count) {
        if ((when & ZSET_IF_THERE) != 0) {
            return 0;
        }
        model_insert(model, row);
        return 1;
    }
    double old = model->rows[at].score;
    if ((when & ZSET_IF_NEW) != 0 || ((when & ZSET_IF_GREATER) != 0 && row.score <= old) ||
        ((when & ZSET_IF_LESS) != 0 && row.score >= old) || row.score == old) {
        return 0;
    }
    model_remove(model, at, 1);
    model_insert(model, row);
    return ZSET_UPDATED;
}

/* -- Comparing ----------------------------------------------------------------------------------
 */

struct comparing {
    const struct model *model;
    size_t next;
    bool backwards;
};

static enum status compare_member(void *ctx, struct value_piece member, double score)
{
    struct comparing *comparing = ctx;
    const struct row *row = &comparing->model->rows[comparing->next];
    EXPECT(bytes_equal(member.data, name_of(row->name)));
    EXPECT(score == row->score);
    comparing->next += comparing->backwards ? SIZE_MAX : 1;
    return ST_OK;
}

struct scanning {
    const struct model *model;
    unsigned char seen[NAMES];
};

static enum status see_member(void *ctx, struct value_piece member, double score)
{
    struct scanning *scanning = ctx;
    for (size_t i = 0; i < scanning->model->count; i++) {
        const struct row *row = &scanning->model->rows[i];
        if (row->score == score && bytes_equal(member.data, name_of(row->name))) {
            scanning->seen[row->name] = 1;
            return ST_OK;
        }
    }
    EXPECT(false); /* No such member. */
    return ST_OK;
}

static void expect_scan(const struct value *value, const struct model *model)
{
    static struct scanning scanning;
    memset(&scanning, 0, sizeof(scanning));
    scanning.model = model;
    uint64_t cursor = 0;
    do {
        EXPECT(zset_scan(value, cursor, 7, see_member, &scanning, &cursor) == ST_OK);
    } while (cursor != 0);
    for (size_t i = 0; i < model->count; i++) {
        EXPECT(scanning.seen[model->rows[i].name]);
    }
}

static void expect_ranks(const struct value *value, const struct model *model, double score)
{
    uint64_t low = 0;
    uint64_t high = 0;
    for (size_t i = 0; i < model->count; i++) {
        low += model->rows[i].score < score;
        high += model->rows[i].score <= score;
    }
    uint64_t rank;
    EXPECT(zset_rank_of_score(value, score, false, &rank) == ST_OK);
    EXPECT_INT(rank, low);
    EXPECT(zset_rank_of_score(value, score, true, &rank) == ST_OK);
    EXPECT_INT(rank, high);
}

static void expect_member(const struct value *value, const struct model *model, unsigned name)
{
    size_t at = model_find(model, name);
    bool found;
    uint64_t rank;
    double score;
    EXPECT(zset_rank(value, name_of(name), &found, &rank, &score) == ST_OK);
    EXPECT(found == (at < model->count));
    if (found) {
        struct value_piece member;
        EXPECT(rank == at && score == model->rows[at].score);
        EXPECT(zset_at(value, rank, &member, &score) == ST_OK);
        EXPECT(bytes_equal(member.data, name_of(name)) && score == model->rows[at].score);
    }
    EXPECT(zset_score(value, name_of(name), &found, &score) == ST_OK);
    EXPECT(found == (at < model->count));
}

static void expect_same(const struct value *value, const struct model *model, uint64_t *state)
{
    EXPECT(zset_check(value));
    EXPECT_INT(zset_count(value), model->count);
    struct comparing comparing = {model, 0, false};
    EXPECT(zset_walk(value, 0, model->count, false, compare_member, &comparing) == ST_OK);
    if (model->count > 0) {
        uint64_t from = test_random_below(state, model->count);
        comparing = (struct comparing){model, from, true};
        EXPECT(zset_walk(value, from, from + 1, true, compare_member, &comparing) == ST_OK);
    }
    for (int i = 0; i < 4; i++) {
        expect_ranks(value, model, (double)test_random_below(state, 24) / 2 - 3);
        expect_member(value, model, (unsigned)test_random_below(state, NAMES));
    }
    expect_ranks(value, model, INFINITY);
    expect_ranks(value, model, -INFINITY);
}

/* -- Steps --------------------------------------------------------------------------------------
 */

struct run {
    uint64_t state;
    struct value_limits limits;
    struct buf scratch, payload;
    bool may_fail;
    size_t failures;
};

static double score_random(struct run *run)
{
    static const double odd[] = {INFINITY, -INFINITY, 1e300, -1e300, 5e-324, 0.1};
    uint64_t kind = test_random_below(&run->state, 20);
    return kind < 6 ? odd[kind] : (double)test_random_below(&run->state, 12) - 3;
}

static bool failed(struct run *run, enum status status)
{
    EXPECT(status == ST_OK || (run->may_fail && status == ST_NOMEM));
    run->failures += status != ST_OK;
    return status != ST_OK;
}

static void step_add(struct value *value, struct model *model, struct run *run)
{
    static const unsigned whens[] = {ZSET_ALWAYS,     ZSET_ALWAYS,  ZSET_ALWAYS,
                                     ZSET_ALWAYS,     ZSET_IF_NEW,  ZSET_IF_THERE,
                                     ZSET_IF_GREATER, ZSET_IF_LESS, ZSET_IF_THERE | ZSET_IF_LESS};
    unsigned when = whens[test_random_below(&run->state, 9)];
    size_t count = 1 + test_random_below(&run->state, 6);
    struct row rows[6];
    size_t ends[6];
    payload_when(&run->payload, when);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct row){(unsigned)test_random_below(&run->state, NAMES), score_random(run)};
        payload_member(&run->payload, rows[i].score, name_of(rows[i].name));
        ends[i] = run->payload.size;
    }
    struct value_change done;
    enum status status =
        value_apply(value, ZSET_ADD, buf_bytes(&run->payload), &run->limits, &run->scratch, &done);
    part_test_fail_from(0);
    if (!failed(run, status)) {
        EXPECT_INT(done.consumed, run->payload.size);
    }
    /* Those that were consumed, and no others, have been done. */
    uint64_t counted = 0;
    for (size_t i = 0; i < count && ends[i] <= done.consumed; i++) {
        counted += model_add(model, when, rows[i]);
    }
    EXPECT_INT(done.count, counted);
    EXPECT(done.changed == (counted > 0));
}

static void step_remove(struct value *value, struct model *model, struct run *run)
{
    size_t count = 1 + test_random_below(&run->state, 6);
    unsigned names[6];
    size_t ends[6];
    for (size_t i = 0; i < count; i++) {
        bool there = model->count > 0 && test_random_below(&run->state, 4) != 0;
        names[i] = there ? model->rows[test_random_below(&run->state, model->count)].name
                         : (unsigned)test_random_below(&run->state, NAMES);
        payload_name(&run->payload, name_of(names[i]));
        ends[i] = run->payload.size;
    }
    struct value_change done;
    enum status status = value_apply(value, ZSET_REMOVE, buf_bytes(&run->payload), &run->limits,
                                     &run->scratch, &done);
    part_test_fail_from(0);
    if (!failed(run, status)) {
        EXPECT_INT(done.consumed, run->payload.size);
    }
    uint64_t counted = 0;
    for (size_t i = 0; i < count && ends[i] <= done.consumed; i++) {
        size_t at = model_find(model, names[i]);
        if (at < model->count) {
            model_remove(model, at, 1);
            counted++;
        }
    }
    EXPECT_INT(done.count, counted);
    EXPECT(done.changed == (counted > 0));
}

static void step_cut(struct value *value, struct model *model, struct run *run)
{
    size_t rank = test_random_below(&run->state, model->count + 1);
    size_t count = test_random_below(&run->state, model->count - rank + 1);
    count = test_random_below(&run->state, 4) == 0 ? count : count / 8;
    payload_varint(&run->payload, rank);
    payload_varint(&run->payload, count);
    struct value_change done;
    enum status status =
        value_apply(value, ZSET_CUT, buf_bytes(&run->payload), &run->limits, &run->scratch, &done);
    part_test_fail_from(0);
    if (!failed(run, status)) {
        model_remove(model, rank, count);
        EXPECT_INT(done.count, count);
    }
}

/* A second value, by copy or by its encoded form, takes the place of the first. */
static void step_twin(struct value *value, const struct model *model, struct run *run,
                      struct buf *stored)
{
    struct value twin = {.type = VALUE_NONE};
    struct buf room = BUF_EMPTY;
    enum status status;
    if (test_random_below(&run->state, 2) == 0) {
        status = value_copy(value, &room, &twin);
    } else {
        struct buf encoded = BUF_EMPTY;
        EXPECT(value_encode(value, &encoded) == ST_OK);
        EXPECT(encoded.size <= value_encoded_max(value));
        status = value_decode(buf_bytes(&encoded), &run->limits, &room, &twin);
        buf_deinit(&encoded);
    }
    part_test_fail_from(0);
    if (failed(run, status)) {
        buf_deinit(&room);
        return;
    }
    expect_same(&twin, model, &run->state);
    /* Both go on to live: a change of one is none of the other. */
    if (model->count > 0) {
        struct value_change done;
        payload_name(&run->payload, name_of(model->rows[0].name));
        EXPECT(value_apply(value, ZSET_REMOVE, buf_bytes(&run->payload), &run->limits,
                           &run->scratch, &done) == ST_OK);
        expect_same(&twin, model, &run->state);
    }
    value_free(value);
    buf_deinit(stored);
    *stored = room;
    *value = twin;
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

static void run_steps(struct run *run, size_t steps)
{
    static struct model model;
    model.count = 0;
    struct value value = zset_empty();
    struct buf stored = BUF_EMPTY;
    bool growing = true;
    size_t shapes = 0;
    for (size_t i = 0; i < steps; i++) {
        enum value_shape before = value.shape;
        if (model.count == 0 || test_random_below(&run->state, 200) == 0) {
            growing = true;
        } else if (model.count > MODEL_MAX - 20 || test_random_below(&run->state, 200) == 0) {
            growing = false;
        }
        uint64_t kind = test_random_below(&run->state, 20);
        run->payload.size = 0;
        uint64_t nth = 1 + test_random_below(&run->state, kind % 2 == 0 ? 10 : 50);
        part_test_fail_from(run->may_fail ? nth : 0);
        if (kind == 0) {
            step_twin(&value, &model, run, &stored);
        } else if (growing ? kind < 16 : kind < 5) {
            step_add(&value, &model, run);
        } else if (kind < 18) {
            step_remove(&value, &model, run);
        } else {
            step_cut(&value, &model, run);
        }
        part_test_fail_from(0);
        expect_same(&value, &model, &run->state);
        if (i % 16 == 0) {
            expect_scan(&value, &model);
        }
        /* Never back by shrinking; a decoded value is what its content says. */
        EXPECT(before == VALUE_PACKED || value.shape == VALUE_CLAST || kind == 0);
        shapes += before != value.shape;
        if (model.count == 0) {
            EXPECT(value_vanishes(&value));
            value_free(&value);
            value = zset_empty();
        }
        store(&value, &stored, &run->scratch);
    }
    EXPECT(shapes > 0);
    value_free(&value);
    buf_deinit(&stored);
}

static void run_model(bool may_fail, uint64_t seeds, size_t steps)
{
    size_t failures = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct run run = {.state = seed * 77,
                          .limits = zset_limits(seed % 2 == 0 ? 128 : 30, seed % 3 == 0 ? 64 : 400),
                          .may_fail = may_fail};
        run_steps(&run, steps);
        failures += run.failures;
        buf_deinit(&run.scratch);
        buf_deinit(&run.payload);
    }
    EXPECT(may_fail == (failures > 0));
}

TEST(a_set_does_what_a_plain_array_does)
{
    run_model(false, 6, 1200);
}

TEST(a_change_that_finds_no_memory_is_done_up_to_a_member_or_not_at_all)
{
    run_model(true, 6, 1200);
}
