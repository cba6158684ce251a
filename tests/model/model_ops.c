#include "tests/model/model_ops.h"

#include "engine/base/check.h"
#include "tests/lib/census.h"
#include "tests/model/model_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_MAX 6

enum verb {
    SET,
    SET_KEEP,
    SET_NEW,
    DELETE,
    DELETE_SEEN,
    APPEND,
    WRITE,
    EXPIRE,
    RENAME,
    COPY,
    READ,
    LOOK,
    VERBS
};
static const char *const verb_names[VERBS] = {"set",    "set keepttl", "set nx", "delete",
                                              "del",    "append",      "write",  "expire",
                                              "rename", "copy",        "read",   "look"};

struct action {
    enum verb verb;
    unsigned database, to_database;
    size_t key, to_key; /* The second of RENAME and COPY. */
    unsigned number, to_number;
    struct bytes text;
    uint64_t offset;
    int64_t expiry_ms;
};

struct group {
    struct world *world;
    struct action actions[GROUP_MAX];
    unsigned count;
    char *texts; /* Of all actions. */
};

static bool two_keys(const struct action *action)
{
    return action->verb == RENAME || action->verb == COPY;
}

/* -- Drawing ------------------------------------------------------------------------------------
 */

/* Half of the time one of an eighth. */
static size_t key_draw(struct world *world)
{
    size_t texts = world->plan.texts;
    return world_below(world, world_one_in(world, 2) ? texts / 8 + 1 : texts);
}

static bool used(const struct group *group, unsigned database, size_t key)
{
    for (unsigned i = 0; i < group->count; i++) {
        const struct action *action = &group->actions[i];
        if ((action->database == database && action->key == key) ||
            (two_keys(action) && action->to_database == database && action->to_key == key)) {
            return true;
        }
    }
    return false;
}

static struct bytes text_draw(struct world *world, char *text)
{
    size_t size = 1 + world_below(world, world_one_in(world, 4) ? world->plan.text_max : 30);
    char head[32];
    int head_size =
        snprintf(head, sizeof(head), "%llu.", (unsigned long long)world->state.operations);
    for (size_t i = 0; i < size; i++) {
        text[i] = i < (size_t)head_size ? head[i] : (char)('a' + (i * 7 + size) % 26);
    }
    return bytes_of(text, size);
}

static int64_t expiry_draw(struct world *world)
{
    return world_one_in(world, 4) ? (int64_t)(world->now_ms + 1 + world_below(world, 400))
                                  : BASIN_NO_EXPIRY;
}

static void action_draw(struct group *group, struct action *action, char *text)
{
    struct world *world = group->world;
    static const enum verb drawn[] = {SET,         SET,         SET,    SET,   SET_KEEP, SET_NEW,
                                      DELETE,      DELETE_SEEN, APPEND, WRITE, EXPIRE,   RENAME,
                                      DELETE_SEEN, COPY,        READ,   READ,  READ,     LOOK};
    size_t verbs = sizeof(drawn) / sizeof(drawn[0]);
    *action = (struct action){.verb = drawn[world_below(world, verbs)]};
    action->database = (unsigned)world_below(world, STATE_DATABASES);
    action->key = key_draw(world);
    action->to_database =
        world_one_in(world, 3) ? (unsigned)world_below(world, STATE_DATABASES) : action->database;
    action->to_key = key_draw(world);
    action->text = text_draw(world, text);
    action->expiry_ms = expiry_draw(world);
    if (action->verb == EXPIRE && action->expiry_ms != BASIN_NO_EXPIRY) {
        action->expiry_ms -= (int64_t)world_below(world, 100); /* Perhaps at once. */
    }
    const struct cell *cell = state_cell(&world->state, action->database, action->key);
    size_t size = cell_live(cell, world->now_ms) ? cell->value.size : 0;
    action->offset = action->verb == APPEND ? size : world_below(world, size + 20);
    if (action->offset + action->text.size > world->plan.text_max) {
        action->offset = 0;
    }
}

