/* The lives of fields in a store, under a clock that the test holds. */
#include "engine/basin.h"
#include "tests/lib/session.h"
#include "tests/lib/test.h"

#include <stdio.h>

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

static struct basin *open_store(const char *dir, int64_t entries_max)
{
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.segment_size = 1 << 20;
    options.limits.hash_max_listpack_entries = entries_max;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    return basin;
}

/* -- Steps of a txn ------------------------------------------------------------------------------
 */

struct work {
    const char *field, *value;
    int64_t expiry_ms;
    uint64_t count;
    bool found;
};

static enum status set_field(struct txn *txn, void *ctx)
{
    struct work *work = ctx;
    struct bytes pair[2] = {bytes_of_text(work->field), bytes_of_text(work->value)};
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    return status == ST_OK ? txn_hash_set(txn, 0, pair, 1, work->expiry_ms, &work->count) : status;
}

static enum status remove_field(struct txn *txn, void *ctx)
{
    struct work *work = ctx;
    struct bytes field = bytes_of_text(work->field);
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    work->count = 0;
    return status == ST_OK && value.type != VALUE_NONE
               ? txn_hash_remove(txn, 0, &field, 1, &work->count)
               : status;
}

static enum status find_field(struct txn *txn, void *ctx)
{
    struct work *work = ctx;
    struct value value;
    struct field_item item = {.expiry_ms = FIELDS_NO_EXPIRY};
    enum status status = txn_read(txn, 0, &value);
    work->found = false;
    if (status == ST_OK && value.type == VALUE_HASH) {
        status =
            fields_find(&value, bytes_of_text(work->field), txn_now_ms(txn), &item, &work->found);
    }
    work->expiry_ms = item.expiry_ms;
    return status;
}

static enum status count_stored(struct txn *txn, void *ctx)
{
    struct work *work = ctx;
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    work->found = status == ST_OK && value.type == VALUE_HASH;
    work->count = work->found ? fields_count(&value) : 0;
    return status;
}

static void run(struct session *session, const char *key, session_fn fn, struct work *work)
{
    struct bytes name = bytes_of_text(key);
    EXPECT_INT(session_run(session, 0, &name, 1, false, 1024, fn, work), ST_OK);
}

static uint64_t set(struct session *session, const char *key, const char *field, int64_t expiry_ms)
{
    struct work work = {.field = field, .value = "value", .expiry_ms = expiry_ms};
    run(session, key, set_field, &work);
    return work.count;
}

static uint64_t removed(struct session *session, const char *key, const char *field)
{
    struct work work = {.field = field};
    run(session, key, remove_field, &work);
    return work.count;
}

static bool has(struct session *session, const char *key, const char *field)
{
    struct work work = {.field = field};
    run(session, key, find_field, &work);
    return work.found;
}

/* Fields that lie there, whether or not their time has come. */
static uint64_t stored(struct session *session, const char *key)
{
    struct work work = {.count = 0};
    run(session, key, count_stored, &work);
    return work.count;
}

static void tick(struct session *session, uint64_t now_ms)
{
    while (basin_tick(session->basin, session->txn, 0, 1, now_ms, 1000)) {
    }
}

static uint64_t keys_of(struct basin *basin)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.keys;
}

struct world {
    const char *dir;
    int64_t entries_max;
    struct basin *basin;
    struct session session;
};

static struct session *begin(struct world *world, int64_t entries_max)
{
    world->dir = test_dir();
    world->entries_max = entries_max;
    world->basin = open_store(world->dir, entries_max);
    session_open(&world->session, world->basin);
    world->session.now_ms = 1000;
    static const char *const keys[] = {"h", "other", "stays"}; /* Of the shape before. */
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        (void)session_delete(&world->session, keys[i]);
    }
    return &world->session;
}

static void end(struct world *world)
{
    session_close(&world->session);
    basin_close(world->basin);
}

static void restart(struct world *world)
{
    uint64_t now_ms = world->session.now_ms;
    end(world);
    world->basin = open_store(world->dir, world->entries_max);
    session_open(&world->session, world->basin);
    world->session.now_ms = now_ms;
}

/* Both shapes of a hash: a limit of 512 fields, and of none. */
#define FOR_BOTH_SHAPES(entries_max)                                                               \
    for (int64_t entries_max = 512; entries_max >= 0; entries_max -= 512)

/* -- Sentences -----------------------------------------------------------------------------------
 */

TEST(a_field_is_absent_from_its_time_on_and_removed_by_the_next_write)
{
    FOR_BOTH_SHAPES(entries_max)
    {
        struct world world;
        struct session *s = begin(&world, entries_max);
        EXPECT_INT(set(s, "h", "a", 2000), 1);
        EXPECT_INT(set(s, "h", "b", 3000), 1);
        EXPECT_INT(set(s, "h", "c", BASIN_NO_EXPIRY), 1);
        s->now_ms = 1999;
        EXPECT(has(s, "h", "a"));
        s->now_ms = 2000;
        EXPECT(!has(s, "h", "a") && has(s, "h", "b") && has(s, "h", "c"));
        EXPECT_INT(stored(s, "h"), 3);
        EXPECT_INT(set(s, "h", "d", BASIN_NO_EXPIRY), 1);
        EXPECT_INT(stored(s, "h"), 3);
        EXPECT_INT(set(s, "h", "a", BASIN_NO_EXPIRY), 1); /* As new. */
        s->now_ms = 1500; /* An earlier clock brings nothing back. */
        restart(&world);
        s = &world.session;
        EXPECT(has(s, "h", "a") && has(s, "h", "b") && has(s, "h", "d"));
        EXPECT_INT(stored(s, "h"), 4);
        end(&world);
    }
}

