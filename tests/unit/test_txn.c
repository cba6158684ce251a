#include "engine/basin.h"
#include "tests/lib/session.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdio.h>

static struct sim_disk *disk;
static struct basin *basin;
static struct session session;

static void open_on(struct sim_disk *on, uint64_t unflushed_max)
{
    disk = on;
    struct basin_options options = basin_options_default();
    options.dir = "store";
    options.io = sim_disk_io(disk);
    options.replay_threads = 1;
    options.segment_size = 256 << 10;
    options.unflushed_max = unflushed_max;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    session_open(&session, basin);
    session.pump = true;
}

static void open_simulated(void)
{
    open_on(sim_disk_new(test_seed()), 1 << 20);
}

static void close_simulated(void)
{
    session_close(&session);
    basin_close(basin);
    sim_disk_free(disk);
}

static uint64_t lsn_of_set(const char *key)
{
    EXPECT_INT(session_set(&session, key, bytes_of_text("v")), ST_OK);
    return session.wait_lsn;
}

static uint64_t lsn_of_get(const char *key)
{
    struct buf value = BUF_EMPTY;
    enum status status = session_get(&session, key, &value);
    EXPECT(status == ST_OK || status == ST_ABSENT);
    buf_deinit(&value);
    return session.wait_lsn;
}

static void make_durable(void)
{
    EXPECT_INT(basin_wait(basin, basin_end(basin)), ST_OK);
}

TEST(w1_a_write_waits_for_its_own_effect_and_a_read_for_the_effect_it_saw)
{
    open_simulated();
    uint64_t quiet = lsn_of_set("quiet");
    EXPECT(quiet > 0);
    make_durable();
    EXPECT_INT(lsn_of_get("quiet"), 0);
    sim_disk_hold(disk, true);
    uint64_t first = lsn_of_set("a");
    uint64_t second = lsn_of_set("b");
    EXPECT(quiet < first && first < second);
    EXPECT_INT(lsn_of_get("a"), first); /* Not more than what it saw. */
    EXPECT_INT(lsn_of_get("b"), second);
    EXPECT_INT(lsn_of_get("quiet"), 0);
    basin_flush(basin);
    sim_disk_hold(disk, false);
    make_durable();
    EXPECT_INT(lsn_of_get("a"), 0);
    close_simulated();
}

TEST(w1_a_read_of_an_absent_key_waits_for_the_effect_that_removed_it)
{
    open_simulated();
    lsn_of_set("a");
    lsn_of_set("b");
    make_durable();
    EXPECT_INT(session_delete(&session, "a"), ST_OK);
    uint64_t removed = session.wait_lsn;
    EXPECT(removed > 0);
    EXPECT_INT(lsn_of_get("a"), removed);
    EXPECT_INT(lsn_of_get("b"), 0);
    EXPECT_INT(lsn_of_get("never was"), 0);
    make_durable();
    EXPECT_INT(lsn_of_get("a"), 0);
    close_simulated();
}

static enum status flush(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_database(txn, 0);
}

static enum status size_of(struct txn *txn, void *ctx)
{
    return txn_database_size(txn, 0, ctx);
}

TEST(w1_what_speaks_of_the_whole_keyspace_waits_for_the_last_effect_of_all)
{
    open_simulated();
    uint64_t last = lsn_of_set("a");
    uint64_t size = 0;
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 0, size_of, &size), ST_OK);
    EXPECT_INT(size, 1);
    EXPECT_INT(session.wait_lsn, last);
    make_durable();
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, flush, NULL), ST_OK);
    uint64_t flushed = session.wait_lsn;
    EXPECT(flushed > last);
    EXPECT_INT(lsn_of_get("a"), flushed);
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 0, size_of, &size), ST_OK);
    EXPECT_INT(size, 0);
    EXPECT_INT(session.wait_lsn, flushed);
    close_simulated();
}

static enum status swap(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_swap_databases(txn, 0, 1);
}

TEST(w1_a_read_after_a_swap_of_databases_waits_for_the_swap)
{
    open_simulated();
    lsn_of_set("a");
    make_durable();
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    lsn_of_set("b");
    make_durable();
    EXPECT_INT(lsn_of_get("b"), 0);
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    uint64_t swapped = session.wait_lsn;
    EXPECT(swapped > 0);
    EXPECT_INT(lsn_of_get("a"), swapped); /* There, and old, but here only by the swap. */
    EXPECT_INT(lsn_of_get("b"), swapped);
    make_durable();
    EXPECT_INT(lsn_of_get("a"), 0);
    close_simulated();
}

