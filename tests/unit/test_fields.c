#include "engine/value/fields.h"

#include "tests/lib/fields_payload.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

/* The model: field i is there if tags[i] != 0; its value follows from the tag. */
#define MODEL_MAX 1500
#define FIELD_MAX 5000
#define VALUE_MAX 9000
#define ITEM_MAX (FIELD_MAX + VALUE_MAX)

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

struct model {
    uint64_t tags[MODEL_MAX];
    int64_t expiries[MODEL_MAX];
    size_t fields; /* Possible ones. */
    size_t count;
};

struct run {
    uint64_t state;
    struct value_limits limits;
    struct buf scratch, payload, stored;
    bool large; /* Some fields and values are longer than a part. */
};

static unsigned char filler[ITEM_MAX + 256];

static void filler_make(void)
{
    for (size_t i = 0; i < sizeof(filler); i++) {
        filler[i] = (unsigned char)(i * 37 % 251 + 1);
    }
}

/* Field 7, 107, 207 … are long if the run is a large one; field 3 is the empty one. */
static struct bytes field_of(size_t i, bool large, unsigned char *room)
{
    if (i == 3) {
        return BYTES_NONE;
    }
    size_t size = (size_t)snprintf((char *)room, 32, "field%zu", i);
    if (large && i % 100 == 7) {
        size_t whole = i % 300 == 7 ? FIELD_MAX : 70;
        memcpy(room + size, filler, whole - size);
        size = whole;
    }
    return bytes_of(room, size);
}

static struct bytes value_of(uint64_t tag)
{
    return bytes_of(filler + (tag >> 16) % 256, tag % 65536 % VALUE_MAX);
}

static uint64_t tag_random(struct run *run)
{
    uint64_t kind = test_random_below(&run->state, 100);
    uint64_t most = !run->large ? 24 : kind == 0 ? VALUE_MAX : kind < 4 ? 300 : 24;
    uint64_t size = test_random_below(&run->state, most);
    return (test_random(&run->state) & ~0xffffull) | size | 1ull << 63;
}

/* -- Comparing --------------------------------------------------------------------------------- */

struct comparing {
    const struct model *model;
    bool large;
    uint64_t now_ms;
    size_t seen;
    bool *met; /* By field. */
};

static size_t number_of(struct bytes field)
{
    char text[16] = {0};
    if (field.size == 0) {
        return 3;
    }
    EXPECT(field.size > 5);
    memcpy(text, (const char *)field.data + 5, field.size - 5 < 15 ? field.size - 5 : 15);
    return (size_t)strtoul(text, NULL, 10);
}

static enum status compare_item(void *ctx, const struct field_item *item)
{
    static unsigned char room[FIELD_MAX + 32];
    struct comparing *comparing = ctx;
    const struct model *model = comparing->model;
    size_t i = number_of(item->field.data);
    EXPECT(i < model->fields && model->tags[i] != 0 && !comparing->met[i]);
    EXPECT(bytes_equal(item->field.data, field_of(i, comparing->large, room)));
    EXPECT(bytes_equal(item->value.data, value_of(model->tags[i])));
    EXPECT_INT(item->expiry_ms, model->expiries[i]);
    comparing->met[i] = true;
    comparing->seen++;
    return ST_OK;
}

static bool model_live(const struct model *model, size_t i, uint64_t now_ms)
{
    return model->tags[i] != 0 && (model->expiries[i] < 0 || model->expiries[i] > (int64_t)now_ms);
}

static size_t model_live_count(const struct model *model, uint64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < model->fields; i++) {
        count += model_live(model, i, now_ms);
    }
    return count;
}

static int64_t model_earliest(const struct model *model)
{
    int64_t earliest_ms = FIELDS_NEVER;
    for (size_t i = 0; i < model->fields; i++) {
        if (model->tags[i] != 0 && model->expiries[i] >= 0 && model->expiries[i] < earliest_ms) {
            earliest_ms = model->expiries[i];
        }
    }
    return earliest_ms;
}

static void expect_walk(const struct value *value, const struct model *model, bool large,
                        uint64_t now_ms)
{
    bool met[MODEL_MAX] = {0};
    struct comparing comparing = {model, large, now_ms, 0, met};
    uint64_t live;
    EXPECT(fields_walk(value, now_ms, compare_item, &comparing) == ST_OK);
    EXPECT_INT(comparing.seen, model_live_count(model, now_ms));
    EXPECT(fields_live_count(value, now_ms, &live) == ST_OK);
    EXPECT_INT(live, comparing.seen);
    EXPECT(fields_gone(value, now_ms) == (live == 0 && fields_earliest(value) <= (int64_t)now_ms));
}

struct due_count {
    uint64_t now_ms;
    size_t count;
};