/* The actions, on keys that are all different. */
static void group_draw(struct group *group, unsigned count)
{
    struct world *world = group->world;
    size_t room = world->plan.text_max > 30 ? world->plan.text_max : 30;
    group->texts = malloc(GROUP_MAX * (room + 1));
    CHECK(group->texts != NULL);
    for (unsigned i = 0; i < count; i++) {
        struct action *action = &group->actions[group->count];
        action_draw(group, action, group->texts + i * (room + 1));
        bool same = two_keys(action) && action->database == action->to_database &&
                    action->key == action->to_key;
        if (!same && !used(group, action->database, action->key) &&
            !(two_keys(action) && used(group, action->to_database, action->to_key))) {
            group->count++;
        }
    }
}

/* -- The store's side ---------------------------------------------------------------------------
 */

static bool looks_first(enum verb verb)
{
    return verb == LOOK || verb == DELETE_SEEN || verb == SET_NEW;
}

static bool reads_first(enum verb verb)
{
    return verb != SET && verb != DELETE && !looks_first(verb);
}

/* The key must be as the state says. */
static enum status action_read(struct group *group, struct txn *txn, unsigned number,
                               unsigned database, size_t key)
{
    struct world *world = group->world;
    struct value value;
    enum status status = txn_read(txn, number, &value);
    if (status != ST_OK) {
        return status;
    }
    struct cell found = {.type = value.type};
    found.expiry_ms = value.type == VALUE_NONE ? BASIN_NO_EXPIRY : txn_expiry(txn, number);
    status = census_value(&value, &found.value);
    if (status == ST_OK) {
        check_cell(world, "an operation", database, key, &found);
    }
    buf_deinit(&found.value);
    return status;
}

/* What is told without the value must be as the state says. */
static enum status action_look(struct group *group, struct txn *txn, const struct action *action)
{
    struct world *world = group->world;
    const struct cell *cell = state_cell(&world->state, action->database, action->key);
    bool there = cell_live(cell, world->now_ms);
    struct key_facts facts;
    enum status status = txn_look(txn, action->number, &facts);
    if (status == ST_OK && (facts.type != (there ? cell->type : VALUE_NONE) ||
                            (there && facts.expiry_ms != cell->expiry_ms))) {
        world_fail(world, "a look at key %zu of %u tells type %u, expiry %lld", action->key,
                   action->database, facts.type, (long long)facts.expiry_ms);
    }
    return status;
}

static enum status action_delete_seen(struct group *group, struct txn *txn,
                                      const struct action *action, bool there)
{
    bool existed = !there;
    enum status status = txn_delete(txn, action->number, &existed);
    if (status == ST_OK && existed != there) {
        world_fail(group->world, "deleting key %zu of %u says that it was%s there", action->key,
                   action->database, existed ? "" : " not");
    }
    return status;
}

static enum status action_do(struct group *group, struct txn *txn, const struct action *action)
{
    struct world *world = group->world;
    const struct cell *cell = state_cell(&world->state, action->database, action->key);
    bool there = cell_live(cell, world->now_ms);
    switch (action->verb) {
    case SET:
        return txn_text_set(txn, action->number, action->text, action->expiry_ms);
    case SET_KEEP:
        return txn_text_set(txn, action->number, action->text, BASIN_KEEP_EXPIRY);
    case SET_NEW:
        return there ? ST_OK : txn_text_set(txn, action->number, action->text, action->expiry_ms);
    case DELETE:
        return txn_delete(txn, action->number, NULL);
    case DELETE_SEEN:
        return action_delete_seen(group, txn, action, there);
    case APPEND:
    case WRITE:
        return txn_text_write(txn, action->number, action->offset, action->text);
    case EXPIRE:
        return there ? txn_expire(txn, action->number, action->expiry_ms) : ST_OK;
    case RENAME:
        return there ? txn_rename(txn, action->number, action->to_number) : ST_OK;
    case COPY:
        return there ? txn_copy(txn, action->number, action->to_number) : ST_OK;
    default:
        return ST_OK;
    }
}

