/* The root form, little-endian:
 *
 *   0 u8 version (1), v number of the last table given out, then by type, as the type's own file
 *   says: scalars and tables (parts_disk.c).
 *
 * (v: varint, in its shortest form.) Nothing follows.
 *
 * A capture first does all that can fail: makes private what will change (parts_capture_begin),
 * numbers the tables that have none, which is nothing before the root's head agrees, makes room
 * for the rows and writes the root form. Then it takes the rows, which cannot fail.
 */
#include "engine/value/root.h"

#include "engine/base/check.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

#define ROOT_VERSION 1

static const struct value_class *class_of(const struct value *value)
{
    const struct value_class *class = value_class_of(value->type);
    CHECK(class != NULL && value->shape == VALUE_CLAST && value->root != NULL);
    return class;
}

static struct value_root *head_of(const struct value *value)
{
    return value->root;
}

static struct parts_numbers *dropped_of(const struct value *value)
{
    const struct value_class *class = class_of(value);
    return class->dropped == NULL ? NULL : *class->dropped(value->root);
}

static void recount(const struct value *value)
{
    const struct value_class *class = class_of(value);
    if (class->recount != NULL) {
        class->recount(value->root);
    }
}

/* -- Questions --------------------------------------------------------------------------------- */

static enum status first_clast(void *ctx, struct parts *parts)
{
    *(uint64_t *)ctx = parts->clast;
    return ST_ABSENT; /* Enough. */
}

uint64_t value_clast(const struct value *value)
{
    uint64_t clast = 0;
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        enum status status = class_of(value)->tables(value->root, first_clast, &clast);
        CHECK(status == ST_ABSENT);
    }
    return clast;
}

static enum status table_dirty(void *ctx, struct parts *parts)
{
    return parts_dirty(parts) ? ST_ABSENT : ST_OK;
}

bool value_dirty(const struct value *value)
{
    if (value->shape == VALUE_PACKED || value_clast(value) == 0 || head_of(value)->changed) {
        return true;
    }
    const struct parts_numbers *dropped = dropped_of(value);
    return (dropped != NULL && dropped->count > 0) ||
           class_of(value)->tables(value->root, table_dirty, NULL) != ST_OK;
}

/* -- Capture ----------------------------------------------------------------------------------- */

struct capturing {
    uint64_t clast;
    uint32_t table_last;
    size_t rows;
    size_t dropped;
    struct value_capture *capture;
};

static enum status table_begin(void *ctx, struct parts *parts)
{
    struct capturing *capturing = ctx;
    size_t rows;
    CHECK(parts->clast == 0 || parts->clast == capturing->clast);
    enum status status = parts_capture_begin(parts, &rows);
    if (status != ST_OK) {
        return status;
    }
    capturing->rows += rows;
    capturing->dropped += parts->former != 0;
    if (!parts->tracked) {
        CHECK(capturing->table_last < UINT32_MAX);
        parts->table = ++capturing->table_last;
    }
    return ST_OK;
}

static enum status table_capture(void *ctx, struct parts *parts)
{
    struct capturing *capturing = ctx;
    struct value_capture *capture = capturing->capture;
    if (parts->former != 0) {
        capture->dropped[capture->dropped_count++] = parts->former;
    }
    capture->row_count +=
        parts_capture(parts, capturing->clast, capture->rows + capture->row_count);
    return ST_OK;
}

static enum status form_store(const struct value *value, uint32_t table_last, struct buf *out)
{
    unsigned char head[1 + VARINT_MAX] = {ROOT_VERSION};
    size_t size = out->size;
    enum status status = buf_append(out, bytes_of(head, 1 + varint_store(head + 1, table_last)));
    if (status == ST_OK) {
        status = class_of(value)->store(value, out);
    }
    if (status != ST_OK) {
        out->size = size;
    }
    return status;
}

/* malloc of nothing may be NULL. */
static enum status array_make(size_t count, size_t size, void **array_out)
{
    *array_out = NULL;
    if (count > 0) {
        *array_out = part_alloc(count * size);
    }
    return count > 0 && *array_out == NULL ? ST_NOMEM : ST_OK;
}

static enum status capture_begin(struct value *value, struct capturing *capturing,
                                 struct buf *root_out)
{
    struct value_capture *capture = capturing->capture;
    enum status status = class_of(value)->tables(value->root, table_begin, capturing);
    if (status == ST_OK) {
        status = array_make(capturing->rows, sizeof(capture->rows[0]), (void **)&capture->rows);
    }
    if (status == ST_OK) {
        status =
            array_make(capturing->dropped, sizeof(capture->dropped[0]), (void **)&capture->dropped);
    }
    return status == ST_OK ? form_store(value, capturing->table_last, root_out) : status;
}

