/* Finding places in a clast: by rank, by key, by hash; and stepping from one to the next. */
#include "engine/value/clast_private.h"

const struct clast_order clast_by_position = {CLAST_BY_POSITION, NULL};
const struct clast_order clast_sorted = {CLAST_SORTED, NULL};

/* -- Marks ------------------------------------------------------------------------------------- */

static uint64_t load_big_endian(const unsigned char *p, size_t size)
{
    if (size >= 8) {
        return __builtin_bswap64(load_u64(p));
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)p[i] << (56 - 8 * i);
    }
    return value;
}

struct mark clast_mark(const struct clast *clast, struct bytes element)
{
    struct mark mark = {0, 0};
    switch (clast->order->kind) {
    case CLAST_BY_POSITION:
        break;
    case CLAST_SORTED:
        mark.high = load_big_endian(element.data, element.size);
        if (element.size > 8) {
            mark.low = load_big_endian((const unsigned char *)element.data + 8, element.size - 8);
        }
        break;
    case CLAST_HASHED:
        mark.high = clast->order->hash(element, clast->seed);
        break;
    }
    return mark;
}

struct mark clast_entry_mark(const struct clast *clast, struct leaf_entry entry)
{
    return entry.overflow != LEAF_NO_OVERFLOW ? entry.mark : clast_mark(clast, entry.element);
}

/* -- Paths ------------------------------------------------------------------------------------- */

enum status clast_entry_piece(const struct clast *clast, struct part *leaf, struct leaf_entry entry,
                              struct value_piece *piece_out)
{
    if (entry.overflow == LEAF_NO_OVERFLOW) {
        *piece_out = (struct value_piece){entry.element, leaf};
        return ST_OK;
    }
    struct part *part;
    enum status status = parts_get(&clast->parts, entry.overflow, &part);
    if (status == ST_OK) {
        *piece_out = (struct value_piece){bytes_of(part->data, part->size), part};
    }
    return status;
}

enum status clast_piece(const struct clast *clast, struct part *leaf, size_t slot,
                        struct value_piece *piece_out)
{
    return clast_entry_piece(clast, leaf, leaf_at(leaf, slot), piece_out);
}

bool clast_at_left(const struct clast_path *path, uint32_t step)
{
    for (uint32_t i = 0; i < step; i++) {
        if (path->steps[i].index != 0) {
            return false;
        }
    }
    return true;
}

bool clast_at_right(const struct clast_path *path, uint32_t step)
{
    for (uint32_t i = 0; i < step; i++) {
        if (path->steps[i].index + 1 != inner_count(path->steps[i].part)) {
            return false;
        }
    }
    return true;
}

/* What to take on the way down. */
enum descent { DESCEND_FIRST, DESCEND_LAST, DESCEND_RANK };

/* The steps from `from` on, whose number is set, down to the leaf. */
static enum status descend(const struct clast *clast, enum descent descent, uint64_t rank,
                           struct clast_path *path, uint32_t from)
{
    for (uint32_t i = from;; i++) {
        struct clast_step *step = &path->steps[i];
        enum status status = parts_get(&clast->parts, step->number, &step->part);
        if (status != ST_OK) {
            return status;
        }
        bool leaf = i + 1 == path->height;
        if (descent == DESCEND_FIRST) {
            step->index = 0;
        } else if (descent == DESCEND_LAST) {
            step->index = (uint32_t)(leaf ? leaf_count(step->part) : inner_count(step->part)) - 1;
        } else {
            step->index = leaf ? (uint32_t)rank : (uint32_t)inner_find(step->part, &rank);
        }
        if (leaf) {
            CHECK(step->index < leaf_count(step->part));
            return ST_OK;
        }
        path->steps[i + 1].number = inner_child(step->part, step->index);
    }
}

enum status clast_path_step(const struct clast *clast, struct clast_path *path, bool backwards)
{
    uint32_t i = path->height - 1;
    for (;;) {
        CHECK(i > 0);
        i--;
        struct clast_step *step = &path->steps[i];
        if (backwards ? step->index > 0 : step->index + 1 < inner_count(step->part)) {
            step->index += backwards ? UINT32_MAX : 1;
            path->steps[i + 1].number = inner_child(step->part, step->index);
            break;
        }
    }
    return descend(clast, backwards ? DESCEND_LAST : DESCEND_FIRST, 0, path, i + 1);
}

