/* Two trees that agree: each member has one element in `scores` and one ticket in `members`.
 *
 *   ZSCORE   hash → ticket (score) → score + member in `scores`: is it really the one?
 *   ZADD     the same; then the old element goes, the new one comes, the ticket is replaced
 *
 * Two members with the same 32 bits of hash and the same score have the same ticket, and which of
 * the two tickets is whose makes no difference: so a ticket is found again by its bytes alone once
 * its member is known. (That may mix up a 0 with a -0 of two such members. So be it.)
 *
 * All or nothing: what can fail comes first. The parts that a removal or a replacement will touch
 * are made private (clast_own_at), then the one insertion is tried, then the rest cannot fail.
 */
#include "engine/value/zset_private.h"

#include <stdlib.h>

static uint64_t ticket_hash(struct bytes element, uint64_t seed)
{
    return element.size < TICKET_SIZE ? 0 : (uint64_t)load_u32(element.data) << 32;
}

const struct clast_order zset_by_hash = {CLAST_HASHED, ticket_hash};

struct zset_ticket zset_ticket_of(uint32_t hash, double score)
{
    struct zset_ticket ticket = {{0}};
    store_u32(ticket.bytes, hash);
    score_store(ticket.bytes + 4, score);
    return ticket;
}

static double ticket_score(struct bytes ticket)
{
    CHECK(ticket.size == TICKET_SIZE);
    return score_load((const unsigned char *)ticket.data + 4);
}

static void trees_init(struct zset_trees *trees, uint64_t seed)
{
    trees->head = (struct value_root){.changed = true};
    clast_init(&trees->scores, &clast_sorted, 0);
    clast_init(&trees->members, &zset_by_hash, seed);
    trees->negative_zeros = 0;
}

struct zset_trees *zset_trees_new(uint64_t seed)
{
    struct zset_trees *trees = part_alloc(sizeof(*trees));
    if (trees != NULL) {
        trees_init(trees, seed);
    }
    return trees;
}

void zset_trees_free(struct zset_trees *trees)
{
    if (trees != NULL) {
        clast_deinit(&trees->scores);
        clast_deinit(&trees->members);
        free(trees);
    }
}

/* -- Finding ------------------------------------------------------------------------------------
 */

enum status zset_probe_begin(struct zset_probe *probe, const struct zset_trees *trees,
                             struct bytes member)
{
    probe->trees = trees;
    probe->key = probe->room;
    probe->key_size = SCORE_SIZE + member.size;
    probe->found = false;
    if (member.size > ZSET_MEMBER_MAX) {
        return ST_LIMIT;
    }
    if (probe->key_size > sizeof(probe->room)) {
        unsigned char *key = part_alloc(probe->key_size);
        if (key == NULL) {
            return ST_NOMEM;
        }
        probe->key = key;
    }
    if (member.size > 0) {
        memcpy(probe->key + SCORE_SIZE, member.data, member.size);
    }
    probe->hash = zset_hash(member, trees->members.seed);
    return ST_OK;
}

void zset_probe_end(struct zset_probe *probe)
{
    if (probe->key != probe->room) {
        free(probe->key);
    }
}

static struct bytes probe_key(struct zset_probe *probe, double score)
{
    score_store(probe->key, score_plain(score));
    return bytes_of(probe->key, probe->key_size);
}

/* Where in `scores` the probe's member would stand with this score, and whether it does. */
static enum status seek_score(struct zset_probe *probe, double score, struct clast_path *path_out,
                              bool *found_out)
{
    const struct clast *scores = &probe->trees->scores;
    struct bytes key = probe_key(probe, score);
    *found_out = false;
    enum status status = clast_seek_key(scores, key, path_out);
    if (status == ST_OK && !clast_path_end(path_out)) {
        struct value_piece element;
        status = clast_path_element(scores, path_out, &element);
        *found_out = status == ST_OK && bytes_equal(element.data, key);
    }
    return status;
}

