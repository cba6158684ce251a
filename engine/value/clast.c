/* Reading a clast; clast_edit.c changes it. */
#include "engine/value/clast.h"

#include "engine/value/clast_private.h"

#include <stdlib.h>

void clast_init(struct clast *clast)
{
    *clast = (struct clast){.top = PARTS_NONE};
    parts_init(&clast->parts);
}

void clast_deinit(struct clast *clast)
{
    parts_deinit(&clast->parts);
    clast_init(clast);
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
    clast_init(copy_out);
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

static uint32_t position_child(void *ctx, const struct part *inner)
{
    return (uint32_t)inner_find(inner, ctx);
}

static uint32_t position_slot(void *ctx, const struct part *leaf)
{
    const uint64_t *position = ctx;
    CHECK(*position < leaf_count(leaf));
    return (uint32_t)*position;
}

static uint32_t first_of(void *ctx, const struct part *part)
{
    return 0;
}

static uint32_t last_child(void *ctx, const struct part *inner)
{
    return (uint32_t)inner_count(inner) - 1;
}

static uint32_t last_slot(void *ctx, const struct part *leaf)
{
    return (uint32_t)leaf_count(leaf) - 1;
}

const struct clast_search clast_search_position = {position_child, position_slot};
const struct clast_search clast_search_first = {first_of, first_of};
const struct clast_search clast_search_last = {last_child, last_slot};

/* The steps from `from` on, whose number is set, down to the leaf. */
static enum status descend(const struct clast *clast, const struct clast_search *search, void *ctx,
                           struct clast_path *path, uint32_t from)
{
    for (uint32_t i = from;; i++) {
        struct clast_step *step = &path->steps[i];
        enum status status = parts_get(&clast->parts, step->number, &step->part);
        if (status != ST_OK) {
            return status;
        }
        if (i + 1 == path->height) {
            step->index = search->slot(ctx, step->part);
            return ST_OK;
        }
        step->index = search->child(ctx, step->part);
        path->steps[i + 1].number = inner_child(step->part, step->index);
    }
}

enum status clast_seek(const struct clast *clast, const struct clast_search *search, void *ctx,
                       struct clast_path *path_out)
{
    CHECK(clast->height > 0 && clast->height <= CLAST_HEIGHT_MAX);
    path_out->height = clast->height;
    path_out->steps[0].number = clast->top;
    return descend(clast, search, ctx, path_out, 0);
}

enum status clast_seek_index(const struct clast *clast, uint64_t index, struct clast_path *path_out)
{
    CHECK(index < clast->count);
    /* The ends need no adding up. */
    const struct clast_search *search = index == 0                  ? &clast_search_first
                                        : index == clast->count - 1 ? &clast_search_last
                                                                    : &clast_search_position;
    return clast_seek(clast, search, &index, path_out);
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
    return descend(clast, backwards ? &clast_search_last : &clast_search_first, NULL, path, i + 1);
}

static enum status piece_at(const struct clast *clast, struct part *leaf, uint32_t slot,
                            struct value_piece *piece_out)
{
    struct leaf_entry entry = leaf_at(leaf, slot);
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

enum status clast_at(const struct clast *clast, uint64_t index, struct value_piece *element_out)
{
    struct clast_path path;
    enum status status = clast_seek_index(clast, index, &path);
    if (status != ST_OK) {
        return status;
    }
    struct clast_step *leaf = clast_path_leaf(&path);
    return piece_at(clast, leaf->part, leaf->index, element_out);
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
    enum status status = clast_seek_index(clast, index, &path);
    while (status == ST_OK) {
        struct clast_step *leaf = clast_path_leaf(&path);
        struct value_piece piece;
        status = piece_at(clast, leaf->part, leaf->index, &piece);
        if (status == ST_OK) {
            status = fn(ctx, piece);
        }
        if (status != ST_OK || --count == 0) {
            break;
        }
        if (backwards ? leaf->index > 0 : leaf->index + 1 < leaf_count(leaf->part)) {
            leaf->index += backwards ? UINT32_MAX : 1;
        } else {
            status = clast_path_step(clast, &path, backwards);
        }
    }
    return status;
}

struct checking {
    const struct clast *clast;
    unsigned char *seen; /* By number. */
    uint32_t named;
    uint64_t bytes;
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

static bool check_leaf(struct checking *checking, struct part *leaf)
{
    if (!leaf_verify(leaf) || leaf_count(leaf) == 0) {
        return false;
    }
    checking->bytes += leaf_payload(leaf);
    for (size_t i = 0; i < leaf_count(leaf); i++) {
        struct leaf_entry entry = leaf_at(leaf, i);
        struct part *part;
        if (entry.overflow == LEAF_NO_OVERFLOW) {
            continue;
        }
        if (!name_once(checking, entry.overflow, &part) || part->size <= CLAST_INLINE_MAX) {
            return false;
        }
        checking->bytes += part->size;
    }
    return true;
}

/* T1, T2: height counts the levels from this part down to the leaf. */
static bool check_subtree(struct checking *checking, uint32_t number, uint32_t height,
                          uint64_t *count_out)
{
    struct part *part;
    if (!name_once(checking, number, &part)) {
        return false;
    }
    if (height == 1) {
        *count_out = leaf_count(part);
        return check_leaf(checking, part);
    }
    if (!inner_verify(part)) {
        return false;
    }
    *count_out = inner_total(part);
    for (size_t i = 0; i < inner_count(part); i++) {
        uint64_t below;
        if (!check_subtree(checking, inner_child(part, i), height - 1, &below) ||
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
    struct checking checking = {.clast = clast, .seen = calloc(clast->parts.end, 1)};
    if (checking.seen == NULL) {
        return false;
    }
    uint64_t count = 0;
    bool good = check_subtree(&checking, clast->top, clast->height, &count);
    free(checking.seen);
    return good && count == clast->count && checking.bytes == clast->bytes &&
           checking.named == clast->parts.live;
}