bool clast_path_end(const struct clast_path *path)
{
    if (path->height == 0) {
        return true;
    }
    const struct clast_step *leaf = &path->steps[path->height - 1];
    return leaf->index == leaf_count(leaf->part);
}

enum status clast_path_element(const struct clast *clast, const struct clast_path *path,
                               struct value_piece *element_out)
{
    CHECK(!clast_path_end(path));
    const struct clast_step *leaf = &path->steps[path->height - 1];
    return clast_piece(clast, leaf->part, leaf->index, element_out);
}

uint64_t clast_path_rank(const struct clast_path *path)
{
    uint64_t rank = 0;
    for (uint32_t i = 0; i + 1 < path->height; i++) {
        rank += inner_sum(path->steps[i].part, path->steps[i].index);
    }
    return path->height == 0 ? 0 : rank + path->steps[path->height - 1].index;
}

/* Between two leaves a path stands on the first element of the right one. */
static enum status path_settle(const struct clast *clast, struct clast_path *path)
{
    const struct clast_step *leaf = clast_path_leaf(path);
    if (leaf->index < leaf_count(leaf->part) || clast_at_right(path, path->height - 1)) {
        return ST_OK;
    }
    return clast_path_step(clast, path, false);
}

enum status clast_path_next(const struct clast *clast, struct clast_path *path)
{
    CHECK(!clast_path_end(path));
    clast_path_leaf(path)->index++;
    return path_settle(clast, path);
}

enum status clast_path_previous(const struct clast *clast, struct clast_path *path, bool *moved_out)
{
    *moved_out = path->height > 0;
    if (path->height == 0) {
        return ST_OK;
    }
    struct clast_step *leaf = clast_path_leaf(path);
    if (leaf->index > 0) {
        leaf->index--;
        return ST_OK;
    }
    if (clast_at_left(path, path->height - 1)) {
        *moved_out = false;
        return ST_OK;
    }
    return clast_path_step(clast, path, true);
}

/* -- By rank ----------------------------------------------------------------------------------- */

enum status clast_seek_rank(const struct clast *clast, uint64_t rank, struct clast_path *path_out)
{
    CHECK(rank <= clast->count && clast->height <= CLAST_HEIGHT_MAX);
    path_out->height = clast->height;
    if (clast->height == 0) {
        return ST_OK;
    }
    path_out->steps[0].number = clast->top;
    /* The ends need no adding up. */
    enum descent descent = rank == 0                  ? DESCEND_FIRST
                           : rank + 1 >= clast->count ? DESCEND_LAST
                                                      : DESCEND_RANK;
    enum status status = descend(clast, descent, rank, path_out, 0);
    if (status == ST_OK && rank == clast->count) {
        clast_path_leaf(path_out)->index++;
    }
    return status;
}

/* -- By key ------------------------------------------------------------------------------------ */

/* Whether the element at the slot is less than the key. */
static enum status entry_less(const struct clast *clast, struct part *leaf, size_t slot,
                              struct bytes key, struct mark key_mark, bool *less_out)
{
    struct leaf_entry entry = leaf_at(leaf, slot);
    if (entry.overflow != LEAF_NO_OVERFLOW) {
        int order = mark_compare(entry.mark, key_mark);
        if (order != 0) {
            *less_out = order < 0;
            return ST_OK;
        }
    }
    struct value_piece piece;
    enum status status = clast_piece(clast, leaf, slot, &piece);
    if (status == ST_OK) {
        *less_out = bytes_compare(piece.data, key) < 0;
    }
    return status;
}

/* Whether the first element below a child is greater than the key. */
static enum status child_greater(const struct clast *clast, uint32_t number, uint32_t height,
                                 struct bytes key, bool *greater_out)
{
    struct part *part;
    enum status status;
    for (;;) {
        status = parts_get(&clast->parts, number, &part);
        if (status != ST_OK || height == 1) {
            break;
        }
        number = inner_child(part, 0);
        height--;
    }
    if (status != ST_OK) {
        return status;
    }
    struct value_piece piece;
    status = clast_piece(clast, part, 0, &piece);
    if (status == ST_OK) {
        *greater_out = bytes_compare(piece.data, key) > 0;
    }
    return status;
}