static enum status same_member(void *ctx, struct bytes ticket, bool *same_out)
{
    struct zset_probe *probe = ctx;
    *same_out = false;
    if (load_u32(ticket.data) != probe->hash) {
        return ST_OK;
    }
    probe->score = ticket_score(ticket);
    return seek_score(probe, probe->score, &probe->in_scores, same_out);
}

enum status zset_probe_find(struct zset_probe *probe)
{
    return clast_seek_hash(&probe->trees->members, (uint64_t)probe->hash << 32, same_member, probe,
                           &probe->in_members, &probe->found);
}

static enum status same_ticket(void *ctx, struct bytes ticket, bool *same_out)
{
    *same_out = memcmp(ctx, ticket.data, TICKET_SIZE) == 0;
    return ST_OK;
}

/* Any ticket with these bytes. */
static enum status seek_ticket(const struct zset_trees *trees, struct zset_ticket ticket,
                               struct clast_path *path_out, bool *found_out)
{
    uint64_t hash = (uint64_t)load_u32(ticket.bytes) << 32;
    return clast_seek_hash(&trees->members, hash, same_ticket, ticket.bytes, path_out, found_out);
}

/* A ticket of that hash and score, where 0 and -0 are the same score. */
static enum status seek_ticket_plain(const struct zset_trees *trees, uint32_t hash, double score,
                                     struct clast_path *path_out, bool *negative_zero_out)
{
    bool found = false;
    *negative_zero_out = false;
    if (score == 0 && trees->negative_zeros > 0) {
        enum status status = seek_ticket(trees, zset_ticket_of(hash, -0.0), path_out, &found);
        if (status != ST_OK || found) {
            *negative_zero_out = found;
            return status;
        }
    }
    enum status status = seek_ticket(trees, zset_ticket_of(hash, score), path_out, &found);
    CHECK(status != ST_OK || found);
    return status;
}

enum status zset_trees_split(const struct zset_trees *trees, struct value_piece element,
                             struct value_piece *member_out, double *score_out)
{
    CHECK(element.data.size >= SCORE_SIZE);
    *member_out =
        (struct value_piece){bytes_slice(element.data, SCORE_SIZE, SIZE_MAX), element.part};
    *score_out = score_load(element.data.data);
    if (*score_out != 0 || trees->negative_zeros == 0) {
        return ST_OK;
    }
    struct clast_path path;
    bool found;
    uint32_t hash = zset_hash(member_out->data, trees->members.seed);
    enum status status = seek_ticket(trees, zset_ticket_of(hash, -0.0), &path, &found);
    if (status == ST_OK && found) {
        *score_out = -0.0;
    }
    return status;
}

struct walk {
    const struct zset_trees *trees;
    zset_member_fn fn;
    void *ctx;
};

static enum status walk_element(void *ctx, struct value_piece element)
{
    struct walk *walk = ctx;
    struct value_piece member;
    double score;
    enum status status = zset_trees_split(walk->trees, element, &member, &score);
    return status == ST_OK ? walk->fn(walk->ctx, member, score) : status;
}

enum status zset_trees_walk(const struct zset_trees *trees, uint64_t rank, uint64_t count,
                            bool backwards, zset_member_fn fn, void *ctx)
{
    struct walk walk = {trees, fn, ctx};
    return clast_walk(&trees->scores, rank, count, backwards, walk_element, &walk);
}

enum status zset_trees_rank_of_score(const struct zset_trees *trees, double score, bool above,
                                     uint64_t *rank_out)
{
    /* No score lies between a double and the next one, and none has the key of -0. */
    unsigned char key[SCORE_SIZE];
    store_u64(key, __builtin_bswap64(score_key(score_plain(score)) + above));
    struct clast_path path;
    enum status status = clast_seek_key(&trees->scores, bytes_of(key, sizeof(key)), &path);
    if (status == ST_OK) {
        *rank_out = clast_path_end(&path) ? trees->scores.count : clast_path_rank(&path);
    }
    return status;
}

