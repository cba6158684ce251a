/* Sorted sets: members with scores, in the order of the scores. */
#include "src/commands/sorted_sets_private.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------------------
 * Shared by the family.
 */

static bool fits(struct call *call, const struct value *value)
{
    if (value->type == VALUE_ZSET || value->type == VALUE_NONE) {
        return true;
    }
    reply_wrong_type(call);
    return false;
}

enum status sorted_sets_read(struct call *call, unsigned number, struct value *value_out,
                             bool *fits_out)
{
    enum status status = txn_read(call->txn, number, value_out);
    *fits_out = status == ST_OK && fits(call, value_out);
    return status;
}

enum status sorted_sets_peek(struct call *call, unsigned number, struct value *value_out,
                             bool *fits_out)
{
    enum status status = txn_peek(call->txn, number, value_out);
    *fits_out = status == ST_OK && fits(call, value_out);
    return status;
}

struct sorted_sets_writer sorted_sets_writer(struct call *call, bool scores)
{
    return (struct sorted_sets_writer){call->out, scores, scores && call->out->version == 3};
}

void sorted_sets_begin(const struct sorted_sets_writer *writer, uint64_t count)
{
    resp_array(writer->out, writer->scores && !writer->pairs ? 2 * count : count);
}

enum status sorted_sets_write(void *ctx, struct value_piece member, double score)
{
    const struct sorted_sets_writer *writer = ctx;
    if (writer->pairs) {
        resp_array(writer->out, 2);
    }
    resp_bulk(writer->out, member.data.data, member.data.size);
    if (writer->scores) {
        resp_double(writer->out, score);
    }
    return ST_OK;
}

enum status sorted_sets_collect(void *ctx, struct value_piece member, double score)
{
    struct sorted_sets_members *members = ctx;
    if (members->count == members->capacity) {
        size_t capacity = members->capacity == 0 ? 64 : 2 * members->capacity;
        struct zset_member *rows = realloc(members->rows, capacity * sizeof(*rows));
        if (rows == NULL) {
            return ST_NOMEM;
        }
        members->rows = rows;
        members->capacity = capacity;
    }
    members->rows[members->count++] = (struct zset_member){member.data, score};
    return ST_OK;
}

void sorted_sets_members_deinit(struct sorted_sets_members *members)
{
    free(members->rows);
}

enum status sorted_sets_store(struct call *call, unsigned number,
                              struct sorted_sets_members *members)
{
    enum status status = txn_zset_put(call->txn, number, members->rows, members->count);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)members->count);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * ZADD, ZINCRBY
 */

struct add_options {
    unsigned when;
    bool changed; /* CH */
    bool increment;
    size_t first; /* Argument of the first score. */
    size_t count; /* Of members. */
};

/* False: the error is written. */
static bool add_options_read(struct call *call, struct add_options *options)
{
    static const struct {
        const char *word;
        enum zset_when when;
    } words[] = {
        {"nx", ZSET_IF_NEW}, {"xx", ZSET_IF_THERE}, {"gt", ZSET_IF_GREATER}, {"lt", ZSET_IF_LESS}};
    *options = (struct add_options){.first = 2};
    for (; options->first < call->argc; options->first++) {
        struct bytes argument = call->argv[options->first];
        size_t i = 0;
        while (i < 4 && !argument_is(argument, words[i].word)) {
            i++;
        }
        if (i < 4) {
            options->when |= words[i].when;
        } else if (argument_is(argument, "ch")) {
            options->changed = true;
        } else if (argument_is(argument, "incr")) {
            options->increment = true;
        } else {
            break;
        }
    }
    options->count = (call->argc - options->first) / 2;
    if (options->count == 0 || (call->argc - options->first) % 2 != 0) {
        reply_syntax_error(call);
        return false;
    }
    unsigned when = options->when;
    if ((when & ZSET_IF_NEW) != 0 && (when & ZSET_IF_THERE) != 0) {
        resp_error(call->out, "ERR XX and NX options at the same time are not compatible");
        return false;
    }
    unsigned exclusive = when & (ZSET_IF_NEW | ZSET_IF_GREATER | ZSET_IF_LESS);
    if ((exclusive & (exclusive - 1)) != 0) {
        resp_error(call->out, "ERR GT, LT, and/or NX options at the same time are not compatible");
        return false;
    }
    if (options->increment && options->count > 1) {
        resp_error(call->out, "ERR INCR option supports a single increment-element pair");
        return false;
    }
    return true;
}