static enum status count_due(void *ctx, const struct field_item *item)
{
    struct due_count *due = ctx;
    EXPECT(field_is_due(item, due->now_ms));
    due->count++;
    return ST_OK;
}

/* All of what can be read, at a time before all expiries and at one among them. */
static void expect_same(const struct value *value, const struct model *model, struct run *run)
{
    static unsigned char room[FIELD_MAX + 32];
    uint64_t now_ms = 1000 + test_random_below(&run->state, 1000);
    EXPECT(fields_check(value));
    EXPECT_INT(fields_count(value), model->count);
    EXPECT_INT(fields_earliest(value), model_earliest(model));
    expect_walk(value, model, run->large, 0);
    expect_walk(value, model, run->large, now_ms);
    struct due_count due = {now_ms, 0};
    EXPECT(fields_due(value, now_ms, SIZE_MAX, count_due, &due) == ST_OK);
    EXPECT_INT(due.count, model->count - model_live_count(model, now_ms));
    for (int n = 0; n < 10; n++) {
        size_t i = (size_t)test_random_below(&run->state, model->fields);
        struct field_item item;
        bool found;
        EXPECT(fields_find(value, field_of(i, run->large, room), now_ms, &item, &found) == ST_OK);
        EXPECT(found == model_live(model, i, now_ms));
        EXPECT(!found || bytes_equal(item.value.data, value_of(model->tags[i])));
    }
    if (model->count > 0) {
        struct field_item item;
        EXPECT(fields_at(value, test_random_below(&run->state, model->count), &item) == ST_OK);
        EXPECT(model->tags[number_of(item.field.data)] != 0);
    }
}

/* -- Steps ------------------------------------------------------------------------------------- */

/* The steps of one payload, applied to the model up to where the value took them. */
struct step {
    size_t field;
    uint64_t tag;
    int64_t expiry_ms;
    size_t end; /* Payload bytes up to here. */
};
#define STEPS_MAX 12

static uint64_t model_step(struct model *model, unsigned op, const struct step *step)
{
    size_t i = step->field;
    bool there = model->tags[i] != 0;
    if (op == FIELDS_PUT) {
        if (!there) {
            model->expiries[i] = FIELDS_NO_EXPIRY;
        }
        model->tags[i] = step->tag;
        model->expiries[i] =
            step->expiry_ms == FIELDS_KEEP_EXPIRY ? model->expiries[i] : step->expiry_ms;
        model->count += !there;
        return !there;
    }
    if (op == FIELDS_REMOVE) {
        model->tags[i] = 0;
        model->count -= there;
        return there;
    }
    bool changes = there && model->expiries[i] != step->expiry_ms;
    model->expiries[i] = changes ? step->expiry_ms : model->expiries[i];
    return changes;
}

static int64_t expiry_random(struct run *run, unsigned op)
{
    uint64_t kind = test_random_below(&run->state, 4);
    return kind == 0                       ? 1000 + (int64_t)test_random_below(&run->state, 1000)
           : kind == 1 && op == FIELDS_PUT ? FIELDS_KEEP_EXPIRY
                                           : FIELDS_NO_EXPIRY;
}

static size_t payload_random(struct run *run, const struct model *model, unsigned op,
                             struct step *steps)
{
    static unsigned char room[FIELD_MAX + 32];
    size_t count = 1 + (size_t)test_random_below(&run->state, STEPS_MAX);
    run->payload.size = 0;
    for (size_t n = 0; n < count; n++) {
        struct step *step = &steps[n];
        step->field = (size_t)test_random_below(&run->state, model->fields);
        step->tag = tag_random(run);
        step->expiry_ms = expiry_random(run, op);
        struct bytes field = field_of(step->field, run->large, room);
        if (op == FIELDS_PUT) {
            payload_field(&run->payload, field, value_of(step->tag), step->expiry_ms);
        } else if (op == FIELDS_REMOVE) {
            payload_name(&run->payload, field);
        } else {
            payload_expire(&run->payload, field, step->expiry_ms);
        }
        step->end = run->payload.size;
    }
    return count;
}

/* As an entry does: a packed value moves out of scratch. */
static void store(struct value *value, struct run *run)
{
    if (value->shape == VALUE_PACKED) {
        struct buf copy = BUF_EMPTY;
        EXPECT(buf_append(&copy, value->packed) == ST_OK);
        buf_deinit(&run->stored);
        run->stored = copy;
        value->packed = buf_bytes(&run->stored);
    }
    run->scratch.size = 0;
}

static void expect_replica(const struct value *value, const struct model *model, struct run *run);

struct outcome {
    size_t failures, partial, shapes;
};

