#include "engine/value/stream.h"

#include "tests/lib/test.h"

#include <stdio.h>

/* The model: plain arrays, changed by the same payloads as the stream. */
#define ENTRIES_MAX 1500
#define GROUPS 2
#define CONSUMERS 4
#define PENDING_MAX 400

struct model_entry {
    struct stream_id id;
    uint64_t tag; /* The fields follow from it. */
};

struct model_pending {
    struct stream_id id;
    unsigned consumer;
    int64_t time_ms;
    uint64_t deliveries;
};

struct model_group {
    bool there;
    struct stream_id last;
    bool consumers[CONSUMERS];
    struct model_pending pending[PENDING_MAX];
    size_t pending_count;
};

struct model {
    bool there;
    struct stream_id last, max_deleted;
    uint64_t added;
    struct model_entry entries[ENTRIES_MAX];
    size_t count;
    struct model_group groups[GROUPS];
};

static const struct value_limits limits = {.stream_node_max_bytes = 4096,
                                           .stream_node_max_entries = 100};

/* -- Payloads ---------------------------------------------------------------------------------- */

static void put(struct buf *out, const void *data, size_t size)
{
    EXPECT(buf_append(out, bytes_of(data, size)) == ST_OK);
}

static void put_varint(struct buf *out, uint64_t value)
{
    unsigned char bytes[VARINT_MAX];
    put(out, bytes, varint_store(bytes, value));
}

static void put_u64(struct buf *out, uint64_t value)
{
    put(out, &value, 8);
}

static void put_id(struct buf *out, struct stream_id id)
{
    put_u64(out, id.ms);
    put_u64(out, id.seq);
}

static void put_text(struct buf *out, const char *text)
{
    put_varint(out, strlen(text));
    put(out, text, strlen(text));
}

/* g0, g1 are groups, c0 … consumers. */
static void put_name(struct buf *out, char kind, unsigned number)
{
    char name[] = {kind, (char)('0' + number), 0};
    put_text(out, name);
}

/* Few fields, mostly with the same names; now and then a long value. */
static uint64_t fields_count(uint64_t tag)
{
    return tag % 10 == 0 ? 3 : 2;
}

static void put_fields(struct buf *out, uint64_t tag)
{
    static const char *const numbers[] = {
        "0", "-1", "127", "00", "9223372036854775807", "-9223372036854775808", "1700000000000", ""};
    static char large[6000];
    memset(large, 'x', sizeof(large) - 1);
    for (uint64_t i = 0; i < fields_count(tag); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s%llu", tag % 7 == 0 ? "other" : "field",
                 (unsigned long long)i);
        put_text(out, text);
        if (i == 0) {
            put_text(out, numbers[tag / 16 % 8]);
        } else if (tag % 97 == 0) {
            put_varint(out, tag % 6000);
            put(out, large, tag % 6000);
        } else {
            snprintf(text, sizeof(text), "v%llx", (unsigned long long)(tag >> 8 & 0xffffff));
            put_text(out, text);
        }
    }
}

/* -- The model's changes ----------------------------------------------------------------------- */

static struct stream_id take_id(struct bytes *in)
{
    struct stream_id id = {load_u64(in->data), load_u64((const char *)in->data + 8)};
    *in = bytes_slice(*in, 16, SIZE_MAX);
    return id;
}

static uint64_t take_u64(struct bytes *in)
{
    uint64_t value = load_u64(in->data);
    *in = bytes_slice(*in, 8, SIZE_MAX);
    return value;
}

/* The number at the end of a name. */
static unsigned take_name(struct bytes *in)
{
    unsigned number = (unsigned)(((const unsigned char *)in->data)[2] - '0');
    *in = bytes_slice(*in, 3, SIZE_MAX);
    return number;
}

static void entry_remove(struct model *model, size_t index)
{
    memmove(&model->entries[index], &model->entries[index + 1],
            (model->count - index - 1) * sizeof(model->entries[0]));
    model->count--;
}

static size_t pending_index(const struct model_group *group, struct stream_id id)
{
    size_t i = 0;
    while (i < group->pending_count && stream_id_compare(group->pending[i].id, id) < 0) {
        i++;
    }
    return i;
}

