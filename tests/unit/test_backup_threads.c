/* Backups of a store on real files, with its threads, while others write groups of keys (B1). */
#include "engine/base/log.h"
#include "tests/lib/session.h"
#include "tests/lib/test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITERS 2
#define COUNTERS 40

/* A writer sets its counters to 1, 2, 3 …, all in one group each time. */
struct writer {
    struct basin *basin;
    pthread_t thread;
    unsigned number;
    _Atomic uint64_t acknowledged;
    _Atomic bool stop;
};

struct step {
    uint64_t value;
};

static struct bytes counter_name(unsigned writer, unsigned counter, char room[32])
{
    int size = snprintf(room, 32, "w%u:%u", writer, counter);
    return bytes_of(room, (size_t)size);
}

static enum status step_fn(struct txn *txn, void *ctx)
{
    struct step *step = ctx;
    char text[128];
    int size = snprintf(text, sizeof(text), "%080llu", (unsigned long long)step->value);
    enum status status = ST_OK;
    for (unsigned i = 0; i < COUNTERS && status == ST_OK; i++) {
        status = txn_text_set(txn, i, bytes_of(text, (size_t)size), BASIN_NO_EXPIRY);
    }
    return status;
}

static void *write_counters(void *arg)
{
    struct writer *writer = arg;
    struct session session;
    char names[COUNTERS][32];
    struct bytes keys[COUNTERS];
    session_open(&session, writer->basin);
    session.now_ms = 1;
    for (unsigned i = 0; i < COUNTERS; i++) {
        keys[i] = counter_name(writer->number, i, names[i]);
    }
    for (uint64_t value = 1; !atomic_load(&writer->stop); value++) {
        struct step step = {value};
        EXPECT_INT(session_run(&session, 0, keys, COUNTERS, false, 16384, step_fn, &step), ST_OK);
        EXPECT_INT(basin_wait(writer->basin, session.wait_lsn), ST_OK);
        atomic_store(&writer->acknowledged, value);
    }
    session_close(&session);
    return NULL;
}

static struct basin *real_open(const char *dir)
{
    struct basin_options options = basin_options_default();
    struct basin *basin = NULL;
    options.dir = dir;
    log_set_level(LOG_WARNING);
    options.settle_log = 32 << 10; /* Many rounds a second. */
    options.segment_size = 256 << 10;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    return basin;
}

/* All counters of the writer are the same, and not below what was acknowledged before. */
static void expect_counters(struct basin *basin, unsigned writer, uint64_t least, uint64_t most)
{
    struct session session;
    struct buf value = BUF_EMPTY;
    uint64_t first = 0;
    session_open(&session, basin);
    session.now_ms = 1;
    for (unsigned i = 0; i < COUNTERS; i++) {
        char room[32];
        (void)counter_name(writer, i, room);
        value.size = 0;
        EXPECT_INT(session_get(&session, room, &value), ST_OK);
        EXPECT_INT(buf_append(&value, bytes_of("", 1)), ST_OK);
        uint64_t now = strtoull((const char *)value.data, NULL, 10);
        first = i == 0 ? now : first;
        EXPECT_INT(now, first);
    }
    EXPECT(first >= least && first <= most);
    buf_deinit(&value);
    session_close(&session);
}

static void writers_start(struct writer *writers, struct basin *basin)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.basin = basin, .number = i};
        EXPECT_INT(pthread_create(&writers[i].thread, NULL, write_counters, &writers[i]), 0);
        while (atomic_load(&writers[i].acknowledged) == 0) {
            usleep(1000);
        }
    }
}

static void writers_stop(struct writer *writers)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        atomic_store(&writers[i].stop, true);
        pthread_join(writers[i].thread, NULL);
    }
}

/* Waits for so many rounds. */
static void rounds_pass(struct basin *basin, uint64_t count)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    uint64_t until = stats.storage.settle_rounds + count;
    while (stats.storage.settle_rounds < until) {
        usleep(1000);
        basin_get_stats(basin, &stats);
    }
}

/* B1: groups of many keys, in many shards. */
TEST(backups_of_a_busy_store_on_real_files_hold_whole_groups_and_all_that_was_acknowledged)
{
    enum { BACKUPS = 6 };
    static struct writer writers[WRITERS];
    uint64_t least[BACKUPS][WRITERS];
    uint64_t most[BACKUPS][WRITERS];
    char dir[512];
    const char *root = test_dir();
    snprintf(dir, sizeof(dir), "%s/store", root);
    struct basin *basin = real_open(dir);
    writers_start(writers, basin);
    for (unsigned b = 0; b < BACKUPS; b++) {
        rounds_pass(basin, 2);
        for (unsigned i = 0; i < WRITERS; i++) {
            least[b][i] = atomic_load(&writers[i].acknowledged);
        }
        snprintf(dir, sizeof(dir), "%s/copy%u", root, b);
        EXPECT_INT(basin_backup(basin, dir, NULL), ST_OK);
        for (unsigned i = 0; i < WRITERS; i++) {
            most[b][i] = atomic_load(&writers[i].acknowledged) + 1;
        }
    }
    writers_stop(writers);
    basin_close(basin);
    for (unsigned b = 0; b < BACKUPS; b++) {
        snprintf(dir, sizeof(dir), "%s/copy%u", root, b);
        struct basin *copy = real_open(dir);
        for (unsigned i = 0; i < WRITERS; i++) {
            expect_counters(copy, i, least[b][i], most[b][i]);
        }
        basin_close(copy);
    }
}

/* B3 */
TEST(a_store_that_is_closed_gives_up_its_backup_or_has_made_it)
{
    static struct writer writers[WRITERS];
    unsigned made = 0;
    char dir[512];
    char copy_dir[512];
    const char *root = test_dir();
    log_set_file("/dev/null");
    for (unsigned round = 0; round < 12; round++) {
        const char *fault = NULL;
        uint64_t asked = 0;
        uint64_t acknowledged[WRITERS];
        snprintf(dir, sizeof(dir), "%s/store", root);
        snprintf(copy_dir, sizeof(copy_dir), "%s/copy%u", root, round);
        struct basin *basin = real_open(dir);
        writers_start(writers, basin);
        usleep(50000);
        writers_stop(writers);
        for (unsigned i = 0; i < WRITERS; i++) {
            acknowledged[i] = atomic_load(&writers[i].acknowledged);
        }
        EXPECT_INT(basin_backup_ask(basin, copy_dir, &asked, &fault), ST_OK);
        usleep(round * 3000);
        basin_close(basin);
        if (access(copy_dir, F_OK) == 0) {
            made++;
            basin = real_open(copy_dir);
            for (unsigned i = 0; i < WRITERS; i++) {
                expect_counters(basin, i, acknowledged[i], acknowledged[i]);
            }
            basin_close(basin);
        }
    }
    log_set_file(NULL);
    EXPECT(made > 0 && made < 12);
}
