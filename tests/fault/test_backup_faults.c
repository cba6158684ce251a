/* Backups (B3 of backup_copy.h) of which every call fails in turn, or during which the power goes
 * or the disk is full. */
#include "engine/txn/store.h"

#include "engine/base/log.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/site.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define STORE "/store"
#define COPY "/copy"

static struct sim_disk *disk;

enum failing { ONCE_IO, ONCE_FULL, FROM_THERE, FAILINGS };

static void fail_at(enum failing failing, unsigned call)
{
    if (failing == FROM_THERE) {
        sim_disk_fail_from(disk, call, ST_IO);
    } else {
        sim_disk_fail_after(disk, call, failing == ONCE_FULL ? ST_FULL : ST_IO);
    }
}

/* Absent, refused, or whole; never another store. */
static void expect_none_or_whole(const struct buf *state, bool made)
{
    struct site copy;
    if (!site_has_dir(disk, COPY)) {
        EXPECT(!made);
        return;
    }
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_INT(io_dir_list(sim_disk_io(disk), COPY, &names, &count), ST_OK);
    free(names);
    if (count == 0) {
        EXPECT(!made); /* Not even marked: as if it had been made by hand. */
        return;
    }
    enum status status = site_open(&copy, disk, COPY, 64 << 20, 1);
    if (status == ST_OK) {
        site_expect(&copy, state);
        site_close(&copy);
    } else {
        EXPECT_INT(status, ST_CORRUPT);
        EXPECT(!made);
    }
}

/* One round of the loop: gives whether a fault was met. */
static bool backup_with_fault(enum failing failing, unsigned call, bool poor, unsigned *left_behind)
{
    struct site source;
    struct buf state = BUF_EMPTY;
    disk = sim_disk_new(test_seed() + call);
    sim_disk_set_poor(disk, poor);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, test_seed()), ST_OK);
    site_fill(&source, 64 << 20);
    EXPECT_INT(basin_sync(source.basin), ST_OK); /* So that the fault meets the backup alone. */
    site_state(&source, &state);
    const char *fault = NULL;
    fail_at(failing, call);
    enum status status = basin_backup(source.basin, COPY, &fault);
    bool met = sim_disk_faults_met(disk) > 0;
    EXPECT((status == ST_OK) == !met);
    EXPECT((status == ST_OK) == (fault == NULL));
    if (met && failing != FROM_THERE) {
        EXPECT_INT(status, failing == ONCE_FULL ? ST_FULL : ST_IO);
        *left_behind += site_has_dir(disk, COPY);
        /* The source is well, and another try succeeds. */
        site_work(&source, 3);
        EXPECT_INT(basin_backup(source.basin, "/second", NULL), ST_OK);
        EXPECT_INT(basin_sync(source.basin), ST_OK);
        site_state(&source, &state);
    }
    sim_disk_crash(disk);
    sim_disk_set_off(disk, true);
    site_close(&source);
    sim_disk_set_off(disk, false);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, test_seed()), ST_OK);
    site_expect(&source, &state);
    if (!met || failing == FROM_THERE) {
        expect_none_or_whole(&state, status == ST_OK);
    } else {
        EXPECT(!site_has_dir(disk, COPY));
    }
    site_close(&source);
    buf_deinit(&state);
    sim_disk_free(disk);
    return met;
}

/* B3 */
TEST(whichever_call_fails_or_when_the_power_goes_the_copy_is_absent_refused_or_whole)
{
    log_set_file("/dev/null");
    for (unsigned poor = 0; poor < 2; poor++) {
        for (enum failing failing = ONCE_IO; failing < FAILINGS; failing++) {
            unsigned call = 1;
            unsigned left_behind = 0;
            while (backup_with_fault(failing, call, poor != 0, &left_behind)) {
                call++;
            }
            EXPECT(call > (failing == ONCE_FULL ? 15 : 30));
            EXPECT_INT(left_behind, 0);
        }
    }
    log_set_file(NULL);
}

/* The call fails, and the power goes some calls later, while what was made is removed. Gives how
 * many faults were met. */