/* Adds to the score of one member, where `when` allows it; replies the new score, or null. */
static enum status increment(struct call *call, const struct value *value, unsigned when,
                             struct zset_member member)
{
    bool there = false;
    double old = 0;
    if (value->type == VALUE_ZSET) {
        enum status status = zset_score(value, member.name, &there, &old);
        if (status != ST_OK) {
            return status;
        }
    }
    if ((there && (when & ZSET_IF_NEW) != 0) || (!there && (when & ZSET_IF_THERE) != 0)) {
        resp_null(call->out);
        return ST_OK;
    }
    member.score = there ? old + member.score : member.score;
    if (isnan(member.score)) {
        resp_error(call->out, "ERR resulting score is not a number (NaN)");
        return ST_OK;
    }
    if (there && (((when & ZSET_IF_GREATER) != 0 && member.score <= old) ||
                  ((when & ZSET_IF_LESS) != 0 && member.score >= old))) {
        resp_null(call->out);
        return ST_OK;
    }
    resp_double(call->out, member.score);
    uint64_t added;
    uint64_t updated;
    return txn_zset_add(call->txn, 0, ZSET_ALWAYS, &member, 1, &added, &updated);
}

static enum status zadd(struct call *call)
{
    struct add_options options;
    if (!add_options_read(call, &options)) {
        return ST_OK;
    }
    struct zset_member *members = arena_alloc(call->arena, options.count * sizeof(*members));
    if (members == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < options.count; i++) {
        const struct bytes *pair = call->argv + options.first + 2 * i;
        if (!double_parse(pair[0], &members[i].score)) {
            resp_error(call->out, "ERR value is not a valid float");
            return ST_OK;
        }
        members[i].name = pair[1];
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_peek(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    if (options.increment) {
        return increment(call, &value, options.when, members[0]);
    }
    uint64_t added;
    uint64_t updated;
    status = txn_zset_add(call->txn, 0, options.when, members, options.count, &added, &updated);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)(options.changed ? added + updated : added));
    }
    return status;
}

static enum status zincrby(struct call *call)
{
    struct zset_member member = {.name = call->argv[3]};
    struct add_options options;
    if (!add_options_read(call, &options)) {
        return ST_OK; /* An option of ZADD is one here too, and then too little is left. */
    }
    if (!double_parse(call->argv[2], &member.score)) {
        resp_error(call->out, "ERR value is not a valid float");
        return ST_OK;
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_peek(call, 0, &value, &good);
    return good ? increment(call, &value, ZSET_ALWAYS, member) : status;
}

/* ------------------------------------------------------------------------------------------
 * Single members.
 */

static enum status zrem(struct call *call)
{
    struct value value;
    bool good;
    enum status status = sorted_sets_peek(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    uint64_t removed = 0;
    if (value.type == VALUE_ZSET) {
        status = txn_zset_remove(call->txn, 0, call->argv + 2, call->argc - 2, &removed);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)removed);
    }
    return status;
}

static enum status zcard(struct call *call)
{
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (good) {
        resp_integer(call->out, value.type == VALUE_ZSET ? (int64_t)zset_count(&value) : 0);
    }
    return status;
}

static enum status reply_score(struct call *call, const struct value *value, struct bytes member)
{
    bool found = false;
    double score;
    enum status status = ST_OK;
    if (value->type == VALUE_ZSET) {
        status = zset_score(value, member, &found, &score);
    }
    if (found) {
        resp_double(call->out, score);
    } else {
        resp_null(call->out);
    }
    return status;
}

static enum status zscore(struct call *call)
{
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    return good ? reply_score(call, &value, call->argv[2]) : status;
}

static enum status zmscore(struct call *call)
{
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc && status == ST_OK; i++) {
        status = reply_score(call, &value, call->argv[i]);
    }
    return status;
}

static enum status rank(struct call *call, bool reverse)
{
    bool scored = call->argc == 4;
    if (call->argc > 4) {
        resp_error_format(call->out, "ERR wrong number of arguments for '%s' command",
                          call->command->full_name);
        return ST_OK;
    }
    if (scored && !argument_is(call->argv[3], "withscore")) {
        reply_syntax_error(call);
        return ST_OK;
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    bool found = false;
    uint64_t place = 0;
    double score = 0;
    if (value.type == VALUE_ZSET) {
        status = zset_rank(&value, call->argv[2], &found, &place, &score);
    }
    if (found) {
        if (scored) {
            resp_array(call->out, 2);
        }
        resp_integer(call->out, (int64_t)(reverse ? zset_count(&value) - 1 - place : place));
        if (scored) {
            resp_double(call->out, score);
        }
    } else if (scored) {
        resp_null_array(call->out);
    } else {
        resp_null(call->out);
    }
    return status;
}

static enum status zrank(struct call *call)
{
    return rank(call, false);
}

static enum status zrevrank(struct call *call)
{
    return rank(call, true);
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

#define KEYS_COUNTED(key_flags)                                                                    \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_KEYNUM, .keynum = 0, .first = 1,    \
            .step = 1                                                                              \
        }                                                                                          \
    }
