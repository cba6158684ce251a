/* The io_uring queue: one ring, submitted to by any thread and reaped by any thread.
 *
 *     submit (submit_mutex) → kernel → completion → eventfd, signalled by the kernel
 *                                          ↓
 *     reap (one at a time: `reaping`) ← any thread that polled the eventfd
 *
 * No lost wake-up. A completion may arrive after a reaper's last look, and wake a thread that finds
 * the place taken. So everybody sets `wanted` before trying; the holder clears it before it looks,
 * and checks it after it has left. If it cleared the flag after we set it, it has looked since and
 * seen our completion; if before, it finds the flag set and comes again.
 *
 * No lost write. The kernel may refuse to take an entry for a while (no memory). The entry then
 * stays in the submission ring, the eventfd is signalled by hand, and the reaps that follow hand
 * it over again. A short write or an interrupted one goes on under the same slot.
 *
 * The completion ring never overflows: it has twice as many entries as writes are let in.
 */
#include "engine/io/posix.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An interrupted write is tried again so often before it counts as failed. */
#define RETRIES_MAX 1000

/* What one entry writes at most: a multiple of every alignment below what the kernel takes. */
#define WRITE_MAX ((size_t)1 << 30)

struct uring_queue {
    struct io_queue queue; /* First. */
    struct io_uring ring;
    int event_fd;
    unsigned depth;
    pthread_mutex_t submit_mutex; /* Guards the submission side of ring. */
    _Atomic bool reaping;         /* Somebody is at the completion side of ring. */
    _Atomic bool wanted;          /* Somebody came to reap after the last look. */
    _Atomic unsigned in_flight;
    /* Orders the memory between a submit and the reap of the same write: the kernel does so in
     * fact, this one in the language. */
    _Atomic uint64_t handed_over;
    _Atomic bool refused; /* An entry is in the submission ring that the kernel did not take. */
};

/* What io_write.private holds here. */
enum { PRIVATE_DONE, PRIVATE_RETRIES };

static struct uring_queue *queue_of(struct io_queue *queue)
{
    return (struct uring_queue *)queue;
}

bool uring_granted(void)
{
    struct io_uring ring;
    int result = io_uring_queue_init(2, &ring, 0);
    if (result != 0) {
        log_line(LOG_NOTICE, "io_uring is refused (%s): using plain writes in threads",
                 strerror(-result));
        return false;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring);
    bool granted = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_WRITE);
    if (!granted) {
        log_line(LOG_NOTICE, "this io_uring has no write: using plain writes in threads");
    }
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    return granted;
}

static void event_signal(struct uring_queue *queue)
{
    uint64_t one = 1;
    ssize_t size = write(queue->event_fd, &one, sizeof(one));
    (void)size; /* It fails only when it is readable as it is. */
}

enum status uring_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    CHECK(depth > 0);
    struct uring_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return ST_NOMEM;
    }
    queue->queue.io = io;
    queue->depth = depth;
    int result = io_uring_queue_init(depth, &queue->ring, 0);
    if (result != 0) {
        free(queue);
        return posix_failed("open", "io_uring", -1, -result);
    }
    queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result =
        queue->event_fd < 0 ? -errno : io_uring_register_eventfd(&queue->ring, queue->event_fd);
    if (result != 0) {
        if (queue->event_fd >= 0) {
            close(queue->event_fd);
        }
        io_uring_queue_exit(&queue->ring);
        free(queue);
        return posix_failed("open", "eventfd", -1, -result);
    }
    pthread_mutex_init(&queue->submit_mutex, NULL);
    *queue_out = &queue->queue;
    return ST_OK;
}

/* Hands over what is in the submission ring. The caller holds submit_mutex. */
static void submit_locked(struct uring_queue *queue)
{
    int result;
    do {
        result = io_uring_submit(&queue->ring);
    } while (result == -EINTR);
    bool refused = io_uring_sq_ready(&queue->ring) > 0;
    atomic_store(&queue->refused, refused);
    if (refused) {
        log_line(LOG_VERBOSE, "io_uring takes no write now: %s", strerror(-result));
        event_signal(queue);
    }
}

/* Starts what is left of a write that has its slot already. */
static void submit(struct uring_queue *queue, struct io_write *write)
{
    struct posix_file *file = posix_file_of(write->file);
    size_t done = write->private[PRIVATE_DONE];
    size_t size = write->size - done;
    pthread_mutex_lock(&queue->submit_mutex);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);
    CHECK(sqe != NULL); /* There are as many entries as slots. */
    io_uring_prep_write(sqe, file->fd, (const char *)write->data + done,
                        (unsigned)(size < WRITE_MAX ? size : WRITE_MAX), write->offset + done);
    sqe->rw_flags = write->durable ? RWF_DSYNC : 0;
    io_uring_sqe_set_data(sqe, write);
    atomic_fetch_add(&queue->handed_over, 1);
    submit_locked(queue);
    pthread_mutex_unlock(&queue->submit_mutex);
}

