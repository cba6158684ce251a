/* Pop, draw by chance, scan. */
#include "src/commands/sorted_sets_private.h"

#include "engine/base/glob.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------------
 * ZPOPMIN, ZPOPMAX, ZMPOP
 */

/* Writes and removes min(count, size) members, from the lowest or the highest on. */
static enum status pop_some(struct call *call, unsigned number, const struct value *value,
                            bool highest, uint64_t count, const struct sorted_sets_writer *writer)
{
    uint64_t size = zset_count(value);
    count = count < size ? count : size;
    struct sorted_sets_writer copy = *writer;
    enum status status =
        zset_walk(value, highest ? size - 1 : 0, count, highest, sorted_sets_write, &copy);
    if (status != ST_OK) {
        return status;
    }
    return txn_zset_cut(call->txn, number, highest ? size - count : 0, count);
}

static enum status pop(struct call *call, bool highest)
{
    bool counted = call->argc == 3;
    int64_t count = 1;
    if (call->argc > 3) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (counted && (!bytes_to_int64(call->argv[2], &count) || count < 0)) {
        resp_error(call->out, "ERR value is out of range, must be positive");
        return ST_OK;
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_peek(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    if (value.type == VALUE_NONE || count == 0) {
        resp_array(call->out, 0);
        return ST_OK;
    }
    struct sorted_sets_writer writer = sorted_sets_writer(call, true);
    writer.pairs &= counted; /* One member without a count comes flat. */
    uint64_t size = zset_count(&value);
    uint64_t given = (uint64_t)count < size ? (uint64_t)count : size;
    sorted_sets_begin(&writer, given);
    return pop_some(call, 0, &value, highest, given, &writer);
}

enum status sorted_sets_zpopmin(struct call *call)
{
    return pop(call, false);
}

enum status sorted_sets_zpopmax(struct call *call)
{
    return pop(call, true);
}

enum status sorted_sets_zmpop(struct call *call)
{
    bool highest;
    int64_t count;
    if (!argument_pop_options(call, "min", "max", &highest, &count)) {
        return ST_OK;
    }
    for (unsigned i = 0; i < call->key_count; i++) {
        struct value value;
        bool good;
        enum status status = sorted_sets_peek(call, i, &value, &good);
        if (!good) {
            return status;
        }
        if (value.type == VALUE_ZSET) {
            struct bytes name = call->argv[2 + i];
            struct sorted_sets_writer writer = {call->out, true, true};
            uint64_t size = zset_count(&value);
            uint64_t given = (uint64_t)count < size ? (uint64_t)count : size;
            resp_array(call->out, 2);
            resp_bulk(call->out, name.data, name.size);
            sorted_sets_begin(&writer, given);
            return pop_some(call, i, &value, highest, given, &writer);
        }
    }
    resp_null_array(call->out);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * ZRANDMEMBER key [count [WITHSCORES]]
 */

/* More members than this in one reply are refused: they would only fill memory. */
#define DRAWS_MAX (1 << 26)

static enum status write_rank(const struct value *value, uint64_t rank,
                              struct sorted_sets_writer *writer)
{
    struct value_piece member;
    double score;
    enum status status = zset_at(value, rank, &member, &score);
    return status == ST_OK ? sorted_sets_write(writer, member, score) : status;
}

/* Ranks drawn so far, by Floyd's method (Bentley, "Programming Pearls: a sample of brilliance"): of
 * the ranks up to `last`, one by chance, or `last` itself if that one was drawn before. Slots hold
 * rank + 1. */
struct draws {
    uint64_t *slots;
    uint64_t mask;
};

static bool draws_add(struct draws *draws, uint64_t rank)
{
    uint64_t at = rank * 0x9E3779B97F4A7C15ull >> 20 & draws->mask;
    while (draws->slots[at] != 0) {
        if (draws->slots[at] == rank + 1) {
            return false;
        }
        at = (at + 1) & draws->mask;
    }
    draws->slots[at] = rank + 1;
    return true;
}

/* count different members, fewer than there are. */
static enum status draw_different(struct call *call, const struct value *value, uint64_t count,
                                  struct sorted_sets_writer *writer)
{
    uint64_t size = zset_count(value);
    uint64_t slots = 4;
    while (slots < 2 * count) {
        slots *= 2;
    }
    struct draws draws = {calloc(slots, sizeof(uint64_t)), slots - 1};
    if (draws.slots == NULL) {
        return ST_NOMEM;
    }
    enum status status = ST_OK;
    for (uint64_t last = size - count; last < size && status == ST_OK; last++) {
        uint64_t rank = txn_random(call->txn) % (last + 1);
        if (!draws_add(&draws, rank)) {
            rank = last;
            draws_add(&draws, rank);
        }
        status = write_rank(value, rank, writer);
    }
    free(draws.slots);
    return status;
}

static enum status draw(struct call *call, const struct value *value, int64_t count,
                        struct sorted_sets_writer *writer)
{
    uint64_t size = value->type == VALUE_ZSET ? zset_count(value) : 0;
    if (size == 0 || count == 0) {
        resp_array(call->out, 0);
        return ST_OK;
    }
    if (count > 0) {
        uint64_t given = (uint64_t)count < size ? (uint64_t)count : size;
        sorted_sets_begin(writer, given);
        return given < size ? draw_different(call, value, given, writer)
                            : zset_walk(value, 0, size, false, sorted_sets_write, writer);
    }
    if (count < -DRAWS_MAX) {
        resp_error(call->out, "ERR value is out of range");
        return ST_OK;
    }
    sorted_sets_begin(writer, (uint64_t)-count);
    enum status status = ST_OK;
    for (; count < 0 && status == ST_OK && !call->out->failed; count++) {
        status = write_rank(value, txn_random(call->txn) % size, writer);
        status = status == ST_OK ? reply_drawn_check(call) : status;
    }
    return status;
}

enum status sorted_sets_zrandmember(struct call *call)
{
    bool counted = call->argc > 2;
    int64_t count = 0;
    if (counted && !argument_int64_range(call, call->argv[2], -INT64_MAX, INT64_MAX,
                                         "ERR value is out of range, value must between "
                                         "-9223372036854775807 and 9223372036854775807",
                                         &count)) {
        return ST_OK;
    }
    if (call->argc > 4 || (call->argc == 4 && !argument_is(call->argv[3], "withscores"))) {
        reply_syntax_error(call);
        return ST_OK;
    }
    struct sorted_sets_writer writer = sorted_sets_writer(call, call->argc == 4);
    if (writer.scores && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        resp_error(call->out, "ERR value is out of range");
        return ST_OK;
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    if (counted) {
        return draw(call, &value, count, &writer);
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    return write_rank(&value, txn_random(call->txn) % zset_count(&value), &writer);
}

/* ------------------------------------------------------------------------------------------
 * ZSCAN key cursor [MATCH pattern] [COUNT count]
 */

struct gathering {
    struct sorted_sets_members members;
    struct scan_options options;
};

static enum status gather(void *ctx, struct value_piece member, double score)
{
    struct gathering *gathering = ctx;
    if (!gathering->options.everything &&
        !glob_match(gathering->options.pattern, member.data, false)) {
        return ST_OK;
    }
    return sorted_sets_collect(&gathering->members, member, score);
}

static void reply_scan(struct call *call, uint64_t cursor,
                       const struct sorted_sets_members *members)
{
    resp_array(call->out, 2);
    resp_bulk_integer(call->out, (int64_t)cursor); /* Below 2^48. */
    resp_array(call->out, 2 * members->count);
    for (size_t i = 0; i < members->count; i++) {
        const struct zset_member *member = &members->rows[i];
        char text[RESP_DOUBLE_MAX];
        resp_bulk(call->out, member->name.data, member->name.size);
        resp_bulk(call->out, text, resp_double_text(member->score, text));
    }
}

enum status sorted_sets_zscan(struct call *call)
{
    uint64_t cursor;
    if (!argument_cursor(call, call->argv[2], &cursor)) {
        return ST_OK;
    }
    struct value value;
    bool good;
    enum status status = sorted_sets_read(call, 0, &value, &good);
    if (!good) {
        return status;
    }
    struct gathering gathering = {.options = {.everything = true}};
    if (value.type == VALUE_NONE) {
        reply_scan(call, 0, &gathering.members);
        return ST_OK;
    }
    if (!argument_scan_options(call, 3, &gathering.options)) {
        return ST_OK;
    }
    uint64_t next;
    status = zset_scan(&value, cursor, gathering.options.count, gather, &gathering, &next);
    if (status == ST_OK) {
        reply_scan(call, next, &gathering.members);
    }
    sorted_sets_members_deinit(&gathering.members);
    return status;
}
