/* Strata on a disk that fails at any call and loses power. The unit test is test_stratum.c. */
#include "engine/strata/stratum.h"

#include "engine/base/log.h"
#include "tests/lib/batch.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdlib.h>

static enum status open_and_check(struct sim_disk *disk, const struct batch *batch)
{
    struct stratum *stratum;
    enum status status =
        stratum_open(sim_disk_io(disk), BATCH_DIR, BATCH_STORE, batch->id, true, &stratum);
    if (status == ST_OK) {
        status = batch_check(batch, stratum);
        stratum_unref(stratum);
    }
    return status;
}

static void survive_write_fault(struct sim_disk *disk, const struct batch *batch, bool cut)
{
    struct io *io = sim_disk_io(disk);
    enum status status = batch_make_dirs(io);
    if (status == ST_OK) {
        status = batch_write(batch, io, BATCH_DIR);
    }
    EXPECT(status == ST_OK || status == ST_IO || status == ST_FULL);
    if (cut) {
        sim_disk_crash(disk);
    } else {
        sim_disk_fail_from(disk, 0, ST_IO);
    }
    enum status seen = open_and_check(disk, batch);
    if (status == ST_OK) {
        EXPECT_INT(seen, ST_OK);
    } else {
        /* The name comes after the bytes, whatever a power cut keeps. */
        EXPECT(seen == ST_ABSENT || seen == ST_OK);
    }
    /* Under the next id all goes well, whatever was left. */
    struct batch *next = batch_new(test_seed(), batch->id + 1, 50, 0, 10);
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    EXPECT_INT(batch_write(next, io, BATCH_DIR), ST_OK);
    sim_disk_crash(disk);
    EXPECT_INT(open_and_check(disk, next), ST_OK);
    batch_free(next);
}

TEST(stratum_that_was_finished_is_there_after_a_power_cut_whichever_io_call_fails)
{
    struct batch *batch = batch_new(test_seed(), 1, 400, 0, 9000);
    batch->find_every = 10;
    log_set_file("/dev/null");
    FOR_EACH_FAULT(disk)
    {
        survive_write_fault(disk, batch, true);
    }
    log_set_file(NULL);
    batch_free(batch);
}

TEST(stratum_that_was_not_finished_leaves_no_name_whichever_io_call_fails)
{
    struct batch *batch = batch_new(test_seed(), 1, 30, 0, 100000);
    log_set_file("/dev/null");
    FOR_EACH_FAULT(disk)
    {
        survive_write_fault(disk, batch, false);
    }
    log_set_file(NULL);
    batch_free(batch);
}

/* A call that failed once is made again; unless a sync failed, the second time all goes well. */
TEST(stratum_is_whole_after_any_call_that_failed_once_was_made_again)
{
    struct batch *batch = batch_new(test_seed(), 1, 400, 0, 9000);
    batch->find_every = 10;
    unsigned healed = 0;
    log_set_file("/dev/null");
    for (enum status fault = ST_FULL; fault <= ST_IO; fault++) {
        for (unsigned call = 1;; call++) {
            struct sim_disk *disk = sim_disk_new(test_seed() + call);
            struct sim_disk_stats stats;
            EXPECT_INT(batch_make_dirs(sim_disk_io(disk)), ST_OK);
            sim_disk_get_stats(disk, &stats);
            uint64_t syncs = stats.syncs + stats.dir_syncs;
            sim_disk_fail_after(disk, call, fault);
            enum status status = batch_write(batch, sim_disk_io(disk), BATCH_DIR);
            sim_disk_get_stats(disk, &stats);
            bool met = sim_disk_faults_met(disk) > 0;
            /* Both syncs went well, and so the rest did. */
            EXPECT((status == ST_OK) == (stats.syncs + stats.dir_syncs >= syncs + 2));
            EXPECT(fault == ST_IO || status == ST_OK);
            sim_disk_crash(disk);
            EXPECT(status != ST_OK || open_and_check(disk, batch) == ST_OK);
            healed += met && status == ST_OK;
            sim_disk_free(disk);
            if (!met) {
                break;
            }
        }
    }
    log_set_file(NULL);
    EXPECT(healed > 10);
    batch_free(batch);
}

