/* Ranges of a sorted set: by rank, by score, or by the members' bytes where all scores are equal.
 * Whatever the kind, a range becomes a span of ranks first; then it is walked, counted, removed or
 * stored. */
#include "src/commands/sorted_sets_private.h"

#include "src/config/config.h"
#include "src/server.h"

#include <math.h>
#include <stdlib.h>

enum range_by { BY_RANK, BY_SCORE, BY_LEX };

/* An end of a range by bytes. */
struct lex_end {
    enum { LEX_FIRST, LEX_MEMBER, LEX_LAST } kind; /* "-", a member, "+" */
    bool open;                                     /* "(": without the member itself. */
    struct bytes member;
};

struct score_end {
    double score;
    bool open;
};

struct range {
    enum range_by by;
    bool reverse;
    bool scores;           /* WITHSCORES */
    int64_t offset, limit; /* limit < 0: none */
    int64_t start, stop;   /* BY_RANK, from the end where the walk begins. */
    struct score_end min, max;
    struct lex_end first, last;
};

/* Ranks, ascending. */
struct span {
    uint64_t first, count;
};

/* ------------------------------------------------------------------------------------------
 * Ends.
 */

#define SCORE_TEXT_MAX 128

/* Looser than other numbers, as in Redis: spaces before it, nothing at all (0), and what follows a
 * NUL. */
