/* Reading a clast; clast_seek.c finds places in it, clast_put.c and clast_remove.c change it. */
#include "engine/value/clast.h"

#include "engine/value/clast_private.h"

#include <stdlib.h>

void clast_init(struct clast *clast, const struct clast_order *order, uint64_t seed)
{
    *clast = (struct clast){.order = order, .seed = seed, .top = PARTS_NONE};
    parts_init(&clast->parts);
}

void clast_deinit(struct clast *clast)
{
    parts_deinit(&clast->parts);
    clast_init(clast, clast->order, clast->seed);
}

bool clast_free_some(struct clast *clast, size_t parts)
{
    clast->height = 0;
    clast->count = 0;
    clast->bytes = 0;
    return parts_free_some(&clast->parts, parts);
}

enum status clast_copy(const struct clast *clast, struct clast *copy_out)
{
    clast_init(copy_out, clast->order, clast->seed);
    enum status status = parts_copy(&clast->parts, &copy_out->parts);
    if (status == ST_OK) {
        copy_out->count = clast->count;
        copy_out->bytes = clast->bytes;
        copy_out->top = clast->top;
        copy_out->height = clast->height;
    }
    return status;
}

uint64_t clast_memory(const struct clast *clast)
{
    return clast->parts.memory;
}

enum status clast_at(const struct clast *clast, uint64_t index, struct value_piece *element_out)
{
    CHECK(index < clast->count);
    struct clast_path path;
    enum status status = clast_seek_rank(clast, index, &path);
    return status == ST_OK ? clast_path_element(clast, &path, element_out) : status;
}

/* The part of a walk that lies in the path's leaf; count is what is left of the walk. */
static enum status walk_leaf(const struct clast *clast, struct clast_path *path, bool backwards,
                             uint64_t *count, value_piece_fn fn, void *ctx)
{
    struct clast_step *step = clast_path_leaf(path);
    size_t slot = step->index;
    size_t here = backwards ? slot + 1 : leaf_count(step->part) - slot;
    here = *count < here ? (size_t)*count : here;
    *count -= here;
    struct leaf_entry entry = leaf_at(step->part, slot);
    for (;;) {
        struct value_piece piece;
        enum status status = clast_entry_piece(clast, step->part, entry, &piece);
        if (status == ST_OK) {
            status = fn(ctx, piece);
        }
        if (status != ST_OK || --here == 0) {
            return status;
        }
        entry =
            backwards ? leaf_before(step->part, slot, entry) : leaf_after(step->part, slot, entry);
        slot += backwards ? SIZE_MAX : 1;
    }
}

enum status clast_walk(const struct clast *clast, uint64_t index, uint64_t count, bool backwards,
                       value_piece_fn fn, void *ctx)
{
    if (count == 0) {
        return ST_OK;
    }
    CHECK(index < clast->count);
    CHECK(count <= (backwards ? index + 1 : clast->count - index));
    struct clast_path path;
    enum status status = clast_seek_rank(clast, index, &path);
    while (status == ST_OK) {
        status = walk_leaf(clast, &path, backwards, &count, fn, ctx);
        if (status != ST_OK || count == 0) {
            break;
        }
        status = clast_path_step(clast, &path, backwards);
    }
    return status;
}

/* The same for a search: first is the index of the leaf's slot 0. */
static enum status search_leaf(const struct clast *clast, const struct clast_step *step,
                               uint64_t first, size_t here, bool backwards, struct bytes wanted,
                               clast_found_fn fn, void *ctx)
{
    size_t count = leaf_count(step->part);
    size_t slot = step->index;
    size_t end = backwards ? slot + 1 - here : slot + here;
    while (backwards ? slot + 1 > end && slot < count : slot < end) {
        slot = leaf_find_size(step->part, slot, backwards, wanted.size);
        if (slot == count || (backwards ? slot < end : slot >= end)) {
            break;
        }
        struct value_piece piece;
        enum status status = clast_piece(clast, step->part, slot, &piece);
        if (status == ST_OK && bytes_equal(piece.data, wanted)) {
            status = fn(ctx, first + slot);
        }
        if (status != ST_OK) {
            return status;
        }
        slot += backwards ? SIZE_MAX : 1;
    }
    return ST_OK;
}

