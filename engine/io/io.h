/* io: the seam to the world. Files, clock and chance pass here and nowhere else.
 *
 *     engine → struct io → uring.c   io_uring, O_DIRECT (the usual road)
 *                        → plain.c   pread, pwrite + fdatasync in threads (systems that refuse it)
 *                        → sim_disk  tests/lib: a disk that loses, tears, reorders and fails
 *
 * errno becomes a status here: ENOSPC, EDQUOT and EFBIG ST_FULL, ENOENT ST_ABSENT, ENOMEM ST_NOMEM,
 * every other failure, and every failure of a sync, ST_IO; the path, offset and errno are logged
 * here, once.
 *
 * Durability: a byte is durable once a durable write of a queue that covers it has
 * completed with ST_OK, or once io_file_sync returned ST_OK after its write. A name is durable once
 * io_dir_sync of its directory returned ST_OK. Nothing else promises anything.
 *
 * Alignment: with a direct file, data, size and offset are multiples of io_file_alignment in every
 * write and every request of a queue, and with IO_READ_DIRECT in io_file_read too. That is CHECKed
 * where the system grants direct access, and by the simulated disk.
 *
 * Thread: files and names may be used by any thread, also one file by many at once; the queue's
 * write, read and start by any thread (they lock), its reap by any thread, one at a time (a second
 * finds it taken and returns at once).
 */
#ifndef BASIN_ENGINE_IO_IO_H
#define BASIN_ENGINE_IO_IO_H

#include "engine/base/bytes.h"

struct io;
struct io_file;
struct io_queue;

enum io_open_mode {
    IO_READ,         /* Must exist. */
    IO_READ_DIRECT,  /* As IO_READ, past the page cache where the system grants it. */
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

/* One asynchronous write or read: which, says the call that gives it to a queue. The queue keeps
 * it, and the data, until done is called. */
struct io_request {
    struct io_file *file;
    void *data; /* A write does not change it. */
    size_t size;
    uint64_t offset;
    bool durable; /* A write: data (and device cache) are flushed before it completes. */
    /* Set by the queue. A read that ended with ST_OK: less than size only at the end of the file.
     * After a failed read the data may be anything. */
    size_t size_done;
    /* Called from io_queue_reap, never from elsewhere. May submit further requests;
     * reads among them need an io_queue_start. */
    void (*done)(struct io_request *request, enum status status);
    void *ctx;
    struct io_request *next; /* For the queue. */
    uint64_t word;           /* For the queue. */
    bool reads;              /* For the queue. */
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
    enum status (*file_punch)(struct io_file *file, uint64_t offset, uint64_t size);
    size_t (*file_alignment)(struct io_file *file);
    enum status (*file_lock)(struct io_file *file);
    enum status (*rename)(struct io *io, const char *from, const char *to);
    enum status (*link)(struct io *io, const char *from, const char *to, bool *linked_out);
    enum status (*unlink)(struct io *io, const char *path);
    enum status (*dir_make)(struct io *io, const char *path);
    enum status (*dir_remove)(struct io *io, const char *path);
    enum status (*dir_sync)(struct io *io, const char *path);
    enum status (*dir_list)(struct io *io, const char *path, struct io_name **names_out,
                            size_t *count_out);
    enum status (*queue_open)(struct io *io, unsigned depth, struct io_queue **queue_out);
    void (*queue_close)(struct io_queue *queue);
    enum status (*queue_write)(struct io_queue *queue, struct io_request *write);
    enum status (*queue_read)(struct io_queue *queue, struct io_request *read);
    void (*queue_start)(struct io_queue *queue);
    unsigned (*queue_reap)(struct io_queue *queue);
    int (*queue_fd)(struct io_queue *queue);
    uint64_t (*now_us)(struct io *io);
    uint64_t (*wall_ms)(struct io *io);
    enum status (*random)(struct io *io, void *data, size_t size);
};

/* -- Files. Paths end in NUL. ------------------------------------------------------------- */

/* ST_ABSENT: the file must exist and does not, or its directory does not. The file is given; close
 * it with io_file_close. */
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
/* Reads up to size bytes, however many; fewer only at the end of the file. IO_READ_DIRECT files:
 * aligned; the end of the file may lie within a piece. */
static inline enum status io_file_read(struct io_file *file, void *data, size_t size,
                                       uint64_t offset, size_t *size_out)
{
    return file->io->ops->file_read(file, data, size, offset, size_out);
}
/* Writes all of it or fails; not durable before io_file_sync. */
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
/* Gives the space of a range back; size > 0, any alignment, any mode that writes. The size of the
 * file stays. Where the file system knows how, reads of the range give zeros from then on, which is
 * not durable before io_file_sync; elsewhere nothing happens, and that is ST_OK too: so it is with
 * a file that has several names (io_link), whose bytes are not this one's alone. After a failure
 * any part of it may be zeros. */
static inline enum status io_file_punch(struct io_file *file, uint64_t offset, uint64_t size)
{
    return file->io->ops->file_punch(file, offset, size);
}
/* What direct reads and writes must be multiples of: a power of two, 512 to IO_ALIGNMENT_MAX; never
 * less than the device's physical sector, so that a torn write cannot take a durable neighbour with
 * it.
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

/* Replaces `to` when it is there; does nothing when both are names of one file. Durable after
 * io_dir_sync of both directories. */
static inline enum status io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}
/* Gives a file a second name. Both are equal: an unlink or rename of one leaves the other alone.
 * Durable after io_dir_sync of the directory of `to`. *linked_out false, with ST_OK: the system has
 * no such link there (another file system, or one without them, or no more of them): copy instead.
 * ST_ABSENT: no `from`, or no directory for `to`. ST_IO: `to` is there already. */
