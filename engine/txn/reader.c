#include "engine/txn/reader.h"

#include "engine/base/check.h"
#include "engine/txn/txn_private.h"

#include <stdlib.h>

/* After a turn that has brought something, so much time for what must leave memory. */
#define FORGET_US 500
/* One in so many free slots goes to the bulk even if others wait. */
#define BULK_SHARE 4

struct reader_slot {
    struct io_request request;
    struct reader *reader;
    struct fetch *fetch;
    struct lookup_room room;
    struct reader_slot *next; /* Free. */
};

struct line {
    struct fetch *first, *last; /* By line_next. */
};

struct reader {
    struct basin *basin;
    struct io_queue *queue;
    struct reader_slot slots[READER_DEPTH];
    struct reader_slot *free;
    struct line few, bulk;
    unsigned taken; /* Fetches so far: whose turn it is. */
    bool prepared;  /* Something is to be started. */
    bool brought;   /* Something was finished in this turn. */
    struct evict_pool pool;
};

static void line_add(struct line *line, struct fetch *fetch)
{
    fetch->line_next = NULL;
    if (line->first == NULL) {
        line->first = fetch;
    } else {
        line->last->line_next = fetch;
    }
    line->last = fetch;
}

static struct fetch *line_take(struct line *line)
{
    struct fetch *fetch = line->first;
    if (fetch != NULL) {
        line->first = fetch->line_next;
    }
    return fetch;
}

static struct fetch *next_fetch(struct reader *reader)
{
    bool bulk_first = reader->taken++ % BULK_SHARE == 0;
    struct fetch *fetch = line_take(bulk_first ? &reader->bulk : &reader->few);
    return fetch != NULL ? fetch : line_take(bulk_first ? &reader->few : &reader->bulk);
}

/* Prepares the next read of the slot's look-up, or ends it. */
static void slot_advance(struct reader_slot *slot)
{
    struct reader *reader = slot->reader;
    struct lookup *lookup = &slot->fetch->lookup;
    while (lookup_wants(lookup)) {
        enum status status = lookup_room_reserve(&slot->room, lookup->size);
        if (status == ST_OK) {
            slot->request.file = lookup->file;
            slot->request.data = slot->room.data;
            slot->request.size = lookup->size;
            slot->request.offset = lookup->offset;
            status = io_queue_read(reader->queue, &slot->request);
        }
        if (status == ST_OK) {
            reader->prepared = true;
            return;
        }
        lookup_take(lookup, status, NULL, 0);
    }
    fetch_finish(slot->fetch);
    slot->fetch = NULL;
    slot->next = reader->free;
    reader->free = slot;
    reader->brought = true;
}

static void slot_done(struct io_request *request, enum status status)
{
    struct reader_slot *slot = request->ctx;
    lookup_take(&slot->fetch->lookup, status, slot->room.data, request->size_done);
    slot_advance(slot);
}

static void slots_fill(struct reader *reader)
{
    while (reader->free != NULL) {
        struct fetch *fetch = next_fetch(reader);
        if (fetch == NULL) {
            return;
        }
        struct reader_slot *slot = reader->free;
        reader->free = slot->next;
        slot->fetch = fetch;
        slot_advance(slot);
    }
}

void reader_add(struct reader *reader, struct fetch *fetch, bool bulk)
{
    line_add(bulk ? &reader->bulk : &reader->few, fetch);
    slots_fill(reader);
}

void reader_start(struct reader *reader)
{
    if (reader != NULL && reader->prepared) {
        reader->prepared = false;
        io_queue_start(reader->queue);
    }
}

void reader_turn(struct reader *reader)
{
    if (reader == NULL) {
        return;
    }
    io_queue_reap(reader->queue);
    slots_fill(reader);
    if (reader->brought && basin_memory_over(reader->basin)) {
        status_ignore(
            store_forget(reader->basin, &reader->pool, io_wall_ms(reader->basin->io), FORGET_US),
            "what could not leave now is tried with the next turn");
    }
    reader->brought = false;
    reader_start(reader);
}

int reader_fd(const struct reader *reader)
{
    return reader == NULL ? -1 : io_queue_fd(reader->queue);
}

enum status reader_new(struct basin *basin, struct reader **reader_out)
{
    *reader_out = NULL;
    if (!basin->settles) {
        return ST_OK;
    }
    struct reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return ST_NOMEM;
    }
    reader->basin = basin;
    evict_pool_init(&reader->pool, atomic_fetch_add(&basin->evict_seed, 1));
    for (unsigned i = 0; i < READER_DEPTH; i++) {
        struct reader_slot *slot = &reader->slots[i];
        *slot = (struct reader_slot){.reader = reader, .next = reader->free};
        slot->request.done = slot_done;
        slot->request.ctx = slot;
        reader->free = slot;
    }
    enum status status = io_queue_open(basin->io, READER_DEPTH, &reader->queue);
    if (status != ST_OK) {
        free(reader);
        return status;
    }
    *reader_out = reader;
    return ST_OK;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL) {
        return;
    }
    io_queue_close(reader->queue);
    for (unsigned i = 0; i < READER_DEPTH; i++) {
        if (reader->slots[i].fetch != NULL) {
            fetch_give_up(reader->slots[i].fetch);
        }
        free(reader->slots[i].room.data);
    }
    struct fetch *fetch;
    while ((fetch = next_fetch(reader)) != NULL) {
        fetch_give_up(fetch);
    }
    free(reader);
}