/* A destination, then a count of sources and the sources. */
#define KEYS_STORE                                                                                 \
    {                                                                                              \
        {.flags = KEY_OW | KEY_UPDATE, .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},  \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 2, .find = KEY_FIND_KEYNUM, .keynum = 0,        \
            .first = 1, .step = 1                                                                  \
        }                                                                                          \
    }
#define KEYS_RANGESTORE                                                                            \
    {                                                                                              \
        {.flags = KEY_OW | KEY_UPDATE, .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},  \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1 \
        }                                                                                          \
    }

static const char *const nondeterministic[] = {"nondeterministic_output", NULL};

const struct command sorted_sets_commands[] = {
    {.name = "zadd",
     .handler = zadd,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(log N) for each member, where N is the size of the set.",
     .summary = "Adds members to a sorted set, or sets their scores.",
     .arguments = "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]"},
    {.name = "zcard",
     .handler = zcard,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(1)",
     .summary = "Gives the number of members of a sorted set.",
     .arguments = "key"},
    {.name = "zcount",
     .handler = sorted_sets_zcount,
     .arity = 4,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(log N) where N is the size of the set.",
     .summary = "Counts the members with scores in a range.",
     .arguments = "key min max"},
    {.name = "zdiff",
     .handler = sorted_sets_zdiff,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity = "O(N*K*log M) where N is the size of the first set, M that of the largest "
                   "other, K their number.",
     .summary = "Gives the members of the first of several sorted sets that no other has.",
     .arguments = "numkeys key [key ...] [WITHSCORES]"},
    {.name = "zdiffstore",
     .handler = sorted_sets_zdiffstore,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_STORE,
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity = "O(N*K*log M) as for ZDIFF.",
     .summary = "Stores the members of the first of several sorted sets that no other has.",
     .arguments = "destination numkeys key [key ...]"},
    {.name = "zincrby",
     .handler = zincrby,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(log N) where N is the size of the set.",
     .summary = "Adds to the score of a member.",
     .arguments = "key increment member"},
    {.name = "zinter",
     .handler = sorted_sets_zinter,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity =
         "O(N*K*log M) where N is the size of the smallest of K sets, M that of the largest.",
     .summary = "Gives the members that several sorted sets have in common.",
     .arguments = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] "
                  "[WITHSCORES]"},
    {.name = "zintercard",
     .handler = sorted_sets_zintercard,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "7.0.0",
     .complexity = "O(N*K*log M) as for ZINTER.",
     .summary = "Counts the members that several sorted sets have in common.",
     .arguments = "numkeys key [key ...] [LIMIT limit]"},
    {.name = "zinterstore",
     .handler = sorted_sets_zinterstore,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_STORE,
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(N*K*log M + R*log R) as for ZINTER, where R is the size of the result.",
     .summary = "Stores the members that several sorted sets have in common.",
     .arguments = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM "
                  "| MIN | MAX]"},
    {.name = "zlexcount",
     .handler = sorted_sets_zlexcount,
     .arity = 4,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.8.9",
     .complexity = "O(log N) where N is the size of the set.",
     .summary = "Counts the members between two, in the order of their bytes.",
     .arguments = "key min max"},
    {.name = "zmpop",
     .handler = sorted_sets_zmpop,
     .arity = -4,
     .flags = CMD_WRITE | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "sorted-set",
     .since = "7.0.0",
     .complexity = "O(K + M*log N) where K is the number of keys, N the size of the set and M the "
                   "number of members returned.",
     .summary =
         "Takes the lowest or highest members of the first of several sorted sets that is there.",
     .arguments = "numkeys key [key ...] MIN | MAX [COUNT count]"},
    {.name = "zmscore",
     .handler = zmscore,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity = "O(1) for each member, on average.",
     .summary = "Gives the scores of several members.",
     .arguments = "key member [member ...]"},
    {.name = "zpopmax",
     .handler = sorted_sets_zpopmax,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "sorted-set",
     .since = "5.0.0",
     .complexity =
         "O(M*log N) where N is the size of the set and M the number of members returned.",
     .summary = "Takes the members with the highest scores.",
     .arguments = "key [count]"},
    {.name = "zpopmin",
     .handler = sorted_sets_zpopmin,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "sorted-set",
     .since = "5.0.0",
     .complexity =
         "O(M*log N) where N is the size of the set and M the number of members returned.",
     .summary = "Takes the members with the lowest scores.",
     .arguments = "key [count]"},
    {.name = "zrandmember",
     .handler = sorted_sets_zrandmember,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity =
         "O(M*log N) where N is the size of the set and M the number of members returned.",
     .summary = "Gives members at random, each as likely as any other.",
     .arguments = "key [count [WITHSCORES]]",
     .tips = nondeterministic},
    {.name = "zrange",
     .handler = sorted_sets_zrange,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members in a range of ranks, scores or bytes.",
     .arguments = "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]"},
    {.name = "zrangebylex",
     .handler = sorted_sets_zrangebylex,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.8.9",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members between two, in the order of their bytes.",
     .arguments = "key min max [LIMIT offset count]"},
    {.name = "zrangebyscore",
     .handler = sorted_sets_zrangebyscore,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "1.0.5",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members with scores in a range.",
     .arguments = "key min max [WITHSCORES] [LIMIT offset count]"},
    {.name = "zrangestore",
     .handler = sorted_sets_zrangestore,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_RANGESTORE,
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity =
         "O(log N + M*log M) where N is the size of the set and M the number of members stored.",
     .summary = "Stores the members in a range of ranks, scores or bytes.",
     .arguments = "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]"},
    {.name = "zrank",
     .handler = zrank,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(log N) where N is the size of the set.",
     .summary = "Gives the rank of a member, counted from the lowest score.",
     .arguments = "key member [WITHSCORE]"},
    {.name = "zrem",
     .handler = zrem,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(log N) for each member, where N is the size of the set.",
     .summary = "Removes members.",
     .arguments = "key member [member ...]"},
    {.name = "zremrangebylex",
     .handler = sorted_sets_zremrangebylex,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "sorted-set",
     .since = "2.8.9",
     .complexity = "O(M*log N) where N is the size of the set and M the number of members removed.",
     .summary = "Removes the members between two, in the order of their bytes.",
     .arguments = "key min max"},
    {.name = "zremrangebyrank",
     .handler = sorted_sets_zremrangebyrank,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(M*log N) where N is the size of the set and M the number of members removed.",
     .summary = "Removes the members in a range of ranks.",
     .arguments = "key start stop"},
    {.name = "zremrangebyscore",
     .handler = sorted_sets_zremrangebyscore,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(M*log N) where N is the size of the set and M the number of members removed.",
     .summary = "Removes the members with scores in a range.",
     .arguments = "key min max"},
    {.name = "zrevrange",
     .handler = sorted_sets_zrevrange,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members in a range of ranks, counted from the highest score.",
     .arguments = "key start stop [WITHSCORES]"},
    {.name = "zrevrangebylex",
     .handler = sorted_sets_zrevrangebylex,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.8.9",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members between two, backwards in the order of their bytes.",
     .arguments = "key max min [LIMIT offset count]"},
    {.name = "zrevrangebyscore",
     .handler = sorted_sets_zrevrangebyscore,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.2.0",
     .complexity =
         "O(log N + M) where N is the size of the set and M the number of members returned.",
     .summary = "Gives the members with scores in a range, from the highest down.",
     .arguments = "key max min [WITHSCORES] [LIMIT offset count]"},
    {.name = "zrevrank",
     .handler = zrevrank,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(log N) where N is the size of the set.",
     .summary = "Gives the rank of a member, counted from the highest score.",
     .arguments = "key member [WITHSCORE]"},
    {.name = "zscan",
     .handler = sorted_sets_zscan,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "2.8.0",
     .complexity = "O(1) for each call on average, O(N) for a whole walk.",
     .summary = "Walks the members of a sorted set with their scores, some at a time.",
     .arguments = "key cursor [MATCH pattern] [COUNT count]",
     .tips = nondeterministic},
    {.name = "zscore",
     .handler = zscore,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "1.2.0",
     .complexity = "O(1) on average.",
     .summary = "Gives the score of a member.",
     .arguments = "key member"},
    {.name = "zunion",
     .handler = sorted_sets_zunion,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_COUNTED(KEY_RO | KEY_ACCESS),
     .group = "sorted-set",
     .since = "6.2.0",
     .complexity = "O(N + R*log R) where N is the sum of the sizes and R the size of the result.",
     .summary = "Gives the members that any of several sorted sets has.",
     .arguments = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] "
                  "[WITHSCORES]"},
    {.name = "zunionstore",
     .handler = sorted_sets_zunionstore,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_SORTEDSET | CAT_SLOW,
     .keys = KEYS_STORE,
     .group = "sorted-set",
     .since = "2.0.0",
     .complexity = "O(N + R*log R) as for ZUNION.",
     .summary = "Stores the members that any of several sorted sets has.",
     .arguments = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM "
                  "| MIN | MAX]"},
    {.name = NULL},
};
