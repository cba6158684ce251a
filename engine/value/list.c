/* A packed list keeps to Redis's limit as Redis counts it, in bytes of a listpack, so that the two
 * change their encoding at the same element. A listpack differs from our block in a few bytes an
 * entry (it stores integers in binary, and sizes in other widths), so the exact sum is only taken
 * near the limit: see listpack_size_max.
 *
 * Growing, Redis adds the plain size of the new elements to the listpack it has, before the change
 * (LSET counts as one element more). Shrinking, a clast becomes packed again at half the limit, so
 * that a list at the limit does not go back and forth.
 */
#include "engine/value/list.h"

#include "engine/base/check.h"
#include "engine/value/clast.h"
#include "engine/value/packed.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

/* Whatever the configuration says, a block is no larger. */
#define LIST_PACKED_MAX (64u * 1024)
/* The bound on bytes where the configured limit is one on entries. */
#define LIST_SAFETY_SIZE 8192
#define LISTPACK_FRAME_SIZE 7
/* Elements are handed to the clast in groups of this many. */
#define GROUP_MAX 64

struct list {
    struct value_root head;
    struct clast clast;
    int64_t limit; /* list_max_listpack_size as of the last growth; for those that shrink it. */
};

static struct list *root_of(const struct value *value)
{
    CHECK(value->type == VALUE_LIST);
    return value->shape == VALUE_CLAST ? value->root : NULL;
}

static struct value packed_value(struct bytes block)
{
    return (struct value){VALUE_LIST, VALUE_PACKED, block, NULL};
}

static struct list *list_new(int64_t limit)
{
    struct list *list = part_alloc(sizeof(*list));
    if (list != NULL) {
        list->head = (struct value_root){.changed = true};
        clast_init(&list->clast, &clast_by_position, 0);
        list->limit = limit;
    }
    return list;
}

static void list_drop(struct list *list)
{
    clast_deinit(&list->clast);
    free(list);
}

struct bounds {
    uint64_t size; /* Of a listpack. */
    uint64_t count;
};

static struct bounds bounds_of(int64_t limit)
{
    if (limit >= 0) {
        return (struct bounds){LIST_SAFETY_SIZE, limit == 0 ? 1 : (uint64_t)limit};
    }
    int64_t level = limit < -5 ? 5 : -limit;
    return (struct bounds){2048ull << level, UINT64_MAX};
}

static size_t listpack_entry_size(struct bytes element)
{
    int64_t value;
    size_t size;
    if (element.size < INT64_TEXT_MAX && bytes_to_int64(element, &value)) {
        uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
        size = value >= 0 && value < 128 ? 1
               : magnitude < 1u << 12    ? 2
               : magnitude < 1u << 15    ? 3
               : magnitude < 1u << 23    ? 4
               : magnitude < 1ull << 31  ? 5
                                         : 9;
    } else {
        size = element.size + (element.size < 64 ? 1 : element.size < 4096 ? 2 : 5);
    }
    return size + (size < 128 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : 4);
}

/* A bound of the sum of entries, from the size of our block: short strings cost the same in both,
 * those from 64 bytes on up to one byte more in a listpack, those from 4096 on up to three. */
static uint64_t listpack_size_max(struct bytes block)
{
    return block.size + block.size / 64 + LISTPACK_FRAME_SIZE;
}

static uint64_t listpack_size(struct bytes block)
{
    uint64_t size = LISTPACK_FRAME_SIZE;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size;) {
        size += listpack_entry_size(packed_next(block, &offset));
    }
    return size;
}

/* Whether the block may take elements of added_count entries and added_size bytes and stay packed.
 */
static bool stays_packed(struct bytes block, size_t added_count, uint64_t added_size,
                         uint64_t added_packed, int64_t limit)
{
    struct bounds bounds = bounds_of(limit);
    if (packed_count(block) + (uint64_t)added_count > bounds.count ||
        block.size + added_packed > LIST_PACKED_MAX || added_size > bounds.size) {
        return false;
    }
    return listpack_size_max(block) + added_size <= bounds.size ||
           listpack_size(block) + added_size <= bounds.size;
}

