#include "engine/io/io.h"

#include "engine/base/log.h"
#include "engine/io/posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t now_us(struct io *io)
{
    (void)io;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t wall_ms(struct io *io)
{
    (void)io;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static enum status random_bytes(struct io *io, void *data, size_t size)
{
    (void)io;
    size_t done = 0;
    while (done < size) {
        ssize_t got = getrandom((char *)data + done, size - done, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return posix_failed("draw", "random bytes", -1, errno);
        }
        done += (size_t)got;
    }
    return ST_OK;
}

/* What the two roads share; they differ in their queue alone. */
#define SHARED_OPS                                                                                 \
    .file_open = posix_file_open, .file_close = posix_file_close, .file_size = posix_file_size,    \
    .file_read = posix_file_read, .file_write = posix_file_write, .file_sync = posix_file_sync,    \
    .file_prepare = posix_file_prepare, .file_truncate = posix_file_truncate,                      \
    .file_punch = posix_file_punch, .file_alignment = posix_file_alignment,                        \
    .file_lock = posix_file_lock, .rename = posix_rename, .link = posix_link,                      \
    .unlink = posix_unlink, .dir_make = posix_dir_make, .dir_remove = posix_dir_remove,            \
    .dir_sync = posix_dir_sync, .dir_list = posix_dir_list, .now_us = now_us, .wall_ms = wall_ms,  \
    .random = random_bytes

static const struct io_ops uring_ops = {
    SHARED_OPS,
    .queue_open = uring_queue_open,
    .queue_close = uring_queue_close,
    .queue_write = uring_queue_write,
    .queue_read = uring_queue_read,
    .queue_start = uring_queue_start,
    .queue_reap = uring_queue_reap,
    .queue_fd = uring_queue_fd,
};

static const struct io_ops plain_ops = {
    SHARED_OPS,
    .queue_open = plain_queue_open,
    .queue_close = plain_queue_close,
    .queue_write = plain_queue_write,
    .queue_read = plain_queue_read,
    .queue_start = plain_queue_start,
    .queue_reap = plain_queue_reap,
    .queue_fd = plain_queue_fd,
};

enum status io_parent_sync(struct io *io, const char *path)
{
    char above[4096];
    snprintf(above, sizeof(above), "%s", path);
    size_t size = strlen(above);
    while (size > 1 && above[size - 1] == '/') {
        above[--size] = 0;
    }
    char *slash = strrchr(above, '/');
    if (slash == NULL) {
        return io_dir_sync(io, strcmp(above, ".") == 0 ? ".." : ".");
    }
    slash[slash == above ? 1 : 0] = 0;
    return io_dir_sync(io, above);
}

enum status io_new(enum io_road road, struct io **io_out)
{
    bool uring = road != IO_ROAD_PLAIN && uring_granted();
    if (road == IO_ROAD_URING && !uring) {
        return ST_IO;
    }
    struct posix_io *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return ST_NOMEM;
    }
    made->io.ops = uring ? &uring_ops : &plain_ops;
    made->road_name = uring ? "io_uring" : "plain";
    made->grants_direct = uring;
    *io_out = &made->io;
    return ST_OK;
}

void io_free(struct io *io)
{
    free(io);
}

const char *io_road_name(struct io *io)
{
    return ((struct posix_io *)io)->road_name;
}
