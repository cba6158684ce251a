/* Reading either shape, and the changes as the log has them. */
#include "engine/value/zset_private.h"

#include "engine/value/packed.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

struct zset_trees *zset_root(const struct value *value)
{
    CHECK(value->type == VALUE_ZSET);
    return value->shape == VALUE_CLAST ? value->root : NULL;
}

struct value zset_packed_value(struct bytes block)
{
    return (struct value){VALUE_ZSET, VALUE_PACKED, block, NULL};
}

struct value zset_trees_value(struct zset_trees *trees)
{
    return (struct value){VALUE_ZSET, VALUE_CLAST, BYTES_NONE, trees};
}

struct value zset_empty(void)
{
    return zset_packed_value(packed_empty());
}

/* -- Reading ------------------------------------------------------------------------------------
 */

uint64_t zset_count(const struct value *value)
{
    const struct zset_trees *trees = zset_root(value);
    return trees != NULL ? trees->scores.count : zset_packed_count(value->packed);
}

/* rank_out may be NULL. */
static enum status find(const struct value *value, struct bytes member, bool *found_out,
                        uint64_t *rank_out, double *score_out)
{
    const struct zset_trees *trees = zset_root(value);
    if (trees == NULL) {
        uint64_t rank = 0;
        *found_out = zset_packed_find(value->packed, member, &rank, score_out);
        if (rank_out != NULL) {
            *rank_out = rank;
        }
        return ST_OK;
    }
    *found_out = false;
    if (member.size > ZSET_MEMBER_MAX) {
        return ST_OK;
    }
    struct zset_probe probe;
    enum status status = zset_probe_begin(&probe, trees, member);
    if (status == ST_OK) {
        status = zset_probe_find(&probe);
    }
    if (status == ST_OK && probe.found) {
        *found_out = true;
        *score_out = probe.score;
        if (rank_out != NULL) {
            *rank_out = clast_path_rank(&probe.in_scores);
        }
    }
    zset_probe_end(&probe);
    return status;
}

enum status zset_score(const struct value *value, struct bytes member, bool *found_out,
                       double *score_out)
{
    return find(value, member, found_out, NULL, score_out);
}

enum status zset_rank(const struct value *value, struct bytes member, bool *found_out,
                      uint64_t *rank_out, double *score_out)
{
    return find(value, member, found_out, rank_out, score_out);
}

enum status zset_at(const struct value *value, uint64_t rank, struct value_piece *member_out,
                    double *score_out)
{
    const struct zset_trees *trees = zset_root(value);
    if (trees == NULL) {
        member_out->part = NULL;
        zset_packed_at(value->packed, rank, &member_out->data, score_out);
        return ST_OK;
    }
    struct value_piece element;
    enum status status = clast_at(&trees->scores, rank, &element);
    return status == ST_OK ? zset_trees_split(trees, element, member_out, score_out) : status;
}

enum status zset_walk(const struct value *value, uint64_t rank, uint64_t count, bool backwards,
                      zset_member_fn fn, void *ctx)
{
    const struct zset_trees *trees = zset_root(value);
    return trees != NULL ? zset_trees_walk(trees, rank, count, backwards, fn, ctx)
                         : zset_packed_walk(value->packed, rank, count, backwards, fn, ctx);
}

enum status zset_rank_of_score(const struct value *value, double score, bool above,
                               uint64_t *rank_out)
{
    CHECK(!score_is_nan(score));
    const struct zset_trees *trees = zset_root(value);
    if (trees != NULL) {
        return zset_trees_rank_of_score(trees, score, above, rank_out);
    }
    *rank_out = zset_packed_rank_of_score(value->packed, score, above);
    return ST_OK;
}

enum status zset_rank_of_member(const struct value *value, struct bytes member, bool above,
                                uint64_t *rank_out)
{
    const struct zset_trees *trees = zset_root(value);
    if (trees != NULL) {
        return zset_trees_rank_of_member(trees, member, above, rank_out);
    }
    *rank_out = zset_packed_rank_of_member(value->packed, member, above);
    return ST_OK;
}

enum status zset_scan(const struct value *value, uint64_t cursor, uint64_t count, zset_member_fn fn,
                      void *ctx, uint64_t *cursor_out)
{
    const struct zset_trees *trees = zset_root(value);
    if (trees != NULL) {
        return zset_trees_scan(trees, cursor, count, fn, ctx, cursor_out);
    }
    *cursor_out = 0;
    return zset_packed_walk(value->packed, 0, zset_count(value), false, fn, ctx);
}

