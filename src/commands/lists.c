/* Lists: push and pop at both ends, look and set at any position. Three of the reading commands
 * (LLEN, LINDEX, LRANGE) also read chunk collections, which are lists that only grow. */
#include "src/commands/lists_private.h"

/* ------------------------------------------------------------------------------------------
 * Shared by the family.
 */

bool lists_fits(struct call *call, const struct value *value)
{
    if (__builtin_expect(value->type == VALUE_LIST || value->type == VALUE_NONE, 1)) {
        return true;
    }
    if (value->type == VALUE_CHUNKS) {
        resp_error(call->out, "WRONGTYPE Operation against a key holding a chunk collection: it is "
                              "append-only (CHUNK.APPEND), read with LRANGE, LINDEX and LLEN");
    } else {
        reply_wrong_type(call);
    }
    return false;
}

uint64_t lists_range(int64_t start, int64_t stop, uint64_t count, uint64_t *first_out)
{
    int64_t size = (int64_t)count;
    start = start < 0 ? start + size : start;
    stop = stop < 0 ? stop + size : stop;
    start = start < 0 ? 0 : start;
    stop = stop >= size ? size - 1 : stop;
    *first_out = (uint64_t)start;
    return start > stop ? 0 : (uint64_t)(stop - start) + 1;
}

bool lists_side(struct bytes argument, enum list_side *side_out)
{
    bool left = argument_is(argument, "left");
    *side_out = left ? LIST_LEFT : LIST_RIGHT;
    return left || argument_is(argument, "right");
}

static enum status reply_element(void *ctx, struct value_piece piece)
{
    reply_piece(ctx, piece);
    return ST_OK;
}

enum status lists_pop_many(struct call *call, unsigned number, const struct value *value,
                           enum list_side side, uint64_t count)
{
    resp_array(call->out, count);
    bool right = side == LIST_RIGHT;
    enum status status =
        list_walk(value, right ? list_count(value) - 1 : 0, count, right, reply_element, call);
    return status == ST_OK ? txn_list_pop(call->txn, number, side, count) : status;
}

/* ------------------------------------------------------------------------------------------
 * Push.
 */

static enum status push(struct call *call, enum list_side side, bool only_present)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE && only_present) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    size_t count = call->argc - 2;
    uint64_t before = value.type == VALUE_NONE ? 0 : list_count(&value);
    status = txn_list_push(call->txn, 0, side, call->argv + 2, count);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)(before + count));
    }
    return status;
}

static enum status lpush(struct call *call)
{
    return push(call, LIST_LEFT, false);
}

static enum status rpush(struct call *call)
{
    return push(call, LIST_RIGHT, false);
}

static enum status lpushx(struct call *call)
{
    return push(call, LIST_LEFT, true);
}

static enum status rpushx(struct call *call)
{
    return push(call, LIST_RIGHT, true);
}

/* ------------------------------------------------------------------------------------------
 * Pop.
 */

static enum status pop_one(struct call *call, const struct value *value, enum list_side side)
{
    struct value_piece element;
    enum status status = list_at(value, side == LIST_LEFT ? 0 : list_count(value) - 1, &element);
    if (status != ST_OK) {
        return status;
    }
    reply_piece(call, element);
    return txn_list_pop(call->txn, 0, side, 1);
}

static enum status pop(struct call *call, enum list_side side)
{
    if (call->argc > 3) {
        resp_error_format(call->out, "ERR wrong number of arguments for '%s' command",
                          call->command->full_name);
        return ST_OK;
    }
    bool counted = call->argc == 3;
    int64_t count = 1;
    if (counted && (!bytes_to_int64(call->argv[2], &count) || count < 0)) {
        resp_error(call->out, "ERR value is out of range, must be positive");
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        if (counted) {
            resp_null_array(call->out);
        } else {
            resp_null(call->out);
        }
        return ST_OK;
    }
    if (!counted) {
        return pop_one(call, &value, side);
    }
    if (count == 0) {
        resp_array(call->out, 0);
        return ST_OK;
    }
    uint64_t present = list_count(&value);
    return lists_pop_many(call, 0, &value, side,
                          (uint64_t)count < present ? (uint64_t)count : present);
}

