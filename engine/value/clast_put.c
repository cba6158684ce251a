/* Adding to a clast and replacing in it; clast_remove.c takes away.
 *
 * Each change has three steps. First all parts that it will write are made private (clast_own_at):
 * that changes no content, so it may fail half way. Then everything it may need is allocated: an
 * overflow part, a leaf, an inner node for every full one above, a top. From there on nothing can
 * fail.
 *
 * A full leaf. At the right end of the tree (and, by position, the left) it gets a neighbour with
 * the new element alone, so that growing at the end leaves full leaves behind. Elsewhere, if a
 * neighbour under the same node is in memory, the two share their entries evenly when a quarter of
 * a leaf is free in them, and become three when not; else the leaf becomes two. Measured with a
 * million random insertions: leaves are 79 % full (halving alone: ln 2, 69 %). Sharing down to a
 * sixteenth made that 84 %, for a third more processor time. Leaves with large entries are halved,
 * which always works: no entry takes more than half a leaf, so there is a cut after which both
 * sides fit.
 *
 * Marks. A new leaf's mark is that of its first entry. An element that is less than the marks on
 * its path lowers them; removals leave them as they are: they are bounds.
 */
#include "engine/value/clast_private.h"

/* Two neighbours share a load while this much is free in them. */
#define SHARE_MIN (LEAF_ROOM / 4)

struct growth {
    struct part *overflow;
    struct part *leaf;
    struct part *inners[CLAST_HEIGHT_MAX + 1];
    uint32_t inner_count;
};

/* A node that came into being right of another (or left, if before), to be named by the level
 * above.
 */
struct sibling {
    bool there, before;
    struct inner_slot slot;
};

/* How an element gets its place. */
enum placing {
    PLACE_HERE,  /* The leaf has room. */
    PLACE_RIGHT, /* A new leaf right of the last, with the new element alone. */
    PLACE_LEFT,  /* Left of the first. */
    PLACE_SPREAD,
};

struct placement {
    enum placing placing;
    uint32_t first; /* PLACE_SPREAD: index of the first leaf under the node above. */
    struct spread_fresh fresh;
    struct spread spread;
};

/* -- Where an element goes --------------------------------------------------------------------- */

/* Whether the element belongs behind everything in the last leaf. */
static bool behind_all(const struct clast *clast, const struct clast_path *path, struct mark mark)
{
    const struct clast_step *leaf = &path->steps[path->height - 1];
    size_t count = leaf_count(leaf->part);
    if (!clast_at_right(path, path->height - 1)) {
        return false;
    }
    if (!clast_tagged(clast)) {
        return leaf->index == count;
    }
    for (size_t i = 0; i < count; i++) {
        if (clast_entry_mark(clast, leaf_at(leaf->part, i)).high >= mark.high) {
            return false;
        }
    }
    return true;
}

/* Tries the leaf together with its neighbour at `other` under the node above. */
static bool spread_with(struct clast *clast, const struct clast_path *path, uint32_t other,
                        size_t out, struct placement *placement)
{
    const struct clast_step *above = &path->steps[path->height - 2];
    struct spread *spread = &placement->spread;
    struct part *sibling;
    if (parts_get(&clast->parts, inner_child(above->part, other), &sibling) != ST_OK) {
        return false;
    }
    bool right = other > above->index;
    size_t used = leaf_used(path->steps[path->height - 1].part) + leaf_used(sibling);
    if (out == 2 &&
        used + leaf_cost(clast_form(clast), placement->fresh.entry) > 2 * LEAF_ROOM - SHARE_MIN) {
        return false;
    }
    spread->in = 2;
    spread->out = out;
    spread->leaves[right ? 0 : 1] = path->steps[path->height - 1].part;
    spread->leaves[right ? 1 : 0] = sibling;
    placement->fresh.leaf = right ? 0 : 1;
    placement->first = right ? above->index : other;
    return clast_spread_plan(spread);
}

