/* A scan must give every member that is there throughout, whatever comes and goes and however
 * scores change meanwhile: so it goes through `members`, in the order of the hashes. A ticket there
 * tells hash and score but not the member, which is found in `scores`: among those with that score,
 * the one with that hash.
 *
 * Where scores differ that is one search a ticket, and the member is given at once. Where many
 * members share a score the whole run of them must be hashed to find the few, which would make a
 * scan of n equal scores cost n a call. So a call that has to look through w members gives at least
 * w / SCAN_SHARE of them, more than it was asked for: a whole scan then looks at each member some
 * SCAN_SHARE times at most (1 M members of one score: 64 calls of some 15 ms, 16,000 members each).
 * Scores that all differ are not touched by this.
 */
#include "engine/value/zset_private.h"

#include <stdlib.h>

#define SCAN_SHARE 64

/* A ticket whose member is one of several with its score. */
struct found {
    uint64_t key; /* Of the plain score. */
    uint32_t hash;
};

struct batch {
    const struct zset_trees *trees;
    zset_member_fn fn;
    void *ctx;
    uint64_t count;     /* Tickets so far. */
    uint32_t low, high; /* Bounds of their hashes. */
    struct buf rows;    /* struct found */
};

/* Gives the member of a ticket at once if no other has its score. */
static enum status give_single(const struct batch *batch, double score, bool *given_out)
{
    const struct clast *scores = &batch->trees->scores;
    struct clast_path path;
    struct value_piece element, next, member;
    unsigned char key[SCORE_SIZE];
    score_store(key, score);
    *given_out = false;
    enum status status = clast_seek_key(scores, bytes_of(key, sizeof(key)), &path);
    if (status != ST_OK) {
        return status;
    }
    CHECK(!clast_path_end(&path));
    status = clast_path_element(scores, &path, &element);
    if (status == ST_OK) {
        status = clast_path_next(scores, &path);
    }
    if (status == ST_OK && !clast_path_end(&path)) {
        status = clast_path_element(scores, &path, &next);
        if (status != ST_OK || memcmp(next.data.data, key, sizeof(key)) == 0) {
            return status;
        }
    }
    if (status == ST_OK) {
        status = zset_trees_split(batch->trees, element, &member, &score);
    }
    *given_out = status == ST_OK;
    return status == ST_OK ? batch->fn(batch->ctx, member, score) : status;
}

static enum status add_ticket(void *ctx, struct value_piece ticket)
{
    struct batch *batch = ctx;
    const unsigned char *p = ticket.data.data;
    double score = score_plain(score_load(p + 4));
    struct found row = {score_key(score), load_u32(p)};
    bool given;
    batch->low = batch->count == 0 || row.hash < batch->low ? row.hash : batch->low;
    batch->high = row.hash > batch->high ? row.hash : batch->high;
    batch->count++;
    enum status status = give_single(batch, score, &given);
    return status != ST_OK || given ? status
                                    : buf_append(&batch->rows, bytes_of(&row, sizeof(row)));
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

/* How many members must be looked through for the tickets kept. */
static enum status work_of(const struct batch *batch, uint64_t *work_out)
{
    const struct found *rows = (const struct found *)batch->rows.data;
    size_t count = batch->rows.size / sizeof(*rows);
    enum status status = ST_OK;
    *work_out = 0;
    if (count > 0) {
        qsort(batch->rows.data, count, sizeof(*rows), compare_found);
    }
    for (size_t i = 0; i < count && status == ST_OK;) {
        struct group group;
        status = next_group(batch->trees, rows + i, count - i, &group);
        *work_out += status == ST_OK ? group.run : 0;
        i += group.count;
    }
    return status;
}

struct sieve {
    const struct batch *batch;
    struct group group;
};

static enum status sieve_element(void *ctx, struct value_piece element)
{
    const struct sieve *sieve = ctx;
    const struct batch *batch = sieve->batch;
    struct bytes name = bytes_slice(element.data, SCORE_SIZE, SIZE_MAX);
    struct found row = {sieve->group.rows[0].key, zset_hash(name, batch->trees->members.seed)};
    if (row.hash < batch->low || row.hash > batch->high ||
        bsearch(&row, sieve->group.rows, sieve->group.count, sizeof(row), compare_found) == NULL) {
        return ST_OK;
    }
    struct value_piece member;
    double score;
    enum status status = zset_trees_split(batch->trees, element, &member, &score);
    return status == ST_OK ? batch->fn(batch->ctx, member, score) : status;
}

static enum status give_kept(const struct batch *batch)
{
    const struct found *rows = (const struct found *)batch->rows.data;
    size_t count = batch->rows.size / sizeof(*rows);
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK;) {
        struct sieve sieve = {.batch = batch};
        status = next_group(batch->trees, rows + i, count - i, &sieve.group);
        if (status == ST_OK) {
            status = clast_walk(&batch->trees->scores, sieve.group.rank, sieve.group.run, false,
                                sieve_element, &sieve);
        }
        i += sieve.group.count;
    }
    return status;
}

enum status zset_trees_scan(const struct zset_trees *trees, uint64_t cursor, uint64_t count,
                            zset_member_fn fn, void *ctx, uint64_t *cursor_out)
{
    struct batch batch = {.trees = trees, .fn = fn, .ctx = ctx, .rows = BUF_EMPTY};
    uint64_t wanted = count;
    enum status status;
    do {
        uint64_t work = 0;
        status =
            clast_scan(&trees->members, cursor, wanted - batch.count, add_ticket, &batch, &cursor);
        if (status == ST_OK) {
            status = work_of(&batch, &work);
        }
        wanted = work / SCAN_SHARE;
    } while (status == ST_OK && cursor != 0 && batch.count < wanted);
    if (status == ST_OK) {
        status = give_kept(&batch);
    }
    buf_deinit(&batch.rows);
    *cursor_out = cursor;
    return status;
}
