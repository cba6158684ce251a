/* Changing a clast.
 *
 * Each change has three steps. First all parts that it will write are made private (path_own): that
 * changes no content, so it may fail half way. Then everything it may need is allocated, from the
 * bottom up: an overflow part, a leaf, an inner node for every full one above, a top. From there on
 * nothing can fail. What would only be nice, the merging of parts that became small, is left undone
 * if it would need memory.
 *
 * Splitting. A leaf that overflows at the edge of the tree gets a neighbour with the new element
 * alone, so that pushes leave full leaves behind; elsewhere it is split in the middle by bytes. Two
 * leaves always suffice, as no entry takes more than half of one: cut anywhere between "the right
 * side fits" and "the left side fits".
 *
 * Removing. A range is cut from the top: children that lie in it whole are dropped, at most two at
 * each level are entered. Then the paths on both sides of the cut are repaired from the bottom up:
 * a node below a quarter is merged with a sibling, or balanced with it if both do not fit one part.
 * Nodes at the edges are only merged when the result is half empty, for a queue that is popped
 * there will soon empty them anyway.
 */
#include "engine/value/clast_private.h"

struct growth {
    struct part *overflow;
    struct part *leaf;
    struct part *inners[CLAST_HEIGHT_MAX + 1];
    uint32_t inner_count;
};

/* A part that came into being beside another, still to be named by the level above. */
struct sibling {
    uint32_t number; /* PARTS_NONE: there is none. */
    bool before;     /* It lies to the left. */
    uint64_t below;
};

#define SIBLING_NONE ((struct sibling){PARTS_NONE, false, 0})

static enum status path_own(struct clast *clast, struct clast_path *path)
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
    enum status status = clast_seek_index(clast, index, &path);
    return status == ST_OK ? path_own(clast, &path) : status;
}

/* Whether the node at this step is the outermost of its level. */
static bool at_left(const struct clast_path *path, uint32_t step)
{
    for (uint32_t i = 0; i < step; i++) {
        if (path->steps[i].index != 0) {
            return false;
        }
    }
    return true;
}

static bool at_right(const struct clast_path *path, uint32_t step)
{
    for (uint32_t i = 0; i < step; i++) {
        if (path->steps[i].index + 1 != inner_count(path->steps[i].part)) {
            return false;
        }
    }
    return true;
}

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

static struct leaf_entry entry_of(struct bytes element)
{
    /* Any number will do until the overflow part has got its own. */
    bool overflow = element.size > CLAST_INLINE_MAX;
    return (struct leaf_entry){element, overflow ? 0 : LEAF_NO_OVERFLOW};
}

