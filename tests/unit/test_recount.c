/* How many keys there are while nobody knows of each whether it is there: on a simulated disk, step
 * by step, and on a real one, with threads that write. tests/model asks the same at random. */
#include "engine/txn/recount.h"

#include "tests/lib/cellar.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Every sixteenth is longer than a row takes. */
static const char *key_of(unsigned number)
{
    static char key[400];
    snprintf(key, sizeof(key), "key:%u:%0*u", number, number % 16 == 15 ? 300 : 1, 0);
    return key;
}

static void set_all(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        EXPECT_INT(session_set(&session, key_of(i), bytes_of_text("x")), ST_OK);
    }
}

static void delete_all(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        EXPECT_INT(session_delete(&session, key_of(i)), ST_OK);
    }
}

struct asking {
    unsigned database;
    uint64_t size;
};

static enum status size_fn(struct txn *txn, void *ctx)
{
    struct asking *asking = ctx;
    return txn_database_size(txn, asking->database, &asking->size);
}

static enum status size_ask(struct session *by, unsigned database, uint64_t *size_out)
{
    struct asking asking = {.database = database};
    enum status status = session_run(by, 0, NULL, 0, true, 0, size_fn, &asking);
    *size_out = asking.size;
    return status;
}

static uint64_t size_of(unsigned database)
{
    uint64_t size = 0;
    EXPECT_INT(size_ask(&session, database, &size), ST_OK);
    return size;
}

static uint64_t unresolved(void)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.storage.unresolved;
}

/* 150 keys: of 0 … 199 on disk, 0 … 99 were deleted by a later round, and then 50 … 149 were
 * written and 190 … 199 deleted; nobody looked whether they were there, and 140 … 149 were deleted
 * and written once more. */
static void doubts_make(void)
{
    set_all(0, 200);
    cellar_settle();
    delete_all(0, 100);
    cellar_settle();
    set_all(50, 150);
    delete_all(190, 200);
    delete_all(140, 150);
    set_all(140, 150);
    delete_all(0, 10); /* These are gone, on disk too. */
    EXPECT_INT(unresolved(), 220);
}
#define DOUBTS_SIZE 140

/* In memory; what the lists take is accounted for. */
static unsigned doubts_listed(void)
{
    uint64_t memory = 0;
    unsigned count = 0;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        count += basin->tables[p].doubts.count;
        memory += memtable_memory(&basin->tables[p]);
    }
    for (unsigned i = 0; i < basin->shard_count; i++) {
        memory -= basin->shards[i].tables_memory;
    }
    EXPECT_INT(memory, 0);
    return count;
}

TEST(the_number_is_exact_and_costs_no_write)
{
    cellar_begin();
    doubts_make();
    struct sim_disk_stats before;
    struct sim_disk_stats after;
    sim_disk_get_stats(disk, &before);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    sim_disk_get_stats(disk, &after);
    EXPECT_INT(after.writes, before.writes);
    EXPECT_INT(after.durable_writes, before.durable_writes);
    EXPECT_INT(after.syncs + after.dir_syncs, before.syncs + before.dir_syncs);
    EXPECT(unresolved() > 0); /* It was not settled and merged. */
    cellar_end();
}

TEST(the_number_stays_as_doubts_move_from_memory_to_disk_and_away)
{
    cellar_begin();
    doubts_make();
    EXPECT_INT(doubts_listed(), 120); /* The rest are rows. */
    cellar_settle();
    EXPECT_INT(doubts_listed(), 0);
    EXPECT_INT(unresolved(), 220);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    set_all(0, 5);
    delete_all(100, 105);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    cellar_settle();
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    cellar_power_cut();
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT_INT(unresolved(), 0);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    cellar_end();
}

/* What a round has captured is in doubt neither by its entry alone nor by a row. */
static unsigned midst_count;
static struct session midst;

static void size_meanwhile(void *ctx)
{
    (void)ctx;
    uint64_t size = 0;
    EXPECT_INT(size_ask(&midst, 0, &size), ST_OK);
    EXPECT_INT(size, DOUBTS_SIZE);
    midst_count++;
}

TEST(the_number_is_exact_in_the_midst_of_rounds_and_merges)
{
    cellar_begin();
    doubts_make();
    session_open(&midst, basin);
    midst.pump = true;
    midst.now_ms = session.now_ms;
    midst_count = 0;
    sim_disk_set_meanwhile(disk, "/strata/", size_meanwhile, NULL);
    cellar_settle();
    EXPECT(midst_count > 1);
    midst_count = 0;
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT(midst_count > 1);
    sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
    session_close(&midst);
    cellar_end();
}

