#include "engine/strata/stratum_private.h"

#include <stdlib.h>

#define STEP ((size_t)1 << 20)

/* A copy under way. */
struct stratum_transfer {
    struct io_file *from, *to;
    unsigned char *room; /* STEP bytes. */
    stratum_copy_fn fn;
    void *ctx;
};

/* Bytes [offset, end) of the file, both multiples of STRATUM_BLOCK. */
static enum status range_copy(const struct stratum *stratum, struct stratum_transfer *transfer,
                              uint64_t offset, uint64_t end)
{
    while (offset < end) {
        size_t size = end - offset < STEP ? (size_t)(end - offset) : STEP;
        size_t got = 0;
        enum status status = io_file_read(transfer->from, transfer->room, size, offset, &got);
        if (status == ST_OK && got < size) {
            status = stratum_corrupt(stratum, offset + got, "the file ends too early");
        }
        if (status == ST_OK) {
            status = io_file_write(transfer->to, transfer->room, size, offset);
        }
        if (status == ST_OK) {
            status = transfer->fn(transfer->ctx, size);
        }
        if (status != ST_OK) {
            return status;
        }
        offset += size;
    }
    return ST_OK;
}

/* Past the page cache on both sides: what is copied is not what readers want next. */
static enum status file_copy(const struct stratum *stratum, const char *path, bool bare,
                             struct stratum_transfer *transfer)
{
    const struct stratum_layout *layout = &stratum->layout;
    enum status status = io_file_open(stratum->io, stratum->path, IO_READ_DIRECT, &transfer->from);
    if (status == ST_OK) {
        status = io_file_open(stratum->io, path, IO_WRITE_DIRECT, &transfer->to);
    }
    if (status == ST_OK) {
        status = range_copy(stratum, transfer, 0, bare ? layout->pages : layout->footer);
    }
    if (status == ST_OK) {
        status = range_copy(stratum, transfer, layout->footer, layout->file_size);
    }
    if (status == ST_OK) {
        status = io_file_sync(transfer->to);
    }
    return status;
}

enum status stratum_copy(struct stratum *stratum, const char *dir, bool bare, stratum_copy_fn fn,
                         void *ctx, bool *linked_out)
{
    char path[STRATUM_PATH_MAX];
    enum status status = stratum_path(path, dir, stratum->facts.id, true);
    *linked_out = false;
    if (status == ST_OK) {
        status = io_link(stratum->io, stratum->path, path, linked_out);
    }
    if (status != ST_OK || *linked_out) {
        return status;
    }
    struct stratum_transfer transfer = {.room = stratum_allocate(STEP), .fn = fn, .ctx = ctx};
    status = transfer.room == NULL ? ST_NOMEM : file_copy(stratum, path, bare, &transfer);
    io_file_close(transfer.to);
    io_file_close(transfer.from);
    free(transfer.room);
    return status;
}
