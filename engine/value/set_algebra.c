#include "engine/value/set_algebra.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* Looking a member up costs about a quarter of collecting it into a new set. */
#define LOOKUPS_WORTH 4
/* Below that many members it does not matter. */
#define COLLECT_MIN 1000

typedef const struct value *operand;

/* ------------------------------------------------------------------------------------------
 * Operands that matter, in the order in which they are best asked.
 */

static int smaller_first(const void *a, const void *b)
{
    operand x = *(const operand *)a;
    operand y = *(const operand *)b;
    uint64_t x_count = set_count(x);
    uint64_t y_count = set_count(y);
    if (x_count != y_count) {
        return x_count < y_count ? -1 : 1;
    }
    return (x > y) - (x < y); /* They are all of one array: as they were. */
}

static int larger_first(const void *a, const void *b)
{
    operand x = *(const operand *)a;
    operand y = *(const operand *)b;
    uint64_t x_count = set_count(x);
    uint64_t y_count = set_count(y);
    if (x_count != y_count) {
        return x_count > y_count ? -1 : 1;
    }
    return (x > y) - (x < y);
}

static bool same_set(operand a, operand b)
{
    return a->shape == b->shape &&
           (a->shape == VALUE_CLAST ? a->root == b->root : a->packed.data == b->packed.data);
}

/* Appends those that count to `out` (operand); none if the result is known to be empty. */
static enum status operands_of(enum set_algebra algebra, const struct value *sets, size_t count,
                               struct buf *out)
{
    enum status status = ST_OK;
    bool empty = algebra == SET_DIFF && sets[0].type == VALUE_NONE;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        operand set = &sets[i];
        bool absent = set->type == VALUE_NONE;
        empty = empty || (absent && algebra == SET_INTER) ||
                (algebra == SET_DIFF && i > 0 && !absent && same_set(set, &sets[0]));
        if (!absent) {
            status = buf_append(out, bytes_of(&set, sizeof(set)));
        }
    }
    if (status != ST_OK || empty || out->size == 0) {
        out->size = 0;
        return status;
    }
    operand *operands = (operand *)(void *)out->data;
    size_t found = out->size / sizeof(operand);
    size_t fixed = algebra == SET_DIFF ? 1 : 0;
    qsort(operands + fixed, found - fixed, sizeof(operand),
          algebra == SET_INTER ? smaller_first : larger_first);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Bits.
 */

static enum status bits_make(struct set_selection *selection, uint64_t count, bool ones)
{
    size_t size = (size_t)(count / 8 + 1);
    unsigned char *bits = buf_extend(&selection->bits, size);
    if (bits == NULL) {
        return ST_NOMEM;
    }
    memset(bits, ones ? 0xff : 0, size);
    selection->count = ones ? count : 0;
    return ST_OK;
}

static bool bit_at(const struct set_selection *selection, uint64_t index)
{
    return (selection->bits.data[index / 8] >> index % 8 & 1) != 0;
}

static void bit_flip(struct set_selection *selection, uint64_t index)
{
    selection->bits.data[index / 8] ^= (unsigned char)(1u << index % 8);
}

/* ------------------------------------------------------------------------------------------
 * Finding out.
 */

struct sieve {
    struct set_selection *selection;
    const operand *others;
    size_t count;
    bool all; /* Wanted in all of them, or in none. */
    uint64_t index;
};

/* Whether the member is in all the others, or in none of them. */
static enum status passes(struct set_probe *probe, const operand *others, size_t count, bool all,
                          bool *passes_out)
{
    enum status status = ST_OK;
    *passes_out = true;
    for (size_t i = 0; i < count && status == ST_OK && *passes_out; i++) {
        bool has;
        status = set_has(others[i], probe, &has);
        *passes_out = status == ST_OK && has == all;
    }
    return status;
}

static enum status sieve_member(void *ctx, struct value_piece piece)
{
    struct sieve *sieve = ctx;
    struct set_probe probe = set_probe_of(piece.data);
    bool wanted;
    enum status status = passes(&probe, sieve->others, sieve->count, sieve->all, &wanted);
    if (status == ST_OK && wanted) {
        bit_flip(sieve->selection, sieve->index);
        sieve->selection->count++;
    }
    sieve->index++;
    return status;
}

static enum status walk_whole(operand set, value_piece_fn fn, void *ctx)
{
    return set_walk(set, 0, set_count(set), fn, ctx);
}

/* The members of the first that are in all the others, or in none. */
static enum status sieve_first(struct set_selection *selection, const operand *operands,
                               size_t count, bool all)
{
    struct sieve sieve = {selection, operands + 1, count - 1, all, 0};
    enum status status = bits_make(selection, set_count(operands[0]), false);
    return status == ST_OK ? walk_whole(operands[0], sieve_member, &sieve) : status;
}

