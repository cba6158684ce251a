/* Members by chance: SPOP and SRANDMEMBER.
 *
 * Every member has a rank, so a fair pick is a number below the count, and a fair pick of many is
 * so many different numbers: drawn, put in order, and those drawn twice drawn again until there are
 * enough. (Each way to draw them is as likely as any other, so every selection is.) Who wants more
 * than half draws those that stay behind. What was drawn is logged, not the draw.
 */
#include "src/commands/sets_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* Redis's rule for SPOP: when so much goes that the rest times this is no more than what goes, the
 * rest becomes a new set. */
#define REBUILD_FACTOR 5
/* One seek costs about as much as walking over so many members. */
#define SEEK_COST 16
/* SRANDMEMBER with repeats: a larger reply would only take memory until there is none. */
#define DRAWS_MAX (1 << 26)

static uint64_t random_below(struct call *call, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)txn_random(call->txn) * bound >> 64);
}

/* ------------------------------------------------------------------------------------------
 * Many different ones.
 */

struct picks {
    const struct value *set;
    uint64_t *ranks; /* Ascending. */
    uint64_t count;
    bool inverted; /* All the others are meant. */
};

static int rank_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t without_doubles(uint64_t *ranks, uint64_t count)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i == 0 || ranks[i] != ranks[kept - 1]) {
            ranks[kept++] = ranks[i];
        }
    }
    return kept;
}

/* Picks `wanted` of the set's members, which has more than that. */
static enum status picks_draw(struct call *call, const struct value *set, uint64_t wanted,
                              struct picks *picks)
{
    uint64_t all = set_count(set);
    CHECK(wanted < all);
    *picks = (struct picks){.set = set, .inverted = wanted > all / 2};
    picks->count = picks->inverted ? all - wanted : wanted;
    picks->ranks = arena_alloc(call->arena, picks->count * sizeof(uint64_t));
    if (picks->ranks == NULL) {
        return ST_NOMEM;
    }
    for (uint64_t drawn = 0; drawn < picks->count;) {
        for (uint64_t i = drawn; i < picks->count; i++) {
            picks->ranks[i] = random_below(call, all);
        }
        qsort(picks->ranks, picks->count, sizeof(uint64_t), rank_order);
        drawn = without_doubles(picks->ranks, picks->count);
    }
    return ST_OK;
}

/* Those that were not picked, of the same draw. */
static struct picks picks_rest(struct picks picks)
{
    picks.inverted = !picks.inverted;
    return picks;
}

struct picking {
    const struct picks *picks;
    uint64_t rank, next;
    value_piece_fn fn;
    void *ctx;
};

static enum status pick_member(void *ctx, struct value_piece piece)
{
    struct picking *picking = ctx;
    const struct picks *picks = picking->picks;
    bool drawn = picking->next < picks->count && picks->ranks[picking->next] == picking->rank;
    picking->next += drawn;
    picking->rank++;
    return drawn != picks->inverted ? picking->fn(picking->ctx, piece) : ST_OK;
}

