/* Backups (B1 and B2 of backup_copy.h) on a simulated disk, where rounds, merges and writes happen
 * between any two of a backup's writes; and what is refused. What fails: tests/fault. */
#include "engine/txn/store.h"

#include "engine/base/log.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/site.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define STORE "/store"
#define COPY "/copy"
#define SEEDS 20

static struct sim_disk *disk;

/* -- B1, B2: while the store goes on ------------------------------------------------------------
 */

struct others {
    struct site *site;
    unsigned turns;
    bool merges;
};

/* What happens between two writes of the backup. */
static void meanwhile(void *ctx)
{
    struct others *others = ctx;
    struct site *site = others->site;
    others->turns++;
    site_work(site, 3);
    if (others->merges && others->turns % 3 == 0) {
        EXPECT_INT(basin_settle(site->basin), ST_OK);
        basin_forget(site->basin, 2, others->turns);
    }
    if (others->merges && others->turns % 7 == 0) {
        EXPECT_INT(basin_compact(site->basin), ST_OK);
    }
    basin_reap(site->basin); /* The log's files: named, recycled. */
}

/* Changes both and holds each against its own past: what they share harms neither. */
static void go_separate_ways(struct site *source, struct site *copy)
{
    struct buf state = BUF_EMPTY;
    struct buf copy_state = BUF_EMPTY;
    for (unsigned round = 0; round < 6; round++) {
        struct site *busy = round % 2 == 0 ? copy : source;
        struct site *idle = round % 2 == 0 ? source : copy;
        site_state(idle, &state);
        site_work(busy, 15);
        EXPECT_INT(basin_settle(busy->basin), ST_OK);
        EXPECT_INT(basin_compact(busy->basin), ST_OK);
        basin_forget(busy->basin, 1, 1);
        site_state(busy, &copy_state);
        basin_forget(idle->basin, 1, 1);
        site_expect(idle, &state);
    }
    buf_deinit(&state);
    buf_deinit(&copy_state);
}

static void backup_while_it_goes_on(uint64_t seed, uint64_t settle_log, bool poor)
{
    struct site source;
    struct site copy;
    struct buf state = BUF_EMPTY;
    struct buf end_state = BUF_EMPTY;
    struct basin_stats stats;
    disk = sim_disk_new(seed);
    sim_disk_set_poor(disk, poor);
    sim_disk_set_alignment(disk, seed % 2 == 0 ? 512 : 4096);
    EXPECT_INT(site_open(&source, disk, STORE, settle_log, seed), ST_OK);
    site_fill(&source, settle_log);
    site_state(&source, &state);
    uint64_t lsn = basin_end(source.basin);
    struct others others = {&source, 0, settle_log > 0};
    sim_disk_set_meanwhile(disk, COPY, meanwhile, &others);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
    EXPECT(others.turns >= 6);
    basin_get_stats(source.basin, &stats);
    EXPECT_INT(stats.backup.lsn, lsn);
    EXPECT_INT(stats.backup.strata_done, stats.backup.strata);
    EXPECT((stats.backup.strata > 0) == (settle_log > 0));
    EXPECT(poor ? stats.backup.linked_bytes == 0
                : (stats.backup.linked_bytes > 0) == (settle_log > 0));
    EXPECT(stats.backup.copied_bytes > 0);

    EXPECT_INT(site_open(&copy, disk, COPY, settle_log, seed + 1), ST_OK);
    site_expect(&copy, &state);
    if (settle_log > 0) {
        go_separate_ways(&source, &copy);
    }
    site_state(&source, &end_state);
    site_close(&copy);
    site_close(&source);
    EXPECT_INT(site_open(&source, disk, STORE, settle_log, seed), ST_OK);
    site_expect(&source, &end_state);
    site_close(&source);
    buf_deinit(&state);
    buf_deinit(&end_state);
    sim_disk_free(disk);
}

/* B1, B2 */
TEST(a_backup_is_the_store_of_one_moment_though_rounds_and_merges_end_meanwhile)
{
    for (unsigned i = 0; i < SEEDS; i++) {
        backup_while_it_goes_on(test_seed() + i, 64 << 20, false);
    }
}

/* B1, B2 */
TEST(a_backup_that_is_copied_for_want_of_links_is_the_store_of_one_moment_too)
{
    for (unsigned i = 0; i < SEEDS; i++) {
        backup_while_it_goes_on(test_seed() + i, 64 << 20, true);
    }
}

/* B1 */
TEST(a_store_that_does_not_settle_is_its_log_and_so_is_the_backup)
{
    for (unsigned i = 0; i < SEEDS; i++) {
        backup_while_it_goes_on(test_seed() + i, 0, i % 2 == 0);
    }
}