bool zset_check(const struct value *value)
{
    const struct zset_trees *trees = zset_root(value);
    return trees != NULL ? zset_trees_check(trees) : zset_packed_check(value->packed);
}

/* -- Changes ------------------------------------------------------------------------------------
 */

/* A change on its way. */
struct work {
    struct value *value;
    const struct value_limits *limits;
    struct buf *scratch;
};

static enum status packed_add(struct work *work, unsigned when, const struct zset_member *member,
                              enum zset_effect *effect_out, bool *outgrown_out)
{
    struct bytes block = work->value->packed;
    uint64_t rank = 0;
    double old = 0;
    bool there = zset_packed_find(block, member->name, &rank, &old);
    *effect_out = zset_effect(when, there, old, member->score);
    *outgrown_out = false;
    if (*effect_out == ZSET_SAME) {
        return ST_OK;
    }
    uint64_t size =
        block.size + packed_entry_size(member->name.size) + packed_entry_size(SCORE_SIZE);
    if (!there &&
        !zset_packs(zset_packed_count(block) + 1, member->name.size, size, work->limits)) {
        *outgrown_out = true;
        return ST_OK;
    }
    enum status status = zset_packed_set(block, there, rank, member, work->scratch, &block);
    if (status == ST_OK) {
        work->value->packed = block;
    }
    return status;
}

/* The block becomes trees and gets the member that it has no room for. */
static enum status outgrow(struct work *work, unsigned when, const struct zset_member *member,
                           enum zset_effect *effect_out)
{
    struct zset_trees *trees;
    enum status status = zset_trees_of_block(work->value->packed, work->limits->hash_seed, &trees);
    if (status != ST_OK) {
        return status;
    }
    status = zset_trees_add(trees, when, member, effect_out);
    if (status != ST_OK) {
        zset_trees_free(trees);
        return status;
    }
    *work->value = zset_trees_value(trees);
    return ST_OK;
}

static enum status add_one(struct work *work, unsigned when, const struct zset_member *member,
                           enum zset_effect *effect_out)
{
    struct zset_trees *trees = zset_root(work->value);
    if (member->name.size > ZSET_MEMBER_MAX) {
        return ST_LIMIT;
    }
    if (trees != NULL) {
        return zset_trees_add(trees, when, member, effect_out);
    }
    bool outgrown;
    enum status status = packed_add(work, when, member, effect_out, &outgrown);
    return status == ST_OK && outgrown ? outgrow(work, when, member, effect_out) : status;
}

static bool take_name(struct bytes *in, struct bytes *name_out)
{
    uint64_t size;
    if (!varint_take(in, &size) || size > in->size) {
        return false;
    }
    *name_out = bytes_slice(*in, 0, (size_t)size);
    *in = bytes_slice(*in, (size_t)size, SIZE_MAX);
    return true;
}

static bool take_scored(struct bytes *in, struct zset_member *member_out)
{
    if (in->size < SCORE_SIZE) {
        return false;
    }
    memcpy(&member_out->score, in->data, SCORE_SIZE);
    *in = bytes_slice(*in, SCORE_SIZE, SIZE_MAX);
    return !score_is_nan(member_out->score) && take_name(in, &member_out->name);
}

/* Asks for the parts that the members of a payload need, so that ST_WAIT comes before a change. */
static enum status bring(const struct work *work, struct bytes payload, bool scored)
{
    const struct zset_trees *trees = zset_root(work->value);
    bool missed = false;
    if (trees == NULL || trees->scores.parts.absent + trees->members.parts.absent == 0) {
        return ST_OK;
    }
    while (payload.size > 0) {
        struct zset_member member = {.score = 0};
        if (scored ? !take_scored(&payload, &member) : !take_name(&payload, &member.name)) {
            return ST_CORRUPT;
        }
        enum status status = zset_trees_bring(trees, &member, scored);
        missed |= status == ST_WAIT;
        if (status != ST_OK && status != ST_WAIT) {
            return status;
        }
    }
    return missed ? ST_WAIT : ST_OK;
}

/* Changes of several members may meet an absent part after the first of them, where elements lie in
 * an order that their marks do not tell. Then the trees are put back. */
struct fallback {
    bool kept;
    struct clast scores, members;
    uint64_t negative_zeros;
};

