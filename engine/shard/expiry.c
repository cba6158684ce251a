/* Four children a row: half the levels of a binary heap, and the four lie in one cache line, so a
 * removal costs half the misses. Rows move along a hole instead of being swapped. */
#include "engine/shard/expiry.h"

#include "engine/base/check.h"

#include <stdlib.h>

#define CHILDREN 4
#define CAPACITY_MIN 64
#define STALE_MIN 1024

void expiry_init(struct expiry *expiry)
{
    *expiry = (struct expiry){NULL, 0, 0};
}

void expiry_deinit(struct expiry *expiry)
{
    if (expiry == NULL) {
        return;
    }
    free(expiry->rows);
    expiry_init(expiry);
}

static enum status resize(struct expiry *expiry, size_t capacity)
{
    if (capacity > SIZE_MAX / 2 / sizeof(struct expiry_row)) {
        return ST_NOMEM;
    }
    struct expiry_row *rows = realloc(expiry->rows, capacity * sizeof(*rows));
    if (rows == NULL) {
        return ST_NOMEM;
    }
    expiry->rows = rows;
    expiry->capacity = capacity;
    return ST_OK;
}

enum status expiry_reserve(struct expiry *expiry, size_t count)
{
    if (expiry->capacity - expiry->count >= count) {
        return ST_OK;
    }
    size_t capacity = expiry->capacity + expiry->capacity / 2 + count;
    return resize(expiry, capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);
}

/* Lifts the hole to where a row of this time belongs. */
static size_t lift(struct expiry_row *rows, size_t hole, int64_t at_ms)
{
    while (hole > 0) {
        size_t parent = (hole - 1) / CHILDREN;
        if (rows[parent].at_ms <= at_ms) {
            break;
        }
        rows[hole] = rows[parent];
        hole = parent;
    }
    return hole;
}

void expiry_add(struct expiry *expiry, int64_t at_ms, uint64_t hash)
{
    CHECK(expiry->count < expiry->capacity);
    struct expiry_row *rows = expiry->rows;
    size_t hole = lift(rows, expiry->count++, at_ms);
    rows[hole] = (struct expiry_row){at_ms, hash};
}

/* Sinks row from the hole to its place among count rows. */
static void sink(struct expiry_row *rows, size_t count, size_t hole, struct expiry_row row)
{
    for (;;) {
        size_t first = hole * CHILDREN + 1;
        if (first >= count) {
            break;
        }
        size_t end = count - first < CHILDREN ? count : first + CHILDREN;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++) {
            if (rows[child].at_ms < rows[least].at_ms) {
                least = child;
            }
        }
        if (rows[least].at_ms >= row.at_ms) {
            break;
        }
        rows[hole] = rows[least];
        hole = least;
    }
    rows[hole] = row;
}

static void shrink(struct expiry *expiry)
{
    if (expiry->capacity > CAPACITY_MIN && expiry->count < expiry->capacity / 4) {
        status_ignore(resize(expiry, expiry->capacity / 2), "a heap too large is still a heap");
    }
}

bool expiry_take_due(struct expiry *expiry, int64_t now_ms, struct expiry_row *row_out)
{
    if (expiry->count == 0 || expiry->rows[0].at_ms > now_ms) {
        return false;
    }
    *row_out = expiry->rows[0];
    expiry->count--;
    if (expiry->count > 0) {
        sink(expiry->rows, expiry->count, 0, expiry->rows[expiry->count]);
    }
    shrink(expiry);
    return true;
}

void expiry_drop(struct expiry *expiry, size_t index)
{
    CHECK(index < expiry->count);
    struct expiry_row last = expiry->rows[--expiry->count];
    if (index < expiry->count) {
        /* The last row may come from another branch, and so belong above the hole. */
        sink(expiry->rows, expiry->count, lift(expiry->rows, index, last.at_ms), last);
    }
    shrink(expiry);
}

bool expiry_stale(const struct expiry *expiry, uint64_t needed_count)
{
    return expiry->count >= STALE_MIN && expiry->count / 2 > needed_count;
}
