/* The buffers: where an append gets its LSN and its bytes their place.
 *
 *     pool → open (appends go here) → queued, in LSN order → in flight → pool
 *
 * An append allots its range of the stream and its pieces of buffers under the mutex. A small one
 * is copied under it too: the copy is shorter than a second lock. A large one registers as writer
 * of the buffers that it touches, copies without the mutex and takes itself off again; a buffer
 * with writers is not submitted, and nothing behind it is either, because frames lie in the file in
 * LSN order. The last writer then submits what it held up.
 *
 * Payloads are copied once: each buffer has room for the frame header in front, so the frame is
 * sealed in place.
 *
 * Memory: wlog_reserve bounds what is unflushed (W5), not the single append, so a huge append gets
 * its buffers before it takes the mutex. If the system gives none, the record cannot be kept, and
 * its caller has already changed its value: the log dies (W4), so nothing that follows is ever
 * called durable. The pool keeps enough buffers that a small append does not ask the system.
 */
#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* A copy of this size takes as long as locking twice. */
#define COPY_LOCKED_MAX 2048
#define POOL_MAX 32

static size_t payload_max(const struct wlog *log)
{
    return log->buffer_size - FRAME_HEADER_SIZE;
}

uint64_t wlog_charge(const struct wlog *log, uint64_t size)
{
    uint64_t touched = size / payload_max(log) + 2;
    return size + touched * (FRAME_HEADER_SIZE + log->alignment);
}

static struct wlog_buffer *buffer_new(struct wlog *log)
{
    struct wlog_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer == NULL) {
        return NULL;
    }
    buffer->data = aligned_alloc(IO_ALIGNMENT_MAX, log->buffer_size);
    if (buffer->data == NULL) {
        free(buffer);
        return NULL;
    }
    buffer->log = log;
    return buffer;
}

static void buffer_free(struct wlog_buffer *buffer)
{
    free(buffer->data);
    free(buffer);
}

void wlog_buffers_free(struct wlog_buffer *first)
{
    while (first != NULL) {
        struct wlog_buffer *next = first->next;
        buffer_free(first);
        first = next;
    }
}

void wlog_buffer_release(struct wlog *log, struct wlog_buffer *buffer)
{
    if (log->pool_count >= POOL_MAX) {
        buffer_free(buffer);
        return;
    }
    buffer->next = log->pool;
    log->pool = buffer;
    log->pool_count++;
}

enum status wlog_buffers_prepare(struct wlog *log, unsigned count)
{
    while (log->pool_count < count && log->pool_count < POOL_MAX) {
        struct wlog_buffer *buffer = buffer_new(log);
        if (buffer == NULL) {
            return ST_NOMEM;
        }
        wlog_buffer_release(log, buffer);
    }
    return ST_OK;
}

static struct wlog_buffer *pool_take(struct wlog *log)
{
    struct wlog_buffer *buffer = log->pool;
    if (buffer != NULL) {
        log->pool = buffer->next;
        log->pool_count--;
    }
    return buffer;
}

/* Puts an empty buffer at the queue's end and opens it. */
static void queue_push(struct wlog *log, struct wlog_buffer *buffer, uint64_t lsn)
{
    *buffer = (struct wlog_buffer){.log = log, .data = buffer->data, .start_lsn = lsn};
    if (log->queue_last != NULL) {
        log->queue_last->next = buffer;
    } else {
        log->queue_first = buffer;
    }
    log->queue_last = buffer;
    log->open = buffer;
    atomic_fetch_add_explicit(&log->queued_count, 1, memory_order_relaxed);
}

/* Where an append has come to in its parts. */
struct source {
    const struct bytes *parts;
    size_t offset;
};

static void source_copy(struct source *source, unsigned char *to, size_t size)
{
    while (size > 0) {
        struct bytes piece = bytes_slice(*source->parts, source->offset, size);
        if (piece.size > 0) {
            memcpy(to, piece.data, piece.size);
        }
        to += piece.size;
        size -= piece.size;
        source->offset += piece.size;
        if (source->offset == source->parts->size) {
            source->parts++;
            source->offset = 0;
        }
    }
}

/* The buffer with room for the next byte; NULL: the system gave no memory. `spare` is a list of
 * buffers that the append brought along. */
static struct wlog_buffer *buffer_for(struct wlog *log, uint64_t lsn, struct wlog_buffer **spare)
{
    if (log->open != NULL && log->open->size < payload_max(log)) {
        return log->open;
    }
    struct wlog_buffer *buffer = pool_take(log);
    if (buffer == NULL && *spare != NULL) {
        buffer = *spare;
        *spare = buffer->next;
    }
    if (buffer == NULL) {
        buffer = buffer_new(log);
    }
    if (buffer != NULL) {
        queue_push(log, buffer, lsn);
    }
    return buffer;
}