static bool score_end_read(struct bytes text, struct score_end *end_out)
{
    char room[SCORE_TEXT_MAX];
    char *copy = room;
    *end_out = (struct score_end){0, text.size > 0 && *(const char *)text.data == '('};
    if (end_out->open) {
        text = bytes_slice(text, 1, SIZE_MAX);
    }
    if (text.size >= sizeof(room) && (copy = malloc(text.size + 1)) == NULL) {
        return false;
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    char *end;
    end_out->score = strtod(copy, &end);
    bool good = *end == '\0' && !isnan(end_out->score);
    if (copy != room) {
        free(copy);
    }
    return good;
}

/* False: the error is written. */
static bool score_ends_read(struct call *call, struct bytes min, struct bytes max,
                            struct range *range)
{
    if (score_end_read(min, &range->min) && score_end_read(max, &range->max)) {
        return true;
    }
    resp_error(call->out, "ERR min or max is not a float");
    return false;
}

static bool lex_end_read(struct bytes text, struct lex_end *end_out)
{
    const char *data = text.data;
    char sign = text.size > 0 ? data[0] : '\0';
    *end_out = (struct lex_end){.kind = LEX_MEMBER, .open = sign == '('};
    if (sign == '(' || sign == '[') {
        end_out->member = bytes_slice(text, 1, SIZE_MAX);
        return true;
    }
    end_out->kind = sign == '-' ? LEX_FIRST : LEX_LAST;
    return (sign == '-' || sign == '+') && (text.size == 1 || data[1] == '\0');
}

static bool lex_ends_read(struct call *call, struct bytes first, struct bytes last,
                          struct range *range)
{
    if (lex_end_read(first, &range->first) && lex_end_read(last, &range->last)) {
        return true;
    }
    resp_error(call->out, "ERR min or max not valid string range item");
    return false;
}

/* The two arguments from `at` on. False: the error is written. */
static bool ends_read(struct call *call, size_t at, struct range *range)
{
    struct bytes a = call->argv[at];
    struct bytes b = call->argv[at + 1];
    switch (range->by) {
    case BY_RANK:
        return argument_int64(call, a, &range->start) && argument_int64(call, b, &range->stop);
    case BY_SCORE:
        return score_ends_read(call, range->reverse ? b : a, range->reverse ? a : b, range);
    default:
        return lex_ends_read(call, range->reverse ? b : a, range->reverse ? a : b, range);
    }
}

/* ------------------------------------------------------------------------------------------
 * Spans.
 */

static struct span rank_span(const struct range *range, uint64_t count)
{
    int64_t size = (int64_t)count;
    int64_t start = range->start < 0 ? range->start + size : range->start;
    int64_t stop = range->stop < 0 ? range->stop + size : range->stop;
    start = start < 0 ? 0 : start;
    stop = stop >= size ? size - 1 : stop;
    if (start > stop) {
        return (struct span){0, 0};
    }
    uint64_t length = (uint64_t)(stop - start) + 1;
    return (struct span){(uint64_t)(range->reverse ? size - 1 - stop : start), length};
}

static enum status lex_rank(const struct value *value, const struct lex_end *end, bool above,
                            uint64_t *rank_out)
{
    if (end->kind != LEX_MEMBER) {
        *rank_out = end->kind == LEX_FIRST ? 0 : zset_count(value);
        return ST_OK;
    }
    return zset_rank_of_member(value, end->member, above, rank_out);
}

/* LIMIT, counted from where the walk begins. */
static void span_limit(const struct range *range, struct span *span)
{
    uint64_t skip = (uint64_t)range->offset;
    if (range->offset < 0 || skip >= span->count) {
        span->count = 0;
        return;
    }
    uint64_t left = span->count - skip;
    uint64_t count =
        range->limit >= 0 && (uint64_t)range->limit < left ? (uint64_t)range->limit : left;
    span->first += range->reverse ? left - count : skip;
    span->count = count;
}

static enum status span_of(const struct value *value, const struct range *range,
                           struct span *span_out)
{
    if (range->by == BY_RANK) {
        *span_out = rank_span(range, zset_count(value));
        return ST_OK;
    }
    uint64_t first;
    uint64_t behind = 0;
    enum status status;
    if (range->by == BY_SCORE) {
        status = zset_rank_of_score(value, range->min.score, range->min.open, &first);
        if (status == ST_OK) {
            status = zset_rank_of_score(value, range->max.score, !range->max.open, &behind);
        }
    } else {
        status = lex_rank(value, &range->first, range->first.open, &first);
        if (status == ST_OK) {
            status = lex_rank(value, &range->last, !range->last.open, &behind);
        }
    }
    if (status == ST_OK) {
        *span_out = (struct span){first, behind > first ? behind - first : 0};
        span_limit(range, span_out);
    }
    return status;
}

static enum status span_walk(const struct value *value, struct span span, bool reverse,
                             zset_member_fn fn, void *ctx)
{
    if (span.count == 0) {
        return ST_OK;
    }
    uint64_t from = reverse ? span.first + span.count - 1 : span.first;
    return zset_walk(value, from, span.count, reverse, fn, ctx);
}

/* ------------------------------------------------------------------------------------------
 * ZRANGE and its older forms.
 */

/* The words behind the two ends. What a form has fixed cannot be said again. False: the error is
 * written. */
static bool range_options_read(struct call *call, size_t at, bool may_choose, bool stores,
                               struct range *range)
{
    bool chosen = !may_choose;
    bool limited = false;
    for (; at < call->argc; at++) {
        struct bytes word = call->argv[at];
        if (!stores && argument_is(word, "withscores")) {
            range->scores = true;
        } else if (argument_is(word, "limit") && at + 2 < call->argc) {
            if (!argument_int64(call, call->argv[at + 1], &range->offset) ||
                !argument_int64(call, call->argv[at + 2], &range->limit)) {
                return false;
            }
            limited = range->limit != -1;
            at += 2;
        } else if (may_choose && !range->reverse && argument_is(word, "rev")) {
            range->reverse = true;
        } else if (!chosen && argument_is(word, "bylex")) {
            range->by = BY_LEX;
            chosen = true;
        } else if (!chosen && argument_is(word, "byscore")) {
            range->by = BY_SCORE;
            chosen = true;
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    if (limited && range->by == BY_RANK) {
        resp_error(call->out, "ERR syntax error, LIMIT is only supported in combination with "
                              "either BYSCORE or BYLEX");
        return false;
    }
    if (range->scores && range->by == BY_LEX) {
        resp_error(call->out,
                   "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return true;
}

static enum status reply_range(struct call *call, enum range_by by, bool reverse, bool may_choose)
{
    struct range range = {.by = by, .reverse = reverse, .limit = -1};
    struct value value;
    bool good;
    if (!range_options_read(call, 4, may_choose, false, &range) || !ends_read(call, 2, &range)) {
        return ST_OK;
    }
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    struct span span = {0, 0};
    if (value.type == VALUE_ZSET) {
        status = span_of(&value, &range, &span);
    }
    struct sorted_sets_writer writer = sorted_sets_writer(call, range.scores);
    sorted_sets_begin(&writer, span.count);
    return status == ST_OK ? span_walk(&value, span, range.reverse, sorted_sets_write, &writer)
                           : status;
}

enum status sorted_sets_zrange(struct call *call)
{
    return reply_range(call, BY_RANK, false, true);
}

enum status sorted_sets_zrevrange(struct call *call)
{
    return reply_range(call, BY_RANK, true, false);
}

enum status sorted_sets_zrangebyscore(struct call *call)
{
    return reply_range(call, BY_SCORE, false, false);
}

enum status sorted_sets_zrevrangebyscore(struct call *call)
{
    return reply_range(call, BY_SCORE, true, false);
}

enum status sorted_sets_zrangebylex(struct call *call)
{
    return reply_range(call, BY_LEX, false, false);
}

enum status sorted_sets_zrevrangebylex(struct call *call)
{
    return reply_range(call, BY_LEX, true, false);
}

/* Redis adds the members one by one, to a listpack as long as they fit one, which knows no -0. */
static void plain_zeros(struct call *call, const struct range *range,
                        struct sorted_sets_members *members)
{
    const struct config *config = call->server->config;
    uint64_t count_max = (uint64_t)config_get(&config->zset_max_listpack_entries);
    uint64_t size_max = (uint64_t)config_get(&config->zset_max_listpack_value);
    if (range->by == BY_RANK && members->count > count_max) {
        return;
    }
    for (size_t i = 0; i < members->count && i < count_max; i++) {
        struct zset_member *member = &members->rows[i];
        if (member->name.size > size_max) {
            return;
        }
        member->score = member->score == 0 ? 0 : member->score;
    }
}

enum status sorted_sets_zrangestore(struct call *call)
{
    struct range range = {.by = BY_RANK, .limit = -1};
    struct value value;
    bool good;
    if (!range_options_read(call, 5, true, true, &range) || !ends_read(call, 3, &range)) {
        return ST_OK;
    }
    enum status status = sorted_sets_read(call, 1, &value, &good);
    if (!good) {
        return status;
    }
    struct span span = {0, 0};
    struct sorted_sets_members members = {0};
    if (value.type == VALUE_ZSET) {
        status = span_of(&value, &range, &span);
    }
    if (status == ST_OK) {
        status = span_walk(&value, span, range.reverse, sorted_sets_collect, &members);
    }
    if (status == ST_OK) {
        plain_zeros(call, &range, &members);
        status = sorted_sets_store(call, 0, &members);
    }
    sorted_sets_members_deinit(&members);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Counts and removals.
 */

static enum status count_range(struct call *call, enum range_by by)
{
    struct range range = {.by = by, .limit = -1};
    struct value value;
    bool good;
    if (!ends_read(call, 2, &range)) {
        return ST_OK;
    }
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    struct span span = {0, 0};
    if (value.type == VALUE_ZSET) {
        status = span_of(&value, &range, &span);
    }
    resp_integer(call->out, (int64_t)span.count);
    return status;
}

enum status sorted_sets_zcount(struct call *call)
{
    return count_range(call, BY_SCORE);
}

enum status sorted_sets_zlexcount(struct call *call)
{
    return count_range(call, BY_LEX);
}

static enum status remove_range(struct call *call, enum range_by by)
{
    struct range range = {.by = by, .limit = -1};
    struct value value;
    bool good;
    if (!ends_read(call, 2, &range)) {
        return ST_OK;
    }
    enum status status = sorted_sets_peek(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    struct span span = {0, 0};
    if (value.type == VALUE_ZSET) {
        status = span_of(&value, &range, &span);
    }
    if (status == ST_OK && span.count > 0) {
        status = txn_zset_cut(call->txn, 0, span.first, span.count);
    }
    resp_integer(call->out, (int64_t)span.count);
    return status;
}

enum status sorted_sets_zremrangebyrank(struct call *call)
{
    return remove_range(call, BY_RANK);
}

enum status sorted_sets_zremrangebyscore(struct call *call)
{
    return remove_range(call, BY_SCORE);
}

enum status sorted_sets_zremrangebylex(struct call *call)
{
    return remove_range(call, BY_LEX);
}
