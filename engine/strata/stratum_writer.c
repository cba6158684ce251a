/* How a file comes about.
 *
 *     grains → buffer (1 MiB) → io_file_write in whole buffers, aligned
 *     rows   → pages in chunks of 256 KiB, places            (memory until the end)
 *     finish: rest of the buffer, chunks, directory, filter, footer; sync; rename; sync
 *
 * Grains are taken whole or not at all. A call that meets a full disk may have written some of its
 * bytes already; then the writer goes back to the block in which they began, whose beginning it has
 * kept, and the next call writes the same place again. finish changes nothing in memory that
 * another finish would miss, so it simply begins anew.
 */
#include "engine/strata/stratum_private.h"

#include "engine/base/check.h"
#include "engine/index/bloom.h"

#include <stdlib.h>

#define BUFFER_SIZE ((size_t)1 << 20)
#define CHUNK_PAGES 64

struct chunk {
    struct chunk *next;
    uint64_t last_places[CHUNK_PAGES];
    unsigned char *pages;
};

struct stratum_writer {
    struct io *io;
    struct io_file *file;
    unsigned char *buffer;
    uint64_t buffer_offset; /* In the file; a multiple of STRATUM_BLOCK. */
    size_t buffer_used;
    struct chunk *first, *last;
    unsigned char *page; /* The one that is being filled; NULL before the first row. */
    size_t page_used;    /* Of PAGE_ROOM. */
    unsigned page_rows;
    struct buf places;     /* u64 of each row: the filter is as large as they turn out to be. */
    unsigned char *filter; /* Made by the first finish. */
    struct stratum_footer footer; /* grains_end follows the buffer. */
    bool finishing, finished, renamed, dead;
    char path[STRATUM_PATH_MAX]; /* As it is named now. */
    char path_finished[STRATUM_PATH_MAX];
    char strata[STRATUM_PATH_MAX]; /* The directory. */
};

/* -- Life -------------------------------------------------------------------------------------- */

static enum status paths_make(struct stratum_writer *writer, const char *dir, uint32_t id)
{
    enum status status = stratum_path(writer->path, dir, id, false);
    if (status == ST_OK) {
        status = stratum_path(writer->path_finished, dir, id, true);
    }
    if (status == ST_OK) {
        strcpy(writer->strata, writer->path);
        *strrchr(writer->strata, '/') = 0;
    }
    return status;
}

/* Opens the file, empties it and writes the header, which the buffer lends its room to. */
static enum status file_begin(struct stratum_writer *writer)
{
    enum status status = io_file_open(writer->io, writer->path, IO_WRITE_DIRECT, &writer->file);
    if (status == ST_OK) {
        status = io_file_truncate(writer->file, 0);
    }
    if (status == ST_OK) {
        stratum_header_store(writer->buffer, writer->footer.store, writer->footer.id);
        status = io_file_write(writer->file, writer->buffer, STRATUM_BLOCK, 0);
    }
    return status;
}

enum status stratum_writer_new(struct io *io, const char *dir, uint32_t store, uint32_t id,
                               struct stratum_writer **writer_out)
{
    CHECK(id != 0);
    struct stratum_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return ST_NOMEM;
    }
    writer->io = io;
    writer->buffer_offset = STRATUM_GRAINS_START;
    writer->footer = (struct stratum_footer){
        .id = id, .store = store, .least_lsn = UINT64_MAX, .first_place = UINT64_MAX};
    writer->buffer = stratum_allocate(BUFFER_SIZE);
    enum status status = writer->buffer == NULL ? ST_NOMEM : paths_make(writer, dir, id);
    if (status == ST_OK) {
        status = file_begin(writer);
    }
    if (status != ST_OK) {
        stratum_writer_free(writer);
        return status;
    }
    *writer_out = writer;
    return ST_OK;
}

void stratum_writer_free(struct stratum_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->file != NULL) {
        io_file_close(writer->file);
        if (!writer->finished) {
            status_ignore(io_unlink(writer->io, writer->path),
                          "no manifest names it: it is removed at the next start");
        }
    }
    while (writer->first != NULL) {
        struct chunk *chunk = writer->first;
        writer->first = chunk->next;
        free(chunk->pages);
        free(chunk);
    }
    free(writer->filter);
    buf_deinit(&writer->places);
    free(writer->buffer);
    free(writer);
}

/* -- Grains ------------------------------------------------------------------------------------ */

uint64_t stratum_writer_offset(const struct stratum_writer *writer)
{
    return writer->buffer_offset + writer->buffer_used;
}

/* Copies into the buffer and writes it whenever it is full. After a failure some may be written. */
static enum status buffer_add(struct stratum_writer *writer, struct bytes bytes)
{
    while (bytes.size > 0) {
        if (writer->buffer_used == BUFFER_SIZE) {
            enum status status =
                io_file_write(writer->file, writer->buffer, BUFFER_SIZE, writer->buffer_offset);
            if (status != ST_OK) {
                return status;
            }
            writer->buffer_offset += BUFFER_SIZE;
            writer->buffer_used = 0;
        }
        struct bytes piece = bytes_slice(bytes, 0, BUFFER_SIZE - writer->buffer_used);
        memcpy(writer->buffer + writer->buffer_used, piece.data, piece.size);
        writer->buffer_used += piece.size;
        bytes = bytes_slice(bytes, piece.size, bytes.size);
    }
    return ST_OK;
}

