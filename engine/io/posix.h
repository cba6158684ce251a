/* posix: the files and names of the two real roads, over system calls; only engine/io includes it.
 *
 * A direct file has two descriptors: fd, opened with O_DIRECT, for aligned writes and syncs, and
 * cached_fd for reads of any alignment and the unaligned end of a preparation. Both see the same
 * file: the kernel drops cached pages under a direct write before it completes.
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
    int cached_fd; /* The same number as fd unless direct. */
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

/* Writes all of it at offset, in as many calls as it takes; rwf_flags as of pwritev2. Gives 0 or
 * an errno. */
int posix_write_all(const struct posix_file *file, int fd, const void *data, size_t size,
                    uint64_t offset, int rwf_flags);

/* How much of a write that gave `size` bytes may be counted as done, so that the rest is aligned.
 */
size_t posix_written(const struct posix_file *file, size_t size);

/* CHECKs what io.h asks of writes. */
void posix_write_check(const struct posix_file *file, const void *data, size_t size,
                       uint64_t offset);

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
size_t posix_file_alignment(struct io_file *file);
enum status posix_file_lock(struct io_file *file);
enum status posix_rename(struct io *io, const char *from, const char *to);
enum status posix_unlink(struct io *io, const char *path);
enum status posix_dir_make(struct io *io, const char *path);
enum status posix_dir_sync(struct io *io, const char *path);
enum status posix_dir_list(struct io *io, const char *path, struct io_name **names_out,
                           size_t *count_out);

/* The queues of the two roads; see io.h. */
bool uring_granted(void); /* Logs why not. */
enum status uring_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out);
void uring_queue_close(struct io_queue *queue);
enum status uring_queue_write(struct io_queue *queue, struct io_write *write);
unsigned uring_queue_reap(struct io_queue *queue);
int uring_queue_fd(struct io_queue *queue);

enum status plain_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out);
void plain_queue_close(struct io_queue *queue);
enum status plain_queue_write(struct io_queue *queue, struct io_write *write);
unsigned plain_queue_reap(struct io_queue *queue);
int plain_queue_fd(struct io_queue *queue);

#endif
