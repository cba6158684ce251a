/* Sets: add, remove, look, move, scan. */
#include "src/commands/sets_private.h"

#include "engine/base/glob.h"

/* ------------------------------------------------------------------------------------------
 * Shared by the family.
 */

bool sets_fits(struct call *call, const struct value *value)
{
    if (__builtin_expect(value->type == VALUE_SET || value->type == VALUE_NONE, 1)) {
        return true;
    }
    reply_wrong_type(call);
    return false;
}

enum status sets_reply_member(void *ctx, struct value_piece piece)
{
    reply_piece(ctx, piece);
    return ST_OK;
}

/* Reads key 0. False in *fits_out: the error is written. */
static enum status read_set(struct call *call, struct value *set_out, bool *fits_out)
{
    enum status status = txn_read(call->txn, 0, set_out);
    *fits_out = status == ST_OK && sets_fits(call, set_out);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Add and remove.
 */

static enum status sadd(struct call *call)
{
    struct value set;
    uint64_t added;
    enum status status = txn_peek(call->txn, 0, &set);
    if (status != ST_OK || !sets_fits(call, &set)) {
        return status;
    }
    status = txn_set_add(call->txn, 0, call->argv + 2, call->argc - 2, &added);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)added);
    }
    return status;
}

static enum status srem(struct call *call)
{
    struct value set;
    uint64_t removed = 0;
    enum status status = txn_peek(call->txn, 0, &set);
    if (status != ST_OK || !sets_fits(call, &set)) {
        return status;
    }
    if (set.type != VALUE_NONE) {
        status = txn_set_remove(call->txn, 0, call->argv + 2, call->argc - 2, &removed);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)removed);
    }
    return status;
}

/* What the two records of a move take beyond the dispatcher's reserve: the member a second time. */
#define MOVE_RESERVE 64

