/* clast_private: paths through a clast, shared by reading (clast.c) and changing (clast_edit.c).
 *
 * A path is the way from the top to an entry of a leaf. What to take at each node is the search's
 * affair, everything else works on paths; so a tree in another order needs another search only.
 */
#ifndef BASIN_ENGINE_VALUE_CLAST_PRIVATE_H
#define BASIN_ENGINE_VALUE_CLAST_PRIVATE_H

#include "engine/base/check.h"
#include "engine/value/clast.h"
#include "engine/value/inner.h"
#include "engine/value/leaf.h"

/* Inner nodes have some hundred children, so four levels hold everything; a higher tree is refused
 * (ST_LIMIT). */
#define CLAST_HEIGHT_MAX 16

struct clast_step {
    struct part *part;
    uint32_t number;
    uint32_t index; /* Of the child taken; in the leaf, of the slot. */
};

struct clast_path {
    uint32_t height; /* As the clast's; the leaf is steps[height - 1]. */
    struct clast_step steps[CLAST_HEIGHT_MAX];
};

struct clast_search {
    uint32_t (*child)(void *ctx, const struct part *inner);
    uint32_t (*slot)(void *ctx, const struct part *leaf);
};

/* ctx: the uint64_t position, used up on the way. */
extern const struct clast_search clast_search_position;
/* ctx: unused. */
extern const struct clast_search clast_search_first;
extern const struct clast_search clast_search_last;

/* The clast is not empty. The path is good until the next change. ST_WAIT. */
enum status clast_seek(const struct clast *clast, const struct clast_search *search, void *ctx,
                       struct clast_path *path_out);
/* The entry at index < count. */
enum status clast_seek_index(const struct clast *clast, uint64_t index,
                             struct clast_path *path_out);
/* Moves the path to the first entry of the next leaf, or the last of the previous one; there is
 * one. */
enum status clast_path_step(const struct clast *clast, struct clast_path *path, bool backwards);

static inline struct clast_step *clast_path_leaf(struct clast_path *path)
{
    return &path->steps[path->height - 1];
}

#endif
