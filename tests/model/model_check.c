#include "tests/model/model_check.h"

#include "engine/base/check.h"
#include "tests/lib/census.h"
#include "tests/model/model_ops.h"

#include <inttypes.h>
#include <stdio.h>

static void cell_describe(const struct cell *cell, uint64_t now_ms, char *text, size_t size)
{
    if (!cell_live(cell, now_ms)) {
        snprintf(text, size, "nothing (%s, expiry %" PRId64 ")", value_type_name(cell->type),
                 cell->expiry_ms);
    } else {
        snprintf(text, size, "%s, expiry %" PRId64 ", %zu bytes: %.*s", value_type_name(cell->type),
                 cell->expiry_ms, cell->value.size,
                 (int)(cell->value.size < 60 ? cell->value.size : 60),
                 (const char *)cell->value.data);
    }
}

static void cell_differs(struct world *world, const char *where, unsigned database, size_t key,
                         const struct cell *found)
{
    char expected_text[256];
    char found_text[256];
    cell_describe(state_cell(&world->state, database, key), world->now_ms, expected_text,
                  sizeof(expected_text));
    cell_describe(found, world->now_ms, found_text, sizeof(found_text));
    world_fail(world,
               "%s, key %zu of database %u at %" PRIu64 ":\n    expected %s\n    found    %s",
               where, key, database, world->now_ms, expected_text, found_text);
}

void check_cell(struct world *world, const char *where, unsigned database, size_t key,
                const struct cell *found)
{
    if (!cells_equal(state_cell(&world->state, database, key), found, world->now_ms)) {
        cell_differs(world, where, database, key, found);
    }
}

static enum status read_plainly(struct txn *txn, void *ctx)
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
    return census_value(&value, &cell->value);
}

void check_read_from(struct world *world, struct session *session, unsigned database, size_t key,
                     struct cell *cell_out)
{
    struct bytes name = world_name(world, key);
    enum status status = session_run(session, database, &name, 1, false, 0, read_plainly, cell_out);
    if (status != ST_OK) {
        world_fail(world, "the shadow answers %s", status_name(status));
    }
}

void check_all(struct world *world)
{
    struct cell found = {.type = VALUE_NONE};
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        for (size_t key = 0; key < world_keys(world); key++) {
            if (world_answer(world, "a read", world_read(world, d, key, &found))) {
                check_cell(world, "a read of all", d, key, &found);
            }
        }
    }
    buf_deinit(&found.value);
}

/* -- Sizes --------------------------------------------------------------------------------------
 */

/* A database at one moment. Keys that have expired may be counted or not. */
struct moment {
    uint64_t live, expired;
};

struct sizing {
    unsigned database;
    uint64_t size;
    struct buf moments; /* struct moment, since the command began. */
};

void check_moment(struct world *world)
{
    struct sizing *sizing = world->sizing;
    if (sizing == NULL) {
        return;
    }
    struct moment moment = {.live = 0};
    for (size_t key = 0; key < world_keys(world); key++) {
        const struct cell *cell = state_cell(&world->state, sizing->database, key);
        bool live = cell_live(cell, world->now_ms);
        moment.live += live;
        moment.expired += (cell->type != VALUE_NONE || cell->unsure) && !live;
    }
    CHECK(buf_append(&sizing->moments, bytes_of(&moment, sizeof(moment))) == ST_OK);
}

/* It is the number of some moment since the command began. */
static void size_judge(struct world *world, const struct sizing *sizing)
{
    const struct moment *moments = (const struct moment *)(const void *)sizing->moments.data;
    size_t count = sizing->moments.size / sizeof(*moments);
    for (size_t i = 0; i < count; i++) {
        if (sizing->size >= moments[i].live &&
            sizing->size <= moments[i].live + moments[i].expired) {
            return;
        }
    }
    world_fail(world,
               "database %u has %" PRIu64 " keys, not %" PRIu64 " (and %" PRIu64
               " that expired), nor what it had in %zu moments since",
               sizing->database, sizing->size, moments[0].live, moments[0].expired, count - 1);
}

static enum status size_run(struct txn *txn, void *ctx)
{
    struct sizing *sizing = ctx;
    return txn_database_size(txn, sizing->database, &sizing->size);
}

