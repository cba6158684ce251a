#include "engine/base/check.h"
#include "engine/basin.h"
#include "tests/lib/session.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct basin *open_store(const char *dir, enum io_road road)
{
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.road = road;
    options.segment_size = 1 << 20;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    return basin;
}

static void expect_text(struct session *session, const char *key, const char *expected)
{
    struct buf value = BUF_EMPTY;
    enum status status = session_get(session, key, &value);
    if (expected == NULL) {
        EXPECT_INT(status, ST_ABSENT);
    } else {
        EXPECT_INT(status, ST_OK);
        EXPECT(bytes_equal(buf_bytes(&value), bytes_of_text(expected)));
    }
    buf_deinit(&value);
}

static void expect_list(struct session *session, const char *key, const char *expected)
{
    struct buf value = BUF_EMPTY;
    EXPECT_INT(session_list(session, key, &value), ST_OK);
    EXPECT(bytes_equal(buf_bytes(&value), bytes_of_text(expected)));
    buf_deinit(&value);
}

static void strings_and_lists_survive(enum io_road road)
{
    const char *dir = test_dir();
    struct basin *basin = open_store(dir, road);
    struct session session;
    session_open(&session, basin);
    session.wait_durable = true;
    EXPECT_INT(session_set(&session, "a", bytes_of_text("one")), ST_OK);
    EXPECT_INT(session_set(&session, "a", bytes_of_text("two")), ST_OK);
    EXPECT_INT(session_set(&session, "b", bytes_of_text("x")), ST_OK);
    EXPECT_INT(session_delete(&session, "b"), ST_OK);
    EXPECT_INT(session_push(&session, "l", bytes_of_text("p")), ST_OK);
    EXPECT_INT(session_push(&session, "l", bytes_of_text("qq")), ST_OK);
    expect_text(&session, "a", "two");
    session_close(&session);
    basin_close(basin);
    for (unsigned i = 0; i < 3; i++) { /* A store may be opened again and again. */
        basin = open_store(dir, road);
        session_open(&session, basin);
        expect_text(&session, "a", "two");
        expect_text(&session, "b", NULL);
        expect_list(&session, "l", "1:p2:qq");
        session_close(&session);
        basin_close(basin);
    }
}

TEST(strings_and_lists_survive_a_restart_on_io_uring)
{
    strings_and_lists_survive(IO_ROAD_AUTO);
}

TEST(strings_and_lists_survive_a_restart_on_plain_system_calls)
{
    strings_and_lists_survive(IO_ROAD_PLAIN);
}

TEST(a_second_process_is_refused_the_directory)
{
    struct basin *basin = open_store(test_dir(), IO_ROAD_AUTO);
    struct basin_options options = basin_options_default();
    options.dir = test_dir();
    struct basin *second = NULL;
    EXPECT_INT(basin_open(&options, &second), ST_BUSY);
    basin_close(basin);
}

TEST(values_of_all_sizes_survive_a_restart)
{
    const char *dir = test_dir();
    static const size_t sizes[] = {0, 1, 255, 256, 257, 4095, 4096, 4097, 16384, 100000, 5000000};
    struct basin *basin = open_store(dir, IO_ROAD_AUTO);
    struct session session;
    session_open(&session, basin);
    char *big = malloc(5000000);
    for (size_t i = 0; i < 5000000; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    char key[32];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(key, sizeof(key), "text:%zu", sizes[i]);
        EXPECT_INT(session_set(&session, key, bytes_of(big, sizes[i])), ST_OK);
        for (unsigned j = 0; j < 3; j++) {
            snprintf(key, sizeof(key), "list:%zu", sizes[i]);
            EXPECT_INT(session_push(&session, key, bytes_of(big, sizes[i])), ST_OK);
        }
    }
    session_close(&session);
    basin_close(basin);
    basin = open_store(dir, IO_ROAD_AUTO);
    session_open(&session, basin);
    struct buf value = BUF_EMPTY;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(key, sizeof(key), "text:%zu", sizes[i]);
        EXPECT_INT(session_get(&session, key, &value), ST_OK);
        EXPECT(bytes_equal(buf_bytes(&value), bytes_of(big, sizes[i])));
        snprintf(key, sizeof(key), "list:%zu", sizes[i]);
        EXPECT_INT(session_list(&session, key, &value), ST_OK);
        size_t prefix = (size_t)snprintf(NULL, 0, "%zu:", sizes[i]);
        EXPECT_INT(value.size, 3 * (prefix + sizes[i]));
    }
    buf_deinit(&value);
    free(big);
    session_close(&session);
    basin_close(basin);
}