/* Allots size bytes from lsn on; gives the cost on disk that this added, or -1 without memory.
 * With `copy` the bytes are copied at once, else this append becomes a writer of each buffer. */
static int64_t allot(struct wlog *log, uint64_t lsn, uint64_t size, struct source *copy,
                     struct wlog_buffer **spare, struct wlog_buffer **first_out,
                     uint32_t *first_offset_out)
{
    int64_t cost = 0;
    *first_out = NULL;
    while (size > 0) {
        struct wlog_buffer *buffer = buffer_for(log, lsn, spare);
        if (buffer == NULL) {
            return -1;
        }
        CHECK_SLOW(buffer->start_lsn + buffer->size == lsn);
        size_t rest = payload_max(log) - buffer->size;
        uint32_t piece = (uint32_t)(size < rest ? size : rest);
        if (*first_out == NULL) {
            *first_out = buffer;
            *first_offset_out = buffer->size;
        }
        uint64_t before = buffer->size == 0 ? 0 : frame_cost(log, buffer->size);
        if (copy != NULL) {
            source_copy(copy, buffer->data + FRAME_HEADER_SIZE + buffer->size, piece);
        } else {
            buffer->writers++;
        }
        buffer->size += piece;
        cost += (int64_t)(frame_cost(log, buffer->size) - before);
        lsn += piece;
        size -= piece;
        if (size == 0) {
            buffer->appends++;
        }
    }
    return cost;
}

/* Copies without the mutex into what was allotted, and takes this append off each buffer. */
static void copy_unlocked(struct wlog *log, struct source *source, uint64_t size,
                          struct wlog_buffer *buffer, uint32_t offset)
{
    while (size > 0) {
        size_t rest = payload_max(log) - offset;
        size_t piece = size < rest ? (size_t)size : rest;
        source_copy(source, buffer->data + FRAME_HEADER_SIZE + offset, piece);
        size -= piece;
        offset = 0;
        pthread_mutex_lock(&log->mutex);
        struct wlog_buffer *next = buffer->next; /* Ours until writers drops. */
        CHECK(buffer->writers > 0);
        bool held_up = --buffer->writers == 0 && buffer == log->queue_first;
        pthread_mutex_unlock(&log->mutex);
        if (held_up) {
            wlog_submit(log);
        }
        buffer = next;
    }
}

/* As many as a large append may need, so that it asks the system without the mutex. */
static struct wlog_buffer *spare_new(struct wlog *log, uint64_t size)
{
    struct wlog_buffer *spare = NULL;
    for (uint64_t rest = size; rest > payload_max(log); rest -= payload_max(log)) {
        struct wlog_buffer *buffer = buffer_new(log);
        if (buffer == NULL) {
            break; /* allot finds out. */
        }
        buffer->next = spare;
        spare = buffer;
    }
    return spare;
}

static void append_account(struct wlog *log, uint64_t size)
{
    atomic_store_explicit(&log->appends, log->appends + 1, memory_order_relaxed);
    log->stats.appended_bytes += size;
}

uint64_t wlog_append(struct wlog *log, uint64_t reserved, const struct bytes *parts,
                     size_t part_count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < part_count; i++) {
        size += parts[i].size;
    }
    CHECK(log->started && size <= reserved);
    struct source source = {parts, 0};
    bool small = size <= COPY_LOCKED_MAX;
    struct wlog_buffer *spare = small ? NULL : spare_new(log, size);
    struct wlog_buffer *first = NULL;
    uint32_t first_offset = 0;
    int64_t cost = 0;

    pthread_mutex_lock(&log->mutex);
    uint64_t lsn = atomic_load_explicit(&log->end, memory_order_relaxed);
    atomic_store_explicit(&log->end, lsn + size, memory_order_release);
    bool dead = atomic_load_explicit(&log->dead, memory_order_relaxed);
    if (!dead && size > 0) {
        cost = allot(log, lsn, size, small ? &source : NULL, &spare, &first, &first_offset);
        append_account(log, size);
    }
    if (cost < 0) {
        wlog_die_locked(log, ST_NOMEM, "no memory for a buffer");
    } else {
        int64_t charge = (int64_t)wlog_charge(log, reserved);
        CHECK(cost <= charge);
        atomic_fetch_add_explicit(&log->room, charge - cost, memory_order_relaxed);
    }
    pthread_mutex_unlock(&log->mutex);

    if (first != NULL && cost >= 0 && !small) { /* Not by cost > 0: padding may take it all. */
        copy_unlocked(log, &source, size, first, first_offset);
    }
    wlog_buffers_free(spare);
    if (cost < 0 || atomic_load_explicit(&log->waiting_room, memory_order_relaxed)) {
        wlog_tell(log);
    }
    return lsn;
}