void check_size(struct world *world, unsigned database)
{
    struct sizing sizing = {.database = database};
    struct sizing *around = world->sizing;
    world_ready(world);
    world->sizing = &sizing;
    check_moment(world);
    enum status status = session_run(world->session, 0, NULL, 0, true, 0, size_run, &sizing);
    world->sizing = around;
    world_tell(world, "size of %u: %" PRIu64, database, sizing.size);
    if (status == ST_FULL) {
        world_fail(world, "a size wants room on the disk");
    }
    if (world_answer(world, "a size", status)) {
        tally.sizes++;
        size_judge(world, &sizing);
    }
    buf_deinit(&sizing.moments);
}

/* -- Scans --------------------------------------------------------------------------------------
 */

struct scanning {
    struct world *world;
    unsigned database;
    uint64_t number, cursor, next, count;
    struct buf keys; /* struct given */
};

struct given {
    size_t key;
    enum value_type type;
    int64_t expiry_ms;
};

static bool scan_take(void *ctx, const struct txn_scan_key *key)
{
    struct scanning *scanning = ctx;
    struct given given = {world_key(scanning->world, key->name), key->type, key->expiry_ms};
    if (given.key == SIZE_MAX) {
        world_fail(scanning->world, "a scan gives the unknown key \"%.*s\"", (int)key->name.size,
                   (const char *)key->name.data);
    }
    CHECK(buf_append(&scanning->keys, bytes_of(&given, sizeof(given))) == ST_OK);
    return true;
}

static enum status scan_run(struct txn *txn, void *ctx)
{
    struct scanning *scanning = ctx;
    scanning->keys.size = 0; /* Of a run that ended in a miss. */
    return txn_scan(txn, scanning->database, scanning->cursor, scanning->count, scan_take, scanning,
                    &scanning->next);
}

static void scan_step_check(struct scanning *scanning, bool once)
{
    struct world *world = scanning->world;
    const struct given *given = (const struct given *)(const void *)scanning->keys.data;
    for (size_t i = 0; i < scanning->keys.size / sizeof(*given); i++) {
        struct cell *cell = state_cell(&world->state, scanning->database, given[i].key);
        if (!cell_live(cell, world->now_ms) || cell->type != given[i].type ||
            cell->expiry_ms != given[i].expiry_ms) {
            struct cell found = {.type = given[i].type, .expiry_ms = given[i].expiry_ms};
            cell_differs(world, "a scan gives", scanning->database, given[i].key, &found);
        }
        if (cell->met == scanning->number && once) {
            world_fail(world, "a scan gives key %zu of database %u twice", given[i].key,
                       scanning->database);
        }
        cell->met = scanning->number;
    }
}

static void scan_end_check(const struct scanning *scanning, uint64_t begin)
{
    struct world *world = scanning->world;
    unsigned database = scanning->database;
    for (size_t key = 0; key < world_keys(world); key++) {
        const struct cell *cell = state_cell(&world->state, database, key);
        if (cell_live(cell, world->now_ms) && cell->born <= begin &&
            cell->met != scanning->number) {
            world_fail(world,
                       "a scan of database %u leaves out key %zu, there since %" PRIu64
                       " (the scan began after %" PRIu64 ")",
                       database, key, cell->born, begin);
        }
    }
}

void check_scan(struct world *world, unsigned database, bool with_operations)
{
    struct scanning scanning = {.world = world, .database = database};
    uint64_t begin = world->state.operations;
    uint64_t epoch = world->state.epoch;
    bool answered = true;
    if (world->scanning) {
        return;
    }
    world->scanning = true;
    scanning.number = ++world->scans;
    tally.scans++;
    do {
        scanning.cursor = scanning.next;
        scanning.count =
            1 + world_keys(world) / 50 + world_below(world, 1u << world_below(world, 10));
        world_ready(world);
        world->session->now_ms = world->now_ms;
        enum status status = session_run(world->session, 0, NULL, 0, true, 0, scan_run, &scanning);
        world_tell(world, "scan of %u from %" PRIx64 " to %" PRIx64, database, scanning.cursor,
                   scanning.next);
        answered = world_answer(world, "a scan", status);
        if (answered) {
            scan_step_check(&scanning, !with_operations);
        }
        for (uint64_t i = with_operations ? world_below(world, 6) : 0; i > 0; i--) {
            operation_group(world);
        }
        if (with_operations && world_one_in(world, 4)) {
            tally.evicted += basin_forget(world->basin, 1 + world_below(world, 4), world->chance);
        }
    } while (answered && scanning.next != 0 && world->state.epoch == epoch);
    if (answered && world->state.epoch == epoch) {
        scan_end_check(&scanning, begin);
    }
    buf_deinit(&scanning.keys);
    world->scanning = false;
}

