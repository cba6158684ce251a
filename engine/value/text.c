/* The parts of a large text are its segments; a part's number is the segment's index, as nothing is
 * ever taken out. The last segment grows by doubling, so that many small appends cost O(1) each.
 *
 * Growth over a gap (SETRANGE far behind the end) names one segment of zeros as often as needed;
 * whoever writes to one of them copies it first, as any shared part.
 */
#include "engine/value/text.h"

#include "engine/base/check.h"
#include "engine/value/packed.h"
#include "engine/value/parts_disk.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

/* Far more than any limit above us, far less than numbers of segments allow. */
#define TEXT_SIZE_MAX (1ull << 40)

struct text {
    struct value_root head;
    uint64_t size;
    struct parts parts;
};

static uint32_t segment_count(uint64_t size)
{
    return (uint32_t)((size + TEXT_SEGMENT_SIZE - 1) / TEXT_SEGMENT_SIZE);
}

static struct text *text_new(void)
{
    struct text *text = part_alloc(sizeof(*text));
    if (text != NULL) {
        text->head = (struct value_root){.changed = true};
        text->size = 0;
        parts_init(&text->parts);
    }
    return text;
}

static void text_drop(struct text *text)
{
    parts_deinit(&text->parts);
    free(text);
}

static size_t size_min(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

/* Makes private what a write to [offset, end) changes of the segments that are there, and gives
 * the last one room to grow into. The content stays. */
static enum status segments_own(struct text *text, uint64_t offset, uint64_t end)
{
    uint32_t count = segment_count(text->size);
    uint32_t first = size_min(offset, text->size) / TEXT_SEGMENT_SIZE;
    uint32_t last = size_min(segment_count(end), count);
    struct part *part;
    if (parts_present(&text->parts, first, last) != ST_OK) {
        return ST_WAIT;
    }
    for (uint32_t i = first; i < last; i++) {
        size_t capacity = 0;
        if (i == count - 1 && end > text->size) {
            enum status status = parts_get(&text->parts, i, &part);
            if (status != ST_OK) {
                return status;
            }
            capacity = size_min(end - (uint64_t)i * TEXT_SEGMENT_SIZE, TEXT_SEGMENT_SIZE);
            size_t doubled = size_min(2ull * part->capacity, TEXT_SEGMENT_SIZE);
            if (capacity > part->capacity && capacity < doubled) {
                capacity = doubled;
            }
        }
        enum status status = parts_own_sized(&text->parts, i, capacity, &part);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

/* Adds segments behind the last until `end`, zeros where they lie before offset, else still
 * without content. All or nothing. */
static enum status segments_add(struct text *text, uint64_t offset, uint64_t end)
{
    uint32_t old_count = segment_count(text->size);
    uint32_t count = segment_count(end);
    if (count <= old_count) {
        return ST_OK;
    }
    enum status status = parts_reserve(&text->parts, count - old_count);
    if (status != ST_OK) {
        return status;
    }
    struct part *zeros = NULL;
    for (uint32_t i = old_count; i < count; i++) {
        uint64_t start = (uint64_t)i * TEXT_SEGMENT_SIZE;
        size_t size = size_min(end - start, TEXT_SEGMENT_SIZE);
        bool in_gap = start + size <= offset;
        struct part *part = in_gap ? zeros : part_new(size);
        if (in_gap && zeros == NULL) {
            part = zeros = part_new(size);
        } else if (in_gap) {
            part_ref(zeros);
        }
        if (part == NULL) {
            for (uint32_t undo = i; undo > old_count; undo--) {
                parts_remove(&text->parts, undo - 1);
            }
            return ST_NOMEM;
        }
        part->size = (uint32_t)size;
        if (start < offset) {
            memset(part->data, 0, size_min(offset - start, size));
        }
        uint32_t number = parts_add(&text->parts, part);
        CHECK(number == i);
    }
    return ST_OK;
}

static enum status root_write(struct text *text, uint64_t offset, struct bytes bytes)
{
    uint64_t end = offset + bytes.size;
    uint64_t old_size = text->size;
    enum status status = segments_own(text, offset, end);
    if (status == ST_OK) {
        status = segments_add(text, offset, end);
    }
    if (status != ST_OK) {
        return status;
    }
    /* From here on nothing can fail. */
    struct part *part;
    if (end > old_size && old_size % TEXT_SEGMENT_SIZE != 0) {
        uint32_t last = segment_count(old_size) - 1;
        uint64_t start = (uint64_t)last * TEXT_SEGMENT_SIZE;
        status = parts_get(&text->parts, last, &part);
        CHECK(status == ST_OK);
        size_t size = size_min(end - start, TEXT_SEGMENT_SIZE);
        CHECK(part->size == old_size - start && part->capacity >= size);
        memset(part->data + part->size, 0, size - part->size);
        part->size = (uint32_t)size;
    }
    const unsigned char *from = bytes.data;
    while (offset < end) {
        size_t within = (size_t)(offset % TEXT_SEGMENT_SIZE);
        size_t size = size_min(end - offset, TEXT_SEGMENT_SIZE - within);
        status = parts_get(&text->parts, (uint32_t)(offset / TEXT_SEGMENT_SIZE), &part);
        CHECK(status == ST_OK && within + size <= part->size);
        memcpy(part->data + within, from, size);
        from += size;
        offset += size;
    }
    if (end > old_size) {
        text->size = end;
    }
    return ST_OK;
}

/* A root with the first bytes, then the second ones at offset. */
static enum status root_make(struct bytes first, uint64_t offset, struct bytes second,
                             struct value *value_out)
{
    struct text *text = text_new();
    if (text == NULL) {
        return ST_NOMEM;
    }
    enum status status = root_write(text, 0, first);
    if (status == ST_OK && second.size > 0) {
        status = root_write(text, offset, second);
    }
    if (status != ST_OK) {
        text_drop(text);
        return status;
    }
    *value_out = (struct value){VALUE_STRING, VALUE_CLAST, BYTES_NONE, text};
    return ST_OK;
}

enum status text_make(struct bytes bytes, struct value *value_out)
{
    if (bytes.size > TEXT_SIZE_MAX) {
        return ST_LIMIT;
    }
    if (bytes.size > TEXT_PACKED_MAX) {
        return root_make(bytes, 0, BYTES_NONE, value_out);
    }
    *value_out = (struct value){VALUE_STRING, VALUE_PACKED, bytes, NULL};
    return ST_OK;
}

uint64_t text_size(const struct value *value)
{
    CHECK(value->type == VALUE_STRING);
    return value->shape == VALUE_PACKED ? value->packed.size
                                        : ((const struct text *)value->root)->size;
}

enum status text_pieces(const struct value *value, uint64_t offset, uint64_t size,
                        value_piece_fn fn, void *ctx)
{
    CHECK(offset <= text_size(value) && size <= text_size(value) - offset);
    if (size == 0) {
        return ST_OK;
    }
    if (value->shape == VALUE_PACKED) {
        struct bytes range = bytes_slice(value->packed, (size_t)offset, (size_t)size);
        return fn(ctx, (struct value_piece){range, NULL});
    }
    const struct text *text = value->root;
    enum status status = ST_OK;
    if (text->parts.absent > 0) {
        status = parts_present(&text->parts, (uint32_t)(offset / TEXT_SEGMENT_SIZE),
                               segment_count(offset + size));
    }
    while (size > 0 && status == ST_OK) {
        size_t within = (size_t)(offset % TEXT_SEGMENT_SIZE);
        size_t step = size_min(size, TEXT_SEGMENT_SIZE - within);
        struct part *part;
        status = parts_get(&text->parts, (uint32_t)(offset / TEXT_SEGMENT_SIZE), &part);
        if (status == ST_OK) {
            CHECK(within + step <= part->size);
            status = fn(ctx, (struct value_piece){bytes_of(part->data + within, step), part});
        }
        offset += step;
        size -= step;
    }
    return status;
}

static enum status append_piece(void *ctx, struct value_piece piece)
{
    return buf_append(ctx, piece.data);
}

enum status text_read(const struct value *value, uint64_t offset, uint64_t size, struct buf *out)
{
    /* Packed bytes may lie in `out` itself, which moves when it grows. */
    uintptr_t old_data = (uintptr_t)out->data;
    size_t old_size = out->size;
    enum status status = buf_reserve(out, (size_t)size);
    if (status != ST_OK) {
        return status;
    }
    struct value now = *value;
    now.packed = packed_rebase(value->packed, old_data, old_size, out);
    status = text_pieces(&now, offset, size, append_piece, out);
    if (status != ST_OK) {
        out->size = old_size;
    }
    return status;
}

static enum status packed_write(struct value *value, size_t offset, struct bytes bytes,
                                struct buf *scratch)
{
    size_t size = value->packed.size;
    size_t end = offset + bytes.size > size ? offset + bytes.size : size;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *start = buf_extend(scratch, end);
    if (start == NULL) {
        return ST_NOMEM;
    }
    struct bytes old = packed_rebase(value->packed, old_data, old_size, scratch);
    if (old.size > 0) {
        memcpy(start, old.data, old.size);
    }
    if (offset > size) {
        memset(start + size, 0, offset - size);
    }
    memcpy(start + offset, packed_rebase(bytes, old_data, old_size, scratch).data, bytes.size);
    value->packed = bytes_of(start, end);
    return ST_OK;
}

enum status text_write(struct value *value, uint64_t offset, struct bytes bytes,
                       struct buf *scratch)
{
    CHECK(value->type == VALUE_STRING);
    if (bytes.size == 0) {
        return ST_OK; /* Nothing to write makes nothing grow. */
    }
    if (offset > TEXT_SIZE_MAX || bytes.size > TEXT_SIZE_MAX - offset) {
        return ST_LIMIT;
    }
    if (value->shape == VALUE_CLAST) {
        value_touch(value);
        return root_write(value->root, offset, bytes);
    }
    if (offset + bytes.size <= TEXT_PACKED_MAX && value->packed.size <= TEXT_PACKED_MAX) {
        return packed_write(value, (size_t)offset, bytes, scratch);
    }
    return root_make(value->packed, offset, bytes, value);
}

static enum status text_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    if (value->shape == VALUE_PACKED) {
        uintptr_t old_data = (uintptr_t)scratch->data;
        size_t old_size = scratch->size;
        unsigned char *start = buf_extend(scratch, value->packed.size);
        if (start == NULL) {
            return ST_NOMEM;
        }
        struct bytes old = packed_rebase(value->packed, old_data, old_size, scratch);
        if (old.size > 0) {
            memcpy(start, old.data, old.size);
        }
        return text_make(bytes_of(start, old.size), copy_out);
    }
    const struct text *text = value->root;
    struct text *copy = text_new();
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = parts_present(&text->parts, 0, segment_count(text->size));
    if (status == ST_OK) {
        status = parts_copy(&text->parts, &copy->parts);
    }
    if (status != ST_OK) {
        text_drop(copy);
        return status;
    }
    copy->size = text->size;
    *copy_out = (struct value){VALUE_STRING, VALUE_CLAST, BYTES_NONE, copy};
    return ST_OK;
}

static void text_free(struct value *value)
{
    text_drop(value->root);
    value->root = NULL;
}

static bool text_free_some(struct value *value, size_t parts)
{
    struct text *text = value->root;
    if (!parts_free_some(&text->parts, parts)) {
        return false;
    }
    text_free(value);
    return true;
}

static uint64_t text_memory(const struct value *value)
{
    return part_heap_size(sizeof(struct text)) +
           parts_memory(&((const struct text *)value->root)->parts);
}

static enum status text_encode(const struct value *value, struct buf *out)
{
    return text_read(value, 0, text_size(value), out);
}

static enum status text_decode(struct bytes body, const struct value_limits *limits,
                               struct buf *scratch, struct value *value_out)
{
    return text_make(body, value_out);
}

static struct value text_empty(void)
{
    return (struct value){.type = VALUE_STRING, .shape = VALUE_PACKED};
}

/* An empty string is a value like any other. */
static bool text_vanishes(const struct value *value)
{
    return false;
}

/* Redis keeps strings up to this size in one block with their header. */
#define EMBEDDED_MAX 44

static const char *text_encoding(const struct value *value, const struct value_limits *limits)
{
    int64_t number;
    if (value->shape == VALUE_PACKED && bytes_to_int64(value->packed, &number)) {
        return "int";
    }
    return text_size(value) <= EMBEDDED_MAX ? "embstr" : "raw";
}

static enum status text_tables(void *root, value_table_fn fn, void *ctx)
{
    return fn(ctx, &((struct text *)root)->parts);
}

/* v size, the table. */
static enum status text_store(const struct value *value, struct buf *out)
{
    const struct text *text = value->root;
    unsigned char size[VARINT_MAX];
    enum status status = buf_append(out, bytes_of(size, varint_store(size, text->size)));
    return status == ST_OK ? parts_store(&text->parts, out) : status;
}

static enum status text_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out)
{
    uint64_t size;
    if (!varint_take_shortest(in, &size) || size > TEXT_SIZE_MAX) {
        return ST_CORRUPT;
    }
    struct text *text = text_new();
    if (text == NULL) {
        return ST_NOMEM;
    }
    enum status status = parts_load(&text->parts, in, clast);
    if (status == ST_OK &&
        (text->parts.end != segment_count(size) || text->parts.live != text->parts.end)) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        text_drop(text);
        return status;
    }
    text->size = size;
    text->head.changed = false;
    *root_out = text;
    return ST_OK;
}

const struct value_class text_class = {
    .name = "string",
    .empty = text_empty,
    .vanishes = text_vanishes,
    .encoding = text_encoding,
    .encode = text_encode,
    .decode = text_decode,
    .encoded_max = text_size,
    .copy = text_copy,
    .free = text_free,
    .free_some = text_free_some,
    .memory = text_memory,
    .tables = text_tables,
    .store = text_store,
    .load = text_load,
};
