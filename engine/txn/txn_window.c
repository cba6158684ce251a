#include "engine/txn/txn_window.h"

#include "engine/base/check.h"
#include "engine/strata/merge.h"

#include <stdatomic.h>
#include <stdlib.h>

static enum status row_add(struct window *window, const struct row *row, struct bytes name)
{
    struct window_row added = {
        .place = row->place,
        .name_offset = window->names.size,
        .name_size = name.size,
        .type = row->type,
        .flags = row->flags,
        .expiry_ms = (row->flags & ROW_EXPIRES) != 0 ? row->expiry_ms : EXPIRY_NONE,
    };
    enum status status = buf_append(&window->names, name);
    if (status == ST_OK) {
        status = buf_append(&window->rows, bytes_of(&added, sizeof(added)));
    }
    return status;
}

/* ST_ABSENT: its grain has moved; the partition is read again. */
static enum status row_take_in(struct window *window, const struct row *row)
{
    if (row->kind != ROW_KEY || row->namespace_id != window->namespace_id) {
        return ST_OK;
    }
    if ((row->flags & ROW_LONG) == 0) {
        return row_add(window, row, row->key);
    }
    struct buf room = BUF_EMPTY;
    struct grain grain;
    enum status status = strata_read(&window->basin->strata, row->at, &room, &grain);
    if (status == ST_OK) {
        status = row_add(window, row, grain.key);
    }
    buf_deinit(&room);
    return status;
}

/* The keys of one partition from `first` on, until there are `rows` in all and no further one has
 * the last one's place. *last_out: up to where the partition is covered. */
static enum status partition_add(struct window *window, const struct stack *view, uint64_t first,
                                 uint64_t end, uint64_t rows, uint64_t *last_out)
{
    struct merge *merge = NULL;
    enum status status = merge_new(view->runs, view->count, first, end, &merge);
    uint64_t last = first;
    *last_out = end;
    while (status == ST_OK) {
        struct merged merged;
        bool found = false;
        status = merge_next(merge, &merged, &found);
        if (status != ST_OK || !found) {
            break;
        }
        uint64_t place = merged.rows[0].row.place;
        if (place != last && window_count(window) >= rows) {
            *last_out = place - 1;
            break;
        }
        last = place;
        status = row_take_in(window, &merged.rows[0].row);
    }
    merge_free(merge);
    return status;
}

static enum status partition_read(struct window *window, unsigned p, uint64_t first, uint64_t end,
                                  uint64_t rows)
{
    struct basin *basin = window->basin;
    struct buf names_before = {.size = window->names.size};
    size_t rows_before = window->rows.size;
    enum status status;
    do {
        struct shard *shard = &basin->shards[basin->partition_shard[p]];
        struct stack view;
        window->names.size = names_before.size;
        window->rows.size = rows_before;
        shard_lock_blocking(shard);
        status = stack_copy(&basin->stacks[p], &view);
        shard_unlock(shard);
        if (status != ST_OK) {
            return status;
        }
        window->last = end;
        if (view.count > 0) {
            status = partition_add(window, &view, first, end, rows, &window->last);
        }
        stack_deinit(&view);
    } while (status == ST_ABSENT);
    return status;
}

enum status window_new(struct basin *basin, uint32_t namespace_id, uint64_t first, uint64_t rows,
                       struct window **window_out)
{
    struct window *window = calloc(1, sizeof(*window));
    if (window == NULL) {
        return ST_NOMEM;
    }
    *window = (struct window){.basin = basin, .namespace_id = namespace_id, .first = first};
    atomic_fetch_add(&basin->windows, 1);
    enum status status = ST_OK;
    for (unsigned p = place_partition(first); p < PARTITION_COUNT && status == ST_OK; p++) {
        uint64_t start = (uint64_t)p << (64 - PARTITION_BITS);
        uint64_t end = start | PLACE_LOW; /* Of its keys. */
        status = partition_read(window, p, start > first ? start : first, end, rows);
        if (window->last != end) {
            break;
        }
    }
    if (status != ST_OK) {
        window_free(window);
        return status;
    }
    *window_out = window;
    return ST_OK;
}

void window_free(struct window *window)
{
    if (window != NULL) {
        atomic_fetch_sub(&window->basin->windows, 1);
        buf_deinit(&window->rows);
        buf_deinit(&window->names);
        free(window);
    }
}

size_t window_seek(const struct window *window, uint64_t place)
{
    size_t low = 0;
    size_t high = window_count(window);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (window_at(window, middle)->place < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