/* As buffer_add, but all or nothing: what stood before start in its block is put back. */
static enum status buffer_add_whole(struct stratum_writer *writer, struct bytes bytes)
{
    unsigned char kept[STRATUM_BLOCK];
    uint64_t offset = writer->buffer_offset;
    size_t used = writer->buffer_used;
    size_t kept_size = used % STRATUM_BLOCK;
    memcpy(kept, writer->buffer + used - kept_size, kept_size);
    enum status status = buffer_add(writer, bytes);
    if (status == ST_OK) {
        return ST_OK;
    }
    if (writer->buffer_offset == offset) {
        writer->buffer_used = used; /* The first write failed: the buffer still has all. */
        return status;
    }
    memcpy(writer->buffer, kept, kept_size);
    writer->buffer_offset = offset + used - kept_size;
    writer->buffer_used = kept_size;
    return status;
}

enum status stratum_add_grains(struct stratum_writer *writer, struct bytes grains, uint64_t count,
                               uint64_t least_lsn, uint64_t greatest_lsn)
{
    struct stratum_footer *footer = &writer->footer;
    CHECK(!writer->finishing && grains.size % GRAIN_ALIGNMENT == 0);
    if (grains.size > STRATUM_GRAINS_END_MAX - stratum_writer_offset(writer)) {
        return ST_LIMIT;
    }
    enum status status = grains.size <= BUFFER_SIZE - writer->buffer_used
                             ? buffer_add(writer, grains)
                             : buffer_add_whole(writer, grains);
    if (status != ST_OK) {
        return status;
    }
    footer->grain_count += count;
    footer->least_lsn = least_lsn < footer->least_lsn ? least_lsn : footer->least_lsn;
    footer->greatest_lsn =
        greatest_lsn > footer->greatest_lsn ? greatest_lsn : footer->greatest_lsn;
    return ST_OK;
}

/* -- Rows -------------------------------------------------------------------------------------- */

static struct chunk *chunk_new(void)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    unsigned char *pages = stratum_allocate((uint64_t)CHUNK_PAGES * PAGE_SIZE_BYTES);
    if (chunk == NULL || pages == NULL) {
        free(chunk);
        free(pages);
        return NULL;
    }
    chunk->pages = pages;
    return chunk;
}

static void chunk_link(struct stratum_writer *writer, struct chunk *chunk)
{
    if (writer->last == NULL) {
        writer->first = chunk;
    } else {
        writer->last->next = chunk;
    }
    writer->last = chunk;
}

static void page_close(struct stratum_writer *writer)
{
    uint32_t number = writer->footer.page_count - 1;
    page_seal(writer->page, writer->footer.id, number, writer->page_rows, writer->page_used);
    writer->last->last_places[number % CHUNK_PAGES] = writer->footer.last_place;
}

/* Closes the page and begins another. */
static enum status page_turn(struct stratum_writer *writer)
{
    unsigned index = writer->footer.page_count % CHUNK_PAGES;
    struct chunk *added = NULL;
    if (writer->footer.page_count == UINT32_MAX) {
        return ST_LIMIT;
    }
    if (index == 0) {
        added = chunk_new();
        if (added == NULL) {
            return ST_NOMEM;
        }
    }
    if (writer->page != NULL) {
        page_close(writer);
    }
    if (added != NULL) {
        chunk_link(writer, added);
    }
    writer->page = writer->last->pages + (size_t)index * PAGE_SIZE_BYTES;
    writer->page_used = 0;
    writer->page_rows = 0;
    writer->footer.page_count++;
    return ST_OK;
}

enum status stratum_add_row(struct stratum_writer *writer, const struct row *row)
{
    struct stratum_footer *footer = &writer->footer;
    unsigned char bytes[ROW_SIZE_MAX];
    CHECK(!writer->finishing);
    CHECK(footer->row_count == 0 || row->place >= footer->last_place);
    size_t size = row_store(row, bytes);
    if (buf_reserve(&writer->places, sizeof(row->place)) != ST_OK) {
        return ST_NOMEM;
    }
    if (writer->page == NULL || size > PAGE_ROOM - writer->page_used) {
        enum status status = page_turn(writer);
        if (status != ST_OK) {
            return status;
        }
    }
    memcpy(writer->page + PAGE_HEADER_SIZE + writer->page_used, bytes, size);
    writer->page_used += size;
    writer->page_rows++;
    status_ignore(buf_append(&writer->places, bytes_of(&row->place, sizeof(row->place))),
                  "the room was reserved");
    footer->first_place = footer->row_count == 0 ? row->place : footer->first_place;
    footer->last_place = row->place;
    footer->row_count++;
    return ST_OK;
}

uint64_t stratum_writer_rows(const struct stratum_writer *writer)
{
    return writer->footer.row_count;
}