static void step(struct value *value, struct model *model, struct run *run, bool may_fail,
                 bool shrinking, struct outcome *outcome)
{
    struct step steps[STEPS_MAX];
    uint64_t kind = test_random_below(&run->state, 10);
    unsigned op = kind == 0                      ? FIELDS_EXPIRE
                  : kind < (shrinking ? 8u : 3u) ? FIELDS_REMOVE
                                                 : FIELDS_PUT;
    size_t count = payload_random(run, model, op, steps);
    enum value_shape shape = value->shape;
    struct value_change change = {0};
    /* A copy elsewhere shares all parts, so that every change must make its own first. */
    struct value held = {.type = VALUE_NONE};
    struct buf held_scratch = BUF_EMPTY;
    if (may_fail) {
        EXPECT(value_copy(value, &held_scratch, &held) == ST_OK);
    }
    part_test_fail_from(may_fail ? 1 + test_random_below(&run->state, 40) : 0);
    enum status status =
        value_apply(value, op, buf_bytes(&run->payload), &run->limits, &run->scratch, &change);
    part_test_fail_from(0);
    EXPECT(held.type == VALUE_NONE || fields_check(&held));
    value_free(&held);
    buf_deinit(&held_scratch);
    EXPECT(status == ST_OK || (may_fail && status == ST_NOMEM));
    uint64_t counted = 0;
    size_t consumed = status == ST_OK ? run->payload.size : change.consumed;
    bool whole = consumed == 0;
    for (size_t n = 0; n < count && steps[n].end <= consumed; n++) {
        counted += model_step(model, op, &steps[n]);
        whole |= steps[n].end == consumed;
    }
    EXPECT(whole);
    EXPECT_INT(change.count, counted);
    EXPECT(op == FIELDS_PUT ? change.changed == (consumed > 0) : change.changed == (counted > 0));
    EXPECT(shape == VALUE_PACKED || value->shape == VALUE_CLAST); /* Never back. */
    outcome->failures += status != ST_OK;
    outcome->partial += status != ST_OK && consumed > 0;
    outcome->shapes += value->shape != shape;
}

static void run_model(struct run *run, size_t fields, size_t count, bool may_fail,
                      struct outcome *outcome)
{
    struct model model = {.fields = fields};
    struct value value = fields_empty();
    filler_make();
    bool shrinking = false;
    for (size_t i = 0; i < count; i++) {
        if (test_random_below(&run->state, 100) == 0) {
            shrinking = !shrinking;
        }
        step(&value, &model, run, may_fail, shrinking, outcome);
        if (i % 4 == 0) {
            expect_same(&value, &model, run);
        }
        if (test_random_below(&run->state, 3) != 0) {
            store(&value, run);
        }
        if (i % 16 == 0) {
            expect_replica(&value, &model, run);
        }
        if (value.shape == VALUE_CLAST && test_random_below(&run->state, STEPS(400, 100)) == 0) {
            value_free(&value); /* Packed once more. */
            value = fields_empty();
            memset(model.tags, 0, sizeof(model.tags));
            model.count = 0;
        }
    }
    expect_same(&value, &model, run);
    value_free(&value);
    buf_deinit(&run->scratch);
    buf_deinit(&run->payload);
    buf_deinit(&run->stored);
}

/* What is encoded, decoded and copied is the same, and a copy stays what it is when the original
 * changes. */
static void expect_replica(const struct value *value, const struct model *model, struct run *run)
{
    struct buf encoded = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    struct value other;
    EXPECT(value_encode(value, &encoded) == ST_OK);
    EXPECT(encoded.size <= value_encoded_max(value));
    struct value_limits limits = run->limits;
    if (test_random_below(&run->state, 2) == 0) {
        limits.hash_max_listpack_entries = 1000;
        limits.hash_max_listpack_value = 10000;
    }
    enum status status = value_decode(buf_bytes(&encoded), &limits, &scratch, &other);
    EXPECT(status == (value_vanishes(value) ? ST_CORRUPT : ST_OK));
    if (status == ST_OK) {
        expect_same(&other, model, run);
        value_free(&other);
    }
    scratch.size = 0;
    EXPECT(value_copy(value, &scratch, &other) == ST_OK);
    struct value twin;
    struct buf twin_scratch = BUF_EMPTY;
    EXPECT(value_copy(value, &twin_scratch, &twin) == ST_OK);
    run->payload.size = 0;
    for (size_t i = 0; i < model->fields; i += 3) {
        static unsigned char room[FIELD_MAX + 32];
        payload_name(&run->payload, field_of(i, run->large, room));
    }
    struct value_change change;
    EXPECT(value_apply(&twin, FIELDS_REMOVE, buf_bytes(&run->payload), &run->limits, &twin_scratch,
                       &change) == ST_OK);
    EXPECT(fields_check(&twin));
    expect_same(&other, model, run);
    value_free(&other);
    value_free(&twin);
    buf_deinit(&twin_scratch);
    buf_deinit(&scratch);
    buf_deinit(&encoded);
}

