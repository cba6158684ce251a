/* window: the keys of one database that are on disk, from a place on: what a walk over the keyspace
 * needs beside memory.
 *
 * A walk under the shards' locks cannot wait for the device. So it asks for a window (ST_WAIT),
 * which the loader builds without locks from views of the stacks, and runs again. While any window
 * is open nothing is evicted: a key that was in memory when the views were taken still is, and so
 * every key is either in the window or in memory, where memory is newer.
 *
 * Thread: built by the loader, read by the txn that owns it. Memory: some 50 bytes a key.
 */
#ifndef BASIN_ENGINE_TXN_TXN_WINDOW_H
#define BASIN_ENGINE_TXN_TXN_WINDOW_H

#include "engine/txn/store.h"

struct window_row {
    uint64_t place;
    size_t name_offset, name_size;
    unsigned type, flags; /* Of the row. */
    int64_t expiry_ms;    /* EXPIRY_NONE: none. */
};

struct window {
    struct basin *basin;
    uint32_t namespace_id;
    uint64_t first, last; /* Places that it covers. */
    struct buf rows;      /* struct window_row, ascending by place. */
    struct buf names;
};

/* Covers at least `rows` keys, or all from `first` on. Waits for the device. Given. */
enum status window_new(struct basin *basin, uint32_t namespace_id, uint64_t first, uint64_t rows,
                       struct window **window_out);
void window_free(struct window *window); /* NULL is fine. */

/* Index of the first row with place ≥ place. */
size_t window_seek(const struct window *window, uint64_t place);
static inline size_t window_count(const struct window *window)
{
    return window->rows.size / sizeof(struct window_row);
}
static inline const struct window_row *window_at(const struct window *window, size_t index)
{
    return (const struct window_row *)(const void *)window->rows.data + index;
}
static inline struct bytes window_name(const struct window *window, const struct window_row *row)
{
    return bytes_slice(buf_bytes(&window->names), row->name_offset, row->name_size);
}

#endif
