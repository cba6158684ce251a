/* Changes that could find half way that a part is absent: they have not begun. */
#include "engine/value/root.h"

#include "engine/base/check.h"
#include "engine/value/stream_private.h"
#include "tests/lib/deed.h"
#include "tests/lib/fields_payload.h"
#include "tests/lib/shelf.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"

#include <stdio.h>

/* -- Waiting half way -------------------------------------------------------------------------- */

/* Where inner nodes cannot tell elements apart, each search looks at a few leaves by halves; and at
 * others once a leaf has been split. So a change may find all that it asked for in the beginning,
 * and yet meet an absent part later: then it must not have begun. */
#define ALIKE 20000
#define ALIKE_BATCH_MAX 24
#define ALIKE_ROUNDS 60
#define SPACING 2000 /* Room for those that come. */

static void put(struct buf *payload, const void *data, size_t size)
{
    EXPECT(buf_append(payload, bytes_of(data, size)) == ST_OK);
}

static void put_member(struct buf *payload, uint64_t number)
{
    char room[64];
    double score = 1;
    int size = snprintf(room, sizeof(room), "they begin alike: %08llu", (unsigned long long)number);
    put(payload, &score, sizeof(score));
    payload_varint(payload, (uint64_t)size);
    put(payload, room, (size_t)size);
}

static void put_pending(struct buf *payload, uint64_t number)
{
    uint64_t row[4] = {1, number, 5, 1}; /* One millisecond. */
    put(payload, row, sizeof(row));
}

static void begin_members(struct buf *payload)
{
    payload->size = 0;
    put(payload, "", 1);
}

static void begin_pending(struct buf *payload)
{
    uint64_t head[3] = {1000, 0, 0};
    payload->size = 0;
    put(payload, "\1g\1c", 4);
    put(payload, head, sizeof(head));
}

struct alike {
    enum value_type type;
    unsigned op;
    uint64_t batch; /* Small enough that most leaves stay absent. */
    void (*begin)(struct buf *payload);
    void (*put)(struct buf *payload, uint64_t number);
};

static uint64_t alike_apply(const struct alike *alike, struct value *value, struct shelf *shelf,
                            struct bytes payload, uint64_t *waits)
{
    struct value_limits limits = deed_limits();
    struct buf scratch = BUF_EMPTY;
    struct value_change change;
    enum status status;
    (void)parts_take_misses(NULL, 0);
    while ((status = value_apply(value, alike->op, payload, &limits, &scratch, &change)) ==
           ST_WAIT) {
        EXPECT(!change.changed && change.count == 0 && change.consumed == 0);
        shelf_serve(shelf, value);
        ++*waits;
    }
    EXPECT_INT(status, ST_OK);
    buf_deinit(&scratch);
    return change.count;
}

static void run_alike(const struct alike *alike, struct value *value)
{
    uint64_t state = test_seed();
    uint64_t waits = 0;
    struct shelf shelf;
    struct buf payload = BUF_EMPTY;
    shelf_init(&shelf);
    alike->begin(&payload);
    for (uint64_t i = 0; i < ALIKE; i++) {
        alike->put(&payload, SPACING * i);
    }
    EXPECT_INT(alike_apply(alike, value, &shelf, buf_bytes(&payload), &waits), ALIKE);
    for (uint64_t round = 1; round <= ALIKE_ROUNDS; round++) {
        EXPECT(shelf_capture(&shelf, value, 0));
        shelf_write(&shelf, value);
        (void)value_evict_some(value, ALIKE);
        (void)value_evict_some(value, ALIKE);
        alike->begin(&payload);
        for (uint64_t i = 0; i < alike->batch; i++) {
            alike->put(&payload, SPACING * test_random_below(&state, ALIKE) +
                                     ALIKE_BATCH_MAX * round + (uint64_t)i);
        }
        EXPECT_INT(alike_apply(alike, value, &shelf, buf_bytes(&payload), &waits), alike->batch);
    }
    EXPECT(waits > ALIKE_ROUNDS);
    shelf_encode(&shelf, value, &payload);
    value_free(value);
    shelf_deinit(&shelf);
    buf_deinit(&payload);
}