static bool elements_fit(struct bytes block, const struct bytes *elements, size_t count,
                         int64_t limit)
{
    uint64_t size = 0;
    uint64_t packed = 0;
    for (size_t i = 0; i < count; i++) {
        size += elements[i].size;
        packed += packed_entry_size(elements[i].size);
    }
    return stays_packed(block, count, size, packed, limit);
}

/* A root with the elements of the block. The value stays what it is. */
static enum status root_from_block(struct bytes block, int64_t limit, struct list **list_out)
{
    struct list *list = list_new(limit);
    if (list == NULL) {
        return ST_NOMEM;
    }
    enum status status = ST_OK;
    size_t offset = PACKED_HEADER_SIZE;
    while (offset < block.size && status == ST_OK) {
        struct bytes group[GROUP_MAX];
        size_t count = 0;
        while (offset < block.size && count < GROUP_MAX) {
            group[count++] = packed_next(block, &offset);
        }
        status = clast_push(&list->clast, false, group, count);
    }
    if (status != ST_OK) {
        list_drop(list);
        return status;
    }
    *list_out = list;
    return ST_OK;
}

/* The root to change: the value's own, or a new one made of its block. */
static enum status root_begin(const struct value *value, int64_t limit, struct list **list_out)
{
    if (value->shape == VALUE_PACKED) {
        return root_from_block(value->packed, limit, list_out);
    }
    *list_out = root_of(value);
    return ST_OK;
}

/* After the change: the view holds the root, or what root_begin made is dropped. */
static enum status root_end(struct value *value, struct list *list, int64_t limit,
                            enum status status)
{
    if (status == ST_OK) {
        list->limit = limit;
        list->head.changed = true;
        *value = (struct value){VALUE_LIST, VALUE_CLAST, BYTES_NONE, list};
    } else if (value->shape == VALUE_PACKED) {
        list_drop(list);
    }
    return status;
}

static enum status store_entry(void *ctx, struct value_piece piece)
{
    /* Room was reserved. */
    struct buf *scratch = ctx;
    scratch->size += packed_entry_store(scratch->data + scratch->size, piece.data);
    CHECK(scratch->size <= scratch->capacity);
    return ST_OK;
}

/* A clast that has become small becomes packed, unless there is no memory for it: then it stays,
 * and the next change tries again. */
static void shrink(struct value *value, struct buf *scratch)
{
    struct list *list = root_of(value);
    const struct clast *clast = &list->clast;
    struct bounds bounds = bounds_of(list->limit);
    uint64_t size_max = list->limit >= 0 ? LIST_PACKED_MAX : bounds.size / 2;
    if (clast->count > 0) {
        /* What packed_entry_size and listpack_entry_size add is at most 8 an entry. */
        uint64_t packed_max = PACKED_HEADER_SIZE + clast->bytes + clast->count * 8;
        if (clast->count > bounds.count / 2 || clast->bytes + 2 * clast->count > size_max ||
            packed_max > LIST_PACKED_MAX) {
            return;
        }
        size_t old_size = scratch->size;
        if (buf_reserve(scratch, (size_t)packed_max) != ST_OK) {
            return;
        }
        store_u32(scratch->data + old_size, (uint32_t)clast->count);
        scratch->size += PACKED_HEADER_SIZE;
        if (clast_walk(clast, 0, clast->count, false, store_entry, scratch) != ST_OK) {
            scratch->size = old_size;
            return;
        }
        *value = packed_value(bytes_slice(buf_bytes(scratch), old_size, scratch->size));
    } else {
        *value = list_empty();
    }
    list_drop(list);
}

struct value list_empty(void)
{
    return packed_value(packed_empty());
}

uint64_t list_count(const struct value *value)
{
    const struct list *list = root_of(value);
    return list != NULL ? list->clast.count : packed_count(value->packed);
}

enum status list_at(const struct value *value, uint64_t index, struct value_piece *element_out)
{
    const struct list *list = root_of(value);
    if (list != NULL) {
        return clast_at(&list->clast, index, element_out);
    }
    *element_out = (struct value_piece){packed_at(value->packed, (uint32_t)index), NULL};
    return ST_OK;
}

