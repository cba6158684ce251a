/* Searches: cells of the map that cover the area are ranges of scores; of their members, those that
 * lie in the area are hits.
 *
 * A search costs what its cells hold, whatever the size of the set: nine ranges at most. With ANY
 * it ends at the last hit that is wanted. Hits are few words each (names stay in the set) and are
 * gathered before the reply begins, as its first word is their number. Where only the nearest few
 * are wanted, no more than twice as many are kept. */
#include "src/commands/geo_private.h"

#include <stdlib.h>

/* What storing a result logs for each member beyond its name, and beyond all members. */
#define STORE_MEMBER_RESERVE 16
#define STORE_RESERVE 64

/* Fewer hits than that are kept whatever the limit. */
#define KEEP_MIN 512

struct hit {
    struct value_piece name;
    double score;
    double distance_m;
    size_t index; /* As found: decides between equal distances. */
};

struct hits {
    const struct geo_search *search;
    struct buf buf; /* Of struct hit. */
    size_t count;
    size_t found; /* Those that are not kept too. */
};

/* ------------------------------------------------------------------------------------------
 * Finding.
 */

static int hits_order(const void *a, const void *b, int direction)
{
    const struct hit *left = a;
    const struct hit *right = b;
    if (left->distance_m != right->distance_m) {
        return left->distance_m < right->distance_m ? -direction : direction;
    }
    return (left->index > right->index) - (left->index < right->index);
}

static int nearest_first(const void *a, const void *b)
{
    return hits_order(a, b, 1);
}

static int farthest_first(const void *a, const void *b)
{
    return hits_order(a, b, -1);
}

/* Orders them, and drops those beyond the limit. */
static void hits_choose(struct hits *hits)
{
    const struct geo_search *search = hits->search;
    if (search->order != GEO_AS_FOUND && hits->count > 1) {
        qsort(hits->buf.data, hits->count, sizeof(struct hit),
              search->order == GEO_NEAREST ? nearest_first : farthest_first);
    }
    if (search->count_max > 0 && hits->count > search->count_max) {
        hits->count = (size_t)search->count_max;
        hits->buf.size = hits->count * sizeof(struct hit);
    }
}

static bool hits_enough(const struct hits *hits)
{
    return hits->search->any && hits->count >= hits->search->count_max;
}

/* A zset_member_fn. Enough is no failure, but ends the walk like one. */
static enum status hits_look(void *ctx, struct value_piece member, double score)
{
    struct hits *hits = ctx;
    double distance_m;
    if (!geo_area_holds(&hits->search->area, geo_point_of_score(score), &distance_m)) {
        return ST_OK;
    }
    struct hit *hit = (struct hit *)buf_extend(&hits->buf, sizeof(*hit));
    if (hit == NULL) {
        return ST_NOMEM;
    }
    *hit = (struct hit){
        .name = member, .score = score, .distance_m = distance_m, .index = hits->found++};
    hits->count++;
    uint64_t wanted = hits->search->count_max;
    if (wanted > 0 && hits->count >= KEEP_MIN && hits->count / 2 >= wanted) {
        hits_choose(hits);
    }
    return hits_enough(hits) ? ST_BUSY : ST_OK;
}

