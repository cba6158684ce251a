/* inner: the parts above the leaves of a clast: numbers of children, how many elements lie below
 * each, and the mark from which on it holds them.
 *
 *   0 u8 PART_KIND_INNER, u8 0, u16 count, u64 zero
 *   12 counts, u64 each, room for INNER_COUNT_MAX, then as many high halves of marks, u64 each, low
 *      halves, u64 each, and children, u32 each
 *
 * Counts lie next to each other so that a position is found by adding them up some at a time;
 * running sums would be found faster but changed slower, and changes go the same way. Marks are
 * sought by bisection of their high halves; they ascend, equal ones allowed.
 * Thread: none; the caller holds the part's only reference when it changes it.
 */
#ifndef BASIN_ENGINE_VALUE_INNER_H
#define BASIN_ENGINE_VALUE_INNER_H

#include "engine/value/leaf.h"

#define INNER_COUNT_MAX ((LEAF_CAPACITY - 12) / 28)

struct inner_slot {
    uint32_t number;
    uint64_t below;
    struct mark mark;
};

/* Given, empty. NULL: no memory. */
struct part *inner_new(void);
size_t inner_count(const struct part *inner);
uint32_t inner_child(const struct part *inner, size_t index);
uint64_t inner_below(const struct part *inner, size_t index);
struct mark inner_mark(const struct part *inner, size_t index);
/* The sum of the counts of the first `count` children. */
uint64_t inner_sum(const struct part *inner, size_t count);
/* The sum of all counts. */
uint64_t inner_total(const struct part *inner);
/* The child that holds the element at *position < total; *position becomes the one within it. */
size_t inner_find(const struct part *inner, uint64_t *position);
/* How many children have a mark below this one (or, with equal, at most this one). */
size_t inner_count_below(const struct part *inner, struct mark mark, bool equal);

void inner_set_below(struct part *inner, size_t index, uint64_t below);
void inner_set_mark(struct part *inner, size_t index, struct mark mark);
/* index ≤ count < INNER_COUNT_MAX. */
void inner_insert(struct part *inner, size_t index, struct inner_slot child);
void inner_remove(struct part *inner, size_t index, size_t count);
/* Moves children [index, index + count) of one to to_index of another, where there is room. */
void inner_move(struct part *from, size_t index, size_t count, struct part *to, size_t to_index);

/* Whether header, counts and the order of marks are such as inner nodes have. */
bool inner_verify(const struct part *inner);

#endif
