#include "tests/model/model_world.h"

#include "engine/base/check.h"
#include "tests/lib/census.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"
#include "tests/model/model_check.h"
#include "tests/model/model_ops.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Calls of patience after which a txn that waits in fair weather is stuck. */
#define PATIENCE 3000
#define PATIENCE_FOUL 60

struct tally tally;

uint64_t world_below(struct world *world, uint64_t bound)
{
    return test_random_below(&world->chance, bound);
}

bool world_one_in(struct world *world, uint64_t odds)
{
    return world_below(world, odds) == 0;
}

void world_fail(struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("FAILED: seed %" PRIu64 ", life %u, operation %" PRIu64 ": ", world->seed, world->life,
           world->state.operations);
    vprintf(format, list);
    va_end(list);
    printf("\n        again: --seed %" PRIu64 " --rounds 1 --tell", world->seed);
    if (world->sweep > 0) {
        printf(" --sweep (of kind %u, call %u)", world->sweep, world->sweep_call);
    }
    printf("\n");
    fflush(stdout);
    exit(1);
}

void world_tell(struct world *world, const char *format, ...)
{
    if (world->tells) {
        va_list list;
        va_start(list, format);
        printf("%6" PRIu64 " ", world->state.operations);
        vprintf(format, list);
        va_end(list);
        printf("\n");
        fflush(stdout);
    }
}

bool world_answer(struct world *world, const char *what, enum status status)
{
    if (status == ST_OK) {
        return true;
    }
    bool first = status == ST_FULL && world->was_full > 0;
    if (first) {
        world->was_full--;
        sim_disk_advance(world->disk, 1000 * 1000);
        basin_reap(world->basin);
    }
    bool fair = first || (!world_alone(world) && status == ST_WAIT) ||
                (world->foul && (status == ST_IO || status == ST_FULL || status == ST_WAIT)) ||
                (world->damaged && status == ST_CORRUPT);
    if (!fair) {
        world_fail(world, "%s answers %s", what,
                   status == ST_WAIT ? "nothing, however long one waits" : status_name(status));
    }
    if (world->session->torn) {
        world_tell(world, "half of a group was done");
        world->torn = true;
        world->session->torn = false;
        tally.torn++;
    }
    tally.refused++;
    tally.corrupt += status == ST_CORRUPT;
    world_tell(world, "%s: %s", what, status_name(status));
    return false;
}

/* -- Names --------------------------------------------------------------------------------------
 */

size_t world_keys(const struct world *world)
{
    return world->plan.texts + CHORES_KEYS;
}

/* One in 16 is long. */
static size_t name_size(size_t key)
{
    return key % 16 == 15 ? 100 + key * 37 % 1100 : 0;
}

static void names_make(struct world *world)
{
    world->names = calloc(world->plan.texts, sizeof(*world->names));
    CHECK(world->names != NULL);
    for (size_t key = 0; key < world->plan.texts; key++) {
        char text[WORLD_NAME_MAX];
        int size = snprintf(text, sizeof(text), "k%zu ", key);
        size_t filled = name_size(key);
        if (filled > (size_t)size) {
            memset(text + size, 'x', filled - (size_t)size);
            size = (int)filled;
        }
        CHECK(buf_append(&world->names[key], bytes_of(text, (size_t)size)) == ST_OK);
    }
}

struct bytes world_name(struct world *world, size_t key)
{
    if (key < world->plan.texts) {
        return buf_bytes(&world->names[key]);
    }
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    return keys[key - world->plan.texts];
}

size_t world_key(struct world *world, struct bytes name)
{
    size_t key = SIZE_MAX;
    const char *text = name.data;
    if (name.size > 1 && text[0] == 'k') {
        key = 0;
        for (size_t i = 1; i < name.size && text[i] >= '0' && text[i] <= '9'; i++) {
            key = key * 10 + (size_t)(text[i] - '0');
        }
        key = key < world->plan.texts ? key : SIZE_MAX;
    } else {
        for (size_t i = world->plan.texts; i < world_keys(world) && key == SIZE_MAX; i++) {
            key = bytes_equal(world_name(world, i), name) ? i : SIZE_MAX;
        }
    }
    return key != SIZE_MAX && bytes_equal(world_name(world, key), name) ? key : SIZE_MAX;
}

/* -- A trial ------------------------------------------------------------------------------------
 */

static void plan_draw(struct world *world)
{
    struct plan *plan = &world->plan;
    static const size_t texts[] = {3, 20, 150, 1000, 3000};
    plan->texts = texts[world_below(world, 5)];
    plan->texts += world_below(world, plan->texts);
    plan->large = world_one_in(world, 2);
    plan->settle_log = (1ull << 10) << world_below(world, 7);
    plan->steps = 20u << world_below(world, plan->texts > 500 ? 4 : 6);
    plan->text_max = world_one_in(world, 3) ? 3000 : 60;
    if (plan->large && plan->texts < 300 && world_one_in(world, 2)) {
        plan->text_max = 30000;
    }
    plan->settle_odds = 4u << world_below(world, 6);
    plan->rest = world_one_in(world, 2) ? 10 : 100;
    plan->crashes = !world_one_in(world, 8);
    plan->fouls = world_one_in(world, 2);
    plan->flushes = !world_one_in(world, 3);
}