static unsigned bare_count(const struct site *site)
{
    unsigned count = 0;
    for (size_t i = 0; i < site->basin->manifest.stratum_count; i++) {
        count += site->basin->manifest.strata[i].bare;
    }
    return count;
}

/* B2: the index of a file that has two names is nobody's to give back. */
TEST(merging_gives_no_index_back_that_the_backup_still_uses)
{
    unsigned bare = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        struct site source;
        struct site copy;
        struct buf state = BUF_EMPTY;
        disk = sim_disk_new(test_seed() + i);
        EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, test_seed() + i), ST_OK);
        for (unsigned round = 0; round < 3; round++) {
            site_work(&source, 20);
            EXPECT_INT(basin_settle(source.basin), ST_OK);
        }
        site_state(&source, &state);
        EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
        EXPECT_INT(basin_compact(source.basin), ST_OK);
        bare += bare_count(&source);
        EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 1), ST_OK);
        site_expect(&copy, &state);
        site_close(&copy);
        site_close(&source);
        buf_deinit(&state);
        sim_disk_free(disk);
    }
    EXPECT(bare > 0);
}

#define UPHEAVAL_KEYS 300

/* Keys 0 … UPHEAVAL_KEYS - 1 get values that tell the round. */
static void keys_set(struct site *site, unsigned first, unsigned step, unsigned round)
{
    for (unsigned i = first; i < UPHEAVAL_KEYS; i += step) {
        char key[32];
        char value[400];
        snprintf(key, sizeof(key), "key:%u", i);
        int size = snprintf(value, sizeof(value), "%0300u", round * 1000 + i);
        EXPECT_INT(session_set(&site->session, key, bytes_of(value, (size_t)size)), ST_OK);
    }
}

static void expect_keys(struct site *site, unsigned round)
{
    for (unsigned i = 0; i < UPHEAVAL_KEYS; i++) {
        char key[32];
        char value[400];
        struct buf found = BUF_EMPTY;
        snprintf(key, sizeof(key), "key:%u", i);
        int size = snprintf(value, sizeof(value), "%0300u", round * 1000 + i);
        EXPECT_INT(session_get(&site->session, key, &found), ST_OK);
        EXPECT(bytes_equal(buf_bytes(&found), bytes_of(value, (size_t)size)));
        buf_deinit(&found);
    }
}

struct upheaval {
    struct site *site;
    unsigned turns;
    uint64_t rotations; /* Of the log, at the end of it. */
};

/* The first time: no file of before stays in the manifest, those that were bare in between neither,
 * and the log is used anew from end to end. */
static void upheave(void *ctx)
{
    struct upheaval *upheaval = ctx;
    struct site *site = upheaval->site;
    struct basin *basin = site->basin;
    struct basin_stats stats;
    if (upheaval->turns++ > 0) {
        return;
    }
    uint32_t newest = basin->manifest.strata[basin->manifest.stratum_count - 1].id;
    EXPECT_INT(bare_count(site), 0);
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT(bare_count(site) > 0);
    for (unsigned round = 5; round < 9; round++) {
        keys_set(site, 0, 1, round);
        EXPECT_INT(basin_settle(basin), ST_OK);
        EXPECT_INT(basin_compact(basin), ST_OK);
        basin_reap(basin);
    }
    EXPECT_INT(basin_compact(basin), ST_OK);
    EXPECT(basin->manifest.strata[0].id > newest);
    basin_get_stats(basin, &stats);
    upheaval->rotations = stats.log.rotations;
}

/* B2 */
TEST(nothing_that_a_backup_needs_goes_though_all_of_it_is_thrown_away_meanwhile)
{
    for (unsigned poor = 0; poor < 2; poor++) {
        struct site source;
        struct site copy;
        disk = sim_disk_new(test_seed() + poor);
        sim_disk_set_poor(disk, poor != 0);
        EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
        source.session.wait_durable = true;
        keys_set(&source, 0, 2, 1);
        EXPECT_INT(basin_settle(source.basin), ST_OK);
        keys_set(&source, 1, 2, 1);
        EXPECT_INT(basin_settle(source.basin), ST_OK);
        for (unsigned round = 2; round < 4; round++) {
            keys_set(&source, 0, 1, round); /* In the log alone, in several segments. */
        }
        struct upheaval upheaval = {.site = &source};
        sim_disk_set_meanwhile(disk, COPY, upheave, &upheaval);
        EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
        sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
        EXPECT(upheaval.turns > 1 && upheaval.rotations > 4);
        expect_keys(&source, 8);
        EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 1), ST_OK);
        expect_keys(&copy, 3);
        EXPECT_INT(basin_settle(copy.basin), ST_OK);
        EXPECT_INT(basin_compact(copy.basin), ST_OK);
        basin_forget(copy.basin, 1, 1);
        expect_keys(&copy, 3);
        site_close(&copy);
        site_close(&source);
        sim_disk_free(disk);
    }
}

