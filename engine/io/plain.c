/* The queue for systems without io_uring: threads that read, write and sync, one request at a time
 * each. A read does not wait for io_queue_start: there is no system call to share.
 *
 *     submit → waiting (mutex, condition) → a thread: pread, pwritev2 → finished → eventfd
 *                                                                                     ↓
 *     reap (reap_mutex, tried) ← any thread that polled the eventfd
 *
 * Durable is RWF_DSYNC; where that is unknown the thread writes, then calls fdatasync. A wake-up
 * that finds reap_mutex taken is not lost: whoever unlocks it looks again.
 */
#include "engine/io/posix.h"

#include "engine/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* More threads than this find no more speed in one device's flushes. */
#define THREADS_MAX 8

struct list {
    struct io_request *first;
    struct io_request *last;
};

struct plain_queue {
    struct io_queue queue; /* First. */
    int event_fd;
    unsigned depth;
    pthread_mutex_t mutex; /* Guards all below but the threads. */
    pthread_cond_t work;
    struct list waiting;
    struct list finished;
    unsigned in_flight; /* Submitted and not reaped. */
    bool closing;
    pthread_mutex_t reap_mutex; /* Held by the one who calls done. */
    unsigned thread_count;
    pthread_t threads[THREADS_MAX];
};

static struct plain_queue *queue_of(struct io_queue *queue)
{
    return (struct plain_queue *)queue;
}

static void list_add(struct list *list, struct io_request *request)
{
    request->next = NULL;
    if (list->first == NULL) {
        list->first = request;
    } else {
        list->last->next = request;
    }
    list->last = request;
}

static struct io_request *list_take(struct list *list)
{
    struct io_request *request = list->first;
    if (request != NULL) {
        list->first = request->next;
        request->next = NULL;
    }
    return request;
}

/* Gives 0 or an errno. */
static int request_run(struct io_request *request)
{
    struct posix_file *file = posix_file_of(request->file);
    bool durable = request->durable && !request->reads;
    int error = posix_request_run(request, file->fd, durable ? RWF_DSYNC : 0);
    if (!durable || (error != EOPNOTSUPP && error != EINVAL && error != ENOSYS)) {
        return error;
    }
    error = posix_request_run(request, file->fd, 0);
    if (error == 0 && fdatasync(file->fd) != 0) {
        /* The data may be gone: that is a broken device, even if it says that it is full. */
        return errno == ENOSPC || errno == EDQUOT ? EIO : errno;
    }
    return error;
}

static void *thread_run(void *ctx)
{
    struct plain_queue *queue = ctx;
    uint64_t one = 1;
    pthread_mutex_lock(&queue->mutex);
    for (;;) {
        struct io_request *next = list_take(&queue->waiting);
        if (next == NULL && queue->closing) {
            break;
        }
        if (next == NULL) {
            pthread_cond_wait(&queue->work, &queue->mutex);
            continue;
        }
        pthread_mutex_unlock(&queue->mutex);
        next->word = (uint64_t)request_run(next); /* An errno. */
        pthread_mutex_lock(&queue->mutex);
        list_add(&queue->finished, next);
        ssize_t size = write(queue->event_fd, &one, sizeof(one));
        (void)size; /* It fails only when it is readable as it is. */
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

/* Ends the threads after the requests that wait. */
static void threads_join(struct plain_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closing = true;
    pthread_cond_broadcast(&queue->work);
    pthread_mutex_unlock(&queue->mutex);
    for (unsigned i = 0; i < queue->thread_count; i++) {
        pthread_join(queue->threads[i], NULL);
    }
}

/* Signals are the server's business, not that of these threads. */
static bool threads_start(struct plain_queue *queue)
{
    unsigned wanted = queue->depth < THREADS_MAX ? queue->depth : THREADS_MAX;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (queue->thread_count < wanted &&
           pthread_create(&queue->threads[queue->thread_count], NULL, thread_run, queue) == 0) {
        queue->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return queue->thread_count > 0; /* Fewer are slower, not wrong. */
}

static void queue_free(struct plain_queue *queue)
{
    if (queue->event_fd >= 0) {
        close(queue->event_fd);
    }
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->mutex);
    pthread_mutex_destroy(&queue->reap_mutex);
    free(queue);
}

enum status plain_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    CHECK(depth > 0);
    struct plain_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return ST_NOMEM;
    }
    queue->queue.io = io;
    queue->depth = depth;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_mutex_init(&queue->reap_mutex, NULL);
    pthread_cond_init(&queue->work, NULL);
    queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event_fd < 0) {
        int error = errno;
        queue_free(queue);
        return posix_failed("open", "eventfd", -1, error);
    }
    if (!threads_start(queue)) {
        queue_free(queue);
        return posix_failed("start", "a thread for requests", -1, ENOMEM);
    }
    *queue_out = &queue->queue;
    return ST_OK;
}

static enum status submit(struct plain_queue *queue, struct io_request *request)
{
    posix_request_check(request);
    pthread_mutex_lock(&queue->mutex);
    bool room = queue->in_flight < queue->depth;
    if (room) {
        queue->in_flight++;
        list_add(&queue->waiting, request);
        pthread_cond_signal(&queue->work);
    }
    pthread_mutex_unlock(&queue->mutex);
    return room ? ST_OK : ST_LIMIT;
}

enum status plain_queue_write(struct io_queue *queue, struct io_request *write)
{
    write->reads = false;
    return submit(queue_of(queue), write);
}

enum status plain_queue_read(struct io_queue *queue, struct io_request *read)
{
    read->reads = true;
    return submit(queue_of(queue), read);
}

void plain_queue_start(struct io_queue *queue)
{
    (void)queue;
}

static struct io_request *take(struct plain_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    struct io_request *request = list_take(&queue->finished);
    queue->in_flight -= request != NULL;
    pthread_mutex_unlock(&queue->mutex);
    return request;
}

static bool has_finished(struct plain_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool any = queue->finished.first != NULL;
    pthread_mutex_unlock(&queue->mutex);
    return any;
}

static enum status status_of(const struct io_request *request)
{
    int error = (int)request->word;
    return error == 0 ? ST_OK : posix_request_failed(request, error);
}

unsigned plain_queue_reap(struct io_queue *io_queue)
{
    struct plain_queue *queue = queue_of(io_queue);
    unsigned count = 0;
    do {
        if (pthread_mutex_trylock(&queue->reap_mutex) != 0) {
            return count; /* Its holder looks again after unlocking. */
        }
        struct io_request *request;
        while ((request = take(queue)) != NULL) {
            count++;
            request->done(request, status_of(request));
        }
        pthread_mutex_unlock(&queue->reap_mutex);
    } while (has_finished(queue));
    return count;
}

int plain_queue_fd(struct io_queue *queue)
{
    return queue_of(queue)->event_fd;
}

void plain_queue_close(struct io_queue *io_queue)
{
    struct plain_queue *queue = queue_of(io_queue);
    threads_join(queue);
    queue_free(queue);
}
