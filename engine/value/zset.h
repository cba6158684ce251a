/* zset: sorted sets: members, each once, in the order of their scores; equal scores in the order of
 * their bytes (memcmp, the shorter first).
 *
 *   packed  member, score, member, score … ascending, in one packed block; the score is 8 bytes as
 *           in a key below. As long as Redis 7.2 would keep a listpack.
 *   clast   two trees, each of them the whole set:
 *           scores   sorted: 8 bytes of score, then the member. Big-endian, the sign handled so
 *                    that the order of the bytes is that of the numbers: ranks, ranges, walks.
 *           members  hashed by the member: u32 upper half of its hash, then the 8 bytes of score.
 *                    12 bytes and no copy of the member: whoever finds one looks up score and
 *                    member in the first tree to know that it is the one. (Two members whose 32
 * bits are equal are told apart by that.)
 *
 * What has left packed never returns to it by shrinking. A score is any double but NaN; -0 is
 * stored as such where a client wrote it, orders as 0, and equals it.
 *
 * Ranks count from 0 at the lowest score. Reads answer ST_WAIT for parts that are not in memory.
 * Members that are handed out are lent as their piece says.
 *
 * Operations (value.h) and their payloads:
 *   ZSET_ADD     u8 flags (enum zset_when), then for each member u64 bits of the score, varint
 *                size, member. Counts the new ones, and ZSET_UPDATED for each whose score changed.
 *   ZSET_REMOVE  for each member varint size, member. Counts those that were there.
 *   ZSET_CUT     varint rank, varint count: these go. Counts them.
 * Thread: the holder of the key's shard.
 */
#ifndef BASIN_ENGINE_VALUE_ZSET_H
#define BASIN_ENGINE_VALUE_ZSET_H

#include "engine/value/value.h"

/* Numbers are on disk. */
enum zset_op { ZSET_ADD = 64, ZSET_REMOVE = 65, ZSET_CUT = 66 };
/* Which members ZSET_ADD touches; numbers are on disk. */
enum zset_when {
    ZSET_ALWAYS = 0,
    ZSET_IF_NEW = 1,     /* NX: only those that are not there. */
    ZSET_IF_THERE = 2,   /* XX: only those that are. */
    ZSET_IF_GREATER = 4, /* GT: new ones, and those whose score grows. */
    ZSET_IF_LESS = 8,    /* LT: new ones, and those whose score falls. */
};
#define ZSET_UPDATED (1ull << 32)
/* A member that is longer is refused with ST_LIMIT. */
#define ZSET_MEMBER_MAX ((1ull << 31) - 9)

struct zset_member {
    struct bytes name;
    double score;
};

/* -- Reading: of a value of type VALUE_ZSET ---------------------------------------------------- */

uint64_t zset_count(const struct value *value);
/* *score_out is set if found. */
enum status zset_score(const struct value *value, struct bytes member, bool *found_out,
                       double *score_out);
/* The same with the rank, which costs more. */
enum status zset_rank(const struct value *value, struct bytes member, bool *found_out,
                      uint64_t *rank_out, double *score_out);
/* rank < count. */
enum status zset_at(const struct value *value, uint64_t rank, struct value_piece *member_out,
                    double *score_out);
/* A status other than ST_OK ends the walk and is returned. */
typedef enum status (*zset_member_fn)(void *ctx, struct value_piece member, double score);
/* Calls fn for count members from rank on, upwards, or downwards if backwards. The range lies
 * within the set, which does not change meanwhile. */
enum status zset_walk(const struct value *value, uint64_t rank, uint64_t count, bool backwards,
                      zset_member_fn fn, void *ctx);
/* How many members have a lower score (or, if above, one that is not higher): the rank of the first
 * with score ≥ (or >) the given one; the count if there is none. Not NaN. */
enum status zset_rank_of_score(const struct value *value, double score, bool above,
                               uint64_t *rank_out);
/* The rank of the first member ≥ (or, if above, >) the given bytes; the count if there is none.
 * That orders a set only where all its scores are equal; elsewhere the answer is some rank. */
enum status zset_rank_of_member(const struct value *value, struct bytes member, bool above,
                                uint64_t *rank_out);
/* Calls fn for at least `count` members from the cursor on, in no order; a packed set gives all at
 * once. See clast_scan. */
enum status zset_scan(const struct value *value, uint64_t cursor, uint64_t count, zset_member_fn fn,
                      void *ctx, uint64_t *cursor_out);

/* -- Making ------------------------------------------------------------------------------------ */

/* An empty one, packed. */
struct value zset_empty(void);
/* A value of these members, which are all different, in any order; sorts them in place. Packed
 * bytes lie in scratch; a root is given. ST_NOMEM, ST_LIMIT. */
enum status zset_build(struct zset_member *members, size_t count, const struct value_limits *limits,
                       struct buf *scratch, struct value *value_out);

/* Walks the whole structure: order, agreement of both trees. For tests and CHECK_SLOW. */
bool zset_check(const struct value *value);

#endif