/* Sharing with a neighbour, three of two, two of one: the first that can be done. */
static enum status spread_choose(struct clast *clast, const struct clast_path *path,
                                 struct placement *placement)
{
    struct part *leaf = path->steps[path->height - 1].part;
    if (path->height > 1) {
        const struct clast_step *above = &path->steps[path->height - 2];
        uint32_t count = (uint32_t)inner_count(above->part);
        uint32_t right = above->index + 1 < count ? above->index + 1 : count;
        uint32_t left = above->index > 0 ? above->index - 1 : count;
        if ((right < count && spread_with(clast, path, right, 2, placement)) ||
            (left < count && spread_with(clast, path, left, 2, placement)) ||
            (right < count && spread_with(clast, path, right, 3, placement)) ||
            (left < count && spread_with(clast, path, left, 3, placement))) {
            return ST_OK;
        }
    }
    placement->spread.in = 1;
    placement->spread.out = 2;
    placement->spread.leaves[0] = leaf;
    placement->fresh.leaf = 0;
    placement->first = path->height > 1 ? path->steps[path->height - 2].index : 0;
    /* Only equal hashes can make that impossible. */
    return clast_spread_plan(&placement->spread) ? ST_OK : ST_LIMIT;
}

static struct leaf_entry entry_of(struct bytes element, struct mark mark)
{
    /* Any number will do until the overflow part has got its own. */
    bool overflow = element.size > CLAST_INLINE_MAX;
    return (struct leaf_entry){element, overflow ? 0 : LEAF_NO_OVERFLOW, mark, clast_tag(mark)};
}

/* The path is private. */
static enum status placement_choose(struct clast *clast, const struct clast_path *path,
                                    struct bytes element, bool replace, struct placement *placement)
{
    struct mark mark = clast_mark(clast, element);
    placement->fresh = (struct spread_fresh){.replace = replace, .mark = mark};
    placement->fresh.entry = entry_of(element, mark);
    placement->spread.clast = clast;
    placement->spread.fresh = &placement->fresh;
    if (path->height == 0) {
        placement->placing = PLACE_RIGHT;
        return ST_OK;
    }
    const struct clast_step *leaf = &path->steps[path->height - 1];
    size_t used = leaf_used(leaf->part);
    placement->fresh.slot = leaf->index;
    used -= replace ? leaf_cost_at(leaf->part, leaf->index) : 0;
    if (used + leaf_cost(clast_form(clast), placement->fresh.entry) <= LEAF_ROOM) {
        placement->placing = PLACE_HERE;
        return ST_OK;
    }
    if (!replace && behind_all(clast, path, mark)) {
        placement->placing = PLACE_RIGHT;
        return ST_OK;
    }
    if (!replace && clast->order->kind == CLAST_BY_POSITION && leaf->index == 0 &&
        clast_at_left(path, path->height - 1)) {
        placement->placing = PLACE_LEFT;
        return ST_OK;
    }
    placement->placing = PLACE_SPREAD;
    return spread_choose(clast, path, placement);
}

/* -- What that takes --------------------------------------------------------------------------- */

static void growth_drop(struct growth *growth)
{
    part_unref(growth->overflow);
    part_unref(growth->leaf);
    for (uint32_t i = 0; i < growth->inner_count; i++) {
        part_unref(growth->inners[i]);
    }
}

static struct part *overflow_new(struct bytes element)
{
    struct part *part = part_new(element.size);
    if (part != NULL) {
        memcpy(part->data, element.data, element.size);
        part->size = (uint32_t)element.size;
    }
    return part;
}

/* The inner nodes that one leaf more can need. */
static uint32_t inners_needed(const struct clast_path *path)
{
    uint32_t inners = 0;
    if (path->height == 0) {
        return 0;
    }
    while (inners < path->height - 1 &&
           inner_count(path->steps[path->height - 2 - inners].part) == INNER_COUNT_MAX) {
        inners++;
    }
    return inners + (inners == path->height - 1); /* A new top. */
}