/* -- Encoded values ---------------------------------------------------------------------------- */

struct encoded {
    struct bytes bytes;
    int64_t expiry_ms;
    uint64_t age_s;
};

static enum status put_encoded(struct txn *txn, void *ctx)
{
    const struct encoded *encoded = ctx;
    enum status status = txn_put_encoded(txn, 0, encoded->bytes, encoded->expiry_ms);
    if (status == ST_OK) {
        txn_age(txn, 0, encoded->age_s);
    }
    return status;
}

static enum status idle_of(struct txn *txn, void *ctx)
{
    *(uint64_t *)ctx = txn_idle_ms(txn, 0);
    return ST_OK;
}

static enum status session_put(struct session *session, const char *key, struct encoded encoded)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, 256, put_encoded, &encoded);
}

TEST(an_encoded_value_is_verified_before_it_takes_the_place_of_another)
{
    const char *dir = test_dir();
    struct basin *basin = open_store(dir, IO_ROAD_AUTO);
    struct session session;
    session_open(&session, basin);
    session.now_ms = 1000000;
    struct encoded list = {bytes_of("\002\002\001a\002bc", 7), BASIN_NO_EXPIRY, 500};
    struct encoded broken = {bytes_of("\002\003\001a\002bc", 7), BASIN_NO_EXPIRY, 0};
    struct encoded brief = {bytes_of("\001text", 5), 1000001, 0};
    struct encoded over = {bytes_of("\001text", 5), 1000000, 0};
    uint64_t idle_ms = 0;
    struct bytes name = bytes_of_text("l");
    EXPECT_INT(session_set(&session, "l", bytes_of_text("before")), ST_OK);
    EXPECT_INT(session_put(&session, "l", broken), ST_CORRUPT);
    expect_text(&session, "l", "before");
    EXPECT_INT(session_put(&session, "l", list), ST_OK);
    EXPECT_INT(session_run(&session, 0, &name, 1, false, 0, idle_of, &idle_ms), ST_OK);
    EXPECT_INT(idle_ms, 500000);
    expect_list(&session, "l", "1:a2:bc");
    EXPECT_INT(session_put(&session, "t", brief), ST_OK);
    expect_text(&session, "t", "text");
    EXPECT_INT(session_put(&session, "u", brief), ST_OK);
    EXPECT_INT(session_put(&session, "u", over), ST_OK); /* Its time has come: it goes. */
    expect_text(&session, "u", NULL);
    session_close(&session);
    basin_close(basin);
    basin = open_store(dir, IO_ROAD_AUTO);
    session_open(&session, basin);
    session.now_ms = 1000000;
    expect_list(&session, "l", "1:a2:bc");
    expect_text(&session, "t", "text");
    expect_text(&session, "u", NULL);
    session.now_ms = 1000001;
    expect_text(&session, "t", NULL);
    session_close(&session);
    basin_close(basin);
}

/* -- Expiry ------------------------------------------------------------------------------------ */

static enum status set_expiring(struct txn *txn, void *ctx)
{
    return txn_text_set(txn, 0, bytes_of_text("v"), *(int64_t *)ctx);
}