TEST(root_of_a_sorted_set_waits_before_its_first_member_changes)
{
    struct alike alike = {VALUE_ZSET, ZSET_ADD, 24, begin_members, put_member};
    struct value zset = value_empty(VALUE_ZSET);
    struct value_limits limits = deed_limits();
    struct buf payload = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    struct value_change change;
    begin_members(&payload);
    for (uint64_t i = 0; i < 10; i++) {
        put_member(&payload, 1 + i); /* The lowest: leaves fill as the others come. */
    }
    EXPECT(value_apply(&zset, ZSET_ADD, buf_bytes(&payload), &limits, &scratch, &change) == ST_OK);
    EXPECT(zset.shape == VALUE_CLAST);
    run_alike(&alike, &zset);
    buf_deinit(&payload);
    buf_deinit(&scratch);
}

TEST(root_of_a_stream_waits_before_its_first_entry_is_claimed)
{
    struct alike alike = {VALUE_STREAM, STREAM_CLAIM, 6, begin_pending, put_pending};
    struct value stream = value_empty(VALUE_STREAM);
    struct value_limits limits = deed_limits();
    struct buf scratch = BUF_EMPTY;
    struct value_change change;
    unsigned char create[1 + 1 + 24] = {1, 'g'};
    EXPECT(value_apply(&stream, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), &limits,
                       &scratch, &change) == ST_OK);
    run_alike(&alike, &stream);
    buf_deinit(&scratch);
}

static void claim_all(struct value *stream, struct shelf *shelf, const char *consumer,
                      uint64_t from, uint64_t count)
{
    struct alike alike = {VALUE_STREAM, STREAM_CLAIM, 0, begin_pending, put_pending};
    struct buf payload = BUF_EMPTY;
    uint64_t waits = 0;
    begin_pending(&payload);
    payload.data[3] = (unsigned char)consumer[0];
    for (uint64_t i = 0; i < count; i++) {
        put_pending(&payload, from + i);
    }
    EXPECT_INT(alike_apply(&alike, stream, shelf, buf_bytes(&payload), &waits), count);
    buf_deinit(&payload);
}

/* What a group returns to: both trees, its consumers' times and counts, and without the one that is
 * new, wherever its name stands. */
TEST(root_of_a_stream_returns_to_the_group_that_was_kept)
{
    static const char *const fresh[] = {"a", "m", "z"};
    struct value_limits limits = deed_limits();
    struct value_change change;
    struct buf scratch = BUF_EMPTY;
    struct buf before = BUF_EMPTY;
    struct buf after = BUF_EMPTY;
    unsigned char create[1 + 1 + 24] = {1, 'g'};
    for (size_t i = 0; i < 3; i++) {
        struct value value = value_empty(VALUE_STREAM);
        struct shelf shelf;
        struct group_fallback fallback;
        shelf_init(&shelf);
        EXPECT(value_apply(&value, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), &limits,
                           &scratch, &change) == ST_OK);
        claim_all(&value, &shelf, "c", 0, 2000);
        claim_all(&value, &shelf, "k", 1000, 2000);
        shelf_encode(&shelf, &value, &before);
        EXPECT(shelf_capture(&shelf, &value, 0));
        shelf_write(&shelf, &value);
        shelf_reload(&shelf, &value, &limits);
        struct stream *stream = value.root;
        struct stream_group *group = stream->groups[0];
        EXPECT(group_keep(group, &fallback) == ST_OK && fallback.kept);
        uint64_t encoded = stream->groups_encoded;
        claim_all(&value, &shelf, "k", 500, 10);
        claim_all(&value, &shelf, fresh[i], 990, 20);
        group_keep_end(group, &fallback, true);
        stream->groups_encoded = encoded;
        groups_recount(stream);
        shelf_encode(&shelf, &value, &after);
        EXPECT(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
        EXPECT(shelf_capture(&shelf, &value, 0));
        shelf_write(&shelf, &value);
        shelf_reload(&shelf, &value, &limits);
        shelf_encode(&shelf, &value, &after);
        EXPECT(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
        struct value whole;
        (void)parts_take_misses(NULL, 0);
        while (value_copy(&value, &scratch, &whole) == ST_WAIT) {
            shelf_serve(&shelf, &value);
        }
        EXPECT(value_check(&value) && value_check(&whole));
        value_free(&whole);
        value_free(&value);
        shelf_deinit(&shelf);
    }
    buf_deinit(&scratch);
    buf_deinit(&before);
    buf_deinit(&after);
}