enum status uring_queue_write(struct io_queue *io_queue, struct io_write *write)
{
    struct uring_queue *queue = queue_of(io_queue);
    CHECK(write->size > 0 && write->done != NULL);
    posix_write_check(posix_file_of(write->file), write->data, write->size, write->offset);
    write->private[PRIVATE_DONE] = 0;
    write->private[PRIVATE_RETRIES] = 0;
    if (atomic_fetch_add(&queue->in_flight, 1) >= queue->depth) {
        atomic_fetch_sub(&queue->in_flight, 1);
        return ST_LIMIT;
    }
    submit(queue, write);
    return ST_OK;
}

/* False: the write goes on. */
static bool completed(struct uring_queue *queue, struct io_write *write, int result,
                      enum status *status_out)
{
    struct posix_file *file = posix_file_of(write->file);
    bool interrupted = result == -EAGAIN || result == -EINTR || result == -ECANCELED;
    if (interrupted && write->private[PRIVATE_RETRIES] < RETRIES_MAX) {
        write->private[PRIVATE_RETRIES]++;
        submit(queue, write);
        return false;
    }
    size_t written = result > 0 ? posix_written(file, (size_t)result) : 0;
    size_t done = write->private[PRIVATE_DONE] + written;
    write->private[PRIVATE_DONE] = done;
    if (written > 0 && done < write->size) {
        submit(queue, write);
        return false;
    }
    if (written == 0) {
        uint64_t offset = write->offset + done;
        *status_out =
            posix_failed("write", file->path, (int64_t)offset, result < 0 ? -result : EIO);
        /* ENOENT cannot be meant as an answer here. */
        *status_out = *status_out == ST_ABSENT ? ST_IO : *status_out;
        return true;
    }
    *status_out = ST_OK;
    return true;
}

/* Takes one completion out of the ring. False: there is none. *write_out is NULL when the write
 * goes on. The caller has set reaping. */
static bool take(struct uring_queue *queue, struct io_write **write_out, enum status *status_out)
{
    struct io_uring_cqe *cqe = NULL;
    if (io_uring_peek_cqe(&queue->ring, &cqe) != 0 || cqe == NULL) {
        return false;
    }
    struct io_write *write = io_uring_cqe_get_data(cqe);
    int result = cqe->res;
    io_uring_cqe_seen(&queue->ring, cqe);
    CHECK(atomic_load(&queue->handed_over) > 0 && atomic_load(&queue->in_flight) > 0);
    bool over = completed(queue, write, result, status_out);
    if (over) {
        atomic_fetch_sub(&queue->in_flight, 1);
    }
    *write_out = over ? write : NULL;
    return true;
}

static void submit_refused(struct uring_queue *queue)
{
    if (atomic_load(&queue->refused)) {
        pthread_mutex_lock(&queue->submit_mutex);
        submit_locked(queue);
        pthread_mutex_unlock(&queue->submit_mutex);
    }
}

unsigned uring_queue_reap(struct io_queue *io_queue)
{
    struct uring_queue *queue = queue_of(io_queue);
    unsigned count = 0;
    submit_refused(queue);
    atomic_store(&queue->wanted, true);
    while (atomic_load(&queue->wanted) && !atomic_exchange(&queue->reaping, true)) {
        struct io_write *write;
        enum status status;
        atomic_store(&queue->wanted, false);
        while (take(queue, &write, &status)) {
            if (write != NULL) {
                count++;
                write->done(write, status);
            }
        }
        atomic_store(&queue->reaping, false);
    }
    return count;
}

int uring_queue_fd(struct io_queue *queue)
{
    return queue_of(queue)->event_fd;
}

void uring_queue_close(struct io_queue *io_queue)
{
    struct uring_queue *queue = queue_of(io_queue);
    CHECK(!atomic_load(&queue->reaping));
    while (atomic_load(&queue->in_flight) > 0) {
        struct io_write *write;
        enum status status;
        submit_refused(queue);
        if (!take(queue, &write, &status) && !atomic_load(&queue->refused)) {
            struct io_uring_cqe *cqe;
            (void)io_uring_wait_cqe(&queue->ring, &cqe); /* Whatever it says, we look again. */
        }
    }
    io_uring_queue_exit(&queue->ring);
    close(queue->event_fd);
    pthread_mutex_destroy(&queue->submit_mutex);
    free(queue);
}