static enum status fallback_keep(struct fallback *fallback, const struct zset_trees *trees)
{
    *fallback = (struct fallback){.kept = false};
    if (trees == NULL || trees->scores.parts.absent + trees->members.parts.absent == 0) {
        return ST_OK;
    }
    enum status status = clast_snapshot(&trees->scores, &fallback->scores);
    if (status != ST_OK) {
        return status;
    }
    status = clast_snapshot(&trees->members, &fallback->members);
    if (status != ST_OK) {
        clast_deinit(&fallback->scores);
        return status;
    }
    fallback->negative_zeros = trees->negative_zeros;
    fallback->kept = true;
    return ST_OK;
}

static void fallback_end(struct fallback *fallback, struct zset_trees *trees, bool back)
{
    if (!fallback->kept) {
        return;
    }
    if (back) {
        clast_restore(&trees->scores, &fallback->scores);
        clast_restore(&trees->members, &fallback->members);
        trees->negative_zeros = fallback->negative_zeros;
    } else {
        clast_deinit(&fallback->scores);
        clast_deinit(&fallback->members);
    }
}

static enum status apply_add(struct work *work, struct bytes payload, struct value_change *change)
{
    if (payload.size == 0) {
        return ST_CORRUPT;
    }
    size_t size = payload.size;
    unsigned when = *(const unsigned char *)payload.data;
    payload = bytes_slice(payload, 1, SIZE_MAX);
    if (when > (ZSET_IF_NEW | ZSET_IF_THERE | ZSET_IF_GREATER | ZSET_IF_LESS)) {
        return ST_CORRUPT;
    }
    enum status status = bring(work, payload, true);
    while (payload.size > 0 && status == ST_OK) {
        struct zset_member member;
        if (!take_scored(&payload, &member)) {
            return ST_CORRUPT;
        }
        enum zset_effect effect = ZSET_SAME;
        status = add_one(work, when, &member, &effect);
        if (status != ST_OK) {
            return status;
        }
        change->changed |= effect != ZSET_SAME;
        change->count += effect == ZSET_NEW ? 1 : effect == ZSET_CHANGED ? ZSET_UPDATED : 0;
        change->consumed = size - payload.size;
    }
    return status;
}

static enum status remove_one(struct work *work, struct bytes name, bool *found_out)
{
    struct zset_trees *trees = zset_root(work->value);
    if (trees != NULL) {
        *found_out = false;
        return name.size > ZSET_MEMBER_MAX ? ST_OK : zset_trees_remove(trees, name, found_out);
    }
    struct bytes block = work->value->packed;
    uint64_t rank;
    double score;
    *found_out = zset_packed_find(block, name, &rank, &score);
    if (!*found_out) {
        return ST_OK;
    }
    enum status status = zset_packed_cut(block, rank, 1, work->scratch, &block);
    if (status == ST_OK) {
        work->value->packed = block;
    }
    return status;
}

static enum status apply_remove(struct work *work, struct bytes payload,
                                struct value_change *change)
{
    size_t size = payload.size;
    enum status status = bring(work, payload, false);
    while (payload.size > 0 && status == ST_OK) {
        struct bytes name;
        bool found;
        if (!take_name(&payload, &name)) {
            return ST_CORRUPT;
        }
        status = remove_one(work, name, &found);
        if (status != ST_OK) {
            return status;
        }
        change->changed |= found;
        change->count += found;
        change->consumed = size - payload.size;
    }
    return status;
}

static enum status apply_cut(struct work *work, struct bytes payload, struct value_change *change)
{
    uint64_t rank;
    uint64_t count;
    uint64_t all = zset_count(work->value);
    if (!varint_take(&payload, &rank) || !varint_take(&payload, &count) || payload.size > 0 ||
        rank > all || count > all - rank) {
        return ST_CORRUPT;
    }
    struct zset_trees *trees = zset_root(work->value);
    enum status status;
    if (trees != NULL) {
        status = zset_trees_cut(trees, rank, count);
    } else {
        struct bytes block;
        status = zset_packed_cut(work->value->packed, rank, count, work->scratch, &block);
        if (status == ST_OK) {
            work->value->packed = block;
        }
    }
    if (status == ST_OK) {
        change->changed = count > 0;
        change->count = count;
    }
    return status;
}