/* Settling has ended at its n-th call of the disk, and its entries stay captured for good. */
static bool number_after_failure(unsigned n)
{
    cellar_begin();
    doubts_make();
    sim_disk_fail_after(disk, n, ST_IO);
    enum status status = basin_settle(basin);
    sim_disk_fail_after(disk, 0, ST_IO);
    if (status != ST_OK && !basin_dead(basin)) {
        basin_forget(basin, 1, 1);
        EXPECT_INT(size_of(0), DOUBTS_SIZE);
        delete_all(50, 60);
        set_all(0, 3);
        EXPECT_INT(size_of(0), DOUBTS_SIZE - 7);
        set_all(55, 60);
        EXPECT_INT(size_of(0), DOUBTS_SIZE - 2);
        cellar_power_cut();
        EXPECT_INT(size_of(0), DOUBTS_SIZE - 2);
    }
    cellar_end();
    return status != ST_OK;
}

TEST(the_number_is_exact_after_settling_has_failed_at_any_call)
{
    unsigned n = 1;
    while (number_after_failure(n)) {
        n++;
    }
    EXPECT(n > 5);
}

TEST(the_number_is_known_while_the_disk_is_full)
{
    cellar_begin();
    doubts_make();
    sim_disk_set_space(disk, sim_disk_used(disk));
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    EXPECT(basin_settle(basin) != ST_OK);
    EXPECT_INT(size_of(0), DOUBTS_SIZE);
    sim_disk_set_space(disk, UINT64_MAX);
    cellar_end();
}

/* -- Where little is read ------------------------------------------------------------------------
 */

/* The n-th name that falls into one certain partition. */
static const char *crowd_of(unsigned n)
{
    static char key[32];
    static unsigned found, next;
    if (n < found) {
        found = next = 0;
    }
    for (;; next++) {
        snprintf(key, sizeof(key), "crowd:%u", next);
        uint64_t hash =
            hash_key(&basin->secret, atomic_load(&basin->namespaces[0]), bytes_of_text(key));
        if (hash_partition(hash) == 77 && found++ == n) {
            next++;
            return key;
        }
    }
}

#define CROWD 700

TEST(few_doubts_in_a_partition_that_is_known_are_looked_up)
{
    cellar_begin();
    for (unsigned i = 0; i < CROWD; i++) {
        EXPECT_INT(session_set(&session, crowd_of(i), bytes_of_text("x")), ST_OK);
    }
    cellar_settle();
    EXPECT_INT(session_delete(&session, crowd_of(3)), ST_OK);
    cellar_settle();
    EXPECT_INT(size_of(0), CROWD - 1); /* By a walk over all rows, which is remembered. */
    EXPECT_INT(session_set(&session, crowd_of(3), bytes_of_text("new")), ST_OK);
    EXPECT_INT(session_set(&session, crowd_of(4), bytes_of_text("old")), ST_OK);
    uint64_t reads = atomic_load(&basin->strata.page_reads);
    EXPECT_INT(size_of(0), CROWD);
    reads = atomic_load(&basin->strata.page_reads) - reads;
    EXPECT(reads >= 2 && reads <= 6);
    cellar_end();
}

/* -- Databases -----------------------------------------------------------------------------------
 */

static enum status swap_fn(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_swap_databases(txn, 0, 5);
}

static enum status flush_fn(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_database(txn, 5);
}

TEST(each_database_has_its_own_number_wherever_it_moves)
{
    cellar_begin();
    doubts_make();
    cellar_settle();
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 1024, swap_fn, NULL), ST_OK);
    set_all(0, 7);
    EXPECT_INT(size_of(5), DOUBTS_SIZE);
    EXPECT_INT(size_of(0), 7);
    EXPECT_INT(session_run(&session, 0, NULL, 0, true, 1024, flush_fn, NULL), ST_OK);
    EXPECT_INT(size_of(5), 0);
    EXPECT_INT(size_of(0), 7);
    cellar_power_cut();
    EXPECT_INT(size_of(5), 0);
    EXPECT_INT(size_of(0), 7);
    cellar_end();
}

