#include "tests/model/model_life.h"

#include "engine/base/check.h"
#include "tests/model/model_check.h"
#include "tests/model/model_damage.h"
#include "tests/model/model_ops.h"

#include <inttypes.h>
#include <stdio.h>

#define LIVES 6
#define STARTS_CUT_MAX 3

/* -- Housekeeping -------------------------------------------------------------------------------
 */

static void settle(struct world *world)
{
    world_tell(world, "settle");
    tally.settles += world_answer(world, "a settle round", basin_settle(world->basin));
}

static void merge(struct world *world)
{
    world_tell(world, "merge");
    tally.merges += world_answer(world, "a merge", basin_compact(world->basin));
}

static void evict(struct world *world)
{
    uint64_t odds = 1ull << world_below(world, 4);
    uint64_t count = basin_forget(world->basin, odds, world->chance);
    world_tell(world, "forget one in %" PRIu64 ": %" PRIu64, odds, count);
    tally.evicted += count;
}

/* What is used least goes, if memory has a bound. */
static void evict_to_bound(struct world *world)
{
    struct basin_stats before;
    struct basin_stats after;
    basin_get_stats(world->basin, &before);
    enum status status = basin_evict(world->basin, world->session->txn, world->now_ms, UINT64_MAX);
    basin_get_stats(world->basin, &after);
    world_tell(world, "evict: %s", status_name(status));
    if (after.evicted_keys > before.evicted_keys) {
        world_fail(world, "keys were deleted for want of memory");
    }
}

/* Time goes on, and keys expire. */
static void pass_time(struct world *world)
{
    world->now_ms += world_below(world, world_one_in(world, 8) ? 500 : 20);
    if (world_one_in(world, 30)) { /* So long that merges throw expired keys away. */
        world->now_ms += 90000;
    }
    sim_disk_advance(world->disk, 1000 * world_below(world, 1000));
    if (world_one_in(world, 3)) {
        world_tell(world, "tick");
        (void)basin_tick(world->basin, world->session->txn, 0, 1, world->now_ms, 1000);
    }
}

static void keep_house(struct world *world)
{
    switch (world_below(world, world->plan.rest)) {
    case 0:
    case 1:
        basin_flush(world->basin);
        break;
    case 2:
    case 3:
        basin_reap(world->basin);
        break;
    case 4:
        pass_time(world);
        break;
    case 5:
        if (basin_wait(world->basin, basin_end(world->basin)) != ST_OK) {
            (void)world_answer(world, "a wait for the log", ST_IO);
        }
        break;
    default:
        break;
    }
    if (world_one_in(world, world->plan.settle_odds)) {
        settle(world);
    }
    if (world_one_in(world, world->plan.settle_odds * 2)) {
        merge(world);
    }
    if (world_one_in(world, world->plan.settle_odds)) {
        evict(world);
    }
    if (world_one_in(world, world->plan.settle_odds)) {
        evict_to_bound(world);
    }
}

static void step(struct world *world)
{
    tally.steps++;
    world->crowded = true;
    operation_do(world);
    keep_house(world);
    world->crowded = false;
    world_acknowledge(world);
}

/* -- Weather ------------------------------------------------------------------------------------
 */

static void lay_fault(struct world *world)
{
    unsigned n = 1 + (unsigned)world_below(world, 1ull << (1 + world_below(world, 9)));
    world->foul = true;
    switch (world_below(world, 3)) {
    case 0:
        world_tell(world, "from call %u on the device is gone", n);
        sim_disk_fail_from(world->disk, n, ST_IO);
        return;
    case 1:
        world_tell(world, "call %u fails", n);
        sim_disk_fail_after(world->disk, n, ST_IO);
        return;
    default:
        world_tell(world, "call %u finds the disk full", n);
        sim_disk_fail_after(world->disk, n, ST_FULL);
        return;
    }
}

/* The disk is full for some steps. What was refused meanwhile goes on, unless settling has ended:
 * without threads it does not wait. */
static void fill_disk(struct world *world)
{
    uint64_t space = sim_disk_used(world->disk) + world_below(world, 200 << 10);
    world_tell(world, "no more than %" PRIu64 " bytes", space);
    tally.full_disks++;
    world->foul = true;
    sim_disk_set_space(world->disk, space);
    for (uint64_t i = world_below(world, 60); i > 0 && !world->torn; i--) {
        step(world);
    }
    world_tell(world, "space again");
    sim_disk_set_space(world->disk, UINT64_MAX);
    for (unsigned i = 0; i < 20; i++) {
        sim_disk_advance(world->disk, 500 * 1000);
        basin_reap(world->basin);
    }
    if (!basin_dead(world->basin) && basin_settle(world->basin) == ST_OK) {
        world->foul = false;
        world->was_full = 3;
    }
}

/* -- A life -------------------------------------------------------------------------------------
 */

static void cut(struct world *world)
{
    tally.cuts++;
    world_tell(world, "power cut");
    world_crash(world);
}

/* Starts, perhaps not getting far at first. The disk is healed before. exact: see check_recovered.
 */