enum status value_capture(struct value *value, uint64_t clast, struct buf *root_out,
                          struct value_capture *capture_out)
{
    CHECK(clast != 0 && (value_clast(value) == 0 || value_clast(value) == clast));
    struct value_root *head = head_of(value);
    struct parts_numbers *dropped = dropped_of(value);
    *capture_out = (struct value_capture){.row_count = 0};
    struct capturing capturing = {.clast = clast,
                                  .table_last = head->table_last,
                                  .dropped = dropped == NULL ? 0 : dropped->count,
                                  .capture = capture_out};
    enum status status = capture_begin(value, &capturing, root_out);
    if (status != ST_OK) {
        value_capture_deinit(capture_out);
        return status;
    }
    for (uint32_t i = 0; dropped != NULL && i < dropped->count; i++) {
        capture_out->dropped[capture_out->dropped_count++] = dropped->numbers[i];
    }
    if (dropped != NULL) {
        dropped->count = 0;
    }
    status = class_of(value)->tables(value->root, table_capture, &capturing);
    CHECK(status == ST_OK && capture_out->row_count <= capturing.rows);
    head->table_last = capturing.table_last;
    head->changed = false;
    recount(value);
    return ST_OK;
}

void value_capture_deinit(struct value_capture *capture)
{
    for (size_t i = 0; i < capture->row_count; i++) {
        part_unref(capture->rows[i].part);
    }
    free(capture->rows);
    free(capture->dropped);
    *capture = (struct value_capture){.row_count = 0};
}

/* -- Stored form ------------------------------------------------------------------------------- */

enum status value_root_store(const struct value *value, struct buf *out)
{
    CHECK(!value_dirty(value));
    return form_store(value, head_of(value)->table_last, out);
}

static enum status table_collect(void *ctx, struct parts *parts)
{
    struct parts_numbers **numbers = ctx;
    enum status status = parts_numbers_reserve(numbers);
    if (status == ST_OK) {
        parts_numbers_add(*numbers, parts->table);
    }
    return status;
}

static int table_compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Tables have numbers that were given out, each its own. */
static enum status tables_differ(const struct value *value, uint32_t table_last)
{
    struct parts_numbers *numbers = NULL;
    enum status status = class_of(value)->tables(value->root, table_collect, &numbers);
    if (status == ST_OK) {
        qsort(numbers->numbers, numbers->count, sizeof(numbers->numbers[0]), table_compare);
        bool fine = numbers->numbers[numbers->count - 1] <= table_last;
        for (uint32_t i = 1; i < numbers->count; i++) {
            fine = fine && numbers->numbers[i - 1] != numbers->numbers[i];
        }
        status = fine ? ST_OK : ST_CORRUPT;
    }
    free(numbers);
    return status;
}

enum status value_root_load(struct bytes bytes, enum value_type type, uint64_t clast,
                            const struct value_limits *limits, struct value *value_out)
{
    const struct value_class *class = value_class_of(type);
    uint64_t table_last;
    CHECK(clast != 0);
    if (class == NULL || bytes.size == 0 || *(const unsigned char *)bytes.data != ROOT_VERSION) {
        return ST_CORRUPT;
    }
    bytes = bytes_slice(bytes, 1, bytes.size);
    if (!varint_take_shortest(&bytes, &table_last) || table_last > UINT32_MAX) {
        return ST_CORRUPT;
    }
    struct value value = {.type = type, .shape = VALUE_CLAST};
    enum status status = class->load(&bytes, clast, limits, &value.root);
    if (status != ST_OK) {
        return status;
    }
    status = tables_differ(&value, (uint32_t)table_last);
    if (status == ST_OK && (bytes.size > 0 || value_vanishes(&value))) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        value_free(&value);
        return status;
    }
    head_of(&value)->table_last = (uint32_t)table_last;
    *value_out = value;
    return ST_OK;
}

/* -- Coming and going -------------------------------------------------------------------------- */

struct installing {
    uint32_t table, number;
    struct part *part;
    enum status status;
};

static enum status table_install(void *ctx, struct parts *parts)
{
    struct installing *installing = ctx;
    if (!parts->tracked || parts->table != installing->table) {
        return ST_OK;
    }
    if (parts->absent > 0 && parts_absent(parts, installing->number)) {
        installing->status = parts_install(parts, installing->number, installing->part);
    }
    return ST_ABSENT; /* Enough. */
}

enum status value_install(struct value *value, uint32_t table, uint32_t number, struct part *part)
{
    struct installing installing = {table, number, part, ST_ABSENT};
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        enum status status = class_of(value)->tables(value->root, table_install, &installing);
        status_ignore(status, "it only ends the walk");
        recount(value);
    }
    return installing.status;
}

struct evicting {
    size_t left;
    uint64_t freed;
};

static enum status table_evict(void *ctx, struct parts *parts)
{
    struct evicting *evicting = ctx;
    size_t evicted;
    evicting->freed += parts_evict_some(parts, evicting->left, &evicted);
    evicting->left -= evicted;
    return evicting->left == 0 ? ST_ABSENT : ST_OK;
}

uint64_t value_evict_some(struct value *value, size_t parts)
{
    struct evicting evicting = {parts, 0};
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        enum status status = class_of(value)->tables(value->root, table_evict, &evicting);
        status_ignore(status, "it only ends the walk");
        recount(value);
    }
    return evicting.freed;
}