static inline enum status io_link(struct io *io, const char *from, const char *to, bool *linked_out)
{
    return io->ops->link(io, from, to, linked_out);
}
/* The file lives on while it has another name or is open. */
static inline enum status io_unlink(struct io *io, const char *path)
{
    return io->ops->unlink(io, path);
}
/* Makes one directory; ST_OK also when it is there already. */
static inline enum status io_dir_make(struct io *io, const char *path)
{
    return io->ops->dir_make(io, path);
}
/* One that is empty. ST_ABSENT: it is not there; ST_IO also: it is not empty, or no directory. */
static inline enum status io_dir_remove(struct io *io, const char *path)
{
    return io->ops->dir_remove(io, path);
}
static inline enum status io_dir_sync(struct io *io, const char *path)
{
    return io->ops->dir_sync(io, path);
}
/* Syncs the directory that the path's last name is in: a new directory's own name, say. */
enum status io_parent_sync(struct io *io, const char *path);
/* Gives the names in it but "." and "..", in no order; free(names_out). */
static inline enum status io_dir_list(struct io *io, const char *path, struct io_name **names_out,
                                      size_t *count_out)
{
    return io->ops->dir_list(io, path, names_out, count_out);
}

/* -- Asynchronous writes and reads ------------------------------------------------------------- */

/* depth: requests in flight at most, prepared reads among them; one more answers ST_LIMIT. */
static inline enum status io_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    return io->ops->queue_open(io, depth, queue_out);
}
/* Waits for what is in flight or prepared, without calling done. No other call on the queue may be
 * under way. */
static inline void io_queue_close(struct io_queue *queue)
{
    if (queue != NULL) {
        queue->io->ops->queue_close(queue);
    }
}
/* Starts a write of size > 0 bytes. It completes in any order among other requests, those of the
 * same bytes too. A short write is finished by the queue before done is called. */
static inline enum status io_queue_write(struct io_queue *queue, struct io_request *write)
{
    return queue->io->ops->queue_write(queue, write);
}
/* Prepares a read of size > 0 bytes; it begins with the next io_queue_start of any thread, or
 * before. So many reads cost one system call. They complete in any order; a short one is finished
 * by the queue. */
static inline enum status io_queue_read(struct io_queue *queue, struct io_request *read)
{
    return queue->io->ops->queue_read(queue, read);
}
/* Begins all reads that were prepared. */
static inline void io_queue_start(struct io_queue *queue)
{
    queue->io->ops->queue_start(queue);
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
    IO_ROAD_PLAIN, /* Reads, writes and syncs in threads, through the page cache. */
};

/* One for the process; given; free with io_free after all its files and queues are closed. */
enum status io_new(enum io_road road, struct io **io_out);
void io_free(struct io *io);
const char *io_road_name(struct io *io); /* "io_uring" or "plain"; lent forever. */

#endif
