/* io: the seam to the world. Files, clock and chance pass here and nowhere else.
 *
 *     wlog, manifest → struct io → uring.c   io_uring, O_DIRECT (the usual road)
 *                               → plain.c   pwrite + fdatasync in threads (systems that refuse it)
 *                               → sim_disk  tests/lib: a disk that loses, tears, reorders and fails
 *
 * errno becomes a status here: ENOSPC, EDQUOT and EFBIG ST_FULL, ENOENT ST_ABSENT, ENOMEM ST_NOMEM,
 * every other failure, and every failure of a sync, ST_IO; the path, offset and errno are logged
 * here, once.
 *
 * Durability: a byte is durable once an io_queue write with IO_DURABLE that covers it has
 * completed with ST_OK, or once io_file_sync returned ST_OK after its write. A name is durable once
 * io_dir_sync of its directory returned ST_OK. Nothing else promises anything.
 *
 * Thread: files may be used by any thread; the queue's submit by any thread (it locks), its reap
 * by any thread, one at a time (a second finds it taken and returns at once).
 */
#ifndef BASIN_ENGINE_IO_IO_H
#define BASIN_ENGINE_IO_IO_H

#include "engine/base/bytes.h"

struct io;
struct io_file;
struct io_queue;

enum io_open_mode {
    IO_READ,         /* Must exist. */
    IO_WRITE,        /* Created when absent; read and write through the page cache. */
    IO_WRITE_DIRECT, /* As IO_WRITE, past the page cache where the system grants it. */
};

#define IO_ALIGNMENT_MAX 4096

struct io_ops;

/* Each implementation embeds this first. */
struct io {
    const struct io_ops *ops;
};

/* The longest name in a directory of ours. */
#define IO_NAME_MAX 128
struct io_name {
    char text[IO_NAME_MAX];
};

/* One asynchronous write. The queue keeps it, and the data, until done is called. With
 * IO_WRITE_DIRECT files, data, size and offset are multiples of io_file_alignment. */
struct io_write {
    struct io_file *file;
    const void *data;
    size_t size;
    uint64_t offset;
    bool durable; /* IO_DURABLE: data (and device cache) are flushed before it completes. */
    /* Called from io_queue_reap, never from submit. May submit further writes. */
    void (*done)(struct io_write *write, enum status status);
    void *ctx;
    struct io_write *next; /* For the queue. */
    uint64_t private[2];   /* For the queue. */
};

struct io_ops {
    enum status (*file_open)(struct io *io, const char *path, enum io_open_mode mode,
                             struct io_file **file_out);
    void (*file_close)(struct io_file *file);
    enum status (*file_size)(struct io_file *file, uint64_t *size_out);
    enum status (*file_read)(struct io_file *file, void *data, size_t size, uint64_t offset,
                             size_t *size_out);
    enum status (*file_write)(struct io_file *file, const void *data, size_t size, uint64_t offset);
    enum status (*file_sync)(struct io_file *file);
    enum status (*file_prepare)(struct io_file *file, uint64_t size);
    enum status (*file_truncate)(struct io_file *file, uint64_t size);
    size_t (*file_alignment)(struct io_file *file);
    enum status (*file_lock)(struct io_file *file);
    enum status (*rename)(struct io *io, const char *from, const char *to);
    enum status (*unlink)(struct io *io, const char *path);
    enum status (*dir_make)(struct io *io, const char *path);
    enum status (*dir_sync)(struct io *io, const char *path);
    enum status (*dir_list)(struct io *io, const char *path, struct io_name **names_out,
                            size_t *count_out);
    enum status (*queue_open)(struct io *io, unsigned depth, struct io_queue **queue_out);
    void (*queue_close)(struct io_queue *queue);
    enum status (*queue_write)(struct io_queue *queue, struct io_write *write);
    unsigned (*queue_reap)(struct io_queue *queue);
    int (*queue_fd)(struct io_queue *queue);
    uint64_t (*now_us)(struct io *io);
    uint64_t (*wall_ms)(struct io *io);
    enum status (*random)(struct io *io, void *data, size_t size);
};

/* -- Files. Paths end in NUL. ------------------------------------------------------------- */

/* ST_ABSENT: IO_READ of what is not there. The file is given; close it with io_file_close. */
static inline enum status io_file_open(struct io *io, const char *path, enum io_open_mode mode,
                                       struct io_file **file_out)
{
    return io->ops->file_open(io, path, mode, file_out);
}

/* Every file begins with the same two words, so that calls find their implementation. */
struct io_file {
    struct io *io;
};
struct io_queue {
    struct io *io;
};