/* The child below which the first element that is not less than the key lies, or before whose right
 * neighbour. height: of the children. */
static enum status child_of_key(const struct clast *clast, const struct part *inner,
                                uint32_t height, struct bytes key, struct mark key_mark,
                                uint32_t *index_out)
{
    size_t below = inner_count_below(inner, key_mark, false);
    size_t to = below;
    if (below < inner_count(inner) && mark_compare(inner_mark(inner, below), key_mark) == 0) {
        to = inner_count_below(inner, key_mark, true);
    }
    /* Children below … to - 1 share the key's mark: the last of them that does not begin behind the
     * key is the one, or the child before them all. */
    size_t first = below;
    while (first < to) {
        size_t middle = first + (to - first) / 2;
        bool greater;
        enum status status =
            child_greater(clast, inner_child(inner, middle), height, key, &greater);
        if (status != ST_OK) {
            return status;
        }
        if (greater) {
            to = middle;
        } else {
            first = middle + 1;
        }
    }
    *index_out = first == 0 ? 0 : (uint32_t)first - 1;
    return ST_OK;
}

/* Each probe of a bisection is a line of memory that is likely far away, and would be waited for
 * alone. So the lines of the next probes, whichever way they go, are asked for together. */
#define PROBES_AHEAD 3

static void fetch_probes(const struct part *leaf, size_t first, size_t to, unsigned depth)
{
    if (first < to && depth > 0) {
        size_t middle = first + (to - first) / 2;
        leaf_prefetch(leaf, middle);
        fetch_probes(leaf, first, middle, depth - 1);
        fetch_probes(leaf, middle + 1, to, depth - 1);
    }
}

static enum status slot_of_key(const struct clast *clast, struct part *leaf, struct bytes key,
                               struct mark key_mark, uint32_t *slot_out)
{
    size_t first = 0;
    size_t to = leaf_count(leaf);
    for (unsigned probe = 0; first < to; probe++) {
        if (probe % PROBES_AHEAD == 0) {
            fetch_probes(leaf, first, to, PROBES_AHEAD);
        }
        size_t middle = first + (to - first) / 2;
        bool less;
        enum status status = entry_less(clast, leaf, middle, key, key_mark, &less);
        if (status != ST_OK) {
            return status;
        }
        if (less) {
            first = middle + 1;
        } else {
            to = middle;
        }
    }
    *slot_out = (uint32_t)first;
    return ST_OK;
}

enum status clast_seek_key(const struct clast *clast, struct bytes key, struct clast_path *path_out)
{
    CHECK(clast->order->kind == CLAST_SORTED && clast->height <= CLAST_HEIGHT_MAX);
    path_out->height = clast->height;
    if (clast->height == 0) {
        return ST_OK;
    }
    struct mark key_mark = clast_mark(clast, key);
    uint32_t number = clast->top;
    for (uint32_t i = 0;; i++) {
        struct clast_step *step = &path_out->steps[i];
        step->number = number;
        enum status status = parts_get(&clast->parts, number, &step->part);
        if (status != ST_OK) {
            return status;
        }
        if (i + 1 == clast->height) {
            leaf_prefetch_slots(step->part, LEAF_SORTED_FETCH);
            status = slot_of_key(clast, step->part, key, key_mark, &step->index);
            return status == ST_OK ? path_settle(clast, path_out) : status;
        }
        status =
            child_of_key(clast, step->part, clast->height - i - 1, key, key_mark, &step->index);
        if (status != ST_OK) {
            return status;
        }
        number = inner_child(step->part, step->index);
    }
}

/* -- By hash ----------------------------------------------------------------------------------- */