/* Halves the range: for sets whose scores differ, where the answer means little. */
static enum status rank_by_halves(const struct zset_trees *trees, struct bytes member, bool above,
                                  uint64_t *rank_out)
{
    uint64_t low = 0;
    uint64_t high = trees->scores.count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct value_piece element;
        enum status status = clast_at(&trees->scores, middle, &element);
        if (status != ST_OK) {
            return status;
        }
        int order = bytes_compare(bytes_slice(element.data, SCORE_SIZE, SIZE_MAX), member);
        if (above ? order > 0 : order >= 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *rank_out = low;
    return ST_OK;
}

enum status zset_trees_rank_of_member(const struct zset_trees *trees, struct bytes member,
                                      bool above, uint64_t *rank_out)
{
    *rank_out = 0;
    if (trees->scores.count == 0) {
        return ST_OK;
    }
    struct value_piece first, last;
    enum status status = clast_at(&trees->scores, 0, &first);
    if (status != ST_OK) {
        return status;
    }
    double score = score_load(first.data.data);
    status = clast_at(&trees->scores, trees->scores.count - 1, &last);
    if (status != ST_OK) {
        return status;
    }
    if (score_load(last.data.data) != score) {
        return rank_by_halves(trees, member, above, rank_out);
    }
    struct zset_probe probe;
    struct clast_path path;
    bool found;
    status = zset_probe_begin(&probe, trees, member);
    if (status == ST_OK) {
        status = seek_score(&probe, score, &path, &found);
    }
    if (status == ST_OK) {
        uint64_t rank = clast_path_end(&path) ? trees->scores.count : clast_path_rank(&path);
        *rank_out = rank + (found && above);
    }
    zset_probe_end(&probe);
    return status;
}

/* -- Changing -----------------------------------------------------------------------------------
 */

/* The probe's member leaves `scores`, where the parts on its path are private. */
static void drop_score(struct zset_trees *trees, struct zset_probe *probe, double score)
{
    struct clast_path path;
    bool found;
    enum status status = seek_score(probe, score, &path, &found);
    CHECK(status == ST_OK && found);
    status = clast_own_at(&trees->scores, &path);
    CHECK(status == ST_OK);
    status = clast_remove_at(&trees->scores, &path);
    CHECK(status == ST_OK);
}

static enum status add_new(struct zset_trees *trees, struct zset_probe *probe, double score)
{
    struct clast_path path;
    bool found;
    enum status status = seek_score(probe, score, &path, &found);
    if (status != ST_OK) {
        return status;
    }
    CHECK(!found);
    status = clast_insert_at(&trees->scores, &path, bytes_of(probe->key, probe->key_size));
    if (status != ST_OK) {
        return status;
    }
    struct zset_ticket ticket = zset_ticket_of(probe->hash, score);
    status =
        clast_insert_at(&trees->members, &probe->in_members, bytes_of(ticket.bytes, TICKET_SIZE));
    if (status != ST_OK) {
        drop_score(trees, probe, score); /* What was just written is private. */
        return status;
    }
    trees->negative_zeros += score_is_negative_zero(score);
    return ST_OK;
}

static enum status change_score(struct zset_trees *trees, struct zset_probe *probe, double score)
{
    double old = probe->score;
    enum status status = clast_own_at(&trees->members, &probe->in_members);
    if (status == ST_OK) {
        status = clast_own_at(&trees->scores, &probe->in_scores);
    }
    struct clast_path path;
    bool found;
    if (status == ST_OK) {
        status = seek_score(probe, score, &path, &found);
    }
    if (status == ST_OK) {
        CHECK(!found);
        status = clast_insert_at(&trees->scores, &path, bytes_of(probe->key, probe->key_size));
    }
    if (status != ST_OK) {
        return status;
    }
    drop_score(trees, probe, old);
    struct zset_ticket ticket = zset_ticket_of(probe->hash, score);
    status =
        clast_replace_at(&trees->members, &probe->in_members, bytes_of(ticket.bytes, TICKET_SIZE));
    CHECK(status == ST_OK);
    trees->negative_zeros -= score_is_negative_zero(old);
    trees->negative_zeros += score_is_negative_zero(score);
    return ST_OK;
}

enum status zset_trees_bring(const struct zset_trees *trees, const struct zset_member *member,
                             bool scored)
{
    struct zset_probe probe;
    struct clast_path path;
    bool found;
    enum status status = zset_probe_begin(&probe, trees, member->name);
    if (status == ST_OK) {
        status = zset_probe_find(&probe);
    }
    if (scored && (status == ST_OK || status == ST_WAIT)) {
        enum status seeking = seek_score(&probe, member->score, &path, &found);
        status = status == ST_OK ? seeking : status;
    }
    zset_probe_end(&probe);
    return status == ST_LIMIT ? ST_OK : status; /* Who changes it will say so. */
}

enum status zset_trees_add(struct zset_trees *trees, unsigned when,
                           const struct zset_member *member, enum zset_effect *effect_out)
{
    struct zset_probe probe;
    enum status status = zset_probe_begin(&probe, trees, member->name);
    if (status == ST_OK) {
        status = zset_probe_find(&probe);
    }
    if (status == ST_OK) {
        *effect_out = zset_effect(when, probe.found, probe.score, member->score);
        if (*effect_out == ZSET_NEW) {
            status = add_new(trees, &probe, member->score);
        } else if (*effect_out == ZSET_CHANGED) {
            status = change_score(trees, &probe, member->score);
        }
    }
    zset_probe_end(&probe);
    return status;
}

enum status zset_trees_remove(struct zset_trees *trees, struct bytes member, bool *found_out)
{
    struct zset_probe probe;
    enum status status = zset_probe_begin(&probe, trees, member);
    if (status == ST_OK) {
        status = zset_probe_find(&probe);
    }
    *found_out = status == ST_OK && probe.found;
    if (*found_out) {
        status = clast_own_at(&trees->members, &probe.in_members);
        if (status == ST_OK) {
            status = clast_own_at(&trees->scores, &probe.in_scores);
        }
        if (status == ST_OK) {
            status = clast_remove_at(&trees->scores, &probe.in_scores);
            CHECK(status == ST_OK);
            status = clast_remove_at(&trees->members, &probe.in_members);
            CHECK(status == ST_OK);
            trees->negative_zeros -= score_is_negative_zero(probe.score);
        }
    }
    zset_probe_end(&probe);
    return status;
}

/* Of a member that is to go. */
struct leaving {
    uint32_t hash;
    double score;
};

struct leaving_list {
    uint64_t seed;
    struct leaving *rows;
    size_t count;
};

static enum status collect_leaving(void *ctx, struct value_piece element)
{
    struct leaving_list *list = ctx;
    struct bytes member = bytes_slice(element.data, SCORE_SIZE, SIZE_MAX);
    list->rows[list->count++] =
        (struct leaving){zset_hash(member, list->seed), score_load(element.data.data)};
    return ST_OK;
}

/* All tickets can then be removed without fail. */
static enum status own_tickets(struct zset_trees *trees, const struct leaving_list *list)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < list->count && status == ST_OK; i++) {
        struct clast_path path;
        bool negative_zero;
        status = seek_ticket_plain(trees, list->rows[i].hash, list->rows[i].score, &path,
                                   &negative_zero);
        if (status == ST_OK) {
            status = clast_own_at(&trees->members, &path);
        }
    }
    return status;
}