static inline void io_file_close(struct io_file *file)
{
    if (file != NULL) {
        file->io->ops->file_close(file);
    }
}
static inline enum status io_file_size(struct io_file *file, uint64_t *size_out)
{
    return file->io->ops->file_size(file, size_out);
}
/* Reads up to size bytes; fewer only at the end of the file. Any alignment, any mode. */
static inline enum status io_file_read(struct io_file *file, void *data, size_t size,
                                       uint64_t offset, size_t *size_out)
{
    return file->io->ops->file_read(file, data, size, offset, size_out);
}
/* Writes all of it or fails; not durable before io_file_sync. IO_WRITE_DIRECT files: aligned. */
static inline enum status io_file_write(struct io_file *file, const void *data, size_t size,
                                        uint64_t offset)
{
    return file->io->ops->file_write(file, data, size, offset);
}
/* fdatasync. After ST_IO nothing may be believed of what was written since the last ST_OK. */
static inline enum status io_file_sync(struct io_file *file)
{
    return file->io->ops->file_sync(file);
}
/* Allocates and writes the file with zeros to size and syncs it, so that later overwrites
 * allocate nothing. ST_FULL: no space; the file may be left shorter. Slow: for a background
 * thread. */
static inline enum status io_file_prepare(struct io_file *file, uint64_t size)
{
    return file->io->ops->file_prepare(file, size);
}
static inline enum status io_file_truncate(struct io_file *file, uint64_t size)
{
    return file->io->ops->file_truncate(file, size);
}
/* What direct writes must be a multiple of: a power of two, 512 to IO_ALIGNMENT_MAX; never less
 * than the device's physical sector, so that a torn write cannot take a durable neighbour with it.
 */
static inline size_t io_file_alignment(struct io_file *file)
{
    return file->io->ops->file_alignment(file);
}
/* Takes the file for this process until it is closed (or the process ends). ST_BUSY: another has
 * it. */
static inline enum status io_file_lock(struct io_file *file)
{
    return file->io->ops->file_lock(file);
}

/* -- Names ------------------------------------------------------------------------------------- */

/* Replaces `to` when it is there. Durable after io_dir_sync of both directories. */
static inline enum status io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}
static inline enum status io_unlink(struct io *io, const char *path)
{
    return io->ops->unlink(io, path);
}
/* Makes one directory; ST_OK also when it is there already. */
static inline enum status io_dir_make(struct io *io, const char *path)
{
    return io->ops->dir_make(io, path);
}
static inline enum status io_dir_sync(struct io *io, const char *path)
{
    return io->ops->dir_sync(io, path);
}
/* Gives the names in it but "." and "..", in no order; free(names_out). */
static inline enum status io_dir_list(struct io *io, const char *path, struct io_name **names_out,
                                      size_t *count_out)
{
    return io->ops->dir_list(io, path, names_out, count_out);
}

/* -- Asynchronous writes ----------------------------------------------------------------------- */

/* depth: writes in flight at most; one more answers ST_LIMIT. */
static inline enum status io_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    return io->ops->queue_open(io, depth, queue_out);
}
/* Waits for what is in flight, without calling done. No other call on the queue may be under way.
 */
static inline void io_queue_close(struct io_queue *queue)
{
    if (queue != NULL) {
        queue->io->ops->queue_close(queue);
    }
}
/* Starts a write. It completes in any order among others. A short write is finished by the queue
 * before done is called. */
static inline enum status io_queue_write(struct io_queue *queue, struct io_write *write)
{
    return queue->io->ops->queue_write(queue, write);
}
/* Calls done, one at a time, for all that has completed; gives how many. Never waits. A done that
 * calls it gets 0. */
static inline unsigned io_queue_reap(struct io_queue *queue)
{
    return queue->io->ops->queue_reap(queue);
}
/* An eventfd that becomes readable whenever something completes; poll it edge-triggered or read
 * it before reaping. It may be polled by several threads at once. -1: the simulated disk. */
static inline int io_queue_fd(struct io_queue *queue)
{
    return queue->io->ops->queue_fd(queue);
}

/* -- Clock and chance -------------------------------------------------------------------------- */

static inline uint64_t io_now_us(struct io *io) /* Monotonic. */
{
    return io->ops->now_us(io);
}
static inline uint64_t io_wall_ms(struct io *io) /* Unix time. */
{
    return io->ops->wall_ms(io);
}
static inline enum status io_random(struct io *io, void *data, size_t size) /* For secrets. */
{
    return io->ops->random(io, data, size);
}

/* -- Roads ------------------------------------------------------------------------------------- */

enum io_road {
    IO_ROAD_AUTO,  /* io_uring where the system grants it, else plain. */
    IO_ROAD_URING, /* ST_IO where it is refused. */
    IO_ROAD_PLAIN, /* pwrite and fdatasync in threads, through the page cache. */
};

/* One for the process; given; free with io_free after all its files and queues are closed. */
enum status io_new(enum io_road road, struct io **io_out);
void io_free(struct io *io);
const char *io_road_name(struct io *io); /* "io_uring" or "plain"; lent forever. */

#endif
