#include "engine/strata/lookup.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/strata/stratum_private.h"

#include <stdlib.h>

static void finish(struct lookup *lookup, enum status status)
{
    lookup->status = status;
    lookup->found = lookup->found && status == ST_OK;
    lookup->over = true;
}

static void want_page(struct lookup *lookup, const struct stratum *run)
{
    lookup->file = stratum_file(run);
    lookup->offset = stratum_page_offset(run, lookup->page);
    lookup->size = PAGE_SIZE_BYTES;
}

/* The first page that may have it in this run or an older one. */
static void run_next(struct lookup *lookup)
{
    while (lookup->run < lookup->view->count) {
        const struct stratum *run = lookup->view->runs[lookup->run];
        if (stratum_page_of(run, lookup->wanted.place, &lookup->page)) {
            want_page(lookup, run);
            return;
        }
        lookup->run++;
    }
    finish(lookup, ST_OK);
}

void lookup_begin(struct lookup *lookup, struct strata *strata, const struct stack *view,
                  const struct row *wanted, bool row_only)
{
    *lookup =
        (struct lookup){.strata = strata, .view = view, .wanted = *wanted, .row_only = row_only};
    run_next(lookup);
}

/* Whole blocks around the grain. */
static void want_grain(struct lookup *lookup)
{
    struct location at = lookup->row.at;
    lookup->stratum = strata_get(lookup->strata, at.stratum);
    if (lookup->stratum == NULL) {
        finish(lookup, ST_ABSENT);
        return;
    }
    uint64_t start = (uint64_t)at.unit * GRAIN_ALIGNMENT;
    enum status status = stratum_check_range(lookup->stratum, start, at.size);
    if (status != ST_OK) {
        finish(lookup, status);
        return;
    }
    lookup->file = stratum_file(lookup->stratum);
    lookup->offset = start / STRATUM_BLOCK * STRATUM_BLOCK;
    lookup->size = stratum_round_up(start + at.size) - lookup->offset;
}

static void page_taken(struct lookup *lookup, const unsigned char *data)
{
    const struct stratum *run = lookup->view->runs[lookup->run];
    struct bytes rows;
    bool more = false;
    atomic_fetch_add_explicit(&lookup->strata->page_reads, 1, memory_order_relaxed);
    enum status status = stratum_page_open(run, lookup->page, data, &rows);
    if (status == ST_OK) {
        status = page_find(rows, &lookup->wanted, &lookup->row, &lookup->found, &more);
    }
    if (status != ST_OK) {
        finish(lookup, status);
    } else if (lookup->found) {
        bool has_grain = lookup->row.kind == ROW_KEY || lookup->row.kind == ROW_PART;
        if (lookup->row_only || !has_grain) {
            finish(lookup, ST_OK);
        } else {
            want_grain(lookup);
        }
    } else if (more && lookup->page + 1 < stratum_facts(run)->page_count) {
        lookup->page++;
        want_page(lookup, run);
    } else {
        lookup->run++;
        run_next(lookup);
    }
}

static void grain_taken(struct lookup *lookup, const unsigned char *data)
{
    struct location at = lookup->row.at;
    uint64_t start = (uint64_t)at.unit * GRAIN_ALIGNMENT;
    atomic_fetch_add_explicit(&lookup->strata->grain_reads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lookup->strata->grain_bytes, at.size, memory_order_relaxed);
    lookup->row.key = (struct bytes){0};
    finish(lookup, strata_grain_parse(at, bytes_of(data + (start - lookup->offset), at.size),
                                      &lookup->grain));
}

void lookup_take(struct lookup *lookup, enum status status, const unsigned char *data, size_t size)
{
    CHECK(!lookup->over);
    const struct stratum *from =
        lookup->stratum != NULL ? lookup->stratum : lookup->view->runs[lookup->run];
    if (status == ST_OK && size < lookup->size) {
        status = stratum_corrupt(from, lookup->offset + size, "the file ends too early");
    }
    if (status != ST_OK) {
        finish(lookup, status);
    } else if (lookup->stratum != NULL) {
        grain_taken(lookup, data);
    } else {
        page_taken(lookup, data);
    }
}

void lookup_end(struct lookup *lookup)
{
    stratum_unref(lookup->stratum);
    lookup->stratum = NULL;
}

enum status lookup_room_reserve(struct lookup_room *room, size_t size)
{
    if (size <= room->capacity) {
        return ST_OK;
    }
    size_t capacity = stratum_round_up(size);
    unsigned char *data = stratum_allocate(capacity);
    if (data == NULL) {
        return ST_NOMEM;
    }
    free(room->data);
    *room = (struct lookup_room){data, capacity};
    return ST_OK;
}

void lookup_run(struct lookup *lookup, struct lookup_room *room)
{
    while (lookup_wants(lookup)) {
        size_t size = 0;
        enum status status = lookup_room_reserve(room, lookup->size);
        if (status == ST_OK) {
            status = io_file_read(lookup->file, room->data, lookup->size, lookup->offset, &size);
        }
        lookup_take(lookup, status, room->data, size);
    }
}
