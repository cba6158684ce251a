/* clast: a collection too large for one block: a counted B+tree of numbered parts.
 *
 *             root (struct clast): count, bytes, number of the top part
 *               │
 *            ┌ inner ────────────────┐      child numbers, how many elements lie below each, and
 *            │ 7: 4100  12: 3900  …  │      the mark from which on it holds elements
 *            └─│───────────│─────────┘
 *          ┌ leaf ┐     ┌ leaf ┐            elements, about 4 KiB a leaf
 *          │ a b c│     │ d …──┼──→ overflow part: one element longer than half a part
 *          └──────┘     └──────┘
 *
 * One tree, three orders, chosen at clast_init:
 *
 *   position  elements lie where they were put (lists)
 *   sorted    elements lie in the order of their bytes, as memcmp has it, the shorter first where
 *             one is the other's beginning; all are different. Who wants another order encodes it:
 *             big-endian numbers first (scores, stream IDs, times), then what tells equals apart.
 *   hashed    leaves hold ranges of a 64-bit hash of the element's key, which the order's function
 *             computes; within a leaf the order is open. A byte of the hash lies beside each slot,
 *             so a search reads one leaf's tags and, nearly always, one element (hashes, sets).
 *
 * In every order each element has a rank, 0 … count - 1, that stays as long as nothing changes; so
 * ranges, counts between two places and fair random picks cost O(log n) in all of them.
 *
 * Marks are 16 bytes: the hash, or the first bytes of a sorted element. They are lower bounds: all
 * elements below child i are at least mark i, all those before at most. Where marks tie, a search
 * looks at the children's first elements.
 *
 * Invariants, cited by number in checks and tests:
 *   T1  Every leaf is equally deep; no part but the top of an empty clast is empty.
 *   T2  An inner node's counts are those of its subtrees; the root's count and bytes are the sums.
 *   T3  Each number of the part table is named exactly once, by the root, an inner node or (an
 *       overflow part) by a leaf.
 *   T4  A part with further references is copied before it is changed, never written.
 *   T5  A function that does not answer ST_OK has changed no element.
 *   T6  Marks bound what lies below them; sorted elements ascend; hashed elements with equal hashes
 *       lie in one leaf, and tags are their elements' own.
 * All access to parts goes through the part table (parts.h), which answers ST_WAIT for what is not
 * in memory; each function asks for all the parts that it needs before it changes anything.
 *
 * Costs: O(log n) for everything at one place, in at most three or four parts; additions at the
 * right end (and, by position, the left) leave full leaves behind, others share the load with a
 * neighbour before a leaf is split, so that leaves are some four fifths full.
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
#define CLAST_ELEMENT_MAX PART_CAPACITY_MAX
/* Inner nodes have some hundred children, so five levels hold everything; a higher tree is refused
 * (ST_LIMIT). */
#define CLAST_HEIGHT_MAX 12

enum clast_kind { CLAST_BY_POSITION, CLAST_SORTED, CLAST_HASHED };

struct clast_order {
    enum clast_kind kind;
    /* CLAST_HASHED: the hash of the element's key under this seed. Of bytes that are no element it
     * may be anything. Bits 32 … 39 are the tag, so an order may leave the low 32 bits zero. */
    uint64_t (*hash)(struct bytes element, uint64_t seed);
};

struct clast {
    struct parts parts;
    const struct clast_order *order; /* Lent forever. */
    uint64_t seed;                   /* Of hashes. */
    uint64_t count;                  /* Of elements. */
    uint64_t bytes;                  /* Sum of the elements' sizes. */
    uint32_t top;                    /* Number of the top part; meaningless if height is 0. */
    uint32_t height;                 /* Levels of parts: 0 empty, 1 a single leaf. */
};

extern const struct clast_order clast_by_position;
extern const struct clast_order clast_sorted;

/* Embed one in a root. An empty clast holds no memory. seed: only for hashed ones. */
void clast_init(struct clast *clast, const struct clast_order *order, uint64_t seed);
/* Frees all parts that nobody else references. The clast is then an empty one, and nobody's. */
void clast_deinit(struct clast *clast);
/* Empties one that goes on: see parts_clear. */
void clast_clear(struct clast *clast);
/* The same, and it takes the content of another that was never captured; that one is empty then. */
void clast_take(struct clast *clast, struct clast *fresh);
/* Frees at most about `parts` of them; true: clast_deinit has nothing left to do. After the first
 * call only this and clast_deinit may follow. */
bool clast_free_some(struct clast *clast, size_t parts);
/* A second clast with the same content that shares all parts; costs a reference every 256 parts.
 * ST_WAIT: not all are in memory; many of those that are missing are noted. ST_NOMEM, ST_WAIT:
 * copy_out is empty. */
enum status clast_copy(const struct clast *clast, struct clast *copy_out);
/* What the clast is now, whatever is absent, to return to: then clast_restore, which takes it, or
 * clast_deinit of it. ST_NOMEM: it is empty. */
enum status clast_snapshot(const struct clast *clast, struct clast *snapshot_out);
void clast_restore(struct clast *clast, struct clast *snapshot);
/* ST_WAIT: of [index, index + count) not all is in memory; many of those parts are noted. */
enum status clast_present(const struct clast *clast, uint64_t index, uint64_t count);

/* Heap bytes of parts and table, shared ones counted in full. O(1). */
uint64_t clast_memory(const struct clast *clast);

/* -- Places ------------------------------------------------------------------------------------
 * A path is the way from the top to an element, or to where one may be inserted. It is good until
 * the next change of the clast (and is used up by the change that it is given to). */