enum status clast_search(const struct clast *clast, uint64_t index, uint64_t count, bool backwards,
                         struct bytes wanted, clast_found_fn fn, void *ctx)
{
    CHECK(clast->order->kind == CLAST_BY_POSITION);
    if (count == 0) {
        return ST_OK;
    }
    CHECK(index < clast->count);
    CHECK(count <= (backwards ? index + 1 : clast->count - index));
    struct clast_path path;
    enum status status = clast_seek_rank(clast, index, &path);
    while (status == ST_OK) {
        const struct clast_step *step = clast_path_leaf(&path);
        size_t here = backwards ? step->index + 1u : leaf_count(step->part) - step->index;
        here = count < here ? (size_t)count : here;
        uint64_t first = index - step->index;
        status = search_leaf(clast, step, first, here, backwards, wanted, fn, ctx);
        count -= here;
        if (status != ST_OK || count == 0) {
            break;
        }
        index = backwards ? first - 1 : index + here;
        status = clast_path_step(clast, &path, backwards);
    }
    return status;
}

struct checking {
    const struct clast *clast;
    unsigned char *seen; /* By number. */
    uint32_t named;
    uint64_t bytes;
    struct bytes before; /* Sorted: the element before. */
    bool first;
};

/* What the marks above promise: low ≤ mark of an element, and ≤ (hashed: <) high, if there is one.
 */
struct bounds {
    struct mark low, high;
    bool open; /* No high. */
};

/* T3: a number that is good and was not named before. */
static bool name_once(struct checking *checking, uint32_t number, struct part **part_out)
{
    if (number >= checking->clast->parts.end || checking->seen[number] != 0) {
        return false;
    }
    checking->seen[number] = 1;
    checking->named++;
    return parts_get(&checking->clast->parts, number, part_out) == ST_OK;
}

/* T6 */
static bool check_order(struct checking *checking, struct leaf_entry entry, struct bytes element,
                        const struct bounds *bounds)
{
    const struct clast *clast = checking->clast;
    struct mark mark = clast_mark(clast, element);
    if (mark_compare(mark, clast_entry_mark(clast, entry)) != 0 ||
        mark_compare(mark, bounds->low) < 0) {
        return false;
    }
    if (!bounds->open && mark_compare(mark, bounds->high) >= !clast_tagged(clast)) {
        return false;
    }
    if (clast_tagged(clast)) {
        return entry.tag == clast_tag(mark);
    }
    bool ascends = clast->order->kind == CLAST_BY_POSITION || checking->first ||
                   bytes_compare(checking->before, element) < 0;
    checking->before = element;
    checking->first = false;
    return ascends;
}

static bool check_leaf(struct checking *checking, struct part *leaf, const struct bounds *bounds)
{
    if (!leaf_verify(leaf) || leaf_count(leaf) == 0) {
        return false;
    }
    checking->bytes += leaf_payload(leaf);
    for (size_t i = 0; i < leaf_count(leaf); i++) {
        struct leaf_entry entry = leaf_at(leaf, i);
        struct bytes element = entry.element;
        struct part *part;
        if (entry.overflow != LEAF_NO_OVERFLOW) {
            if (!name_once(checking, entry.overflow, &part) || part->size <= CLAST_INLINE_MAX) {
                return false;
            }
            checking->bytes += part->size;
            element = bytes_of(part->data, part->size);
        }
        if (!check_order(checking, entry, element, bounds)) {
            return false;
        }
    }
    return true;
}

/* T1, T2, T6: height counts the levels from this part down to the leaf. */
static bool check_subtree(struct checking *checking, uint32_t number, uint32_t height,
                          const struct bounds *bounds, uint64_t *count_out)
{
    struct part *part;
    if (!name_once(checking, number, &part)) {
        return false;
    }
    if (height == 1) {
        *count_out = leaf_count(part);
        return check_leaf(checking, part, bounds);
    }
    if (!inner_verify(part)) {
        return false;
    }
    *count_out = inner_total(part);
    for (size_t i = 0; i < inner_count(part); i++) {
        struct bounds child = {inner_mark(part, i), bounds->high, bounds->open};
        if (i + 1 < inner_count(part)) {
            child.high = inner_mark(part, i + 1);
            child.open = false;
        }
        uint64_t below;
        if (mark_compare(child.low, bounds->low) < 0 ||
            !check_subtree(checking, inner_child(part, i), height - 1, &child, &below) ||
            below != inner_below(part, i)) {
            return false;
        }
    }
    return true;
}

bool clast_check(const struct clast *clast)
{
    if (!parts_check(&clast->parts)) {
        return false;
    }
    if (clast->height == 0) {
        return clast->count == 0 && clast->bytes == 0 && clast->parts.live == 0;
    }
    struct checking checking = {.clast = clast, .seen = calloc(clast->parts.end, 1), .first = true};
    struct bounds bounds = {.open = true};
    if (checking.seen == NULL) {
        return false;
    }
    uint64_t count = 0;
    bool good = check_subtree(&checking, clast->top, clast->height, &bounds, &count);
    free(checking.seen);
    return good && count == clast->count && checking.bytes == clast->bytes &&
           checking.named == clast->parts.live;
}
