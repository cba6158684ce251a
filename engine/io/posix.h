/* posix: the files and names of the two real roads, over system calls; only engine/io includes it.
 *
 *     posix.c        files      posix_names.c  names      uring.c, plain.c  queues
 *
 * A file of IO_WRITE_DIRECT has two descriptors: fd, opened with O_DIRECT, for what is aligned and
 * for syncs, and cached_fd for io_file_read at any alignment and the unaligned end of a
 * preparation. Both see the same file: the kernel drops cached pages under a direct write before it
 * completes.
 *
 * Thread: any. */
#ifndef BASIN_ENGINE_IO_POSIX_H
#define BASIN_ENGINE_IO_POSIX_H

#include "engine/io/io.h"

#include <sys/types.h>

struct posix_io {
    struct io io; /* First. */
    const char *road_name;
    bool grants_direct;
};

struct posix_file {
    struct io_file file; /* First. */
    int fd;
    int cached_fd; /* The same number as fd but with IO_WRITE_DIRECT where it is granted. */
    bool direct;
    bool writable;
    size_t alignment;
    char path[];
};

static inline struct posix_file *posix_file_of(struct io_file *file)
{
    return (struct posix_file *)file;
}

/* The one place where errno becomes a status. Logs what failed on which path; offset -1: none.
 * ENOENT is an answer and is not logged. */
enum status posix_failed(const char *what, const char *path, int64_t offset, int error);

/* open, again when a signal interrupts it. */
int posix_open(const char *path, int flags);

/* CHECKs what io.h asks of the requests of a queue. */
void posix_request_check(const struct io_request *request);

/* Carries it out over fd, in as many calls as it takes; rwf_flags as of pwritev2, for a write.
 * Gives 0 or an errno. */
int posix_request_run(struct io_request *request, int fd, int rwf_flags);

/* Counts a piece of `size` bytes that the kernel moved over fd. Gives 0 or an errno; *over_out
 * false: the rest is still to do, from size_done on. */
int posix_request_advance(struct io_request *request, int fd, size_t size, bool *over_out);

/* What a request that ended with that errno completes with. Logs it. */
enum status posix_request_failed(const struct io_request *request, int error);

enum status posix_file_open(struct io *io, const char *path, enum io_open_mode mode,
                            struct io_file **file_out);
void posix_file_close(struct io_file *file);
enum status posix_file_size(struct io_file *file, uint64_t *size_out);
enum status posix_file_read(struct io_file *file, void *data, size_t size, uint64_t offset,
                            size_t *size_out);
enum status posix_file_write(struct io_file *file, const void *data, size_t size, uint64_t offset);
enum status posix_file_sync(struct io_file *file);
enum status posix_file_prepare(struct io_file *file, uint64_t size);
enum status posix_file_truncate(struct io_file *file, uint64_t size);
enum status posix_file_punch(struct io_file *file, uint64_t offset, uint64_t size);
size_t posix_file_alignment(struct io_file *file);
enum status posix_file_lock(struct io_file *file);
enum status posix_rename(struct io *io, const char *from, const char *to);
enum status posix_link(struct io *io, const char *from, const char *to, bool *linked_out);
enum status posix_unlink(struct io *io, const char *path);
enum status posix_dir_make(struct io *io, const char *path);
enum status posix_dir_remove(struct io *io, const char *path);
enum status posix_dir_sync(struct io *io, const char *path);
enum status posix_dir_list(struct io *io, const char *path, struct io_name **names_out,
                           size_t *count_out);

/* The queues of the two roads; see io.h. */
bool uring_granted(void); /* Logs why not. */
enum status uring_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out);
void uring_queue_close(struct io_queue *queue);
enum status uring_queue_write(struct io_queue *queue, struct io_request *write);
enum status uring_queue_read(struct io_queue *queue, struct io_request *read);
void uring_queue_start(struct io_queue *queue);
unsigned uring_queue_reap(struct io_queue *queue);
int uring_queue_fd(struct io_queue *queue);

enum status plain_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out);
void plain_queue_close(struct io_queue *queue);
enum status plain_queue_write(struct io_queue *queue, struct io_request *write);
enum status plain_queue_read(struct io_queue *queue, struct io_request *read);
void plain_queue_start(struct io_queue *queue);
unsigned plain_queue_reap(struct io_queue *queue);
int plain_queue_fd(struct io_queue *queue);

#endif