static void drop_tickets(struct zset_trees *trees, const struct leaving_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct clast_path path;
        bool negative_zero;
        enum status status = seek_ticket_plain(trees, list->rows[i].hash, list->rows[i].score,
                                               &path, &negative_zero);
        CHECK(status == ST_OK);
        status = clast_own_at(&trees->members, &path);
        CHECK(status == ST_OK);
        status = clast_remove_at(&trees->members, &path);
        CHECK(status == ST_OK);
        trees->negative_zeros -= negative_zero;
    }
}

/* Where so many times more go than stay, those that stay are put into new trees. */
#define CUT_REBUILD 4

static enum status collect_staying(void *ctx, struct value_piece name, double score)
{
    struct zset_member **next = ctx;
    *(*next)++ = (struct zset_member){name.data, score};
    return ST_OK;
}

/* The cut by way of what stays, which is little or nothing. */
static enum status rebuild_without(struct zset_trees *trees, uint64_t rank, uint64_t count)
{
    uint64_t staying = trees->scores.count - count;
    struct zset_member *members = part_alloc((staying + 1) * sizeof(*members));
    if (members == NULL) {
        return ST_NOMEM;
    }
    struct zset_member *next = members;
    struct zset_trees *fresh = NULL;
    enum status status = zset_trees_walk(trees, 0, rank, false, collect_staying, &next);
    if (status == ST_OK) {
        status =
            zset_trees_walk(trees, rank + count, staying - rank, false, collect_staying, &next);
    }
    if (status == ST_OK) {
        status = zset_trees_build(members, staying, trees->members.seed, &fresh);
        CHECK(status != ST_CORRUPT);
    }
    free(members);
    if (status == ST_OK) {
        clast_take(&trees->scores, &fresh->scores);
        clast_take(&trees->members, &fresh->members);
        trees->negative_zeros = fresh->negative_zeros;
        zset_trees_free(fresh);
    }
    return status;
}