/* -- The end ----------------------------------------------------------------------------------- */

static enum status write_grains_left(struct stratum_writer *writer)
{
    size_t size = stratum_round_up(writer->buffer_used);
    if (size == 0) {
        return ST_OK;
    }
    memset(writer->buffer + writer->buffer_used, 0, size - writer->buffer_used);
    return io_file_write(writer->file, writer->buffer, size, writer->buffer_offset);
}

static enum status write_pages(struct stratum_writer *writer, uint64_t offset)
{
    uint32_t left = writer->footer.page_count;
    for (struct chunk *chunk = writer->first; left > 0; chunk = chunk->next) {
        uint32_t count = left < CHUNK_PAGES ? left : CHUNK_PAGES;
        size_t size = (size_t)count * PAGE_SIZE_BYTES;
        enum status status = io_file_write(writer->file, chunk->pages, size, offset);
        if (status != ST_OK) {
            return status;
        }
        offset += size;
        left -= count;
    }
    return ST_OK;
}

static enum status write_directory(struct stratum_writer *writer, uint64_t offset)
{
    size_t size = (size_t)writer->footer.page_count * 8;
    if (size == 0) {
        writer->footer.directory_checksum = hash_checksum(BYTES_NONE);
        return ST_OK;
    }
    unsigned char *directory = stratum_allocate(size);
    if (directory == NULL) {
        return ST_NOMEM;
    }
    struct chunk *chunk = writer->first;
    for (uint32_t i = 0; i < writer->footer.page_count; i++) {
        store_u64(directory + (size_t)i * 8, chunk->last_places[i % CHUNK_PAGES]);
        chunk = i % CHUNK_PAGES == CHUNK_PAGES - 1 ? chunk->next : chunk;
    }
    writer->footer.directory_checksum = hash_checksum(bytes_of(directory, size));
    enum status status = io_file_write(writer->file, directory, stratum_round_up(size), offset);
    free(directory);
    return status;
}

static enum status filter_make(struct stratum_writer *writer)
{
    if (writer->filter != NULL) {
        return ST_OK;
    }
    uint32_t blocks = bloom_blocks(writer->footer.row_count);
    uint64_t size = (uint64_t)blocks * BLOOM_BLOCK_SIZE;
    writer->filter = stratum_allocate(size);
    if (writer->filter == NULL) {
        return ST_NOMEM;
    }
    memset(writer->filter, 0, size);
    const uint64_t *places = (const uint64_t *)(const void *)writer->places.data;
    for (uint64_t i = 0; i < writer->footer.row_count; i++) {
        bloom_add(writer->filter, blocks, places[i]);
    }
    writer->footer.filter_blocks = blocks;
    buf_deinit(&writer->places);
    return ST_OK;
}

static enum status write_filter(struct stratum_writer *writer, uint64_t offset)
{
    size_t size = (size_t)writer->footer.filter_blocks * BLOOM_BLOCK_SIZE;
    writer->footer.filter_checksum = hash_checksum(bytes_of(writer->filter, size));
    return io_file_write(writer->file, writer->filter, stratum_round_up(size), offset);
}

static enum status write_footer(struct stratum_writer *writer, uint64_t offset)
{
    unsigned char *block = stratum_allocate(STRATUM_BLOCK);
    if (block == NULL) {
        return ST_NOMEM;
    }
    stratum_footer_store(block, &writer->footer);
    enum status status = io_file_write(writer->file, block, STRATUM_BLOCK, offset);
    free(block);
    return status;
}

static enum status write_rest(struct stratum_writer *writer)
{
    enum status status = filter_make(writer);
    struct stratum_layout layout = stratum_layout_of(&writer->footer);
    if (status == ST_OK) {
        status = write_grains_left(writer);
    }
    if (status == ST_OK) {
        status = write_pages(writer, layout.pages);
    }
    if (status == ST_OK) {
        status = write_directory(writer, layout.directory);
    }
    if (status == ST_OK) {
        status = write_filter(writer, layout.filter);
    }
    return status == ST_OK ? write_footer(writer, layout.footer) : status;
}

enum status stratum_writer_finish(struct stratum_writer *writer, bool *dead_out)
{
    CHECK(!writer->finished);
    *dead_out = writer->dead;
    if (writer->dead) {
        return ST_IO;
    }
    if (!writer->finishing && writer->page != NULL) {
        page_close(writer);
    }
    writer->finishing = true;
    writer->footer.grains_end = stratum_writer_offset(writer);
    enum status status = write_rest(writer);
    if (status != ST_OK) {
        return status;
    }
    if (io_file_sync(writer->file) != ST_OK) {
        *dead_out = writer->dead = true;
        return ST_IO;
    }
    status = io_rename(writer->io, writer->path, writer->path_finished);
    if (status != ST_OK) {
        return status;
    }
    strcpy(writer->path, writer->path_finished);
    if (io_dir_sync(writer->io, writer->strata) != ST_OK) {
        *dead_out = writer->dead = true;
        return ST_IO;
    }
    writer->finished = true;
    return ST_OK;
}
