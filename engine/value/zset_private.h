/* zset_private: what the files of sorted sets share.
 *
 *     zset.c         the class: reading either shape, changes as the log has them
 *     zset_packed.c  the packed shape
 *     zset_trees.c   the two trees: finding, changing
 *     zset_scan.c    the two trees: a scan in the order of the hashes
 *     zset_build.c   whole sets: sorting, bulk build, encoded form
 */
#ifndef BASIN_ENGINE_VALUE_ZSET_PRIVATE_H
#define BASIN_ENGINE_VALUE_ZSET_PRIVATE_H

#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/clast.h"
#include "engine/value/value_class.h"
#include "engine/value/zset.h"

/* -- Scores as bytes ----------------------------------------------------------------------------
 */

#define SCORE_SIZE 8

/* Their order as numbers is that of the scores; -0 comes just before 0. */
static inline uint64_t score_key(double score)
{
    uint64_t bits;
    memcpy(&bits, &score, sizeof(bits));
    return bits >> 63 != 0 ? ~bits : bits | 1ull << 63;
}

static inline double score_of_key(uint64_t key)
{
    uint64_t bits = key >> 63 != 0 ? key & ~(1ull << 63) : ~key;
    double score;
    memcpy(&score, &bits, sizeof(score));
    return score;
}

/* What orders: -0 is 0. */
static inline double score_plain(double score)
{
    return score == 0 ? 0 : score;
}

static inline bool score_is_negative_zero(double score)
{
    return score == 0 && __builtin_signbit(score) != 0;
}

static inline bool score_is_nan(double score)
{
    return score != score;
}

static inline void score_store(void *p, double score)
{
    store_u64(p, __builtin_bswap64(score_key(score)));
}

static inline double score_load(const void *p)
{
    return score_of_key(__builtin_bswap64(load_u64(p)));
}

/* What a change made of one member. */
enum zset_effect { ZSET_SAME, ZSET_NEW, ZSET_CHANGED };

/* What becomes of a member that is there with score `old` (or not) when `score` comes. */
static inline enum zset_effect zset_effect(unsigned when, bool there, double old, double score)
{
    if (!there) {
        return (when & ZSET_IF_THERE) != 0 ? ZSET_SAME : ZSET_NEW;
    }
    bool refused = (when & ZSET_IF_NEW) != 0 || ((when & ZSET_IF_GREATER) != 0 && score <= old) ||
                   ((when & ZSET_IF_LESS) != 0 && score >= old);
    return refused || score == old ? ZSET_SAME : ZSET_CHANGED;
}

/* -- zset_packed.c: blocks whose elements are member, score, member, score … ------------------- */

/* Whatever the configuration says, a block is no larger. */
#define ZSET_PACKED_MAX (64u * 1024)

/* Whether a set of so many members, the longest of this size, may be packed. */
bool zset_packs(uint64_t count, uint64_t size_max, uint64_t block_size,
                const struct value_limits *limits);
uint64_t zset_packed_count(struct bytes block);
bool zset_packed_find(struct bytes block, struct bytes member, uint64_t *rank_out,
                      double *score_out);
void zset_packed_at(struct bytes block, uint64_t rank, struct bytes *member_out, double *score_out);
enum status zset_packed_walk(struct bytes block, uint64_t rank, uint64_t count, bool backwards,
                             zset_member_fn fn, void *ctx);
uint64_t zset_packed_rank_of_score(struct bytes block, double score, bool above);
uint64_t zset_packed_rank_of_member(struct bytes block, struct bytes member, bool above);
/* Changes as packed_splice makes them. The member at `rank` (if there) goes, the given comes. */
enum status zset_packed_set(struct bytes block, bool there, uint64_t rank,
                            const struct zset_member *member, struct buf *scratch,
                            struct bytes *block_out);
enum status zset_packed_cut(struct bytes block, uint64_t rank, uint64_t count, struct buf *scratch,
                            struct bytes *block_out);
/* A block of these members, which ascend. */
enum status zset_packed_build(const struct zset_member *members, size_t count, struct buf *scratch,
                              struct bytes *block_out);
/* Form, order, no member twice. */
bool zset_packed_check(struct bytes block);

/* -- zset_trees.c -------------------------------------------------------------------------------
 */

