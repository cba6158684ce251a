/* clast: a sequence too large for one block: a counted B+tree, by position, of numbered parts.
 *
 *             root (struct clast): count, bytes, number of the top part
 *               │
 *            ┌ inner ────────────────┐      child numbers and how many elements lie below each
 *            │ 7: 4100  12: 3900  …  │
 *            └─│───────────│─────────┘
 *          ┌ leaf ┐     ┌ leaf ┐            elements in order, about 4 KiB a leaf
 *          │ a b c│     │ d …──┼──→ overflow part: one element longer than half a part
 *          └──────┘     └──────┘
 *
 * Invariants, cited by number in checks and tests:
 *   T1  Every leaf is equally deep; no part but the top of an empty clast is empty.
 *   T2  An inner node's counts are those of its subtrees; the root's count and bytes are the sums.
 *   T3  Each number of the part table is named exactly once, by the root, an inner node or (an
 *       overflow part) by a leaf.
 *   T4  A part with further references is copied before it is changed, never written.
 *   T5  A function that does not answer ST_OK has changed no element.
 * All access to parts goes through the part table (parts.h), which can answer ST_WAIT; each
 * function asks for all the parts that it needs before it changes anything.
 *
 * Costs: O(log n) for everything at one position, in at most three or four parts; pushes and pops
 * at the ends touch the edge of the tree only, and leave leaves full. A range goes by subtrees.
 *
 * Elements given are borrowed, and must not lie in a part of the clast being changed unless the
 * caller holds a reference of that part. Pieces that are given out name the part they lie in: a
 * receiver that keeps data beyond the lock references the part; writers copy it from then on (T4).
 * Thread: the holder of the key's shard. Two clasts that share parts may be under two locks.
 */
#ifndef BASIN_ENGINE_VALUE_CLAST_H
#define BASIN_ENGINE_VALUE_CLAST_H

#include "engine/value/parts.h"
#include "engine/value/value.h"

/* An element longer than this lies in an overflow part of its own. */
#define CLAST_INLINE_MAX 2016
/* An element that is longer is refused with ST_LIMIT. */
#define CLAST_ELEMENT_MAX (1ull << 31)

struct clast {
    struct parts parts;
    uint64_t count;  /* Of elements. */
    uint64_t bytes;  /* Sum of the elements' sizes. */
    uint32_t top;    /* Number of the top part; meaningless if height is 0. */
    uint32_t height; /* Levels of parts: 0 empty, 1 a single leaf. */
};

/* Embed one in a root. An empty clast holds no memory. */
void clast_init(struct clast *clast);
/* Frees all parts that nobody else references. */
void clast_deinit(struct clast *clast);
/* Frees at most about `parts` of them; true: clast_deinit has nothing left to do. After the first
 * call only this and clast_deinit may follow. */
bool clast_free_some(struct clast *clast, size_t parts);
/* A second clast with the same content that shares all parts; costs a reference every 256 parts.
 * ST_NOMEM: copy_out is empty. */
enum status clast_copy(const struct clast *clast, struct clast *copy_out);

/* Heap bytes of parts and table, shared ones counted in full. O(1). */
uint64_t clast_memory(const struct clast *clast);

/* index < count. */
enum status clast_at(const struct clast *clast, uint64_t index, struct value_piece *element_out);
/* Calls fn for count elements from index on, towards the right, or towards the left if backwards.
 * The range lies within the clast, which does not change meanwhile. */
enum status clast_walk(const struct clast *clast, uint64_t index, uint64_t count, bool backwards,
                       value_piece_fn fn, void *ctx);

/* Pushes one after the other at the right end, or at the left (so that the last is leftmost). All
 * or nothing. This is also the bulk build: it leaves leaves full. */
enum status clast_push(struct clast *clast, bool left, const struct bytes *elements, size_t count);
/* The new element gets this index ≤ count. */
enum status clast_insert(struct clast *clast, uint64_t index, struct bytes element);
enum status clast_replace(struct clast *clast, uint64_t index, struct bytes element);
/* Removes [index, index + count); whole subtrees go without a look at their elements. */
enum status clast_remove(struct clast *clast, uint64_t index, uint64_t count);
/* Keeps only [first, first + count). */
enum status clast_trim(struct clast *clast, uint64_t first, uint64_t count);
/* Removes these ascending indexes, numbered as before the first removal. All or nothing. */
enum status clast_remove_each(struct clast *clast, const uint64_t *indexes, size_t count);

/* Walks everything: T1, T2, T3 and the form of each part. For tests and CHECK_SLOW. */
bool clast_check(const struct clast *clast);

#endif
