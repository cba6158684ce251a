/* sorted_sets_private: what the files of the sorted set commands share.
 *
 *     sorted_sets.c          ZADD … ZRANK: single members; the rows of the family
 *     sorted_sets_range.c    ranges of ranks, scores and bytes: look, count, remove, store
 *     sorted_sets_combine.c  union, intersection, difference
 *     sorted_sets_take.c     pop, draw, scan
 */
#ifndef BASIN_SRC_COMMANDS_SORTED_SETS_PRIVATE_H
#define BASIN_SRC_COMMANDS_SORTED_SETS_PRIVATE_H

#include "src/dispatch/call.h"

/* Reads a key (or, for a change, peeks). *fits_out false: it is of another type, the error is
 * written; or the status is not ST_OK. */
enum status sorted_sets_read(struct call *call, unsigned number, struct value *value_out,
                             bool *fits_out);
enum status sorted_sets_peek(struct call *call, unsigned number, struct value *value_out,
                             bool *fits_out);

/* How members are written. */
struct sorted_sets_writer {
    struct resp_out *out;
    bool scores;
    bool pairs; /* Member and score in an array of their own. */
};
/* In RESP3 scores come in pairs. */
struct sorted_sets_writer sorted_sets_writer(struct call *call, bool scores);
/* The array that holds count members. */
void sorted_sets_begin(const struct sorted_sets_writer *writer, uint64_t count);
/* A zset_member_fn; ctx is the writer. */
enum status sorted_sets_write(void *ctx, struct value_piece member, double score);

/* A growing array of members; names are lent by the values that they were read from. */
struct sorted_sets_members {
    struct zset_member *rows;
    size_t count, capacity;
};
/* A zset_member_fn; ctx is the array. */
enum status sorted_sets_collect(void *ctx, struct value_piece member, double score);
void sorted_sets_members_deinit(struct sorted_sets_members *members);
/* The members become the value of a key; replies how many. */
enum status sorted_sets_store(struct call *call, unsigned number,
                              struct sorted_sets_members *members);

/* Handlers, as command_handler. */
enum status sorted_sets_zcount(struct call *call);
enum status sorted_sets_zlexcount(struct call *call);
enum status sorted_sets_zrange(struct call *call);
enum status sorted_sets_zrangebylex(struct call *call);
enum status sorted_sets_zrangebyscore(struct call *call);
enum status sorted_sets_zrangestore(struct call *call);
enum status sorted_sets_zrevrange(struct call *call);
enum status sorted_sets_zrevrangebylex(struct call *call);
enum status sorted_sets_zrevrangebyscore(struct call *call);
enum status sorted_sets_zremrangebylex(struct call *call);
enum status sorted_sets_zremrangebyrank(struct call *call);
enum status sorted_sets_zremrangebyscore(struct call *call);
enum status sorted_sets_zdiff(struct call *call);
enum status sorted_sets_zdiffstore(struct call *call);
enum status sorted_sets_zinter(struct call *call);
enum status sorted_sets_zintercard(struct call *call);
enum status sorted_sets_zinterstore(struct call *call);
enum status sorted_sets_zunion(struct call *call);
enum status sorted_sets_zunionstore(struct call *call);
enum status sorted_sets_zmpop(struct call *call);
enum status sorted_sets_zpopmax(struct call *call);
enum status sorted_sets_zpopmin(struct call *call);
enum status sorted_sets_zrandmember(struct call *call);
enum status sorted_sets_zscan(struct call *call);

#endif