/* The member is in both sets for a moment, rather than in none, should the second change fail. */
static enum status smove(struct call *call)
{
    struct value from;
    struct value to;
    enum status status = txn_peek(call->txn, 0, &from);
    enum status second = txn_peek(call->txn, 1, &to);
    if (status != ST_OK || second != ST_OK) {
        return status != ST_OK ? status : second;
    }
    bool has = false;
    if (from.type != VALUE_NONE) {
        if (!sets_fits(call, &from) || !sets_fits(call, &to)) {
            return ST_OK;
        }
        struct set_probe probe = set_probe_of(call->argv[3]);
        status = set_has(&from, &probe, &has);
    }
    if (status == ST_OK && has && !bytes_equal(call->argv[1], call->argv[2])) {
        status = txn_reserve(call->txn, call->argv[3].size + MOVE_RESERVE);
        if (status == ST_OK) {
            status = txn_set_add(call->txn, 1, &call->argv[3], 1, NULL);
        }
        if (status == ST_OK) {
            status = txn_set_remove(call->txn, 0, &call->argv[3], 1, NULL);
        }
    }
    if (status == ST_OK) {
        resp_integer(call->out, has);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Look.
 */

static enum status scard(struct call *call)
{
    struct value set;
    bool fits;
    enum status status = read_set(call, &set, &fits);
    if (fits) {
        resp_integer(call->out, set.type == VALUE_NONE ? 0 : (int64_t)set_count(&set));
    }
    return status;
}

static enum status reply_has(struct call *call, const struct value *set, struct bytes member)
{
    bool has = false;
    enum status status = ST_OK;
    if (set->type != VALUE_NONE) {
        struct set_probe probe = set_probe_of(member);
        status = set_has(set, &probe, &has);
    }
    resp_integer(call->out, has);
    return status;
}

static enum status sismember(struct call *call)
{
    struct value set;
    bool fits;
    enum status status = read_set(call, &set, &fits);
    return fits ? reply_has(call, &set, call->argv[2]) : status;
}

static enum status smismember(struct call *call)
{
    struct value set;
    bool fits;
    enum status status = read_set(call, &set, &fits);
    if (!fits) {
        return status;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc && status == ST_OK; i++) {
        status = reply_has(call, &set, call->argv[i]);
    }
    return status;
}

static enum status smembers(struct call *call)
{
    struct value set;
    bool fits;
    enum status status = read_set(call, &set, &fits);
    if (!fits) {
        return status;
    }
    uint64_t count = set.type == VALUE_NONE ? 0 : set_count(&set);
    resp_set(call->out, count);
    return count > 0 ? set_walk(&set, 0, count, sets_reply_member, call) : ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * SSCAN key cursor [MATCH pattern] [COUNT count]
 */

/* What matches, kept until its number is known: bytes in parts by themselves, others copied. */
struct gathering {
    struct call *call;
    const struct scan_options *options;
    struct buf rows; /* struct value_piece */
};

static enum status gather(void *ctx, struct value_piece piece)
{
    struct gathering *gathering = ctx;
    const struct scan_options *options = gathering->options;
    if (!options->everything && !glob_match(options->pattern, piece.data, false)) {
        return ST_OK;
    }
    if (piece.part == NULL && piece.data.size > 0) {
        char *copy = arena_alloc(gathering->call->arena, piece.data.size);
        if (copy == NULL) {
            return ST_NOMEM;
        }
        memcpy(copy, piece.data.data, piece.data.size);
        piece.data.data = copy;
    }
    return buf_append(&gathering->rows, bytes_of(&piece, sizeof(piece)));
}

static enum status scan(struct call *call, const struct value *set, uint64_t cursor,
                        const struct scan_options *options)
{
    struct gathering gathering = {call, options, BUF_EMPTY};
    uint64_t next;
    enum status status = set_scan(set, cursor, options->count, gather, &gathering, &next);
    if (status == ST_OK) {
        const struct value_piece *rows = (const struct value_piece *)(void *)gathering.rows.data;
        size_t count = gathering.rows.size / sizeof(*rows);
        resp_array(call->out, 2);
        resp_bulk_integer(call->out, (int64_t)next); /* Below 2^48. */
        resp_array(call->out, count);
        for (size_t i = 0; i < count; i++) {
            reply_piece(call, rows[i]);
        }
    }
    buf_deinit(&gathering.rows);
    return status;
}

static enum status sscan(struct call *call)
{
    uint64_t cursor;
    if (!argument_cursor(call, call->argv[2], &cursor)) {
        return ST_OK;
    }
    struct value set;
    bool fits;
    enum status status = read_set(call, &set, &fits);
    if (!fits) {
        return status;
    }
    if (set.type == VALUE_NONE) {
        resp_array(call->out, 2);
        resp_bulk_integer(call->out, 0);
        resp_array(call->out, 0);
        return ST_OK;
    }
    struct scan_options options;
    return argument_scan_options(call, 3, &options) ? scan(call, &set, cursor, &options) : ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

/* A member leaves the first key and enters the second. */
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
/* The first takes what comes of the others. */
#define KEYS_STORE(key_flags)                                                                      \
    {                                                                                              \
        {.flags = (key_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},          \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 2, .find = KEY_FIND_RANGE, .last = -1,          \
            .step = 1                                                                              \
        }                                                                                          \
    }
#define KEYS_COUNTED                                                                               \
    {                                                                                              \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 1, .find = KEY_FIND_KEYNUM, .keynum = 0,        \
            .first = 1, .step = 1                                                                  \
        }                                                                                          \
    }

static const char *const unordered[] = {"nondeterministic_output_order", NULL};
static const char *const by_chance[] = {"nondeterministic_output", NULL};

const struct command sets_commands[] = {
    {.name = "sadd",
     .handler = sadd,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(log N) for each member.",
     .summary = "Puts members into a set; gives how many were new.",
     .arguments = "key member [member ...]"},
    {.name = "scard",
     .handler = scard,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives the number of members of a set.",
     .arguments = "key"},
    {.name = "sdiff",
     .handler = sets_sdiff,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_REST(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(N log N) where N is the smaller of the first set's size times the number of "
                   "sets and the sizes of all together.",
     .summary = "Gives the members of a set that are in none of the others.",
     .arguments = "key [key ...]",
     .tips = unordered},
    {.name = "sdiffstore",
     .handler = sets_sdiffstore,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_SET | CAT_SLOW,
     .keys = KEYS_STORE(KEY_OW | KEY_UPDATE),
     .group = "set",
     .since = "1.0.0",
     .complexity = "As SDIFF.",
     .summary = "Stores the members of a set that are in none of the others; gives their number.",
     .arguments = "destination key [key ...]"},
    {.name = "sinter",
     .handler = sets_sinter,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_REST(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(N*M log N) where N is the size of the smallest set and M the number of sets.",
     .summary = "Gives the members that all of several sets have.",
     .arguments = "key [key ...]",
     .tips = unordered},
    {.name = "sintercard",
     .handler = sets_sintercard,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_COUNTED,
     .group = "set",
     .since = "7.0.0",
     .complexity = "As SINTER; LIMIT bounds it.",
     .summary = "Counts the members that all of several sets have.",
     .arguments = "numkeys key [key ...] [LIMIT limit]"},
    {.name = "sinterstore",
     .handler = sets_sinterstore,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_SET | CAT_SLOW,
     .keys = KEYS_STORE(KEY_RW | KEY_UPDATE),
     .group = "set",
     .since = "1.0.0",
     .complexity = "As SINTER.",
     .summary = "Stores the members that all of several sets have; gives their number.",
     .arguments = "destination key [key ...]"},
    {.name = "sismember",
     .handler = sismember,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(log N)",
     .summary = "Tells whether a set has a member.",
     .arguments = "key member"},
    {.name = "smembers",
     .handler = smembers,
     .arity = 2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(N) where N is the size of the set.",
     .summary = "Gives all members of a set.",
     .arguments = "key",
     .tips = unordered},
    {.name = "smismember",
     .handler = smismember,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "6.2.0",
     .complexity = "O(log N) for each member.",
     .summary = "Tells of each of several members whether a set has it.",
     .arguments = "key member [member ...]"},
    {.name = "smove",
     .handler = smove,
     .arity = 4,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SET | CAT_FAST,
     .keys = KEYS_MOVE,
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(log N)",
     .summary = "Moves a member from one set to another.",
     .arguments = "source destination member"},
    {.name = "spop",
     .handler = sets_spop,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(M log N) where M is the number of members taken.",
     .summary = "Takes members at random out of a set.",
     .arguments = "key [count]",
     .tips = by_chance},
    {.name = "srandmember",
     .handler = sets_srandmember,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(M log N) where M is the number of members returned.",
     .summary = "Gives members of a set at random; a negative count lets one come again.",
     .arguments = "key [count]",
     .tips = by_chance},
    {.name = "srem",
     .handler = srem,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(log N) for each member.",
     .summary = "Takes members out of a set; gives how many were there.",
     .arguments = "key member [member ...]"},
    {.name = "sscan",
     .handler = sscan,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "2.8.0",
     .complexity = "O(1) a call, O(N) for all calls until the cursor is 0 again, where N is the "
                   "size of the set.",
     .summary = "Walks over the members of a set, step by step.",
     .arguments = "key cursor [MATCH pattern] [COUNT count]",
     .tips = by_chance},
    {.name = "sunion",
     .handler = sets_sunion,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SET | CAT_SLOW,
     .keys = KEYS_REST(KEY_RO | KEY_ACCESS),
     .group = "set",
     .since = "1.0.0",
     .complexity = "O(N log N) where N is the number of members in all the sets.",
     .summary = "Gives the members that any of several sets has.",
     .arguments = "key [key ...]",
     .tips = unordered},
    {.name = "sunionstore",
     .handler = sets_sunionstore,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_SET | CAT_SLOW,
     .keys = KEYS_STORE(KEY_OW | KEY_UPDATE),
     .group = "set",
     .since = "1.0.0",
     .complexity = "As SUNION.",
     .summary = "Stores the members that any of several sets has; gives their number.",
     .arguments = "destination key [key ...]"},
    {.name = NULL},
};