/* Allocates all that the placement needs. */
static enum status growth_prepare(struct clast *clast, const struct clast_path *path,
                                  const struct placement *placement, struct growth *growth)
{
    struct bytes element = placement->fresh.entry.element;
    bool overflow = placement->fresh.entry.overflow != LEAF_NO_OVERFLOW;
    bool leaf =
        placement->placing == PLACE_RIGHT || placement->placing == PLACE_LEFT ||
        (placement->placing == PLACE_SPREAD && placement->spread.out > placement->spread.in);
    uint32_t inners = leaf ? inners_needed(path) : 0;
    *growth = (struct growth){.inner_count = 0};
    if (inners == path->height && path->height == CLAST_HEIGHT_MAX) {
        return ST_LIMIT;
    }
    uint32_t total = inners + leaf + overflow;
    enum status status = total == 0 ? ST_OK : parts_reserve(&clast->parts, total);
    if (status != ST_OK || total == 0) {
        return status;
    }
    bool good = true;
    if (overflow) {
        growth->overflow = overflow_new(element);
        good = growth->overflow != NULL;
    }
    if (good && leaf) {
        growth->leaf = leaf_new(clast_form(clast));
        good = growth->leaf != NULL;
    }
    while (good && growth->inner_count < inners) {
        growth->inners[growth->inner_count] = inner_new();
        good = growth->inners[growth->inner_count] != NULL;
        growth->inner_count += good;
    }
    if (!good) {
        growth_drop(growth);
        return ST_NOMEM;
    }
    return ST_OK;
}

static struct part *growth_take_inner(struct growth *growth)
{
    CHECK(growth->inner_count > 0);
    return growth->inners[--growth->inner_count];
}

/* Makes the neighbour private. */
static enum status spread_own(struct clast *clast, const struct clast_path *path,
                              struct placement *placement)
{
    if (placement->placing != PLACE_SPREAD || placement->spread.in == 1) {
        return ST_OK;
    }
    const struct part *above = path->steps[path->height - 2].part;
    size_t other = 1 - placement->fresh.leaf;
    return parts_own(&clast->parts, inner_child(above, placement->first + other),
                     &placement->spread.leaves[other]);
}

/* -- Placing it -------------------------------------------------------------------------------- */

/* Names a child beside others, splitting the node at this step if it is full. */
static struct sibling inner_put(struct clast *clast, struct clast_path *path, uint32_t at,
                                size_t index, struct inner_slot child, struct growth *growth)
{
    struct part *inner = path->steps[at].part;
    size_t count = inner_count(inner);
    struct sibling sibling = {.there = false};
    if (count < INNER_COUNT_MAX) {
        inner_insert(inner, index, child);
        return sibling;
    }
    struct part *fresh = growth_take_inner(growth);
    sibling.there = true;
    if (index == count && clast_at_right(path, at)) {
        inner_insert(fresh, 0, child);
    } else if (index == 0 && clast_at_left(path, at)) {
        inner_insert(fresh, 0, child);
        sibling.before = true;
    } else {
        size_t half = count / 2;
        inner_move(inner, half, count - half, fresh, 0);
        bool on_left = index <= half;
        inner_insert(on_left ? inner : fresh, on_left ? index : index - half, child);
    }
    sibling.slot.below = inner_total(fresh);
    sibling.slot.mark = inner_mark(fresh, 0);
    sibling.slot.number = parts_add(&clast->parts, fresh);
    return sibling;
}

static void top_put(struct clast *clast, struct sibling sibling, struct growth *growth)
{
    struct part *top = growth_take_inner(growth);
    /* The lowest of all marks bounds whatever lies left; a sibling to the left there is only by
     * position, where all marks are that. */
    struct inner_slot slot = {clast->top, clast->count - sibling.slot.below, {0, 0}};
    inner_insert(top, 0, slot);
    inner_insert(top, sibling.before ? 0 : 1, sibling.slot);
    clast->top = parts_add(&clast->parts, top);
    clast->height++;
}