static enum status size_of_database(struct txn *txn, void *ctx)
{
    return txn_database_size(txn, 0, ctx);
}

static uint64_t database_size(struct session *session)
{
    uint64_t size = 0;
    EXPECT_INT(session_run(session, 0, NULL, 0, true, 0, size_of_database, &size), ST_OK);
    return size;
}

TEST(expired_keys_are_absent_at_once_and_deleted_in_the_background_and_in_the_log)
{
    const char *dir = test_dir();
    struct basin *basin = open_store(dir, IO_ROAD_AUTO);
    struct session session;
    session_open(&session, basin);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        int64_t expiry = i < 900 ? 2000 : 1000000;
        snprintf(key, sizeof(key), "k%d", i);
        struct bytes name = bytes_of_text(key);
        EXPECT_INT(session_run(&session, 0, &name, 1, false, 256, set_expiring, &expiry), ST_OK);
    }
    expect_text(&session, "k0", "v");
    session.now_ms = 2000;
    expect_text(&session, "k0", NULL);
    /* A change of an expired list starts from nothing. */
    EXPECT_INT(session_push(&session, "k1", bytes_of_text("new")), ST_OK);
    expect_list(&session, "k1", "3:new");
    EXPECT_INT(database_size(&session), 1000);
    while (basin_tick(basin, session.txn, 0, 1, 2000, 1000)) {
    }
    EXPECT_INT(database_size(&session), 101);
    session_close(&session);
    basin_close(basin);
    basin = open_store(dir, IO_ROAD_AUTO);
    session_open(&session, basin);
    session.now_ms = 1500; /* An earlier clock does not bring back what was deleted. */
    EXPECT_INT(database_size(&session), 101);
    expect_list(&session, "k1", "3:new");
    session_close(&session);
    basin_close(basin);
}

/* -- Databases --------------------------------------------------------------------------------- */

static enum status flush_all(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_all(txn);
}

static enum status swap(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_swap_databases(txn, 0, 3);
}

TEST(flushes_and_swaps_of_databases_survive_a_restart_and_free_their_memory)
{
    const char *dir = test_dir();
    struct basin *basin = open_store(dir, IO_ROAD_AUTO);
    struct session session;
    session_open(&session, basin);
    char key[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "old%d", i);
        EXPECT_INT(session_set(&session, key, bytes_of_text("v")), ST_OK);
    }
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, flush_all, NULL), ST_OK);
    expect_text(&session, "old1", NULL);
    EXPECT_INT(database_size(&session), 0);
    while (basin_tick(basin, session.txn, 0, 1, 2000, 1000)) {
    }
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    EXPECT_INT(stats.keys, 0);
    EXPECT_INT(session_set(&session, "here", bytes_of_text("v")), ST_OK);
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    expect_text(&session, "here", NULL);
    session_close(&session);
    basin_close(basin);
    basin = open_store(dir, IO_ROAD_AUTO);
    session_open(&session, basin);
    EXPECT_INT(database_size(&session), 0);
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    expect_text(&session, "here", "v");
    EXPECT_INT(database_size(&session), 1);
    session_close(&session);
    basin_close(basin);
}

static enum status write_far(struct txn *txn, void *ctx)
{
    return txn_text_write(txn, 0, *(uint64_t *)ctx, bytes_of_text("end"));
}

static enum status size_of_text(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    *(uint64_t *)ctx = status == ST_OK && value.type == VALUE_STRING ? text_size(&value) : 0;
    return status;
}

TEST(a_string_that_grows_past_four_gigabytes_survives_a_restart)
{
    const char *dir = test_dir();
    struct basin *basin = open_store(dir, IO_ROAD_AUTO);
    struct session session;
    session_open(&session, basin);
    uint64_t offset = (1ull << 32) + 5;
    struct bytes key = bytes_of_text("k");
    EXPECT_INT(session_run(&session, 0, &key, 1, false, 256, write_far, &offset), ST_OK);
    session_close(&session);
    basin_close(basin);
    basin = open_store(dir, IO_ROAD_AUTO);
    session_open(&session, basin);
    uint64_t size = 0;
    EXPECT_INT(session_run(&session, 0, &key, 1, false, 0, size_of_text, &size), ST_OK);
    EXPECT(size == offset + 3);
    session_close(&session);
    basin_close(basin);
}

