/* Elements that leave one list: for another (LMOVE, RPOPLPUSH), or from the first of several that
 * has any (LMPOP). */
#include "src/commands/lists_private.h"

#include "engine/base/check.h"

/* What a move logs beyond the dispatcher's reserve: the element, whose bytes are in no argument. */
#define MOVE_RESERVE 64

/* Elements this long stay where they are, their part is held; shorter ones are copied. */
#define HOLD_MIN 4096

/* A move within one list needs the element's bytes to outlive the change of that list. */
static enum status push_within(struct call *call, struct value_piece element, enum list_side side)
{
    if (element.part != NULL && element.data.size >= HOLD_MIN) {
        part_ref(element.part);
        enum status status = txn_list_push(call->txn, 1, side, &element.data, 1);
        part_unref(element.part);
        return status;
    }
    char *copy = arena_alloc(call->arena, element.data.size);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    if (element.data.size > 0) {
        memcpy(copy, element.data.data, element.data.size);
    }
    struct bytes bytes = bytes_of(copy, element.data.size);
    return txn_list_push(call->txn, 1, side, &bytes, 1);
}

/* Key 0 gives its outermost element on a side to key 1. */
static enum status move(struct call *call, enum list_side from, enum list_side to)
{
    struct value source;
    struct value target;
    enum status status = txn_peek(call->txn, 0, &source);
    enum status second = txn_peek(call->txn, 1, &target);
    if (status != ST_OK || second != ST_OK) {
        return status != ST_OK ? status : second;
    }
    if (source.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    if (!lists_fits(call, &source) || !lists_fits(call, &target)) {
        return ST_OK;
    }
    CHECK(list_count(&source) > 0);
    struct value_piece element;
    status = list_at(&source, from == LIST_LEFT ? 0 : list_count(&source) - 1, &element);
    if (status == ST_OK) {
        status = txn_reserve(call->txn, element.data.size + MOVE_RESERVE);
    }
    if (status != ST_OK) {
        return status;
    }
    reply_piece(call, element);
    bool same = bytes_equal(call->argv[1], call->argv[2]);
    if (same && (from == to || list_count(&source) == 1)) {
        return ST_OK; /* It comes back to where it was. */
    }
    status =
        same ? push_within(call, element, to) : txn_list_push(call->txn, 1, to, &element.data, 1);
    return status == ST_OK ? txn_list_pop(call->txn, 0, from, 1) : status;
}

enum status lists_lmove(struct call *call)
{
    enum list_side from;
    enum list_side to;
    if (!lists_side(call->argv[3], &from) || !lists_side(call->argv[4], &to)) {
        reply_syntax_error(call);
        return ST_OK;
    }
    return move(call, from, to);
}

enum status lists_rpoplpush(struct call *call)
{
    return move(call, LIST_RIGHT, LIST_LEFT);
}

/* ------------------------------------------------------------------------------------------
 * LMPOP numkeys key … LEFT | RIGHT [COUNT count]
 */

enum status lists_lmpop(struct call *call)
{
    bool right;
    int64_t count;
    if (!argument_pop_options(call, "left", "right", &right, &count)) {
        return ST_OK;
    }
    for (unsigned i = 0; i < call->key_count; i++) {
        struct value value;
        enum status status = txn_peek(call->txn, i, &value);
        if (status != ST_OK || !lists_fits(call, &value)) {
            return status;
        }
        if (value.type == VALUE_LIST) {
            struct bytes name = call->argv[2 + i];
            resp_array(call->out, 2);
            resp_bulk(call->out, name.data, name.size);
            uint64_t present = list_count(&value);
            return lists_pop_many(call, i, &value, right ? LIST_RIGHT : LIST_LEFT,
                                  (uint64_t)count < present ? (uint64_t)count : present);
        }
    }
    resp_null_array(call->out);
    return ST_OK;
}