static void start(struct world *world, bool exact)
{
    world->foul = false;
    world->was_full = 0;
    unsigned cuts = world->plan.fouls && world_one_in(world, 3)
                        ? (unsigned)world_below(world, STARTS_CUT_MAX)
                        : 0;
    for (; cuts > 0; cuts--) {
        tally.starts_cut++;
        unsigned n = 1 + (unsigned)world_below(world, 40);
        world_tell(world, "a start that is cut off at call %u", n);
        sim_disk_fail_from(world->disk, n, ST_IO);
        enum status status = world_open(world);
        if (status != ST_OK && status != ST_IO) {
            world_fail(world, "a start without a device answers %s", status_name(status));
        }
        world_crash(world);
    }
    world_tell(world, "start");
    enum status status = world_open(world);
    if (status != ST_OK) {
        world_fail(world, "a start answers %s", status_name(status));
    }
    check_recovered(world, exact);
    world->life++;
}

/* The next life is that of a backup: it holds all that there is now. False: none was made. */
static bool move_to_backup(struct world *world)
{
    char dir[WORLD_DIR_MAX];
    snprintf(dir, sizeof(dir), WORLD_DIR "-%u", world->life);
    if (!world_answer(world, "a sync", basin_sync(world->basin))) {
        return false;
    }
    world_acknowledge(world);
    world_tell(world, "a backup to %s", dir);
    sim_disk_set_poor(world->disk, world_one_in(world, 3));
    enum status status = basin_backup(world->basin, dir, NULL);
    sim_disk_set_poor(world->disk, false);
    if (!world_answer(world, "a backup", status)) {
        return false;
    }
    tally.backups++;
    snprintf(world->dir, sizeof(world->dir), "%s", dir);
    return true;
}

/* True: closed in peace, or left for a backup, and nothing may be lost. */
static bool end(struct world *world)
{
    world_acknowledge(world);
    bool moved = !world->torn && world_one_in(world, 4) && move_to_backup(world);
    sim_disk_fail_from(world->disk, 0, ST_IO);
    if (world->plan.crashes && !world_one_in(world, 4)) {
        cut(world);
        return moved;
    }
    world_tell(world, "stop");
    bool dead = basin_dead(world->basin);
    world_close(world);
    return moved || (!dead && !world->foul);
}

static void live(struct world *world)
{
    unsigned steps = 1 + (unsigned)world_below(world, world->plan.steps);
    unsigned foul_at = world->plan.fouls ? (unsigned)world_below(world, steps * 2) : steps;
    for (unsigned i = 0; i < steps && !world->torn; i++) {
        if (i == foul_at) {
            if (world_one_in(world, 3)) {
                fill_disk(world);
            } else {
                lay_fault(world);
            }
        }
        step(world);
    }
}

void life_trial(uint64_t seed, bool tells)
{
    static struct world world;
    world_init(&world, seed, tells);
    bool exact = true;
    unsigned lives = 1 + (unsigned)world_below(&world, LIVES);
    for (unsigned i = 0; i < lives && !world.torn; i++) {
        start(&world, exact);
        live(&world);
        exact = end(&world);
    }
    if (!world.torn) {
        start(&world, exact);
        if (world_one_in(&world, 3)) {
            damage_live(&world);
        }
        world_close(&world);
    }
    world_deinit(&world);
}

/* -- A sweep ------------------------------------------------------------------------------------
 */

enum sweep { SWEEP_GONE, SWEEP_FAILS, SWEEP_FULL, SWEEPS };

/* True: the fault was met. */
static bool sweep_once(struct world *world, enum sweep sweep, unsigned n)
{
    start(world, true);
    world->foul = true;
    if (sweep == SWEEP_GONE) {
        sim_disk_fail_from(world->disk, n, ST_IO);
    } else {
        sim_disk_fail_after(world->disk, n, sweep == SWEEP_FAILS ? ST_IO : ST_FULL);
    }
    for (unsigned i = 0; i < world->plan.steps && !world->torn; i++) {
        step(world);
    }
    bool met = sim_disk_faults_met(world->disk) > 0;
    sim_disk_fail_from(world->disk, 0, ST_IO);
    world_acknowledge(world);
    cut(world);
    if (!world->torn) {
        start(world, false);
        cut(world);
        start(world, false);
    }
    return met;
}

/* Lives differ a hundredfold in how many calls they make: with a stride, the later the sparser. */
static unsigned step_of(unsigned stride, unsigned n)
{
    return stride == 1 ? 1 : stride + n / 32;
}

void life_sweep(uint64_t seed, unsigned stride, bool tells)
{
    static struct world world;
    for (enum sweep sweep = 0; sweep < SWEEPS; sweep++) {
        bool met = true;
        for (unsigned n = 1 + (unsigned)(seed % stride); met; n += step_of(stride, n)) {
            world_init(&world, seed, tells);
            world.sweep = sweep + 1;
            world.sweep_call = n;
            world.plan.texts = world.plan.texts > 40 ? 40 : world.plan.texts;
            world.plan.steps = 60;
            world.plan.settle_odds = 8;
            world.plan.fouls = false;
            met = sweep_once(&world, sweep, n);
            world_close(&world);
            world_deinit(&world);
        }
    }
}
