/* Replay of every type: whatever a store held when it was closed, or given up without a word, it
 * holds when it is opened again, with other shards, other limits and other threads. */
#include "engine/basin.h"
#include "tests/lib/census.h"
#include "tests/lib/chores.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHORES 1500 /* A life. */

struct life {
    struct basin *basin;
    struct session session;
    struct bytes keys[CHORES_KEYS];
    uint64_t chance;
    unsigned growth;
    bool misses;
};

static enum status life_begin(struct life *life)
{
    struct basin_options options = basin_options_default();
    options.dir = test_dir();
    options.segment_size = 64 << 10;
    options.shards = 1u << test_random_below(&life->chance, 7);
    options.replay_threads = 1 + (unsigned)test_random_below(&life->chance, 3);
    options.simulate_misses = life->misses;
    options.settle_log = life->misses ? 4096 : options.settle_log;
    options.limits = chores_limits(&life->chance, options.limits);
    enum status status = basin_open(&options, &life->basin);
    if (status == ST_OK) {
        session_open(&life->session, life->basin);
        chores_keys(life->keys);
    }
    return status;
}

static void life_end(struct life *life)
{
    session_close(&life->session);
    basin_close(life->basin);
}

/* -- What was met -------------------------------------------------------------------------------
 */

struct met {
    uint64_t packed[VALUE_TYPES], clast[VALUE_TYPES], largest[VALUE_TYPES];
    uint64_t timed_fields, pending, none;
};

static enum status meet(struct txn *txn, void *ctx)
{
    struct met *met = ctx;
    for (unsigned i = 0; i < CHORES_KEYS; i++) {
        struct value value;
        enum status status = txn_read(txn, i, &value);
        if (status != ST_OK) {
            return status;
        }
        uint64_t memory = value_memory(&value);
        met->none += value.type == VALUE_NONE;
        met->packed[value.type] += value.shape == VALUE_PACKED;
        met->clast[value.type] += value.shape == VALUE_CLAST;
        met->largest[value.type] =
            memory > met->largest[value.type] ? memory : met->largest[value.type];
        met->timed_fields += value.type == VALUE_HASH && fields_earliest(&value) != FIELDS_NEVER;
        if (value.type == VALUE_STREAM && stream_summary(&value).groups > 0) {
            met->pending += stream_group_view(stream_group_at(&value, 0)).pending;
        }
    }
    return ST_OK;
}

static enum status live(struct life *life, struct met *met)
{
    enum status status = ST_OK;
    for (unsigned i = 0; i < CHORES && status == ST_OK; i++) {
        status = chore_issue(&life->session, &life->chance, life->growth);
        if (status == ST_OK && i % 50 == 0) {
            status = session_run(&life->session, 0, life->keys, CHORES_KEYS, false, 0, meet, met);
        }
    }
    return status;
}

/* -- What a life leaves behind: its census, in a file ------------------------------------------ */

static const char *census_path(void)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/census", test_dir());
    return path;
}

static bool census_keep(struct life *life)
{
    struct buf census = BUF_EMPTY;
    bool good = census_take(&life->session, life->keys, CHORES_KEYS, &census) == ST_OK;
    FILE *file = good ? fopen(census_path(), "wb") : NULL;
    good = file != NULL && fwrite(census.data, 1, census.size, file) == census.size;
    good = (file == NULL || fclose(file) == 0) && good;
    buf_deinit(&census);
    return good;
}

static bool census_same(struct life *life)
{
    struct buf kept = BUF_EMPTY;
    struct buf now = BUF_EMPTY;
    FILE *file = fopen(census_path(), "rb");
    bool good = file != NULL;
    for (size_t got = 1; good && got > 0;) {
        char block[4096];
        got = fread(block, 1, sizeof(block), file);
        good = buf_append(&kept, bytes_of(block, got)) == ST_OK;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    good = good && census_take(&life->session, life->keys, CHORES_KEYS, &now) == ST_OK;
    if (good && !bytes_equal(buf_bytes(&kept), buf_bytes(&now))) {
        census_differ(buf_bytes(&kept), buf_bytes(&now));
        good = false;
    }
    buf_deinit(&kept);
    buf_deinit(&now);
    return good;
}

/* A process of its own opens the store, works, and ends without closing it. */
static bool live_and_vanish(struct life life)
{
    struct met met = {.pending = 0};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        bool good = life_begin(&life) == ST_OK && census_same(&life) &&
                    live(&life, &met) == ST_OK && census_keep(&life) &&
                    basin_sync(life.basin) == ST_OK;
        fflush(stdout);
        _exit(good ? 0 : 1);
    }
    int how = -1;
    return child > 0 && waitpid(child, &how, 0) == child && how == 0;
}

static void store_lives(unsigned lives, unsigned growth, bool misses, struct met *met)
{
    struct life life = {.chance = test_seed(), .growth = growth, .misses = misses};
    for (unsigned i = 0; i < lives; i++) {
        life.chance = test_seed() * 1000 + growth * 10 + i;
        EXPECT_INT(life_begin(&life), ST_OK);
        EXPECT(i == 0 || census_same(&life));
        EXPECT_INT(live(&life, met), ST_OK);
        EXPECT(census_keep(&life));
        life_end(&life);
        life.chance += 500;
        EXPECT(live_and_vanish(life));
    }
    EXPECT_INT(life_begin(&life), ST_OK);
    EXPECT(census_same(&life));
    life_end(&life);
}

TEST(values_of_all_types_are_the_same_after_each_restart_whatever_shards_and_limits_it_has)
{
    struct met met = {.pending = 0};
    store_lives(4, 2, false, &met);
    store_lives(4, 20, false, &met);
    /* Or else this would say little. */
    EXPECT(met.none > 0 && met.timed_fields > 0 && met.pending > 0);
    for (unsigned type = VALUE_STRING; type < VALUE_TYPES; type++) {
        EXPECT(type == VALUE_STREAM || met.packed[type] > 0);
        EXPECT(met.clast[type] > 0 && met.largest[type] > 9000); /* Several leaves. */
    }
}

TEST(transactions_on_all_types_that_miss_and_run_again_leave_what_replay_brings_back)
{
    struct met met = {.pending = 0};
    store_lives(1, 8, true, &met);
}