/* The leaf whose range holds the hash; the path's last index is left open. */
static enum status leaf_of_hash(const struct clast *clast, struct mark mark,
                                struct clast_path *path)
{
    uint32_t number = clast->top;
    for (uint32_t i = 0;; i++) {
        struct clast_step *step = &path->steps[i];
        step->number = number;
        enum status status = parts_get(&clast->parts, number, &step->part);
        if (status != ST_OK) {
            return status;
        }
        if (i + 1 == clast->height) {
            leaf_prefetch_slots(step->part, LEAF_TAGGED_FETCH);
            return ST_OK;
        }
        size_t below = inner_count_below(step->part, mark, true);
        step->index = below == 0 ? 0 : (uint32_t)below - 1;
        number = inner_child(step->part, step->index);
    }
}

enum status clast_seek_hash(const struct clast *clast, uint64_t hash, clast_same_fn same, void *ctx,
                            struct clast_path *path_out, bool *found_out)
{
    CHECK(clast_tagged(clast) && clast->height <= CLAST_HEIGHT_MAX);
    *found_out = false;
    path_out->height = clast->height;
    if (clast->height == 0) {
        return ST_OK;
    }
    struct mark mark = {hash, 0};
    enum status status = leaf_of_hash(clast, mark, path_out);
    if (status != ST_OK) {
        return status;
    }
    struct clast_step *step = clast_path_leaf(path_out);
    size_t count = leaf_count(step->part);
    for (size_t slot = 0;; slot++) {
        slot = leaf_find_tag(step->part, slot, clast_tag(mark));
        step->index = (uint32_t)slot;
        if (slot == count) {
            return ST_OK;
        }
        struct leaf_entry entry = leaf_at(step->part, slot);
        if (entry.overflow != LEAF_NO_OVERFLOW && entry.mark.high != hash) {
            continue;
        }
        struct value_piece piece = {BYTES_NONE, NULL};
        status = clast_piece(clast, step->part, slot, &piece);
        if (status == ST_OK) {
            status = same(ctx, piece.data, found_out);
        }
        if (status != ST_OK || *found_out) {
            return status;
        }
    }
}

/* -- Scan -------------------------------------------------------------------------------------- */

#define CURSOR_SHIFT 16

/* The mark from which on the leaf to the right of the path's holds elements; false: it is the last.
 */
static bool next_mark(const struct clast_path *path, uint64_t *hash_out)
{
    for (uint32_t i = path->height - 1; i > 0; i--) {
        const struct clast_step *step = &path->steps[i - 1];
        if (step->index + 1 < inner_count(step->part)) {
            *hash_out = inner_mark(step->part, step->index + 1).high;
            return true;
        }
    }
    return false;
}

/* A leaf is given whole, but for what lies before the cursor: its order is open, and what comes
 * between two calls lies before or behind the border that the cursor names. */
enum status clast_scan(const struct clast *clast, uint64_t cursor, uint64_t count,
                       value_piece_fn fn, void *ctx, uint64_t *cursor_out)
{
    CHECK(clast_tagged(clast));
    *cursor_out = 0;
    if (clast->height == 0 || cursor > UINT64_MAX >> CURSOR_SHIFT) {
        return ST_OK;
    }
    uint64_t from = cursor << CURSOR_SHIFT;
    struct clast_path path = {.height = clast->height};
    enum status status = leaf_of_hash(clast, (struct mark){from, 0}, &path);
    uint64_t given = 0;
    while (status == ST_OK) {
        struct clast_step *step = clast_path_leaf(&path);
        for (size_t slot = 0; slot < leaf_count(step->part) && status == ST_OK; slot++) {
            struct leaf_entry entry = leaf_at(step->part, slot);
            struct value_piece piece;
            if (from > 0 && clast_entry_mark(clast, entry).high < from) {
                continue;
            }
            status = clast_piece(clast, step->part, slot, &piece);
            if (status == ST_OK) {
                status = fn(ctx, piece);
                given++;
            }
        }
        uint64_t next;
        if (status != ST_OK || !next_mark(&path, &next)) {
            break;
        }
        if (given >= count && next >> CURSOR_SHIFT > cursor) {
            *cursor_out = next >> CURSOR_SHIFT;
            break;
        }
        step->index = 0;
        status = clast_path_step(clast, &path, false);
    }
    return status;
}