/* The store is writing a stratum, and waits for the device. */
static void meanwhile(void *ctx)
{
    struct world *world = ctx;
    if (!world->crowded || !world_alone(world) || !world_one_in(world, 3)) {
        return;
    }
    unsigned waits = world->waits;
    world_tell(world, "meanwhile");
    world->session = &world->sessions[1];
    world->waits = 0;
    for (uint64_t i = 1 + world_below(world, 3); i > 0; i--) {
        tally.meanwhile++;
        operation_meanwhile(world);
        check_moment(world);
    }
    world->session = &world->sessions[0];
    world->waits = waits;
}

void world_init(struct world *world, uint64_t seed, bool tells)
{
    *world = (struct world){.seed = seed, .chance = seed * 2 + 1, .tells = tells};
    (void)test_random(&world->chance); /* Seeds that are near each other part ways. */
    plan_draw(world);
    names_make(world);
    world->session = &world->sessions[0];
    world->disk = sim_disk_new(seed);
    snprintf(world->dir, sizeof(world->dir), WORLD_DIR);
    sim_disk_set_meanwhile(world->disk, "/strata/", meanwhile, world);
    state_init(&world->state, world_keys(world));
    world_shadow_renew(world);
}

static void shadow_close(struct world *world)
{
    if (world->shadow != NULL) {
        session_close(&world->shadow_session);
        basin_close(world->shadow);
        world->shadow = NULL;
    }
}

/* What the disk did to what was not durable. */
static void disk_tally(const struct sim_disk *disk)
{
    struct sim_disk_stats stats;
    sim_disk_get_stats(disk, &stats);
    tally.faults += sim_disk_faults_met(disk);
    tally.sectors_kept += stats.sectors_kept;
    tally.sectors_lost += stats.sectors_lost;
    tally.sectors_torn += stats.sectors_torn;
    tally.reordered += stats.writes_reordered;
    tally.names_kept += stats.names_kept;
    tally.names_lost += stats.names_lost;
}

void world_deinit(struct world *world)
{
    CHECK(world->basin == NULL);
    shadow_close(world);
    disk_tally(world->disk);
    state_deinit(&world->state);
    sim_disk_free(world->disk);
    for (size_t key = 0; key < world->plan.texts; key++) {
        buf_deinit(&world->names[key]);
    }
    free(world->names);
    buf_deinit(&world->text);
}

/* -- The store ----------------------------------------------------------------------------------
 */

static struct value_limits limits_draw(struct world *world)
{
    struct value_limits defaults = basin_options_default().limits;
    return world->plan.large ? chores_limits(&world->chance, defaults)
                             : chores_limits_packed(defaults);
}

bool world_alone(const struct world *world)
{
    return world->session == &world->sessions[0];
}

void world_ready(struct world *world)
{
    if (!world_alone(world)) { /* Whoever is in the midst of something has begun at this time. */
        world->session->now_ms = world->now_ms;
        return;
    }
    uint64_t wall_ms = io_wall_ms(sim_disk_io(world->disk));
    if (wall_ms < world->now_ms) {
        sim_disk_advance(world->disk, (world->now_ms - wall_ms) * 1000);
    } else {
        world->now_ms = wall_ms;
    }
    world->waits = 0;
    world->session->now_ms = world->shadow_session.now_ms = world->now_ms;
}

static bool patience(void *ctx)
{
    struct world *world = ctx;
    sim_disk_advance(world->disk, 1000);
    return ++world->waits < (world->foul || !world_alone(world) ? PATIENCE_FOUL : PATIENCE);
}

enum status world_open(struct world *world)
{
    struct basin_options options = basin_options_default();
    options.dir = world->dir;
    options.io = sim_disk_io(world->disk);
    options.shards = 1u << world_below(world, 5);
    options.replay_threads = 1 + (unsigned)world_below(world, 3);
    options.limits = limits_draw(world);
    options.segment_size = 64 << 10;
    options.unflushed_max = (64u << 10) << world_below(world, 5);
    options.flushes_max = 1 + (unsigned)world_below(world, 4);
    options.settle_log = world->plan.settle_log;
    options.memory.max = world_one_in(world, 2) ? 0 : (64u << 10) << world_below(world, 7);
    options.simulate_misses = world_one_in(world, 4);
    sim_disk_set_reap(world->disk, (enum sim_reap)world_below(world, 4));
    enum status status = basin_open(&options, &world->basin);
    if (status != ST_OK) {
        world->basin = NULL;
        return status;
    }
    if (world_one_in(world, 2)) {
        status_ignore(reader_new(world->basin, &world->reader), "a ring may be refused too");
    }
    world->session = &world->sessions[0];
    for (unsigned i = 0; i < 2; i++) {
        session_open(&world->sessions[i], world->basin);
        session_use_reader(&world->sessions[i], world->reader);
        world->sessions[i].pump = true;
        world->sessions[i].patience = patience;
        world->sessions[i].patience_ctx = world;
    }
    tally.lives++;
    return ST_OK;
}