static bool pending_is(const struct model_group *group, size_t index, struct stream_id id)
{
    return index < group->pending_count && stream_id_compare(group->pending[index].id, id) == 0;
}

static void pending_drop(struct model_group *group, size_t index)
{
    memmove(&group->pending[index], &group->pending[index + 1],
            (group->pending_count - index - 1) * sizeof(group->pending[0]));
    group->pending_count--;
}

static void pending_set(struct model_group *group, struct model_pending pending)
{
    size_t index = pending_index(group, pending.id);
    if (!pending_is(group, index, pending.id)) {
        EXPECT(group->pending_count < PENDING_MAX);
        memmove(&group->pending[index + 1], &group->pending[index],
                (group->pending_count - index) * sizeof(group->pending[0]));
        group->pending_count++;
    }
    group->pending[index] = pending;
}

/* tag: of what STREAM_ADD adds. */
static void model_change_entries(struct model *model, unsigned op, struct bytes payload,
                                 uint64_t tag)
{
    if (op == STREAM_ADD) {
        model->last = take_id(&payload);
        model->added++;
        model->entries[model->count++] = (struct model_entry){model->last, tag};
    } else if (op == STREAM_TRIM) {
        uint64_t count;
        EXPECT(varint_take(&payload, &count));
        while (count-- > 0) {
            entry_remove(model, 0);
        }
    } else if (op == STREAM_SETID) {
        model->last = take_id(&payload);
        model->added = take_u64(&payload);
        model->max_deleted = take_id(&payload);
    } else {
        while (payload.size > 0) {
            struct stream_id id = take_id(&payload);
            for (size_t i = 0; i < model->count; i++) {
                if (stream_id_compare(model->entries[i].id, id) == 0) {
                    entry_remove(model, i);
                    model->max_deleted =
                        stream_id_compare(id, model->max_deleted) > 0 ? id : model->max_deleted;
                    break;
                }
            }
        }
    }
}

static void model_change_pending(struct model_group *group, unsigned op, struct bytes payload)
{
    if (op == STREAM_ACK) {
        while (payload.size > 0) {
            struct stream_id id = take_id(&payload);
            size_t index = pending_index(group, id);
            if (pending_is(group, index, id)) {
                pending_drop(group, index);
            }
        }
        return;
    }
    unsigned consumer = take_name(&payload);
    if (op == STREAM_CONSUMER_DELETE) {
        group->consumers[consumer] = false;
        for (size_t i = group->pending_count; i-- > 0;) {
            if (group->pending[i].consumer == consumer) {
                pending_drop(group, i);
            }
        }
        return;
    }
    int64_t now = (int64_t)take_u64(&payload);
    group->consumers[consumer] = true;
    bool unheld = false;
    if (op == STREAM_DELIVER) {
        unheld = *(const char *)payload.data == 1;
        payload = bytes_slice(payload, 1, SIZE_MAX);
    } else if (op == STREAM_CLAIM) {
        struct stream_id last = take_id(&payload);
        group->last = stream_id_compare(last, group->last) > 0 ? last : group->last;
    }
    while (payload.size > 0) {
        struct model_pending pending = {take_id(&payload), consumer, now, 1};
        size_t index = pending_index(group, pending.id);
        if (op == STREAM_DELIVER) {
            group->last = pending.id;
        } else if (op == STREAM_CLAIM) {
            pending.time_ms = (int64_t)take_u64(&payload);
            pending.deliveries = take_u64(&payload);
        } else if (!pending_is(group, index, pending.id) ||
                   group->pending[index].consumer != consumer) {
            continue;
        } else {
            pending.deliveries = group->pending[index].deliveries + 1;
        }
        if (!unheld) {
            pending_set(group, pending);
        }
    }
}

static void model_change(struct model *model, unsigned op, struct bytes payload, uint64_t tag)
{
    model->there = true;
    if (op <= STREAM_SETID) {
        model_change_entries(model, op, payload, tag);
        return;
    }
    struct model_group *group = &model->groups[take_name(&payload)];
    if (op == STREAM_GROUP_CREATE && !group->there) {
        *group = (struct model_group){.there = true, .last = take_id(&payload)};
    } else if (op == STREAM_GROUP_SETID) {
        group->last = take_id(&payload);
    } else if (op == STREAM_GROUP_DESTROY) {
        group->there = false;
    } else if (op >= STREAM_CONSUMER_CREATE) {
        model_change_pending(group, op, payload);
    }
}

