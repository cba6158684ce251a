/* Many fields of a hash at once: all of them, some step by step, some by chance. */
#include "engine/base/glob.h"
#include "src/commands/hashes_private.h"

#define SCAN_COUNT_DEFAULT 10
#define BULK_SIZE_MIN 6 /* Of an empty one. */
/* While at least one field in so many is live, who meets one whose time has come picks again. */
#define POOL_SHARE 8

/* Which words of an item are wanted. */
struct words {
    struct call *call;
    bool fields, values;
    bool nested; /* An array for each item. */
};

static enum status reply_item(void *ctx, const struct field_item *item)
{
    const struct words *words = ctx;
    if (words->nested) {
        resp_array(words->call->out, 2);
    }
    if (words->fields) {
        reply_piece(words->call, item->field);
    }
    if (words->values) {
        reply_piece(words->call, item->value);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * All.
 */

static enum status reply_all(struct call *call, bool fields, bool values)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    uint64_t count = 0;
    if (value.type != VALUE_NONE) {
        status = fields_live_count(&value, call->now_ms, &count);
        if (status != ST_OK) {
            return status;
        }
    }
    if (fields && values) {
        resp_map(call->out, count);
    } else {
        resp_array(call->out, count);
    }
    struct words words = {call, fields, values, false};
    return count == 0 ? ST_OK : fields_walk(&value, call->now_ms, reply_item, &words);
}

enum status hashes_hgetall(struct call *call)
{
    return reply_all(call, true, true);
}

enum status hashes_hkeys(struct call *call)
{
    return reply_all(call, true, false);
}

enum status hashes_hvals(struct call *call)
{
    return reply_all(call, false, true);
}

/* ------------------------------------------------------------------------------------------
 * Scan.
 */

/* What a step keeps. Items are lent while the shard is locked. */
struct gathering {
    struct bytes pattern;
    bool everything; /* The pattern matches all. */
    bool no_values;
    int64_t count;
    struct buf items; /* struct field_item */
    size_t found;
};

static enum status gather(void *ctx, const struct field_item *item)
{
    struct gathering *gathering = ctx;
    if (!gathering->everything && !glob_match(gathering->pattern, item->field.data, false)) {
        return ST_OK;
    }
    gathering->found++;
    return buf_append(&gathering->items, bytes_of(item, sizeof(*item)));
}

/* False: the error is written. */
static bool scan_options_read(struct call *call, struct gathering *gathering)
{
    *gathering =
        (struct gathering){.everything = true, .count = SCAN_COUNT_DEFAULT, .items = BUF_EMPTY};
    for (size_t i = 3; i < call->argc; i++) {
        bool more = i + 1 < call->argc;
        if (more && argument_is(call->argv[i], "count")) {
            if (!argument_int64_range(call, call->argv[++i], 1, INT64_MAX, "ERR syntax error",
                                      &gathering->count)) {
                return false;
            }
        } else if (more && argument_is(call->argv[i], "match")) {
            gathering->pattern = call->argv[++i];
            gathering->everything = bytes_equal(gathering->pattern, bytes_of("*", 1));
        } else if (argument_is(call->argv[i], "novalues")) {
            gathering->no_values = true;
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void reply_gathered(struct call *call, const struct gathering *gathering)
{
    struct words words = {call, true, !gathering->no_values, false};
    const struct field_item *items = (const struct field_item *)(const void *)gathering->items.data;
    resp_array(call->out, gathering->found * (gathering->no_values ? 1 : 2));
    for (size_t i = 0; i < gathering->found; i++) {
        status_ignore(reply_item(&words, &items[i]), "it cannot fail");
    }
}

enum status hashes_hscan(struct call *call)
{
    uint64_t cursor;
    struct value value;
    struct gathering gathering;
    if (!argument_cursor(call, call->argv[2], &cursor)) {
        return ST_OK;
    }
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) { /* Whatever the options say. */
        resp_array(call->out, 2);
        resp_bulk_integer(call->out, 0);
        resp_array(call->out, 0);
        return ST_OK;
    }
    if (!scan_options_read(call, &gathering)) {
        return ST_OK;
    }
    status = fields_scan(&value, call->now_ms, cursor, (uint64_t)gathering.count, gather,
                         &gathering, &cursor);
    if (status == ST_OK) {
        resp_array(call->out, 2);
        resp_bulk_integer(call->out, (int64_t)cursor); /* Below 2^48. */
        reply_gathered(call, &gathering);
    }
    buf_deinit(&gathering.items);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * By chance: picks are ranks among all that is stored; those whose time has come are picked again.
 * Where they are most of what is stored, the live ones are put into an array first.
 */

struct pool {
    const struct value *value;
    uint64_t count;           /* Of what is picked from. */
    struct field_item *items; /* NULL: the value itself, with what is due in it. */
};

static enum status pool_add(void *ctx, const struct field_item *item)
{
    struct pool *pool = ctx;
    pool->items[pool->count++] = *item;
    return ST_OK;
}

/* live: fields whose time has not come, at least one. */
static enum status pool_make(struct call *call, const struct value *value, uint64_t live,
                             struct pool *pool)
{
    *pool = (struct pool){.value = value, .count = fields_count(value)};
    if (live >= pool->count / POOL_SHARE) {
        return ST_OK;
    }
    pool->count = 0;
    pool->items = arena_alloc(call->arena, live * sizeof(*pool->items));
    return pool->items == NULL ? ST_NOMEM : fields_walk(value, call->now_ms, pool_add, pool);
}

static uint64_t random_below(struct call *call, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)txn_random(call->txn) * bound) >> 64);
}

/* An even pick among the live ones. */
static enum status random_item(struct call *call, const struct pool *pool,
                               struct field_item *item_out)
{
    if (pool->items != NULL) {
        *item_out = pool->items[random_below(call, pool->count)];
        return ST_OK;
    }
    enum status status;
    do {
        status = fields_at(pool->value, random_below(call, pool->count), item_out);
    } while (status == ST_OK && field_is_due(item_out, call->now_ms));
    return status;
}

static enum status reply_one(struct call *call, const struct value *value, uint64_t live)
{
    struct pool pool;
    struct field_item item = {.expiry_ms = BASIN_NO_EXPIRY};
    enum status status = pool_make(call, value, live, &pool);
    if (status == ST_OK) {
        status = random_item(call, &pool, &item);
    }
    if (status == ST_OK) {
        reply_piece(call, item.field);
    }
    return status;
}

/* The same field may come twice. */
static enum status reply_repeating(struct call *call, const struct value *value, uint64_t live,
                                   uint64_t count, struct words *words)
{
    struct pool pool;
    enum status status =
        count > REPLY_DRAWN_MAX / BULK_SIZE_MIN ? ST_LIMIT : pool_make(call, value, live, &pool);
    for (uint64_t i = 0; i < count && status == ST_OK && !call->out->failed; i++) {
        struct field_item item;
        status = random_item(call, &pool, &item);
        if (status == ST_OK) {
            status = reply_item(words, &item);
        }
        status = status == ST_OK ? reply_drawn_check(call) : status;
    }
    return status;
}

/* Every item is taken with the chance (still wanted) / (still to come): an even choice of sets. */
struct selection {
    struct words words;
    uint64_t wanted, left;
};

static enum status select_item(void *ctx, const struct field_item *item)
{
    struct selection *selection = ctx;
    bool taken = random_below(selection->words.call, selection->left--) < selection->wanted;
    selection->wanted -= taken;
    return taken ? reply_item(&selection->words, item) : ST_OK;
}

/* A set of ranks, open addressing. Rows hold rank + 1. */
struct ranks {
    uint64_t *rows;
    uint64_t mask;
};

static bool ranks_add(struct ranks *ranks, uint64_t rank)
{
    uint64_t at = (rank * 0x9E3779B97F4A7C15ull) >> 20 & ranks->mask;
    while (ranks->rows[at] != 0) {
        if (ranks->rows[at] == rank + 1) {
            return false;
        }
        at = (at + 1) & ranks->mask;
    }
    ranks->rows[at] = rank + 1;
    return true;
}

/* A few out of many: picks until enough different ones are live. */
static enum status reply_few(struct call *call, const struct value *value, uint64_t count,
                             struct words *words)
{
    struct ranks ranks = {.mask = 63};
    while (ranks.mask < 2 * count) {
        ranks.mask = ranks.mask * 2 + 1;
    }
    size_t size = (size_t)(ranks.mask + 1) * sizeof(uint64_t);
    ranks.rows = arena_alloc(call->arena, size);
    if (ranks.rows == NULL) {
        return ST_NOMEM;
    }
    memset(ranks.rows, 0, size);
    uint64_t stored = fields_count(value);
    for (uint64_t found = 0; found < count;) {
        uint64_t rank = random_below(call, stored);
        struct field_item item;
        enum status status = fields_at(value, rank, &item);
        if (status != ST_OK) {
            return status;
        }
        if (!field_is_due(&item, call->now_ms) && ranks_add(&ranks, rank)) {
            status_ignore(reply_item(words, &item), "it cannot fail");
            found++;
        }
    }
    return ST_OK;
}

static enum status reply_different(struct call *call, const struct value *value, uint64_t live,
                                   uint64_t count, const struct words *words)
{
    if (count <= live / 4 && live >= fields_count(value) / 2 && value->shape == VALUE_CLAST) {
        struct words few = *words;
        return reply_few(call, value, count, &few);
    }
    struct selection selection = {*words, count, live};
    return fields_walk(value, call->now_ms, select_item, &selection);
}

/* False: the error is written. */
static bool random_arguments(struct call *call, int64_t *count_out, bool *values_out)
{
    if (!argument_int64_range(
            call, call->argv[2], -INT64_MAX, INT64_MAX,
            "ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807",
            count_out)) {
        return false;
    }
    *values_out = call->argc == 4 && argument_is(call->argv[3], "withvalues");
    if (call->argc > 4 || (call->argc == 4 && !*values_out)) {
        reply_syntax_error(call);
        return false;
    }
    if (*values_out && (*count_out < -INT64_MAX / 2 || *count_out > INT64_MAX / 2)) {
        resp_error(call->out, "ERR value is out of range");
        return false;
    }
    return true;
}

enum status hashes_hrandfield(struct call *call)
{
    int64_t count = 1;
    bool values = false;
    bool counted = call->argc > 2;
    struct value value;
    if (counted && !random_arguments(call, &count, &values)) {
        return ST_OK;
    }
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE || count == 0) {
        if (counted) {
            resp_array(call->out, 0);
        } else {
            resp_null(call->out);
        }
        return ST_OK;
    }
    uint64_t live;
    status = fields_live_count(&value, call->now_ms, &live);
    if (status != ST_OK) {
        return status;
    }
    if (!counted) {
        return reply_one(call, &value, live);
    }
    uint64_t wanted = count < 0 ? (uint64_t)-count : (uint64_t)count;
    wanted = count > 0 && wanted > live ? live : wanted;
    bool nested = values && call->out->version == 3;
    struct words words = {call, true, values, nested};
    resp_array(call->out, values && !nested ? wanted * 2 : wanted);
    return count < 0 ? reply_repeating(call, &value, live, wanted, &words)
                     : reply_different(call, &value, live, wanted, &words);
}
