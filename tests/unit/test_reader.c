/* What txns miss, read through a ring: once for all who wait, whoever gives up. On a simulated
 * disk, where a read ends when the ring is turned and not before. */
#include "engine/txn/store.h"

#include "engine/base/check.h"
#include "tests/lib/cellar.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 4
#define KEYS_MAX 2001

struct client {
    struct txn *txn;
    unsigned woken;
};

static struct reader *reader;
static struct client clients[CLIENTS];

static void wake_count(void *ctx)
{
    struct client *client = ctx;
    client->woken++;
}

/* Txns borrow the names of their keys. */
static const char *key_of(unsigned number)
{
    static char keys[KEYS_MAX][16];
    CHECK(number < KEYS_MAX);
    snprintf(keys[number], sizeof(keys[number]), "key:%u", number);
    return keys[number];
}

/* A store with `count` keys that are only on disk. */
static void begin(unsigned count)
{
    cellar_begin();
    for (unsigned i = 0; i < count; i++) {
        EXPECT_INT(session_set(&session, key_of(i), bytes_of_text(key_of(i))), ST_OK);
    }
    cellar_settle();
    EXPECT_INT(reader_new(basin, &reader), ST_OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i].woken = 0;
        EXPECT_INT(txn_new(basin, wake_count, &clients[i], &clients[i].txn), ST_OK);
        txn_set_reader(clients[i].txn, reader);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        txn_free(clients[i].txn);
    }
    reader_free(reader);
    cellar_end();
}

static struct basin_stats stats(void)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats;
}

static void plan(struct client *client, unsigned first, unsigned count)
{
    txn_begin(client->txn, session.now_ms, 1);
    for (unsigned i = first; i < first + count; i++) {
        EXPECT_INT(txn_plan(client->txn, 0, bytes_of_text(key_of(i))), ST_OK);
    }
}

/* One run, which reads all of its keys; ST_WAIT: it has let go and waits. */
static enum status run(struct client *client, unsigned first, unsigned count)
{
    enum status status = txn_lock(client->txn);
    if (status != ST_OK) {
        return status;
    }
    enum status wait = ST_OK;
    for (unsigned i = 0; i < count; i++) {
        struct value value;
        status = txn_read(client->txn, i, &value);
        if (status == ST_WAIT) {
            wait = ST_WAIT;
            continue;
        }
        EXPECT_INT(status, ST_OK);
        EXPECT_INT(value.type, VALUE_STRING);
        EXPECT_INT(text_size(&value), strlen(key_of(first + i)));
    }
    if (wait == ST_WAIT) {
        txn_retry(client->txn);
    } else {
        uint64_t lsn;
        txn_end(client->txn, &lsn);
    }
    return wait;
}

static void turn(void)
{
    reader_start(reader);
    sim_disk_advance(disk, 1000);
    reader_turn(reader);
}

static void turn_until_woken(const struct client *client, unsigned woken)
{
    for (unsigned i = 0; i < 1000 && client->woken < woken; i++) {
        turn();
    }
    EXPECT_INT(client->woken, woken);
}

TEST(who_misses_the_same_key_waits_for_one_read)
{
    begin(1);
    struct basin_stats before = stats();
    for (unsigned i = 0; i < CLIENTS; i++) {
        plan(&clients[i], 0, 1);
        EXPECT_INT(run(&clients[i], 0, 1), ST_WAIT);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        EXPECT_INT(clients[i].woken, 0);
    }
    turn_until_woken(&clients[0], 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        EXPECT_INT(clients[i].woken, 1);
        EXPECT_INT(run(&clients[i], 0, 1), ST_OK);
    }
    struct basin_stats after = stats();
    EXPECT_INT(after.loads - before.loads, 1);
    EXPECT_INT(after.loads_shared - before.loads_shared, CLIENTS - 1);
    EXPECT_INT(after.hits - before.hits, CLIENTS); /* However often each has run. */
    end();
}

TEST(a_txn_is_woken_once_for_all_that_it_misses)
{
    enum { KEYS = 1000 };
    begin(KEYS);
    plan(&clients[0], 0, KEYS);
    EXPECT_INT(run(&clients[0], 0, KEYS), ST_WAIT);
    turn();
    EXPECT_INT(clients[0].woken, 0); /* No ring is that deep. */
    turn_until_woken(&clients[0], 1);
    EXPECT_INT(run(&clients[0], 0, KEYS), ST_OK);
    EXPECT_INT(stats().loads, KEYS);
    end();
}

TEST(who_misses_one_key_does_not_wait_for_who_misses_a_thousand)
{
    enum { KEYS = 2000 };
    begin(KEYS + 1);
    plan(&clients[0], 0, KEYS);
    EXPECT_INT(run(&clients[0], 0, KEYS), ST_WAIT);
    plan(&clients[1], KEYS, 1);
    EXPECT_INT(run(&clients[1], KEYS, 1), ST_WAIT);
    turn_until_woken(&clients[1], 1);
    EXPECT_INT(clients[0].woken, 0);
    EXPECT(stats().loads < KEYS / 2);
    EXPECT_INT(run(&clients[1], KEYS, 1), ST_OK);
    turn_until_woken(&clients[0], 1);
    EXPECT_INT(run(&clients[0], 0, KEYS), ST_OK);
    end();
}

