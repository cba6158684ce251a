/* clast_private: what reading (clast.c), searching (clast_seek.c), adding (clast_put.c), taking
 * away (clast_remove.c) and spreading entries over leaves (clast_spread.c) have in common. */
#ifndef BASIN_ENGINE_VALUE_CLAST_PRIVATE_H
#define BASIN_ENGINE_VALUE_CLAST_PRIVATE_H

#include "engine/base/check.h"
#include "engine/value/clast.h"
#include "engine/value/inner.h"
#include "engine/value/leaf.h"

static inline struct clast_step *clast_path_leaf(struct clast_path *path)
{
    return &path->steps[path->height - 1];
}

static inline bool clast_tagged(const struct clast *clast)
{
    return clast->order->kind == CLAST_HASHED;
}

static inline enum leaf_form clast_form(const struct clast *clast)
{
    return clast->order->kind == CLAST_HASHED   ? LEAF_TAGGED
           : clast->order->kind == CLAST_SORTED ? LEAF_SLOTTED
                                                : LEAF_DENSE;
}

/* -- clast_seek.c ----------------------------------------------------------------------------- */

/* The mark of an element, and that of an entry of a leaf. */
struct mark clast_mark(const struct clast *clast, struct bytes element);
struct mark clast_entry_mark(const struct clast *clast, struct leaf_entry entry);
static inline uint8_t clast_tag(struct mark mark)
{
    return (uint8_t)(mark.high >> 32);
}

/* The element of an entry of a leaf. ST_WAIT. */
enum status clast_entry_piece(const struct clast *clast, struct part *leaf, struct leaf_entry entry,
                              struct value_piece *piece_out);
/* The same of the entry at a slot. */
enum status clast_piece(const struct clast *clast, struct part *leaf, size_t slot,
                        struct value_piece *piece_out);
/* Whether the node at this step is the outermost of its level. */
bool clast_at_left(const struct clast_path *path, uint32_t step);
bool clast_at_right(const struct clast_path *path, uint32_t step);
/* Moves the path to the first entry of the next leaf, or the last of the previous one; there is
 * one. */
enum status clast_path_step(const struct clast *clast, struct clast_path *path, bool backwards);

/* -- clast_remove.c --------------------------------------------------------------------------- */

/* ST_WAIT if the element lies in an overflow part that is not in memory: who drops it must know its
 * size. */
enum status clast_overflow_present(const struct clast *clast, const struct clast_path *path);
/* Sees to it that the nodes of the path are not too small, if that can be done; the path is stale
 * afterwards. */
void clast_path_repair(struct clast *clast, struct clast_path *path);
/* Takes away tops with a single child. */
void clast_top_lower(struct clast *clast);

/* -- clast_spread.c --------------------------------------------------------------------------- */

#define SPREAD_IN_MAX 2
#define SPREAD_OUT_MAX 3

/* What comes: before `slot` of the leaf (in a hashed one: wherever its mark says), or in its place.
 */
struct spread_fresh {
    size_t leaf, slot;
    bool replace;
    struct leaf_entry entry;
    struct mark mark;
};

/* The entries of one or two neighbouring leaves, on their way into as many leaves or one more. */
struct spread {
    const struct clast *clast;
    const struct spread_fresh *fresh; /* NULL: nothing comes. */
    size_t in, out;                   /* Leaves. */
    struct part *leaves[SPREAD_OUT_MAX];
    struct mark first[SPREAD_OUT_MAX]; /* Marks of the first entry of each, once planned. */
    size_t item_count;
    size_t cuts[SPREAD_OUT_MAX + 1]; /* Leaf i gets items cuts[i] … cuts[i + 1] - 1. */
    uint16_t items[SPREAD_IN_MAX * LEAF_COUNT_MAX + 1]; /* In their new order. */
};

/* Whether the entries of leaves[0 … in) and the fresh one fit `out` leaves, and how evenly they
 * can: reads only. Then clast_spread does it: leaves[0 … out) are private, those from `in` on
 * empty. */
bool clast_spread_plan(struct spread *spread);
void clast_spread(struct spread *spread);

#endif