/* Allocates all that inserting the element at this path can need. */
static enum status growth_prepare(struct clast *clast, const struct clast_path *path,
                                  struct bytes element, struct growth *growth)
{
    *growth = (struct growth){.inner_count = 0};
    if (element.size > CLAST_ELEMENT_MAX) {
        return ST_LIMIT;
    }
    struct leaf_entry entry = entry_of(element);
    bool overflow = entry.overflow != LEAF_NO_OVERFLOW;
    uint32_t height = path->height;
    bool split =
        height == 0 || leaf_used(path->steps[height - 1].part) + leaf_cost(entry) > LEAF_ROOM;
    uint32_t inners = 0;
    if (split && height > 0) {
        while (inners < height - 1 &&
               inner_count(path->steps[height - 2 - inners].part) == INNER_COUNT_MAX) {
            inners++;
        }
        if (inners == height - 1) {
            inners++; /* A new top. */
            if (height == CLAST_HEIGHT_MAX) {
                return ST_LIMIT;
            }
        }
    }
    uint32_t total = inners + split + overflow;
    enum status status = total == 0 ? ST_OK : parts_reserve(&clast->parts, total);
    if (status != ST_OK || total == 0) {
        return status;
    }
    bool good = true;
    if (overflow) {
        growth->overflow = overflow_new(element);
        good = growth->overflow != NULL;
    }
    if (good && split) {
        growth->leaf = leaf_new();
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

/* How many entries, the new one among them, stay in the left leaf: such that both sides fit, and
 * as nearly equal in bytes as can be. */
static size_t split_point(const struct part *leaf, size_t slot, size_t cost)
{
    size_t count = leaf_count(leaf) + 1;
    size_t total = leaf_used(leaf) + cost;
    size_t left = 0;
    size_t best = 0;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i + 1 < count; i++) {
        left += i == slot ? cost : leaf_cost_at(leaf, i - (i > slot));
        size_t right = total - left;
        size_t distance = left > right ? left - right : right - left;
        if (left <= LEAF_ROOM && right <= LEAF_ROOM && distance < best_distance) {
            best = i + 1;
            best_distance = distance;
        }
    }
    CHECK(best > 0);
    return best;
}

/* Puts the entry into the leaf at the path's end, or into a new one beside it. */
static struct sibling leaf_put(struct clast *clast, struct clast_path *path,
                               struct leaf_entry entry, struct growth *growth)
{
    struct part *leaf = clast_path_leaf(path)->part;
    size_t slot = clast_path_leaf(path)->index;
    size_t count = leaf_count(leaf);
    if (growth->leaf == NULL) {
        leaf_insert(leaf, slot, entry);
        return SIBLING_NONE;
    }
    struct part *fresh = growth->leaf;
    struct sibling sibling = {.before = false};
    if (slot == count && at_right(path, path->height - 1)) {
        leaf_insert(fresh, 0, entry);
    } else if (slot == 0 && at_left(path, path->height - 1)) {
        leaf_insert(fresh, 0, entry);
        sibling.before = true;
    } else {
        size_t left = split_point(leaf, slot, leaf_cost(entry));
        bool on_left = slot < left;
        size_t first = on_left ? left - 1 : left;
        leaf_move(leaf, first, count - first, fresh, 0);
        leaf_insert(on_left ? leaf : fresh, on_left ? slot : slot - left, entry);
    }
    sibling.below = leaf_count(fresh);
    sibling.number = parts_add(&clast->parts, fresh);
    return sibling;
}

/* Names the sibling of the child taken at this step, splitting the node if it is full. */
static struct sibling inner_put(struct clast *clast, struct clast_path *path, uint32_t at,
                                struct sibling child, struct growth *growth)
{
    struct part *inner = path->steps[at].part;
    size_t index = path->steps[at].index + (child.before ? 0 : 1);
    size_t count = inner_count(inner);
    if (count < INNER_COUNT_MAX) {
        inner_insert(inner, index, child.number, child.below);
        return SIBLING_NONE;
    }
    struct part *fresh = growth_take_inner(growth);
    struct sibling sibling = {.before = false};
    if (index == count && at_right(path, at)) {
        inner_insert(fresh, 0, child.number, child.below);
    } else if (index == 0 && at_left(path, at)) {
        inner_insert(fresh, 0, child.number, child.below);
        sibling.before = true;
    } else {
        size_t half = count / 2;
        inner_move(inner, half, count - half, fresh, 0);
        bool on_left = index <= half;
        inner_insert(on_left ? inner : fresh, on_left ? index : index - half, child.number,
                     child.below);
    }
    sibling.below = inner_total(fresh);
    sibling.number = parts_add(&clast->parts, fresh);
    return sibling;
}

static void top_put(struct clast *clast, struct sibling sibling, struct growth *growth)
{
    struct part *top = growth_take_inner(growth);
    inner_insert(top, 0, clast->top, clast->count - sibling.below);
    inner_insert(top, sibling.before ? 0 : 1, sibling.number, sibling.below);
    clast->top = parts_add(&clast->parts, top);
    clast->height++;
}

/* Inserts at the slot of the path, which may lie behind the leaf's last entry. */
static enum status insert_at(struct clast *clast, struct clast_path *path, struct bytes element)
{
    struct growth growth;
    enum status status = path_own(clast, path);
    if (status == ST_OK) {
        status = growth_prepare(clast, path, element, &growth);
    }
    if (status != ST_OK) {
        return status;
    }
    struct leaf_entry entry = entry_of(element);
    if (growth.overflow != NULL) {
        entry.overflow = parts_add(&clast->parts, growth.overflow);
    }
    clast->count++;
    clast->bytes += element.size;
    if (path->height == 0) {
        leaf_insert(growth.leaf, 0, entry);
        clast->top = parts_add(&clast->parts, growth.leaf);
        clast->height = 1;
        return ST_OK;
    }
    struct sibling sibling = leaf_put(clast, path, entry, &growth);
    for (uint32_t i = path->height - 1; i > 0; i--) {
        struct clast_step *step = &path->steps[i - 1];
        uint64_t below = inner_below(step->part, step->index) + 1 - sibling.below;
        inner_set_below(step->part, step->index, below);
        if (sibling.number != PARTS_NONE) {
            sibling = inner_put(clast, path, i - 1, sibling, &growth);
        }
    }
    if (sibling.number != PARTS_NONE) {
        top_put(clast, sibling, &growth);
    }
    CHECK(growth.inner_count == 0);
    return ST_OK;
}

enum status clast_insert(struct clast *clast, uint64_t index, struct bytes element)
{
    CHECK(index <= clast->count);
    struct clast_path path = {.height = 0};
    if (clast->count > 0) {
        /* Behind the one before, rather than before the one behind: a run of insertions at
         * growing positions then goes on in the same leaf. */
        enum status status = clast_seek_index(clast, index > 0 ? index - 1 : 0, &path);
        if (status != ST_OK) {
            return status;
        }
        clast_path_leaf(&path)->index += index > 0;
    }
    return insert_at(clast, &path, element);
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

static void leaves_balance(struct part *left, struct part *right)
{
    bool leftwards = leaf_used(left) < leaf_used(right);
    struct part *from = leftwards ? right : left;
    struct part *to = leftwards ? left : right;
    size_t count = 0;
    size_t moved = 0;
    for (;;) {
        /* Never past the middle by more than the sides differ: so the receiver cannot overflow. */
        size_t cost = leaf_cost_at(from, leftwards ? count : leaf_count(from) - 1 - count);
        if (leaf_used(to) + moved + cost > leaf_used(from) - moved) {
            break;
        }
        moved += cost;
        count++;
    }
    leaf_move(from, leftwards ? 0 : leaf_count(from) - count, count, to,
              leftwards ? leaf_count(to) : 0);
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
        leaf ? leaves_balance(left, right) : inners_balance(left, right);
        uint64_t left_below = leaf ? leaf_count(left) : inner_total(left);
        inner_set_below(inner, index, left_below);
        inner_set_below(inner, index + 1, below - left_below);
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
static void path_repair(struct clast *clast, struct clast_path *path)
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
        bool edge = at_left(path, i) || at_right(path, i);
        if (edge && fill + fill_of(sibling, leaf) > room / 2) {
            continue;
        }
        if (!owned && path_own(clast, path) != ST_OK) {
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
    if (clast_seek_index(clast, index, &path) == ST_OK) {
        path_repair(clast, &path);
    }
}

static void top_lower(struct clast *clast)
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
    top_lower(clast);
    if (index < clast->count) {
        index_repair(clast, index);
    }
    if (index > 0) {
        index_repair(clast, index - 1);
    }
    top_lower(clast);
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
    path_repair(clast, path);
    top_lower(clast);
}

enum status clast_remove(struct clast *clast, uint64_t index, uint64_t count)
{
    CHECK(index <= clast->count && count <= clast->count - index);
    if (count == 0) {
        return ST_OK;
    }
    if (count == clast->count) {
        clast_deinit(clast);
        return ST_OK;
    }
    struct clast_path path;
    enum status status = clast_seek_index(clast, index, &path);
    if (status == ST_OK) {
        status = path_own(clast, &path);
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
    CHECK(first <= clast->count && count <= clast->count - first);
    if (count == 0) {
        clast_deinit(clast);
        return ST_OK;
    }
    uint64_t behind = clast->count - first - count;
    if (behind == 0 || first == 0) {
        return behind == 0 ? clast_remove(clast, 0, first) : clast_remove(clast, count, behind);
    }
    enum status status = index_own(clast, first + count);
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
    uint64_t owned_end = 0; /* Indexes below lie in leaves seen to. */
    for (size_t i = 0; i < count; i++) {
        CHECK(indexes[i] < clast->count && (i == 0 || indexes[i] > indexes[i - 1]));
        if (indexes[i] < owned_end) {
            continue;
        }
        struct clast_path path;
        enum status status = clast_seek_index(clast, indexes[i], &path);
        if (status == ST_OK) {
            status = path_own(clast, &path);
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

enum status clast_replace(struct clast *clast, uint64_t index, struct bytes element)
{
    struct clast_path path;
    enum status status = clast_seek_index(clast, index, &path);
    if (status == ST_OK) {
        status = path_own(clast, &path);
    }
    if (status != ST_OK) {
        return status;
    }
    struct clast_step *leaf = clast_path_leaf(&path);
    size_t slot = leaf->index;
    struct leaf_entry entry = entry_of(element);
    size_t rest = leaf_used(leaf->part) - leaf_cost_at(leaf->part, slot);
    if (entry.overflow != LEAF_NO_OVERFLOW || rest + leaf_cost(entry) > LEAF_ROOM) {
        /* The new one first, which may fail; then the old one goes, from private parts. */
        leaf->index++;
        status = insert_at(clast, &path, element);
        if (status == ST_OK) {
            status = clast_remove(clast, index, 1);
            CHECK(status == ST_OK);
        }
        return status;
    }
    entries_forget(clast, leaf->part, slot, 1);
    leaf_remove(leaf->part, slot, 1);
    leaf_insert(leaf->part, slot, entry);
    clast->count++;
    clast->bytes += element.size;
    path_repair(clast, &path);
    top_lower(clast);
    return ST_OK;
}