/* -- Comparing --------------------------------------------------------------------------------- */

struct comparing {
    const struct model *model;
    size_t next;
    bool backwards;
};

static enum status compare_entry(void *ctx, struct stream_entry *entry)
{
    struct comparing *comparing = ctx;
    const struct model_entry *expected = &comparing->model->entries[comparing->next];
    EXPECT(stream_id_compare(entry->id, expected->id) == 0);
    struct buf wanted = BUF_EMPTY;
    struct buf found = BUF_EMPTY;
    put_fields(&wanted, expected->tag);
    struct bytes name;
    struct bytes value;
    while (stream_entry_next(entry, &name, &value)) {
        put_varint(&found, name.size);
        put(&found, name.data, name.size);
        put_varint(&found, value.size);
        put(&found, value.data, value.size);
    }
    bool same = bytes_equal(buf_bytes(&wanted), buf_bytes(&found));
    buf_deinit(&wanted);
    buf_deinit(&found);
    EXPECT(same);
    comparing->next += comparing->backwards ? SIZE_MAX : 1;
    return ST_OK;
}

struct comparing_pending {
    const struct model_group *group;
    unsigned consumer; /* CONSUMERS: all. */
    size_t next;
};

static enum status compare_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct comparing_pending *comparing = ctx;
    const struct model_group *group = comparing->group;
    while (comparing->consumer < CONSUMERS && comparing->next < group->pending_count &&
           group->pending[comparing->next].consumer != comparing->consumer) {
        comparing->next++;
    }
    EXPECT(comparing->next < group->pending_count);
    const struct model_pending *expected = &group->pending[comparing->next++];
    struct bytes name = stream_consumer_view(pending->consumer).name;
    EXPECT(stream_id_compare(pending->id, expected->id) == 0);
    EXPECT_INT(((const char *)name.data)[1] - '0', expected->consumer);
    EXPECT_INT(pending->delivered_ms, expected->time_ms);
    EXPECT_INT(pending->deliveries, expected->deliveries);
    return ST_OK;
}

static void expect_same_group(const struct stream_group *group, const struct model_group *model)
{
    struct stream_group_view view = stream_group_view(group);
    EXPECT(stream_id_compare(view.last, model->last) == 0);
    EXPECT_INT(view.pending, model->pending_count);
    struct comparing_pending comparing = {model, CONSUMERS, 0};
    EXPECT(stream_pending_walk(group, NULL, STREAM_ID_MIN, STREAM_ID_MAX, compare_pending,
                               &comparing) == ST_OK);
    EXPECT_INT(comparing.next, model->pending_count);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        char name[] = {'c', (char)('0' + i), 0};
        const struct stream_consumer *consumer = stream_consumer(group, bytes_of_text(name));
        EXPECT_INT(consumer != NULL, model->consumers[i]);
        if (consumer != NULL) {
            uint64_t pending = 0;
            for (size_t j = 0; j < model->pending_count; j++) {
                pending += model->pending[j].consumer == i;
            }
            EXPECT_INT(stream_consumer_view(consumer).pending, pending);
            comparing = (struct comparing_pending){model, i, 0};
            EXPECT(stream_pending_walk(group, consumer, STREAM_ID_MIN, STREAM_ID_MAX,
                                       compare_pending, &comparing) == ST_OK);
        }
    }
}

static void expect_same(const struct value *value, const struct model *model)
{
    EXPECT(stream_check(value));
    struct stream_summary summary = stream_summary(value);
    EXPECT_INT(value->shape == VALUE_CLAST, model->there);
    EXPECT_INT(summary.count, model->count);
    EXPECT_INT(summary.added, model->added);
    EXPECT(stream_id_compare(summary.last, model->last) == 0);
    EXPECT(stream_id_compare(summary.max_deleted, model->max_deleted) == 0);
    struct comparing comparing = {model, 0, false};
    EXPECT(stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, false, compare_entry,
                       &comparing) == ST_OK);
    EXPECT_INT(comparing.next, model->count);
    comparing = (struct comparing){model, model->count - 1, true};
    EXPECT(stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, true, compare_entry,
                       &comparing) == ST_OK);
    size_t groups = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        char name[] = {'g', (char)('0' + i), 0};
        const struct stream_group *group = stream_group(value, bytes_of_text(name));
        EXPECT_INT(group != NULL, model->groups[i].there);
        groups += model->groups[i].there;
        if (group != NULL) {
            expect_same_group(group, &model->groups[i]);
        }
    }
    EXPECT_INT(summary.groups, groups);
}