static const struct value_limits usual = {
    .hash_max_listpack_entries = 128, .hash_max_listpack_value = 64, .hash_seed = 77};

/* H1, H2, H3 */
TEST(fields_agree_with_an_array_while_they_stay_packed)
{
    struct run run = {.state = test_seed(), .limits = usual};
    struct outcome outcome = {0};
    run_model(&run, 100, STEPS(4000, 1000), false, &outcome);
    EXPECT_INT(outcome.shapes, 0);
}

/* H1, H2, H3 */
TEST(fields_agree_with_an_array_across_the_thresholds)
{
    struct run run = {.state = test_seed(), .limits = usual, .large = true};
    struct outcome outcome = {0};
    run_model(&run, MODEL_MAX, STEPS(6000, 1500), false, &outcome);
    EXPECT(outcome.shapes > 2);
}

/* A payload of which the memory allows only a part stands up to there, and says so. */
TEST(fields_agree_with_an_array_whichever_allocation_fails)
{
    struct run run = {.state = test_seed(), .limits = usual, .large = true};
    struct outcome outcome = {0};
    run_model(&run, 600, STEPS(6000, 1500), true, &outcome);
    EXPECT(outcome.failures > 30 && outcome.partial > 10 && outcome.shapes > 1);
}

/* -- Bytes from outside --------------------------------------------------------------------------
 */

TEST(a_damaged_payload_is_refused_before_anything_changes)
{
    struct run run = {.state = test_seed(), .limits = usual};
    struct model model = {.fields = 50};
    struct step steps[STEPS_MAX];
    filler_make();
    size_t refused = 0;
    for (size_t i = 0; i < STEPS(6000, 2000); i++) {
        struct value value = fields_empty();
        struct value_change change;
        payload_random(&run, &model, FIELDS_PUT, steps);
        run.limits.hash_max_listpack_entries = i % 2 == 0 ? 128 : 0;
        EXPECT(value_apply(&value, FIELDS_PUT, buf_bytes(&run.payload), &run.limits, &run.scratch,
                           &change) == ST_OK);
        uint64_t count = fields_count(&value);
        unsigned op = FIELDS_PUT + (unsigned)test_random_below(&run.state, 4);
        payload_random(&run, &model, op, steps);
        run.payload.size -= (size_t)test_random_below(&run.state, 3) % run.payload.size;
        for (uint64_t n = test_random_below(&run.state, 4); n > 0; n--) {
            run.payload.data[test_random_below(&run.state, run.payload.size)] =
                (unsigned char)test_random(&run.state);
        }
        enum status status =
            value_apply(&value, op, buf_bytes(&run.payload), &run.limits, &run.scratch, &change);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        EXPECT(status == ST_OK || (fields_count(&value) == count && !change.changed));
        EXPECT(fields_check(&value));
        refused += status == ST_CORRUPT;
        value_free(&value);
        run.scratch.size = 0;
    }
    EXPECT(refused > 500);
    buf_deinit(&run.scratch);
    buf_deinit(&run.payload);
}

/* Bytes from a damaged disk: refused, or a value that stands every check. */
TEST(decoding_a_hash_trusts_no_byte)
{
    struct run run = {.state = test_seed(), .limits = usual};
    struct model model = {.fields = 50};
    struct step steps[STEPS_MAX];
    filler_make();
    size_t refused = 0;
    for (size_t i = 0; i < STEPS(6000, 2000); i++) {
        struct value value = fields_empty();
        struct buf encoded = BUF_EMPTY;
        struct value_change change;
        payload_random(&run, &model, FIELDS_PUT, steps);
        EXPECT(value_apply(&value, FIELDS_PUT, buf_bytes(&run.payload), &run.limits, &run.scratch,
                           &change) == ST_OK);
        EXPECT(value_encode(&value, &encoded) == ST_OK);
        value_free(&value);
        for (uint64_t n = test_random_below(&run.state, 5); n > 0; n--) {
            encoded.data[1 + test_random_below(&run.state, encoded.size - 1)] =
                (unsigned char)test_random(&run.state);
        }
        encoded.size -= (size_t)test_random_below(&run.state, 2);
        run.limits.hash_max_listpack_entries = i % 2 == 0 ? 128 : 0;
        run.scratch.size = 0;
        enum status status = value_decode(buf_bytes(&encoded), &run.limits, &run.scratch, &value);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        if (status == ST_OK) {
            EXPECT(fields_check(&value));
            value_free(&value);
        }
        refused += status == ST_CORRUPT;
        run.scratch.size = 0;
        buf_deinit(&encoded);
    }
    EXPECT(refused > 500);
    buf_deinit(&run.scratch);
    buf_deinit(&run.payload);
}
