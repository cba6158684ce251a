/* A scan must give every member that is there throughout, whatever comes and goes and however
 * scores change meanwhile: so it goes through `members`, in the order of the hashes. A ticket there
 * tells hash and score but not the member, which is found in `scores`: among those with that score,
 * the one with that hash.
 *
 * Where scores differ that is one search a ticket. Where many members share a score the whole run
 * of them must be hashed to find the few, which would make a scan of n equal scores cost n a call.
 * So a call that has to look through w members gives at least w / SCAN_SHARE of them, more than it
 * was asked for: a whole scan then looks at each member some SCAN_SHARE times at most (1 M members
 * of one score: 64 calls of some 15 ms, 16,000 members each). Scores that all differ are not
 * touched by this.
 */
#include "engine/value/zset_private.h"

#include <stdlib.h>

#define SCAN_SHARE 64

struct found {
    uint64_t key; /* Of the plain score. */
    uint32_t hash;
};

struct batch {
    struct buf rows; /* struct found */
};

static enum status add_ticket(void *ctx, struct value_piece ticket)
{
    struct batch *batch = ctx;
    const unsigned char *p = ticket.data.data;
    struct found row = {score_key(score_plain(score_load(p + 4))), load_u32(p)};
    return buf_append(&batch->rows, bytes_of(&row, sizeof(row)));
}

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                            : (x->hash > y->hash) - (x->hash < y->hash);
}

/* The tickets of one score, and the run of members that have it. */
struct group {
    const struct found *rows;
    size_t count;
    uint64_t rank, run;
};

/* The group at the front of rows. */
static enum status next_group(const struct zset_trees *trees, const struct found *rows,
                              size_t count, struct group *group_out)
{
    size_t end = 1;
    while (end < count && rows[end].key == rows[0].key) {
        end++;
    }
    *group_out = (struct group){.rows = rows, .count = end};
    double score = score_of_key(rows[0].key);
    uint64_t behind = 0;
    enum status status = zset_trees_rank_of_score(trees, score, false, &group_out->rank);
    if (status == ST_OK) {
        status = zset_trees_rank_of_score(trees, score, true, &behind);
        group_out->run = behind - group_out->rank;
    }
    return status;
}

/* How many members must be looked through for these tickets, beyond themselves. */
static enum status work_of(const struct zset_trees *trees, const struct batch *batch,
                           uint64_t *work_out)
{
    const struct found *rows = (const struct found *)batch->rows.data;
    size_t count = batch->rows.size / sizeof(*rows);
    enum status status = ST_OK;
    *work_out = 0;
    for (size_t i = 0; i < count && status == ST_OK;) {
        struct group group;
        status = next_group(trees, rows + i, count - i, &group);
        *work_out += status == ST_OK ? group.run - group.count : 0;
        i += group.count;
    }
    return status;
}

struct sieve {
    const struct zset_trees *trees;
    struct group group;
    zset_member_fn fn;
    void *ctx;
};

static enum status sieve_element(void *ctx, struct value_piece element)
{
    struct sieve *sieve = ctx;
    uint64_t seed = sieve->trees->members.seed;
    struct found row = {sieve->group.rows[0].key,
                        zset_hash(bytes_slice(element.data, SCORE_SIZE, SIZE_MAX), seed)};
    if (bsearch(&row, sieve->group.rows, sieve->group.count, sizeof(row), compare_found) == NULL) {
        return ST_OK;
    }
    struct value_piece member;
    double score;
    enum status status = zset_trees_split(sieve->trees, element, &member, &score);
    return status == ST_OK ? sieve->fn(sieve->ctx, member, score) : status;
}

static enum status give_all(const struct zset_trees *trees, const struct batch *batch,
                            zset_member_fn fn, void *ctx)
{
    const struct found *rows = (const struct found *)batch->rows.data;
    size_t count = batch->rows.size / sizeof(*rows);
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK;) {
        struct sieve sieve = {.trees = trees, .fn = fn, .ctx = ctx};
        status = next_group(trees, rows + i, count - i, &sieve.group);
        if (status == ST_OK) {
            status = clast_walk(&trees->scores, sieve.group.rank, sieve.group.run, false,
                                sieve_element, &sieve);
        }
        i += sieve.group.count;
    }
    return status;
}

enum status zset_trees_scan(const struct zset_trees *trees, uint64_t cursor, uint64_t count,
                            zset_member_fn fn, void *ctx, uint64_t *cursor_out)
{
    struct batch batch = {BUF_EMPTY};
    uint64_t wanted = count;
    enum status status = ST_OK;
    do {
        size_t have = batch.rows.size / sizeof(struct found);
        status = clast_scan(&trees->members, cursor, wanted - have, add_ticket, &batch, &cursor);
        have = batch.rows.size / sizeof(struct found);
        uint64_t work = 0;
        if (status == ST_OK && have > 0) {
            qsort(batch.rows.data, have, sizeof(struct found), compare_found);
            status = work_of(trees, &batch, &work);
        }
        wanted = work / SCAN_SHARE;
        if (wanted <= have) {
            break;
        }
    } while (status == ST_OK && cursor != 0);
    if (status == ST_OK) {
        status = give_all(trees, &batch, fn, ctx);
    }
    buf_deinit(&batch.rows);
    *cursor_out = cursor;
    return status;
}