/* S3 */
TEST(where_rows_cannot_be_read_the_number_is_an_error)
{
    cellar_begin();
    doubts_make();
    const struct stratum_facts *facts = stratum_facts(basin->stacks[0].runs[0]);
    char path[64];
    snprintf(path, sizeof(path), CELLAR_DIR "/strata/%08x.stratum", facts->id);
    uint64_t pages = stratum_page_offset(basin->stacks[0].runs[0], 0);
    sim_disk_corrupt(disk, path, pages, (uint64_t)facts->page_count * PAGE_SIZE_BYTES);
    uint64_t size;
    EXPECT_INT(size_ask(&session, 0, &size), ST_CORRUPT);
    EXPECT_INT(size_ask(&session, 0, &size), ST_CORRUPT);
    cellar_end();
}

TEST(a_count_ends_when_the_store_is_to_be_closed)
{
    cellar_begin();
    doubts_make();
    recount_stop(basin->recount);
    uint64_t size;
    EXPECT_INT(size_ask(&session, 0, &size), ST_IO);
    cellar_end();
}

/* -- Threads -------------------------------------------------------------------------------------
 */

#define WRITERS 3
#define WRITER_KEYS 4000
#define PASSES 3
#define PHASES_MAX 1000 /* By turns all keys are written, and deleted. */

struct writer {
    pthread_t thread;
    struct session session;
    unsigned number;
    bool deletes;
    _Atomic unsigned begun, done; /* Keys. */
    bool failed;
};

static const char *writer_key(const struct writer *writer, unsigned i, char key[32])
{
    snprintf(key, 32, "w%u:%u", writer->number, i);
    return key;
}

static void *writer_run(void *arg)
{
    struct writer *writer = arg;
    char key[32];
    for (unsigned i = 0; i < WRITER_KEYS && !writer->failed; i++) {
        writer_key(writer, i, key);
        atomic_fetch_add(&writer->begun, 1);
        enum status status = writer->deletes ? session_delete(&writer->session, key)
                                             : session_set(&writer->session, key, BYTES_NONE);
        writer->failed = status != ST_OK;
        atomic_fetch_add(&writer->done, 1);
        basin_flush(basin);
        basin_reap(basin);
        if (i % 64 == 0) {
            usleep(1000); /* Rounds and passes shall come in between. */
        }
    }
    return NULL;
}

/* Stacks change all the time. */
static void *keeper_run(void *arg)
{
    const _Atomic bool *stop = arg;
    for (unsigned i = 0; !atomic_load(stop); i++) {
        if ((i % 4 == 3 ? basin_compact(basin) : basin_settle(basin)) != ST_OK) {
            break;
        }
    }
    return NULL;
}

static unsigned sum_of(struct writer *writers, bool done)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        sum += atomic_load(done ? &writers[i].done : &writers[i].begun);
    }
    return sum;
}

/* Asks again and again while all keys are written, or deleted. */
static void phase(struct writer *writers, bool deletes)
{
    const unsigned all = WRITERS * WRITER_KEYS;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].deletes = deletes;
        atomic_store(&writers[i].begun, 0);
        atomic_store(&writers[i].done, 0);
        EXPECT_INT(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]), 0);
    }
    bool ended = false;
    while (!ended) {
        uint64_t size = 0;
        unsigned least = sum_of(writers, true);
        ended = least == all;
        EXPECT_INT(size_ask(&session, 0, &size), ST_OK);
        unsigned most = sum_of(writers, false);
        size = deletes ? all - size : size;
        if (size < least || size > most) {
            test_fail(__FILE__, __LINE__, "%llu keys, of at least %u and at most %u",
                      (unsigned long long)size, least, most);
        }
        basin_forget(basin, 2, size);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        EXPECT(!writers[i].failed);
    }
}

TEST(while_threads_write_the_number_is_that_of_a_moment_since_it_was_asked)
{
    static struct writer writers[WRITERS];
    struct basin_options options = basin_options_default();
    options.dir = test_dir();
    options.shards = 4;
    options.sync = WLOG_SYNC_NO;
    options.settle_log = 16 << 10;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    session_open(&session, basin);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.number = i};
        session_open(&writers[i].session, basin);
    }
    pthread_t keeper;
    _Atomic bool stop = false;
    EXPECT_INT(pthread_create(&keeper, NULL, keeper_run, &stop), 0);
    struct basin_stats stats = {.shards = 0};
    unsigned phases = 0;
    for (; phases < PHASES_MAX && stats.storage.merge_passes < PASSES; phases++) {
        phase(writers, phases % 2 == 1);
        basin_get_stats(basin, &stats);
    }
    atomic_store(&stop, true);
    pthread_join(keeper, NULL);
    EXPECT(phases < PHASES_MAX);
    for (unsigned i = 0; i < WRITERS; i++) {
        session_close(&writers[i].session);
    }
    session_close(&session);
    basin_close(basin);
}