static enum status group_run(struct txn *txn, void *ctx)
{
    struct group *group = ctx;
    enum status status = ST_OK;
    for (unsigned i = 0; i < group->count && status == ST_OK; i++) {
        const struct action *action = &group->actions[i];
        if (reads_first(action->verb)) {
            status = action_read(group, txn, action->number, action->database, action->key);
        } else if (looks_first(action->verb)) {
            status = action_look(group, txn, action);
        }
        if (status == ST_OK && two_keys(action)) {
            status =
                action_read(group, txn, action->to_number, action->to_database, action->to_key);
        }
    }
    for (unsigned i = 0; i < group->count && status == ST_OK; i++) {
        status = action_do(group, txn, &group->actions[i]);
        if (status != ST_OK && txn_changed(txn) && !group->world->foul) {
            world_fail(group->world, "%s in the midst of a group answers %s (W2)",
                       verb_names[group->actions[i].verb], status_name(status));
        }
    }
    return status;
}

/* Plans the keys; gives the room in the log that the group may need. */
static uint64_t group_plan(struct group *group)
{
    struct world *world = group->world;
    uint64_t reserve = 0;
    unsigned number = 0;
    for (unsigned i = 0; i < group->count; i++) {
        struct action *action = &group->actions[i];
        const struct cell *cell = state_cell(&world->state, action->database, action->key);
        action->number = number++;
        struct bytes name = world_name(world, action->key);
        CHECK(txn_plan(world->session->txn, action->database, name) == ST_OK);
        reserve += 2 * name.size + action->text.size + cell->value.size + action->offset + 512;
        if (two_keys(action)) {
            action->to_number = number++;
            name = world_name(world, action->to_key);
            CHECK(txn_plan(world->session->txn, action->to_database, name) == ST_OK);
            reserve += 2 * name.size;
        }
    }
    return reserve;
}

/* -- The state's side ---------------------------------------------------------------------------
 */

static void put(struct world *world, const struct action *action, int64_t expiry_ms,
                struct bytes text)
{
    state_put(&world->state, action->database, action->key, VALUE_STRING, expiry_ms, text,
              world->now_ms);
}

static void apply_write(struct world *world, const struct action *action, const struct cell *cell)
{
    bool there = cell_live(cell, world->now_ms);
    size_t size = there ? cell->value.size : 0;
    size_t end = action->offset + action->text.size;
    struct buf *text = &world->text;
    text->size = 0;
    unsigned char *p = buf_extend(text, size > end ? size : end);
    CHECK(p != NULL);
    memset(p, 0, text->size);
    if (size > 0) {
        memcpy(p, cell->value.data, size);
    }
    memcpy(p + action->offset, action->text.data, action->text.size);
    put(world, action, there ? cell->expiry_ms : BASIN_NO_EXPIRY, buf_bytes(text));
}

static void apply_two(struct world *world, const struct action *action, const struct cell *cell)
{
    struct state *state = &world->state;
    state_put(state, action->to_database, action->to_key, cell->type, cell->expiry_ms,
              buf_bytes(&cell->value), world->now_ms);
    if (action->verb == RENAME) {
        state_remove(state, action->database, action->key);
    }
}

static void action_apply(struct world *world, const struct action *action)
{
    struct state *state = &world->state;
    const struct cell *cell = state_cell(state, action->database, action->key);
    bool there = cell_live(cell, world->now_ms);
    switch (action->verb) {
    case SET:
        put(world, action, action->expiry_ms, action->text);
        return;
    case SET_NEW:
        if (!there) {
            put(world, action, action->expiry_ms, action->text);
        }
        return;
    case SET_KEEP:
        put(world, action, there ? cell->expiry_ms : BASIN_NO_EXPIRY, action->text);
        return;
    case APPEND:
    case WRITE:
        apply_write(world, action, cell);
        return;
    case EXPIRE:
        if (there && action->expiry_ms != BASIN_NO_EXPIRY &&
            action->expiry_ms <= (int64_t)world->now_ms) {
            state_remove(state, action->database, action->key);
        } else if (there) {
            put(world, action, action->expiry_ms, buf_bytes(&cell->value));
        }
        return;
    case DELETE:
    case DELETE_SEEN:
        if (there) { /* Of one that has expired the store perhaps has nothing to do. */
            state_remove(state, action->database, action->key);
        }
        return;
    case RENAME:
    case COPY:
        if (there) {
            apply_two(world, action, cell);
        }
        return;
    default:
        return;
    }
}