/* A range that begins and ends anywhere. */
static void expect_same_range(const struct value *value, const struct model *model, uint64_t *state)
{
    struct stream_id from = {test_random_below(state, model->last.ms + 2), 0};
    struct stream_id to = {from.ms + test_random_below(state, 300), test_random_below(state, 2)};
    size_t first = 0;
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        first += stream_id_compare(model->entries[i].id, from) < 0;
        count += stream_id_compare(model->entries[i].id, from) >= 0 &&
                 stream_id_compare(model->entries[i].id, to) <= 0;
    }
    uint64_t found;
    EXPECT(stream_count(value, from, to, UINT64_MAX, &found) == ST_OK);
    EXPECT_INT(found, count);
    struct comparing comparing = {model, first, false};
    EXPECT(stream_walk(value, from, to, 3, false, compare_entry, &comparing) == ST_OK);
    EXPECT_INT(comparing.next - first, count < 3 ? count : 3);
    comparing = (struct comparing){model, first + count - 1, true};
    EXPECT(stream_walk(value, from, to, 3, true, compare_entry, &comparing) == ST_OK);
}

/* -- Steps ------------------------------------------------------------------------------------- */

struct run {
    uint64_t state;
    bool failures; /* Memory runs out now and then. */
    struct buf scratch, payload;
    uint64_t tag;
};

static struct stream_id any_id(struct run *run, const struct model *model)
{
    if (model->count > 0 && test_random_below(&run->state, 10) > 0) {
        return model->entries[test_random_below(&run->state, model->count)].id;
    }
    return (struct stream_id){test_random_below(&run->state, model->last.ms + 2), 1};
}

static void step_ids(struct run *run, const struct model *model)
{
    for (uint64_t i = test_random_below(&run->state, 6); i > 0; i--) {
        put_id(&run->payload, any_id(run, model));
    }
}

static void step_deliver(struct run *run, const struct model *model,
                         const struct model_group *group)
{
    char unheld = test_random_below(&run->state, 8) == 0;
    put(&run->payload, &unheld, 1);
    uint64_t left = test_random_below(&run->state, 30);
    if (group->pending_count + left > PENDING_MAX) {
        left = 0;
    }
    for (size_t i = 0; i < model->count && left > 0; i++) {
        if (stream_id_compare(model->entries[i].id, group->last) > 0) {
            put_id(&run->payload, model->entries[i].id);
            left--;
        }
    }
}

static void step_claim(struct run *run, const struct model *model, const struct model_group *group)
{
    put_id(&run->payload,
           (struct stream_id){test_random_below(&run->state, model->last.ms + 1), 0});
    for (uint64_t i = test_random_below(&run->state, 5); i > 0; i--) {
        if (group->pending_count + i < PENDING_MAX) {
            put_id(&run->payload, any_id(run, model));
            put_u64(&run->payload, test_random_below(&run->state, 1000));
            put_u64(&run->payload, test_random_below(&run->state, 9));
        }
    }
}