static enum status lpop(struct call *call)
{
    return pop(call, LIST_LEFT);
}

static enum status rpop(struct call *call)
{
    return pop(call, LIST_RIGHT);
}

/* ------------------------------------------------------------------------------------------
 * Look: lists and chunk collections.
 */

/* Reads key 0. *count_out: elements or chunks, 0 where it is absent. False in *fits_out: the error
 * is written. */
static enum status read_sequence(struct call *call, struct value *value_out, uint64_t *count_out,
                                 bool *fits_out)
{
    enum status status = txn_read(call->txn, 0, value_out);
    *fits_out = status == ST_OK;
    *count_out = 0;
    if (status == ST_OK) {
        if (value_out->type == VALUE_CHUNKS) {
            *count_out = chunks_count(value_out);
        } else if (value_out->type == VALUE_LIST) {
            *count_out = list_count(value_out);
        } else {
            *fits_out = lists_fits(call, value_out);
        }
    }
    return status;
}

static enum status llen(struct call *call)
{
    struct value value;
    uint64_t count;
    bool fits;
    enum status status = read_sequence(call, &value, &count, &fits);
    if (fits) {
        resp_integer(call->out, (int64_t)count);
    }
    return status;
}

static enum status lindex(struct call *call)
{
    struct value value;
    uint64_t count;
    bool fits;
    enum status status = read_sequence(call, &value, &count, &fits);
    if (!fits) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    int64_t index;
    if (!argument_int64(call, call->argv[2], &index)) {
        return ST_OK;
    }
    index = index < 0 ? index + (int64_t)count : index;
    if (index < 0 || (uint64_t)index >= count) {
        resp_null(call->out);
        return ST_OK;
    }
    struct value_piece piece;
    status = value.type == VALUE_CHUNKS ? chunks_at(&value, (uint64_t)index, &piece)
                                        : list_at(&value, (uint64_t)index, &piece);
    if (status == ST_OK) {
        reply_piece(call, piece);
    }
    return status;
}

static enum status lrange(struct call *call)
{
    int64_t start;
    int64_t stop;
    if (!argument_int64(call, call->argv[2], &start) ||
        !argument_int64(call, call->argv[3], &stop)) {
        return ST_OK;
    }
    struct value value;
    uint64_t count;
    bool fits;
    enum status status = read_sequence(call, &value, &count, &fits);
    if (!fits) {
        return status;
    }
    uint64_t first;
    count = lists_range(start, stop, count, &first);
    resp_array(call->out, count);
    if (count == 0) {
        return ST_OK;
    }
    return value.type == VALUE_CHUNKS ? chunks_walk(&value, first, count, reply_element, call)
                                      : list_walk(&value, first, count, false, reply_element, call);
}

static enum status lset(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !lists_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_error(call->out, "ERR no such key");
        return ST_OK;
    }
    int64_t index;
    if (!argument_int64(call, call->argv[2], &index)) {
        return ST_OK;
    }
    uint64_t count = list_count(&value);
    index = index < 0 ? index + (int64_t)count : index;
    if (index < 0 || (uint64_t)index >= count) {
        resp_error(call->out, "ERR index out of range");
        return ST_OK;
    }
    status = txn_list_set(call->txn, 0, (uint64_t)index, call->argv[3]);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

/* Elements leave the first key and enter the second. */
#define KEYS_MOVE                                                                                  \
    {                                                                                              \
        {.flags = KEY_RW | KEY_ACCESS | KEY_DELETE,                                                \
         .begin = 1,                                                                               \
         .find = KEY_FIND_RANGE,                                                                   \
         .last = 0,                                                                                \
         .step = 1},                                                                               \
        {                                                                                          \
            .flags = KEY_RW | KEY_INSERT, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1 \
        }                                                                                          \
    }
#define KEYS_COUNTED(key_flags)                                                                    \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_KEYNUM, .keynum = 0, .first = 1,    \
            .step = 1                                                                              \
        }                                                                                          \
    }