static unsigned backup_with_two_faults(unsigned call, unsigned again, bool poor, unsigned *refused)
{
    struct site source;
    struct buf state = BUF_EMPTY;
    disk = sim_disk_new(test_seed() + call * 100 + again);
    sim_disk_set_poor(disk, poor);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, test_seed()), ST_OK);
    site_fill(&source, 64 << 20);
    EXPECT_INT(basin_sync(source.basin), ST_OK);
    site_state(&source, &state);
    sim_disk_fail_after(disk, call, ST_IO);
    sim_disk_fail_again(disk, again);
    enum status status = basin_backup(source.basin, COPY, NULL);
    unsigned met = sim_disk_faults_met(disk);
    sim_disk_crash(disk);
    sim_disk_set_off(disk, true);
    site_close(&source);
    sim_disk_set_off(disk, false);
    *refused += met > 1 && site_has_dir(disk, COPY);
    expect_none_or_whole(&state, status == ST_OK);
    EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, test_seed()), ST_OK);
    site_expect(&source, &state);
    site_close(&source);
    buf_deinit(&state);
    sim_disk_free(disk);
    return met;
}

/* B3 */
TEST(a_power_cut_while_a_failed_backup_is_removed_leaves_none_a_refused_or_a_whole_one)
{
    log_set_file("/dev/null");
    for (unsigned poor = 0; poor < 2; poor++) {
        unsigned refused = 0;
        unsigned call = 1;
        unsigned met = 1;
        for (; met > 0; call++) {
            unsigned again = 1;
            do {
                met = backup_with_two_faults(call, again++, poor != 0, &refused);
            } while (met > 1);
        }
        EXPECT(call > 30 && refused > 100);
    }
    log_set_file(NULL);
}

TEST(a_backup_without_space_says_so_and_gives_back_what_it_took)
{
    struct site source;
    unsigned full = 0;
    log_set_file("/dev/null");
    for (unsigned poor = 0; poor < 2; poor++) {
        disk = sim_disk_new(test_seed() + poor);
        sim_disk_set_poor(disk, poor != 0);
        EXPECT_INT(site_open(&source, disk, STORE, 64 << 20, 1), ST_OK);
        site_fill(&source, 64 << 20);
        EXPECT_INT(basin_sync(source.basin), ST_OK);
        uint64_t used = sim_disk_used(disk);
        for (uint64_t space = 0; space < used + 100000; space += used / 70) {
            const char *fault = NULL;
            sim_disk_set_space(disk, used + space);
            enum status status = basin_backup(source.basin, COPY, &fault);
            if (status == ST_OK) {
                break;
            }
            EXPECT_INT(status, ST_FULL);
            EXPECT(fault != NULL);
            EXPECT(!site_has_dir(disk, COPY));
            EXPECT_INT(sim_disk_used(disk), used);
            full++;
        }
        EXPECT(site_has_dir(disk, COPY));
        site_close(&source);
        sim_disk_free(disk);
    }
    EXPECT(full >= 4);
    log_set_file(NULL);
}

/* W3 for the copy: what is damaged is said now, not when it is needed. */
TEST(a_damaged_log_is_not_backed_up)
{
    struct site source;
    const char *fault = NULL;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 0, 1), ST_OK);
    site_work(&source, 30);
    EXPECT_INT(basin_sync(source.basin), ST_OK);
    sim_disk_corrupt(disk, STORE "/txlogs/writing/tx.log", 1000, 1);
    log_set_file("/dev/null");
    EXPECT_INT(basin_backup(source.basin, COPY, &fault), ST_CORRUPT);
    log_set_file(NULL);
    EXPECT_TEXT(fault, "the write log cannot be copied");
    EXPECT(!site_has_dir(disk, COPY));
    site_close(&source);
    sim_disk_free(disk);
}

/* And damage in the copy's log is told from its end, to the last byte (W3). */
TEST(a_backup_whose_log_was_damaged_is_refused)
{
    struct site source;
    struct site copy;
    disk = sim_disk_new(test_seed());
    EXPECT_INT(site_open(&source, disk, STORE, 0, 1), ST_OK);
    site_work(&source, 30);
    EXPECT_INT(basin_backup(source.basin, COPY, NULL), ST_OK);
    const char *path = COPY "/txlogs/reading/tx-0000000000000001.log";
    uint64_t size = sim_disk_size_raw(disk, path);
    sim_disk_corrupt(disk, path, size - SIM_SECTOR_SIZE, 64);
    log_set_file("/dev/null");
    EXPECT_INT(site_open(&copy, disk, COPY, 0, 1), ST_CORRUPT);
    log_set_file(NULL);
    site_close(&source);
    sim_disk_free(disk);
}