enum status list_walk(const struct value *value, uint64_t index, uint64_t count, bool backwards,
                      value_piece_fn fn, void *ctx)
{
    const struct list *list = root_of(value);
    if (list != NULL) {
        return clast_walk(&list->clast, index, count, backwards, fn, ctx);
    }
    if (count == 0) {
        return ST_OK;
    }
    struct bytes block = value->packed;
    CHECK(index < packed_count(block));
    CHECK(count <= (backwards ? index + 1 : packed_count(block) - index));
    size_t offset = packed_offset(block, (uint32_t)index + backwards);
    enum status status = ST_OK;
    for (; count > 0 && status == ST_OK; count--) {
        struct bytes element =
            backwards ? packed_previous(block, &offset) : packed_next(block, &offset);
        status = fn(ctx, (struct value_piece){element, NULL});
    }
    return status;
}

struct searching {
    struct bytes wanted;
    uint64_t index; /* Of the element that comes next. */
    uint64_t step;  /* 1, or -1 backwards. */
    list_found_fn fn;
    void *ctx;
};

static enum status search_element(void *ctx, struct value_piece piece)
{
    struct searching *searching = ctx;
    uint64_t index = searching->index;
    searching->index += searching->step;
    return bytes_equal(piece.data, searching->wanted) ? searching->fn(searching->ctx, index)
                                                      : ST_OK;
}

enum status list_search(const struct value *value, uint64_t index, uint64_t count, bool backwards,
                        struct bytes wanted, list_found_fn fn, void *ctx)
{
    const struct list *list = root_of(value);
    if (list != NULL) {
        return clast_search(&list->clast, index, count, backwards, wanted, fn, ctx);
    }
    struct searching searching = {wanted, index, backwards ? UINT64_MAX : 1, fn, ctx};
    return list_walk(value, index, count, backwards, search_element, &searching);
}

enum status list_push(struct value *value, enum list_side side, const struct bytes *elements,
                      size_t count, const struct value_limits *limits, struct buf *scratch)
{
    int64_t limit = limits->list_max_listpack_size;
    bool left = side == LIST_LEFT;
    if (value->shape == VALUE_PACKED && elements_fit(value->packed, elements, count, limit)) {
        uint32_t at = left ? 0 : packed_count(value->packed);
        return packed_splice(value->packed, at, 0, elements, count, left, scratch, &value->packed);
    }
    struct list *list;
    enum status status = root_begin(value, limit, &list);
    if (status != ST_OK) {
        return status;
    }
    status = clast_push(&list->clast, left, elements, count);
    return root_end(value, list, limit, status);
}

enum status list_pop(struct value *value, enum list_side side, uint64_t count, struct buf *scratch)
{
    uint64_t all = list_count(value);
    CHECK(count <= all);
    return list_trim(value, side == LIST_LEFT ? count : 0, all - count, scratch);
}

enum status list_trim(struct value *value, uint64_t first, uint64_t count, struct buf *scratch)
{
    struct list *list = root_of(value);
    if (list == NULL) {
        return packed_slice(value->packed, (uint32_t)first, (uint32_t)count, scratch,
                            &value->packed);
    }
    enum status status = clast_trim(&list->clast, first, count);
    if (status == ST_OK) {
        value_touch(value);
        shrink(value, scratch);
    }
    return status;
}

enum status list_set(struct value *value, uint64_t index, struct bytes element,
                     const struct value_limits *limits, struct buf *scratch)
{
    int64_t limit = limits->list_max_listpack_size;
    if (value->shape == VALUE_PACKED && elements_fit(value->packed, &element, 1, limit)) {
        return packed_splice(value->packed, (uint32_t)index, 1, &element, 1, false, scratch,
                             &value->packed);
    }
    struct list *list;
    enum status status = root_begin(value, limit, &list);
    if (status != ST_OK) {
        return status;
    }
    status = clast_replace(&list->clast, index, element);
    status = root_end(value, list, limit, status);
    if (status == ST_OK) {
        shrink(value, scratch);
    }
    return status;
}