const struct command lists_commands[] = {
    {.name = "lindex",
     .handler = lindex,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(log N) where N is the length of the list.",
     .summary = "Gives the element at a position of a list or chunk collection.",
     .arguments = "key index"},
    {.name = "linsert",
     .handler = lists_linsert,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "list",
     .since = "2.2.0",
     .complexity = "O(N) where N is the number of elements up to the pivot.",
     .summary = "Inserts an element before or after the first one that equals a pivot.",
     .arguments = "key BEFORE | AFTER pivot element"},
    {.name = "llen",
     .handler = llen,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives the length of a list or chunk collection.",
     .arguments = "key"},
    {.name = "lmove",
     .handler = lists_lmove,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_MOVE,
     .group = "list",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Moves an element from an end of a list to an end of another, and gives it.",
     .arguments = "source destination LEFT | RIGHT LEFT | RIGHT"},
    {.name = "lmpop",
     .handler = lists_lmpop,
     .arity = -4,
     .flags = CMD_WRITE | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "list",
     .since = "7.0.0",
     .complexity = "O(N+M) where N is the number of keys and M that of elements returned.",
     .summary = "Pops elements from the first of several lists that is there.",
     .arguments = "numkeys key [key ...] LEFT | RIGHT [COUNT count]"},
    {.name = "lpop",
     .handler = lpop,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of elements returned.",
     .summary = "Takes elements from the left end of a list.",
     .arguments = "key [count]"},
    {.name = "lpos",
     .handler = lists_lpos,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "list",
     .since = "6.0.6",
     .complexity = "O(N) where N is the number of elements looked at; MAXLEN bounds it.",
     .summary = "Finds the positions of elements that equal a given one.",
     .arguments = "key element [RANK rank] [COUNT num-matches] [MAXLEN len]"},
    {.name = "lpush",
     .handler = lpush,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(1) for each element.",
     .summary = "Puts elements at the left end of a list, one after the other.",
     .arguments = "key element [element ...]"},
    {.name = "lpushx",
     .handler = lpushx,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "list",
     .since = "2.2.0",
     .complexity = "O(1) for each element.",
     .summary = "Puts elements at the left end of a list, but only if it is there.",
     .arguments = "key element [element ...]"},
    {.name = "lrange",
     .handler = lrange,
     .arity = 4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(log N + M) where N is the length and M the number of elements returned.",
     .summary = "Gives the elements of a list or chunk collection between two positions.",
     .arguments = "key start stop"},
    {.name = "lrem",
     .handler = lists_lrem,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(N+M) where N is the length of the list and M the number of those removed.",
     .summary = "Removes elements that equal a given one.",
     .arguments = "key count element"},
    {.name = "lset",
     .handler = lset,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(log N) where N is the length of the list.",
     .summary = "Replaces the element at a position of a list.",
     .arguments = "key index element"},
    {.name = "ltrim",
     .handler = lists_ltrim,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of elements removed.",
     .summary = "Keeps only the elements of a list between two positions.",
     .arguments = "key start stop"},
    {.name = "rpop",
     .handler = rpop,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of elements returned.",
     .summary = "Takes elements from the right end of a list.",
     .arguments = "key [count]"},
    {.name = "rpoplpush",
     .handler = lists_rpoplpush,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_LIST | CAT_SLOW,
     .keys = KEYS_MOVE,
     .group = "list",
     .since = "1.2.0",
     .complexity = "O(1)",
     .summary = "Moves the rightmost element of a list to the left end of another.",
     .arguments = "source destination"},
    {.name = "rpush",
     .handler = rpush,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "list",
     .since = "1.0.0",
     .complexity = "O(1) for each element.",
     .summary = "Puts elements at the right end of a list, one after the other.",
     .arguments = "key element [element ...]"},
    {.name = "rpushx",
     .handler = rpushx,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_LIST | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "list",
     .since = "2.2.0",
     .complexity = "O(1) for each element.",
     .summary = "Puts elements at the right end of a list, but only if it is there.",
     .arguments = "key element [element ...]"},
    {.name = NULL},
};