/* No failure of the device is taken for damage, and a reading that failed can be made again. */
TEST(stratum_reading_says_io_and_goes_on_later_whichever_call_fails)
{
    struct batch *batch = batch_new(test_seed(), 1, 60, 0, 50);
    log_set_file("/dev/null");
    for (unsigned call = 1;; call++) {
        struct sim_disk *disk = sim_disk_new(test_seed() + call);
        EXPECT_INT(batch_make_dirs(sim_disk_io(disk)), ST_OK);
        EXPECT_INT(batch_write(batch, sim_disk_io(disk), BATCH_DIR), ST_OK);
        sim_disk_fail_after(disk, call, ST_IO);
        enum status status = open_and_check(disk, batch);
        bool met = sim_disk_faults_met(disk) > 0;
        EXPECT_INT(status, met ? ST_IO : ST_OK);
        sim_disk_fail_from(disk, 0, ST_IO);
        EXPECT_INT(open_and_check(disk, batch), ST_OK);
        sim_disk_free(disk);
        if (!met) {
            break;
        }
    }
    log_set_file(NULL);
    batch_free(batch);
}

TEST(stratum_cursor_goes_on_where_a_read_failed)
{
    struct batch *batch = batch_new(test_seed(), 1, 20000, 0, 0);
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    struct stratum *stratum;
    struct stratum_cursor *cursor;
    log_set_file("/dev/null");
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    EXPECT_INT(batch_write(batch, io, BATCH_DIR), ST_OK);
    EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, 1, true, &stratum), ST_OK);
    EXPECT_INT(stratum_cursor_new(stratum, 0, &cursor), ST_OK);
    struct row row;
    bool found = true;
    unsigned count = 0;
    unsigned failures = 0;
    sim_disk_fail_after(disk, 1, ST_IO);
    while (found) {
        enum status status = stratum_cursor_next(cursor, &row, &found);
        if (status != ST_OK) {
            EXPECT_INT(status, ST_IO);
            failures++;
            EXPECT_INT(stratum_cursor_next(cursor, &row, &found), ST_OK);
            sim_disk_fail_after(disk, 1, ST_IO); /* The next read fails too, once. */
        }
        EXPECT(!found || row.place == batch->rows[count].place);
        count += found;
    }
    EXPECT_INT(count, batch->count);
    EXPECT(failures >= 3);
    stratum_cursor_free(cursor);
    stratum_unref(stratum);
    log_set_file(NULL);
    sim_disk_free(disk);
    batch_free(batch);
}

/* Deleting and punching may fail: that costs space, never a byte that is needed. */
TEST(stratum_keeps_its_grains_whichever_call_of_giving_space_back_fails)
{
    struct batch *batch = batch_new(test_seed(), 1, 200, 0, 50);
    log_set_file("/dev/null");
    for (unsigned round = 0; round < 40; round++) {
        struct sim_disk *disk = sim_disk_new(test_seed() + round);
        struct io *io = sim_disk_io(disk);
        struct stratum *stratum;
        struct stratum *grains;
        EXPECT_INT(batch_make_dirs(io), ST_OK);
        EXPECT_INT(batch_write(batch, io, BATCH_DIR), ST_OK);
        EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, 1, true, &stratum), ST_OK);
        sim_disk_fail_after(disk, round % 4, ST_IO); /* 0: none. */
        stratum_doom_run(stratum);
        stratum_unref(stratum);
        sim_disk_crash(disk);
        EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, 1, false, &grains), ST_OK);
        unsigned char *data = malloc(batch->grains.size);
        EXPECT(data != NULL);
        EXPECT_INT(stratum_read(grains, STRATUM_GRAINS_START, data, batch->grains.size), ST_OK);
        EXPECT(memcmp(data, batch->grains.data, batch->grains.size) == 0);
        free(data);
        sim_disk_fail_after(disk, round % 2, ST_IO);
        stratum_doom(grains);
        stratum_unref(grains);
        sim_disk_fail_from(disk, 0, ST_IO);
        enum status left = stratum_open(io, BATCH_DIR, BATCH_STORE, 1, false, &grains);
        EXPECT_INT(left, round % 2 == 0 ? ST_ABSENT : ST_OK);
        if (left == ST_OK) {
            stratum_unref(grains);
        }
        sim_disk_free(disk);
    }
    log_set_file(NULL);
    batch_free(batch);
}
