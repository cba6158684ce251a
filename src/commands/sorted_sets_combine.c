/* Union, intersection and difference of sorted sets, and of plain ones among them.
 *
 * Sources are read in the order of their sizes, the smallest first, as Redis does: sums of doubles
 * depend on their order. A union gathers members in an array and finds them again through a table
 * of hashes; the others look each member of one source up in the rest. The result is sorted once,
 * at the end.
 */
#include "src/commands/sorted_sets_private.h"

#include "engine/base/hash.h"

#include <math.h>
#include <stdlib.h>

enum operation { UNION, INTER, DIFF };
enum aggregate { AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX };

struct source {
    struct value value; /* Or VALUE_NONE. */
    double weight;
    uint64_t count;
    size_t place; /* Among the arguments. */
};

struct request {
    enum operation operation;
    bool stores;
    bool counts;        /* ZINTERCARD */
    unsigned first_key; /* Number of the first source's. */
    size_t at;          /* Argument of the first source. */
    struct source *sources;
    size_t count;
    enum aggregate aggregate;
    bool scores;
    int64_t limit; /* Of ZINTERCARD; 0: none */
};

/* ------------------------------------------------------------------------------------------
 * Sources: sorted sets, and plain sets, whose members have the score 1. Only these three know of
 * what type they are.
 */

static bool source_open(const struct value *value, struct source *source_out)
{
    *source_out = (struct source){.value = *value, .weight = 1};
    source_out->count = value->type == VALUE_ZSET  ? zset_count(value)
                        : value->type == VALUE_SET ? set_count(value)
                                                   : 0;
    return value->type == VALUE_ZSET || value->type == VALUE_SET || value->type == VALUE_NONE;
}

struct plain_walk {
    struct call *call;
    zset_member_fn fn;
    void *ctx;
};

/* A member without a part may be gone soon: it goes into the arena. */
static enum status plain_member(void *ctx, struct value_piece member)
{
    const struct plain_walk *walk = ctx;
    if (member.part == NULL && member.data.size > 0) {
        unsigned char *copy = arena_alloc(walk->call->arena, member.data.size);
        if (copy == NULL) {
            return ST_NOMEM;
        }
        memcpy(copy, member.data.data, member.data.size);
        member.data.data = copy;
    }
    return walk->fn(walk->ctx, member, 1);
}

static enum status source_walk(struct call *call, const struct source *source, zset_member_fn fn,
                               void *ctx)
{
    struct plain_walk walk = {call, fn, ctx};
    switch (source->value.type) {
    case VALUE_ZSET:
        return zset_walk(&source->value, 0, source->count, false, fn, ctx);
    case VALUE_SET:
        return set_walk(&source->value, 0, source->count, plain_member, &walk);
    default:
        return ST_OK;
    }
}

static enum status source_find(const struct source *source, struct bytes member, bool *found_out,
                               double *score_out)
{
    struct set_probe probe = set_probe_of(member);
    *found_out = false;
    *score_out = 1;
    switch (source->value.type) {
    case VALUE_ZSET:
        return zset_score(&source->value, member, found_out, score_out);
    case VALUE_SET:
        return set_has(&source->value, &probe, found_out);
    default:
        return ST_OK;
    }
}

/* ------------------------------------------------------------------------------------------
 * Reading the request.
 */

/* False: the error is written. */
static bool weights_read(struct call *call, size_t at, struct request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (!double_parse(call->argv[at + i], &request->sources[i].weight)) {
            resp_error(call->out, "ERR weight value is not a float");
            return false;
        }
    }
    return true;
}

static bool aggregate_read(struct bytes word, enum aggregate *aggregate_out)
{
    static const char *const names[] = {"sum", "min", "max"};
    for (size_t i = 0; i < 3; i++) {
        if (argument_is(word, names[i])) {
            *aggregate_out = (enum aggregate)i;
            return true;
        }
    }
    return false;
}