struct zset_trees {
    struct value_root head;
    struct clast scores;
    struct clast members;
    /* Of members whose score is -0. In `scores` they stand as 0, and only while there are any do
     * walks ask `members` for the sign of a zero. */
    uint64_t negative_zeros;
};

/* An element of `members`. */
#define TICKET_SIZE (4 + SCORE_SIZE)
struct zset_ticket {
    unsigned char bytes[TICKET_SIZE];
};

static inline uint32_t zset_hash(struct bytes member, uint64_t seed)
{
    return (uint32_t)(hash_element(member, seed) >> 32);
}
struct zset_ticket zset_ticket_of(uint32_t hash, double score);

extern const struct clast_order zset_by_hash;

/* NULL: no memory. */
struct zset_trees *zset_trees_new(uint64_t seed);
void zset_trees_free(struct zset_trees *trees);

/* A member as it is sought in both trees. */
#define PROBE_ROOM 256
struct zset_probe {
    const struct zset_trees *trees;
    unsigned char *key; /* SCORE_SIZE bytes for a score, then the member. */
    size_t key_size;
    uint32_t hash;
    bool found;
    double score;                 /* If found. */
    struct clast_path in_members; /* Of it, or where it belongs. */
    struct clast_path in_scores;  /* Of it, if found. */
    unsigned char room[PROBE_ROOM];
};
/* After ST_OK and after a failure zset_probe_end must follow. */
enum status zset_probe_begin(struct zset_probe *probe, const struct zset_trees *trees,
                             struct bytes member);
void zset_probe_end(struct zset_probe *probe);
/* Sets what the probe says of both trees. */
enum status zset_probe_find(struct zset_probe *probe);

/* An element of `scores` taken apart; asks `members` for the sign of a zero if it must. */
enum status zset_trees_split(const struct zset_trees *trees, struct value_piece element,
                             struct value_piece *member_out, double *score_out);
enum status zset_trees_walk(const struct zset_trees *trees, uint64_t rank, uint64_t count,
                            bool backwards, zset_member_fn fn, void *ctx);
enum status zset_trees_rank_of_score(const struct zset_trees *trees, double score, bool above,
                                     uint64_t *rank_out);
enum status zset_trees_rank_of_member(const struct zset_trees *trees, struct bytes member,
                                      bool above, uint64_t *rank_out);
/* Looks at what a change of this member needs: its places, and if scored where it will stand. */
enum status zset_trees_bring(const struct zset_trees *trees, const struct zset_member *member,
                             bool scored);
/* Changes: all or nothing. */
enum status zset_trees_add(struct zset_trees *trees, unsigned when,
                           const struct zset_member *member, enum zset_effect *effect_out);
enum status zset_trees_remove(struct zset_trees *trees, struct bytes member, bool *found_out);
enum status zset_trees_cut(struct zset_trees *trees, uint64_t rank, uint64_t count);
bool zset_trees_check(const struct zset_trees *trees);

/* -- zset_scan.c --------------------------------------------------------------------------------
 */

enum status zset_trees_scan(const struct zset_trees *trees, uint64_t cursor, uint64_t count,
                            zset_member_fn fn, void *ctx, uint64_t *cursor_out);

/* -- zset_build.c -------------------------------------------------------------------------------
 */

/* Trees of these members, which ascend. ST_CORRUPT: a member comes twice. */
enum status zset_trees_build(const struct zset_member *members, size_t count, uint64_t seed,
                             struct zset_trees **trees_out);
/* The same of a block that is in order. */
enum status zset_trees_of_block(struct bytes block, uint64_t seed, struct zset_trees **trees_out);

/* Of the class. */
enum status zset_encode(const struct value *value, struct buf *out);
uint64_t zset_encoded_max(const struct value *value);
enum status zset_decode(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out);

/* -- zset.c -------------------------------------------------------------------------------------
 */

/* NULL: it is packed. */
struct zset_trees *zset_root(const struct value *value);
struct value zset_packed_value(struct bytes block);
struct value zset_trees_value(struct zset_trees *trees);

/* Order of scores, then of names. */
static inline int zset_compare(const struct zset_member *a, const struct zset_member *b)
{
    return a->score != b->score ? (a->score > b->score) - (a->score < b->score)
                                : bytes_compare(a->name, b->name);
}

#endif
