/* Reading a clast; clast_seek.c finds places in it, clast_put.c and clast_remove.c change it. */
#include "engine/value/clast.h"

#include "engine/value/clast_private.h"
#include "engine/value/parts_disk.h"

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

void clast_clear(struct clast *clast)
{
    parts_clear(&clast->parts);
    clast->count = 0;
    clast->bytes = 0;
    clast->top = PARTS_NONE;
    clast->height = 0;
}

static void root_copy(const struct clast *clast, struct clast *copy)
{
    copy->count = clast->count;
    copy->bytes = clast->bytes;
    copy->top = clast->top;
    copy->height = clast->height;
}

void clast_take(struct clast *clast, struct clast *fresh)
{
    CHECK(clast->order == fresh->order && clast->seed == fresh->seed);
    root_copy(fresh, clast);
    parts_take(&clast->parts, &fresh->parts);
    clast_init(fresh, fresh->order, fresh->seed);
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
    enum status status = clast_present(clast, 0, clast->count);
    if (status == ST_OK) {
        status = parts_copy(&clast->parts, &copy_out->parts);
    }
    if (status == ST_OK) {
        root_copy(clast, copy_out);
    }
    return status;
}

enum status clast_snapshot(const struct clast *clast, struct clast *snapshot_out)
{
    clast_init(snapshot_out, clast->order, clast->seed);
    enum status status = parts_snapshot(&clast->parts, &snapshot_out->parts);
    if (status == ST_OK) {
        root_copy(clast, snapshot_out);
    }
    return status;
}

void clast_restore(struct clast *clast, struct clast *snapshot)
{
    root_copy(snapshot, clast);
    parts_restore(&clast->parts, &snapshot->parts);
    clast_init(snapshot, snapshot->order, snapshot->seed);
}

uint64_t clast_memory(const struct clast *clast)
{
    return parts_memory(&clast->parts);
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
    uint64_t left = count;
    while (status == ST_OK) {
        status = walk_leaf(clast, &path, backwards, &left, fn, ctx);
        if (status != ST_OK || left == 0) {
            break;
        }
        status = clast_path_step(clast, &path, backwards);
    }
    if (status == ST_WAIT) { /* Whoever brings parts learns of more than the first. */
        enum status rest = clast_present(clast, backwards ? index + 1 - count : index, count);
        status_ignore(rest, "the answer is ST_WAIT already");
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

/* -- Stored form ------------------------------------------------------------------------------- */

enum status clast_store(const struct clast *clast, struct buf *out)
{
    enum status status = buf_reserve(out, 4 * VARINT_MAX);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *p = out->data + out->size;
    unsigned char *start = p;
    p += varint_store(p, clast->count);
    p += varint_store(p, clast->bytes);
    p += varint_store(p, clast->height == 0 ? 0 : clast->top);
    p += varint_store(p, clast->height);
    out->size += (size_t)(p - start);
    return parts_store(&clast->parts, out);
}

enum status clast_load(struct clast *clast, struct bytes *in, uint64_t id)
{
    uint64_t count;
    uint64_t bytes;
    uint64_t top;
    uint64_t height;
    if (!varint_take_shortest(in, &count) || !varint_take_shortest(in, &bytes) ||
        !varint_take_shortest(in, &top) || !varint_take_shortest(in, &height) ||
        height > CLAST_HEIGHT_MAX) {
        return ST_CORRUPT;
    }
    enum status status = parts_load(&clast->parts, in, id);
    if (status != ST_OK) {
        return status;
    }
    const struct parts *parts = &clast->parts;
    bool empty = count == 0 && bytes == 0 && top == 0 && parts->live == 0;
    if (height == 0 ? !empty : count == 0 || top >= parts->end || parts->live < height) {
        parts_deinit(&clast->parts);
        return ST_CORRUPT;
    }
    clast->count = count;
    clast->bytes = bytes;
    clast->top = height == 0 ? PARTS_NONE : (uint32_t)top;
    clast->height = (uint32_t)height;
    return ST_OK;
}

/* -- Check ------------------------------------------------------------------------------------- */

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
