/* Settling, merging, and what is read back, through the engine's own door and on a simulated disk.
 * The model test (tests/model) does the same at random. */
#include "engine/txn/store.h"

#include "tests/lib/cellar.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *key_of(unsigned number)
{
    static char key[32];
    snprintf(key, sizeof(key), "key:%u", number);
    return key;
}

static void set(unsigned number, const char *text)
{
    EXPECT_INT(session_set(&session, key_of(number), bytes_of_text(text)), ST_OK);
}

static void expect(unsigned number, const char *text)
{
    struct buf value = BUF_EMPTY;
    enum status status = session_get(&session, key_of(number), &value);
    EXPECT_INT(status, text == NULL ? ST_ABSENT : ST_OK);
    EXPECT(text == NULL || bytes_equal(buf_bytes(&value), bytes_of_text(text)));
    buf_deinit(&value);
}

static enum status size_fn(struct txn *txn, void *ctx)
{
    return txn_database_size(txn, 0, ctx);
}

static uint64_t size(void)
{
    uint64_t count = 0;
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 0, size_fn, &count), ST_OK);
    return count;
}

TEST(what_was_settled_is_read_back_after_it_left_memory)
{
    cellar_begin();
    for (unsigned i = 0; i < 500; i++) {
        set(i, key_of(i));
    }
    cellar_settle();
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    uint64_t loads = stats.loads;
    for (unsigned i = 0; i < 500; i++) {
        expect(i, key_of(i));
    }
    basin_get_stats(basin, &stats);
    EXPECT_INT(stats.loads - loads, 500);
    expect(501, NULL);
    EXPECT_INT(size(), 500);
    cellar_end();
}

/* S4: the log before the round is not replayed, and what came after it is, on top. */
TEST(a_start_goes_on_from_the_last_round)
{
    cellar_begin();
    set(1, "settled");
    set(2, "settled");
    cellar_settle();
    uint64_t settled = basin_end(basin);
    set(2, "later");
    EXPECT_INT(session_delete(&session, key_of(1)), ST_OK);
    set(3, "new");
    cellar_power_cut();
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    EXPECT_INT(stats.start_lsn, settled);
    EXPECT_INT(stats.replayed_records, 3);
    expect(1, NULL);
    expect(2, "later");
    expect(3, "new");
    EXPECT_INT(size(), 2);
    cellar_end();
}

static enum status set_all(struct txn *txn, void *ctx)
{
    const unsigned *count = ctx;
    enum status status = ST_OK;
    for (unsigned i = 0; i < *count && status == ST_OK; i++) {
        status = txn_text_set(txn, i, bytes_of_text("together"), BASIN_NO_EXPIRY);
    }
    return status;
}

/* S4: in strata from before a crash and from after it the same effect has the same LSN. */
TEST(keys_of_one_group_have_the_lsn_of_its_end_after_a_replay_too)
{
    char names[8][32];
    struct bytes keys[8];
    unsigned count = 8;
    for (unsigned i = 0; i < count; i++) {
        keys[i] = bytes_of_text(strcpy(names[i], key_of(i)));
    }
    for (unsigned replayed = 0; replayed < 2; replayed++) {
        struct basin_stratum *strata = NULL;
        size_t strata_count = 0;
        cellar_begin();
        set(0, "alone");
        EXPECT_INT(session_run(&session, 0, keys, count, false, 4096, set_all, &count), ST_OK);
        EXPECT_INT(session_delete(&session, "none"), ST_OK);
        uint64_t end_lsn = basin_end(basin);
        if (replayed) {
            cellar_power_cut();
        }
        cellar_settle();
        EXPECT_INT(basin_get_strata(basin, &strata, &strata_count), ST_OK);
        EXPECT_INT(strata_count, 1);
        EXPECT_INT(strata[0].grains, count);
        EXPECT_INT(strata[0].least_lsn, end_lsn);
        EXPECT_INT(strata[0].greatest_lsn, end_lsn);
        free(strata);
        cellar_end();
    }
}

TEST(a_deleted_key_stays_deleted_and_its_space_comes_back)
{
    cellar_begin();
    for (unsigned i = 0; i < 300; i++) {
        set(i, "x");
    }
    cellar_settle();
    for (unsigned i = 0; i < 300; i++) {
        EXPECT_INT(session_delete(&session, key_of(i)), ST_OK);
    }
    cellar_settle();
    EXPECT_INT(size(), 0);
    expect(7, NULL);
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT_INT(basin->manifest.run_count, 0);
    EXPECT_INT(basin->manifest.stratum_count, 0);
    cellar_power_cut();
    expect(7, NULL);
    EXPECT_INT(size(), 0);
    cellar_end();
}

/* Keys that are written without a look whether they are there count once. */
TEST(the_number_of_keys_is_exact_after_blind_writes_and_deletions)
{
    cellar_begin();
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = round * 20; i < 100 + round * 20; i++) {
            set(i, key_of(round));
        }
        cellar_settle();
        EXPECT_INT(size(), 100 + round * 20);
        if (round % 2 == 1) {
            cellar_power_cut();
            EXPECT_INT(size(), 100 + round * 20);
        }
    }
    cellar_end();
}

TEST(merging_keeps_the_newest_of_each_key_and_throws_the_rest_away)
{
    cellar_begin();
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 200; i++) {
            char text[64];
            snprintf(text, sizeof(text), "round %u of key %u, with some more bytes", round, i);
            set(i, text);
        }
        cellar_settle();
    }
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT_INT(basin_compact(basin), ST_OK); /* The first found out which strata are dead. */
    uint64_t live = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < basin->manifest.stratum_count; i++) {
        live += basin->manifest.strata[i].live;
        bytes += basin->manifest.strata[i].grains_end - 4096;
    }
    EXPECT(live > 0 && bytes * 100 <= live * 115);
    for (unsigned i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof(text), "round 9 of key %u, with some more bytes", i);
        expect(i, text);
    }
    cellar_end();
}