void world_close(struct world *world)
{
    if (world->basin != NULL) {
        struct basin_stats stats;
        basin_get_stats(world->basin, &stats);
        tally.loads += stats.loads;
        tally.rounds += stats.storage.settle_rounds;
        tally.passes += stats.storage.merge_passes;
        tally.moved += stats.storage.moved_bytes;
        tally.purged += stats.storage.purged_keys;
        tally.expired += stats.expired_keys;
        session_close(&world->sessions[0]);
        session_close(&world->sessions[1]);
        reader_free(world->reader);
        world->reader = NULL;
        basin_close(world->basin);
        world->basin = NULL;
    }
}

void world_crash(struct world *world)
{
    sim_disk_crash(world->disk);
    sim_disk_set_off(world->disk, true);
    world_close(world);
    sim_disk_set_off(world->disk, false);
}

void world_acknowledge(struct world *world)
{
    state_acknowledge(&world->state, basin_durable(world->basin));
}

/* -- Reading ------------------------------------------------------------------------------------
 */

struct reading {
    struct world *world;
    struct cell *cell;
};

static enum status read_cell(struct txn *txn, void *ctx)
{
    struct reading *reading = ctx;
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (!reading->world->plan.large && value.type != VALUE_NONE && value.shape == VALUE_CLAST) {
        world_fail(reading->world, "a %s is large, which the plan forbids",
                   value_type_name(value.type));
    }
    reading->cell->type = value.type;
    reading->cell->expiry_ms = value.type == VALUE_NONE ? BASIN_NO_EXPIRY : txn_expiry(txn, 0);
    reading->cell->value.size = 0;
    status = census_value(&value, &reading->cell->value);
    if (status != ST_OK) {
        return status;
    }
    /* Of a clast parts may be absent that no reader needs, and then there is no check. */
    if (value.shape == VALUE_PACKED && !value_check(&value)) {
        world_fail(reading->world, "a %s fails its check", value_type_name(value.type));
    }
    return ST_OK;
}

enum status world_read(struct world *world, unsigned database, size_t key, struct cell *cell_out)
{
    struct reading reading = {world, cell_out};
    struct bytes name = world_name(world, key);
    world_ready(world);
    return session_run(world->session, database, &name, 1, false, 0, read_cell, &reading);
}

/* -- The shadow ---------------------------------------------------------------------------------
 */

static enum status encode_value(struct txn *txn, void *ctx)
{
    struct cell *cell = ctx;
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    cell->type = value.type;
    cell->expiry_ms = value.type == VALUE_NONE ? BASIN_NO_EXPIRY : txn_expiry(txn, 0);
    cell->value.size = 0;
    return value.type == VALUE_NONE ? ST_OK : value_encode(&value, &cell->value);
}

static enum status put_value(struct txn *txn, void *ctx)
{
    const struct cell *cell = ctx;
    return txn_put_encoded(txn, 0, buf_bytes(&cell->value), cell->expiry_ms);
}

static void shadow_copy(struct world *world, unsigned database, struct bytes key)
{
    struct cell cell = {.type = VALUE_NONE};
    enum status status =
        session_run(world->session, database, &key, 1, false, 0, encode_value, &cell);
    if (world_answer(world, "a read for the shadow", status) && cell.type != VALUE_NONE) {
        status = session_run(&world->shadow_session, database, &key, 1, false, 0, put_value, &cell);
        if (status != ST_OK) {
            world_fail(world, "the shadow cannot take what was read: %s", status_name(status));
        }
    }
    buf_deinit(&cell.value);
}

void world_shadow_renew(struct world *world)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    options.io = sim_disk_io(world->disk);
    options.shards = 1;
    options.limits = limits_draw(world);
    shadow_close(world);
    enum status status = basin_open(&options, &world->shadow);
    if (status != ST_OK) {
        world->shadow = NULL;
        world_fail(world, "the shadow does not open: %s", status_name(status));
    }
    session_open(&world->shadow_session, world->shadow);
    world->shadow_session.now_ms = world->now_ms;
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    for (unsigned d = 0; world->basin != NULL && d < STATE_DATABASES; d++) {
        for (size_t i = 0; i < CHORES_KEYS; i++) {
            world_ready(world);
            shadow_copy(world, d, keys[i]);
        }
    }
}