/* What follows the keys. False: the error is written. */
static bool options_read(struct call *call, struct request *request)
{
    bool scored = request->operation != DIFF && !request->counts;
    for (size_t at = request->at + request->count; at < call->argc; at++) {
        struct bytes word = call->argv[at];
        size_t behind = call->argc - at - 1;
        if (scored && behind >= request->count && argument_is(word, "weights")) {
            if (!weights_read(call, at + 1, request)) {
                return false;
            }
            at += request->count;
        } else if (scored && behind >= 1 && argument_is(word, "aggregate")) {
            if (!aggregate_read(call->argv[at + 1], &request->aggregate)) {
                reply_syntax_error(call);
                return false;
            }
            at++;
        } else if (!request->stores && !request->counts && argument_is(word, "withscores")) {
            request->scores = true;
        } else if (request->counts && behind >= 1 && argument_is(word, "limit")) {
            if (!bytes_to_int64(call->argv[at + 1], &request->limit) || request->limit < 0) {
                resp_error(call->out, "ERR LIMIT can't be negative");
                return false;
            }
            at++;
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* *good_out false: the error is written, or see the status. */
static enum status request_read(struct call *call, struct request *request, bool *good_out)
{
    size_t number = request->stores ? 2 : 1;
    int64_t count;
    *good_out = false;
    if (!argument_int64(call, call->argv[number], &count)) {
        return ST_OK;
    }
    if (count < 1) {
        resp_error_format(call->out, "ERR at least 1 input key is needed for '%s' command",
                          call->command->full_name);
        return ST_OK;
    }
    request->at = number + 1;
    request->first_key = request->stores;
    if ((uint64_t)count > call->argc - request->at) {
        reply_syntax_error(call);
        return ST_OK;
    }
    request->count = (size_t)count;
    request->sources = arena_alloc(call->arena, request->count * sizeof(*request->sources));
    if (request->sources == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < request->count; i++) {
        struct value value;
        enum status status = txn_read(call->txn, request->first_key + (unsigned)i, &value);
        if (status != ST_OK) {
            return status;
        }
        if (!source_open(&value, &request->sources[i])) {
            reply_wrong_type(call);
            return ST_OK;
        }
        request->sources[i].place = i;
    }
    *good_out = options_read(call, request);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Scores.
 */

static double weighted(double weight, double score)
{
    double product = weight * score;
    return isnan(product) ? 0 : product; /* 0 × inf */
}

static double aggregated(enum aggregate aggregate, double a, double b)
{
    double sum = a + b;
    switch (aggregate) {
    case AGGREGATE_SUM:
        return isnan(sum) ? 0 : sum; /* inf - inf */
    case AGGREGATE_MIN:
        return b < a ? b : a;
    default:
        return b > a ? b : a;
    }
}

/* ------------------------------------------------------------------------------------------
 * Union.
 */

/* Where in the array a member is: a table of indexes + 1, probed linearly. Hashes lie beside, so
 * that few names are looked at. */
struct table {
    uint32_t *slots;
    uint32_t *hashes; /* Of the member with that index. */
    uint64_t mask;
    uint64_t seed;
};

struct uniting {
    const struct request *request;
    const struct source *source;
    struct sorted_sets_members *members;
    struct table table;
    bool alone; /* There is one source, or this is the first: its members are all new. */
};

static enum status table_init(struct table *table, uint64_t count, uint64_t seed)
{
    uint64_t slots = 16;
    while (slots < count + count / 2) {
        slots *= 2;
    }
    if (count >= UINT32_MAX) {
        return ST_LIMIT;
    }
    table->slots = calloc(slots, sizeof(*table->slots));
    table->hashes = malloc((size_t)(count + 1) * sizeof(*table->hashes));
    table->mask = slots - 1;
    table->seed = seed;
    return table->slots == NULL || table->hashes == NULL ? ST_NOMEM : ST_OK;
}

static void table_deinit(struct table *table)
{
    free(table->slots);
    free(table->hashes);
}

/* The member of that name among those gathered, or NULL; then it has been given the next index. */
static struct zset_member *table_find(struct uniting *uniting, struct bytes name)
{
    struct table *table = &uniting->table;
    struct sorted_sets_members *members = uniting->members;
    uint64_t hash = hash_element(name, table->seed);
    uint64_t at = hash & table->mask;
    uint32_t check = (uint32_t)(hash >> 32);
    for (; table->slots[at] != 0; at = (at + 1) & table->mask) {
        uint32_t index = table->slots[at] - 1;
        if (!uniting->alone && table->hashes[index] == check &&
            bytes_equal(members->rows[index].name, name)) {
            return &members->rows[index];
        }
    }
    table->hashes[members->count] = check;
    table->slots[at] = (uint32_t)members->count + 1;
    return NULL;
}

static enum status unite_member(void *ctx, struct value_piece member, double score)
{
    struct uniting *uniting = ctx;
    score = weighted(uniting->source->weight, score);
    if (uniting->request->count > 1) {
        struct zset_member *there = table_find(uniting, member.data);
        if (there != NULL) {
            there->score = aggregated(uniting->request->aggregate, there->score, score);
            return ST_OK;
        }
    }
    return sorted_sets_collect(uniting->members, member, score);
}

static enum status unite(struct call *call, const struct request *request,
                         struct sorted_sets_members *members)
{
    struct uniting uniting = {.request = request, .members = members};
    uint64_t count = 0;
    for (size_t i = 0; i < request->count; i++) {
        count += request->sources[i].count;
    }
    enum status status = ST_OK;
    if (request->count > 1) {
        status = table_init(&uniting.table, count, txn_random(call->txn));
    }
    for (size_t i = 0; i < request->count && status == ST_OK; i++) {
        uniting.source = &request->sources[i];
        uniting.alone = members->count == 0;
        status = source_walk(call, uniting.source, unite_member, &uniting);
    }
    table_deinit(&uniting.table);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Intersection and difference.
 */

struct sifting {
    const struct request *request;
    struct sorted_sets_members *members; /* ZINTERCARD: only counted. */
    bool full;
};

static enum status inter_member(void *ctx, struct value_piece member, double score)
{
    struct sifting *sifting = ctx;
    const struct request *request = sifting->request;
    if (sifting->full) {
        return ST_OK;
    }
    score = weighted(request->sources[0].weight, score);
    for (size_t i = 1; i < request->count; i++) {
        const struct source *other = &request->sources[i];
        bool found;
        double there;
        enum status status = source_find(other, member.data, &found, &there);
        if (status != ST_OK || !found) {
            return status;
        }
        /* Not weighted(): here a 0 × inf counts as 0 in sums only, and else not at all. */
        score = aggregated(request->aggregate, score, other->weight * there);
    }
    if (!request->counts) {
        return sorted_sets_collect(sifting->members, member, score);
    }
    sifting->members->count++;
    sifting->full = request->limit > 0 && sifting->members->count == (uint64_t)request->limit;
    return ST_OK;
}

static enum status diff_member(void *ctx, struct value_piece member, double score)
{
    struct sifting *sifting = ctx;
    const struct request *request = sifting->request;
    for (size_t i = 1; i < request->count; i++) {
        bool found;
        double there;
        enum status status = source_find(&request->sources[i], member.data, &found, &there);
        if (status != ST_OK || found) {
            return status;
        }
    }
    return sorted_sets_collect(sifting->members, member, score);
}

/* ------------------------------------------------------------------------------------------
 * All together.
 */

/* The smallest first; those of the same size stay in order. */
static int compare_sources(const void *a, const void *b)
{
    const struct source *x = a;
    const struct source *y = b;
    return x->count != y->count ? (x->count > y->count) - (x->count < y->count)
                                : (x->place > y->place) - (x->place < y->place);
}

static enum status combine(struct call *call, struct request *request,
                           struct sorted_sets_members *members)
{
    struct sifting sifting = {.request = request, .members = members};
    if (request->operation == DIFF) {
        return source_walk(call, &request->sources[0], diff_member, &sifting);
    }
    qsort(request->sources, request->count, sizeof(*request->sources), compare_sources);
    return request->operation == UNION
               ? unite(call, request, members)
               : source_walk(call, &request->sources[0], inter_member, &sifting);
}

static int compare(const void *a, const void *b)
{
    const struct zset_member *x = a;
    const struct zset_member *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : bytes_compare(x->name, y->name);
}

static void reply_members(struct call *call, const struct request *request,
                          struct sorted_sets_members *members)
{
    if (members->count > 0) {
        qsort(members->rows, members->count, sizeof(*members->rows), compare);
    }
    struct sorted_sets_writer writer = sorted_sets_writer(call, request->scores);
    sorted_sets_begin(&writer, members->count);
    for (size_t i = 0; i < members->count; i++) {
        struct value_piece name = {members->rows[i].name, NULL};
        status_ignore(sorted_sets_write(&writer, name, members->rows[i].score),
                      "a writer answers ST_OK");
    }
}

static enum status run(struct call *call, struct request request)
{
    bool good;
    enum status status = request_read(call, &request, &good);
    if (!good) {
        return status;
    }
    struct sorted_sets_members members = {0};
    status = combine(call, &request, &members);
    if (status == ST_OK) {
        if (request.stores) {
            status = sorted_sets_store(call, 0, &members);
        } else if (request.counts) {
            resp_integer(call->out, (int64_t)members.count);
        } else {
            reply_members(call, &request, &members);
        }
    }
    sorted_sets_members_deinit(&members);
    return status;
}

enum status sorted_sets_zunion(struct call *call)
{
    return run(call, (struct request){.operation = UNION});
}

enum status sorted_sets_zinter(struct call *call)
{
    return run(call, (struct request){.operation = INTER});
}

enum status sorted_sets_zdiff(struct call *call)
{
    return run(call, (struct request){.operation = DIFF});
}

enum status sorted_sets_zintercard(struct call *call)
{
    return run(call, (struct request){.operation = INTER, .counts = true});
}

enum status sorted_sets_zunionstore(struct call *call)
{
    return run(call, (struct request){.operation = UNION, .stores = true});
}

enum status sorted_sets_zinterstore(struct call *call)
{
    return run(call, (struct request){.operation = INTER, .stores = true});
}

enum status sorted_sets_zdiffstore(struct call *call)
{
    return run(call, (struct request){.operation = DIFF, .stores = true});
}
