#include "tests/lib/shelf.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/value_class.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define MISSES_MAX 64

static _Atomic uint64_t last_clast;

void shelf_init(struct shelf *shelf)
{
    *shelf = (struct shelf){.root = BUF_EMPTY};
}

void shelf_deinit(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++) {
        part_unref(shelf->rows[i].part);
    }
    value_capture_deinit(&shelf->capture);
    free(shelf->rows);
    free(shelf->sums);
    buf_deinit(&shelf->root);
    shelf_init(shelf);
}

static uint64_t sum_of(const struct part *part)
{
    return part == NULL ? 0 : hash_element(bytes_of(part->data, part->size), 1);
}

bool shelf_capture(struct shelf *shelf, struct value *value, uint64_t fail_from)
{
    CHECK(!shelf->writing);
    uint64_t clast = shelf->clast == 0 ? ++last_clast : shelf->clast;
    size_t before = shelf->root.size;
    part_test_fail_from(fail_from);
    enum status status = value_capture(value, clast, &shelf->root, &shelf->capture);
    part_test_fail_from(0);
    if (status != ST_OK) {
        EXPECT(status == ST_NOMEM && fail_from != 0 && shelf->root.size == before);
        return false;
    }
    shelf->clast = clast;
    EXPECT(value_clast(value) == clast && !value_dirty(value));
    /* The new root form alone is of use from now on. */
    shelf->root.size -= before;
    memmove(shelf->root.data, shelf->root.data + before, shelf->root.size);
    struct buf again = BUF_EMPTY;
    EXPECT(value_root_store(value, &again) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&again), buf_bytes(&shelf->root)));
    buf_deinit(&again);
    shelf->sums = calloc(shelf->capture.row_count + 1, sizeof(uint64_t));
    EXPECT(shelf->sums != NULL);
    for (size_t i = 0; i < shelf->capture.row_count; i++) {
        shelf->sums[i] = sum_of(shelf->capture.rows[i].part);
    }
    shelf->row_count += shelf->capture.row_count;
    shelf->writing = true;
    return true;
}

static int row_compare(const struct shelf_row *row, uint32_t table, uint32_t number)
{
    return row->table != table ? (row->table > table) - (row->table < table)
                               : (row->number > number) - (row->number < number);
}

/* Where it is, or belongs. */
static size_t row_find(const struct shelf *shelf, uint32_t table, uint32_t number, bool *found_out)
{
    size_t low = 0;
    size_t high = shelf->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_compare(&shelf->rows[middle], table, number) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found_out = low < shelf->count && row_compare(&shelf->rows[low], table, number) == 0;
    return low;
}

static void rows_cut(struct shelf *shelf, size_t index, size_t count)
{
    if (count == 0) {
        return;
    }
    for (size_t i = index; i < index + count; i++) {
        part_unref(shelf->rows[i].part);
    }
    memmove(shelf->rows + index, shelf->rows + index + count,
            (shelf->count - index - count) * sizeof(shelf->rows[0]));
    shelf->count -= count;
}

static void row_put(struct shelf *shelf, const struct parts_row *row)
{
    bool found;
    size_t index = row_find(shelf, row->table, row->number, &found);
    if (row->part == NULL) {
        EXPECT(found); /* R1: only what lies there dies. */
        rows_cut(shelf, index, 1);
        return;
    }
    if (shelf->count == shelf->capacity) {
        shelf->capacity = shelf->capacity == 0 ? 64 : shelf->capacity * 2;
        shelf->rows = realloc(shelf->rows, shelf->capacity * sizeof(shelf->rows[0]));
        EXPECT(shelf->rows != NULL);
    }
    struct part *copy = part_clone(row->part, row->part->size);
    EXPECT(copy != NULL);
    if (found) {
        part_unref(shelf->rows[index].part);
    } else {
        memmove(shelf->rows + index + 1, shelf->rows + index,
                (shelf->count - index) * sizeof(shelf->rows[0]));
        shelf->count++;
    }
    shelf->rows[index] = (struct shelf_row){row->table, row->number, copy};
}

struct counted {
    uint64_t live, lost;
};

static enum status table_count(void *ctx, struct parts *parts)
{
    struct counted *counted = ctx;
    EXPECT(parts_check(parts));
    counted->live += parts->live;
    counted->lost += parts->lost;
    return ST_OK;
}