/* W1: whoever was shown something waits for what made it. */
static void reads_check(struct group *group)
{
    struct world *world = group->world;
    uint64_t durable = basin_durable(world->basin);
    for (unsigned i = 0; i < group->count; i++) {
        const struct action *action = &group->actions[i];
        uint64_t lsn = state_cell(&world->state, action->database, action->key)->lsn;
        uint64_t map = world->state.database_lsn[action->database];
        lsn = lsn > map ? lsn : map;
        if (reads_first(action->verb) && lsn > durable && world->session->wait_lsn < lsn) {
            world_fail(world,
                       "W1: a reply that shows key %zu of database %u waits for %llu, its LSN is "
                       "%llu",
                       action->key, action->database, (unsigned long long)world->session->wait_lsn,
                       (unsigned long long)lsn);
        }
    }
}

static void group_tell(const struct group *group)
{
    for (unsigned i = 0; group->world->tells && i < group->count; i++) {
        const struct action *action = &group->actions[i];
        world_tell(group->world, "%s %u/%zu to %u/%zu, %zu bytes at %llu, expiry %lld",
                   verb_names[action->verb], action->database, action->key, action->to_database,
                   action->to_key, action->text.size, (unsigned long long)action->offset,
                   (long long)action->expiry_ms);
    }
}

static void group_do(struct world *world, struct group *group)
{
    group_tell(group);
    world_ready(world);
    session_begin(world->session);
    uint64_t reserve = group_plan(group);
    enum status status = session_end(world->session, reserve, group_run, group);
    if (world_answer(world, "a group", status)) {
        reads_check(group);
        state_begin(&world->state);
        for (unsigned i = 0; i < group->count; i++) {
            action_apply(world, &group->actions[i]);
        }
        state_end(&world->state, world->session->wait_lsn);
    }
    free(group->texts);
}

void operation_group(struct world *world)
{
    struct group group = {.world = world};
    group_draw(&group,
               world_one_in(world, 3) ? 2 + (unsigned)world_below(world, GROUP_MAX - 1) : 1);
    group_do(world, &group);
}

/* -- Chores -------------------------------------------------------------------------------------
 */

/* What the shadow holds now is what the store should. */
static void shadow_follow(struct world *world)
{
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    for (size_t i = 0; i < CHORES_KEYS; i++) {
        size_t key = world->plan.texts + i;
        const struct cell *cell = state_cell(&world->state, 0, key);
        struct cell now = {.type = VALUE_NONE};
        check_read_from(world, &world->shadow_session, 0, key, &now);
        if (!cells_equal(cell, &now, world->now_ms)) {
            if (now.type == VALUE_NONE) {
                state_remove(&world->state, 0, key);
            } else {
                state_put(&world->state, 0, key, now.type, now.expiry_ms, buf_bytes(&now.value),
                          world->now_ms);
            }
        }
        buf_deinit(&now.value);
    }
}

void operation_chore(struct world *world)
{
    unsigned growth = world->plan.large ? 6 * (unsigned)world_below(world, 3) : CHORES_PACKED;
    uint64_t chance = world->chance; /* The shadow goes the same way. */
    world_ready(world);
    enum status status = chore_issue(world->session, &world->chance, growth);
    world->now_ms = world->session->now_ms;
    world_tell(world, "chore");
    if (!world_answer(world, "a chore", status)) {
        return;
    }
    tally.chores++;
    uint64_t lsn = world->session->wait_lsn;
    status = chore_issue(&world->shadow_session, &chance, growth);
    if (status != ST_OK) {
        world_fail(world, "the shadow's chore answers %s", status_name(status));
    }
    state_begin(&world->state);
    shadow_follow(world);
    state_end(&world->state, lsn);
}