static enum status expire_fn(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    return status == ST_OK ? txn_expire(txn, 0, *(int64_t *)ctx) : status;
}

TEST(keys_that_expire_on_disk_are_purged_by_a_merge)
{
    cellar_begin();
    int64_t at_ms = (int64_t)session.now_ms + 1000;
    for (unsigned i = 0; i < 100; i++) {
        set(i, "brief");
        struct bytes key = bytes_of_text(key_of(i));
        if (i % 2 == 0) {
            EXPECT_INT(session_run(&session, 0, &key, 1, false, 64, expire_fn, &at_ms), ST_OK);
        }
    }
    cellar_settle();
    sim_disk_advance(disk, 100ull * 1000 * 1000);
    session.now_ms += 100 * 1000;
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT_INT(atomic_load(&basin->purged_keys), 50);
    EXPECT_INT(size(), 50);
    expect(0, NULL);
    expect(1, "brief");
    cellar_power_cut();
    EXPECT_INT(size(), 50);
    expect(0, NULL);
    expect(99, "brief");
    cellar_end();
}

static enum status flush_fn(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_all(txn);
}

TEST(flushall_drops_all_files_with_the_next_round)
{
    cellar_begin();
    for (unsigned i = 0; i < 100; i++) {
        set(i, "x");
    }
    cellar_settle();
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 1024, flush_fn, NULL), ST_OK);
    set(5, "after");
    cellar_settle();
    EXPECT_INT(basin->manifest.stratum_count, 1);
    EXPECT_INT(basin->strata.count, 1);
    expect(5, "after");
    expect(6, NULL);
    EXPECT_INT(size(), 1);
    cellar_power_cut();
    expect(5, "after");
    EXPECT_INT(size(), 1);
    cellar_end();
}

/* S3 */
TEST(a_damaged_grain_is_an_error_and_the_rest_lives_on)
{
    cellar_begin();
    for (unsigned i = 0; i < 50; i++) {
        set(i, "a value of some length that can be damaged");
    }
    cellar_settle();
    char path[64];
    snprintf(path, sizeof(path), CELLAR_DIR "/strata/%08x.stratum", basin->manifest.strata[0].id);
    sim_disk_corrupt(disk, path, 4096 + 60, 1);
    unsigned damaged = 0;
    for (unsigned i = 0; i < 50; i++) {
        struct buf value = BUF_EMPTY;
        enum status status = session_get(&session, key_of(i), &value);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        EXPECT(status != ST_OK ||
               bytes_equal(buf_bytes(&value),
                           bytes_of_text("a value of some length that can be damaged")));
        damaged += status == ST_CORRUPT;
        buf_deinit(&value);
    }
    EXPECT_INT(damaged, 1);
    cellar_end();
}

/* -- Expired keys -------------------------------------------------------------------------------
 */

static enum status set_expiring(struct txn *txn, void *ctx)
{
    const int64_t *expiry_ms = ctx;
    return txn_text_set(txn, 0, bytes_of_text("expires"), *expiry_ms);
}

static void pass_time(uint64_t ms)
{
    sim_disk_advance(disk, ms * 1000);
    session.now_ms = io_wall_ms(sim_disk_io(disk));
}

/* A key from `number` on that no sample of a merge has: those behind are merged in one range. */
static unsigned key_behind_sample(unsigned number)
{
    while (hash_partition(hash_key(&basin->secret, basin->namespaces[0],
                                   bytes_of_text(key_of(number)))) < 64) {
        number++;
    }
    return number;
}

struct meeting {
    unsigned calls, key;
    bool deletes;
};

/* Somebody meets the key, and writes it anew. The first call is for the beginning of the file; at
 * the second all rows have been taken. */
static void write_once(void *ctx)
{
    struct meeting *meeting = ctx;
    if (++meeting->calls == 2) {
        expect(meeting->key, NULL);
        set(meeting->key, "again");
        if (meeting->deletes) {
            EXPECT_INT(session_delete(&session, key_of(meeting->key)), ST_OK);
        }
    }
}

TEST(a_key_that_is_thrown_away_when_it_has_expired_is_counted_though_somebody_writes_it_meanwhile)
{
    for (unsigned deleted = 0; deleted < 2; deleted++) {
        cellar_begin();
        struct meeting meeting = {.key = key_behind_sample(0), .deletes = deleted != 0};
        const char *text = deleted ? NULL : "again";
        uint64_t count = deleted ? 1 : 2;
        char name[32];
        struct bytes key = bytes_of_text(strcpy(name, key_of(meeting.key)));
        int64_t expiry_ms = (int64_t)session.now_ms + 1000;
        EXPECT_INT(session_run(&session, 0, &key, 1, false, 4096, set_expiring, &expiry_ms), ST_OK);
        set(key_behind_sample(meeting.key + 1), "stays");
        cellar_settle();
        pass_time(100000);
        sim_disk_set_meanwhile(disk, "/strata/", write_once, &meeting);
        EXPECT_INT(basin_compact(basin), ST_OK);
        sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
        EXPECT(meeting.calls >= 2);
        struct basin_stats stats;
        basin_get_stats(basin, &stats);
        EXPECT_INT(stats.storage.purged_keys, 1);
        expect(meeting.key, text);
        EXPECT_INT(size(), count);
        cellar_power_cut();
        expect(meeting.key, text);
        EXPECT_INT(size(), count);
        cellar_end();
    }
}
