#include "check/read_only.h"

#include <stdlib.h>

struct read_only {
    struct io io; /* First. */
    struct io *inner;
};

struct read_only_file {
    struct io_file file; /* First. */
    struct io_file *inner;
};

static struct io *inner_io(struct io *io)
{
    return ((struct read_only *)io)->inner;
}

static struct io_file *inner_file(struct io_file *file)
{
    return ((struct read_only_file *)file)->inner;
}

static enum status file_open(struct io *io, const char *path, enum io_open_mode mode,
                             struct io_file **file_out)
{
    struct read_only_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return ST_NOMEM;
    }
    file->file.io = io;
    enum status status = io_file_open(inner_io(io), path, IO_READ, &file->inner);
    if (status != ST_OK) {
        free(file);
        return status;
    }
    *file_out = &file->file;
    return ST_OK;
}

static void file_close(struct io_file *file)
{
    io_file_close(inner_file(file));
    free(file);
}

static enum status file_size(struct io_file *file, uint64_t *size_out)
{
    return io_file_size(inner_file(file), size_out);
}

static enum status file_read(struct io_file *file, void *data, size_t size, uint64_t offset,
                             size_t *size_out)
{
    return io_file_read(inner_file(file), data, size, offset, size_out);
}

static size_t file_alignment(struct io_file *file)
{
    return io_file_alignment(inner_file(file));
}

/* -- What changes nothing ---------------------------------------------------------------------- */

static enum status file_write(struct io_file *file, const void *data, size_t size, uint64_t offset)
{
    return ST_OK;
}

static enum status file_sync(struct io_file *file)
{
    return ST_OK;
}

static enum status file_prepare(struct io_file *file, uint64_t size)
{
    return ST_OK;
}

static enum status file_truncate(struct io_file *file, uint64_t size)
{
    return ST_OK;
}

static enum status file_punch(struct io_file *file, uint64_t offset, uint64_t size)
{
    return ST_OK;
}

static enum status file_lock(struct io_file *file)
{
    return ST_OK;
}

static enum status rename_file(struct io *io, const char *from, const char *to)
{
    return ST_OK;
}

static enum status link_file(struct io *io, const char *from, const char *to, bool *linked_out)
{
    *linked_out = true;
    return ST_OK;
}

static enum status unlink_file(struct io *io, const char *path)
{
    return ST_OK;
}

static enum status dir_make(struct io *io, const char *path)
{
    return ST_OK;
}

static enum status dir_remove(struct io *io, const char *path)
{
    return ST_OK;
}

static enum status dir_sync(struct io *io, const char *path)
{
    return ST_OK;
}

/* A directory that was never made is one without files. */
static enum status dir_list(struct io *io, const char *path, struct io_name **names_out,
                            size_t *count_out)
{
    enum status status = io_dir_list(inner_io(io), path, names_out, count_out);
    if (status == ST_ABSENT) {
        *names_out = NULL;
        *count_out = 0;
        return ST_OK;
    }
    return status;
}

/* Queues write: there are none. */
static enum status queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    return ST_IO;
}

static uint64_t now_us(struct io *io)
{
    return io_now_us(inner_io(io));
}

static uint64_t wall_ms(struct io *io)
{
    return io_wall_ms(inner_io(io));
}

static enum status random_bytes(struct io *io, void *data, size_t size)
{
    return io_random(inner_io(io), data, size);
}

static const struct io_ops ops = {
    .file_open = file_open,
    .file_close = file_close,
    .file_size = file_size,
    .file_read = file_read,
    .file_write = file_write,
    .file_sync = file_sync,
    .file_prepare = file_prepare,
    .file_truncate = file_truncate,
    .file_punch = file_punch,
    .file_alignment = file_alignment,
    .file_lock = file_lock,
    .rename = rename_file,
    .link = link_file,
    .unlink = unlink_file,
    .dir_make = dir_make,
    .dir_remove = dir_remove,
    .dir_sync = dir_sync,
    .dir_list = dir_list,
    .queue_open = queue_open,
    .now_us = now_us,
    .wall_ms = wall_ms,
    .random = random_bytes,
};

struct io *read_only_new(struct io *inner)
{
    struct read_only *io = calloc(1, sizeof(*io));
    if (io == NULL) {
        return NULL;
    }
    io->io.ops = &ops;
    io->inner = inner;
    return &io->io;
}

void read_only_free(struct io *io)
{
    free(io);
}