struct clast_step {
    struct part *part;
    uint32_t number;
    uint32_t index; /* Of the child taken; in the leaf, of the slot. */
};

struct clast_path {
    uint32_t height; /* As the clast's; the leaf is steps[height - 1]. */
    struct clast_step steps[CLAST_HEIGHT_MAX];
};

/* True: behind the last element (of an empty clast: always). Else it stands on an element. */
bool clast_path_end(const struct clast_path *path);
/* The element it stands on; lent until the clast changes, or while the caller references its part.
 */
enum status clast_path_element(const struct clast *clast, const struct clast_path *path,
                               struct value_piece *element_out);
/* The rank of the element it stands on; count at the end. */
uint64_t clast_path_rank(const struct clast_path *path);
/* One to the right: maybe to the end, where it may not stand already. */
enum status clast_path_next(const struct clast *clast, struct clast_path *path);
/* One to the left; *moved_out is false, and the path where it was, if there is none. Also from the
 * end. */
enum status clast_path_previous(const struct clast *clast, struct clast_path *path,
                                bool *moved_out);

/* The element with this rank ≤ count; count gives the end. */
enum status clast_seek_rank(const struct clast *clast, uint64_t rank, struct clast_path *path_out);
/* CLAST_SORTED: the first element that is not less than key. */
enum status clast_seek_key(const struct clast *clast, struct bytes key,
                           struct clast_path *path_out);
/* CLAST_HASHED: the element with this hash for which `same` says yes; else where it belongs. */
typedef enum status (*clast_same_fn)(void *ctx, struct bytes element, bool *same_out);
enum status clast_seek_hash(const struct clast *clast, uint64_t hash, clast_same_fn same, void *ctx,
                            struct clast_path *path_out, bool *found_out);

/* Inserts before the element that the path stands on: found by clast_seek_key of the element (which
 * is not there), by clast_seek_hash (which found nothing), or, by position, clast_seek_rank. */
enum status clast_insert_at(struct clast *clast, struct clast_path *path, struct bytes element);
/* Puts another in place of the element; key and order stay the same. */
enum status clast_replace_at(struct clast *clast, struct clast_path *path, struct bytes element);
enum status clast_remove_at(struct clast *clast, struct clast_path *path);
/* Makes the parts on the path private, so that a replacement by an element of the same size, or a
 * removal, can no longer fail. The content stays, and so does the path. */
enum status clast_own_at(struct clast *clast, struct clast_path *path);

/* -- By rank, whatever the order --------------------------------------------------------------- */

/* index < count. */
enum status clast_at(const struct clast *clast, uint64_t index, struct value_piece *element_out);
/* Calls fn for count elements from index on, towards the right, or towards the left if backwards.
 * The range lies within the clast, which does not change meanwhile. */
enum status clast_walk(const struct clast *clast, uint64_t index, uint64_t count, bool backwards,
                       value_piece_fn fn, void *ctx);
/* Removes [index, index + count); whole subtrees go without a look at their elements. */
enum status clast_remove(struct clast *clast, uint64_t index, uint64_t count);
/* Keeps only [first, first + count). Not hashed: what has a rank there is worth little. */
enum status clast_trim(struct clast *clast, uint64_t first, uint64_t count);
/* Removes these ascending indexes, numbered as before the first removal. All or nothing. Not
 * hashed: each removal may change ranks there. */
enum status clast_remove_each(struct clast *clast, const uint64_t *indexes, size_t count);

/* -- By position only -------------------------------------------------------------------------- */

/* Pushes one after the other at the right end, or at the left (so that the last is leftmost). All
 * or nothing. This is also the bulk build: it leaves leaves full. */
enum status clast_push(struct clast *clast, bool left, const struct bytes *elements, size_t count);
/* The new element gets this index ≤ count. */
enum status clast_insert(struct clast *clast, uint64_t index, struct bytes element);
enum status clast_replace(struct clast *clast, uint64_t index, struct bytes element);

/* Calls fn with the index of each element that equals `wanted` among count elements from index on,
 * in that order, or towards the left. Looks at the sizes of all, and at the bytes of those that
 * have the right one. A status other than ST_OK of fn ends the search and is returned. */
typedef enum status (*clast_found_fn)(void *ctx, uint64_t index);
enum status clast_search(const struct clast *clast, uint64_t index, uint64_t count, bool backwards,
                         struct bytes wanted, clast_found_fn fn, void *ctx);

/* -- Hashed only ------------------------------------------------------------------------------- */

/* Calls fn for at least `count` elements (all that share the last leaf's range), or all that are
 * left, from the cursor on. 0 begins and ends. A cursor is the upper 48 bits of a hash and needs no
 * state: an element that is there throughout is given at least once, whatever else comes and goes;
 * one may be given twice. */
enum status clast_scan(const struct clast *clast, uint64_t cursor, uint64_t count,
                       value_piece_fn fn, void *ctx, uint64_t *cursor_out);

/* -- Stored form, without parts: v count, v bytes, v top, v height, the table (parts.h)
 * ------------
 */

enum status clast_store(const struct clast *clast, struct buf *out);
/* Into an empty one, whose order and seed stay. ST_CORRUPT. */
enum status clast_load(struct clast *clast, struct bytes *in, uint64_t id);

/* Walks everything: T1, T2, T3, T6 and the form of each part. For tests and CHECK_SLOW. */
bool clast_check(const struct clast *clast);

#endif