void shelf_write(struct shelf *shelf, struct value *value)
{
    if (!shelf->writing) {
        return;
    }
    struct value_capture *capture = &shelf->capture;
    bool found;
    for (size_t i = 0; i < capture->dropped_count; i++) {
        size_t first = row_find(shelf, capture->dropped[i], 0, &found);
        size_t end = row_find(shelf, capture->dropped[i] + 1, 0, &found);
        rows_cut(shelf, first, end - first);
    }
    for (size_t i = 0; i < capture->row_count; i++) {
        /* T4: whatever has changed meanwhile. */
        EXPECT(sum_of(capture->rows[i].part) == shelf->sums[i]);
        row_put(shelf, &capture->rows[i]);
    }
    value_capture_deinit(capture);
    free(shelf->sums);
    shelf->sums = NULL;
    shelf->writing = false;
    if (!value_dirty(value)) { /* R1 */
        struct counted counted = {.live = 0};
        EXPECT(value_class_of(value->type)->tables(value->root, table_count, &counted) == ST_OK);
        shelf->leaky |= counted.lost > 0;
        EXPECT(shelf->leaky ? shelf->count >= counted.live : shelf->count == counted.live);
    }
}

void shelf_serve(struct shelf *shelf, struct value *value)
{
    struct parts_miss misses[MISSES_MAX];
    size_t count = parts_take_misses(misses, MISSES_MAX);
    size_t installed = 0;
    for (size_t i = 0; i < count; i++) {
        bool found;
        size_t index = row_find(shelf, misses[i].table, misses[i].number, &found);
        EXPECT(misses[i].clast == shelf->clast && found);
        const struct part *kept = shelf->rows[index].part;
        struct part *part = part_clone(kept, kept->size);
        EXPECT(part != NULL);
        enum status status = value_install(value, misses[i].table, misses[i].number, part);
        EXPECT(status == ST_OK || status == ST_ABSENT);
        if (status == ST_OK) {
            installed++;
        } else {
            part_unref(part);
        }
    }
    EXPECT(installed > 0);
    shelf->loads += installed;
}

void shelf_reload(struct shelf *shelf, struct value *value, const struct value_limits *limits)
{
    enum value_type type = value->type;
    EXPECT(!shelf->writing && !value_dirty(value) && shelf->clast != 0);
    value_free(value);
    EXPECT(value_root_load(buf_bytes(&shelf->root), type, shelf->clast, limits, value) == ST_OK);
    EXPECT(value_clast(value) == shelf->clast && !value_dirty(value));
}

void shelf_follow(struct shelf *shelf, const struct value *value)
{
    if (shelf->clast != 0 && value_clast(value) != shelf->clast) {
        uint64_t loads = shelf->loads;
        uint64_t row_count = shelf->row_count;
        shelf_deinit(shelf);
        shelf->loads = loads;
        shelf->row_count = row_count;
    }
}

/* -- What two values have in common ------------------------------------------------------------ */

static int item_compare(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Hashes and sets have no order of their own: their items one after the other, sorted. */
static void items_sort(struct buf *encoded)
{
    bool hash = encoded->data[0] == VALUE_HASH;
    bool timed = hash && encoded->data[1] != 0;
    struct bytes rest = bytes_slice(buf_bytes(encoded), hash ? 2 : 1, SIZE_MAX);
    uint64_t count = 0;
    EXPECT(varint_take_shortest(&rest, &count));
    struct bytes *items = calloc(count + 1, sizeof(*items));
    unsigned char *sorted = malloc(rest.size + 1);
    unsigned char *start = (unsigned char *)(uintptr_t)rest.data;
    unsigned char *p = sorted;
    EXPECT(items != NULL && sorted != NULL);
    for (uint64_t i = 0; i < count; i++) {
        struct bytes before = rest;
        struct bytes piece;
        EXPECT(bytes_take_sized(&rest, &piece) && (!hash || bytes_take_sized(&rest, &piece)));
        rest = timed ? bytes_slice(rest, 8, SIZE_MAX) : rest;
        items[i] = bytes_of(before.data, before.size - rest.size);
    }
    qsort(items, count, sizeof(*items), item_compare);
    for (uint64_t i = 0; i < count; i++) {
        memcpy(p, items[i].data, items[i].size);
        p += items[i].size;
    }
    memcpy(start, sorted, (size_t)(p - sorted));
    free(items);
    free(sorted);
}

void shelf_encode(struct shelf *shelf, struct value *value, struct buf *out)
{
    out->size = 0;
    enum status status;
    (void)parts_take_misses(NULL, 0);
    while ((status = value_encode(value, out)) == ST_WAIT) {
        shelf_serve(shelf, value);
    }
    EXPECT(status == ST_OK);
    if (value->type == VALUE_HASH || value->type == VALUE_SET) {
        items_sort(out);
    }
}