/* The payload of one operation on a group; false: not now. */
static bool step_group(struct run *run, const struct model *model, unsigned op)
{
    unsigned number = (unsigned)test_random_below(&run->state, GROUPS);
    const struct model_group *group = &model->groups[number];
    if (op != STREAM_GROUP_CREATE && op != STREAM_GROUP_DESTROY && !group->there) {
        return false;
    }
    if (op == STREAM_GROUP_DESTROY && test_random_below(&run->state, 10) > 0) {
        return false;
    }
    put_name(&run->payload, 'g', number);
    if (op == STREAM_GROUP_CREATE || op == STREAM_GROUP_SETID) {
        put_id(&run->payload, any_id(run, model));
        put_u64(&run->payload, UINT64_MAX);
        return true;
    }
    if (op == STREAM_GROUP_DESTROY) {
        return true;
    }
    if (op == STREAM_ACK) {
        step_ids(run, model);
        return true;
    }
    put_name(&run->payload, 'c', (unsigned)test_random_below(&run->state, CONSUMERS));
    if (op == STREAM_CONSUMER_DELETE) {
        return true;
    }
    put_u64(&run->payload, test_random_below(&run->state, 100000));
    if (op == STREAM_DELIVER) {
        step_deliver(run, model, group);
    } else if (op == STREAM_REDELIVER) {
        step_ids(run, model);
    } else if (op == STREAM_CLAIM) {
        step_claim(run, model, group);
    }
    return true;
}

static bool step_entries(struct run *run, const struct model *model, unsigned op)
{
    if (op == STREAM_ADD) {
        if (model->count == ENTRIES_MAX) {
            return false;
        }
        run->tag = test_random(&run->state) >> 8;
        bool same = test_random_below(&run->state, 3) > 0;
        struct stream_id id = {model->last.ms + !same, same ? model->last.seq + 1 : 0};
        id.ms += test_random_below(&run->state, 20) == 0 ? 1000 : 0;
        put_id(&run->payload, id);
        put_varint(&run->payload, fields_count(run->tag));
        put_fields(&run->payload, run->tag);
    } else if (op == STREAM_TRIM) {
        if (model->count == 0) {
            return false;
        }
        uint64_t bound = test_random_below(&run->state, 20) == 0 ? model->count : 30;
        bound = bound < model->count ? bound : model->count;
        put_varint(&run->payload, 1 + test_random_below(&run->state, bound));
        char keep = test_random_below(&run->state, 4) == 0;
        put(&run->payload, &keep, 1);
    } else if (op == STREAM_SETID) {
        put_id(&run->payload, (struct stream_id){model->last.ms + 1, 0});
        put_u64(&run->payload, model->added + 1);
        put_id(&run->payload, model->max_deleted);
    } else {
        step_ids(run, model);
    }
    return true;
}

static void step(struct value *value, struct model *model, struct run *run)
{
    unsigned op = test_random_below(&run->state, 5) < 2
                      ? STREAM_ADD
                      : STREAM_ADD + (unsigned)test_random_below(&run->state, 13);
    if (!model->there && op != STREAM_ADD && op != STREAM_GROUP_CREATE) {
        return;
    }
    run->payload.size = 0;
    if (!(op <= STREAM_SETID ? step_entries(run, model, op) : step_group(run, model, op))) {
        return;
    }
    struct value_change change;
    run->scratch.size = 0;
    if (run->failures && test_random_below(&run->state, 3) == 0) {
        part_test_fail_from(1 + test_random_below(&run->state, 8));
    }
    struct bytes payload = buf_bytes(&run->payload);
    enum status status = value_apply(value, op, payload, &limits, &run->scratch, &change);
    part_test_fail_from(0);
    EXPECT(status == ST_OK || (run->failures && status == ST_NOMEM));
    if (status == ST_OK) {
        model_change(model, op, payload, run->tag);
    } else if (change.consumed > 0) {
        model_change(model, op, bytes_slice(payload, 0, change.consumed), run->tag);
    }
}

static void expect_round_trip(const struct value *value, const struct model *model)
{
    struct buf encoded = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    struct value decoded;
    EXPECT(value_encode(value, &encoded) == ST_OK);
    EXPECT(encoded.size <= value_encoded_max(value));
    EXPECT(value_decode(buf_bytes(&encoded), &limits, &scratch, &decoded) == ST_OK);
    expect_same(&decoded, model);
    EXPECT(value_encode(&decoded, &again) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&encoded), buf_bytes(&again)));
    value_free(&decoded);
    buf_deinit(&encoded);
    buf_deinit(&again);
    buf_deinit(&scratch);
}