static enum status hits_find(struct hits *hits, const struct value *source)
{
    struct geo_range ranges[GEO_RANGES_MAX];
    size_t count = geo_area_ranges(&hits->search->area, ranges);
    for (size_t i = 0; i < count && !hits_enough(hits); i++) {
        uint64_t first = 0;
        uint64_t end = 0;
        enum status status = zset_rank_of_score(source, ranges[i].first, false, &first);
        if (status == ST_OK) {
            status = zset_rank_of_score(source, ranges[i].end, false, &end);
        }
        if (status == ST_OK && first < end) {
            status = zset_walk(source, first, end - first, false, hits_look, hits);
        }
        if (status != ST_OK && !hits_enough(hits)) {
            return status;
        }
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Answering.
 */

static void hits_reply(struct call *call, const struct hits *hits, const struct hit *list)
{
    const struct geo_search *search = hits->search;
    unsigned extras = search->with_distance + search->with_hash + search->with_point;
    resp_array(call->out, hits->count);
    for (size_t i = 0; i < hits->count; i++) {
        if (extras > 0) {
            resp_array(call->out, 1 + extras);
        }
        reply_piece(call, list[i].name);
        if (search->with_distance) {
            geo_reply_distance(call, list[i].distance_m / search->unit_m);
        }
        if (search->with_hash) { /* Scores of hits lie within the map's: 0 … 2^54. */
            resp_integer(call->out, (int64_t)list[i].score);
        }
        if (search->with_point) {
            geo_reply_point(call, geo_point_of_score(list[i].score));
        }
    }
}

/* The members that are stored; names lie where they lay. NULL: no memory. */
static struct zset_member *hits_members(struct call *call, const struct hits *hits,
                                        const struct hit *list, uint64_t *size_out)
{
    const struct geo_search *search = hits->search;
    struct zset_member *members = arena_alloc(call->arena, hits->count * sizeof(*members));
    *size_out = STORE_RESERVE;
    for (size_t i = 0; members != NULL && i < hits->count; i++) {
        members[i].name = list[i].name.data;
        members[i].score =
            search->store_distance ? list[i].distance_m / search->unit_m : list[i].score;
        *size_out += members[i].name.size + STORE_MEMBER_RESERVE;
    }
    return members;
}

/* A set that is replaced by what was found in it: its names must outlive it. */
static bool members_copy_names(struct call *call, struct zset_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = members[i].name.size;
        void *copy = arena_alloc(call->arena, size);
        if (copy == NULL) {
            return false;
        }
        if (size > 0) {
            memcpy(copy, members[i].name.data, size);
        }
        members[i].name = bytes_of(copy, size);
    }
    return true;
}

/* number: the destination's txn key. */
static enum status hits_store(struct call *call, const struct geo_form *form,
                              const struct hits *hits, const struct hit *list, unsigned number)
{
    struct value replaced;
    enum status status = txn_peek(call->txn, number, &replaced);
    uint64_t size = 0;
    struct zset_member *members = hits_members(call, hits, list, &size);
    if (status == ST_OK) {
        status = members == NULL ? ST_NOMEM : txn_reserve(call->txn, size);
    }
    if (status == ST_OK &&
        bytes_equal(call->argv[form->source + 1], call->argv[hits->search->store_index])) {
        status = members_copy_names(call, members, hits->count) ? ST_OK : ST_NOMEM;
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)hits->count);
        status = txn_zset_put(call->txn, number, members, hits->count);
    }
    return status;
}

static enum status answer(struct call *call, const struct geo_form *form,
                          const struct geo_search *search, const struct value *source)
{
    struct hits hits = {.search = search, .buf = BUF_EMPTY};
    enum status status = source->type == VALUE_NONE ? ST_OK : hits_find(&hits, source);
    if (status == ST_OK) {
        hits_choose(&hits);
        const struct hit *list = (const struct hit *)hits.buf.data;
        if (search->store_index == 0) {
            hits_reply(call, &hits, list);
        } else {
            status = hits_store(call, form, &hits, list, form->stores ? 0 : 1);
        }
    }
    buf_deinit(&hits.buf);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The commands.
 */

static enum status search_as(struct call *call, const struct geo_form *form)
{
    struct value source;
    enum status status = txn_read(call->txn, form->source, &source);
    if (status != ST_OK || !geo_fits(call, &source)) {
        return status;
    }
    struct geo_search search;
    bool fine;
    status = geo_search_read(call, form, &source, &search, &fine);
    return fine ? answer(call, form, &search, &source) : status;
}

enum status geo_geosearch(struct call *call)
{
    static const struct geo_form form = {.from = GEO_FROM_OPTION, .first_option = 2};
    return search_as(call, &form);
}

enum status geo_geosearchstore(struct call *call)
{
    static const struct geo_form form = {
        .from = GEO_FROM_OPTION, .source = 1, .first_option = 3, .stores = true};
    return search_as(call, &form);
}

enum status geo_georadius(struct call *call)
{
    static const struct geo_form form = {
        .from = GEO_FROM_POINT, .first_option = 6, .store_words = true};
    return search_as(call, &form);
}

enum status geo_georadius_ro(struct call *call)
{
    static const struct geo_form form = {.from = GEO_FROM_POINT, .first_option = 6};
    return search_as(call, &form);
}

enum status geo_georadiusbymember(struct call *call)
{
    static const struct geo_form form = {
        .from = GEO_FROM_MEMBER, .first_option = 5, .store_words = true};
    return search_as(call, &form);
}

enum status geo_georadiusbymember_ro(struct call *call)
{
    static const struct geo_form form = {.from = GEO_FROM_MEMBER, .first_option = 5};
    return search_as(call, &form);
}

/* Of several destinations the last one counts. No other option takes a word that could be STORE or
 * STOREDIST in a request that is right. */
enum status geo_radius_plan(struct call *call)
{
    size_t destination = 0;
    for (size_t i = (size_t)-call->command->arity; i + 1 < call->argc; i++) {
        if (argument_is(call->argv[i], "store") || argument_is(call->argv[i], "storedist")) {
            destination = ++i;
        }
    }
    enum status status = call_plan_key(call, call->database, call->argv[1]);
    if (status == ST_OK && destination > 0) {
        status = call_plan_key(call, call->database, call->argv[destination]);
    }
    return status;
}