TEST(who_gives_up_is_not_woken_and_leaves_the_others_what_they_wait_for)
{
    begin(1);
    for (unsigned i = 0; i < 3; i++) {
        plan(&clients[i], 0, 1);
        EXPECT_INT(run(&clients[i], 0, 1), ST_WAIT);
    }
    txn_cancel(clients[0].txn);
    reader_start(reader);
    txn_cancel(clients[1].txn);
    turn_until_woken(&clients[2], 1);
    EXPECT_INT(clients[0].woken, 0);
    EXPECT_INT(clients[1].woken, 0);
    EXPECT_INT(run(&clients[2], 0, 1), ST_OK);
    EXPECT_INT(stats().loads, 1);
    end();
}

TEST(all_may_give_up_while_the_device_reads_and_the_ring_may_go)
{
    begin(300);
    plan(&clients[0], 0, 300);
    EXPECT_INT(run(&clients[0], 0, 300), ST_WAIT);
    reader_start(reader);
    txn_cancel(clients[0].txn);
    reader_free(reader);
    reader = NULL;
    EXPECT_INT(clients[0].woken, 0);
    end();
}

TEST(what_was_read_does_not_count_once_a_newer_version_went_to_disk)
{
    begin(1);
    plan(&clients[0], 0, 1);
    EXPECT_INT(run(&clients[0], 0, 1), ST_WAIT);
    turn_until_woken(&clients[0], 1); /* It has the old version in its hands … */
    EXPECT_INT(session_set(&session, key_of(0), bytes_of_text("a longer one")), ST_OK);
    cellar_settle();
    EXPECT_INT(run(&clients[0], 0, 1), ST_WAIT); /* … and looks again. */
    turn_until_woken(&clients[0], 2);
    EXPECT_INT(txn_lock(clients[0].txn), ST_OK);
    struct value value;
    EXPECT_INT(txn_read(clients[0].txn, 0, &value), ST_OK);
    EXPECT_INT(text_size(&value), strlen("a longer one"));
    uint64_t lsn;
    txn_end(clients[0].txn, &lsn);
    end();
}

TEST(a_write_in_the_meantime_is_what_the_reader_finds)
{
    begin(1);
    plan(&clients[0], 0, 1);
    EXPECT_INT(run(&clients[0], 0, 1), ST_WAIT);
    EXPECT_INT(session_set(&session, key_of(0), bytes_of_text("key:1")), ST_OK);
    turn_until_woken(&clients[0], 1);
    EXPECT_INT(txn_lock(clients[0].txn), ST_OK);
    struct value value;
    EXPECT_INT(txn_read(clients[0].txn, 0, &value), ST_OK);
    struct buf text = BUF_EMPTY;
    EXPECT_INT(text_read(&value, 0, text_size(&value), &text), ST_OK);
    EXPECT(bytes_equal(buf_bytes(&text), bytes_of_text("key:1")));
    buf_deinit(&text);
    uint64_t lsn;
    txn_end(clients[0].txn, &lsn);
    end();
}

TEST(a_look_reads_no_grain)
{
    begin(2);
    plan(&clients[0], 0, 2);
    uint64_t pages = basin->strata.page_reads;
    uint64_t grains = basin->strata.grain_reads;
    struct key_facts facts;
    EXPECT_INT(txn_lock(clients[0].txn), ST_OK);
    EXPECT_INT(txn_look(clients[0].txn, 0, &facts), ST_WAIT);
    bool existed = false;
    EXPECT_INT(txn_delete(clients[0].txn, 1, &existed), ST_WAIT);
    txn_retry(clients[0].txn);
    turn_until_woken(&clients[0], 1);
    EXPECT_INT(txn_lock(clients[0].txn), ST_OK);
    EXPECT_INT(txn_look(clients[0].txn, 0, &facts), ST_OK);
    EXPECT_INT(facts.type, VALUE_STRING);
    EXPECT_INT(facts.expiry_ms, BASIN_NO_EXPIRY);
    EXPECT_INT(txn_delete(clients[0].txn, 1, &existed), ST_OK);
    EXPECT(existed);
    uint64_t lsn;
    txn_end(clients[0].txn, &lsn);
    EXPECT_INT(basin->strata.page_reads - pages, 2);
    EXPECT_INT(basin->strata.grain_reads - grains, 0);
    end();
}

TEST(a_read_that_fails_is_an_error_of_its_own_command)
{
    begin(2);
    plan(&clients[0], 0, 1);
    EXPECT_INT(run(&clients[0], 0, 1), ST_WAIT);
    sim_disk_hold(disk, true);
    reader_start(reader);
    EXPECT(sim_disk_release(disk, 0, ST_IO));
    reader_turn(reader);
    sim_disk_hold(disk, false);
    EXPECT_INT(clients[0].woken, 1);
    EXPECT_INT(txn_lock(clients[0].txn), ST_OK);
    struct value value;
    EXPECT_INT(txn_read(clients[0].txn, 0, &value), ST_IO);
    uint64_t lsn;
    txn_end(clients[0].txn, &lsn);
    plan(&clients[0], 0, 1);
    EXPECT_INT(run(&clients[0], 0, 1), ST_WAIT); /* The next one asks the device again. */
    turn_until_woken(&clients[0], 2);
    EXPECT_INT(run(&clients[0], 0, 1), ST_OK);
    end();
}