/* -- A random key -------------------------------------------------------------------------------
 */

struct picking {
    struct world *world;
    unsigned database;
    size_t key;
    bool found;
};

static enum status pick_run(struct txn *txn, void *ctx)
{
    struct picking *picking = ctx;
    struct bytes name = BYTES_NONE;
    enum status status = txn_random_key(txn, picking->database, &name, &picking->found);
    if (status == ST_OK && picking->found) {
        picking->key = world_key(picking->world, name);
    }
    return status;
}

void check_random_key(struct world *world, unsigned database)
{
    struct picking picking = {.world = world, .database = database};
    world_ready(world);
    enum status status = session_run(world->session, 0, NULL, 0, true, 0, pick_run, &picking);
    world_tell(world, "random key of %u", database);
    if (!world_answer(world, "a random key", status)) {
        return;
    }
    size_t live = 0;
    for (size_t key = 0; key < world_keys(world); key++) {
        live += cell_live(state_cell(&world->state, database, key), world->now_ms);
    }
    bool right = picking.found ? picking.key != SIZE_MAX &&
                                     cell_live(state_cell(&world->state, database, picking.key),
                                               world->now_ms)
                               : live == 0;
    if (!right) {
        world_fail(world, "a random key of database %u, which has %zu: %s %zu", database, live,
                   picking.found ? "" : "none", picking.key);
    }
}

/* -- After a start ------------------------------------------------------------------------------
 */

static void found_read(struct world *world, struct state *found)
{
    state_init(found, world_keys(world));
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        for (size_t key = 0; key < world_keys(world); key++) {
            enum status status = world_read(world, d, key, state_cell(found, d, key));
            if (status != ST_OK) {
                world_fail(world, "after a start a read of key %zu of database %u answers %s", key,
                           d, status_name(status));
            }
        }
    }
}

/* The first cell in which they differ; false: none. */
static bool states_differ(const struct world *world, const struct state *found,
                          unsigned *database_out, size_t *key_out)
{
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        for (size_t key = 0; key < world_keys(world); key++) {
            if (!cells_equal(state_cell(&world->state, d, key), state_cell(found, d, key),
                             world->now_ms)) {
                *database_out = d;
                *key_out = key;
                return true;
            }
        }
    }
    return false;
}

static size_t differences(const struct world *world, const struct state *found)
{
    size_t count = 0;
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        for (size_t key = 0; key < world_keys(world); key++) {
            count += !cells_equal(state_cell(&world->state, d, key), state_cell(found, d, key),
                                  world->now_ms);
        }
    }
    return count;
}

/* Goes back until the state is what was found. If none is, the nearest is told of. */
static void find_state(struct world *world, const struct state *found, bool exact)
{
    size_t open = state_open_count(&world->state);
    state_doubt(&world->state);
    size_t least = SIZE_MAX;
    char text[1024] = "";
    unsigned database = 0;
    size_t key = 0;
    while (states_differ(world, found, &database, &key)) {
        size_t count = differences(world, found);
        if (count < least) {
            char expected_text[256];
            char found_text[256];
            least = count;
            cell_describe(state_cell(&world->state, database, key), world->now_ms, expected_text,
                          sizeof(expected_text));
            cell_describe(state_cell(found, database, key), world->now_ms, found_text,
                          sizeof(found_text));
            snprintf(text, sizeof(text),
                     "nearest is the state after operation %" PRIu64 ", where %zu keys differ; the "
                     "first is %zu of database %u:\n    expected %s\n    found    %s",
                     world->state.operations, count, key, database, expected_text, found_text);
        }
        if (exact || !state_back(&world->state)) {
            world_fail(world, "%s, of %zu operations that might be lost; %s",
                       exact ? "after a clean stop" : "after a start", open, text);
        }
        tally.steps_back++;
    }
}

void check_recovered(struct world *world, bool exact)
{
    struct state found;
    found_read(world, &found);
    find_state(world, &found, exact);
    state_deinit(&found);
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        if (world_one_in(world, 2)) {
            check_size(world, d);
        }
        if (world_one_in(world, 2)) {
            tally.evicted += basin_forget(world->basin, 1, world->chance);
        }
        check_scan(world, d, false);
    }
    state_settle(&world->state);
    world_shadow_renew(world);
}