enum status list_insert(struct value *value, uint64_t index, struct bytes element,
                        const struct value_limits *limits, struct buf *scratch)
{
    int64_t limit = limits->list_max_listpack_size;
    if (value->shape == VALUE_PACKED && elements_fit(value->packed, &element, 1, limit)) {
        return packed_splice(value->packed, (uint32_t)index, 0, &element, 1, false, scratch,
                             &value->packed);
    }
    struct list *list;
    enum status status = root_begin(value, limit, &list);
    if (status != ST_OK) {
        return status;
    }
    status = clast_insert(&list->clast, index, element);
    return root_end(value, list, limit, status);
}

enum status list_remove(struct value *value, const uint64_t *indexes, size_t count,
                        struct buf *scratch)
{
    struct list *list = root_of(value);
    if (list == NULL) {
        return packed_remove_each(value->packed, indexes, count, scratch, &value->packed);
    }
    enum status status = clast_remove_each(&list->clast, indexes, count);
    if (status == ST_OK) {
        value_touch(value);
        shrink(value, scratch);
    }
    return status;
}

static const char *list_encoding(const struct value *value, const struct value_limits *limits)
{
    return value->shape == VALUE_PACKED ? "listpack" : "quicklist";
}

bool list_check(const struct value *value)
{
    const struct list *list = root_of(value);
    return list != NULL ? clast_check(&list->clast) : packed_verify(value->packed);
}

static enum status encode_element(void *ctx, struct value_piece piece)
{
    unsigned char size[VARINT_MAX];
    size_t size_size = varint_store(size, piece.data.size);
    enum status status = buf_append(ctx, bytes_of(size, size_size));
    return status == ST_OK ? buf_append(ctx, piece.data) : status;
}

static uint64_t list_encoded_max(const struct value *value)
{
    const struct list *list = root_of(value);
    return VARINT_MAX +
           (list != NULL ? list->clast.bytes + list->clast.count * 5 : value->packed.size);
}

static enum status list_encode(const struct value *value, struct buf *out)
{
    /* Room first: elements of a packed list may lie in `out` itself, which then stays put. */
    uintptr_t old_data = (uintptr_t)out->data;
    size_t old_size = out->size;
    enum status status = buf_reserve(out, list_encoded_max(value));
    if (status != ST_OK) {
        return status;
    }
    struct value now = *value;
    now.packed = packed_rebase(value->packed, old_data, old_size, out);
    unsigned char *p = out->data + out->size;
    out->size += varint_store(p, list_count(&now));
    return list_walk(&now, 0, list_count(&now), false, encode_element, out);
}

/* What an encoded list would be as a block. */
struct survey {
    uint64_t count;
    uint64_t packed_size;
    uint64_t listpack_size;
};

static bool element_take(struct bytes *in, struct bytes *element_out)
{
    return bytes_take_sized(in, element_out) && element_out->size <= CLAST_ELEMENT_MAX;
}

/* False: these are not the elements of a list. */
static bool survey(struct bytes elements, struct survey *survey_out)
{
    *survey_out = (struct survey){0, PACKED_HEADER_SIZE, LISTPACK_FRAME_SIZE};
    struct bytes element;
    while (elements.size > 0) {
        if (!element_take(&elements, &element)) {
            return false;
        }
        survey_out->count++;
        survey_out->packed_size += packed_entry_size(element.size);
        survey_out->listpack_size += listpack_entry_size(element);
    }
    return true;
}

static enum status decode_block(struct bytes elements, const struct survey *found,
                                struct buf *scratch, struct value *value_out)
{
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *start = buf_extend(scratch, found->packed_size);
    if (start == NULL) {
        return ST_NOMEM;
    }
    elements = packed_rebase(elements, old_data, old_size, scratch);
    unsigned char *p = start + PACKED_HEADER_SIZE;
    store_u32(start, (uint32_t)found->count);
    struct bytes element;
    while (elements.size > 0) {
        bool taken = element_take(&elements, &element);
        CHECK(taken);
        p += packed_entry_store(p, element);
    }
    CHECK(p == start + found->packed_size);
    *value_out = packed_value(bytes_of(start, found->packed_size));
    return ST_OK;
}