TEST(what_was_kept_of_the_log_for_a_backup_goes_when_it_has_ended)
{
    struct site source;
    struct basin_stats stats;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    site_fill(&source, 64 << 20);
    struct others others = {&source, 0, true};
    for (unsigned i = 0; i < 5; i++) {
        char dir[32];
        snprintf(dir, sizeof(dir), COPY "%u", i);
        sim_disk_set_meanwhile(disk, COPY, meanwhile, &others);
        EXPECT_INT(basin_backup(source.basin, dir, NULL), ST_OK);
        sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
        EXPECT_INT(basin_settle(source.basin), ST_OK);
        for (unsigned turn = 0; turn < 5; turn++) {
            basin_reap(source.basin);
        }
        basin_get_stats(source.basin, &stats);
        EXPECT(stats.log.segments <= 5); /* The active one, and those that are prepared. */
    }
    EXPECT_INT(stats.backup.made, 5);
    site_close(&source);
    sim_disk_free(disk);
}

TEST(a_backup_of_a_backup_is_the_same_store)
{
    struct site source;
    struct site copy;
    struct buf state = BUF_EMPTY;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    site_fill(&source, 64 << 20);
    site_state(&source, &state);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    site_close(&source);
    /* At once, before a byte was written: the copy's log is all of another life. */
    EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 2), ST_OK);
    EXPECT_INT(basin_backup(copy.basin, "/again", NULL), ST_OK);
    site_close(&copy);
    EXPECT_INT(site_open(&copy, disk, "/again", 64 << 20, 3), ST_OK);
    site_expect(&copy, &state);
    /* And with all of it settled: no log at all. */
    EXPECT_INT(basin_settle(copy.basin), ST_OK);
    EXPECT_INT(basin_backup(copy.basin, "/third", NULL), ST_OK);
    site_close(&copy);
    EXPECT_INT(site_open(&copy, disk, "/third", 64 << 20, 4), ST_OK);
    site_expect(&copy, &state);
    site_close(&copy);
    buf_deinit(&state);
    sim_disk_free(disk);
}

/* Segments of many frames, small and large, read at any alignment. */
TEST(a_long_log_is_copied_whole)
{
    for (size_t alignment = 512; alignment <= 4096; alignment *= 8) {
        struct site source = {.chance = test_seed() * 2 + 1};
        struct site copy;
        struct buf value = BUF_EMPTY;
        struct buf found = BUF_EMPTY;
        disk = sim_disk_new(test_seed());
        sim_disk_set_alignment(disk, alignment);
        struct basin_options options = site_options(disk, STORE, 0, 1);
        options.segment_size = 6 << 20;
        EXPECT_INT(basin_open(&options, &source.basin), ST_OK);
        session_open(&source.session, source.basin);
        source.session.pump = true;
        EXPECT_INT(buf_append(&value, bytes_of_text("x")), ST_OK);
        memset(buf_extend(&value, 300 << 10), 'v', 300 << 10);
        for (unsigned i = 0; i < 200; i++) {
            char key[32];
            snprintf(key, sizeof(key), "key:%u", i);
            size_t size = 1 + test_random_below(&source.chance, i % 3 == 0 ? 300 << 10 : 3000);
            EXPECT_INT(session_set(&source.session, key, bytes_of(value.data, size)), ST_OK);
            EXPECT_INT(session_set(&source.session, "last", bytes_of(value.data, size)), ST_OK);
            if (i % 4 == 0) {
                EXPECT_INT(basin_sync(source.basin), ST_OK);
            }
        }
        EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
        struct basin_stats stats;
        basin_get_stats(source.basin, &stats);
        EXPECT(stats.backup.copied_bytes > basin_end(source.basin));
        EXPECT(stats.log.rotations >= 2);
        site_close(&source);
        EXPECT_INT(site_open(&copy, disk, COPY, 0, 1), ST_OK);
        basin_get_stats(copy.basin, &stats);
        EXPECT_INT(stats.replayed_records, 400);
        EXPECT_INT(session_get(&copy.session, "key:199", &value), ST_OK);
        EXPECT_INT(session_get(&copy.session, "last", &found), ST_OK);
        EXPECT(bytes_equal(buf_bytes(&value), buf_bytes(&found)));
        site_close(&copy);
        buf_deinit(&value);
        buf_deinit(&found);
        sim_disk_free(disk);
    }
}