/* A new leaf at an edge of the tree. */
static struct sibling edge_put(struct clast *clast, const struct placement *placement,
                               struct growth *growth)
{
    struct sibling sibling = {.there = true, .before = placement->placing == PLACE_LEFT};
    leaf_insert(growth->leaf, 0, placement->fresh.entry);
    sibling.slot =
        (struct inner_slot){parts_add(&clast->parts, growth->leaf), 1, placement->fresh.mark};
    return sibling;
}

/* Spreads the entries, and corrects what the node above says of the leaves that were there. */
static struct sibling spread_put(struct clast *clast, struct clast_path *path,
                                 struct placement *placement, struct growth *growth)
{
    struct spread *spread = &placement->spread;
    struct sibling sibling = {.there = spread->out > spread->in};
    if (sibling.there) {
        spread->leaves[spread->in] = growth->leaf;
    }
    clast_spread(spread);
    for (size_t i = 0; i < spread->in && path->height > 1; i++) {
        struct part *above = path->steps[path->height - 2].part;
        size_t index = placement->first + i;
        inner_set_below(above, index, leaf_count(spread->leaves[i]));
        if (i > 0 || mark_compare(spread->first[i], inner_mark(above, index)) < 0) {
            inner_set_mark(above, index, spread->first[i]);
        }
    }
    if (sibling.there) {
        struct part *leaf = spread->leaves[spread->in];
        sibling.slot = (struct inner_slot){parts_add(&clast->parts, leaf), leaf_count(leaf),
                                           spread->first[spread->in]};
    }
    return sibling;
}

/* Corrects counts and marks from the leaf's node up to the top and names new siblings. The node
 * above the leaf has its counts already if the entries were spread. */
static void path_update(struct clast *clast, struct clast_path *path,
                        const struct placement *placement, struct sibling sibling,
                        struct growth *growth)
{
    uint64_t added = placement->fresh.replace ? 0 : 1;
    bool spread = placement->placing == PLACE_SPREAD;
    for (uint32_t i = path->height - 1; i > 0; i--) {
        struct clast_step *step = &path->steps[i - 1];
        bool counted = spread && i == path->height - 1;
        size_t index = step->index + (sibling.before ? 0 : 1);
        if (counted) {
            index = placement->first + placement->spread.in;
        } else {
            uint64_t below = inner_below(step->part, step->index) + added;
            inner_set_below(step->part, step->index, below - sibling.slot.below);
        }
        if (!counted &&
            mark_compare(placement->fresh.mark, inner_mark(step->part, step->index)) < 0) {
            inner_set_mark(step->part, step->index, placement->fresh.mark);
        }
        if (sibling.there) {
            sibling = inner_put(clast, path, i - 1, index, sibling.slot, growth);
        } else {
            sibling.slot.below = 0;
        }
    }
    if (sibling.there) {
        top_put(clast, sibling, growth);
    }
}

/* Puts the element before the path's slot, which may lie behind the leaf's last entry, or in place
 * of what is there. */