/* W2: the group's marks are right when its last record was dropped. */
TEST(a_write_that_only_cleared_what_was_due_replays)
{
    FOR_BOTH_SHAPES(entries_max)
    {
        struct world world;
        struct session *s = begin(&world, entries_max);
        for (int i = 0; i < 60; i++) { /* More than is logged as it is. */
            char field[32];
            snprintf(field, sizeof(field), "a field, number %d", i);
            set(s, "h", field, i < 5 ? 2000 : BASIN_NO_EXPIRY);
        }
        s->now_ms = 2000;
        EXPECT_INT(removed(s, "h", "none"), 0);
        EXPECT_INT(stored(s, "h"), 55);
        EXPECT_INT(removed(s, "h", "a field, number 3"), 0);
        set(s, "other", "a", BASIN_NO_EXPIRY);
        restart(&world);
        s = &world.session;
        EXPECT_INT(stored(s, "h"), 55);
        EXPECT(has(s, "other", "a"));
        end(&world);
    }
}

TEST(fields_are_removed_in_the_background_when_their_time_has_come)
{
    FOR_BOTH_SHAPES(entries_max)
    {
        struct world world;
        struct session *s = begin(&world, entries_max);
        for (int i = 0; i < 300; i++) {
            char field[32];
            snprintf(field, sizeof(field), "f%d", i);
            set(s, "h", field, i % 3 == 0 ? BASIN_NO_EXPIRY : 2000 + i);
        }
        tick(s, 1999);
        EXPECT_INT(stored(s, "h"), 300);
        for (int i = 0; i < 300; i += 30) {
            tick(s, 2000 + (uint64_t)i);
            uint64_t due = 0;
            for (int j = 0; j <= i; j++) {
                due += j % 3 != 0;
            }
            EXPECT_INT(stored(s, "h"), 300 - due);
        }
        s->now_ms = 2299;
        restart(&world);
        s = &world.session;
        EXPECT_INT(stored(s, "h"), 100 + 20); /* The log has the deletions, and no others. */
        tick(s, 5000);                        /* Replay has told the heap of the rest. */
        EXPECT_INT(stored(s, "h"), 100);
        end(&world);
    }
}

TEST(a_hash_goes_with_its_last_field_in_the_background_and_in_the_log)
{
    FOR_BOTH_SHAPES(entries_max)
    {
        struct world world;
        struct session *s = begin(&world, entries_max);
        set(s, "h", "a", 2000);
        set(s, "h", "b", 2500);
        set(s, "stays", "a", BASIN_NO_EXPIRY);
        s->now_ms = 2500;
        EXPECT(!has(s, "h", "b"));
        EXPECT_INT(stored(s, "h"), 0); /* Absent as a whole. */
        tick(s, 2400);
        EXPECT_INT(keys_of(world.basin), 2);
        tick(s, 2500);
        EXPECT_INT(keys_of(world.basin), 1);
        restart(&world);
        EXPECT_INT(keys_of(world.basin), 1);
        end(&world);
    }
}

TEST(a_change_of_a_hash_that_is_gone_starts_from_nothing)
{
    FOR_BOTH_SHAPES(entries_max)
    {
        struct world world;
        struct session *s = begin(&world, entries_max);
        set(s, "h", "a", 2000);
        s->now_ms = 2000;
        EXPECT_INT(removed(s, "h", "a"), 0);
        EXPECT_INT(set(s, "h", "b", BASIN_KEEP_EXPIRY), 1);
        EXPECT_INT(stored(s, "h"), 1);
        restart(&world);
        EXPECT_INT(stored(&world.session, "h"), 1);
        end(&world);
    }
}

/* A time that is put off leaves a row behind in the heap; they must not gather. */
TEST(times_that_are_changed_again_and_again_are_kept_and_cost_no_memory)
{
    struct world world;
    struct session *s = begin(&world, 512);
    const int rounds = STEPS(20000, 4000);
    for (int i = 0; i < rounds; i++) {
        set(s, "h", "a", 100000 + i);
        set(s, "h", "b", 900000);
        if (i % 500 == 0) {
            tick(s, 1000);
        }
    }
    tick(s, 100000 + (uint64_t)rounds - 2);
    EXPECT_INT(stored(s, "h"), 2);
    tick(s, 100000 + (uint64_t)rounds - 1);
    EXPECT_INT(stored(s, "h"), 1);
    tick(s, 900000);
    EXPECT_INT(keys_of(world.basin), 0);
    end(&world);
}

/* Thousands that are due at one moment go in slices, and a write meets only some of them. */
TEST(many_fields_of_one_time_are_all_removed)
{
    struct world world;
    struct session *s = begin(&world, 512);
    const int count = STEPS(5000, 2000);
    char field[32];
    for (int i = 0; i < count; i++) {
        snprintf(field, sizeof(field), "f%d", i);
        set(s, "h", field, 2000);
    }
    set(s, "h", "stays", BASIN_NO_EXPIRY);
    s->now_ms = 2000;
    snprintf(field, sizeof(field), "f%d", count - 1);
    EXPECT_INT(set(s, "h", field, BASIN_NO_EXPIRY), 1);
    EXPECT(stored(s, "h") > 1000);
    tick(s, 2000);
    EXPECT_INT(stored(s, "h"), 2);
    EXPECT(has(s, "h", field) && has(s, "h", "stays"));
    restart(&world);
    EXPECT_INT(stored(&world.session, "h"), 2);
    end(&world);
}