TEST(w4_after_a_failed_flush_writes_are_refused_and_reads_go_on)
{
    open_simulated();
    lsn_of_set("a");
    make_durable();
    sim_disk_hold(disk, true);
    uint64_t lost = lsn_of_set("b");
    basin_flush(basin);
    sim_disk_hold(disk, false);
    sim_disk_fail_from(disk, 1, ST_IO);
    EXPECT_INT(session_set(&session, "c", bytes_of_text("v")), ST_OK); /* Not known yet. */
    basin_flush(basin);
    EXPECT_INT(basin_wait(basin, session.wait_lsn), ST_IO);
    EXPECT(basin_dead(basin));
    EXPECT(basin_durable(basin) < session.wait_lsn);
    EXPECT_INT(session_set(&session, "d", bytes_of_text("v")), ST_IO);
    EXPECT_INT(session_delete(&session, "a"), ST_IO);
    EXPECT_INT(lsn_of_get("a"), 0);
    EXPECT_INT(lsn_of_get("d"), 0);
    EXPECT(lsn_of_get("b") == 0 || lsn_of_get("b") == lost); /* Durable, or never to be shown. */
    EXPECT(lsn_of_get("c") > basin_durable(basin));
    close_simulated();
}

/* -- A txn that waits, by hand ------------------------------------------------------------------
 */

static void wake_count(void *ctx)
{
    (*(unsigned *)ctx)++;
}

TEST(w5_writes_wait_without_locks_while_too_much_is_unflushed_and_are_woken)
{
    open_on(sim_disk_new(test_seed()), 8192);
    sim_disk_hold(disk, true);
    unsigned woken = 0;
    struct txn *txn = NULL;
    EXPECT_INT(txn_new(basin, wake_count, &woken, &txn), ST_OK);
    enum status status = ST_OK;
    unsigned writes = 0;
    for (; writes < 1000; writes++) {
        txn_begin(txn, 1000, 1);
        EXPECT_INT(txn_plan(txn, 0, bytes_of_text("k")), ST_OK);
        status = txn_reserve(txn, 400);
        if (status != ST_OK) {
            break;
        }
        EXPECT_INT(txn_lock(txn), ST_OK);
        char text[256] = {0};
        EXPECT_INT(txn_text_set(txn, 0, bytes_of(text, sizeof(text)), BASIN_NO_EXPIRY), ST_OK);
        uint64_t lsn = 0;
        txn_end(txn, &lsn);
        basin_flush(basin);
    }
    EXPECT_INT(status, ST_WAIT);
    EXPECT(writes < 100);
    txn_retry(txn);
    EXPECT_INT(woken, 0);
    /* A reader is not held up: the waiting txn has no shard. */
    struct buf value = BUF_EMPTY;
    EXPECT_INT(session_get(&session, "k", &value), ST_OK);
    buf_deinit(&value);
    sim_disk_hold(disk, false);
    for (unsigned i = 0; i < 10 && woken == 0; i++) {
        basin_reap(basin);
    }
    EXPECT_INT(woken, 1);
    EXPECT_INT(txn_lock(txn), ST_OK); /* Has its reservation again. */
    EXPECT_INT(txn_text_set(txn, 0, bytes_of_text("v"), BASIN_NO_EXPIRY), ST_OK);
    uint64_t lsn = 0;
    txn_end(txn, &lsn);
    EXPECT(lsn > 0);
    txn_free(txn);
    close_simulated();
}

