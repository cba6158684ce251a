/* The whole engine on the simulated disk, with values of every type, against what it held itself:
 * whatever the disk does, what comes back after a power cut is the state after some command between
 * the last acknowledged and the last issued one (W1, W3), with groups whole (W2). Each life has
 * other shards and limits, so values come back in other shapes than they had. */
#include "engine/basin.h"
#include "tests/lib/census.h"
#include "tests/lib/chores.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define STATES_MAX 512

struct trial {
    struct sim_disk *disk;
    struct basin *basin;
    struct session session;
    uint64_t chance, now_ms;
    /* What the store held after each command since the last acknowledged one: [0] is that. */
    struct buf states[STATES_MAX];
    unsigned state_count;
    unsigned growth; /* See chore_issue. */
    bool blind;      /* A state could not be read: what is cold lies on the disk that fails. */
};

static enum status store_open(struct trial *trial)
{
    struct basin_options options = basin_options_default();
    options.dir = "store";
    options.io = sim_disk_io(trial->disk);
    options.shards = 1u << test_random_below(&trial->chance, 5);
    options.replay_threads = 1 + (unsigned)test_random_below(&trial->chance, 3);
    options.limits = chores_limits(&trial->chance, options.limits);
    options.segment_size = 32 << 10; /* Many rotations, and frames that cut groups in two. */
    options.flushes_max = 1 + (unsigned)test_random_below(&trial->chance, 4);
    /* Some settle every few effects, some never. */
    options.settle_log = test_random_below(&trial->chance, 2) == 0 ? 4096 : 64 << 20;
    enum status status = basin_open(&options, &trial->basin);
    if (status == ST_OK) {
        session_open(&trial->session, trial->basin);
        trial->session.pump = true;
        trial->session.now_ms = trial->now_ms;
    }
    return status;
}

static void store_close(struct trial *trial)
{
    session_close(&trial->session);
    basin_close(trial->basin);
    trial->basin = NULL;
}

/* The power is cut. Whoever is closed after that must not reach the disk any more. */
static void cut(struct sim_disk *disk, struct basin *basin)
{
    sim_disk_crash(disk);
    sim_disk_set_off(disk, true);
    basin_close(basin);
    sim_disk_set_off(disk, false);
}

static void store_cut(struct trial *trial)
{
    session_close(&trial->session);
    cut(trial->disk, trial->basin);
    trial->basin = NULL;
}

static enum status state_take(struct trial *trial, struct buf *out)
{
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    return census_take(&trial->session, keys, CHORES_KEYS, out);
}

/* Issues commands until one fails, a number is reached, or the disk is to be cut; some are waited
 * for (acknowledged), most are not. In every other life that is rare, so that more gathers than one
 * frame holds. */
static void work(struct trial *trial, unsigned commands)
{
    unsigned rest = test_random_below(&trial->chance, 2) == 0 ? 8 : 50;
    for (unsigned i = 0; i < commands && trial->state_count < STATES_MAX; i++) {
        enum status status = chore_issue(&trial->session, &trial->chance, trial->growth);
        trial->now_ms = trial->session.now_ms;
        if (status != ST_OK) {
            EXPECT(status == ST_IO || status == ST_FULL);
            return;
        }
        status = state_take(trial, &trial->states[trial->state_count++]);
        if (status != ST_OK) {
            EXPECT_INT(status, ST_IO);
            trial->blind = true;
            return;
        }
        switch (test_random_below(&trial->chance, rest)) {
        case 0:
            if (basin_wait(trial->basin, basin_end(trial->basin)) != ST_OK) {
                return;
            }
            /* Acknowledged: earlier states are out of the question. */
            struct buf first = trial->states[0];
            trial->states[0] = trial->states[trial->state_count - 1];
            trial->states[trial->state_count - 1] = first;
            trial->state_count = 1;
            break;
        case 1:
        case 2:
            basin_flush(trial->basin);
            break;
        case 3:
            basin_reap(trial->basin);
            break;
        default:
            break;
        }
    }
    if (rest > 8) {
        basin_flush(trial->basin); /* What comes next comes while frames are on their way. */
    }
}

static void expect_a_state(struct trial *trial)
{
    struct buf now = BUF_EMPTY;
    EXPECT_INT(state_take(trial, &now), ST_OK);
    bool found = trial->blind;
    for (unsigned i = 0; i < trial->state_count && !found; i++) {
        found = bytes_equal(buf_bytes(&now), buf_bytes(&trial->states[i]));
    }
    for (unsigned i = 0; i < trial->state_count && !found; i++) {
        printf("not the state %u of %u:\n", i, trial->state_count);
        census_differ(buf_bytes(&trial->states[i]), buf_bytes(&now));
    }
    EXPECT(found);
    /* From here on only this one. */
    buf_deinit(&trial->states[0]);
    trial->states[0] = now;
    trial->state_count = 1;
}

static void trial_begin(struct trial *trial, struct sim_disk *disk, uint64_t seed)
{
    memset(trial, 0, sizeof(*trial));
    trial->disk = disk;
    trial->chance = seed * 2 + 1;
    trial->now_ms = 1000;
    trial->growth = 6 * (unsigned)test_random_below(&trial->chance, 3);
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    for (unsigned i = 0; i < CHORES_KEYS; i++) {
        EXPECT_INT(buf_append(&trial->states[0], keys[i]), ST_OK);
        EXPECT_INT(buf_append(&trial->states[0], bytes_of_text(" none -1 \n")), ST_OK);
    }
    trial->state_count = 1;
}