static enum status element_put(struct clast *clast, struct clast_path *path, struct bytes element,
                               bool replace)
{
    struct placement placement;
    struct growth growth;
    if (element.size > CLAST_ELEMENT_MAX) {
        return ST_LIMIT;
    }
    enum status status = replace ? clast_overflow_present(clast, path) : ST_OK;
    if (status == ST_OK) {
        status = clast_own_at(clast, path);
    }
    if (status == ST_OK) {
        status = placement_choose(clast, path, element, replace, &placement);
    }
    if (status == ST_OK) {
        status = spread_own(clast, path, &placement);
    }
    if (status == ST_OK) {
        status = growth_prepare(clast, path, &placement, &growth);
    }
    if (status != ST_OK) {
        return status;
    }
    struct leaf_entry old = {.overflow = LEAF_NO_OVERFLOW};
    if (replace) {
        old = leaf_at(clast_path_leaf(path)->part, clast_path_leaf(path)->index);
        clast->bytes -= old.element.size;
        clast->count--;
    }
    if (growth.overflow != NULL) {
        placement.fresh.entry.overflow = parts_add(&clast->parts, growth.overflow);
    }
    clast->count++;
    clast->bytes += element.size;
    if (path->height == 0) {
        leaf_insert(growth.leaf, 0, placement.fresh.entry);
        clast->top = parts_add(&clast->parts, growth.leaf);
        clast->height = 1;
        return ST_OK;
    }
    struct sibling sibling = {.there = false};
    if (placement.placing == PLACE_SPREAD) {
        sibling = spread_put(clast, path, &placement, &growth);
    } else if (placement.placing != PLACE_HERE) {
        sibling = edge_put(clast, &placement, &growth);
    } else {
        struct clast_step *leaf = clast_path_leaf(path);
        if (replace) {
            leaf_remove(leaf->part, leaf->index, 1);
        }
        leaf_insert(leaf->part, leaf->index, placement.fresh.entry);
    }
    path_update(clast, path, &placement, sibling, &growth);
    CHECK(growth.inner_count == 0);
    if (old.overflow != LEAF_NO_OVERFLOW) {
        struct part *part;
        status = parts_get(&clast->parts, old.overflow, &part);
        CHECK(status == ST_OK);
        clast->bytes -= part->size;
        parts_remove(&clast->parts, old.overflow);
    }
    return ST_OK;
}

enum status clast_insert_at(struct clast *clast, struct clast_path *path, struct bytes element)
{
    return element_put(clast, path, element, false);
}

enum status clast_insert(struct clast *clast, uint64_t index, struct bytes element)
{
    CHECK(index <= clast->count && clast->order->kind == CLAST_BY_POSITION);
    struct clast_path path = {.height = 0};
    if (clast->count > 0) {
        /* Behind the one before, rather than before the one behind: a run of insertions at
         * growing positions then goes on in the same leaf. */
        enum status status = clast_seek_rank(clast, index > 0 ? index - 1 : 0, &path);
        if (status != ST_OK) {
            return status;
        }
        clast_path_leaf(&path)->index += index > 0;
    }
    return element_put(clast, &path, element, false);
}

enum status clast_push(struct clast *clast, bool left, const struct bytes *elements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum status status = clast_insert(clast, left ? 0 : clast->count, elements[i]);
        if (status == ST_OK) {
            continue;
        }
        if (i > 0) {
            /* All that was pushed lies in parts that are private by now. */
            enum status undone = clast_remove(clast, left ? 0 : clast->count - i, i);
            CHECK(undone == ST_OK);
        }
        return status;
    }
    return ST_OK;
}

enum status clast_replace_at(struct clast *clast, struct clast_path *path, struct bytes element)
{
    CHECK(!clast_path_end(path));
    const struct clast_step *leaf = clast_path_leaf(path);
    struct leaf_entry old = leaf_at(leaf->part, leaf->index);
    if (old.overflow == LEAF_NO_OVERFLOW && old.element.size == element.size) {
        enum status status = clast_own_at(clast, path);
        if (status == ST_OK) {
            leaf_overwrite(leaf->part, leaf->index, element);
        }
        return status;
    }
    struct leaf_entry entry = entry_of(element, (struct mark){0, 0});
    bool shrinks = leaf_cost_at(leaf->part, leaf->index) > leaf_cost(clast_form(clast), entry);
    enum status status = element_put(clast, path, element, true);
    if (status == ST_OK && shrinks) { /* In its place: the path is still good. */
        clast_path_repair(clast, path);
        clast_top_lower(clast);
    }
    return status;
}

enum status clast_replace(struct clast *clast, uint64_t index, struct bytes element)
{
    struct clast_path path;
    enum status status = clast_seek_rank(clast, index, &path);
    return status == ST_OK ? clast_replace_at(clast, &path, element) : status;
}