TEST(a_full_disk_refuses_writes_before_anything_changes_and_heals)
{
    open_simulated();
    lsn_of_set("a");
    sim_disk_set_space(disk, 1 << 20);
    char big[4000] = {0};
    enum status status = ST_OK;
    for (unsigned i = 0; i < 1000 && status == ST_OK; i++) {
        status = session_set(&session, "b", bytes_of(big, sizeof(big)));
        basin_flush(basin);
        basin_reap(basin);
    }
    EXPECT_INT(status, ST_FULL);
    EXPECT_INT(session_set(&session, "new", bytes_of(big, sizeof(big))), ST_FULL);
    struct buf value = BUF_EMPTY;
    EXPECT_INT(session_get(&session, "new", &value), ST_ABSENT);
    EXPECT_INT(session_get(&session, "a", &value), ST_OK);
    buf_deinit(&value);
    sim_disk_set_space(disk, UINT64_MAX);
    sim_disk_advance(disk, 3000000);
    for (unsigned i = 0; i < 100 && status != ST_OK; i++) {
        basin_reap(basin);
        status = session_set(&session, "new", bytes_of_text("v"));
    }
    EXPECT_INT(status, ST_OK);
    close_simulated();
}

TEST(a_txn_that_waits_for_a_shard_holds_the_lower_ones_and_is_woken_by_the_unlock)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    unsigned woken[3] = {0};
    struct txn *txns[3];
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_INT(txn_new(basin, wake_count, &woken[i], &txns[i]), ST_OK);
        txn_begin(txns[i], 1000, 1);
        txn_plan_all(txns[i]);
    }
    EXPECT_INT(txn_lock(txns[0]), ST_OK);
    EXPECT_INT(txn_lock(txns[1]), ST_WAIT);
    EXPECT_INT(txn_lock(txns[2]), ST_WAIT);
    uint64_t lsn = 0;
    txn_end(txns[0], &lsn);
    EXPECT_INT(woken[1], 1); /* First come, first woken. */
    EXPECT_INT(woken[2], 0);
    txn_cancel(txns[1]); /* Gives up: the wake-up goes on to the next. */
    EXPECT_INT(woken[2], 1);
    EXPECT_INT(txn_lock(txns[2]), ST_OK);
    txn_end(txns[2], &lsn);
    for (unsigned i = 0; i < 3; i++) {
        txn_free(txns[i]);
    }
    basin_close(basin);
}

/* The dispatcher's seeds are one step of the sequence apart. */
TEST(txn_random_gives_unrelated_sequences_for_neighbouring_seeds)
{
    struct basin_options options = basin_options_default();
    struct basin *store;
    struct txn *txn;
    uint64_t drawn[2][64];
    options.dir = test_dir();
    options.memory_only = true;
    EXPECT(basin_open(&options, &store) == ST_OK);
    EXPECT(txn_new(store, NULL, NULL, &txn) == ST_OK);
    for (uint64_t i = 0; i < 2; i++) {
        txn_begin(txn, 1000, 5 + i * 0x9e3779b97f4a7c15ull);
        for (size_t j = 0; j < 64; j++) {
            drawn[i][j] = txn_random(txn);
        }
    }
    for (size_t j = 0; j < 64; j++) {
        for (size_t k = 0; k < 64; k++) {
            EXPECT(drawn[0][j] != drawn[1][k]);
        }
    }
    txn_free(txn);
    basin_close(store);
}

static enum status add_and_change_nothing(struct txn *txn, void *ctx)
{
    struct bytes fields[] = {bytes_of_text("name"), bytes_of_text("value")};
    struct value value;
    uint64_t destroyed;
    enum status status = txn_peek(txn, 0, &value);
    if (status == ST_OK) {
        status = txn_stream_add(txn, 0, (struct stream_id){1, 0}, fields, 1);
    }
    if (status == ST_OK) {
        status = txn_stream_group_destroy(txn, 0, bytes_of_text("none"), &destroyed);
        EXPECT_INT(destroyed, 0);
    }
    return status;
}

static enum status count_entries(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    EXPECT_INT(value.type, VALUE_STREAM);
    *(uint64_t *)ctx = stream_summary(&value).count;
    return status;
}

/* W2: the group ends at the last record that is in it, not at one that was dropped. */
TEST(w2_a_change_that_changes_nothing_leaves_the_group_whole)
{
    open_simulated();
    struct bytes key = bytes_of_text("stream");
    uint64_t count = 0;
    EXPECT_INT(session_run(&session, 0, &key, 1, false, 4096, add_and_change_nothing, NULL), ST_OK);
    lsn_of_set("after");
    make_durable();
    session_close(&session);
    basin_close(basin);
    open_on(disk, 1 << 20);
    EXPECT_INT(session_run(&session, 0, &key, 1, false, 0, count_entries, &count), ST_OK);
    EXPECT_INT(count, 1);
    close_simulated();
}