struct strike {
    struct set_selection *selection;
    operand from;
};

static enum status strike_member(void *ctx, struct value_piece piece)
{
    struct strike *strike = ctx;
    struct set_probe probe = set_probe_of(piece.data);
    uint64_t rank;
    bool has;
    enum status status = set_rank(strike->from, &probe, &rank, &has);
    if (status == ST_OK && has && bit_at(strike->selection, rank)) {
        bit_flip(strike->selection, rank);
        strike->selection->count--;
    }
    return status;
}

/* The first without the others: from the side where there is less to look up. */
static enum status select_diff(struct set_selection *selection, const operand *operands,
                               size_t count)
{
    uint64_t first = set_count(operands[0]);
    uint64_t others = 0;
    for (size_t i = 1; i < count; i++) {
        others += set_count(operands[i]);
    }
    if (others >= first) {
        return sieve_first(selection, operands, count, false);
    }
    struct strike strike = {selection, operands[0]};
    enum status status = bits_make(selection, first, true);
    for (size_t i = 1; i < count && status == ST_OK; i++) {
        status = walk_whole(operands[i], strike_member, &strike);
    }
    return status;
}

static enum status collect_member(void *ctx, struct value_piece piece)
{
    return set_builder_add(ctx, piece);
}

static enum status collect(const operand *operands, size_t count, enum set_encoding encoding,
                           const struct value_limits *limits, struct buf *scratch,
                           struct value *value_out)
{
    struct set_builder builder;
    set_builder_begin(&builder, encoding, limits, scratch);
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = walk_whole(operands[i], collect_member, &builder);
    }
    return set_builder_end(&builder, status, false, value_out);
}

static bool collecting_pays(const operand *operands, size_t count)
{
    uint64_t members = 0;
    uint64_t lookups = 0;
    for (size_t i = 0; i < count; i++) {
        members += set_count(operands[i]);
        lookups += i * set_count(operands[i]);
    }
    return members >= COLLECT_MIN && lookups > LOOKUPS_WORTH * members;
}

static enum status select_union(struct set_selection *selection, const operand *operands,
                                size_t count)
{
    uint64_t members = 0;
    for (size_t i = 0; i < count; i++) {
        members += set_count(operands[i]);
    }
    enum status status = bits_make(selection, members, false);
    uint64_t index = 0;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct sieve sieve = {selection, operands, i, false, index};
        status = walk_whole(operands[i], sieve_member, &sieve);
        index = sieve.index;
    }
    return status;
}

enum status set_select(enum set_algebra algebra, const struct value *sets, size_t count,
                       const struct value_limits *limits, struct set_selection *selection_out)
{
    CHECK(count > 0);
    struct set_selection *selection = selection_out;
    *selection = (struct set_selection){.collected = {.type = VALUE_NONE}};
    enum status status = operands_of(algebra, sets, count, &selection->sources);
    const operand *operands = (const operand *)(void *)selection->sources.data;
    size_t found = selection->sources.size / sizeof(operand);
    if (status != ST_OK || found == 0) {
        return status;
    }
    if (found == 1) {
        return bits_make(selection, set_count(operands[0]), true);
    }
    switch (algebra) {
    case SET_INTER:
    case SET_DIFF:
        status = algebra == SET_INTER ? sieve_first(selection, operands, found, true)
                                      : select_diff(selection, operands, found);
        selection->sources.size = sizeof(operand);
        return status;
    default:
        break;
    }
    if (!collecting_pays(operands, found)) {
        return select_union(selection, operands, found);
    }
    status =
        collect(operands, found, SET_HASHTABLE, limits, &selection->scratch, &selection->collected);
    if (status != ST_OK) {
        return status;
    }
    operand collected = &selection->collected;
    selection->sources.size = 0;
    status = buf_append(&selection->sources, bytes_of(&collected, sizeof(collected)));
    return status == ST_OK ? bits_make(selection, set_count(collected), true) : status;
}

void set_selection_deinit(struct set_selection *selection)
{
    value_free(&selection->collected);
    buf_deinit(&selection->sources);
    buf_deinit(&selection->bits);
    buf_deinit(&selection->scratch);
}

/* ------------------------------------------------------------------------------------------
 * Giving.
 */

struct giving {
    const struct set_selection *selection;
    uint64_t index;
    value_piece_fn fn;
    void *ctx;
};

static enum status give_member(void *ctx, struct value_piece piece)
{
    struct giving *giving = ctx;
    return bit_at(giving->selection, giving->index++) ? giving->fn(giving->ctx, piece) : ST_OK;
}

