/* set_algebra: intersection, union and difference of sets.
 *
 * No operand is copied. What belongs to the result is found out in one walk that notes a bit for
 * each member walked over; so its size is known before the first member is given, and a second
 * walk gives the members from where they lie. (A union of many large sets is the exception: looking
 * each member up in all the sets before its own would cost more than collecting it.)
 *
 * Operands are sets, or VALUE_NONE for a key that is absent. They stay as they are until deinit.
 * Statuses: ST_NOMEM, ST_WAIT, and what a callback answers.
 * Thread: the holder of the operands' shards.
 */
#ifndef BASIN_ENGINE_VALUE_SET_ALGEBRA_H
#define BASIN_ENGINE_VALUE_SET_ALGEBRA_H

#include "engine/value/set.h"

/* SET_DIFF: the first without all the others. */
enum set_algebra { SET_INTER, SET_UNION, SET_DIFF };

struct set_selection {
    uint64_t count; /* Members of the result. */
    /* The rest is set_algebra.c's own. */
    struct buf sources; /* const struct value *: those walked, in this order. */
    struct buf bits;    /* One for each member walked. */
    struct value collected;
    struct buf scratch;
};

/* selection_out needs set_selection_deinit whatever the answer. */
enum status set_select(enum set_algebra algebra, const struct value *sets, size_t count,
                       const struct value_limits *limits, struct set_selection *selection_out);
/* Calls fn for each member of the result, as set_walk does. */
enum status set_selection_walk(const struct set_selection *selection, value_piece_fn fn, void *ctx);
void set_selection_deinit(struct set_selection *selection);

/* The result as a value, a root given; in the encoding that Redis 7.2 stores. Empty where there is
 * none. Packed bytes lie in scratch. */
enum status set_combine(enum set_algebra algebra, const struct value *sets, size_t count,
                        const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out);

/* Members in all the sets; counted no further than limit, if that is not 0. */
enum status set_inter_count(const struct value *sets, size_t count, uint64_t limit,
                            uint64_t *count_out);

#endif