enum status zset_trees_cut(struct zset_trees *trees, uint64_t rank, uint64_t count)
{
    CHECK(rank <= trees->scores.count && count <= trees->scores.count - rank);
    if (count == 0) {
        return ST_OK;
    }
    if (count == trees->scores.count) {
        clast_clear(&trees->scores);
        clast_clear(&trees->members);
        trees->negative_zeros = 0;
        return ST_OK;
    }
    if (count / CUT_REBUILD > trees->scores.count - count) {
        return rebuild_without(trees, rank, count);
    }
    struct leaving_list list = {.seed = trees->members.seed};
    list.rows = part_alloc(count * sizeof(*list.rows));
    if (list.rows == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_walk(&trees->scores, rank, count, false, collect_leaving, &list);
    if (status == ST_OK) {
        status = own_tickets(trees, &list);
    }
    if (status == ST_OK) {
        status = clast_remove(&trees->scores, rank, count);
    }
    if (status == ST_OK) {
        drop_tickets(trees, &list);
    }
    free(list.rows);
    return status;
}

/* -- Checking -----------------------------------------------------------------------------------
 */

struct audit {
    const struct zset_trees *trees;
    uint64_t negative_zeros;
};

static enum status audit_element(void *ctx, struct value_piece element)
{
    struct audit *audit = ctx;
    struct zset_probe probe;
    if (element.data.size < SCORE_SIZE) {
        return ST_CORRUPT;
    }
    double score = score_load(element.data.data);
    enum status status =
        zset_probe_begin(&probe, audit->trees, bytes_slice(element.data, SCORE_SIZE, SIZE_MAX));
    if (status == ST_OK) {
        status = zset_probe_find(&probe);
    }
    if (status == ST_OK && (!probe.found || probe.score != score || score_is_nan(score) ||
                            score_is_negative_zero(score))) {
        status = ST_CORRUPT;
    }
    audit->negative_zeros += status == ST_OK && score_is_negative_zero(probe.score);
    zset_probe_end(&probe);
    return status;
}

bool zset_trees_check(const struct zset_trees *trees)
{
    if (!clast_check(&trees->scores) || !clast_check(&trees->members) ||
        trees->scores.count != trees->members.count) {
        return false;
    }
    struct audit audit = {trees, 0};
    return clast_walk(&trees->scores, 0, trees->scores.count, false, audit_element, &audit) ==
               ST_OK &&
           audit.negative_zeros == trees->negative_zeros;
}