enum status set_selection_walk(const struct set_selection *selection, value_piece_fn fn, void *ctx)
{
    const operand *sources = (const operand *)(void *)selection->sources.data;
    size_t count = selection->sources.size / sizeof(operand);
    struct giving giving = {selection, 0, fn, ctx};
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = walk_whole(sources[i], give_member, &giving);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Results that are stored. Redis builds them in one of its encodings, and leaves them in it.
 */

struct content {
    bool integers;
    uint64_t longest;
};

static enum status see_member(void *ctx, struct value_piece piece)
{
    struct content *content = ctx;
    struct set_probe probe = set_probe_of(piece.data);
    int64_t integer;
    content->integers = content->integers && bytes_to_int64(probe.member, &integer);
    content->longest = piece.data.size > content->longest ? piece.data.size : content->longest;
    return ST_OK;
}

/* The encoding of a set into which all of this one was put, one after the other. */
static enum status encoding_of_all(operand set, const struct value_limits *limits,
                                   enum set_encoding *encoding_out)
{
    struct content content = {.integers = true};
    uint64_t count = set_count(set);
    enum status status = walk_whole(set, see_member, &content);
    bool intset = content.integers && count <= (uint64_t)limits->set_max_intset_entries;
    bool listpack = !content.integers && count <= (uint64_t)limits->set_max_listpack_entries &&
                    content.longest <= (uint64_t)limits->set_max_listpack_value;
    *encoding_out = intset ? SET_INTSET : listpack ? SET_LISTPACK : SET_HASHTABLE;
    return status;
}

/* For a difference Redis estimates two ways: to put what passes into a new set, or to put all of
 * the first into it and take the others out again; then the set has been as large as that. */
static enum status diff_encoding(const operand *operands, size_t count,
                                 const struct value_limits *limits, enum set_encoding *encoding_out)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += set_count(operands[i]);
    }
    *encoding_out = SET_INTSET;
    bool takes_out = set_count(operands[0]) * count / 2 > sum;
    return takes_out ? encoding_of_all(operands[0], limits, encoding_out) : ST_OK;
}

enum status set_combine(enum set_algebra algebra, const struct value *sets, size_t count,
                        const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out)
{
    CHECK(count > 0);
    *value_out = set_empty();
    struct buf rows = BUF_EMPTY;
    enum status status = operands_of(algebra, sets, count, &rows);
    const operand *operands = (const operand *)(void *)rows.data;
    size_t found = rows.size / sizeof(operand);
    enum set_encoding encoding = SET_INTSET;
    if (status != ST_OK || found == 0) {
        buf_deinit(&rows);
        return status;
    }
    if (algebra == SET_UNION) {
        status = collect(operands, found, SET_INTSET, limits, scratch, value_out);
        buf_deinit(&rows);
        return status;
    }
    if (algebra == SET_INTER) {
        encoding = set_encoding(operands[0]);
    } else {
        status = diff_encoding(operands, found, limits, &encoding);
    }
    buf_deinit(&rows);
    struct set_selection selection;
    struct set_builder builder;
    set_builder_begin(&builder, encoding, limits, scratch);
    if (status == ST_OK) {
        status = set_select(algebra, sets, count, limits, &selection);
        if (status == ST_OK) {
            status = set_selection_walk(&selection, collect_member, &builder);
        }
    } else {
        selection = (struct set_selection){.collected = {.type = VALUE_NONE}};
    }
    status = set_builder_end(&builder, status, algebra == SET_INTER, value_out);
    set_selection_deinit(&selection);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Counting.
 */

struct counting {
    const operand *others;
    size_t other_count;
    uint64_t limit, count;
};

/* ST_LIMIT, which nothing else here answers, ends the walk when enough are counted. */
static enum status count_member(void *ctx, struct value_piece piece)
{
    struct counting *counting = ctx;
    struct set_probe probe = set_probe_of(piece.data);
    bool wanted;
    enum status status = passes(&probe, counting->others, counting->other_count, true, &wanted);
    if (status == ST_OK && wanted && ++counting->count == counting->limit) {
        return ST_LIMIT;
    }
    return status;
}

enum status set_inter_count(const struct value *sets, size_t count, uint64_t limit,
                            uint64_t *count_out)
{
    struct buf rows = BUF_EMPTY;
    *count_out = 0;
    enum status status = operands_of(SET_INTER, sets, count, &rows);
    const operand *operands = (const operand *)(void *)rows.data;
    size_t found = rows.size / sizeof(operand);
    if (status == ST_OK && found > 0) {
        struct counting counting = {operands + 1, found - 1, limit, 0};
        status = walk_whole(operands[0], count_member, &counting);
        status = status == ST_LIMIT ? ST_OK : status;
        *count_out = counting.count;
    }
    buf_deinit(&rows);
    return status;
}