static void run_steps(bool failures, unsigned steps)
{
    static struct model model;
    static struct model old;
    struct run run = {.state = test_seed() + failures, .failures = failures};
    struct value value = value_empty(VALUE_STREAM);
    struct value copy = {.type = VALUE_NONE};
    model = (struct model){.there = false};
    for (unsigned i = 0; i < steps; i++) {
        step(&value, &model, &run);
        if (i % 50 == 0) {
            expect_same(&value, &model);
        }
        if (model.there) {
            expect_same_range(&value, &model, &run.state);
        }
        if (model.there && i % 500 == 499) {
            expect_round_trip(&value, &model);
            if (copy.type != VALUE_NONE) {
                expect_same(&copy, &old); /* Whatever happened to the other. */
                value_free(&copy);
            }
            EXPECT(value_copy(&value, &run.scratch, &copy) == ST_OK);
            old = model;
        }
    }
    expect_same(&value, &model);
    while (!value_free_some(&value, 1)) {
    }
    value_free(&copy);
    buf_deinit(&run.scratch);
    buf_deinit(&run.payload);
}

TEST(a_stream_is_as_its_model_after_any_operations)
{
    run_steps(false, 12000);
}

TEST(when_memory_runs_out_what_was_not_consumed_has_changed_nothing)
{
    run_steps(true, 12000);
}

/* -- Bytes from disk --------------------------------------------------------------------------- */

/* A stream with entries, groups, consumers and pending ones. */
static struct value make(struct model *model, struct run *run, unsigned steps)
{
    struct value value = value_empty(VALUE_STREAM);
    *model = (struct model){.there = false};
    for (unsigned i = 0; i < steps; i++) {
        step(&value, model, run);
    }
    return value;
}

static void end(struct value *value, struct run *run)
{
    value_free(value);
    buf_deinit(&run->scratch);
    buf_deinit(&run->payload);
}

TEST(no_encoding_that_is_cut_or_damaged_is_taken_for_a_stream_that_is_not_sound)
{
    static struct model model;
    struct run run = {.state = test_seed()};
    struct value value = make(&model, &run, 400);
    struct buf encoded = BUF_EMPTY;
    EXPECT(value_encode(&value, &encoded) == ST_OK);
    struct value decoded;
    for (size_t size = 0; size < encoded.size; size++) {
        EXPECT(value_decode(bytes_of(encoded.data, size), &limits, &run.scratch, &decoded) ==
               ST_CORRUPT);
    }
    for (unsigned i = 0; i < 20000; i++) {
        size_t at = (size_t)test_random_below(&run.state, encoded.size - 1) + 1;
        unsigned char before = encoded.data[at];
        encoded.data[at] ^= (unsigned char)(1 << test_random_below(&run.state, 8));
        enum status status = value_decode(buf_bytes(&encoded), &limits, &run.scratch, &decoded);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        if (status == ST_OK) {
            run.payload.size = 0;
            EXPECT(stream_check(&decoded));
            EXPECT(value_encode(&decoded, &run.payload) == ST_OK);
            EXPECT(bytes_equal(buf_bytes(&run.payload), buf_bytes(&encoded)));
            value_free(&decoded);
        }
        encoded.data[at] = before;
    }
    buf_deinit(&encoded);
    end(&value, &run);
}

TEST(a_decoding_without_memory_leaves_nothing_behind)
{
    static struct model model;
    struct run run = {.state = test_seed()};
    struct value value = make(&model, &run, 800);
    struct buf encoded = BUF_EMPTY;
    EXPECT(value_encode(&value, &encoded) == ST_OK);
    enum status status = ST_NOMEM;
    for (uint64_t nth = 1; status == ST_NOMEM; nth++) {
        struct value decoded = {.type = VALUE_NONE};
        struct value copy = {.type = VALUE_NONE};
        part_test_fail_from(nth);
        status = value_copy(&value, &run.scratch, &copy);
        part_test_fail_from(nth);
        enum status second = value_decode(buf_bytes(&encoded), &limits, &run.scratch, &decoded);
        part_test_fail_from(0);
        EXPECT(second == ST_OK || second == ST_NOMEM);
        if (status == ST_OK) {
            expect_same(&copy, &model);
            value_free(&copy);
        }
        if (second == ST_OK) {
            expect_same(&decoded, &model);
            value_free(&decoded);
        } else {
            status = ST_NOMEM;
        }
    }
    expect_same(&value, &model);
    buf_deinit(&encoded);
    end(&value, &run);
}

