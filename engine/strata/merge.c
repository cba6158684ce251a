/* A heap holds the inputs, the one with the least place on top, of equal ones the newest. All rows
 * with one place are gathered before any is given: nearly always that is one row, or a few of one
 * name; only where several names share the place are they sorted. Gathering copies, because a
 * cursor lends its row until it moves on. A reading that fails leaves the gathered rows and the
 * input that could not move on (`stale`) as they are, so that the next call goes on there.
 */
#include "engine/strata/merge.h"

#include "engine/base/check.h"

#include <stdlib.h>

struct input {
    struct stratum_cursor *cursor;
    struct row row; /* The next one, lent by the cursor. */
    unsigned index;
};

struct merge {
    uint64_t last;
    struct input **heap; /* Inputs that have a row. */
    unsigned heap_count;
    bool stale;     /* The row of the top input was gathered: the input has to move on. */
    bool gathering; /* The rows gathered may not be all of their place yet. */
    struct merge_row *rows;
    unsigned row_count, row_room, row_given;
    struct buf keys; /* Of the rows gathered. */
    unsigned input_count;
    struct input inputs[];
};

/* -- Heap -------------------------------------------------------------------------------------- */

static bool input_before(const struct input *a, const struct input *b)
{
    return a->row.place != b->row.place ? a->row.place < b->row.place : a->index < b->index;
}

/* Puts the input at index where it belongs below. */
static void sift_down(struct merge *merge, unsigned index)
{
    struct input *moved = merge->heap[index];
    for (;;) {
        unsigned child = 2 * index + 1;
        if (child + 1 < merge->heap_count &&
            input_before(merge->heap[child + 1], merge->heap[child])) {
            child++;
        }
        if (child >= merge->heap_count || !input_before(merge->heap[child], moved)) {
            break;
        }
        merge->heap[index] = merge->heap[child];
        index = child;
    }
    merge->heap[index] = moved;
}

/* Reads the input's next row; *more_out false: it has none within the range. */
static enum status input_next(const struct merge *merge, struct input *input, bool *more_out)
{
    enum status status = stratum_cursor_next(input->cursor, &input->row, more_out);
    *more_out = status == ST_OK && *more_out && input->row.place <= merge->last;
    return status;
}

/* -- Life -------------------------------------------------------------------------------------- */

static enum status input_open(struct merge *merge, struct stratum *stratum, uint64_t first)
{
    struct input *input = &merge->inputs[merge->input_count];
    bool more;
    enum status status = stratum_cursor_new(stratum, first, &input->cursor);
    if (status != ST_OK) {
        return status;
    }
    input->index = merge->input_count++;
    status = input_next(merge, input, &more);
    if (more) {
        merge->heap[merge->heap_count++] = input;
    }
    return status;
}

enum status merge_new(struct stratum *const *strata, unsigned count, uint64_t first, uint64_t last,
                      struct merge **merge_out)
{
    CHECK(first <= last);
    struct merge *merge = calloc(1, sizeof(*merge) + count * sizeof(merge->inputs[0]));
    if (merge == NULL) {
        return ST_NOMEM;
    }
    merge->last = last;
    merge->heap = calloc(count + 1, sizeof(struct input *));
    enum status status = merge->heap == NULL ? ST_NOMEM : ST_OK;
    for (unsigned i = 0; i < count && status == ST_OK; i++) {
        status = input_open(merge, strata[i], first);
    }
    if (status != ST_OK) {
        merge_free(merge);
        return status;
    }
    for (unsigned i = merge->heap_count / 2; i > 0; i--) {
        sift_down(merge, i - 1);
    }
    *merge_out = merge;
    return ST_OK;
}

void merge_free(struct merge *merge)
{
    if (merge == NULL) {
        return;
    }
    for (unsigned i = 0; i < merge->input_count; i++) {
        stratum_cursor_free(merge->inputs[i].cursor);
    }
    free(merge->heap);
    free(merge->rows);
    buf_deinit(&merge->keys);
    free(merge);
}

/* -- Gathering --------------------------------------------------------------------------------- */

static enum status rows_reserve(struct merge *merge)
{
    if (merge->row_count < merge->row_room) {
        return ST_OK;
    }
    unsigned room = merge->row_room == 0 ? 16 : merge->row_room * 2;
    struct merge_row *rows = realloc(merge->rows, room * sizeof(*rows));
    if (rows == NULL) {
        return ST_NOMEM;
    }
    merge->rows = rows;
    merge->row_room = room;
    return ST_OK;
}

static enum status rows_add(struct merge *merge, const struct input *input)
{
    size_t key_offset = merge->keys.size;
    enum status status = rows_reserve(merge);
    if (status == ST_OK) {
        status = buf_append(&merge->keys, input->row.key);
    }
    if (status != ST_OK) {
        return status;
    }
    merge->rows[merge->row_count] =
        (struct merge_row){input->row, input->index, merge->row_count, key_offset};
    merge->row_count++;
    return ST_OK;
}

/* The top input moves on, if its row was gathered. */
static enum status top_settle(struct merge *merge)
{
    bool more;
    if (!merge->stale) {
        return ST_OK;
    }
    enum status status = input_next(merge, merge->heap[0], &more);
    if (status != ST_OK) {
        return status;
    }
    merge->stale = false;
    if (!more) {
        merge->heap[0] = merge->heap[--merge->heap_count];
    }
    if (merge->heap_count > 0) {
        sift_down(merge, 0);
    }
    return ST_OK;
}

/* Rows of one name come in the order in which they were gathered: newest input first. */
static int by_name(const void *a, const void *b)
{
    const struct merge_row *x = a;
    const struct merge_row *y = b;
    int order = row_compare(&x->row, &y->row);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void rows_finish(struct merge *merge)
{
    bool one_name = true;
    for (unsigned i = 0; i < merge->row_count; i++) {
        struct merge_row *row = &merge->rows[i];
        if (row->row.key.size > 0) {
            row->row.key.data = merge->keys.data + row->key_offset;
        }
        one_name &= row_same(&merge->rows[0].row, &row->row);
    }
    if (!one_name) {
        qsort(merge->rows, merge->row_count, sizeof(*merge->rows), by_name);
    }
}

/* All rows of the least place that is left, from all inputs. */
static enum status gather(struct merge *merge)
{
    if (!merge->gathering) {
        merge->gathering = true;
        merge->row_count = 0;
        merge->row_given = 0;
        merge->keys.size = 0;
    }
    for (;;) {
        enum status status = top_settle(merge);
        if (status != ST_OK) {
            return status;
        }
        if (merge->heap_count == 0 ||
            (merge->row_count > 0 && merge->heap[0]->row.place != merge->rows[0].row.place)) {
            break;
        }
        status = rows_add(merge, merge->heap[0]);
        if (status != ST_OK) {
            return status;
        }
        merge->stale = true;
    }
    rows_finish(merge);
    merge->gathering = false;
    return ST_OK;
}

enum status merge_next(struct merge *merge, struct merged *merged_out, bool *found_out)
{
    *found_out = false;
    if (merge->row_given == merge->row_count || merge->gathering) {
        enum status status = gather(merge);
        if (status != ST_OK || merge->row_count == 0) {
            return status;
        }
    }
    const struct merge_row *first = &merge->rows[merge->row_given];
    unsigned rest = merge->row_count - merge->row_given;
    unsigned count = 1;
    while (count < rest && row_same(&first->row, &first[count].row)) {
        count++;
    }
    merge->row_given += count;
    *merged_out = (struct merged){first, count};
    *found_out = true;
    return ST_OK;
}