static enum status zset_apply(struct value *value, unsigned op, struct bytes payload,
                              const struct value_limits *limits, struct buf *scratch,
                              struct value_change *change_out)
{
    struct work work = {value, limits, scratch};
    struct zset_trees *trees = zset_root(value);
    struct fallback fallback;
    static enum status (*const operations[])(struct work *, struct bytes, struct value_change *) = {
        [ZSET_ADD - ZSET_ADD] = apply_add,
        [ZSET_REMOVE - ZSET_ADD] = apply_remove,
        [ZSET_CUT - ZSET_ADD] = apply_cut,
    };
    if (op > ZSET_CUT) {
        return ST_CORRUPT;
    }
    enum status status = fallback_keep(&fallback, trees);
    if (status != ST_OK) {
        return status;
    }
    status = operations[op - ZSET_ADD](&work, payload, change_out);
    fallback_end(&fallback, trees, status == ST_WAIT);
    if (status == ST_WAIT) {
        *change_out = (struct value_change){.count = 0};
    }
    return status;
}

/* -- The class ----------------------------------------------------------------------------------
 */

static const char *zset_encoding(const struct value *value, const struct value_limits *limits)
{
    return value->shape == VALUE_PACKED ? "listpack" : "skiplist";
}

static bool zset_vanishes(const struct value *value)
{
    return zset_count(value) == 0;
}

static enum status zset_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    const struct zset_trees *trees = zset_root(value);
    if (trees == NULL) {
        *copy_out = *value;
        return packed_slice(value->packed, 0, packed_count(value->packed), scratch,
                            &copy_out->packed);
    }
    struct zset_trees *copy = zset_trees_new(trees->members.seed);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&trees->scores, &copy->scores);
    if (status == ST_OK) {
        status = clast_copy(&trees->members, &copy->members);
    }
    if (status != ST_OK) {
        zset_trees_free(copy);
        return status;
    }
    copy->negative_zeros = trees->negative_zeros;
    *copy_out = zset_trees_value(copy);
    return ST_OK;
}

static void zset_free(struct value *value)
{
    zset_trees_free(value->root);
    value->root = NULL;
}

static bool zset_free_some(struct value *value, size_t parts)
{
    struct zset_trees *trees = value->root;
    if (!clast_free_some(&trees->scores, parts) || !clast_free_some(&trees->members, parts)) {
        return false;
    }
    zset_free(value);
    return true;
}

static uint64_t zset_memory(const struct value *value)
{
    const struct zset_trees *trees = value->root;
    return part_heap_size(sizeof(*trees)) + clast_memory(&trees->scores) +
           clast_memory(&trees->members);
}

static enum status zset_tables(void *root, value_table_fn fn, void *ctx)
{
    struct zset_trees *trees = root;
    enum status status = fn(ctx, &trees->scores.parts);
    return status == ST_OK ? fn(ctx, &trees->members.parts) : status;
}

/* v count of negative zeros, both clasts. */
static enum status zset_store(const struct value *value, struct buf *out)
{
    const struct zset_trees *trees = value->root;
    unsigned char zeros[VARINT_MAX];
    enum status status =
        buf_append(out, bytes_of(zeros, varint_store(zeros, trees->negative_zeros)));
    if (status == ST_OK) {
        status = clast_store(&trees->scores, out);
    }
    return status == ST_OK ? clast_store(&trees->members, out) : status;
}

static enum status zset_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out)
{
    struct zset_trees *trees = zset_trees_new(limits->hash_seed);
    if (trees == NULL) {
        return ST_NOMEM;
    }
    enum status status = varint_take_shortest(in, &trees->negative_zeros) ? ST_OK : ST_CORRUPT;
    if (status == ST_OK) {
        status = clast_load(&trees->scores, in, clast);
    }
    if (status == ST_OK) {
        status = clast_load(&trees->members, in, clast);
    }
    if (status == ST_OK && (trees->scores.count != trees->members.count ||
                            trees->negative_zeros > trees->scores.count)) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        zset_trees_free(trees);
        return status;
    }
    trees->head.changed = false;
    *root_out = trees;
    return ST_OK;
}

const struct value_class zset_class = {
    .name = "zset",
    .empty = zset_empty,
    .vanishes = zset_vanishes,
    .encoding = zset_encoding,
    .encode = zset_encode,
    .decode = zset_decode,
    .encoded_max = zset_encoded_max,
    .copy = zset_copy,
    .free = zset_free,
    .free_some = zset_free_some,
    .memory = zset_memory,
    .apply = zset_apply,
    .tables = zset_tables,
    .store = zset_store,
    .load = zset_load,
};
