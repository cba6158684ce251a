#include "engine/strata/stratum_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

#define AHEAD_PAGES 64 /* 256 KiB a read: a device is near its full speed there. */

struct stratum_cursor {
    struct stratum *stratum;
    uint64_t from; /* Places below are passed over. */
    uint64_t last; /* Place of the last row taken. */
    uint32_t next_page;
    uint32_t ahead_first, ahead_count; /* The pages in `ahead`. */
    uint32_t ahead_next;               /* How many to read next: short walks read little. */
    struct bytes rows;                 /* Left of the page under way. */
    unsigned char *ahead;
};

enum status stratum_cursor_new(struct stratum *stratum, uint64_t from,
                               struct stratum_cursor **cursor_out)
{
    CHECK(stratum->has_run);
    struct stratum_cursor *cursor = calloc(1, sizeof(*cursor));
    uint32_t first = stratum_page_at(stratum, from);
    uint64_t pages = stratum->facts.page_count - first;
    pages = pages < AHEAD_PAGES ? pages : AHEAD_PAGES;
    unsigned char *ahead = stratum_allocate(pages * PAGE_SIZE_BYTES);
    if (cursor == NULL || ahead == NULL) {
        free(cursor);
        free(ahead);
        return ST_NOMEM;
    }
    stratum_ref(stratum);
    cursor->stratum = stratum;
    cursor->from = from;
    cursor->next_page = first;
    cursor->ahead_next = 1;
    cursor->ahead = ahead;
    *cursor_out = cursor;
    return ST_OK;
}

void stratum_cursor_free(struct stratum_cursor *cursor)
{
    if (cursor == NULL) {
        return;
    }
    stratum_unref(cursor->stratum);
    free(cursor->ahead);
    free(cursor);
}

static enum status read_ahead(struct stratum_cursor *cursor)
{
    uint32_t left = cursor->stratum->facts.page_count - cursor->next_page;
    uint32_t count = left < cursor->ahead_next ? left : cursor->ahead_next;
    uint64_t offset = stratum_page_offset(cursor->stratum, cursor->next_page);
    enum status status = stratum_read_exactly(cursor->stratum, offset, cursor->ahead,
                                              (size_t)count * PAGE_SIZE_BYTES);
    if (status == ST_OK) {
        cursor->ahead_first = cursor->next_page;
        cursor->ahead_count = count;
        cursor->ahead_next =
            cursor->ahead_next * 4 < AHEAD_PAGES ? cursor->ahead_next * 4 : AHEAD_PAGES;
    }
    return status;
}

static enum status next_page(struct stratum_cursor *cursor)
{
    if (cursor->next_page >= cursor->ahead_first + cursor->ahead_count) {
        enum status status = read_ahead(cursor);
        if (status != ST_OK) {
            return status;
        }
    }
    size_t index = cursor->next_page - cursor->ahead_first;
    enum status status = stratum_page_open(cursor->stratum, cursor->next_page,
                                           cursor->ahead + index * PAGE_SIZE_BYTES, &cursor->rows);
    cursor->next_page += status == ST_OK;
    return status;
}

/* The page that the rows at hand are of. */
static uint64_t page_offset(const struct stratum_cursor *cursor)
{
    return stratum_page_offset(cursor->stratum, cursor->next_page - 1);
}

static enum status take_row(struct stratum_cursor *cursor, struct row *row_out)
{
    if (!row_take(&cursor->rows, row_out)) {
        return stratum_corrupt(cursor->stratum, page_offset(cursor), "a row is malformed");
    }
    if (row_out->place < cursor->last) {
        return stratum_corrupt(cursor->stratum, page_offset(cursor), "rows descend");
    }
    cursor->last = row_out->place;
    return ST_OK;
}

enum status stratum_cursor_next(struct stratum_cursor *cursor, struct row *row_out, bool *found_out)
{
    *found_out = false;
    do {
        enum status status = ST_OK;
        while (cursor->rows.size == 0 && status == ST_OK) {
            if (cursor->next_page == cursor->stratum->facts.page_count) {
                return ST_OK;
            }
            status = next_page(cursor);
        }
        if (status == ST_OK) {
            status = take_row(cursor, row_out);
        }
        if (status != ST_OK) {
            return status;
        }
    } while (row_out->place < cursor->from);
    *found_out = true;
    return ST_OK;
}
