/* Intersections, unions, differences. Operands are read where they lie; see set_algebra.h. */
#include "src/commands/sets_private.h"

/* Reads `count` keys from `first` on; all misses are noted at once. *sets_out: NULL if the error
 * is written. */
static enum status read_sets(struct call *call, unsigned first, size_t count,
                             struct value **sets_out)
{
    *sets_out = NULL;
    struct value *sets = arena_alloc(call->arena, count * sizeof(*sets));
    if (sets == NULL) {
        return ST_NOMEM;
    }
    enum status status = ST_OK;
    for (size_t i = 0; i < count; i++) {
        enum status one = txn_read(call->txn, first + (unsigned)i, &sets[i]);
        status = status == ST_OK ? one : status;
    }
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (!sets_fits(call, &sets[i])) {
            return ST_OK;
        }
    }
    *sets_out = sets;
    return ST_OK;
}

static enum status reply_combined(struct call *call, enum set_algebra algebra)
{
    size_t count = call->argc - 1;
    struct value *sets;
    enum status status = read_sets(call, 0, count, &sets);
    if (status != ST_OK || sets == NULL) {
        return status;
    }
    struct set_selection selection;
    status = set_select(algebra, sets, count, txn_limits(call->txn), &selection);
    if (status == ST_OK) {
        resp_set(call->out, selection.count);
        status = set_selection_walk(&selection, sets_reply_member, call);
    }
    set_selection_deinit(&selection);
    return status;
}

enum status sets_sinter(struct call *call)
{
    return reply_combined(call, SET_INTER);
}

enum status sets_sunion(struct call *call)
{
    return reply_combined(call, SET_UNION);
}

enum status sets_sdiff(struct call *call)
{
    return reply_combined(call, SET_DIFF);
}

/* ------------------------------------------------------------------------------------------
 * Stored results: key 0 takes them, whatever it holds.
 */

static enum status store_combined(struct call *call, enum set_algebra algebra)
{
    size_t count = call->argc - 2;
    struct value *sets;
    enum status status = read_sets(call, 1, count, &sets);
    if (status != ST_OK || sets == NULL) {
        return status;
    }
    struct buf scratch = BUF_EMPTY;
    struct value result;
    uint64_t members = 0;
    status = set_combine(algebra, sets, count, txn_limits(call->txn), &scratch, &result);
    if (status == ST_OK) {
        members = set_count(&result);
        status = members > 0 ? txn_put(call->txn, 0, &result, BASIN_NO_EXPIRY)
                             : txn_delete(call->txn, 0, NULL);
    }
    buf_deinit(&scratch);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)members);
    }
    return status;
}

enum status sets_sinterstore(struct call *call)
{
    return store_combined(call, SET_INTER);
}

enum status sets_sunionstore(struct call *call)
{
    return store_combined(call, SET_UNION);
}

enum status sets_sdiffstore(struct call *call)
{
    return store_combined(call, SET_DIFF);
}

/* ------------------------------------------------------------------------------------------
 * SINTERCARD numkeys key … [LIMIT limit]
 */

/* False: the error is written. Otherwise the keys are planned. */
static bool card_options_read(struct call *call, uint64_t *keys, uint64_t *limit)
{
    int64_t number;
    if (!bytes_to_int64(call->argv[1], &number) || number <= 0) {
        resp_error(call->out, "ERR numkeys should be greater than 0");
        return false;
    }
    if ((uint64_t)number > call->argc - 2) {
        resp_error(call->out, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    *keys = (uint64_t)number;
    *limit = 0;
    for (size_t i = 2 + *keys; i < call->argc; i += 2) {
        if (i + 1 == call->argc || !argument_is(call->argv[i], "limit")) {
            reply_syntax_error(call);
            return false;
        }
        if (!bytes_to_int64(call->argv[i + 1], &number) || number < 0) {
            resp_error(call->out, "ERR LIMIT can't be negative");
            return false;
        }
        *limit = (uint64_t)number;
    }
    return true;
}

enum status sets_sintercard(struct call *call)
{
    uint64_t keys;
    uint64_t limit;
    if (!card_options_read(call, &keys, &limit)) {
        return ST_OK;
    }
    struct value *sets;
    enum status status = read_sets(call, 0, keys, &sets);
    if (status != ST_OK || sets == NULL) {
        return status;
    }
    uint64_t count;
    status = set_inter_count(sets, keys, limit, &count);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)count);
    }
    return status;
}