static enum status flush_one(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_database(txn, 0);
}

static uint64_t memory_used(struct basin *basin)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.memory_used;
}

/* A partition holds more live keys than a slice looks at, so slices end inside it. */
TEST(a_flushed_database_gives_all_its_memory_back_while_another_lives)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    struct basin *basin;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    struct session session;
    session_open(&session, basin);
    char key[32];
    static char value[500];
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    for (int i = 0; i < 600000; i++) {
        snprintf(key, sizeof(key), "live%d", i);
        EXPECT_INT(session_set(&session, key, bytes_of_text("v")), ST_OK);
    }
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, swap, NULL), ST_OK);
    uint64_t before = memory_used(basin);
    for (int i = 0; i < 40000; i++) {
        snprintf(key, sizeof(key), "dead%d", i);
        EXPECT_INT(session_set(&session, key, bytes_of(value, sizeof(value))), ST_OK);
    }
    uint64_t full = memory_used(basin);
    EXPECT(full > before + 20000 * sizeof(value));
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, flush_one, NULL), ST_OK);
    while (basin_tick(basin, session.txn, 0, 1, 2000, 1000)) {
    }
    uint64_t after = memory_used(basin);
    EXPECT(after < before + (full - before) / 20);
    session_close(&session);
    basin_close(basin);
}

/* -- Scan -------------------------------------------------------------------------------------- */

struct scan {
    uint64_t cursor, cursor_next;
    unsigned char *seen;
};

static bool scan_key(void *ctx, const struct txn_scan_key *key)
{
    struct scan *scan = ctx;
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)key->name.size, (const char *)key->name.data);
    if (text[0] == 's') {
        scan->seen[atoi(text + 1)] = 1;
    }
    return true;
}

static enum status scan_step(struct txn *txn, void *ctx)
{
    struct scan *scan = ctx;
    return txn_scan(txn, 0, scan->cursor, 10, scan_key, scan, &scan->cursor_next);
}

TEST(a_scan_gives_every_key_that_is_there_throughout_while_others_come_and_go)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    struct session session;
    session_open(&session, basin);
    enum { STABLE = 3000 };
    unsigned char seen[STABLE] = {0};
    char key[32];
    for (int i = 0; i < STABLE; i++) {
        snprintf(key, sizeof(key), "s%d", i);
        EXPECT_INT(session_set(&session, key, bytes_of_text("v")), ST_OK);
    }
    struct scan scan = {.seen = seen};
    int added = 0;
    do {
        EXPECT_INT(session_run(&session, 0, NULL, 0, true, 0, scan_step, &scan), ST_OK);
        scan.cursor = scan.cursor_next;
        EXPECT(scan.cursor < (1ull << 48));
        for (int i = 0; i < 40; i++) {
            snprintf(key, sizeof(key), "other%d", added++);
            EXPECT_INT(session_set(&session, key, bytes_of_text("v")), ST_OK);
            if (added % 3 == 0) {
                snprintf(key, sizeof(key), "other%d", added / 2);
                EXPECT_INT(session_delete(&session, key), ST_OK);
            }
        }
    } while (scan.cursor != 0);
    for (int i = 0; i < STABLE; i++) {
        EXPECT(seen[i]);
    }
    session_close(&session);
    basin_close(basin);
}

/* -- Threads and misses ---------------------------------------------------------------------------
 */

struct adder {
    struct basin *basin;
    pthread_t thread;
    unsigned count;
};