static enum status decode_root(struct bytes elements, int64_t limit, struct value *value_out)
{
    struct list *list = list_new(limit);
    enum status status = list == NULL ? ST_NOMEM : ST_OK;
    while (elements.size > 0 && status == ST_OK) {
        struct bytes group[GROUP_MAX];
        size_t count = 0;
        while (elements.size > 0 && count < GROUP_MAX) {
            bool taken = element_take(&elements, &group[count++]);
            CHECK(taken);
        }
        status = clast_push(&list->clast, false, group, count);
    }
    if (status != ST_OK) {
        if (list != NULL) {
            list_drop(list);
        }
        return status;
    }
    *value_out = (struct value){VALUE_LIST, VALUE_CLAST, BYTES_NONE, list};
    return ST_OK;
}

static enum status list_decode(struct bytes body, const struct value_limits *limits,
                               struct buf *scratch, struct value *value_out)
{
    struct survey found;
    uint64_t count;
    struct bytes elements = body;
    if (!varint_take_shortest(&elements, &count) || !survey(elements, &found) ||
        found.count != count) {
        return ST_CORRUPT;
    }
    struct bounds bounds = bounds_of(limits->list_max_listpack_size);
    if (count == 0) {
        *value_out = list_empty();
        return ST_OK;
    }
    if (count <= bounds.count && found.listpack_size <= bounds.size &&
        found.packed_size <= LIST_PACKED_MAX) {
        return decode_block(elements, &found, scratch, value_out);
    }
    return decode_root(elements, limits->list_max_listpack_size, value_out);
}

static enum status list_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    const struct list *list = root_of(value);
    if (list == NULL) {
        *copy_out = *value;
        return packed_slice(value->packed, 0, packed_count(value->packed), scratch,
                            &copy_out->packed);
    }
    struct list *copy = list_new(list->limit);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&list->clast, &copy->clast);
    if (status != ST_OK) {
        list_drop(copy);
        return status;
    }
    *copy_out = (struct value){VALUE_LIST, VALUE_CLAST, BYTES_NONE, copy};
    return ST_OK;
}

static void list_free(struct value *value)
{
    list_drop(value->root);
    value->root = NULL;
}

static bool list_free_some(struct value *value, size_t parts)
{
    struct list *list = value->root;
    if (!clast_free_some(&list->clast, parts)) {
        return false;
    }
    list_free(value);
    return true;
}

static uint64_t list_memory(const struct value *value)
{
    return part_heap_size(sizeof(struct list)) +
           clast_memory(&((const struct list *)value->root)->clast);
}

static bool list_vanishes(const struct value *value)
{
    return list_count(value) == 0;
}

static enum status list_tables(void *root, value_table_fn fn, void *ctx)
{
    return fn(ctx, &((struct list *)root)->clast.parts);
}

/* The clast, i64 limit. */
static enum status list_store(const struct value *value, struct buf *out)
{
    const struct list *list = value->root;
    unsigned char limit[8];
    store_u64(limit, (uint64_t)list->limit);
    enum status status = clast_store(&list->clast, out);
    return status == ST_OK ? buf_append(out, bytes_of(limit, sizeof(limit))) : status;
}

static enum status list_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out)
{
    struct list *list = list_new(0);
    if (list == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_load(&list->clast, in, clast);
    if (status == ST_OK && in->size < 8) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        list_drop(list);
        return status;
    }
    list->limit = (int64_t)load_u64(in->data);
    *in = bytes_slice(*in, 8, in->size);
    list->head.changed = false;
    *root_out = list;
    return ST_OK;
}

const struct value_class list_class = {
    .name = "list",
    .empty = list_empty,
    .vanishes = list_vanishes,
    .encoding = list_encoding,
    .encode = list_encode,
    .decode = list_decode,
    .encoded_max = list_encoded_max,
    .copy = list_copy,
    .free = list_free,
    .free_some = list_free_some,
    .memory = list_memory,
    .tables = list_tables,
    .store = list_store,
    .load = list_load,
};