static enum status picks_walk(const struct picks *picks, value_piece_fn fn, void *ctx)
{
    uint64_t all = set_count(picks->set);
    if (picks->inverted || picks->set->shape == VALUE_PACKED || picks->count > all / SEEK_COST) {
        struct picking picking = {picks, 0, 0, fn, ctx};
        return set_walk(picks->set, 0, all, pick_member, &picking);
    }
    enum status status = ST_OK;
    for (uint64_t i = 0; i < picks->count && status == ST_OK; i++) {
        char room[INT64_TEXT_MAX];
        struct value_piece piece;
        status = set_at(picks->set, picks->ranks[i], room, &piece);
        status = status == ST_OK ? fn(ctx, piece) : status;
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * SPOP.
 */

static enum status pop_one(struct call *call, const struct value *set)
{
    char room[INT64_TEXT_MAX];
    struct value_piece piece;
    enum status status = set_at(set, random_below(call, set_count(set)), room, &piece);
    if (status != ST_OK) {
        return status;
    }
    reply_piece(call, piece);
    return txn_set_remove(call->txn, 0, &piece.data, 1, NULL);
}

struct popping {
    struct call *call;
    struct bytes *members;
    size_t count;
};

/* Replies a member and remembers it, in bytes that stay. */
static enum status pop_member(void *ctx, struct value_piece piece)
{
    struct popping *popping = ctx;
    struct bytes member = piece.data;
    if (piece.part == NULL) {
        char *copy = arena_alloc(popping->call->arena, member.size);
        if (copy == NULL) {
            return ST_NOMEM;
        }
        memcpy(copy, member.data, member.size);
        member.data = copy;
    }
    reply_piece(popping->call, piece);
    popping->members[popping->count++] = member;
    return ST_OK;
}

static enum status pop_some(struct call *call, const struct value *set, uint64_t count)
{
    struct picks picks;
    enum status status = picks_draw(call, set, count, &picks);
    struct popping popping = {call, arena_alloc(call->arena, count * sizeof(struct bytes)), 0};
    if (status != ST_OK || popping.members == NULL) {
        return status != ST_OK ? status : ST_NOMEM;
    }
    status = picks_walk(&picks, pop_member, &popping);
    return status == ST_OK ? txn_set_remove(call->txn, 0, popping.members, popping.count, NULL)
                           : status;
}

static enum status keep_member(void *ctx, struct value_piece piece)
{
    return set_builder_add(ctx, piece);
}

/* Most of the set goes: what stays becomes a set of its own. */
static enum status pop_most(struct call *call, const struct value *set, uint64_t count)
{
    struct picks picks;
    enum status status = picks_draw(call, set, count, &picks);
    if (status == ST_OK) {
        status = picks_walk(&picks, sets_reply_member, call);
    }
    if (status != ST_OK) {
        return status;
    }
    picks = picks_rest(picks);
    struct buf scratch = BUF_EMPTY;
    struct set_builder builder;
    struct value rest;
    set_builder_begin(&builder, set_encoding(set) == SET_HASHTABLE ? SET_LISTPACK : SET_INTSET,
                      txn_limits(call->txn), &scratch);
    status = picks_walk(&picks, keep_member, &builder);
    status = set_builder_end(&builder, status, false, &rest);
    if (status == ST_OK) {
        status = txn_put(call->txn, 0, &rest, BASIN_KEEP_EXPIRY);
    }
    buf_deinit(&scratch);
    return status;
}

static enum status pop_counted(struct call *call, const struct value *set, uint64_t count)
{
    uint64_t all = set->type == VALUE_NONE ? 0 : set_count(set);
    count = count < all ? count : all;
    resp_set(call->out, count);
    if (count == 0) {
        return ST_OK;
    }
    if (count == all) {
        enum status status = set_walk(set, 0, all, sets_reply_member, call);
        return status == ST_OK ? txn_delete(call->txn, 0, NULL) : status;
    }
    return (all - count) * REBUILD_FACTOR > count ? pop_some(call, set, count)
                                                  : pop_most(call, set, count);
}

enum status sets_spop(struct call *call)
{
    int64_t count = 1;
    if (call->argc > 3) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (call->argc == 3 && (!bytes_to_int64(call->argv[2], &count) || count < 0)) {
        resp_error(call->out, "ERR value is out of range, must be positive");
        return ST_OK;
    }
    struct value set;
    enum status status = txn_peek(call->txn, 0, &set);
    if (status != ST_OK || !sets_fits(call, &set)) {
        return status;
    }
    if (call->argc == 3) {
        return pop_counted(call, &set, (uint64_t)count);
    }
    if (set.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    return pop_one(call, &set);
}

/* ------------------------------------------------------------------------------------------
 * SRANDMEMBER.
 */

static enum status reply_draw(struct call *call, const struct value *set)
{
    char room[INT64_TEXT_MAX];
    struct value_piece piece;
    enum status status = set_at(set, random_below(call, set_count(set)), room, &piece);
    if (status == ST_OK) {
        reply_piece(call, piece);
    }
    return status;
}

/* Each draw is from all of the members. */
static enum status reply_draws(struct call *call, const struct value *set, uint64_t count)
{
    enum status status = count > DRAWS_MAX ? ST_LIMIT : ST_OK;
    resp_array(call->out, count);
    for (; count > 0 && status == ST_OK && !call->out->failed; count--) {
        status = reply_draw(call, set);
        status = status == ST_OK ? reply_drawn_check(call) : status;
    }
    return status;
}

static enum status reply_different(struct call *call, const struct value *set, uint64_t count)
{
    uint64_t all = set_count(set);
    if (count >= all) {
        resp_array(call->out, all);
        return set_walk(set, 0, all, sets_reply_member, call);
    }
    struct picks picks;
    enum status status = picks_draw(call, set, count, &picks);
    resp_array(call->out, count);
    return status == ST_OK ? picks_walk(&picks, sets_reply_member, call) : status;
}

enum status sets_srandmember(struct call *call)
{
    int64_t count = 0;
    bool counted = call->argc > 2;
    if (call->argc > 3) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (counted && !argument_int64(call, call->argv[2], &count)) {
        return ST_OK;
    }
    if (count == INT64_MIN) {
        resp_error(call->out, "ERR value is out of range, value must between "
                              "-9223372036854775807 and 9223372036854775807");
        return ST_OK;
    }
    struct value set;
    enum status status = txn_read(call->txn, 0, &set);
    if (status != ST_OK || !sets_fits(call, &set)) {
        return status;
    }
    if (!counted) {
        if (set.type != VALUE_NONE) {
            return reply_draw(call, &set);
        }
        resp_null(call->out);
        return ST_OK;
    }
    if (set.type == VALUE_NONE || count == 0) {
        resp_array(call->out, 0);
        return ST_OK;
    }
    return count > 0 ? reply_different(call, &set, (uint64_t)count)
                     : reply_draws(call, &set, (uint64_t)-count);
}