/* -- The map of databases -----------------------------------------------------------------------
 */

enum map_kind { MAP_FLUSH, MAP_FLUSH_ALL, MAP_SWAP };

struct map_change {
    enum map_kind kind;
    unsigned a, b;
};

static enum status map_run(struct txn *txn, void *ctx)
{
    const struct map_change *change = ctx;
    switch (change->kind) {
    case MAP_FLUSH:
        return txn_flush_database(txn, change->a);
    case MAP_FLUSH_ALL:
        return txn_flush_all(txn);
    default:
        return txn_swap_databases(txn, change->a, change->b);
    }
}

static void map_apply(struct world *world, const struct map_change *change)
{
    state_begin(&world->state);
    for (unsigned i = 0; i < STATE_DATABASES; i++) {
        if (change->kind == MAP_FLUSH_ALL || (change->kind == MAP_FLUSH && i == change->a)) {
            state_flush(&world->state, i);
        }
    }
    if (change->kind == MAP_SWAP) {
        state_swap(&world->state, change->a, change->b);
    }
    state_end(&world->state, world->session->wait_lsn);
}

static void operation_map(struct world *world)
{
    struct map_change change = {
        .kind = world_one_in(world, 5) ? MAP_FLUSH_ALL
                                       : (world_one_in(world, 2) ? MAP_FLUSH : MAP_SWAP),
        .a = (unsigned)world_below(world, STATE_DATABASES),
        .b = (unsigned)world_below(world, STATE_DATABASES),
    };
    static const char *const names[] = {"flush", "flush all", "swap"};
    world_tell(world, "%s %u %u", names[change.kind], change.a, change.b);
    world_ready(world);
    enum status status = session_run(world->session, 0, NULL, 0, true, 4096, map_run, &change);
    if (world_answer(world, names[change.kind], status)) {
        tally.maps++;
        map_apply(world, &change);
        status = session_run(&world->shadow_session, 0, NULL, 0, true, 0, map_run, &change);
        if (status != ST_OK) {
            world_fail(world, "the shadow's %s answers %s", names[change.kind],
                       status_name(status));
        }
    }
}

/* -- Any ----------------------------------------------------------------------------------------
 */

void operation_meanwhile(struct world *world)
{
    switch (world_below(world, 12)) {
    case 0:
        world_tell(world, "forget some");
        tally.evicted += basin_forget(world->basin, 1 + world_below(world, 3), world->chance);
        return;
    case 1:
        if (world->plan.flushes && world_one_in(world, 10)) {
            operation_map(world);
        }
        return;
    case 2:
        check_scan(world, (unsigned)world_below(world, STATE_DATABASES), true);
        return;
    case 3:
        check_size(world, (unsigned)world_below(world, STATE_DATABASES));
        return;
    default:
        operation_group(world);
        return;
    }
}

void operation_simple(struct world *world)
{
    if (world_one_in(world, 8)) {
        check_size(world, (unsigned)world_below(world, STATE_DATABASES));
    } else {
        operation_group(world);
    }
}

void operation_do(struct world *world)
{
    uint64_t drawn = world_below(world, 200);
    unsigned database = (unsigned)world_below(world, STATE_DATABASES);
    if (drawn < 2) {
        if (world->plan.flushes) {
            operation_map(world);
        }
    } else if (drawn < 6) {
        check_size(world, database);
    } else if (drawn < 8) {
        check_scan(world, database, true);
    } else if (drawn < 12) {
        check_random_key(world, database);
    } else if (drawn < 50) {
        operation_chore(world);
    } else {
        operation_group(world);
    }
}