/* Adds one to two counters in one txn: read, then change. */
static enum status add_one(struct txn *txn, void *ctx)
{
    (void)ctx;
    char texts[2][32];
    int sizes[2];
    enum status result = ST_OK;
    for (unsigned i = 0; i < 2; i++) {
        struct value value;
        enum status status = txn_read(txn, i, &value);
        if (status != ST_OK) {
            result = status; /* Go on, to note a further miss. */
            continue;
        }
        int64_t number = 0;
        if (value.type == VALUE_STRING) {
            bytes_to_int64(value.packed, &number);
        }
        sizes[i] = snprintf(texts[i], sizeof(texts[i]), "%lld", (long long)number + 1);
    }
    for (unsigned i = 0; i < 2 && result == ST_OK; i++) {
        result = txn_text_set(txn, i, bytes_of(texts[i], (size_t)sizes[i]), BASIN_NO_EXPIRY);
    }
    return result;
}

static void *adder_run(void *arg)
{
    struct adder *adder = arg;
    struct session session;
    session_open(&session, adder->basin);
    struct bytes keys[2] = {bytes_of_text("counter:x"), bytes_of_text("counter:y")};
    for (unsigned i = 0; i < adder->count; i++) {
        if (session_run(&session, 0, keys, 2, false, 1024, add_one, NULL) != ST_OK) {
            break;
        }
    }
    basin_flush(adder->basin);
    session_close(&session);
    return NULL;
}

static void adders_agree(bool simulate_misses, unsigned count)
{
    const char *dir = test_dir();
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.simulate_misses = simulate_misses;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    struct adder adders[4];
    for (unsigned i = 0; i < 4; i++) {
        adders[i] = (struct adder){.basin = basin, .count = count};
        pthread_create(&adders[i].thread, NULL, adder_run, &adders[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(adders[i].thread, NULL);
    }
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    EXPECT(simulate_misses || stats.loads == 0);
    basin_close(basin);
    options.simulate_misses = false;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    struct session session;
    session_open(&session, basin);
    char expected[32];
    snprintf(expected, sizeof(expected), "%u", 4 * count);
    expect_text(&session, "counter:x", expected);
    expect_text(&session, "counter:y", expected);
    session_close(&session);
    basin_close(basin);
}

TEST(transactions_of_many_threads_are_isolated_and_logged_in_their_order)
{
    adders_agree(false, 20000);
}

TEST(transactions_that_miss_are_run_again_and_count_once)
{
    adders_agree(true, 1000);
}

/* -- Background work ---------------------------------------------------------------------------
 */

static enum status flush_database(struct txn *txn, void *ctx)
{
    return txn_flush_database(txn, 0);
}

static _Atomic bool flushing;

static void *flusher_run(void *arg)
{
    struct session session;
    session_open(&session, arg);
    for (unsigned i = 0; i < 40000; i++) {
        CHECK(i % 100 != 0 || session_set(&session, "k", bytes_of_text("v")) == ST_OK);
        CHECK(session_run(&session, 0, NULL, 0, true, 4096, flush_database, NULL) == ST_OK);
    }
    session_close(&session);
    atomic_store(&flushing, false);
    return NULL;
}

/* It sees the map of databases change while it waits for a shard, and has that shard all the same.
 * For tsan's eyes, and for the CHECKs of the sweep. */
TEST(background_work_has_its_shard_to_itself_while_databases_are_flushed)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    options.shards = 2;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    struct session session;
    pthread_t thread;
    session_open(&session, basin);
    atomic_store(&flushing, true);
    EXPECT_INT(pthread_create(&thread, NULL, flusher_run, basin), 0);
    while (atomic_load(&flushing)) {
        (void)basin_tick(basin, session.txn, 0, 1, 1000, 1000);
    }
    pthread_join(thread, NULL);
    expect_text(&session, "k", NULL);
    session_close(&session);
    basin_close(basin);
}