static void trial_end(struct trial *trial)
{
    for (unsigned i = 0; i < STATES_MAX; i++) {
        buf_deinit(&trial->states[i]);
    }
}

static void power_cuts(unsigned rounds, unsigned lives)
{
    static struct trial trial;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t seed = test_seed() + round;
        struct sim_disk *disk = sim_disk_new(seed);
        trial_begin(&trial, disk, seed);
        for (unsigned life = 0; life < lives; life++) {
            EXPECT_INT(store_open(&trial), ST_OK);
            expect_a_state(&trial);
            work(&trial, 1 + (unsigned)test_random_below(&trial.chance, 60));
            store_cut(&trial);
        }
        trial_end(&trial);
        sim_disk_free(disk);
    }
}

TEST(after_any_power_cut_the_store_is_as_it_was_after_some_command_not_before_the_last_acknowledged)
{
    power_cuts(150, 6);
}

TEST(a_power_cut_during_recovery_loses_nothing_either)
{
    static struct trial trial;
    for (unsigned round = 0; round < 100; round++) {
        uint64_t seed = test_seed() + 7000 + round;
        struct sim_disk *disk = sim_disk_new(seed);
        trial_begin(&trial, disk, seed);
        for (unsigned life = 0; life < 4; life++) {
            EXPECT_INT(store_open(&trial), ST_OK);
            expect_a_state(&trial);
            work(&trial, 30);
            store_cut(&trial);
            /* Recoveries that do not get far. */
            for (unsigned cut = 0; cut < 3; cut++) {
                sim_disk_fail_from(disk, 1 + (unsigned)test_random_below(&trial.chance, 25), ST_IO);
                if (store_open(&trial) == ST_OK) {
                    store_cut(&trial);
                } else {
                    sim_disk_crash(disk);
                }
            }
        }
        trial_end(&trial);
        sim_disk_free(disk);
    }
}

TEST(whichever_io_call_fails_no_acknowledged_command_is_lost)
{
    static struct trial trial;
    FOR_EACH_FAULT(disk)
    {
        trial_begin(&trial, disk, test_seed());
        if (store_open(&trial) == ST_OK) {
            work(&trial, 40);
            if (basin_dead(trial.basin)) {
                /* W4: writes are refused for good, reads go on. */
                EXPECT_INT(session_set(&trial.session, "text:0", bytes_of_text("x")), ST_IO);
                struct buf now = BUF_EMPTY;
                enum status status = state_take(&trial, &now);
                EXPECT(status == ST_OK || status == ST_IO); /* That: what is cold. */
                buf_deinit(&now);
            }
            store_close(&trial);
        }
        sim_disk_crash(disk);
        EXPECT_INT(store_open(&trial), ST_OK);
        expect_a_state(&trial);
        store_close(&trial);
        trial_end(&trial);
    }
}

/* A manifest whose saving failed is perhaps what the next start finds: the files that it names must
 * be there. */
TEST(whichever_io_call_fails_while_merging_the_next_start_finds_all_files)
{
    FOR_EACH_FAULT(disk)
    {
        struct basin_options options = basin_options_default();
        options.dir = "store";
        options.io = sim_disk_io(disk);
        options.segment_size = 32 << 10;
        options.shards = 1;
        struct basin *basin = NULL;
        struct session session;
        sim_disk_set_crash(disk, SIM_CRASH_KEEP_ALL);
        if (basin_open(&options, &basin) == ST_OK) {
            bool fine = true;
            session_open(&session, basin);
            session.pump = true;
            for (unsigned i = 0; i < 2 && fine; i++) {
                fine = session_set(&session, "k", bytes_of_text("value")) == ST_OK &&
                       basin_settle(basin) == ST_OK && basin_compact(basin) == ST_OK;
            }
            session_close(&session);
        }
        cut(disk, basin);
        EXPECT_INT(basin_open(&options, &basin), ST_OK);
        session_open(&session, basin);
        session.pump = true;
        EXPECT_INT(session_set(&session, "k", bytes_of_text("value")), ST_OK);
        EXPECT_INT(basin_settle(basin), ST_OK);
        EXPECT_INT(basin_compact(basin), ST_OK);
        session_close(&session);
        basin_close(basin);
    }
}

static unsigned files(struct io *io, const char *path)
{
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_INT(io_dir_list(io, path, &names, &count), ST_OK);
    free(names);
    return (unsigned)count;
}

/* … and go once another manifest was saved. */
TEST(whichever_io_call_fails_while_merging_no_file_is_left_that_nobody_names)
{
    FOR_EACH_FAULT(disk)
    {
        struct basin_options options = basin_options_default();
        options.dir = "store";
        options.io = sim_disk_io(disk);
        options.segment_size = 32 << 10;
        options.shards = 1;
        struct basin *basin = NULL;
        struct session session;
        if (basin_open(&options, &basin) != ST_OK) {
            continue;
        }
        session_open(&session, basin);
        session.pump = true;
        enum status settled = ST_OK;
        bool failed = false; /* The fault met a merge, and not the removal of a file. */
        for (unsigned i = 0; i < 2 && settled == ST_OK; i++) {
            settled = session_set(&session, "k", bytes_of_text("value"));
            settled = settled == ST_OK ? basin_settle(basin) : settled;
            failed |= settled == ST_OK && basin_compact(basin) != ST_OK;
        }
        if (failed && basin_compact(basin) == ST_OK) {
            struct basin_stats stats;
            basin_get_stats(basin, &stats);
            EXPECT_INT(files(options.io, "store/strata"), stats.storage.strata);
        }
        session_close(&session);
        basin_close(basin);
    }
}