TEST(payloads_that_nobody_wrote_end_in_corrupt_or_in_a_sound_stream)
{
    static struct model model;
    struct run run = {.state = test_seed()};
    struct value value = make(&model, &run, 600);
    for (unsigned i = 0; i < 30000; i++) {
        unsigned op = STREAM_ADD + (unsigned)test_random_below(&run.state, 16);
        struct value copy;
        struct value_change change;
        unsigned wanted = op > STREAM_CLAIM ? STREAM_ACK : op;
        run.payload.size = 0;
        run.scratch.size = 0;
        if (!(wanted <= STREAM_SETID ? step_entries(&run, &model, wanted)
                                     : step_group(&run, &model, wanted)) ||
            run.payload.size == 0) {
            continue;
        }
        size_t at = (size_t)test_random_below(&run.state, run.payload.size);
        run.payload.data[at] = (unsigned char)test_random(&run.state);
        size_t size = test_random_below(&run.state, 2) == 0 ? run.payload.size : at;
        EXPECT(value_copy(&value, &run.scratch, &copy) == ST_OK);
        enum status status = value_apply(&copy, op, bytes_of(run.payload.data, size), &limits,
                                         &run.scratch, &change);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        EXPECT(op <= STREAM_CLAIM || status == ST_CORRUPT);
        EXPECT(stream_check(&copy));
        value_free(&copy);
    }
    end(&value, &run);
}

TEST(what_needs_a_stream_is_corrupt_without_one)
{
    struct buf scratch = BUF_EMPTY;
    for (unsigned op = STREAM_DELETE; op <= STREAM_CLAIM; op++) {
        struct value value = value_empty(VALUE_STREAM);
        struct value_change change;
        EXPECT_INT(value_apply(&value, op, BYTES_NONE, &limits, &scratch, &change), ST_CORRUPT);
        EXPECT_INT(value.shape, VALUE_PACKED);
    }
    buf_deinit(&scratch);
}

/* -- Nodes ------------------------------------------------------------------------------------- */

static struct value make_plain(unsigned count, struct run *run)
{
    struct value value = value_empty(VALUE_STREAM);
    for (unsigned i = 1; i <= count; i++) {
        struct value_change change;
        run->payload.size = 0;
        put_id(&run->payload, (struct stream_id){i, 0});
        put_varint(&run->payload, 1);
        put_text(&run->payload, "f");
        put_text(&run->payload, "v");
        EXPECT(value_apply(&value, STREAM_ADD, buf_bytes(&run->payload), &limits, &run->scratch,
                           &change) == ST_OK);
    }
    return value;
}

TEST(nodes_hold_a_hundred_entries_and_approximate_trimming_takes_whole_ones)
{
    struct run run = {.state = 1};
    struct value value = make_plain(950, &run);
    EXPECT_INT(stream_summary(&value).nodes, 10);
    static const struct {
        struct stream_trim trim;
        uint64_t count;
    } rows[] = {
        {{.whole = true, .length = 200}, 700},
        {{.whole = true, .length = 250}, 700},
        {{.whole = true, .length = 251}, 600},
        {{.whole = true, .length = 200, .limit = 350}, 300},
        {{.length = 200}, 750},
        {{.length = 951}, 0},
        {{.whole = true, .length = 0}, 950},
        {{.by_id = true, .whole = true, .id = {350, 0}}, 300},
        {{.by_id = true, .whole = true, .id = {301, 0}}, 300},
        {{.by_id = true, .whole = true, .id = {300, 0}}, 200},
        {{.by_id = true, .id = {350, 1}}, 350},
        {{.by_id = true, .whole = true, .id = {5000, 0}}, 950},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t count;
        bool keep;
        EXPECT(stream_trim_count(&value, &rows[i].trim, &count, &keep) == ST_OK);
        EXPECT_INT(count, rows[i].count);
        EXPECT(!keep);
    }
    end(&value, &run);
}

TEST(entries_of_a_few_short_fields_take_few_bytes)
{
    struct run run = {.state = 1};
    const unsigned count = 20000;
    struct value value = make_plain(count, &run);
    EXPECT(value_memory(&value) / count < 10);
    end(&value, &run);
}
