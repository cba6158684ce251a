/* Taking away from a clast.
 *
 * A range is cut from the top: children that lie in it whole are dropped, at most two at
 * each level are entered. Then the paths on both sides of the cut are repaired from the bottom up:
 * a node below a quarter is merged with a sibling, or balanced with it if both do not fit one part.
 * Nodes at the edges are only merged when the result is half empty, for a queue that is popped
 * there will soon empty them anyway.
 *
 * As in clast_put.c, all parts that will be written are made private before anything changes. What
 * would only be nice, the merging of parts that became small, is left undone if it would need
 * memory or a part that is not in it.
 */
#include "engine/value/clast_private.h"

enum status clast_own_at(struct clast *clast, struct clast_path *path)
{
    for (uint32_t i = 0; i < path->height; i++) {
        enum status status = parts_own(&clast->parts, path->steps[i].number, &path->steps[i].part);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

/* Makes the path to the element private. The content stays. */
static enum status index_own(struct clast *clast, uint64_t index)
{
    struct clast_path path;
    enum status status = clast_seek_rank(clast, index, &path);
    return status == ST_OK ? clast_own_at(clast, &path) : status;
}

enum status clast_overflow_present(const struct clast *clast, const struct clast_path *path)
{
    const struct clast_step *leaf = &path->steps[path->height - 1];
    struct leaf_entry entry = leaf_at(leaf->part, leaf->index);
    struct part *part;
    return entry.overflow == LEAF_NO_OVERFLOW ? ST_OK
                                              : parts_get(&clast->parts, entry.overflow, &part);
}

/* Takes the entries out of the sums and drops their overflow parts; they stay in the leaf. */
static void entries_forget(struct clast *clast, const struct part *leaf, size_t slot, size_t count)
{
    clast->count -= count;
    if (count == leaf_count(leaf) && leaf_overflows(leaf) == 0) {
        clast->bytes -= leaf_payload(leaf);
        return;
    }
    for (size_t i = slot; i < slot + count; i++) {
        struct leaf_entry entry = leaf_at(leaf, i);
        clast->bytes -= entry.element.size;
        if (entry.overflow != LEAF_NO_OVERFLOW) {
            struct part *part;
            enum status status = parts_get(&clast->parts, entry.overflow, &part);
            CHECK(status == ST_OK);
            clast->bytes -= part->size;
            parts_remove(&clast->parts, entry.overflow);
        }
    }
}

/* ST_WAIT unless all parts that hold [from, from + count) of the subtree are in memory: what is
 * dropped is taken out of the sums, and names its overflow parts. */
static enum status subtree_present(const struct clast *clast, uint32_t number, uint32_t height,
                                   uint64_t from, uint64_t count)
{
    struct part *part;
    enum status status = parts_get(&clast->parts, number, &part);
    if (status != ST_OK || height == 1) {
        size_t first = (size_t)from;
        bool overflows = status == ST_OK && leaf_overflows(part) > 0;
        for (size_t i = first; overflows && i < first + count; i++) {
            struct leaf_entry entry = leaf_at(part, i);
            struct part *overflow;
            if (entry.overflow != LEAF_NO_OVERFLOW) {
                enum status one = parts_get(&clast->parts, entry.overflow, &overflow);
                status = one == ST_OK ? status : one;
            }
        }
        return status;
    }
    /* Go on after a miss: whoever brings parts learns of many of them at once. */
    for (size_t i = inner_find(part, &from); count > 0; i++) {
        if (status != ST_OK && parts_misses_full()) {
            return status;
        }
        uint64_t here = inner_below(part, i) - from;
        here = count < here ? count : here;
        enum status child = subtree_present(clast, inner_child(part, i), height - 1, from, here);
        status = child == ST_OK ? status : child;
        count -= here;
        from = 0;
    }
    return status;
}

enum status clast_present(const struct clast *clast, uint64_t index, uint64_t count)
{
    return clast->parts.absent == 0 || count == 0
               ? ST_OK
               : subtree_present(clast, clast->top, clast->height, index, count);
}

static void subtree_drop(struct clast *clast, uint32_t number, uint32_t height)
{
    struct part *part;
    enum status status = parts_get(&clast->parts, number, &part);
    CHECK(status == ST_OK);
    if (height == 1) {
        entries_forget(clast, part, 0, leaf_count(part));
    } else {
        for (size_t i = 0; i < inner_count(part); i++) {
            subtree_drop(clast, inner_child(part, i), height - 1);
        }
    }
    parts_remove(&clast->parts, number);
}

/* Removes [from, from + count) of the subtree, which is more than that; the nodes that are entered
 * are private. */
static void subtree_cut(struct clast *clast, uint32_t number, uint32_t height, uint64_t from,
                        uint64_t count)
{
    struct part *part;
    CHECK(parts_owned(&clast->parts, number));
    enum status status = parts_get(&clast->parts, number, &part);
    CHECK(status == ST_OK);
    if (height == 1) {
        entries_forget(clast, part, (size_t)from, (size_t)count);
        leaf_remove(part, (size_t)from, (size_t)count);
        return;
    }
    size_t first_dropped = SIZE_MAX;
    size_t dropped = 0;
    size_t i = inner_find(part, &from);
    for (; count > 0; i++) {
        uint64_t below = inner_below(part, i);
        uint64_t here = count < below - from ? count : below - from;
        if (here == below) {
            subtree_drop(clast, inner_child(part, i), height - 1);
            first_dropped = first_dropped == SIZE_MAX ? i : first_dropped;
            dropped++;
        } else {
            subtree_cut(clast, inner_child(part, i), height - 1, from, here);
            inner_set_below(part, i, below - here);
        }
        count -= here;
        from = 0;
    }
    if (dropped > 0) {
        inner_remove(part, first_dropped, dropped);
    }
}

/* False: it cannot be done, and nothing was. */
static bool leaves_balance(const struct clast *clast, struct part *left, struct part *right,
                           struct mark *right_mark_out)
{
    struct spread spread = {.clast = clast, .in = 2, .out = 2, .leaves = {left, right}};
    if (!clast_spread_plan(&spread)) {
        return false;
    }
    clast_spread(&spread);
    *right_mark_out = spread.first[1];
    return true;
}

static void inners_balance(struct part *left, struct part *right)
{
    size_t half = (inner_count(left) + inner_count(right)) / 2;
    if (inner_count(left) < half) {
        inner_move(right, 0, half - inner_count(left), left, inner_count(left));
    } else {
        inner_move(left, half, inner_count(left) - half, right, 0);
    }
}

static size_t fill_of(const struct part *part, bool leaf)
{
    return leaf ? leaf_used(part) : inner_count(part);
}

/* Merges or balances children `index` and `index + 1` of the inner node; all three are private. */
static void children_join(struct clast *clast, struct part *inner, size_t index, bool leaf)
{
    struct part *left;
    struct part *right;
    enum status status = parts_get(&clast->parts, inner_child(inner, index), &left);
    CHECK(status == ST_OK);
    status = parts_get(&clast->parts, inner_child(inner, index + 1), &right);
    CHECK(status == ST_OK);
    uint64_t below = inner_below(inner, index) + inner_below(inner, index + 1);
    size_t room = leaf ? LEAF_ROOM : INNER_COUNT_MAX;
    if (fill_of(left, leaf) + fill_of(right, leaf) > room) {
        struct mark right_mark;
        if (leaf) {
            if (!leaves_balance(clast, left, right, &right_mark)) {
                return;
            }
        } else {
            inners_balance(left, right);
            right_mark = inner_mark(right, 0);
        }
        uint64_t left_below = leaf ? leaf_count(left) : inner_total(left);
        inner_set_below(inner, index, left_below);
        inner_set_below(inner, index + 1, below - left_below);
        inner_set_mark(inner, index + 1, right_mark);
        return;
    }
    if (leaf) {
        leaf_move(right, 0, leaf_count(right), left, leaf_count(left));
    } else {
        inner_move(right, 0, inner_count(right), left, inner_count(left));
    }
    inner_set_below(inner, index, below);
    parts_remove(&clast->parts, inner_child(inner, index + 1));
    inner_remove(inner, index + 1, 1);
}

/* Sees to it that the nodes of the path are not too small, if that can be done; the path is stale
 * afterwards. */
void clast_path_repair(struct clast *clast, struct clast_path *path)
{
    bool owned = false;
    for (uint32_t i = path->height - 1; i > 0; i--) {
        bool leaf = i == path->height - 1;
        size_t room = leaf ? LEAF_ROOM : INNER_COUNT_MAX;
        size_t fill = fill_of(path->steps[i].part, leaf);
        struct clast_step *above = &path->steps[i - 1];
        if (fill >= room / 4 || inner_count(above->part) == 1) {
            continue;
        }
        size_t left = above->index > 0 ? above->index - 1 : 0;
        size_t other = above->index > 0 ? left : 1;
        struct part *sibling;
        if (parts_get(&clast->parts, inner_child(above->part, other), &sibling) != ST_OK) {
            return;
        }
        bool edge = clast_at_left(path, i) || clast_at_right(path, i);
        if (edge && fill + fill_of(sibling, leaf) > room / 2) {
            continue;
        }
        if (!owned && clast_own_at(clast, path) != ST_OK) {
            return;
        }
        owned = true;
        if (parts_own(&clast->parts, inner_child(above->part, other), &sibling) != ST_OK) {
            return;
        }
        children_join(clast, above->part, left, leaf);
    }
}

static void index_repair(struct clast *clast, uint64_t index)
{
    struct clast_path path;
    if (clast_seek_rank(clast, index, &path) == ST_OK) {
        clast_path_repair(clast, &path);
    }
}

void clast_top_lower(struct clast *clast)
{
    while (clast->height > 1) {
        struct part *top;
        if (parts_get(&clast->parts, clast->top, &top) != ST_OK || inner_count(top) > 1) {
            return;
        }
        uint32_t child = inner_child(top, 0);
        parts_remove(&clast->parts, clast->top);
        clast->top = child;
        clast->height--;
    }
}

/* Removes a range whose ends are private; it is not everything. */
static void range_cut(struct clast *clast, uint64_t index, uint64_t count)
{
    subtree_cut(clast, clast->top, clast->height, index, count);
    clast_top_lower(clast);
    if (index < clast->count) {
        index_repair(clast, index);
    }
    if (index > 0) {
        index_repair(clast, index - 1);
    }
    clast_top_lower(clast);
}

/* Removes entries of one leaf that do not empty it: the common case, without a second descent. */
static void entries_cut(struct clast *clast, struct clast_path *path, size_t count)
{
    struct clast_step *leaf = clast_path_leaf(path);
    entries_forget(clast, leaf->part, leaf->index, count);
    leaf_remove(leaf->part, leaf->index, count);
    for (uint32_t i = 0; i + 1 < path->height; i++) {
        struct clast_step *step = &path->steps[i];
        inner_set_below(step->part, step->index, inner_below(step->part, step->index) - count);
    }
    clast_path_repair(clast, path);
    clast_top_lower(clast);
}

enum status clast_remove(struct clast *clast, uint64_t index, uint64_t count)
{
    CHECK(index <= clast->count && count <= clast->count - index);
    if (count == 0) {
        return ST_OK;
    }
    if (count == clast->count) {
        clast_clear(clast);
        return ST_OK;
    }
    struct clast_path path;
    enum status status = clast_present(clast, index, count);
    if (status == ST_OK) {
        status = clast_seek_rank(clast, index, &path);
    }
    if (status == ST_OK) {
        status = clast_own_at(clast, &path);
    }
    if (status != ST_OK) {
        return status;
    }
    const struct clast_step *leaf = clast_path_leaf(&path);
    size_t in_leaf = leaf_count(leaf->part);
    if (count < in_leaf && leaf->index + count <= in_leaf) {
        entries_cut(clast, &path, (size_t)count);
        return ST_OK;
    }
    status = index_own(clast, index + count - 1);
    if (status == ST_OK) {
        range_cut(clast, index, count);
    }
    return status;
}

enum status clast_trim(struct clast *clast, uint64_t first, uint64_t count)
{
    CHECK(!clast_tagged(clast)); /* A repair may change the order within a hashed leaf. */
    CHECK(first <= clast->count && count <= clast->count - first);
    if (count == 0) {
        clast_clear(clast);
        return ST_OK;
    }
    uint64_t behind = clast->count - first - count;
    if (behind == 0 || first == 0) {
        return behind == 0 ? clast_remove(clast, 0, first) : clast_remove(clast, count, behind);
    }
    enum status status = clast_present(clast, 0, first);
    if (status == ST_OK) {
        status = clast_present(clast, first + count, behind);
    }
    if (status == ST_OK) {
        status = index_own(clast, first + count);
    }
    if (status == ST_OK) {
        status = index_own(clast, first - 1);
    }
    if (status == ST_OK) {
        range_cut(clast, first + count, behind);
        range_cut(clast, 0, first);
    }
    return status;
}

enum status clast_remove_each(struct clast *clast, const uint64_t *indexes, size_t count)
{
    CHECK(!clast_tagged(clast)); /* See clast_trim. */
    uint64_t owned_end = 0;      /* Indexes below lie in leaves seen to. */
    for (size_t i = 0; i < count; i++) {
        CHECK(indexes[i] < clast->count && (i == 0 || indexes[i] > indexes[i - 1]));
        enum status status = clast_present(clast, indexes[i], 1);
        if (status == ST_OK && indexes[i] < owned_end) {
            continue;
        }
        struct clast_path path;
        if (status == ST_OK) {
            status = clast_seek_rank(clast, indexes[i], &path);
        }
        if (status == ST_OK) {
            status = clast_own_at(clast, &path);
        }
        if (status != ST_OK) {
            return status;
        }
        const struct clast_step *leaf = clast_path_leaf(&path);
        owned_end = indexes[i] - leaf->index + leaf_count(leaf->part);
    }
    /* From the right, in runs, so that the indexes to come stay what they are. */
    while (count > 0) {
        size_t run = 1;
        while (run < count && indexes[count - 1 - run] == indexes[count - 1] - run) {
            run++;
        }
        enum status status = clast_remove(clast, indexes[count - run], run);
        CHECK(status == ST_OK);
        count -= run;
    }
    return ST_OK;
}

enum status clast_remove_at(struct clast *clast, struct clast_path *path)
{
    CHECK(!clast_path_end(path));
    if (leaf_count(clast_path_leaf(path)->part) == 1) {
        return clast_remove(clast, clast_path_rank(path), 1);
    }
    enum status status = clast_overflow_present(clast, path);
    if (status == ST_OK) {
        status = clast_own_at(clast, path);
    }
    if (status == ST_OK) {
        entries_cut(clast, path, 1);
    }
    return status;
}