TEST(the_backup_of_an_empty_store_is_an_empty_store)
{
    struct site source;
    struct site copy;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 1), ST_OK);
    EXPECT_INT(basin_end(copy.basin), basin_end(source.basin));
    site_work(&copy, 20);
    site_close(&copy);
    site_close(&source);
    sim_disk_free(disk);
}

/* -- What is refused --------------------------------------------------------------------------- */

static void expect_refused(struct site *site, const char *dir, enum status expected,
                           const char *text)
{
    const char *fault = NULL;
    EXPECT_INT(basin_backup(site->basin, dir, &fault), expected);
    EXPECT_TEXT(fault, text);
}

TEST(a_directory_that_cannot_serve_is_refused_and_left_as_it_is)
{
    struct site source;
    struct io_file *file = NULL;
    disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    site_work(&source, 5);
    log_set_file("/dev/null");
    EXPECT_INT(io_dir_make(io, "/full"), ST_OK);
    EXPECT_INT(io_file_open(io, "/full/mine", IO_WRITE, &file), ST_OK);
    io_file_close(file);
    expect_refused(&source, "/full", ST_INVALID, "the directory is not empty");
    expect_refused(&source, STORE, ST_INVALID, "the directory is not empty");
    expect_refused(&source, "/not/there", ST_ABSENT, "the directory above it is not there");
    expect_refused(&source, "", ST_INVALID, "the directory's path is empty or too long");
    EXPECT_INT(io_file_open(io, "/full/mine", IO_READ, &file), ST_OK);
    io_file_close(file);
    EXPECT(!site_has_dir(disk, "/not"));
    /* One that is there and empty serves, and stays if the backup fails. */
    EXPECT_INT(io_dir_make(io, COPY), ST_OK);
    sim_disk_fail_after(disk, 30, ST_IO);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_IO);
    EXPECT(site_has_dir(disk, COPY));
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    log_set_file(NULL);
    struct basin_stats stats;
    basin_get_stats(source.basin, &stats);
    EXPECT_INT(stats.backup.made, 1);
    EXPECT_INT(stats.backup.failed, 5);
    EXPECT_INT(stats.backup.status, ST_OK);
    site_close(&source);
    sim_disk_free(disk);
}

/* B3 */
TEST(an_unfinished_backup_is_no_store_and_no_place_for_another)
{
    struct site source;
    struct site copy;
    struct io_file *file = NULL;
    disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    site_work(&source, 5);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    EXPECT_INT(io_file_open(io, COPY "/" MANIFEST_UNFINISHED, IO_WRITE, &file), ST_OK);
    io_file_close(file);
    log_set_file("/dev/null");
    EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 1), ST_CORRUPT);
    expect_refused(&source, COPY, ST_INVALID,
                   "the directory holds a backup that was not finished: remove it");
    log_set_file(NULL);
    EXPECT_INT(io_unlink(io, COPY "/" MANIFEST_UNFINISHED), ST_OK);
    EXPECT_INT(site_open(&copy, disk, COPY, 64 << 20, 1), ST_OK);
    site_close(&copy);
    site_close(&source);
    sim_disk_free(disk);
}

static void ask_meanwhile(void *ctx)
{
    struct site *site = ctx;
    const char *fault = NULL;
    uint64_t asked = 0;
    struct basin_stats stats;
    EXPECT_INT(basin_backup_ask(site->basin, "/other", &asked, &fault), ST_BUSY);
    EXPECT_TEXT(fault, "another one is under way");
    basin_get_stats(site->basin, &stats);
    EXPECT(stats.backup.running);
}

TEST(one_backup_is_made_at_a_time)
{
    struct site source;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
    site_work(&source, 5);
    sim_disk_set_meanwhile(disk, COPY, ask_meanwhile, &source);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    sim_disk_set_meanwhile(disk, NULL, NULL, NULL);
    EXPECT(!site_has_dir(disk, "/other"));
    EXPECT_INT(basin_backup(source.basin, "/other", NULL), ST_OK);
    site_close(&source);
    sim_disk_free(disk);
}

TEST(a_store_in_memory_has_nothing_to_back_up)
{
    struct basin_options options = basin_options_default();
    struct basin *basin = NULL;
    const char *fault = NULL;
    options.memory_only = true;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    EXPECT_INT(basin_backup(basin, "/tmp/never", &fault), ST_INVALID);
    EXPECT_TEXT(fault, "nothing is kept on disk");
    basin_close(basin);
}
